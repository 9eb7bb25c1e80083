package observe

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshd/meshd/engine/mesh"
)

// requestBuckets, in seconds, span a cached page and a long poll.
var requestBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}

// sizeBuckets, in bytes, span a head without a body and the image of a disk.
var sizeBuckets = []float64{1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 24, 1 << 28}

// Protocol is what a client speaks.
type Protocol uint8

// The protocols of requests.
const (
	HTTP1 Protocol = iota
	HTTP2
	GRPC
	protocols
)

var protocolLabels = [protocols]string{HTTP1: "http", HTTP2: "http2", GRPC: "grpc"}

// Request is a request that has ended.
type Request struct {
	Protocol       Protocol
	Code           int         // of the answer; of gRPC, the status of gRPC; 0: none
	Reason         mesh.Reason // done when the endpoint has answered, or a route has by itself
	Duration       time.Duration
	Sent, Received uint64 // bytes, with the heads, as the source sees them
}

// PoolEvent is what becomes of connections to endpoints that carry one request after the other.
type PoolEvent uint8

// The events of pools.
const (
	Reused   PoolEvent = iota // a request took one that was there
	Dialled                   // a request needed a new one
	Repeated                  // the endpoint had closed the one that a request took, so it was sent again
	PoolFull                  // one was closed after its request, because enough were idle
	poolEvents
)

var poolLabels = [poolEvents]string{Reused: "reused", Dialled: "dialled", Repeated: "repeated", PoolFull: "full"}

// requestMetrics are those of all requests.
type requestMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	sent     *prometheus.HistogramVec
	received *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	pool     *prometheus.CounterVec
}

func newRequestMetrics() requestMetrics {
	histograms := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets},
			[]string{"source", "destination", "protocol"})
	}
	return requestMetrics{
		total: counters("requests_total",
			"Requests that ended: answered by the endpoint when the reason is done, else by meshd or not at all (code 0). The code of gRPC is its status.",
			"source", "destination", "protocol", "code", "reason"),
		duration: histograms("request_duration_seconds", "How long it took from the head of a request to the end of its answer.", requestBuckets),
		sent:     histograms("request_size_bytes", "How large requests were, with their heads.", sizeBuckets),
		received: histograms("response_size_bytes", "How large answers were, with their heads.", sizeBuckets),
		retries: counters("request_retries_total",
			"Times that a request was sent again because its route says so.", "source", "destination"),
		pool: counters("pool_events_total",
			"Connections to endpoints that requests took from those that were idle (reused) or had made (dialled), that were closed because enough were idle (full), "+
				"and requests that were sent again because the endpoint had closed the idle one that they took (repeated).",
			"source", "destination", "event"),
	}
}

func (m *requestMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.total, m.duration, m.sent, m.received, m.retries, m.pool}
}

func (m *requestMetrics) forget(p pair) {
	of := prometheus.Labels{"source": p.source, "destination": p.destination}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.total, m.duration, m.sent, m.received, m.retries, m.pool} {
		vec.DeletePartialMatch(of)
	}
}

// requests counts the requests of a pair. Its series are made with the first request of their kind, as most pairs have none.
type requests struct {
	metrics *requestMetrics
	pair    pair
	of      [protocols]atomic.Pointer[protocolRequests]
	again   atomic.Pointer[pooled]
}

// protocolRequests counts those of one protocol. What has been counted before is found without a look-up.
type protocolRequests struct {
	total                    func(code int, reason mesh.Reason) prometheus.Counter
	duration, sent, received prometheus.Observer

	done   [600]atomic.Pointer[prometheus.Counter] // by code
	failed []atomic.Pointer[coded]                 // by the place of the reason; the last code with it
}

// coded is the counter of a code and a reason.
type coded struct {
	code    int
	counter prometheus.Counter
}

// pooled counts what comes of connections to endpoints.
type pooled struct {
	retries prometheus.Counter
	events  [poolEvents]prometheus.Counter
}

// Request counts a request. It allocates only the first time for each code and reason.
func (c *Connections) Request(r Request) {
	p := c.requests.protocol(r.Protocol)
	p.duration.Observe(r.Duration.Seconds())
	p.sent.Observe(float64(r.Sent))
	p.received.Observe(float64(r.Received))
	p.counter(r.Code, r.Reason).Inc()
}

// Retry counts a request that is sent again because its route says so.
func (c *Connections) Retry() { c.requests.pooled().retries.Inc() }

// Pool counts what becomes of a connection to an endpoint.
func (c *Connections) Pool(event PoolEvent) { c.requests.pooled().events[event].Inc() }

func (r *requests) protocol(protocol Protocol) *protocolRequests {
	if p := r.of[protocol].Load(); p != nil {
		return p
	}
	m, label := r.metrics, protocolLabels[protocol]
	p := &protocolRequests{
		total: func(code int, reason mesh.Reason) prometheus.Counter {
			return m.total.WithLabelValues(r.pair.source, r.pair.destination, label, strconv.Itoa(code), string(reason))
		},
		duration: m.duration.WithLabelValues(r.pair.source, r.pair.destination, label),
		sent:     m.sent.WithLabelValues(r.pair.source, r.pair.destination, label),
		received: m.received.WithLabelValues(r.pair.source, r.pair.destination, label),
		failed:   make([]atomic.Pointer[coded], len(reasons)),
	}
	if !r.of[protocol].CompareAndSwap(nil, p) {
		return r.of[protocol].Load()
	}
	return p
}

func (r *requests) pooled() *pooled {
	if p := r.again.Load(); p != nil {
		return p
	}
	p := &pooled{retries: r.metrics.retries.WithLabelValues(r.pair.source, r.pair.destination)}
	for i, label := range poolLabels {
		p.events[i] = r.metrics.pool.WithLabelValues(r.pair.source, r.pair.destination, label)
	}
	if !r.again.CompareAndSwap(nil, p) {
		return r.again.Load()
	}
	return p
}

func (p *protocolRequests) counter(code int, reason mesh.Reason) prometheus.Counter {
	if reason == mesh.ReasonDone && code >= 0 && code < len(p.done) {
		if known := p.done[code].Load(); known != nil {
			return *known
		}
		made := p.total(code, reason)
		p.done[code].Store(&made)
		return made
	}
	i := indexOf(reason)
	if known := p.failed[i].Load(); known != nil && known.code == code {
		return known.counter
	}
	made := p.total(code, reasons[i])
	p.failed[i].Store(&coded{code, made})
	return made
}

// reasons is the closed list, made once.
var reasons = mesh.Reasons()

// indexOf returns the place of a reason among reasons; that of internal for one outside of the closed list.
func indexOf(reason mesh.Reason) int {
	if i := slices.Index(reasons, reason); i >= 0 {
		return i
	}
	return slices.Index(reasons, mesh.ReasonInternal)
}
