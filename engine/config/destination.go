package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// destinationBlock is where requests go: destination {}.
type destinationBlock struct {
	// Service is the name of the service. A request that has come to a listener goes to its listener of that name, if both
	// are of HTTP, else to its own port. Default: the router's own.
	Service      *string   `hcl:"service,optional"`
	ServiceRange hcl.Range `hcl:"service,attr_value_range"`

	// Subset is the name of a subset in the service's resolver. Default: what the service's splitter and resolver say.
	Subset      *string   `hcl:"subset,optional"`
	SubsetRange hcl.Range `hcl:"subset,attr_value_range"`

	// PrefixRewrite takes the place of what path_prefix or path_exact matched, in the path that the service sees.
	PrefixRewrite      *string   `hcl:"prefix_rewrite,optional"`
	PrefixRewriteRange hcl.Range `hcl:"prefix_rewrite,attr_value_range"`

	// RequestTimeout is the time for a whole request and its response, with all retries, "1ms" to "24h"; then the answer is
	// 504, or DEADLINE_EXCEEDED of gRPC, or a reset if it has begun. A deadline in grpc-timeout passes, and is not looked at.
	// Once an upgrade is agreed to, only idle_timeout counts. Default: no limit.
	RequestTimeout      *string   `hcl:"request_timeout,optional"`
	RequestTimeoutRange hcl.Range `hcl:"request_timeout,attr_value_range"`

	// IdleTimeout is how long nothing may pass either way while a request lasts, "1ms" to "24h", also on what an upgrade has led to;
	// then the answer is 504, or a reset if it has begun. Default: no limit.
	IdleTimeout      *string   `hcl:"idle_timeout,optional"`
	IdleTimeoutRange hcl.Range `hcl:"idle_timeout,attr_value_range"`

	Retry           *retryBlock       `hcl:"retry,block"`
	Mirror          *mirrorBlock      `hcl:"mirror,block"`
	RequestHeaders  *headerEditsBlock `hcl:"request_headers,block"`
	ResponseHeaders *headerEditsBlock `hcl:"response_headers,block"`

	Range hcl.Range `hcl:",def_range"`
}

// retryBlock says when a request is sent again, to another endpoint if there is one: retry {}. Between tries it waits, by
// chance up to 25 ms, then up to 50 ms and so on, and at most 250 ms. Of all requests under way no more than a fifth are
// retries, or three.
type retryBlock struct {
	// Attempts is how many times at most a request is sent again, 1 to 10. Default: 2.
	Attempts      *int      `hcl:"attempts,optional"`
	AttemptsRange hcl.Range `hcl:"attempts,attr_value_range"`

	// On are the failures after which it is: "connect-failure", no connection could be made; "reset", the connection ended
	// before a response, or none began in the per_try_timeout; "gateway-error", 502, 503 and 504; "5xx", any of them and no
	// response at all; "retriable-4xx", 409; "refused-stream", the endpoint says that it did nothing for it; a status such as
	// "503", of the endpoint's or of meshd's own; or, of gRPC, "cancelled", "deadline-exceeded", "internal", "resource-exhausted" or "unavailable" as all that is
	// answered. A body of more than 64 KiB is sent once.
	On      []string  `hcl:"on"`
	OnRange hcl.Range `hcl:"on,attr_value_range"`

	// PerTryTimeout is the time for each try up to the head of the response, "1ms" to the request_timeout. Default: no limit
	// of its own.
	PerTryTimeout      *string   `hcl:"per_try_timeout,optional"`
	PerTryTimeoutRange hcl.Range `hcl:"per_try_timeout,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// headerEditsBlock changes header fields: request_headers {} or response_headers {}. First those in remove go, then set
// replaces, then add adds.
type headerEditsBlock struct {
	// Set are fields that take the place of those of the same name. Default: {}.
	Set      map[string]string `hcl:"set,optional"`
	SetRange hcl.Range         `hcl:"set,attr_value_range"`

	// Add are fields that stand beside those of the same name. Default: {}.
	Add      map[string]string `hcl:"add,optional"`
	AddRange hcl.Range         `hcl:"add,attr_value_range"`

	// Remove are the names of fields that go. Default: [].
	Remove      []string  `hcl:"remove,optional"`
	RemoveRange hcl.Range `hcl:"remove,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// redirectBlock sends the client elsewhere: redirect {}. What is not written stays as in the request.
type redirectBlock struct {
	// Scheme is "http" or "https".
	Scheme      *string   `hcl:"scheme,optional"`
	SchemeRange hcl.Range `hcl:"scheme,attr_value_range"`

	// Host is a host name or address, with a port if it is not the scheme's own.
	Host      *string   `hcl:"host,optional"`
	HostRange hcl.Range `hcl:"host,attr_value_range"`

	// Path is the whole path; the query stays.
	Path      *string   `hcl:"path,optional"`
	PathRange hcl.Range `hcl:"path,attr_value_range"`

	// PrefixRewrite takes the place of what path_prefix or path_exact matched.
	PrefixRewrite      *string   `hcl:"prefix_rewrite,optional"`
	PrefixRewriteRange hcl.Range `hcl:"prefix_rewrite,attr_value_range"`

	// Status is 301, 302, 303, 307 or 308. Default: 301.
	Status      *int      `hcl:"status,optional"`
	StatusRange hcl.Range `hcl:"status,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// respondBlock answers at once, without asking an endpoint: respond {}.
type respondBlock struct {
	// Status is the status of the response, 200 to 599.
	Status      int       `hcl:"status"`
	StatusRange hcl.Range `hcl:"status,attr_value_range"`

	// Body is a text of at most 4096 bytes. Default: "".
	Body      *string   `hcl:"body,optional"`
	BodyRange hcl.Range `hcl:"body,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

const (
	defaultAttempts = 2
	maxAttempts     = 10
	minRouteTimeout = time.Millisecond
	maxRouteTimeout = 24 * time.Hour
	defaultRedirect = 301
	maxBody         = 4096 // bytes
)

func (b *builder) destination(own string, d *destinationBlock, match mesh.RouteMatch) *mesh.Destination {
	target, _ := b.target(targetRef{own, d.Range, d.Service, d.ServiceRange, d.Subset, d.SubsetRange, true, takesRequests})
	built := &mesh.Destination{Service: target.Service, Subset: target.Subset}
	built.PrefixRewrite = b.rewrite(d.PrefixRewriteRange, d.PrefixRewrite, match)
	most := maxRouteTimeout
	if d.RequestTimeout != nil {
		built.RequestTimeout = b.duration(d.RequestTimeoutRange, "request_timeout", *d.RequestTimeout, minRouteTimeout, maxRouteTimeout)
		most = built.RequestTimeout
	}
	if d.IdleTimeout != nil {
		built.IdleTimeout = b.duration(d.IdleTimeoutRange, "idle_timeout", *d.IdleTimeout, minRouteTimeout, maxRouteTimeout)
	}
	if d.Retry != nil {
		built.Retry = b.retry(d.Retry, most)
	}
	if d.Mirror != nil {
		built.Mirror = b.mirror(own, d.Mirror)
	}
	if d.RequestHeaders != nil {
		built.Request = b.headerEdits(d.RequestHeaders)
	}
	if d.ResponseHeaders != nil {
		built.Response = b.headerEdits(d.ResponseHeaders)
	}
	return built
}

// rewrite checks what takes the place of the path that a route matched.
func (b *builder) rewrite(at hcl.Range, written *string, match mesh.RouteMatch) string {
	if written == nil {
		return ""
	}
	matched := match.PathPrefix + match.PathExact
	switch {
	case matched == "":
		b.errorf(at, "Rewrite of no prefix", "It takes the place of what path_prefix or path_exact matched. Add one of them to the "+
			"match block of the route.")
	case *written == "":
		b.errorf(at, "Invalid prefix_rewrite", "A path is not empty. Write \"/\".")
	default:
		b.matchedPath(at, "prefix_rewrite", written)
		if match.PathPrefix != "" && strings.HasSuffix(*written, "/") && !strings.HasSuffix(match.PathPrefix, "/") {
			b.warnf(at, "Rewrite makes two slashes", "%q becomes %q. Write path_prefix = %q, and a route for path_exact = %q if that "+
				"must match too.", match.PathPrefix+"/x", *written+"/x", match.PathPrefix+"/", match.PathPrefix)
		}
	}
	return *written
}

var retryConditions = []string{
	mesh.RetryConnectFailure, mesh.RetryReset, mesh.RetryGatewayError, mesh.Retry5xx, mesh.Retry4xx, mesh.RetryRefused,
	mesh.RetryCancelled, mesh.RetryDeadlineExceeded, mesh.RetryInternal, mesh.RetryResourceExhausted, mesh.RetryUnavailable,
}

// hyphens writes a word as the conditions of a retry are written: DEADLINE_EXCEEDED is deadline-exceeded.
func hyphens(word string) string { return strings.ReplaceAll(strings.ToLower(word), "_", "-") }

func (b *builder) retry(r *retryBlock, most time.Duration) *mesh.Retry {
	built := &mesh.Retry{
		Attempts: b.number(r.AttemptsRange, "attempts", valueOr(r.Attempts, defaultAttempts), 1, maxAttempts), On: r.On,
	}
	if len(r.On) == 0 {
		b.errorf(r.OnRange, "Retry on nothing", "Write the failures after which a request is sent again, such as on = [\"connect-failure\", "+
			"\"503\"], or remove the block.")
	}
	for _, on := range r.On {
		status, err := strconv.Atoi(on)
		switch {
		case slices.Contains(retryConditions, on):
		case err != nil && slices.Contains(retryConditions, hyphens(on)):
			b.errorf(r.OnRange, "Unknown failure", "There is no failure %q. Did you mean %q?", on, hyphens(on))
		case err != nil:
			b.errorf(r.OnRange, "Unknown failure", "There is no failure %q. Write %s, or another status.", on,
				alternatives(append(slices.Clone(retryConditions), "503")))
		case status < 400 || status > 599 || len(on) != 3:
			b.errorf(r.OnRange, "Unknown failure", "%s is not the status of a failure. Write one from \"400\" to \"599\".", on)
		}
	}
	if r.PerTryTimeout != nil {
		built.PerTryTimeout = b.duration(r.PerTryTimeoutRange, "per_try_timeout", *r.PerTryTimeout, minRouteTimeout, most)
	}
	return built
}

func (b *builder) headerEdits(h *headerEditsBlock) mesh.HeaderEdits {
	built := mesh.HeaderEdits{Set: b.fields(h.SetRange, h.Set), Add: b.fields(h.AddRange, h.Add)}
	for _, name := range h.Remove {
		b.editable(h.RemoveRange, name)
		built.Remove = append(built.Remove, strings.ToLower(name))
	}
	return built
}

// fields returns the fields sorted by name.
func (b *builder) fields(at hcl.Range, all map[string]string) []mesh.Field {
	var built []mesh.Field
	for name, value := range all {
		built = append(built, mesh.Field{Name: name, Value: value})
	}
	slices.SortFunc(built, func(x, y mesh.Field) int { return strings.Compare(x.Name, y.Name) })
	for _, f := range built {
		b.editable(at, f.Name)
		if !http1.ValidValue(f.Value) {
			b.errorf(at, "Invalid header value", "The value of %q has a control character, or a space at one of its ends. Remove it.", f.Name)
		}
	}
	return built
}

func (b *builder) editable(at hcl.Range, name string) {
	switch {
	case !http1.ValidName(name):
		b.errorf(at, "Invalid header name", "%s", headerNameFault(name, "x-canary"))
	case !http1.Editable(name):
		b.errorf(at, "Header that cannot be edited", "%q says where a message goes or ends, which meshd takes care of. Remove it.", name)
	}
}

func (b *builder) redirect(r *redirectBlock, match mesh.RouteMatch) *mesh.Redirect {
	built := &mesh.Redirect{
		Scheme: valueOr(r.Scheme, ""), Host: valueOr(r.Host, ""), Path: valueOr(r.Path, ""), Status: valueOr(r.Status, defaultRedirect),
		PrefixRewrite: b.rewrite(r.PrefixRewriteRange, r.PrefixRewrite, match),
	}
	if r.Scheme != nil {
		b.oneOf(r.SchemeRange, "scheme", *r.Scheme, "http", "https")
	}
	if r.Host != nil && !isAuthority(*r.Host) {
		b.errorf(r.HostRange, "Invalid host", "%q is not a host. Write one such as \"www.example.com\" or \"www.example.com:8443\".", *r.Host)
	}
	b.matchedPath(r.PathRange, "path", r.Path)
	if r.Path != nil && r.PrefixRewrite != nil {
		b.errorf(r.PathRange, "Two paths in one redirect", "Keep one of path and prefix_rewrite.")
	}
	if r.Scheme == nil && r.Host == nil && r.Path == nil && r.PrefixRewrite == nil {
		b.errorf(r.Range, "Redirect to the same place", "The client would ask for the same again. Write a scheme, host, path or "+
			"prefix_rewrite.")
	}
	if !slices.Contains([]int{301, 302, 303, 307, 308}, built.Status) {
		b.errorf(r.StatusRange, "Invalid status", "%d is no redirect. Write 301, 302, 303, 307 or 308.", built.Status)
	}
	return built
}

// isAuthority says whether a text is a host with or without a port, as it stands in a URL.
func isAuthority(text string) bool {
	foreign := func(r rune) bool { return isForeign(r) && (r < 'A' || r > 'Z') && !strings.ContainsRune(".:[]", r) }
	return text != "" && !strings.ContainsFunc(text, foreign)
}

func (b *builder) respond(r *respondBlock) *mesh.Respond {
	built := &mesh.Respond{Status: b.number(r.StatusRange, "status", r.Status, 200, 599), Body: valueOr(r.Body, "")}
	if len(built.Body) > maxBody {
		b.errorf(r.BodyRange, "Invalid body", "It has %d bytes, and may have %d. Let a service answer with more.", len(built.Body), maxBody)
	}
	if built.Body != "" && (r.Status == 204 || r.Status == 304) {
		b.errorf(r.BodyRange, "Invalid body", "A response of status %d has no body. Remove it, or write another status.", r.Status)
	}
	return built
}
