package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// notYet is what the language has and the proxy does not do yet.
var notYet = map[string]string{}

// TestMain: the cases of testdata are about the whole language of this package.
func TestMain(m *testing.M) {
	for _, key := range []string{
		"router.route.destination.request_timeout", "router.route.destination.idle_timeout", "router.route.destination.retry",
		"resolver.connect_timeout",
	} {
		notYet[key] = unbuilt[key]
		delete(unbuilt, key)
	}
	os.Exit(m.Run())
}

// TestNotYet wants each of it to be one error.
func TestNotYet(t *testing.T) {
	maps.Copy(unbuilt, notYet)
	defer maps.DeleteFunc(unbuilt, func(key, _ string) bool { return notYet[key] != "" })
	path := filepath.Join(t.TempDir(), "meshd.hcl")
	writeFile(t, path, []byte(`
mesh "shop" {}
host "app-1" { addresses = ["10.0.0.21"] }
service "billing" {
  port     = 80
  protocol = "http"
  endpoint { host = "app-1" }
}
router "billing" {
  route {
    destination {
      service         = "billing"
      request_timeout = "1s"
      idle_timeout    = "1s"
      retry { on = ["503"] }
    }
  }
}
resolver "billing" { connect_timeout = "1s" }
`))
	_, d := Load(Options{Paths: []string{path}, Hostname: "app-1"})
	var found []string
	for _, x := range d.List() {
		found = append(found, strings.TrimSuffix(x.Summary, " is not built yet"))
	}
	want := "router.route.destination.request_timeout, router.route.destination.idle_timeout, router.route.destination.retry, " +
		"resolver.connect_timeout"
	if got := strings.Join(found, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
