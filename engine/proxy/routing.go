package proxy

import (
	"bytes"
	"math/rand/v2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
)

// routing is what a loop needs to decide where a request goes.
type routing struct {
	request route.Request
	fields  fields
	path    []byte // canonical
	target  []byte // that travels
}

// fields is the head of a request, as the rules see it.
type fields struct {
	data []byte
	head *http1.Head
}

// Field implements route.Header.
func (f *fields) Field(name string, i int) (value []byte, ok bool) {
	at := -1
	for ; i >= 0; i-- {
		if at = f.head.Find(f.data, name, at+1); at < 0 {
			return nil, false
		}
	}
	_, value = f.head.Field(f.data, at)
	return value, true
}

// locate finds what the client has dialled in the mesh as it is now: the connection may be of long ago. It returns false
// when that takes no requests any more.
func (x *exchange) locate() bool {
	now := x.conn.out.snapshots.Load()
	if now == x.snapshot {
		return true
	}
	port, only, ok := now.At(x.conn.flow.Destination)
	x.snapshot, x.port, x.only = now, port, only
	return ok && port.Protocol == mesh.HTTP
}

// isFull says whether the service that the request goes to has as many of them as it may have connections: each takes one.
func (x *exchange) isFull() bool {
	limit, group := int64(x.port.Service.MaxConnections), x.port.Group
	if t := x.decision.Target; t != nil {
		limit, group = t.MaxConnections, t.Group
	}
	return limit > 0 && group.Active() >= limit
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
	r.fields = fields{data, h}
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
	edits = decision.Route.Request
	edits.Upgrade = x.upgrades
	if governed && h.Form() != http1.FormAsterisk {
		r.target = decision.Route.AppendPath(r.target[:0], r.path)
		if _, query, found := bytes.Cut(h.Target(data), []byte("?")); found {
			r.target = append(append(r.target, '?'), query...)
		}
		if !bytes.Equal(r.target, h.Target(data)) {
			edits.Target = r.target
		}
	}
	return edits, nil
}

// answerItself answers a request that leads to no service.
func (x *exchange) answerItself() {
	r := x.decision.Route
	answer := http1.Answer{Bodiless: x.method == http1.MethodHead}
	if r.Redirect != nil {
		location := r.AppendLocation(nil, "http", &x.conn.loop.routing.request)
		answer.Status, answer.Fields = r.Redirect.Status, []http1.Field{{Name: "Location", Value: location}}
	} else {
		answer.Status, answer.Body = r.Respond.Status, r.Respond.Body
	}
	x.keepsAlive = x.keepsAlive && x.uploaded && !x.conn.out.drains.Load()
	answer.Close = !x.keepsAlive
	x.code = answer.Status
	x.toClient.bytes = http1.AppendAnswer(x.conn.loop.buffer(), answer)
	x.stage, x.answering, x.downloaded = forAnswer, true, true
}
