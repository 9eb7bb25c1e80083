package dns

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// hold enters l with n queries that leave as soon as they are shed, or at the end of the test.
func hold(t *testing.T, l *lane, n int) {
	t.Helper()
	for range n {
		ctx, leave, ok := l.enter(t.Context())
		if !ok {
			t.Fatal("a query was refused, want an older one shed")
		}
		context.AfterFunc(ctx, leave)
	}
}

func TestLaneLeavesRoomForOthers(t *testing.T) {
	r := &room{free: 16}
	dead, living := &lane{room: r}, &lane{room: r}
	hold(t, dead, 100)
	if n := dead.waiting.Len(); n != 8 {
		t.Errorf("alone a lane gets %d of 16, want 8", n)
	}
	hold(t, living, 100)
	if n := living.waiting.Len(); n != 4 {
		t.Errorf("the second lane gets %d of the 8 that are left, want 4", n)
	}
	if n := dead.waiting.Len(); n != 8 || r.free != 4 {
		t.Errorf("the second lane has left %d to the first and %d free, want 8 and 4", n, r.free)
	}
}

func TestLaneShedsOldest(t *testing.T) {
	l := &lane{room: &room{free: 4}}
	first, leaveFirst, _ := l.enter(t.Context())
	second, leaveSecond, _ := l.enter(t.Context())
	context.AfterFunc(first, leaveFirst)
	third, leaveThird, ok := l.enter(t.Context())
	if !ok || !wasShed(first) || wasShed(second) || wasShed(third) {
		t.Errorf("shed: first %v, second %v, third %v; want the first", wasShed(first), wasShed(second), wasShed(third))
	}
	for _, leave := range []func(){leaveFirst, leaveSecond, leaveThird, leaveThird} {
		leave()
	}
	if l.room.free != 4 {
		t.Errorf("%d places are free at the end, want 4", l.room.free)
	}
}

func TestLaneOfNone(t *testing.T) {
	r := &room{free: 1}
	hold(t, &lane{room: r}, 2)
	if _, _, ok := (&lane{room: r}).enter(t.Context()); ok {
		t.Error("a query got a place although another lane holds the whole room")
	}
}

// A place is not held twice even while it passes from one query to another.
func TestLaneIsBounded(t *testing.T) {
	const size, clients, queries = 8, 16, 200
	l := &lane{room: &room{free: 2 * size}}
	var now atomic.Int64
	var entering, ending sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range clients {
		entering.Go(func() {
			for range queries {
				ctx, leave, ok := l.enter(ctx)
				if !ok {
					t.Error("a query was refused, want an older one shed")
					return
				}
				if n := now.Add(1); n > size {
					t.Errorf("%d queries hold a place, want at most %d", n, size)
				}
				ending.Go(func() {
					<-ctx.Done()
					now.Add(-1)
					leave()
				})
			}
		})
	}
	entering.Wait()
	cancel()
	ending.Wait()
	if l.room.free != 2*size || l.waiting.Len() != 0 {
		t.Errorf("%d places are free and %d held at the end, want %d and none", l.room.free, l.waiting.Len(), 2*size)
	}
}
