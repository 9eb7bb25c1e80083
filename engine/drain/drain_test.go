package drain

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDrainOfNobodyEndsAtOnce(t *testing.T) {
	d := New(func() { t.Error("forced though nobody held") })
	if err := d.Drain(t.Context()); err != nil {
		t.Errorf("drain: %v", err)
	}
	if d.Hold() {
		t.Error("hold succeeded after a drain")
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Errorf("second drain: %v", err)
	}
}

func TestDrainWaitsForHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(func() { t.Error("forced though the holders went by themselves") })
		if !d.Hold() || !d.Hold() {
			t.Fatal("hold was refused before a drain")
		}
		var drained atomic.Bool
		go func() {
			if err := d.Drain(t.Context()); err != nil {
				t.Errorf("drain: %v", err)
			}
			drained.Store(true)
		}()
		synctest.Wait()
		if d.Hold() {
			t.Error("hold succeeded during a drain")
		}
		d.Release()
		synctest.Wait()
		if drained.Load() {
			t.Error("drain ended while there was a holder")
		}
		d.Release()
		synctest.Wait()
		if !drained.Load() {
			t.Error("drain did not end with the last holder")
		}
	})
}

func TestDrainForcesWhenPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *Drainer
		d = New(func() { d.Release() })
		d.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := d.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain: %v, want the deadline", err)
		}
	})
}

func TestHoldersComeAndGoDuringDrain(t *testing.T) {
	d := New(func() {})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for d.Hold() {
				d.Release()
			}
		})
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Errorf("drain: %v", err)
	}
	wg.Wait()
}
