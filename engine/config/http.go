package config

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// httpBlock says how the HTTP of a service is taken, at all of its ports that speak it: http {}.
type httpBlock struct {
	// Hardening is "none": what is HTTP passes as it came; or "edge": the clients may be strangers, as behind an open port. With
	// "edge" x-forwarded-*, forwarded, x-real-ip, x-request-id, x-mesh-* and x-meshd-* of a request go on no further; it is refused
	// with 400 if Connection names one of these or something that meshd or the route sets, or if the name of a field has an
	// underscore, and with 431 if its head has more than 16 KiB or 100 fields. A head must have come within 10 seconds of its first
	// byte, and of a body 7200 bytes in each 30 seconds until it is whole or the answer begins, else the answer is 408. A connection
	// ends after 75 seconds without a request, and after 30 seconds in which the client takes nothing of an answer. An endpoint may
	// answer five times before it answers (1xx). Each calling identity may have 1024 connections and 1024 requests under way to the
	// service from one host: further connections are reset, further requests answered with 429. Default: "none".
	Hardening      *string   `hcl:"hardening,optional"`
	HardeningRange hcl.Range `hcl:"hardening,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// The kinds of hardening.
const (
	hardeningNone = "none"
	hardeningEdge = "edge"
)

// http sets how the HTTP of a service is taken.
func (b *builder) http(s *serviceBlock, built *mesh.Service) {
	h := s.HTTP
	if h == nil {
		return
	}
	if !s.speaksHTTP() {
		b.errorf(h.Range, "HTTP of a tcp service", "The bytes of a tcp service are not read. Write %s, if that is what the service "+
			"speaks, or remove the block.", protocolsOfHTTP)
	}
	hardening := valueOr(h.Hardening, hardeningNone)
	b.oneOf(h.HardeningRange, "hardening", hardening, hardeningNone, hardeningEdge)
	built.Edge = hardening == hardeningEdge
}
