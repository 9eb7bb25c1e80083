package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

// calls2 is an endpoint that answers the n-th call of all with the n-th status of gRPC, behind a message; a negative one with
// nothing else than its status.
func calls2(t testing.TB, statuses ...int) func(w http.ResponseWriter, r *http.Request) {
	next := make(chan int, len(statuses))
	for _, status := range statuses {
		next <- status
	}
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h := w.Header()
		h.Set("Content-Type", "application/grpc")
		status := <-next
		if status < 0 {
			h.Set("Grpc-Status", fmt.Sprint(-status))
			return
		}
		h.Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, "message")
		h.Set("Grpc-Status", fmt.Sprint(status))
	}
}

// call makes a call of gRPC and returns the status that it ends with.
func callGRPC(t testing.TB, c *http.Client) string {
	t.Helper()
	answer, err := c.Post("http://hello.mesh/a.B/C", "application/grpc", strings.NewReader("message"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 200 {
		t.Errorf("a call is answered with %d", answer.StatusCode)
	}
	return answer.Header.Get("Grpc-Status") + answer.Trailer.Get("Grpc-Status")
}

// TestOutliersOfGRPC wants endpoints to be ejected for statuses of gRPC that mean what a 5xx does, wherever these stand.
func TestOutliersOfGRPC(t *testing.T) {
	for _, test := range []struct {
		statuses []int
		ejected  bool
	}{
		{[]int{14, 14, 14}, true},
		{[]int{13, -14, 4}, true},
		{[]int{14, 14, 0, 14, 14}, false},
		{[]int{3, 5, 7, 16, 1, 8}, false},
	} {
		at, _ := site2(t, calls2(t, test.statuses...))
		r := newRig(t, nil)
		r.protocol = mesh.GRPC
		r.serve(func(c *mesh.Catalog) {
			c.Services[0].Outlier = &mesh.OutlierDetection{Consecutive5xx: 3, Enforce5xx: 100, Interval: time.Hour, BaseEjection: time.Hour, MaxEjected: 100}
		}, at)
		c := r.client(true)
		for range test.statuses {
			callGRPC(t, c)
		}
		r.inLoops(func(*loop) {})
		state := balance.Up
		if test.ejected {
			state = balance.Ejected
		}
		r.wantState(fmt.Sprint("after ", test.statuses), r.group().Endpoints()[0], state)
	}
}

// TestRetriesOfGRPC wants a call to be made again whose answer is a status and nothing else.
func TestRetriesOfGRPC(t *testing.T) {
	at, _ := site2(t, calls2(t, -14, -14, 0, -14, 14))
	r := newRig(t, nil)
	r.protocol = mesh.GRPC
	to := retrying(2, "unavailable")
	to.Service = "hello"
	r.serve(func(c *mesh.Catalog) {
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, at)
	c := r.client(true)
	for _, want := range []string{"0", "14"} {
		if got := callGRPC(t, c); got != want {
			t.Errorf("status %s, want %s", got, want)
		}
	}
}

// TestLocalAnswersToGRPC wants calls that reach no endpoint to end with a status of gRPC.
func TestLocalAnswersToGRPC(t *testing.T) {
	hangs := make(chan struct{})
	slow, _ := site2(t, func(_ http.ResponseWriter, r *http.Request) { <-hangs })
	defer close(hangs)
	r := newRig(t, nil)
	line := r.lines()
	c := r.client(true)
	check := func(want string, reason mesh.Reason) {
		t.Helper()
		if got := callGRPC(t, c); got != want {
			t.Errorf("%s: status %s, want %s", reason, got, want)
		}
		code := 0
		_, _ = fmt.Sscan(want, &code)
		r.wantLine(line(), map[string]any{"protocol": "HTTP/2", "code": 200, "grpc_status": code, "reason": string(reason)})
		r.wantMetric2(fmt.Sprintf(`meshd_requests_total{code="%s",destination="hello",protocol="grpc",reason="%s",source="web"} 1`, want, reason))
	}
	r.speaks(mesh.GRPC)
	check("14", mesh.ReasonNoEndpoint)
	r.speaks(mesh.GRPC, dead(t))
	check("14", mesh.ReasonConnectFailed)
	r.serve(func(c *mesh.Catalog) {
		c.Services[0].Rates = []mesh.RateLimit{{Per: mesh.PerSource, PerSecond: 1, Burst: 1}}
	}, dead(t))
	r.snapshots.Load().Services()[0].Limiter.Allow("web", time.Now().Add(time.Hour)) // and so there is none for an hour
	check("14", mesh.ReasonRateLimited)
	to := mesh.Destination{Service: "hello", RequestTimeout: time.Hour}
	r.serve(func(c *mesh.Catalog) {
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Destination: &to}}}}
	}, slow)
	done := make(chan struct{})
	go func() {
		r.eventually("a call is under way", func() bool { return r.group().Active() == 1 })
		r.later(2 * time.Hour)
		close(done)
	}()
	check("4", mesh.ReasonTimeout)
	<-done
}

// TestCallIsReset wants a client of HTTP/2 to be told the code by which an endpoint ends a call: with that of a deadline it knows
// what to make of it. One of HTTP/1 is answered with a status.
func TestCallIsReset(t *testing.T) {
	at := endpoint2(t, func(p *peer2) {
		for { // both calls come over one connection when their clients are of one loop
			var stream uint32
			if _, err := fmt.Sscanf(p.next(), "%d headers :method=POST", &stream); err != nil {
				return
			}
			_ = p.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
	})
	r := newRig(t, nil)
	r.speaks(mesh.GRPC, at)
	client := r.dial2()
	client.calls(1, true)
	client.wants("1 reset CANCEL")
	client.Close()
	r.wantEnd(mesh.ReasonDone)

	client1 := r.dial(virtual)
	response, _ := get(t, client1, bufio.NewReader(client1),
		"POST /a.B/C HTTP/1.1\r\nHost: hello.mesh\r\nContent-Type: application/grpc\r\nTE: trailers\r\n\r\n")
	if status := response.Header.Get("Grpc-Status"); status != "14" {
		t.Errorf("a client of HTTP/1 is told the status %q", status)
	}
	client1.Close()
	r.stopLinks()
}
