package config

import (
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// checkBlock has every host ask the endpoints whether they work: check {}. An endpoint that does not is passed over.
type checkBlock struct {
	// TCP asks by a connection to the endpoint: it works when it accepts. One of tcp, http and grpc must be written.
	TCP      *bool     `hcl:"tcp,optional"`
	TCPRange hcl.Range `hcl:"tcp,attr_value_range"`

	// HTTP asks by a GET of this path: the endpoint works when it answers with a status from 200 to 399. The GET is one of
	// HTTP/2 when that is the protocol of the service.
	HTTP      *string   `hcl:"http,optional"`
	HTTPRange hcl.Range `hcl:"http,attr_value_range"`

	// GRPC asks by the gRPC health checking protocol, without TLS, for the gRPC service of this name, or for the server as a whole
	// if it is "": the endpoint works when it answers that it serves. It asks at the service's own port, as every check does.
	GRPC      *string   `hcl:"grpc,optional"`
	GRPCRange hcl.Range `hcl:"grpc,attr_value_range"`

	// Interval is the time from one check of an endpoint to the next, "1s" to "1h". Default: "5s".
	Interval      *string   `hcl:"interval,optional"`
	IntervalRange hcl.Range `hcl:"interval,attr_value_range"`

	// Timeout is the time for a whole check, from "10ms" to the interval. Default: "2s", or the interval if that is shorter.
	Timeout      *string   `hcl:"timeout,optional"`
	TimeoutRange hcl.Range `hcl:"timeout,attr_value_range"`

	// Fall is how many checks in a row must fail for an endpoint to be down, 1 to 100. Default: 3.
	Fall      *int      `hcl:"fall,optional"`
	FallRange hcl.Range `hcl:"fall,attr_value_range"`

	// Rise is how many checks in a row must succeed for an endpoint to be up again, 1 to 100. Default: 2.
	Rise      *int      `hcl:"rise,optional"`
	RiseRange hcl.Range `hcl:"rise,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultInterval = 5 * time.Second
	defaultTimeout  = 2 * time.Second
	defaultFall     = 3
	defaultRise     = 2

	minInterval = time.Second
	maxInterval = time.Hour
	minTimeout  = 10 * time.Millisecond
	maxInARow   = 100
	maxGRPCName = 256
)

// check returns nil for a service that is not checked.
func (b *builder) check(s *serviceBlock) *mesh.Check {
	c := s.Check
	if c == nil {
		return nil
	}
	if s.Port == nil {
		b.errorf(c.Range, "Check without a port of the service", "What is checked is the service's own port at each endpoint. Write "+
			"it, such as port = 80, or remove the check.")
	}
	built := &mesh.Check{Kind: mesh.CheckTCP, Interval: defaultInterval}
	ways := 0
	for _, written := range []bool{c.TCP != nil, c.HTTP != nil, c.GRPC != nil} {
		if written {
			ways++
		}
	}
	if ways != 1 {
		b.errorf(c.Range, "Check needs tcp, http or grpc", "It has %d of them. Write tcp = true, for a check by a connection, http = \"/…\", the "+
			"path of a GET, or grpc = \"\", for what a gRPC server says of its health.", ways)
	}
	if c.TCP != nil && !*c.TCP {
		b.errorf(c.TCPRange, "Check by nothing", "Write tcp = true, or remove the check block.")
	}
	if c.HTTP != nil {
		built.Kind, built.Path = mesh.CheckHTTP, *c.HTTP
		built.HTTP2 = mesh.Protocol(valueOr(s.Protocol, defaultProtocol)).IsHTTP2()
		b.path(c.HTTPRange, *c.HTTP)
	}
	if c.GRPC != nil {
		built.Kind, built.Name = mesh.CheckGRPC, *c.GRPC
		switch {
		case *c.GRPC == "true": // HCL makes a text of it, and no server has such a service
			b.errorf(c.GRPCRange, "Invalid grpc", "It is the name of a gRPC service, such as \"shop.Billing\". Write grpc = \"\", for the server as a "+
				"whole.")
		case len(*c.GRPC) > maxGRPCName:
			b.errorf(c.GRPCRange, "Invalid grpc", "The name has %d characters, and may have %d. Write that of a gRPC service, such as "+
				"\"shop.Billing\".", len(*c.GRPC), maxGRPCName)
		case mesh.Protocol(valueOr(s.Protocol, defaultProtocol)) == mesh.HTTP:
			b.warnf(c.GRPCRange, "Check of gRPC at a port of HTTP/1", "What is checked is the service's own port, whose endpoints speak HTTP/1, as "+
				"protocol = \"http\" says. Write http = \"/…\", or the protocol that they speak.")
		}
	}
	if c.Interval != nil {
		built.Interval = b.duration(c.IntervalRange, "interval", *c.Interval, minInterval, maxInterval)
	}
	built.Timeout = min(defaultTimeout, built.Interval)
	if c.Timeout != nil {
		built.Timeout = b.duration(c.TimeoutRange, "timeout", *c.Timeout, minTimeout, built.Interval)
	}
	built.Fall = b.number(c.FallRange, "fall", valueOr(c.Fall, defaultFall), 1, maxInARow)
	built.Rise = b.number(c.RiseRange, "rise", valueOr(c.Rise, defaultRise), 1, maxInARow)
	return built
}

// path checks the path of an HTTP request, with its query.
func (b *builder) path(at hcl.Range, path string) {
	foreign := func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }
	if _, err := url.ParseRequestURI(path); err != nil || !strings.HasPrefix(path, "/") || strings.ContainsFunc(path, foreign) {
		b.errorf(at, "Invalid path", "%q is no path of an HTTP request. Write one that begins with a slash, such as \"/healthz\"; "+
			"spaces and other special characters are written as %%20 and so on.", path)
	}
}

// duration reads a length of time, and returns the shortest possible one after a diagnostic.
func (b *builder) duration(at hcl.Range, what, text string, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		b.errorf(at, "Invalid "+what, "%q is not a length of time. Write a number with its unit, such as \"5s\" or \"500ms\".", text)
		return least
	}
	if d < least || d > most {
		b.errorf(at, "Invalid "+what, "%s is not from %s to %s. Write a length of time that is.", text, short(least), short(most))
		return least
	}
	return d
}

// short writes a length of time as people do: 1h and not 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		return strings.TrimSuffix(text, "0m")
	}
	if strings.HasSuffix(text, "m") {
		return text
	}
	return d.String()
}

// number checks a whole number against its bounds.
func (b *builder) number(at hcl.Range, what string, n, least, most int) int {
	if n < least || n > most {
		b.errorf(at, "Invalid "+what, "%d is not from %d to %d. Write a number that is.", n, least, most)
		return least
	}
	return n
}
