package mesh

// Per is what each has a rate limit of its own.
type Per string

// Who a rate limit counts for.
const (
	PerService Per = "service" // all callers of one host together
	PerSource  Per = "source"  // each calling identity
)

// RateLimit bounds how many requests to a service are passed on in a span of time; of each Per it has at most one.
type RateLimit struct {
	Per       Per
	PerSecond int
	Burst     int // that may come at once; at least 1
}
