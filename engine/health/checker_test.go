package health

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	check      = mesh.Check{Kind: mesh.CheckTCP, Interval: 5 * time.Second, Timeout: 2 * time.Second, Fall: 3, Rise: 2}
	errRefused = errors.New("connection refused")
)

// world is a service whose endpoints answer as they are told, in a bubble.
type world struct {
	*Checker
	group *balance.Group

	mu    sync.Mutex
	fails map[netip.AddrPort]error
	asked map[netip.AddrPort]int
	hangs bool
	most  int // checks at the same time
	now   int
}

func newWorld(t *testing.T, endpoints int) *world {
	w := &world{Checker: New(), fails: map[netip.AddrPort]error{}, asked: map[netip.AddrPort]int{}}
	w.Checker.ask = w.answer
	w.group = balance.New(balance.Config{Endpoints: addresses(endpoints)})
	t.Cleanup(w.Close)
	return w
}

func addresses(n int) []mesh.Endpoint {
	var es []mesh.Endpoint
	for i := range n {
		es = append(es, mesh.Endpoint{Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)})
	}
	return es
}

func (w *world) answer(ctx context.Context, t *Target) error {
	at := t.Endpoints[0].Address
	w.mu.Lock()
	w.asked[at]++
	w.now++
	w.most = max(w.most, w.now)
	err, hangs := w.fails[at], w.hangs
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.now--
		w.mu.Unlock()
	}()
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (w *world) fail(e *balance.Endpoint, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fails[e.Address] = err
}

func (w *world) times(e *balance.Endpoint) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[e.Address]
}

// targets are all endpoints of a group under a check.
func targets(check mesh.Check, groups ...*balance.Group) []Target {
	var all []Target
	for i := range groups[0].Endpoints() {
		t := Target{Service: "hello", Check: check}
		for _, g := range groups {
			t.Endpoints = append(t.Endpoints, g.Endpoints()[i])
		}
		all = append(all, t)
	}
	return all
}

func want(t *testing.T, when string, e *balance.Endpoint, state balance.State) {
	t.Helper()
	synctest.Wait()
	if got := e.Health().State; got != state {
		t.Errorf("%s: the endpoint is %s, want %s", when, got, state)
	}
}

func TestFallAndRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		sick, well := w.group.Endpoints()[0], w.group.Endpoints()[1]
		w.Set(targets(check, w.group))
		time.Sleep(check.Interval) // by now the first check has been
		synctest.Wait()
		if n := w.times(sick); n != 1 {
			t.Fatalf("%d checks in the first interval, want 1", n)
		}
		w.fail(sick, errRefused)
		time.Sleep(2 * check.Interval)
		want(t, "two checks failed", sick, balance.Up)
		w.fail(sick, nil)
		time.Sleep(check.Interval)
		w.fail(sick, errRefused)
		time.Sleep(2 * check.Interval)
		want(t, "a good check stood between", sick, balance.Up)
		time.Sleep(check.Interval)
		want(t, "three checks failed in a row", sick, balance.Down)
		want(t, "the other", well, balance.Up)
		if got := sick.Health().History[0].Reason; got != "its check fails: connection refused" {
			t.Errorf("reason %q", got)
		}
		w.fail(sick, nil)
		time.Sleep(check.Interval)
		want(t, "one check passed", sick, balance.Down)
		time.Sleep(check.Interval)
		want(t, "two checks passed", sick, balance.Up)
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.hangs = true
		once := check
		once.Fall = 1
		w.Set(targets(once, w.group))
		e := w.group.Endpoints()[0]
		time.Sleep(check.Interval + check.Timeout)
		want(t, "a check hung", e, balance.Down)
		if got := e.Health().History[0].Reason; got != "its check fails: no answer within 2s" {
			t.Errorf("reason %q", got)
		}
	})
}

func TestChecksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5*atOnce)
		w.hangs = true
		w.Set(targets(check, w.group))
		time.Sleep(time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.most != atOnce {
			t.Errorf("%d checks ran at the same time, want %d", w.most, atOnce)
		}
		if len(w.asked) != 5*atOnce {
			t.Errorf("%d endpoints were asked, want all", len(w.asked))
		}
	})
}

// TestReload keeps the state and the pace of endpoints that stay.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.Set(targets(check, w.group))
		w.fail(w.group.Endpoints()[0], errRefused)
		time.Sleep(2 * check.Interval)
		next := balance.New(balance.Config{Endpoints: addresses(3), Previous: w.group})
		w.Set(targets(check, next))
		time.Sleep(check.Interval)
		sick := next.Endpoints()[0]
		want(t, "two checks failed before the reload and one after it", sick, balance.Down)

		// A listener is new, and a check that asks something else.
		listener := balance.New(balance.Config{Endpoints: addresses(3)})
		other := check
		other.Interval = time.Second
		w.Set(targets(other, next, listener))
		want(t, "the check has changed", sick, balance.Down)
		want(t, "at the new listener", listener.Endpoints()[0], balance.Down)
		w.fail(sick, nil)
		time.Sleep(3 * other.Interval)
		want(t, "the new check passes", sick, balance.Up)
		want(t, "at the new listener", listener.Endpoints()[0], balance.Up)
	})
}

func TestCheckIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		e := w.group.Endpoints()[0]
		w.fail(e, errRefused)
		w.Set(targets(check, w.group))
		time.Sleep(4 * check.Interval)
		want(t, "checks fail", e, balance.Down)
		w.Set(nil)
		want(t, "nothing is checked", e, balance.Up)
		n := w.times(e)
		time.Sleep(time.Hour)
		if w.times(e) != n {
			t.Error("it is still asked")
		}
	})
}

func TestCloseDuringChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.hangs = true
		once := check
		once.Fall = 1
		w.Set(targets(once, w.group))
		time.Sleep(check.Interval)
		w.Close()
		for _, e := range w.group.Endpoints() {
			for _, transition := range e.Health().History {
				if transition.Reason == "its check fails: context canceled" {
					t.Error("the end of the checker was held against an endpoint")
				}
			}
		}
	})
}
