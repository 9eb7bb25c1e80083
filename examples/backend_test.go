package examples_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

// largeAnswer is how many bytes a backend answers /large with: more than the sockets on the way hold.
const largeAnswer = 16 << 20

// backend is the program of an endpoint that speaks HTTP. It writes down which requests it begins, and which it has completed
// before it answers, so that nothing is lost when it is killed.
type backend struct {
	busy    atomic.Int64           // of a hundred requests below /retried/, how many it answers with 503
	stalled atomic.Int64           // and how many it does not answer
	fatal   atomic.Pointer[string] // of a path with this beginning it does not survive a request that it has completed
	begun   atomic.Int64
}

// serveRequests is the program of a backend.
func serveRequests(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	b := &backend{}
	if strings.HasSuffix(address, moodyPort) {
		b.busy.Store(1)
	}
	return http.Serve(l, b)
}

// moodyPort is that of a backend which now and then has no time for a request from its start on.
const moodyPort = ":7003"

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/mood":
		b.busy.Store(numberOf(r.FormValue("busy")))
		b.stalled.Store(numberOf(r.FormValue("stalled")))
		if fatal := r.FormValue("fatal"); fatal != "" {
			b.fatal.Store(&fatal)
		}
		fmt.Fprint(w, b.begun.Load())
		return
	case "/large":
		b.begun.Add(1)
		w.Header().Set("Content-Length", strconv.Itoa(largeAnswer))
		for piece := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
		return
	}
	n := b.begun.Add(1)
	// Without a common divisor those who fail are spread evenly.
	turn := n * 37 % 100
	retried := strings.HasPrefix(r.URL.Path, "/retried/")
	switch {
	case retried && turn < b.busy.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case retried && turn < b.busy.Load()+b.stalled.Load():
		_, _ = io.Copy(io.Discard, r.Body) // the end of the connection is heard only then
		<-r.Context().Done()
		return
	}
	note("begun", r)
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		return
	}
	note("completed", r)
	if fatal := b.fatal.Load(); fatal != nil && strings.HasPrefix(r.URL.Path, *fatal) {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	fmt.Fprint(w, answerTo(r.Method, r.URL.Path, body.Bytes()))
}

// note writes a line at once.
func note(what string, r *http.Request) {
	if _, err := fmt.Fprintf(os.Stdout, "%s %s %s\n", what, r.Method, r.URL.Path); err != nil {
		panic(err)
	}
}

// answerTo returns what is answered to no other request.
func answerTo(method, path string, body []byte) string {
	sum := fnv.New64a()
	sum.Write(body)
	return fmt.Sprintf("%s %s %x", method, path, sum.Sum64())
}

func numberOf(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // none is 0
	return n
}

// runningBackend is a backend of a host, from a start to its end.
type runningBackend struct {
	host host
	port uint16
	cmd  *lab.Cmd
	log  *os.File
	dead bool // it was killed
}

// startBackend starts a backend in the unit ledger.
func (h host) startBackend(t *testing.T, port uint16) *runningBackend {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), "backend-")
	if err != nil {
		t.Fatal(err)
	}
	b := &runningBackend{host: h, port: port, log: log}
	b.cmd = h.Command(t.Context(), "ledger.service", self, "client", "backend", fmt.Sprintf(":%d", port))
	b.cmd.Env = append(b.cmd.Env, "GORACE=atexit_sleep_ms=0")
	b.cmd.Stdout, b.cmd.Stderr = log, os.Stderr
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.kill()
		log.Close()
	})
	if err := h.WaitListening(t.Context(), port); err != nil {
		t.Fatal(err)
	}
	return b
}

// kill ends the backend by SIGKILL. Its sockets are closed when it returns.
func (b *runningBackend) kill() {
	if !b.dead {
		b.dead = true
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	}
}

// killBy has the backend kill itself when it has completed a request for a path with that beginning, before the answer.
func (b *runningBackend) killBy(t *testing.T, path string) {
	t.Helper()
	const noAnswer, reset = 52, 56 // of curl: the request came before this answer
	if output, code := b.host.try(t, "", b.tells("fatal="+path)...); code != 0 && code != noAnswer && code != reset {
		t.Fatalf("exit code %d of curl: %s", code, output)
	}
	b.dead = true
	_ = b.cmd.Wait()
}

// tell changes the mood of a backend, and returns how many requests it has begun.
func (b *runningBackend) tell(t *testing.T, mood string) (begun int64) {
	t.Helper()
	return numberOf(b.host.run(t, "", b.tells(mood)...))
}

func (b *runningBackend) tells(mood string) []string {
	return []string{"curl", "-sS", "--fail", fmt.Sprintf("http://127.0.0.1:%d/mood?%s", b.port, mood)}
}

// notes returns what the backend has noted, as pairs of a method and a path, in their order.
func (b *runningBackend) notes(t *testing.T) (begun, completed []string) {
	t.Helper()
	text, err := os.ReadFile(b.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		what, request, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case ok && what == "begun":
			begun = append(begun, request)
		case ok && what == "completed":
			completed = append(completed, request)
		default:
			t.Fatalf("port %d: note %q", b.port, line)
		}
	}
	return begun, completed
}

// size is how much the backend has noted.
func (b *runningBackend) size(t *testing.T) int64 {
	t.Helper()
	info, err := b.log.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
