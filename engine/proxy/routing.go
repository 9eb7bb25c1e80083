package proxy

import (
	"bytes"
	"math/rand/v2"
	"slices"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// routing is what a loop needs to decide where a request goes.
type routing struct {
	request route.Request
	fields  http1.Fields
	path    []byte // canonical
	target  []byte // that travels
}

// locate finds what the client has dialled in the mesh as it is now: the connection may be of long ago. It returns false
// when that takes no requests any more.
func (x *exchange) locate() bool {
	if now := x.conn.out.snapshots.Load(); now != x.snapshot {
		x.conn.loop.see(now)
		port, only, _ := now.At(x.conn.flow.Destination)
		x.snapshot, x.port, x.only = now, port, only
		x.face(port)
		if k := x.conn.carrier; k != nil {
			k.snapshot, k.port, k.only = now, port, only
		}
	}
	return x.port != nil && x.port.Protocol.IsHTTP() // the streams of a link outlive the first that is told so
}

// toHTTP2 says whether the endpoints of the request speak HTTP/2.
func (x *exchange) toHTTP2() bool {
	if t := x.decision.Target; t != nil {
		return t.HTTP2
	}
	return x.port.Protocol.IsHTTP2()
}

// route decides where a request goes whose head is in data, and what of it is changed on the way.
//
// When a rule looks at paths, the one form of all paths that mean the same decides, and that form travels. When none does,
// the path travels as it came.
func (x *exchange) route(data []byte, h *http1.Head) (http1.Edits, error) {
	r := &x.conn.loop.routing
	edits := http1.Edits{Upgrade: x.upgrades}
	if x.only != nil {
		return edits, nil
	}
	r.fields = http1.Fields{Data: data, Head: h, FromStranger: x.edge != nil}
	r.request = route.Request{
		Method: h.Method(data), Host: h.Authority(data), Path: h.Path(data), Query: h.Query(data), Header: &r.fields,
	}
	governed := x.port.Routes.GovernsPaths()
	if governed {
		var err error
		if r.path, err = http1.CanonicalPath(r.path[:0], r.request.Path); err != nil {
			return edits, err
		}
		r.request.Path = r.path
	}
	decision := x.port.Routes.Decide(&r.request, rand.Uint32())
	x.decision = decision
	if decision.Target == nil {
		return edits, nil
	}
	x.hash = decision.Target.Hash(&r.request, x.conn.source, rand.Uint64())
	edits = decision.Route.Request
	edits.Upgrade = x.upgrades
	if governed && h.Form() != http1.FormAsterisk {
		r.target = decision.Route.AppendPath(r.target[:0], r.path)
		if _, query, found := bytes.Cut(h.Target(data), []byte("?")); found {
			r.target = append(append(r.target, '?'), query...)
		}
		if !bytes.Equal(r.target, h.Target(data)) {
			edits.Target = r.target
			if _, said := h.Value(data, http1.Host); !said && h.Form() == http1.FormAbsolute { // HTTP/1.0: it stood in the target alone
				edits.Add = append(slices.Clip(edits.Add), http1.Field{Name: "Host", Value: h.Authority(data)})
			}
		}
	}
	return edits, nil
}

// answerItself answers a request that leads to no service.
func (x *exchange) answerItself() {
	r := x.decision.Route
	if r.Redirect == nil {
		x.decline(http1.Answer{Status: r.Respond.Status, Body: r.Respond.Body}, mesh.ReasonDone)
		return
	}
	location := r.AppendLocation(nil, "http", &x.conn.loop.routing.request)
	x.decline(http1.Answer{Status: r.Redirect.Status, Fields: []http1.Field{{Name: "Location", Value: location}}}, mesh.ReasonDone)
}
