package config

import (
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// faultBlock has requests of a route fail on purpose, to see how callers bear it: fault {}. The delay and the abort are drawn
// each for itself; a request that meets both is delayed and then aborted.
type faultBlock struct {
	Delay *delayBlock `hcl:"delay,block"`
	Abort *abortBlock `hcl:"abort,block"`

	Range hcl.Range `hcl:",def_range"`
}

// delayBlock has requests wait before they are sent on: delay {}.
type delayBlock struct {
	// Percentage is how many percent of the requests wait, 0 to 100, to two places after the point. Default: 100.
	Percentage      *float64  `hcl:"percentage,optional"`
	PercentageRange hcl.Range `hcl:"percentage,attr_value_range"`

	// FixedDelay is how long they wait, "1ms" to "1h". A request_timeout counts meanwhile.
	FixedDelay      string    `hcl:"fixed_delay"`
	FixedDelayRange hcl.Range `hcl:"fixed_delay,attr_value_range"`
}

// abortBlock answers requests in the place of the service: abort {}. It has either http_status or grpc_status.
type abortBlock struct {
	// Percentage is how many percent of the requests are answered so, 0 to 100, to two places after the point. Default: 100.
	Percentage      *float64  `hcl:"percentage,optional"`
	PercentageRange hcl.Range `hcl:"percentage,attr_value_range"`

	// HTTPStatus is the status of the answer, 200 to 599.
	HTTPStatus      *int      `hcl:"http_status,optional"`
	HTTPStatusRange hcl.Range `hcl:"http_status,attr_value_range"`

	// GRPCStatus is the status of gRPC, by its name such as "UNAVAILABLE" or its number such as "14".
	GRPCStatus      *string   `hcl:"grpc_status,optional"`
	GRPCStatusRange hcl.Range `hcl:"grpc_status,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// mirrorBlock sends copies of requests to a further service: mirror {}. Nobody waits for what that answers, or sees it. The
// first label of the host in a copy ends in "-shadow". A request with more than 64 KiB of body is not copied.
type mirrorBlock struct {
	// Service is the name of the service. Default: the router's own.
	Service      *string   `hcl:"service,optional"`
	ServiceRange hcl.Range `hcl:"service,attr_value_range"`

	// Subset is the name of a subset in the service's resolver. Default: what that resolver says; a splitter is not asked.
	Subset      *string   `hcl:"subset,optional"`
	SubsetRange hcl.Range `hcl:"subset,attr_value_range"`

	// Percentage is how many percent of the requests are copied, 0 to 100, to two places after the point. Default: 100.
	Percentage      *float64  `hcl:"percentage,optional"`
	PercentageRange hcl.Range `hcl:"percentage,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const maxDelay = time.Hour

// grpcStatuses are the names of the statuses by their numbers.
var grpcStatuses = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
}

func (b *builder) fault(r *routeBlock) *mesh.Fault {
	f := r.Fault
	if f == nil {
		return nil
	}
	if r.Destination == nil && (r.Redirect != nil || r.Respond != nil) {
		b.errorf(f.Range, "Fault without a destination", "A route with redirect or respond answers by itself. Move the block to a route with "+
			"a destination, or let respond {} answer with the status.")
	}
	if f.Delay == nil && f.Abort == nil {
		b.errorf(f.Range, "Fault of nothing", "Write delay { fixed_delay = \"…\" }, abort {} with http_status or grpc_status, or both.")
	}
	built := &mesh.Fault{}
	if d := f.Delay; d != nil {
		built.Delay = &mesh.Delay{
			Share: b.percentage(d.PercentageRange, d.Percentage),
			Fixed: b.duration(d.FixedDelayRange, "fixed_delay", d.FixedDelay, time.Millisecond, maxDelay),
		}
	}
	if f.Abort != nil {
		built.Abort = b.abort(f.Abort)
	}
	return built
}

func (b *builder) abort(a *abortBlock) *mesh.Abort {
	built := &mesh.Abort{Share: b.percentage(a.PercentageRange, a.Percentage)}
	if (a.HTTPStatus == nil) == (a.GRPCStatus == nil) {
		b.errorf(a.Range, "Abort needs http_status or grpc_status", "Write the one that the callers of the service understand, such as "+
			"http_status = 503 or grpc_status = \"UNAVAILABLE\".")
	}
	if a.HTTPStatus != nil {
		built.HTTPStatus = b.number(a.HTTPStatusRange, "http_status", *a.HTTPStatus, 200, 599)
	}
	if a.GRPCStatus != nil {
		built.GRPCStatus = b.grpcStatus(a.GRPCStatusRange, *a.GRPCStatus)
	}
	return built
}

func (b *builder) grpcStatus(at hcl.Range, text string) int {
	if i := slices.Index(grpcStatuses, text); i >= 0 {
		return i
	}
	for i := range grpcStatuses {
		if text == strconv.Itoa(i) {
			return i
		}
	}
	b.errorf(at, "Unknown status of gRPC", "There is no status %q. Write %s, or a number from \"0\" to %q.", text,
		alternatives(grpcStatuses), strconv.Itoa(len(grpcStatuses)-1))
	return 0
}

func (b *builder) mirror(own string, m *mirrorBlock) *mesh.Mirror {
	target, _ := b.target(targetRef{own, m.Range, m.Service, m.ServiceRange, m.Subset, m.SubsetRange, true, takesRequests})
	if m.Service == nil && m.Subset == nil {
		b.errorf(m.Range, "Mirror of nothing else", "The service would get every request twice. Write the service or the subset that gets "+
			"the copies.")
	}
	return &mesh.Mirror{Target: target, Share: b.percentage(m.PercentageRange, m.Percentage)}
}

// percentage returns a share in hundredths of a percent; all when none is written.
func (b *builder) percentage(at hcl.Range, written *float64) int {
	if written == nil {
		return mesh.Hundred
	}
	return b.hundredths(at, "percentage", *written)
}
