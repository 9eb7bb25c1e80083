package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadUnit(t *testing.T) {
	text := `[Unit]
Description=Everything that a lab understands
After=network.target

[Service]
Type=notify
ExecStart=/bin/sh -c "echo $$HOME 'is' \\ 100%%" ""
Environment=A=1 "B=two words"
Environment='C=3'
User=redis
RuntimeDirectory=one two

[Install]
WantedBy=multi-user.target

[X-Lab]
Listen=8080
Listen=9090
`
	got, err := readUnit(writeUnit(t, text))
	if err != nil {
		t.Fatal(err)
	}
	want := &unitFile{
		Name:    "some.service",
		Path:    "/bin/sh",
		Argv:    []string{"/bin/sh", "-c", `echo $HOME 'is' \ 100%`, ""},
		Env:     []string{"A=1", "B=two words", "C=3"},
		User:    "redis",
		Runtime: []string{"one", "two"},
		Notify:  true,
		Listen:  []uint16{8080, 9090},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadUnitRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"[Service]\nUser=redis":                                  "no ExecStart=",
		"[Service]\nExecStart=/bin/true\nRestart=always":         "Restart=always: a lab does not understand it",
		"[Service]\nExecStart=/bin/true\nType=forking":           "Type=forking: a lab does not understand it",
		"[Service]\nExecStart=true":                              "absolute path",
		"[Service]\nExecStart=-/bin/true":                        "absolute path",
		"[Service]\nExecStart=/bin/true\nExecStart=/bin/true":    "write one ExecStart=",
		"[Service]\nExecStart=/bin/echo $HOME":                   "$ stands alone",
		"[Service]\nExecStart=/bin/echo %n":                      "% stands alone",
		"[Service]\nExecStart=/bin/echo 'a":                      "' is not closed",
		"[Service]\nExecStart=/bin/true\n[X-Lab]\nListen=http":   "not a port",
		"[Socket]\nListenStream=1\n[Service]\nExecStart=/bin/sh": "a lab does not understand it",
	} {
		_, err := readUnit(writeUnit(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func writeUnit(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.service")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
