package observe

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshd/meshd/engine/mesh"
)

// maxPairs bounds the memory that metrics of connections take and the size of the page that shows them.
const maxPairs = 4096

// The labels of what has no name, and of what came after maxPairs pairs.
const (
	labelUnknown = "unknown"
	labelOther   = "other"
)

// pair is who talks to whom.
type pair struct{ source, destination string }

// Connections counts the connections from one source to one destination.
//
// Its methods neither lock nor allocate, so that they can be called for every piece of data that is copied.
type Connections struct {
	live atomic.Int64 // as open, which can not be read back

	opened         prometheus.Counter
	open           prometheus.Gauge
	closed         map[mesh.Reason]prometheus.Counter // every reason; never written after creation
	sent, received prometheus.Counter
	connectFailed  prometheus.Counter
	duration       prometheus.Observer

	requests requests
}

// Connections returns the counters of the connections from source to destination; an empty name is shown as
// "unknown". All pairs beyond the 4096th share one set of counters, whose source and destination are "other".
//
// It does not lock when the pair is known. A caller keeps what it got for the life of one connection, not longer,
// so that Forget can drop counters that no connection uses.
func (m *Metrics) Connections(source, destination string) *Connections {
	if source == "" {
		source = labelUnknown
	}
	if destination == "" {
		destination = labelUnknown
	}
	if c, ok := (*m.pairs.Load())[pair{source, destination}]; ok {
		return c
	}
	return m.addPair(pair{source, destination})
}

func (m *Metrics) addPair(p pair) *Connections {
	m.pairsMu.Lock()
	defer m.pairsMu.Unlock()
	known := *m.pairs.Load()
	if c, ok := known[p]; ok {
		return c
	}
	if len(known) >= maxPairs {
		p = pair{labelOther, labelOther}
		if c, ok := known[p]; ok {
			return c
		}
	}
	c := m.newConnections(p)
	grown := maps.Clone(known)
	grown[p] = c
	m.pairs.Store(&grown)
	return c
}

// newConnections resolves all series of a pair, so that they exist, as 0, before the first connection ends:
// a rate that starts at 1 is not seen.
func (m *Metrics) newConnections(p pair) *Connections {
	c := &Connections{
		opened:        m.opened.WithLabelValues(p.source, p.destination),
		open:          m.open.WithLabelValues(p.source, p.destination),
		closed:        make(map[mesh.Reason]prometheus.Counter),
		sent:          m.bytes.WithLabelValues(p.source, p.destination, "sent"),
		received:      m.bytes.WithLabelValues(p.source, p.destination, "received"),
		connectFailed: m.connectFailures.WithLabelValues(p.destination),
		duration:      m.duration.WithLabelValues(p.destination),
		requests:      requests{metrics: &m.requests, pair: p},
	}
	for _, reason := range mesh.Reasons() {
		c.closed[reason] = m.closed.WithLabelValues(p.source, p.destination, string(reason))
	}
	return c
}

// Open counts a connection that began.
func (c *Connections) Open() {
	c.live.Add(1)
	c.opened.Inc()
	c.open.Inc()
}

// Close counts a connection that ended after d. A reason outside of the closed list counts as internal.
func (c *Connections) Close(reason mesh.Reason, d time.Duration) {
	closed, ok := c.closed[reason]
	if !ok {
		closed = c.closed[mesh.ReasonInternal]
	}
	closed.Inc()
	c.duration.Observe(d.Seconds())
	c.open.Dec()
	c.live.Add(-1)
}

// Sent counts bytes from the source to the destination.
func (c *Connections) Sent(n int) { c.sent.Add(float64(n)) }

// Received counts bytes from the destination to the source.
func (c *Connections) Received(n int) { c.received.Add(float64(n)) }

// ConnectFailed counts a connect to one endpoint of the destination that failed.
func (c *Connections) ConnectFailed() { c.connectFailed.Inc() }

// Forget drops the series of destinations that kept does not want, unless a connection to them is open.
//
// A connection that begins while its destination is dropped may count into series that nobody sees any more.
func (m *Metrics) Forget(kept func(destination string) bool) {
	m.pairsMu.Lock()
	defer m.pairsMu.Unlock()
	left := make(map[pair]*Connections)
	destinations := map[string]bool{labelUnknown: true, labelOther: true} // true: some pair of it is left
	for p, c := range *m.pairs.Load() {
		keep := p.destination == labelUnknown || p.destination == labelOther ||
			kept(p.destination) || c.live.Load() > 0
		destinations[p.destination] = destinations[p.destination] || keep
		if keep {
			left[p] = c
		}
	}
	// The pairs go first: who asks for one from now on waits for the lock, and gets new series.
	gone := *m.pairs.Swap(&left)
	for p := range gone {
		if _, ok := left[p]; !ok {
			m.deletePair(p)
		}
	}
	for destination, used := range destinations {
		if !used {
			m.connectFailures.DeleteLabelValues(destination)
			m.duration.DeleteLabelValues(destination)
			m.mirrored.DeletePartialMatch(prometheus.Labels{"destination": destination})
		}
	}
}

func (m *Metrics) deletePair(p pair) {
	m.opened.DeleteLabelValues(p.source, p.destination)
	m.open.DeleteLabelValues(p.source, p.destination)
	m.requests.forget(p)
	for _, direction := range []string{"sent", "received"} {
		m.bytes.DeleteLabelValues(p.source, p.destination, direction)
	}
	for _, reason := range mesh.Reasons() {
		m.closed.DeleteLabelValues(p.source, p.destination, string(reason))
	}
}
