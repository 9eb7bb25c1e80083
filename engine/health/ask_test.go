package health

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// target is a check of what listens there.
func target(kind mesh.CheckKind, path string, l net.Listener) *Target {
	group := balance.New(balance.Config{Endpoints: []mesh.Endpoint{{Address: l.Addr().(*net.TCPAddr).AddrPort()}}})
	return &Target{Service: "hello", Check: mesh.Check{Kind: kind, Path: path}, Endpoints: group.Endpoints()}
}

func serve(t *testing.T, handler http.HandlerFunc) net.Listener {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener
}

func TestAskHTTP(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Host != "hello" || r.Proto != "HTTP/1.1" || !r.Close {
			t.Errorf("request %s %s of %q by %s, close %v", r.Method, r.URL, r.Host, r.Proto, r.Close)
		}
		switch r.URL.RequestURI() {
		case "/ok?deep=1":
			w.WriteHeader(http.StatusNoContent)
		case "/moved":
			http.Redirect(w, r, "http://"+elsewhere.Addr().String(), http.StatusFound)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/cut":
			w.Header().Set("Content-Length", "10")
		case "/head":
			w.Header().Set("Long", strings.Repeat("x", 2*maxHeader))
		default:
			http.Error(w, "no", http.StatusServiceUnavailable)
		}
	})
	for path, want := range map[string]string{
		"/ok?deep=1": "",
		"/moved":     "",
		"/endless":   "",
		"/cut":       "",
		"/sick":      "GET /sick is answered with 503 Service Unavailable",
		"/head":      "net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted",
	} {
		err := newAsker().ask(t.Context(), target(mesh.CheckHTTP, path, l))
		if got := text(err); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestAskHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/2.0" || r.URL.Path != "/ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	for path, want := range map[string]string{"/ok": "", "/sick": "GET /sick is answered with 503 Service Unavailable"} {
		asked := target(mesh.CheckHTTP, path, server.Listener)
		asked.Check.HTTP2 = true
		if got := text(newAsker().ask(t.Context(), asked)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAskRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := newAsker().ask(t.Context(), target(mesh.CheckTCP, "", l)); err != nil {
		t.Errorf("a port that accepts: %v", err)
	}
	l.Close()
	for _, kind := range []mesh.CheckKind{mesh.CheckTCP, mesh.CheckHTTP} {
		err := newAsker().ask(t.Context(), target(kind, "/", l))
		if got := text(err); got != "connect: connection refused" {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// TestTrySilent has a server that accepts and says nothing, as one does whose process is stopped.
func TestTrySilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := New()
	asked := target(mesh.CheckHTTP, "/", l)
	w := &worker{check: mesh.Check{Timeout: time.Millisecond, Interval: time.Second}, target: *asked}
	if got := text(w.try(context.Background(), c, 0)); got != "no answer within 1ms" {
		t.Errorf("error %q", got)
	}
	if err := c.ask(t.Context(), target(mesh.CheckTCP, "", l)); err != nil {
		t.Errorf("a TCP check of a server that is silent: %v", err)
	}
}
