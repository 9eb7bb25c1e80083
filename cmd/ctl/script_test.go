package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/meshd/meshd/engine/control"
)

var update = flag.Bool("update", false, "rewrite the golden parts of the scripts")

// TestScripts runs testdata/script. The commands of the scripts beside testscript's own are
//
//	meshctl ARG...     run meshctl; a terminal of $COLUMNS columns if that is set
//	code N             the last meshctl exited with N
//	daemon NAME        serve testdata/daemon/NAME.json on $SOCK
//	refuse STATUS      serve on $SOCK a meshd that answers every call with that HTTP status
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SOCK", filepath.Join(e.WorkDir, "meshd.sock"))
			e.Values["code"] = new(int)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"meshctl": scriptMeshctl,
			"code":    scriptCode,
			"daemon":  scriptDaemon,
			"refuse":  scriptRefuse,
		},
	})
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func scriptMeshctl(ts *testscript.TestScript, neg bool, args []string) {
	// Relative names of files are those of the script, which has a folder of its own and the process has not.
	for i, arg := range args {
		if strings.HasSuffix(arg, ".hcl") || arg == "folder" || arg == "my-mesh" {
			args[i] = ts.MkAbs(arg)
		}
	}
	env := Env{
		Stdin:    strings.NewReader(ts.Getenv("STDIN")),
		Stdout:   ts.Stdout(),
		Stderr:   ts.Stderr(),
		Getenv:   ts.Getenv,
		Hostname: func() (string, error) { return "app-1.example.com", nil },
		Now:      func() time.Time { return noon },
		Version:  "0.1.0 (go1.26, linux/amd64)",
	}
	if columns, err := strconv.Atoi(ts.Getenv("COLUMNS")); err == nil {
		env.Width, env.IsTerminal = columns, true
	}
	if fix := ts.Getenv("PROBE"); fix != "" {
		env.Probe = func(context.Context) []control.CheckResult {
			return []control.CheckResult{
				{Name: "kernel", Status: control.CheckOK, Detail: "Linux 6.18.0: every program loads"},
				{Name: "cgroup", Status: control.CheckStatus(fix), Detail: "only the subtree /lab/app-1 is covered, as node.cgroup says, and nothing outside of it", Fix: "remove node.cgroup to cover the host"},
			}
		}
	}
	if ts.Getenv("GONE") != "" {
		probe := env.Probe
		env.Probe = func(ctx context.Context) []control.CheckResult {
			return append(probe(ctx), control.CheckResult{
				Name: "meshd", Status: control.CheckFail, Detail: "its programs are in the kernel and it does not run", Fix: "systemctl start meshd",
			})
		}
	}
	if outcome := ts.Getenv("CLEANUP"); outcome != "" {
		env.Cleanup = func(_ context.Context, o CleanupOptions) (string, error) {
			return fakeCleanup(ts.Getenv("WORK"), outcome, o)
		}
	}
	code := Run(context.Background(), env, args)
	*ts.Value("code").(*int) = code
	if (code != 0) != neg {
		ts.Fatalf("exit code %d", code)
	}
}

func fakeCleanup(work, outcome string, o CleanupOptions) (string, error) {
	where := strings.ReplaceAll(o.BPFDir+"\n"+o.RunDir+"\n", work, "WORK")
	switch {
	case outcome == "denied":
		return "", fmt.Errorf("remove %s: %w", o.BPFDir, os.ErrPermission)
	case outcome == "empty":
		return "", nil
	case o.DryRun:
		return "would remove " + where, nil
	}
	return "removed " + where, nil
}

func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: code N")
	}
	if got := strconv.Itoa(*ts.Value("code").(*int)); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// fakeDaemon is a backend with the answers of a file.
type fakeDaemon struct {
	Answers struct {
		Status      control.Status
		Services    []control.Service
		Endpoints   []control.Endpoint
		Connections []control.Connection
		Routes      []control.ServiceRoutes
		Explanation control.Explanation
		Checks      []control.CheckResult
		Reload      control.ReloadResult
		Switch      control.SwitchResult
	}
}

func (d *fakeDaemon) Status() control.Status            { return d.Answers.Status }
func (d *fakeDaemon) Services() []control.Service       { return d.Answers.Services }
func (d *fakeDaemon) Endpoints() []control.Endpoint     { return d.Answers.Endpoints }
func (d *fakeDaemon) Connections() []control.Connection { return d.Answers.Connections }
func (d *fakeDaemon) Routes(service string) []control.ServiceRoutes {
	return slices.DeleteFunc(slices.Clone(d.Answers.Routes), func(s control.ServiceRoutes) bool { return service != "" && s.Service != service })
}

func (d *fakeDaemon) Explain(q control.Question) (control.Explanation, *control.Error) {
	if q.To != d.Answers.Explanation.Destination.Service {
		return control.Explanation{}, control.NoService(q.To)
	}
	return d.Answers.Explanation, nil
}

func (d *fakeDaemon) Check(context.Context) []control.CheckResult { return d.Answers.Checks }
func (d *fakeDaemon) Switch(bool) control.SwitchResult            { return d.Answers.Switch }
func (d *fakeDaemon) Reload(context.Context) control.ReloadResult { return d.Answers.Reload }

func scriptDaemon(ts *testscript.TestScript, _ bool, args []string) {
	file, err := os.Open(filepath.Join("testdata", "daemon", args[0]+".json"))
	ts.Check(err)
	defer file.Close()
	var d fakeDaemon
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	ts.Check(decoder.Decode(&d.Answers))

	ctx, cancel := context.WithCancel(context.Background())
	l := scriptListen(ts)
	ended := make(chan error, 1)
	go func() {
		ended <- control.New(&d, control.Config{Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l)
	}()
	ts.Defer(func() {
		cancel()
		ts.Check(<-ended)
	})
}

func scriptRefuse(ts *testscript.TestScript, _ bool, args []string) {
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, `{"error": "access denied to uid 1000", "hint": "use sudo"}`)
	})}
	l := scriptListen(ts)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	ts.Defer(func() {
		srv.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			ts.Fatalf("serve: %v", err)
		}
	})
}

func scriptListen(ts *testscript.TestScript) *net.UnixListener {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: ts.Getenv("SOCK"), Net: "unix"})
	ts.Check(err)
	return l
}
