package config

import (
	"net/url"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// accessLogBlock writes a line for each request that has ended, and for each connection of a service that is not proxied by
// requests. Lines that come faster than they are written are dropped, and counted in meshd_access_log_dropped_total.
type accessLogBlock struct {
	// Format is how a line is written: "text" is key=value, "json" an object. Default: "text".
	Format      *string   `hcl:"format,optional"`
	FormatRange hcl.Range `hcl:"format,attr_value_range"`

	// Path is the file that lines are appended to; meshctl reload opens it again, as after a rotation. meshd.service lets meshd
	// write below /var/log/meshd. Default: the standard output, which is the journal.
	Path      *string   `hcl:"path,optional"`
	PathRange hcl.Range `hcl:"path,attr_value_range"`
}

// otlpBlock tells a collector of requests, as spans of OpenTelemetry by OTLP over HTTP. A request whose traceparent says that
// its trace is sampled is told of, and goes on with a traceparent of meshd's; of those without a traceparent a share begins a
// trace. All others pass unchanged.
type otlpBlock struct {
	// Endpoint is the URL of the collector, without the path /v1/traces. meshd calls it past the mesh.
	Endpoint      string    `hcl:"endpoint"`
	EndpointRange hcl.Range `hcl:"endpoint,attr_value_range"`

	// Percentage is how many percent of the requests that belong to no trace begin one, 0 to 100, to two places after the
	// point. Default: 1.
	Percentage      *float64  `hcl:"percentage,optional"`
	PercentageRange hcl.Range `hcl:"percentage,attr_value_range"`
}

// AccessLog is where a line for each request goes.
type AccessLog struct {
	Format AccessLogFormat // empty: there is no log
	Path   string          // empty: the standard output
}

// AccessLogFormat is how a line of the access log is written.
type AccessLogFormat string

// The formats of the access log.
const (
	AccessLogText AccessLogFormat = "text"
	AccessLogJSON AccessLogFormat = "json"
)

// OTLP is who is told of requests as spans.
type OTLP struct {
	Endpoint string // URL of the collector; empty: nobody
	Share    int    // of the requests that belong to no trace, in hundredths of a percent
}

func (b *builder) accessLog(t *telemetryBlock) AccessLog {
	if t == nil || t.AccessLog == nil {
		return AccessLog{}
	}
	l := t.AccessLog
	out := AccessLog{Format: AccessLogFormat(valueOr(l.Format, string(AccessLogText))), Path: valueOr(l.Path, "")}
	if out.Format != AccessLogText && out.Format != AccessLogJSON {
		b.errorf(l.FormatRange, "Unknown format", `A line of the access log is "text" or "json". Write one of these.`)
	}
	if l.Path != nil && (!filepath.IsAbs(out.Path) || strings.HasSuffix(out.Path, "/")) {
		b.errorf(l.PathRange, "Invalid file", "Write the absolute path of a file, like \"/var/log/meshd/access.log\", or remove it: "+
			"then lines go to the standard output, which is the journal.")
	}
	return out
}

func (b *builder) otlp(t *telemetryBlock) OTLP {
	if t == nil || t.OTLP == nil {
		return OTLP{}
	}
	o := t.OTLP
	out := OTLP{Endpoint: strings.TrimRight(o.Endpoint, "/"), Share: mesh.Hundred / 100}
	if o.Percentage != nil {
		out.Share = b.percentage(o.PercentageRange, o.Percentage)
	}
	const likeThis = `Write it like "http://127.0.0.1:4318".`
	at, err := url.Parse(out.Endpoint)
	switch {
	case err != nil, at.Scheme != "http" && at.Scheme != "https", at.Hostname() == "", at.Opaque != "":
		b.errorf(o.EndpointRange, "Invalid endpoint", "%q is not an http or https URL. %s", o.Endpoint, likeThis)
	case at.User != nil, at.RawQuery != "", at.ForceQuery, at.Fragment != "":
		b.errorf(o.EndpointRange, "Invalid endpoint", "An endpoint has no user, query or fragment. %s", likeThis)
	case strings.HasSuffix(at.Path, "/v1/traces"):
		b.errorf(o.EndpointRange, "Invalid endpoint", "The path /v1/traces is added to the endpoint. Write %q.", strings.TrimSuffix(out.Endpoint, "/v1/traces"))
	case at.Port() == "4317":
		b.warnf(o.EndpointRange, "Port of OTLP over gRPC", "Collectors speak gRPC at port 4317, and meshd speaks OTLP over HTTP, for which they use 4318. %s", likeThis)
	}
	return out
}

// requestIDs says whether requests get an x-request-id that have none.
func (b *builder) requestIDs(t *telemetryBlock) bool {
	return t != nil && valueOr(t.RequestID, t.AccessLog != nil || t.OTLP != nil)
}
