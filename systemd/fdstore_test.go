package systemd

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// inherit returns how a process that was started with files and env sees what it inherits: name, number, and
// whether it is closed on exec.
func inherit(t *testing.T, files []*os.File, env ...string) string {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(env, "MESHD_TEST_INHERIT=1",
		"GORACE=atexit_sleep_ms=0") // else it takes a second to end
	cmd.ExtraFiles = files
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestInherited(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := []*os.File{file, file, file}
	for name, tc := range map[string]struct {
		env  []string
		want string
	}{
		"named": {[]string{"LISTEN_FDS=3", "LISTEN_FDNAMES=dns:outbound:dns"},
			"dns 3 true <nil>\ndns 5 true <nil>\noutbound 4 true <nil>"},
		"partly named": {[]string{"LISTEN_FDS=2", "LISTEN_FDNAMES=dns"},
			"dns 3 true <nil>\nunknown 4 true <nil>"},
		"empty name": {[]string{"LISTEN_FDS=2", "LISTEN_FDNAMES=:dns"},
			"dns 4 true <nil>\nunknown 3 true <nil>"},
		"without names":   {[]string{"LISTEN_FDS=1"}, "unknown 3 true <nil>"},
		"for another one": {[]string{"LISTEN_FDS=3", "LISTEN_PID=1"}, ""},
		"none":            {[]string{"LISTEN_FDS=0"}, ""},
		"negative":        {[]string{"LISTEN_FDS=-1"}, ""},
		"malformed":       {[]string{"LISTEN_FDS=3x"}, ""},
	} {
		if got := inherit(t, files, tc.env...); got != tc.want {
			t.Errorf("%s: inherited\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}
