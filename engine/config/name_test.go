package config

import "testing"

func TestDidYouMean(t *testing.T) {
	declared := map[string]bool{"app-1": true, "app-2": true, "app-4": true, "app-5": true, "db": true, "db-10": true, "db-11": true}
	for unknown, want := range map[string]string{
		"ap-1":    ` Did you mean "app-1"?`,
		"db-1":    ` Did you mean "db-10" or "db-11"?`,
		"app-3":   ` Did you mean "app-1", "app-2" or "app-4"?`,
		"x":       "",
		"another": "",
	} {
		if got := didYouMean(unknown, declared); got != want {
			t.Errorf("didYouMean(%q) = %q, want %q", unknown, got, want)
		}
	}
}
