// Package limit bounds how many requests pass in a span of time.
//
// A decision takes no lock and allocates nothing; a source that is seen for the first time is all that costs more.
package limit

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Rate is how many requests pass. Its zero value is no limit.
type Rate struct {
	PerSecond int
	Burst     int // that may come at once; at least 1
}

// gap is what each request takes of the time.
func (r Rate) gap() time.Duration { return time.Second / time.Duration(r.PerSecond) }

// bucket holds as many tokens as a burst has, and gets a new one each gap. It is kept as the moment at which it is full again,
// in nanoseconds, which is the generic cell rate algorithm: its zero value is full.
type bucket struct{ full atomic.Int64 }

// take takes a token, if there is one.
func (b *bucket) take(r Rate, now int64) bool {
	gap := int64(r.gap())
	most := now + gap*int64(max(r.Burst, 1))
	for {
		full := b.full.Load()
		next := max(full, now) + gap
		if next > most {
			return false
		}
		if b.full.CompareAndSwap(full, next) {
			return true
		}
	}
}

// giveBack undoes one take.
func (b *bucket) giveBack(r Rate) { b.full.Add(-int64(r.gap())) }

// mostSources is how many sources have a bucket of their own at the same time. A host has a handful of identities, so who
// makes up more of them shares one bucket with all others that do.
const mostSources = 1024

// Limiter lets the requests to one service pass. It is safe for concurrent use; nil lets all pass.
type Limiter struct {
	service Rate
	source  Rate
	all     bucket
	since   time.Time // has a monotonic clock, by which the buckets count
	sources atomic.Pointer[map[string]*bucket]
	crowd   bucket     // of the sources that have none of their own
	mu      sync.Mutex // held by who replaces sources
}

// New returns the limiter of a service whose requests are limited together, for each source, or both; nil when they are not.
// It is the one before, with what that has counted, when that has the same limits.
func New(service, source Rate, previous *Limiter) *Limiter {
	switch {
	case service == Rate{} && source == Rate{}:
		return nil
	case previous != nil && previous.service == service && previous.source == source:
		return previous
	}
	l := &Limiter{service: service, source: source, since: time.Now().Add(-time.Hour)} // who asks may be behind a little
	l.sources.Store(&map[string]*bucket{})
	return l
}

// Allow says whether a request of that source may pass now, and counts it if so.
func (l *Limiter) Allow(source string, at time.Time) bool {
	if l == nil {
		return true
	}
	now := int64(at.Sub(l.since))
	var own *bucket
	if l.source.PerSecond > 0 {
		if own = l.bucket(source, now); !own.take(l.source, now) {
			return false
		}
	}
	if l.service.PerSecond > 0 && !l.all.take(l.service, now) {
		if own != nil {
			own.giveBack(l.source)
		}
		return false
	}
	return true
}

// bucket returns the bucket of a source.
func (l *Limiter) bucket(source string, now int64) *bucket {
	if b := (*l.sources.Load())[source]; b != nil {
		return b
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known := *l.sources.Load()
	if b := known[source]; b != nil {
		return b
	}
	grown := maps.Clone(known)
	if len(grown) >= mostSources { // a bucket that is full is as good as none
		maps.DeleteFunc(grown, func(_ string, b *bucket) bool { return b.full.Load() <= now })
	}
	if len(grown) >= mostSources {
		return &l.crowd
	}
	b := new(bucket)
	grown[source] = b
	l.sources.Store(&grown)
	return b
}
