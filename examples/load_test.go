package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// loadReport is what the program of a load prints in the end.
type loadReport struct {
	Connections int64            // that were tried
	Failures    map[string]int64 // by how they failed
}

// pressure is the program of a load: some workers do one exchange after the other, each on a connection of its own,
// until there were so many, or for 0 until stdin ends.
func pressure(address, workers, connections string, lines []string) error {
	n, errWorkers := strconv.Atoi(workers)
	limit, errLimit := strconv.ParseInt(connections, 10, 64)
	if errWorkers != nil || errLimit != nil {
		return fmt.Errorf("%s workers, %s connections: not numbers", workers, connections)
	}
	var exchanges []exchange
	for _, line := range lines {
		e, err := parseExchange(line)
		if err != nil {
			return err
		}
		exchanges = append(exchanges, e)
	}
	l := load{address: address, exchanges: exchanges, limit: limit, report: loadReport{Failures: make(map[string]int64)}}
	if limit == 0 {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			l.over.Store(true)
		}()
	}
	var all sync.WaitGroup
	for range n {
		all.Go(l.work)
	}
	all.Wait()
	l.report.Connections = l.done.Load()
	return json.NewEncoder(os.Stdout).Encode(l.report)
}

type load struct {
	address   string
	exchanges []exchange
	limit     int64 // 0: none

	begun, done atomic.Int64
	over        atomic.Bool
	mu          sync.Mutex
	report      loadReport
}

func (l *load) work() {
	for !l.over.Load() {
		i := l.begun.Add(1)
		if l.limit > 0 && i > l.limit {
			return
		}
		e := l.exchanges[int(i)%len(l.exchanges)]
		conn, err := net.Dial("tcp", l.address)
		if err == nil {
			err = request(conn, e)
		}
		l.done.Add(1)
		if err != nil {
			l.mu.Lock()
			l.report.Failures[e.kind+": "+kindOf(err)]++
			l.mu.Unlock()
		}
	}
}

// kindOf returns an error without the addresses in it, which are different each time.
func kindOf(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if op, rest, ok := strings.Cut(text, " tcp "); ok {
		if i := strings.LastIndex(rest, ": "); i >= 0 {
			text = op + rest[i:]
		}
	}
	return text
}

// running is a load, or another program, that goes on.
type running struct {
	cmd  *lab.Cmd
	stop io.Closer
	out  *json.Decoder
}

// startClient starts a program of client_test.go that goes on, in the unit web.
func (h host) startClient(t *testing.T, args ...string) *running {
	t.Helper()
	cmd := h.Command(t.Context(), "web.service", append([]string{self, "client"}, args...)...)
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &running{cmd, stdin, json.NewDecoder(stdout)}
}

// report waits for the end of a program that has one, and for its report.
func (r *running) report(t *testing.T, into any) {
	t.Helper()
	errReport := r.out.Decode(into)
	if err := r.cmd.Wait(); err != nil || errReport != nil {
		t.Fatalf("%q ended with %v and the report %v", r.cmd.Args, err, errReport)
	}
}

// load starts a load in the unit web.
func (h host) load(t *testing.T, address string, workers, connections int, exchanges ...exchange) *running {
	t.Helper()
	args := []string{"load", address, strconv.Itoa(workers), strconv.Itoa(connections)}
	for _, e := range exchanges {
		args = append(args, e.String())
	}
	return h.startClient(t, args...)
}

// wait waits for the end of a load that has one.
func (r *running) wait(t *testing.T) (report loadReport) {
	t.Helper()
	r.report(t, &report)
	return report
}

// end ends a load that goes on.
func (r *running) end(t *testing.T) loadReport {
	t.Helper()
	r.stop.Close()
	return r.wait(t)
}
