package config

import (
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// telemetryBlock says what meshd tells about itself: telemetry {}.
type telemetryBlock struct {
	Prometheus *prometheusBlock `hcl:"prometheus,block"`
	AccessLog  *accessLogBlock  `hcl:"access_log,block"`
	OTLP       *otlpBlock       `hcl:"otlp,block"`

	// RequestID gives an x-request-id to each request that has none, which stands in the access log and in spans. A client is
	// not told of it. Default: true with an access_log or otlp block, else false.
	RequestID *bool `hcl:"request_id,optional"`

	Range hcl.Range `hcl:",def_range"`
}

// prometheusBlock serves metrics in the format of Prometheus.
type prometheusBlock struct {
	// Listen is the loopback address and port on which /metrics is served; "" serves nothing.
	// Default: "127.0.0.1:15020".
	Listen      *string   `hcl:"listen,optional"`
	ListenRange hcl.Range `hcl:"listen,attr_value_range"`
}

const defaultListen = "127.0.0.1:15020"

func (t *telemetryBlock) title() string      { return "telemetry" }
func (t *telemetryBlock) defined() hcl.Range { return t.Range }

// telemetry returns the block; nil when there is none.
func (b *builder) telemetry() *telemetryBlock {
	if all := distinct(b, b.Telemetries); len(all) > 0 {
		return all[0]
	}
	return nil
}

func (b *builder) prometheus(t *telemetryBlock) Prometheus {
	var p prometheusBlock
	if t != nil {
		p = valueOr(t.Prometheus, p)
	}
	text := valueOr(p.Listen, defaultListen)
	if text == "" {
		return Prometheus{}
	}
	listen, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		b.errorf(p.ListenRange, "Invalid address and port", "%q is not an IP address and a port. Write it like %q or "+
			"\"[::1]:15020\"; \"\" serves no metrics.", text, defaultListen)
	case !listen.Addr().Unmap().IsLoopback():
		b.errorf(p.ListenRange, "Metrics on an address that is not loopback", "Metrics can only be read, but by anyone who "+
			"reaches the address: no one is asked who they are. Write %q, and let an agent on this host or a proxy that "+
			"authenticates pass them on.", defaultListen)
	}
	return Prometheus{Listen: listen}
}
