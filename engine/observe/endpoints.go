package observe

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"
)

// maxEndpoints bounds the series of endpoints; those beyond it are not shown.
const maxEndpoints = 4096

// EndpointState is whether an endpoint of a service is used.
type EndpointState struct {
	Service  string
	Endpoint string // address and port
	Up       bool
}

// SetEndpoints shows the endpoints that all yields at each scrape. It must be called once at most.
func (m *Metrics) SetEndpoints(all iter.Seq[EndpointState]) {
	m.registry.MustRegister(endpointStates{desc: m.endpointUpDesc, all: all})
}

// endpointStates shows states that live in the balancer.
type endpointStates struct {
	desc *prometheus.Desc
	all  iter.Seq[EndpointState]
}

var _ prometheus.Collector = endpointStates{}

// Describe implements [prometheus.Collector].
func (s endpointStates) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }

// Collect implements [prometheus.Collector].
func (s endpointStates) Collect(ch chan<- prometheus.Metric) {
	type name struct{ service, endpoint string }
	shown := make(map[name]bool) // a page with a series twice is refused as a whole
	for e := range s.all {
		at := name{e.Service, e.Endpoint}
		if shown[at] {
			continue
		}
		if len(shown) == maxEndpoints {
			return
		}
		shown[at] = true
		up := 0.0
		if e.Up {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, up, e.Service, e.Endpoint)
	}
}
