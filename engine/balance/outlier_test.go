package balance

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// envoy is what outlier detection is when only its block is written.
func envoy() mesh.OutlierDetection {
	return mesh.OutlierDetection{
		Consecutive5xx: 5, ConsecutiveGateway: 5, ConsecutiveLocal: 5, Enforce5xx: 100, EnforceLocal: 100,
		Interval: 10 * time.Second, BaseEjection: 30 * time.Second, MaxEjection: 300 * time.Second, MaxEjected: 10,
		SuccessRate: mesh.Statistics{MinHosts: 5, MinVolume: 100, Enforce: 100}, SuccessFactor: 1900,
		FailurePercentage: mesh.Statistics{MinHosts: 5, MinVolume: 50}, FailureThreshold: 85,
	}
}

func outliers(n int, change func(*mesh.OutlierDetection)) *Group {
	o := envoy()
	if change != nil {
		change(&o)
	}
	return New(Config{Endpoints: equal(n), Outlier: &o})
}

// answer has an endpoint answer n requests.
func answer(e *Endpoint, code, n int) {
	for range n {
		e.Status(code, time.Now())
	}
}

func wantState(t *testing.T, when string, e *Endpoint, want State) {
	t.Helper()
	if got := e.Health().State; got != want {
		t.Errorf("%s: the endpoint is %s, want %s", when, got, want)
	}
}

func TestConsecutive5xx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := outliers(3, nil)
		e := g.Endpoints()[0]
		answer(e, 500, 4)
		answer(e, 404, 1)
		answer(e, 503, 4)
		wantState(t, "four in a row", e, Up)
		answer(e, 500, 1)
		wantState(t, "five in a row", e, Ejected)
		if got := e.Health().History[0].Reason; got != "5 requests fail in a row, the last one by the answer 500" {
			t.Errorf("reason %q", got)
		}
		time.Sleep(30 * time.Second)
		wantState(t, "after 30 s", e, Up)
		answer(e, 500, 4)
		wantState(t, "four in a row, after it has begun afresh", e, Up)
		answer(e, 500, 1)
		time.Sleep(59 * time.Second)
		wantState(t, "59 s after it was ejected again", e, Ejected)
		time.Sleep(time.Second)
		wantState(t, "60 s after it was ejected again", e, Up)
		time.Sleep(2 * 10 * time.Second) // each interval without forgets one
		answer(e, 500, 5)
		time.Sleep(30 * time.Second)
		wantState(t, "30 s after its ejections were forgotten", e, Up)
	})
}

// TestWithoutOutlierDetection wants what endpoints answer to have no effect where nobody has asked for it.
func TestWithoutOutlierDetection(t *testing.T) {
	g := New(Config{Endpoints: equal(3)})
	answer(g.Endpoints()[0], 500, 100)
	wantState(t, "500 is what the service says", g.Endpoints()[0], Up)
}

func TestMaxEjected(t *testing.T) {
	for _, c := range []struct{ endpoints, percent, want int }{
		{1, 10, 1}, {3, 10, 1}, {20, 10, 2}, {4, 50, 2}, {4, 100, 4}, {3, 0, 1},
	} {
		g := outliers(c.endpoints, func(o *mesh.OutlierDetection) { o.MaxEjected = c.percent })
		n := 0
		for _, e := range g.Endpoints() {
			answer(e, 500, 5)
			if e.Health().State == Ejected {
				n++
			}
		}
		if n != c.want {
			t.Errorf("of %d endpoints %d are ejected, want %d at %d%%", c.endpoints, n, c.want, c.percent)
		}
	}
}

func TestGatewayFailures(t *testing.T) {
	g := outliers(3, func(o *mesh.OutlierDetection) { o.Enforce5xx, o.EnforceGateway, o.ConsecutiveGateway = 0, 100, 2 })
	e := g.Endpoints()[0]
	answer(e, 500, 10)
	answer(e, 502, 1)
	answer(e, 500, 1)
	answer(e, 504, 1)
	wantState(t, "one in a row", e, Up)
	answer(e, 503, 1)
	wantState(t, "two in a row", e, Ejected)
}

// TestLocalFailures wants failures of connections to count as 503, or apart.
func TestLocalFailures(t *testing.T) {
	e := outliers(3, nil).Endpoints()[0]
	answer(e, 500, 3)
	e.Fail(time.Now(), errRefused)
	e.Connect()
	wantState(t, "four failures", e, Up)
	e.Reset(time.Now())
	wantState(t, "five failures", e, Ejected)

	split := outliers(3, func(o *mesh.OutlierDetection) { o.SplitLocal, o.ConsecutiveLocal = true, 2 })
	e = split.Endpoints()[0]
	answer(e, 500, 4)
	e.Fail(time.Now(), errRefused)
	wantState(t, "one failure of a connection", e, Up)
	e.Deliver()
	e.Reset(time.Now())
	wantState(t, "another after it has worked", e, Up)
	e.Fail(time.Now(), errRefused)
	wantState(t, "two failures of connections in a row", e, Ejected)
	if got := e.Health().History[0].Reason; !strings.HasSuffix(got, "connection refused") {
		t.Errorf("reason %q", got)
	}
}

// TestUnread has connections of which nobody reads what they bring.
func TestUnread(t *testing.T) {
	o := envoy()
	e := New(Config{Endpoints: equal(3), Outlier: &o, Unread: true}).Endpoints()[0]
	fail(e, 4)
	e.Connect()
	e.Deliver()
	fail(e, 4)
	wantState(t, "a connection worked between", e, Up)
	fail(e, 1)
	wantState(t, "five failed in a row", e, Ejected)
}

// TestSuccessRate wants the endpoint to be ejected that does worse than the others, though it never fails often in a row.
func TestSuccessRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := outliers(6, nil)
		round := func(bad int) {
			for i, e := range g.Endpoints() {
				for n := range 100 {
					code := 200
					if i == bad && n%2 == 0 {
						code = 500
					}
					e.Status(code, time.Now())
				}
			}
		}
		g.Endpoints()[0].Status(200, time.Now()) // the first interval begins
		round(3)
		wantState(t, "in the interval", g.Endpoints()[3], Up)
		time.Sleep(10 * time.Second)
		g.Endpoints()[0].Status(200, time.Now())
		wantState(t, "after the interval", g.Endpoints()[3], Ejected)
		if got := g.Endpoints()[3].Health().History[0].Reason; got != "50.0% of its requests succeed, of all endpoints' 91.7%" {
			t.Errorf("reason %q", got)
		}
		round(-1)
		time.Sleep(time.Hour)
		g.Endpoints()[0].Status(200, time.Now())
		for i, e := range g.Endpoints() {
			wantState(t, "all do well", e, Up)
			if i != 3 && len(e.Health().History) > 0 {
				t.Errorf("endpoint %d was ejected too: %+v", i, e.Health().History)
			}
		}
	})
}

// TestTooFewForStatistics wants nobody to be judged by what is too little.
func TestTooFewForStatistics(t *testing.T) {
	for name, c := range map[string]struct{ endpoints, requests int }{"endpoints": {4, 1000}, "requests": {6, 99}} {
		synctest.Test(t, func(t *testing.T) {
			g := outliers(c.endpoints, func(o *mesh.OutlierDetection) { o.Enforce5xx = 0 })
			answer(g.Endpoints()[0], 500, 1)
			for i, e := range g.Endpoints() {
				answer(e, map[bool]int{true: 500, false: 200}[i == 1], c.requests)
			}
			time.Sleep(10 * time.Second)
			answer(g.Endpoints()[0], 200, 1)
			wantState(t, "too few "+name, g.Endpoints()[1], Up)
		})
	}
}

func TestFailurePercentage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := outliers(5, func(o *mesh.OutlierDetection) {
			o.Enforce5xx, o.SuccessRate.Enforce, o.FailurePercentage.Enforce, o.MaxEjected = 0, 0, 100, 100
		})
		part := g.Part(func(e *Endpoint) bool { return e.index == 0 }, nil) // where the interval is found to be over
		part.Endpoints()[0].Status(200, time.Now())
		for i, e := range g.Endpoints() {
			answer(e, 500, []int{84, 85, 100, 0, 0}[i])
			answer(e, 200, []int{16, 15, 0, 100, 100}[i])
		}
		time.Sleep(10 * time.Second)
		part.Endpoints()[0].Status(200, time.Now())
		for i, e := range g.Endpoints() {
			want := Up
			if i == 1 || i == 2 {
				want = Ejected
			}
			wantState(t, "after the interval", e, want)
		}
	})
}

func TestStatusDoesNotAllocate(t *testing.T) {
	e := outliers(3, func(o *mesh.OutlierDetection) { o.Enforce5xx = 0 }).Endpoints()[0]
	now := time.Now()
	allocs := testing.AllocsPerRun(1000, func() {
		e.Status(200, now)
		e.Status(503, now)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
