package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// expect tests that an error is the sentinel and says all of the words.
func expect(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("error %v, want %v", err, sentinel)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func TestNotReachable(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "meshd.sock")
	_, err := NewClient(absent).Status(t.Context())
	expect(t, err, ErrNotReachable, absent, "(no such file or directory)", "systemctl status meshd")

	l := listen(t)
	l.SetUnlinkOnClose(false)
	l.Close()
	_, err = NewClient(l.Addr().String()).Reload(t.Context())
	expect(t, err, ErrNotReachable, "(connection refused)")
}

// hang is a transport that answers no call.
type hang struct{}

func (hang) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// hungBody is a transport whose answers begin and never end.
type hungBody struct{}

func (hungBody) RoundTrip(r *http.Request) (*http.Response, error) {
	body, w := io.Pipe()
	context.AfterFunc(r.Context(), func() { w.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: http.StatusOK, Body: body, Request: r}, nil
}

func TestHungMeshd(t *testing.T) {
	for _, transport := range []http.RoundTripper{hang{}, hungBody{}} {
		synctest.Test(t, func(t *testing.T) {
			c := NewClient("/run/x")
			c.http.Transport = transport
			_, err := c.Status(t.Context())
			expect(t, err, ErrNoAnswer, "meshd did not answer for 5s", "capture.fail", "systemctl restart meshd")
			if strings.Contains(err.Error(), "deadline") {
				t.Errorf("error %q is not for people", err)
			}
			_, err = c.Reload(t.Context())
			expect(t, err, ErrNoAnswer, "for 30s")
		})
	}
}

func TestNoAnswer(t *testing.T) {
	silent := listen(t) // its backlog takes the connection, nobody reads it
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	<-ctx.Done()
	_, err := NewClient(silent.Addr().String()).Status(ctx)
	expect(t, err, ErrNoAnswer, "journalctl -u meshd")

	go func() {
		if conn, err := silent.Accept(); err == nil {
			conn.Close()
		}
	}()
	_, err = NewClient(silent.Addr().String()).Status(t.Context())
	expect(t, err, ErrNoAnswer, silent.Addr().String())
	if errors.Is(err, ErrNotReachable) {
		t.Error("a meshd that hangs up is not one that does not run")
	}
}

func TestAnswersOfAnotherServer(t *testing.T) {
	l := listen(t)
	answers := http.NewServeMux()
	answers.HandleFunc("/v1/status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "what?", http.StatusTeapot) })
	answers.HandleFunc("/v1/services", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) })
	srv := &http.Server{Handler: answers}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-ended })

	c := NewClient(l.Addr().String())
	_, err := c.Status(t.Context())
	if refused, ok := errors.AsType[*Error](err); !ok || !strings.Contains(refused.Message, "418") {
		t.Errorf("status: %v", err)
	}
	_, err = c.Services(t.Context())
	if err == nil || !strings.Contains(err.Error(), "meshctl version") {
		t.Errorf("services: %v", err)
	}
}

func TestDeniedIsTheSentinel(t *testing.T) {
	if !errors.Is(&Error{Status: http.StatusForbidden}, ErrDenied) || errors.Is(&Error{Status: http.StatusNotFound}, ErrDenied) {
		t.Error("of the refusals only 403 is ErrDenied")
	}
	expect(t, NewClient("/run/x").explain(&net.OpError{Op: "dial", Err: os.ErrPermission}, 0), ErrDenied, "/run/x", "usermod -aG meshd")
}
