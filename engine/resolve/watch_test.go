package resolve

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	one      = netip.MustParseAddr("10.9.0.1")
	two      = netip.MustParseAddr("10.9.0.2")
	six      = netip.MustParseAddr("fd00::1")
	errBroke = errors.New("server failure")
)

func found(ttl time.Duration, addresses ...netip.Addr) answer {
	return answer{addresses: addresses, ttl: ttl}
}

// script answers each lookup of a name with the next result, and goes on with the last.
type script struct {
	results []result
	at      []time.Duration // of each lookup since the first
	began   time.Time
}

func (s *script) lookup(context.Context, string) result {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	s.at = append(s.at, time.Since(s.began))
	return s.results[min(len(s.at), len(s.results))-1]
}

func TestWatchFollowsTTL(t *testing.T) {
	tests := []struct {
		about string
		ttl   time.Duration
		want  time.Duration
	}{
		{"ttl", 30 * time.Second, 30 * time.Second},
		{"zero", 0, time.Second},
		{"a week", 7 * 24 * time.Hour, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{results: []result{{found(tt.ttl, one), {}}}}
				r := New(Config{})
				r.lookup = s.lookup
				r.Watch([]string{"db.example.com"})
				time.Sleep(2*tt.want + tt.want/2)
				r.Close()
				if want := []time.Duration{0, tt.want, 2 * tt.want}; !slices.Equal(s.at, want) {
					t.Errorf("looked up at %v, want %v", s.at, want)
				}
			})
		})
	}
}

// TestWatchBacksOff checks that a name which fails is asked for ever less often, and never less than once a minute.
func TestWatchBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: []result{{answer{err: errBroke}, answer{err: errBroke}}}}
		r := New(Config{})
		r.lookup = s.lookup
		r.Watch([]string{"db.example.com"})
		time.Sleep(10 * time.Minute)
		r.Close()
		for i := range s.at[1:] {
			pause := s.at[i+1] - s.at[i]
			most := min(time.Second<<min(i, 10), time.Minute)
			if pause < most/2 || pause > most {
				t.Errorf("pause %d is %s, want from %s to %s", i, pause, most/2, most)
			}
		}
		if len(s.at) < 14 {
			t.Errorf("looked up %d times in ten minutes", len(s.at))
		}
	})
}

func TestWatchLearns(t *testing.T) {
	tests := []struct {
		about   string
		results []result
		want    []netip.Addr
		changes int32
		fails   bool
	}{
		{"both families, sorted", []result{{found(1, two, one, two), found(1, six)}}, []netip.Addr{one, two, six}, 1, false},
		{"one family exists", []result{{answer{}, found(1, six)}}, []netip.Addr{six}, 1, false},
		{"same again", []result{{found(1, one), {}}, {found(1, one), {}}}, []netip.Addr{one}, 1, false},
		{"moved", []result{{found(1, one), {}}, {found(1, two), {}}}, []netip.Addr{two}, 2, false},
		{"family gone", []result{{found(1, one), found(1, six)}, {found(1, one), {}}}, []netip.Addr{one}, 2, false},
		{"family not known", []result{{found(1, one), found(1, six)}, {found(1, two), {err: errBroke}}}, []netip.Addr{two, six}, 2, false},
		{"server fails", []result{{found(1, one), {}}, {{err: errBroke}, {err: errBroke}}}, []netip.Addr{one}, 1, true},
		{"name gone", []result{{found(1, one), {}}, {{err: errNoName}, {err: errNoName}}}, []netip.Addr{one}, 1, true},
		{"no address left", []result{{found(1, one), {}}, {}}, []netip.Addr{one}, 1, true},
		{"back again", []result{{found(1, one), {}}, {}, {found(1, two), {}}}, []netip.Addr{two}, 2, false},
		{"never", []result{{{err: errBroke}, {}}}, nil, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var changes atomic.Int32
				s := &script{results: tt.results}
				r := New(Config{Changed: func() { changes.Add(1) }})
				defer r.Close()
				r.lookup = s.lookup
				r.Watch([]string{"db.example.com"})
				r.Settle(t.Context())
				time.Sleep(time.Duration(len(tt.results)) * time.Minute)
				if got := r.Addresses()["db.example.com"]; !slices.Equal(got, tt.want) {
					t.Errorf("addresses are %v, want %v", got, tt.want)
				}
				if n := changes.Load(); n != tt.changes {
					t.Errorf("%d changes, want %d", n, tt.changes)
				}
				if failures := r.Failures(); (len(failures) == 1) != tt.fails || tt.fails && failures[0].Kept != len(tt.want) {
					t.Errorf("failures are %v, want any: %v", failures, tt.fails)
				}
			})
		})
	}
}

func TestWatchBoundsAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []netip.Addr
		for a := one; len(many) < 2*MaxAddresses; a = a.Next() {
			many = append(many, a)
		}
		r := New(Config{})
		defer r.Close()
		r.lookup = func(context.Context, string) result { return result{found(1, many...), found(1, six)} }
		r.Watch([]string{"db.example.com"})
		r.Settle(t.Context())
		if got := r.Addresses()["db.example.com"]; !slices.Equal(got, many[:MaxAddresses]) {
			t.Errorf("keeps %d addresses, want the first %d", len(got), MaxAddresses)
		}
	})
}

// TestWatchReplaces checks that names which stay keep their addresses, and names that go are not asked for again.
func TestWatchReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan string, 100)
		r := New(Config{})
		r.lookup = func(_ context.Context, name string) result {
			asked <- name
			return result{found(time.Hour, one), {}}
		}
		r.Watch([]string{"a.example.com", "b.example.com"})
		r.Settle(t.Context())
		r.Watch([]string{"b.example.com", "c.example.com"})
		r.Settle(t.Context())
		want := map[string][]netip.Addr{"b.example.com": {one}, "c.example.com": {one}}
		if got := r.Addresses(); !reflect.DeepEqual(got, want) {
			t.Errorf("addresses are %v, want %v", got, want)
		}
		time.Sleep(90 * time.Minute)
		r.Close()
		close(asked)
		counts := map[string]int{}
		for name := range asked {
			counts[name]++
		}
		if want := map[string]int{"a.example.com": 1, "b.example.com": 2, "c.example.com": 2}; !reflect.DeepEqual(counts, want) {
			t.Errorf("looked up %v, want %v", counts, want)
		}
	})
}

// TestLookupsAreBounded checks how many names are asked for at a time, and that none is forgotten.
func TestLookupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		r := New(Config{})
		r.lookup = func(ctx context.Context, _ string) result {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return result{found(time.Hour, one), {}}
		}
		var names []string
		for i := range 3 * maxLookups {
			names = append(names, "n"+string(rune('0'+i))+".example.com")
		}
		r.Watch(names)
		early, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		r.Settle(early)
		if n := len(r.Addresses()); n != maxLookups {
			t.Errorf("%d names are found after a second and a half, want %d", n, maxLookups)
		}
		r.Settle(t.Context())
		if n := len(r.Addresses()); n != len(names) || most.Load() != maxLookups {
			t.Errorf("%d names found, %d at a time; want %d, %d", n, most.Load(), len(names), maxLookups)
		}
		r.Close()
	})
}

// TestCloseInterrupts checks that Close does not wait for an answer.
func TestCloseInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Config{})
		r.lookup = func(ctx context.Context, _ string) result {
			<-ctx.Done()
			return result{{err: ctx.Err()}, {err: ctx.Err()}}
		}
		r.Watch([]string{"db.example.com"})
		synctest.Wait()
		r.Close()
		if failures := r.Failures(); len(failures) > 0 {
			t.Errorf("failures %v after the end", failures)
		}
	})
}

func TestRecalledAddressesServeUntilTheNameIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: []result{{answer{err: errBroke}, answer{err: errBroke}}, {found(time.Minute, two), {}}}}
		r := New(Config{})
		r.lookup = s.lookup
		r.Recall(map[string][]netip.Addr{"db.example": {six, one, {}}})
		r.Watch([]string{"db.example"})
		defer r.Close()
		began := time.Now()
		r.Settle(t.Context())
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited %v for a name that has addresses", waited)
		}
		if got, want := r.Addresses()["db.example"], []netip.Addr{one, six}; !slices.Equal(got, want) {
			t.Errorf("before: %v, want %v", got, want)
		}
		synctest.Wait()
		if f := r.Failures(); len(f) != 1 || f[0].Kept != 2 {
			t.Errorf("failures %v", f)
		}
		time.Sleep(maxIdle)
		synctest.Wait()
		if got, want := r.Addresses()["db.example"], []netip.Addr{two}; !slices.Equal(got, want) {
			t.Errorf("after: %v, want %v", got, want)
		}
		r.Watch(nil)
		r.Watch([]string{"db.example"})
		if got := r.Addresses()["db.example"]; got != nil {
			t.Errorf("recalled twice: %v", got)
		}
	})
}

func TestRetryIsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{results: []result{{answer{err: errBroke}, answer{err: errBroke}}}}
		r := New(Config{})
		r.lookup = s.lookup
		r.Watch([]string{"db.example"})
		defer r.Close()
		time.Sleep(10 * maxIdle)
		synctest.Wait()
		s.results = []result{{found(time.Hour, one), {}}}
		r.Retry()
		synctest.Wait()
		if got := r.Addresses()["db.example"]; !slices.Equal(got, []netip.Addr{one}) {
			t.Errorf("addresses %v right after the retry", got)
		}
		lookups := len(s.at)
		r.Retry()
		synctest.Wait()
		if len(s.at) != lookups {
			t.Error("a name that was found was looked up again")
		}
	})
}
