package examples_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// plan is what some workers of a client of HTTP do: one request after the other, by these methods in turn. The paths are
// PREFIX/WORKER/N, with N from 0 on, so that no two requests are alike.
type plan struct {
	workers int
	methods string // with commas
	prefix  string
}

func (p plan) String() string { return fmt.Sprintf("%d %s %s", p.workers, p.methods, p.prefix) }

// method returns that of a worker's n-th request.
func (p plan) method(n int) string {
	methods := strings.Split(p.methods, ",")
	return methods[n%len(methods)]
}

func (p plan) path(worker, n int) string { return fmt.Sprintf("%s/%d/%d", p.prefix, worker, n) }

// planReport is what has come of a plan.
type planReport struct {
	Requests []int // of each worker
	Failures []failedRequest
	Wrong    []string // answers to other requests than theirs
	// How long half of the requests took, 99 of a hundred, and the slowest one.
	Median, Late, Slowest time.Duration
}

func (r planReport) all() (n int) {
	for _, of := range r.Requests {
		n += of
	}
	return n
}

func (r planReport) String() string {
	return fmt.Sprintf("%d requests, %d failed, median %s, 99 %% %s, slowest %s", r.all(), len(r.Failures), r.Median, r.Late, r.Slowest)
}

// failedRequest is a request without an answer of an endpoint.
type failedRequest struct {
	Request      string // method and path
	How          string
	Began, Ended time.Time
}

// requestLoad is the program of a client: it follows plans until stdin has ended and each has as many requests as are wanted.
type requestLoad struct {
	address string
	least   int64
	over    atomic.Bool
}

// makeRequests is the program of a client of HTTP.
func makeRequests(address, least string, lines []string) error {
	l := &requestLoad{address: address}
	var err error
	if l.least, err = strconv.ParseInt(least, 10, 64); err != nil {
		return err
	}
	var all sync.WaitGroup
	reports := make([]planReport, len(lines))
	for i, line := range lines {
		var p plan
		if _, err := fmt.Sscan(line, &p.workers, &p.methods, &p.prefix); err != nil {
			return fmt.Errorf("plan %q: %w", line, err)
		}
		all.Go(func() { reports[i] = l.follow(p) })
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		l.over.Store(true)
	}()
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(reports)
}

func (l *requestLoad) follow(p plan) (report planReport) {
	var working sync.WaitGroup
	var count atomic.Int64
	workers := make([]*requestWorker, p.workers)
	for i := range workers {
		w := &requestWorker{load: l, plan: p, number: i}
		workers[i] = w
		working.Go(func() {
			for !l.over.Load() || count.Load() < l.least {
				w.work()
				count.Add(1)
			}
			w.leave()
		})
	}
	working.Wait()
	var times []time.Duration
	for _, w := range workers {
		report.Requests = append(report.Requests, w.requests)
		report.Failures = append(report.Failures, w.failures...)
		report.Wrong = append(report.Wrong, w.wrong...)
		times = append(times, w.times...)
	}
	slices.Sort(times)
	report.Median, report.Late, report.Slowest = times[len(times)/2], times[len(times)*99/100], times[len(times)-1]
	return report
}

// requestWorker makes one request after the other, mostly on the same connection.
type requestWorker struct {
	load   *requestLoad
	plan   plan
	number int

	conn     net.Conn
	in       *bufio.Reader
	requests int
	failures []failedRequest
	wrong    []string
	times    []time.Duration
}

// work makes one request. It does not make it again, whatever comes of it.
func (w *requestWorker) work() {
	n := w.requests
	w.requests++
	method, path := w.plan.method(n), w.plan.path(w.number, n)
	var body []byte
	if method != http.MethodGet {
		body = bytes.Repeat([]byte{byte(n)}, rand.IntN(3000))
	}
	began := time.Now()
	code, text, err := w.exchange(method, path, body)
	ended := time.Now()
	w.times = append(w.times, ended.Sub(began))
	fail := func(how string) {
		w.failures = append(w.failures, failedRequest{method + " " + path, how, began, ended})
	}
	switch {
	case err != nil:
		fail(kindOf(err))
		w.hangUp()
	case code != http.StatusOK:
		fail(fmt.Sprint(code, " ", strings.TrimSpace(text)))
	case text != answerTo(method, path, body):
		w.wrong = append(w.wrong, fmt.Sprintf("%s %s is answered %.100q", method, path, text))
	}
	if rand.IntN(100) == 0 {
		w.leave()
	}
}

func (w *requestWorker) exchange(method, path string, body []byte) (code int, text string, err error) {
	if w.conn == nil {
		if w.conn, err = net.Dial("tcp", w.load.address); err != nil {
			return 0, "", err
		}
		w.in = bufio.NewReader(w.conn)
	}
	_ = w.conn.SetDeadline(time.Now().Add(time.Minute)) // what hangs has failed
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: ledger.mesh\r\n", method, path)
	if method != http.MethodGet {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	pieces := []string{head + "\r\n" + string(body)}
	if rand.IntN(4) == 0 { // the body comes by itself
		pieces = []string{head + "\r\n", string(body)}
	}
	for _, piece := range pieces {
		if _, err := io.WriteString(w.conn, piece); err != nil {
			return 0, "", err
		}
	}
	answer, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err == nil && answer.Close {
		w.leave()
	}
	return answer.StatusCode, string(all), err
}

// leave ends the connection, on which nothing may come that was not asked for.
func (w *requestWorker) leave() {
	if w.conn == nil {
		return
	}
	err := w.conn.(*net.TCPConn).CloseWrite()
	if err == nil {
		var rest []byte
		if rest, err = io.ReadAll(w.in); len(rest) > 0 {
			w.wrong = append(w.wrong, fmt.Sprintf("after %d requests more came: %.100q", w.requests, rest))
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.wrong = append(w.wrong, fmt.Sprintf("after %d requests the connection ended with %v", w.requests, err))
	}
	w.hangUp()
}

func (w *requestWorker) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// runningRequests is a client of HTTP that goes on.
type runningRequests struct{ *running }

// startRequests starts a client in the unit web, whose plans have at least so many requests each.
func (h host) startRequests(t *testing.T, address string, least int, plans ...plan) runningRequests {
	t.Helper()
	args := []string{"requests", address, strconv.Itoa(least)}
	for _, p := range plans {
		args = append(args, p.String())
	}
	return runningRequests{h.startClient(t, args...)}
}

// end has the client come to its end, and returns what has come of each plan.
func (r runningRequests) end(t *testing.T) (reports []planReport) {
	t.Helper()
	r.stop.Close()
	r.report(t, &reports)
	for _, report := range reports {
		if len(report.Wrong) > 0 {
			t.Errorf("%d answers are wrong: %q", len(report.Wrong), report.Wrong[:min(len(report.Wrong), 10)])
		}
	}
	return reports
}
