package limit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// passed returns how many of n requests that come at once pass.
func passed(l *Limiter, source string, at time.Time, n int) int {
	passed := 0
	for range n {
		if l.Allow(source, at) {
			passed++
		}
	}
	return passed
}

func TestBurstAndRate(t *testing.T) {
	l := New(Rate{PerSecond: 10, Burst: 5}, Rate{}, nil)
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  int
	}{
		{0, 5},                      // it begins full
		{99 * time.Millisecond, 0},  // nearly the next token
		{1 * time.Millisecond, 1},   // it
		{250 * time.Millisecond, 2}, // and a half
		{50 * time.Millisecond, 1},  // the other half
		{time.Hour, 5},              // no more than a burst is saved up
	} {
		now = now.Add(step.after)
		if got := passed(l, "web", now, 20); got != step.want {
			t.Errorf("%s later %d pass, want %d", step.after, got, step.want)
		}
	}
}

// TestPerSource wants each source to have its own, and what one wastes not to be missed by another.
func TestPerSource(t *testing.T) {
	l := New(Rate{PerSecond: 1, Burst: 7}, Rate{PerSecond: 1, Burst: 4}, nil)
	now := time.Now()
	for _, step := range []struct {
		source string
		want   int
	}{{"flood", 4}, {"quiet", 3}, {"flood", 0}} {
		if got := passed(l, step.source, now, 10); got != step.want {
			t.Errorf("%d of %s pass, want %d", got, step.source, step.want)
		}
	}
	// quiet was refused for want of tokens of the service, which must not have cost it any of its own: one is left, and two
	// come in two seconds.
	if got := passed(l, "quiet", now.Add(2*time.Second), 10); got != 2 {
		t.Errorf("%d of quiet pass later, want the 2 that the service has", got)
	}
}

func TestUnlimited(t *testing.T) {
	l := New(Rate{}, Rate{}, nil)
	if l != nil || !l.Allow("web", time.Now()) {
		t.Error("what has no limit is limited")
	}
}

// TestReload wants what has been counted to stay when the limits do.
func TestReload(t *testing.T) {
	rate, now := Rate{PerSecond: 1, Burst: 2}, time.Now()
	l := New(Rate{}, rate, nil)
	passed(l, "web", now, 2)
	if l = New(Rate{}, rate, l); l.Allow("web", now) {
		t.Error("a reload without a change fills the bucket")
	}
	if l = New(Rate{}, Rate{PerSecond: 1, Burst: 3}, l); passed(l, "web", now, 5) != 3 {
		t.Error("other limits do not begin afresh")
	}
}

// TestManySources wants the memory to be bounded, and sources that say nothing any more to make room for others.
func TestManySources(t *testing.T) {
	l := New(Rate{}, Rate{PerSecond: 1, Burst: 1}, nil)
	now := time.Now()
	for i := range mostSources {
		if !l.Allow(fmt.Sprint(i), now) {
			t.Fatalf("source %d has no token", i)
		}
	}
	if !l.Allow("one more", now) || l.Allow("yet one more", now) {
		t.Error("those beyond the bound do not share one bucket")
	}
	now = now.Add(2 * time.Second)
	if !l.Allow("one more", now) || !l.Allow("yet one more", now) {
		t.Error("there is no room, though all others are idle")
	}
	if got := len(*l.sources.Load()); got != 2 {
		t.Errorf("%d sources are remembered, want 2", got)
	}
}

// TestConcurrent wants exactly the burst to pass however many ask at once.
func TestConcurrent(t *testing.T) {
	l := New(Rate{PerSecond: 1, Burst: 1000}, Rate{PerSecond: 1, Burst: 300}, nil)
	now := time.Now()
	var count [4]atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { count[i%4].Add(int64(passed(l, fmt.Sprint(i%4), now, 500))) })
	}
	wg.Wait()
	var sum int64
	for i := range count {
		sum += count[i].Load()
		if n := count[i].Load(); n > 300 {
			t.Errorf("%d of source %d passed, want 300 at most", n, i)
		}
	}
	if sum != 1000 {
		t.Errorf("%d passed, want 1000", sum)
	}
}

func TestAllowDoesNotAllocate(t *testing.T) {
	l := New(Rate{PerSecond: 1000, Burst: 10}, Rate{PerSecond: 100, Burst: 10}, nil)
	now := time.Now()
	l.Allow("web", now)
	allocs := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		l.Allow("web", now)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
