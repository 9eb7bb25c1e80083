// Package observe holds the metrics of meshd: every name that /metrics shows is written in metrics.go.
package observe

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

const namespace = "meshd"

// durationBuckets, in seconds, span a refused request and a connection pool that lives for a day.
var durationBuckets = []float64{0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 86400}

// Build says which meshd is running.
type Build struct {
	Version   string
	Revision  string // of the source
	GoVersion string
}

// Metrics counts what meshd does. All of its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry

	opened          *prometheus.CounterVec
	closed          *prometheus.CounterVec
	open            *prometheus.GaugeVec
	bytes           *prometheus.CounterVec
	connectFailures *prometheus.CounterVec
	duration        *prometheus.HistogramVec
	requests        requestMetrics
	mirrored        *prometheus.CounterVec

	dnsQueries       *prometheus.CounterVec
	reloads          *prometheus.CounterVec
	reloadSuccess    prometheus.Gauge
	reloadSuccessAt  prometheus.Gauge
	snapshotVersion  prometheus.Gauge
	kernelRepairs    *prometheus.CounterVec
	kernelEventsDesc *prometheus.Desc
	endpointUpDesc   *prometheus.Desc

	// pairs is copied on write, so that a connection finds its counters without a lock.
	pairs   atomic.Pointer[map[pair]*Connections]
	pairsMu sync.Mutex // held by those who replace pairs
}

// New returns metrics in a registry of their own, with those of the Go runtime and of the process beside them.
func New(build Build) *Metrics {
	m := newMetrics(build)
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// newMetrics makes the metrics that meshd itself names, whose values a test can foretell.
func newMetrics(build Build) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		opened: counters("connections_opened_total",
			"Connections that applications opened.", "source", "destination"),
		closed: counters("connections_closed_total",
			"Connections that ended, by the reason for it.", "source", "destination", "reason"),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "connections_open",
			Help: "Connections that are open now."}, []string{"source", "destination"}),
		bytes: counters("connection_bytes_total",
			"Bytes that went through connections, as the source sees them: sent or received.",
			"source", "destination", "direction"),
		connectFailures: counters("endpoint_connect_failures_total",
			"Connects to single endpoints that failed; the connection may have moved on to another one.", "destination"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace,
			Name: "connection_duration_seconds", Help: "How long connections lived.",
			Buckets: durationBuckets}, []string{"destination"}),
		requests: newRequestMetrics(),
		mirrored: counters("mirrored_requests_total",
			"Requests to a destination of which a copy was sent to a mirror, or dropped: too large, too many, or nobody to send it to.",
			"destination", "result"),
		dnsQueries: counters("dns_queries_total",
			"DNS queries, by what became of them.", "result"),
		reloads: counters("config_reloads_total",
			"Configurations that were applied (ok) or refused (error), the one at start included.", "result"),
		reloadSuccess: gauge("config_last_reload_success",
			"1 if the last configuration was applied, 0 if it was refused and the one before it is in use."),
		reloadSuccessAt: gauge("config_last_reload_success_timestamp_seconds",
			"When a configuration was last applied, in seconds since 1970."),
		snapshotVersion: gauge("snapshot_version",
			"Version of the picture of the mesh that is in use; it grows with every change."),
		kernelRepairs: counters("kernel_repairs_total",
			"Times that something of meshd in the kernel was put back, which somebody else had changed.", "what"),
		kernelEventsDesc: prometheus.NewDesc(namespace+"_kernel_events_total",
			"Events that the kernel programs counted.", []string{"event"}, nil),
		endpointUpDesc: prometheus.NewDesc(namespace+"_endpoint_up",
			"1 if an endpoint is up, 0 if its check fails or it is ejected for a while because connections to it failed.",
			[]string{"service", "endpoint"}, nil),
	}
	m.pairs.Store(&map[pair]*Connections{})
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info",
		Help: "Always 1; the labels say which meshd is running."}, []string{"version", "revision", "goversion"})
	info.WithLabelValues(build.Version, build.Revision, build.GoVersion).Set(1)
	for _, result := range []string{"ok", "error"} {
		m.reloads.WithLabelValues(result)
	}
	m.registry.MustRegister(info, m.opened, m.closed, m.open, m.bytes, m.connectFailures, m.duration, m.mirrored,
		m.dnsQueries, m.reloads, m.reloadSuccess, m.reloadSuccessAt, m.snapshotVersion, m.kernelRepairs)
	m.registry.MustRegister(m.requests.all()...)
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

// DNS counts a query. Results become label values, so they must come from a closed list.
func (m *Metrics) DNS(result string) { m.dnsQueries.WithLabelValues(result).Inc() }

// Mirrored counts a request to a destination whose copy was sent to a mirror, or dropped.
func (m *Metrics) Mirrored(destination string, sent bool) {
	result := "dropped"
	if sent {
		result = "sent"
	}
	m.mirrored.WithLabelValues(destination, result).Inc()
}

// Reload notes that a configuration was applied or refused, the one at start included.
func (m *Metrics) Reload(ok bool) {
	if !ok {
		m.reloads.WithLabelValues("error").Inc()
		m.reloadSuccess.Set(0)
		return
	}
	m.reloads.WithLabelValues("ok").Inc()
	m.reloadSuccess.Set(1)
	m.reloadSuccessAt.SetToCurrentTime()
}

// SnapshotVersion notes the version of the snapshot that is in use.
func (m *Metrics) SnapshotVersion(v uint64) { m.snapshotVersion.Set(float64(v)) }

// KernelRepaired notes that a part of meshd's state in the kernel was put back. Parts become label values, so they must
// come from a closed list.
func (m *Metrics) KernelRepaired(part string) { m.kernelRepairs.WithLabelValues(part).Inc() }

// SetHeartbeat shows the age of the heartbeat, in seconds, that the kernel programs look at to learn whether
// meshd is alive. It must be called once at most.
func (m *Metrics) SetHeartbeat(age func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace,
		Name: "heartbeat_age_seconds",
		Help: "Age of the heartbeat that tells the kernel programs that meshd is alive."}, age))
}

// SetTelemetry shows what becomes of the lines of the access log and of spans. It must be called once at most.
func (m *Metrics) SetTelemetry(linesDropped, spansExported, spansDropped func() uint64) {
	of := func(name, help string, read func() uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help},
			func() float64 { return float64(read()) }))
	}
	of("access_log_dropped_total", "Lines of the access log that were not written: they came faster than that, or could not be.", linesDropped)
	of("spans_exported_total", "Spans that the collector has taken.", spansExported)
	of("spans_dropped_total", "Spans that were lost: they came faster than the collector took them, or it took none.", spansDropped)
}

// SetKernelStats shows the counters of the kernel programs, by event, as read returns them at each scrape; they
// never shrink. It must be called once at most.
func (m *Metrics) SetKernelStats(read func() map[string]uint64) {
	m.registry.MustRegister(kernelStats{desc: m.kernelEventsDesc, read: read})
}

// kernelStats shows counters that live in kernel maps.
type kernelStats struct {
	desc *prometheus.Desc
	read func() map[string]uint64
}

var _ prometheus.Collector = kernelStats{}

// Describe implements [prometheus.Collector].
func (k kernelStats) Describe(ch chan<- *prometheus.Desc) { ch <- k.desc }

// Collect implements [prometheus.Collector].
func (k kernelStats) Collect(ch chan<- prometheus.Metric) {
	for event, n := range k.read() {
		ch <- prometheus.MustNewConstMetric(k.desc, prometheus.CounterValue, float64(n), event)
	}
}
