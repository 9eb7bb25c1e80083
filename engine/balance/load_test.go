package balance

import "testing"

// TestLoad wants all groups of a service to count as one, over a change of its endpoints.
func TestLoad(t *testing.T) {
	var load Load
	http := New(Config{Endpoints: equal(3), Load: &load})
	admin := New(Config{Endpoints: equal(2), Load: &load})
	part := http.Part(func(e *Endpoint) bool { return e.index == 0 }, nil)
	held := part.Pick(new(Tried))
	held.Acquire()
	admin.Pick(new(Tried)).Acquire()
	next := New(Config{Endpoints: equal(1), Previous: http})
	next.Pick(new(Tried)).Acquire()
	if n := next.Load().Connections(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	held.Release()
	if n := part.Load().Connections(); n != 2 {
		t.Errorf("%d connections after one has ended, want 2", n)
	}
}

func TestLoadLimits(t *testing.T) {
	var l Load
	for _, x := range []struct {
		what  string
		begin func(int64) bool
		end   func()
		count func() int64
	}{
		{"requests", l.BeginRequest, l.EndRequest, l.Requests}, {"pending", l.BeginPending, l.EndPending, l.Pending},
	} {
		if !x.begin(2) || !x.begin(2) || x.begin(2) {
			t.Errorf("%s: two are not the limit", x.what)
		}
		if !x.begin(0) || x.count() != 3 {
			t.Errorf("%s: without a limit one is refused, or not counted", x.what)
		}
		x.end()
		x.end()
		if !x.begin(2) || x.count() != 2 {
			t.Errorf("%s: what has ended does not make room", x.what)
		}
	}
}
