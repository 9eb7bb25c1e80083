package explain

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// head is a request as the data path reads it.
type head struct {
	data []byte
	http1.Head
}

// schemePorts are the ports that clients dial, and leave out, where a URL names none.
var schemePorts = map[string]string{"http": "80", "https": "443"}

// split returns the authority of a URL as clients send it, which is empty of one that is only a path, the rest of it as it
// travels, and the port that clients dial.
func split(url string) (authority, target, port string) {
	url, _, _ = strings.Cut(url, "#")
	scheme, rest, found := strings.Cut(url, "://")
	if !found {
		return "", url, ""
	}
	authority, target = rest, "/"
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority, target = rest[:end], rest[end:]
	}
	if target[0] == '?' {
		target = "/" + target
	}
	port = schemePorts[strings.ToLower(scheme)]
	authority = strings.TrimSuffix(authority, ":"+port)
	if _, written, err := net.SplitHostPort(authority); err == nil {
		port = written
	}
	return authority, target, port
}

// headOf writes the request of a question. Without one it is what a client sends that asks for the service and no more.
//
// That it is no request is an error of http1.
func headOf(q control.Question, to destination, domain string) (*head, *control.Error, error) {
	method := cmp.Or(q.Method, "GET")
	authority, target, _ := split(cmp.Or(q.URL, "/"))
	if authority == "" {
		authority = to.document.Service + "." + domain
		if to.document.Port != 80 {
			authority = fmt.Sprintf("%s:%d", authority, to.document.Port)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	hasHost := false
	for _, line := range q.Headers {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.ContainsAny(line, "\r\n") {
			return nil, refuse("write it as 'name: value'", "no header field: %q", line), nil
		}
		hasHost = hasHost || strings.EqualFold(name, "host")
		fmt.Fprintf(&b, "%s: %s\r\n", name, strings.TrimSpace(value))
	}
	if !hasHost {
		fmt.Fprintf(&b, "Host: %s\r\n", authority)
	}
	b.WriteString("\r\n")
	h := &head{data: b.Bytes()}
	if strings.ContainsAny(method+target, "\r\n") { // they would end the line
		return h, nil, http1.ErrRequestLine
	}
	_, err := http1.ParseRequest(h.data, &h.Head)
	return h, nil, err
}

// badRequest is the outcome of what is no request.
func badRequest(err error) control.Outcome {
	status := statusOf(err)
	return control.Outcome{
		Kind: control.OutcomeAnswered, Status: status, Reason: string(mesh.ReasonBadRequest),
		Text: fmt.Sprintf("meshd answers it with %d, and nothing of it goes on: %v", status, err),
	}
}

// hardened is the outcome of a request that must not come from a stranger.
func hardened(err error) control.Outcome {
	x := badRequest(err)
	x.Reason, x.Text = string(mesh.ReasonHardening), fmt.Sprintf("meshd answers it with %d, as the service is hardened (edge), and nothing of it goes on: %v", x.Status, err)
	return x
}

func statusOf(err error) int {
	if e, ok := errors.AsType[http1.Error](err); ok {
		return e.Status()
	}
	return 400
}

// request ends an explanation of a request.
func (v View) request(x *control.Explanation, caller caller, to destination, q control.Question) *control.Error {
	h, refused, err := headOf(q, to, v.Snapshot.Mesh().Domain)
	if refused != nil {
		return refused
	}
	if err != nil {
		x.Outcome = badRequest(err)
		return nil
	}
	if h.MethodID() == http1.MethodConnect {
		x.Outcome = control.Outcome{
			Kind: control.OutcomeAnswered, Status: 405, Reason: string(mesh.ReasonBadRequest), Text: "meshd answers it with 405: CONNECT is not taken",
		}
		return nil
	}
	edge := to.port.Service.Edge
	if edge {
		if err := h.CheckStranger(h.data); err != nil {
			x.Outcome = hardened(err)
			return nil
		}
	}
	r := route.Request{
		Method: h.Method(h.data), Host: h.Authority(h.data), Path: h.Path(h.data), Query: h.Query(h.data),
		Header: &http1.Fields{Data: h.data, Head: &h.Head, FromStranger: edge},
	}
	table := to.port.Routes
	if table.GovernsPaths() {
		path, err := http1.CanonicalPath(nil, r.Path)
		if err != nil {
			x.Outcome = badRequest(err)
			return nil
		}
		r.Path = path
	}
	x.Request = &control.ExplainedRequest{Method: string(r.Method), Authority: string(r.Host), Path: string(r.Path), Query: string(r.Query)}
	e := table.Explain(&r)
	for i, c := range e.Candidates {
		x.Routes = append(x.Routes, control.AskedRoute{Route: v.route(to.port, i, c.Route), WhyNot: c.Why})
	}
	taken := e.Candidates[len(e.Candidates)-1].Route
	if len(e.Shares) == 0 {
		x.Outcome = answerOf(taken, &r)
		return nil
	}
	if edge {
		if err := h.CheckEdits(h.data, &taken.Request); err != nil {
			x.Outcome = hardened(err)
			return nil
		}
	}
	x.Request.Travels = string(taken.AppendPath(nil, r.Path)) + prefixed("?", string(r.Query))
	possible := v.possible(x, &e, q.Draw, func(t *route.Target) route.Hash { return t.Hash(&r, caller.source.Name, 0) })
	x.Outcome = v.outcomeOf(x, possible, taken)
	return nil
}

// possible returns the shares of which one gets what is explained, which is one alone if it is drawn, and writes down their targets.
func (v View) possible(x *control.Explanation, e *route.Explanation, draw bool, hash func(*route.Target) route.Hash) []route.Share {
	possible := e.Shares
	if draw {
		i := e.Drawn(rand.Uint32())
		x.Routes[len(x.Routes)-1].Shares[i].Drawn, possible = true, e.Shares[i:i+1]
	}
	certain := make(map[*route.Target]*balance.Endpoint)
	var targets []*route.Target
	for _, s := range possible {
		h := hash(s.Live)
		if endpoint, ok := s.Live.Certain(&h); ok {
			certain[s.Live] = endpoint
		}
		targets = append(targets, s.Target)
	}
	x.Targets = v.targets(targets, certain)
	return possible
}

// answerOf is the outcome of a route that answers by itself.
func answerOf(taken *route.Route, r *route.Request) control.Outcome {
	if taken.Redirect == nil {
		return control.Outcome{
			Kind: control.OutcomeAnswered, Status: taken.Respond.Status, Text: fmt.Sprintf("meshd answers it with %d", taken.Respond.Status),
		}
	}
	location := string(taken.AppendLocation(nil, "http", r))
	return control.Outcome{
		Kind: control.OutcomeAnswered, Status: taken.Redirect.Status, Location: location,
		Text: fmt.Sprintf("meshd answers it with %d and sends the client to %s", taken.Redirect.Status, location),
	}
}

// outcomeOf is the outcome of a request that goes to one of some shares.
func (v View) outcomeOf(x *control.Explanation, shares []route.Share, taken *route.Route) control.Outcome {
	var parts, endpoints []string
	lost := 0
	for _, s := range shares {
		i := indexOf(x.Targets, s.Live.Name())
		names := chosen(x.Targets[i])
		endpoints = append(endpoints, names...)
		part := oneOf(names)
		if len(names) == 0 {
			lost++
			part = fmt.Sprintf("nobody, as %s has no endpoint that is up (503, %s)", s.Live.Name(), mesh.ReasonNoEndpoint)
		}
		if len(shares) > 1 {
			part = fmt.Sprintf("%s (%s%%)", part, percentText(s.Percent))
		}
		parts = append(parts, part)
	}
	out := control.Outcome{Kind: control.OutcomeProxied, Endpoints: endpoints, Text: "it goes to " + strings.Join(parts, ", else to ")}
	if lost == len(shares) {
		out = control.Outcome{
			Kind: control.OutcomeAnswered, Status: 503, Reason: string(mesh.ReasonNoEndpoint), Text: "meshd answers it with 503: no endpoint is up",
		}
	}
	if b := bound(x.Targets); b != "" {
		out.Text += "; " + b
	}
	if taken.Fault != nil {
		out.Text += "; a fault of the route may meet it before"
	}
	return out
}

// bound says what stands in the way of one more request just now.
func bound(targets []control.Target) string {
	for _, t := range targets {
		l := t.Limits
		switch {
		case l == nil:
		case l.MaxConnections > 0 && l.Connections >= l.MaxConnections:
			return fmt.Sprintf("just now %s is at its max_connections, and it is answered with 503", t.Service)
		case l.MaxConcurrentRequests > 0 && l.ConcurrentRequests >= l.MaxConcurrentRequests:
			return fmt.Sprintf("just now %s is at its max_concurrent_requests, and it is answered with 503", t.Service)
		}
	}
	return ""
}

func indexOf(targets []control.Target, name string) int {
	for i, t := range targets {
		if t.Name == name {
			return i
		}
	}
	panic("explain: a target that is resolved is not written down")
}

// percentText writes a percentage to two places.
func percentText(p float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", p), "0"), ".")
}
