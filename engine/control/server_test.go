package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(callAsChild); socket != "" {
		os.Exit(callAndReport(socket))
	}
	goleak.VerifyTestMain(m)
}

// fakeBackend answers with what it holds.
type fakeBackend struct {
	status      Status
	services    []Service
	endpoints   []Endpoint
	connections []Connection
	checks      []CheckResult
	routes      []ServiceRoutes
	explain     func(Question) (Explanation, *Error)
	reload      func(context.Context) ReloadResult
}

func (b *fakeBackend) Explain(q Question) (Explanation, *Error) { return b.explain(q) }

func (b *fakeBackend) Routes(service string) []ServiceRoutes {
	return slices.DeleteFunc(slices.Clone(b.routes), func(s ServiceRoutes) bool { return service != "" && s.Service != service })
}

func (b *fakeBackend) Switch(on bool) SwitchResult             { return SwitchResult{Changed: !on} }
func (b *fakeBackend) Status() Status                          { return b.status }
func (b *fakeBackend) Services() []Service                     { return b.services }
func (b *fakeBackend) Endpoints() []Endpoint                   { return b.endpoints }
func (b *fakeBackend) Connections() []Connection               { return b.connections }
func (b *fakeBackend) Check(context.Context) []CheckResult     { return b.checks }
func (b *fakeBackend) Reload(ctx context.Context) ReloadResult { return b.reload(ctx) }

// serve serves the backend on a socket that everybody may connect to; stop ends it and returns what Serve returned.
func serve(t *testing.T, b Backend, c Config) (socket string, stop func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "meshd.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	c.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(b, c).Serve(ctx, l) }()
	var result error
	done := false
	stop = func() error {
		cancel()
		if !done {
			result, done = <-ended, true
		}
		return result
	}
	t.Cleanup(func() { stop() })
	return socket, stop
}

// raw makes a call without the client and returns the HTTP status and the body.
func raw(t *testing.T, socket, method, target string, body io.Reader) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://meshd"+target, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := NewClient(socket).http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestEmptyDocumentsHaveNoNull(t *testing.T) {
	b := &fakeBackend{
		services:  []Service{{Name: "nightly"}},
		endpoints: []Endpoint{{Service: "nightly"}},
		routes:    []ServiceRoutes{{Service: "billing", Routes: []Route{{}}, Targets: []Target{{}}}, {Service: "nightly"}},
		explain: func(Question) (Explanation, *Error) {
			return Explanation{Routes: []AskedRoute{{}}, Targets: []Target{{}}}, nil
		},
		reload: func(context.Context) ReloadResult { return ReloadResult{OK: true} },
	}
	socket, _ := serve(t, b, Config{})
	for _, c := range calls {
		status, body := raw(t, socket, string(c.access), c.path, nil)
		if status != http.StatusOK {
			t.Errorf("%s: status %d: %s", c.path, status, body)
		}
		if strings.Contains(body, "null") {
			t.Errorf("%s: a list is null: %s", c.path, body)
		}
		var head struct {
			SchemaVersion int `json:"schema_version"`
		}
		if err := json.Unmarshal([]byte(body), &head); err != nil || head.SchemaVersion != SchemaVersion {
			t.Errorf("%s: schema_version %d, error %v: %s", c.path, head.SchemaVersion, err, body)
		}
	}
}

func TestStrict(t *testing.T) {
	b := &fakeBackend{
		services: []Service{{Name: "billing"}},
		reload:   func(context.Context) ReloadResult { t.Error("reload was called"); return ReloadResult{} },
	}
	socket, _ := serve(t, b, Config{})
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/", "", 404, "no call /"},
		{"GET", "/v1/status/", "", 404, "no call /v1/status/"},
		{"GET", "/v2/status", "", 404, "same version"},
		{"GET", "/debug/pprof/", "", 404, "no call"},
		{"POST", "/v1/status", "", 405, "does not take POST"},
		{"HEAD", "/v1/status", "", 405, ""},
		{"GET", "/v1/reload", "", 405, "use POST"},
		{"GET", "/v1/status?verbose=1", "", 400, "does not take the parameter"},
		{"GET", "/v1/endpoints?service=billing&service=web", "", 400, "or not twice"},
		{"GET", "/v1/endpoints?service=web", "", 404, `no service \"web\"`},
		{"GET", "/v1/routes?service=web", "", 404, `no service \"web\"`},
		{"GET", "/v1/explain?service=web", "", 400, "does not take the parameter"},
		{"GET", "/v1/explain?from=web&from=billing", "", 400, "or not twice"},
		{"POST", "/v1/explain?from=web", "", 405, "use GET"},
		{"GET", "/v1/connections?service=web", "", 404, `no service \"web\"`},
		{"POST", "/v1/reload", "{}", 400, "takes no body"},
		{"POST", "/v1/reload", strings.Repeat("x", 4<<10), 400, "takes no body"},
		{"GET", "/v1/endpoints?service=billing", "", 200, `"endpoints":[]`},
	} {
		var body io.Reader
		if c.body != "" {
			body = strings.NewReader(c.body)
		}
		status, text := raw(t, socket, c.method, c.target, body)
		if status != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: %d %s, want %d and %q", c.method, c.target, status, text, c.status, c.want)
		}
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.1\r\nHost: meshd\r\n\r\n")
	if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("OPTIONS *: %v %v", response, err)
	}
	// A chunked body has no length that could be looked at beforehand.
	status, text := raw(t, socket, "POST", "/v1/reload", io.MultiReader(strings.NewReader("{}")))
	if status != http.StatusBadRequest {
		t.Errorf("chunked body: %d %s", status, text)
	}
}

func TestListsAreSortedAndFiltered(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	b := &fakeBackend{
		services: []Service{{Name: "web"}, {Name: "billing"}},
		endpoints: []Endpoint{
			{Service: "web", Host: "b", Address: at("10.0.0.2:80")},
			{Service: "billing", Host: "b", Address: at("10.0.0.2:9")},
			{Service: "billing", Host: "a", Address: at("10.0.0.9:8")},
			{Service: "billing", Host: "b", Address: at("10.0.0.2:8")},
		},
		checks: []CheckResult{{Name: "b", Status: CheckOK}, {Name: "c", Status: CheckFail}, {Name: "a", Status: CheckOK}, {Name: "d", Status: CheckWarn}},
	}
	for i := range MaxConnections + 5 {
		b.connections = append(b.connections, Connection{ID: uint64(i), OpenedAt: start.Add(-time.Duration(i)), Destination: "web"})
	}
	b.connections = append(b.connections, Connection{ID: 2, OpenedAt: start, Destination: "billing"}, Connection{ID: 1, OpenedAt: start, Destination: "billing"})
	socket, _ := serve(t, b, Config{})
	c, ctx := NewClient(socket), t.Context()

	services, err := c.Services(ctx)
	var names []string
	for _, s := range services.Services {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"billing", "web"}, names); diff != "" || err != nil {
		t.Errorf("services: %v %s", err, diff)
	}
	endpoints, err := c.Endpoints(ctx, "billing")
	names = nil
	for _, e := range endpoints.Endpoints {
		names = append(names, e.Host+" "+e.Address.String())
	}
	if diff := cmp.Diff([]string{"a 10.0.0.9:8", "b 10.0.0.2:8", "b 10.0.0.2:9"}, names); diff != "" || err != nil {
		t.Errorf("endpoints: %v %s", err, diff)
	}
	few, err := c.Connections(ctx, "billing")
	if err != nil || len(few.Connections) != 2 || few.Connections[0].ID != 1 || few.Total != 2 {
		t.Errorf("connections of billing: %v %+v", err, few)
	}
	all, err := c.Connections(ctx, "")
	if err != nil || len(all.Connections) != MaxConnections || all.Total != MaxConnections+7 || all.Connections[0].ID != MaxConnections+4 {
		t.Errorf("connections: %v, %d of %d", err, len(all.Connections), all.Total)
	}
	report, err := c.Check(ctx)
	names = nil
	for _, r := range report.Checks {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"c", "d", "a", "b"}, names); diff != "" || err != nil {
		t.Errorf("checks: %v %s", err, diff)
	}
}

func TestRefusedConfigurationIsAProblem(t *testing.T) {
	b := &fakeBackend{status: Status{State: StateReady, Config: LoadedConfig{LastError: &RefusedConfig{Text: "Error"}}}}
	socket, _ := serve(t, b, Config{})
	status, err := NewClient(socket).Status(t.Context())
	if err != nil || len(status.Problems) != 1 || !strings.Contains(status.Problems[0].Fix, "meshctl validate") {
		t.Errorf("error %v, problems %+v", err, status.Problems)
	}
}

func TestRefusalsAreSorted(t *testing.T) {
	b := &fakeBackend{status: Status{Refused: []Refusal{
		{"b.mesh:1", RefusedPort, 1}, {"a.mesh:1", RefusedPort, 1}, {"a.mesh:1", RefusedDead, 1}, {"c.mesh:1", RefusedEmpty, 9},
	}}}
	want := []Refusal{
		{"c.mesh:1", RefusedEmpty, 9}, {"a.mesh:1", RefusedDead, 1}, {"a.mesh:1", RefusedPort, 1}, {"b.mesh:1", RefusedPort, 1},
	}
	socket, _ := serve(t, b, Config{})
	status, err := NewClient(socket).Status(t.Context())
	if diff := cmp.Diff(want, status.Refused); diff != "" || err != nil {
		t.Errorf("error %v, refused (-want +got):\n%s", err, diff)
	}
}

func TestReloadOutlivesItsCallerAndEndsWithTheServer(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	b := &fakeBackend{reload: func(ctx context.Context) ReloadResult {
		close(started)
		<-ctx.Done()
		close(ended)
		return ReloadResult{}
	}}
	socket, stop := serve(t, b, Config{})
	calling, hangUp := context.WithCancel(t.Context())
	called := make(chan error, 1)
	go func() {
		_, err := NewClient(socket).Reload(calling)
		called <- err
	}()
	<-started
	hangUp()
	if err := <-called; !errors.Is(err, context.Canceled) {
		t.Errorf("call ended with %v", err)
	}
	select {
	case <-ended:
		t.Error("the reload ended with its caller")
	default:
	}
	if err := stop(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	select {
	case <-ended:
	default:
		t.Error("serve did not wait for the reload")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	socket, _ := serve(t, &fakeBackend{}, Config{})
	dial := func() net.Conn {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// answered says whether a call on the connection gets an answer; if so the connection stays open.
	answered := func(conn net.Conn) bool {
		fmt.Fprint(conn, "GET /v1/status HTTP/1.1\r\nHost: meshd\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
		return err == nil
	}
	first := dial()
	if !answered(first) {
		t.Fatal("the first connection was not answered")
	}
	for range maxOpen - 1 {
		if !answered(dial()) {
			t.Fatal("a connection below the bound was not answered")
		}
	}
	if answered(dial()) {
		t.Fatal("a connection above the bound was answered")
	}
	first.Close()
	deadline := time.Now().Add(10 * time.Second)
	for !answered(dial()) { // nothing tells when the server has seen the close
		if time.Now().After(deadline) {
			t.Fatal("no room after a connection was closed")
		}
	}
}

func TestServeNamesTheSocketOfADeadListener(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	err = New(&fakeBackend{}, Config{}).Serve(t.Context(), l)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("serve ended with %v", err)
	}
}

func TestSwitch(t *testing.T) {
	socket, _ := serve(t, &fakeBackend{}, Config{})
	for _, on := range []bool{false, true} {
		result, err := NewClient(socket).Switch(t.Context(), on)
		if want := (SwitchResult{SchemaVersion: SchemaVersion, Changed: !on}); err != nil || result != want {
			t.Errorf("switched on %v: %+v, %v", on, result, err)
		}
	}
}

// TestQuestion: a question arrives as it was asked, whatever it has, and so does what is wrong with it.
func TestQuestion(t *testing.T) {
	questions := []Question{
		{From: "web", To: "billing"},
		{From: "pid:12", To: "[fd6d::1]:80", Draw: true},
		{From: "host:app-1", To: "api.example.com:443", Method: "M-SEARCH", URL: "/a?b=%2F&c=d e", Headers: []string{"a: 1", "a: 2", "host: x&y=z"}},
	}
	var asked []Question
	b := &fakeBackend{explain: func(q Question) (Explanation, *Error) {
		asked = append(asked, q)
		if q.Draw {
			return Explanation{}, NoService("x")
		}
		return Explanation{Host: q.To}, nil
	}}
	socket, _ := serve(t, b, Config{})
	for _, q := range questions {
		x, err := NewClient(socket).Explain(t.Context(), q)
		if q.Draw != (err != nil) || err == nil && x.Host != q.To {
			t.Errorf("answer to %+v: %+v, %v", q, x, err)
		}
		if refused, ok := errors.AsType[*Error](err); ok && refused.Status != http.StatusNotFound {
			t.Errorf("status %d", refused.Status)
		}
	}
	if diff := cmp.Diff(questions, asked); diff != "" {
		t.Errorf("-asked +arrived:\n%s", diff)
	}
}
