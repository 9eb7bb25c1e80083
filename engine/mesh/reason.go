package mesh

// Reason is the one word for why a connection ended; the same in log, metric and tools.
type Reason string

// The closed list of reasons.
const (
	ReasonDone          Reason = "done"           // both sides finished in order
	ReasonClientReset   Reason = "client-reset"   // the application reset the connection
	ReasonEndpointReset Reason = "endpoint-reset" // the endpoint reset the connection
	ReasonNoEndpoint    Reason = "no-endpoint"    // the service has no endpoint
	ReasonConnectFailed Reason = "connect-failed" // no endpoint accepted the connection
	ReasonFlowUnknown   Reason = "flow-unknown"   // where the connection goes or who it is from is not known; never guessed
	ReasonOverload      Reason = "overload"       // its caller holds more than it leaves to all others, or this host has no more to give
	ReasonNotInMesh     Reason = "not-in-mesh"    // captured for a service that has left the mesh since
	ReasonShutdown      Reason = "shutdown"       // meshd stopped and the drain time was over
	ReasonBadRequest    Reason = "bad-request"    // what the application sent is not HTTP, or could be read in two ways
	ReasonBadAnswer     Reason = "bad-answer"     // what the endpoint sent is not HTTP, or could be read in two ways
	ReasonRefused       Reason = "refused-stream" // the endpoint says that it did nothing for the request
	ReasonTimeout       Reason = "timeout"        // a request has taken longer than its route lets it
	ReasonRateLimited   Reason = "rate-limited"   // more requests came than the rate limit of the service lets pass
	ReasonHardening     Reason = "hardening"      // what the application sent is HTTP, and must not come from strangers, for whom the service is hardened
	ReasonTooSlow       Reason = "too-slow"       // the application sends or takes less in a time than a hardened service lets it
	ReasonIdle          Reason = "idle"           // the application sends no request for longer than a hardened service lets it
	ReasonFault         Reason = "fault"          // the route has it fail on purpose
	ReasonInternal      Reason = "internal"       // a fault of meshd; the log has it
)

// Reasons lists every reason, for metrics that must exist before the first connection ends and for manuals.
func Reasons() []Reason {
	return []Reason{
		ReasonDone, ReasonClientReset, ReasonEndpointReset, ReasonNoEndpoint, ReasonConnectFailed,
		ReasonFlowUnknown, ReasonOverload, ReasonNotInMesh, ReasonShutdown, ReasonBadRequest, ReasonBadAnswer,
		ReasonRefused, ReasonTimeout, ReasonRateLimited, ReasonHardening, ReasonTooSlow, ReasonIdle, ReasonFault, ReasonInternal,
	}
}
