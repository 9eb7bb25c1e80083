package route

import (
	"net/netip"
	"testing"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/limit"
	"github.com/meshd/meshd/engine/mesh"
)

// fields are the header fields of a request in a test.
type fields [][2]string

func (f fields) Field(name string, i int) ([]byte, bool) {
	for _, x := range f {
		if x[0] != name {
			continue
		}
		if i == 0 {
			return []byte(x[1]), true
		}
		i--
	}
	return nil, false
}

// request returns a request with a header of these fields.
func request(method, path, query string, header ...[2]string) *Request {
	return &Request{
		Method: []byte(method), Host: []byte("billing.mesh"), Path: []byte(path), Query: []byte(query), Header: fields(header),
	}
}

// rig is a catalog whose targets have one endpoint each.
type rig struct {
	catalog  mesh.Catalog
	groups   map[string]*balance.Group
	limiters map[string]*limit.Limiter
	host     string
}

func newRig(catalog mesh.Catalog) *rig {
	return &rig{catalog: catalog, groups: make(map[string]*balance.Group)}
}

func (x *rig) group(t mesh.Target, _ Port) (*balance.Group, mesh.Protocol) {
	if t.Service == "absent" {
		return nil, ""
	}
	if x.groups[t.String()] == nil {
		config := balance.Config{Endpoints: []mesh.Endpoint{{Address: at(len(x.groups) + 1)}}}
		if s, found := x.catalog.Service(t.Service); found {
			config.Policy = s.Balancing
		}
		x.groups[t.String()] = balance.New(config)
	}
	return x.groups[t.String()], mesh.HTTP
}

func (x *rig) table(service string) *Table {
	return x.compiler().Table(service, Port{})
}

func (x *rig) compiler() *Compiler {
	return NewCompiler(Parts{
		Catalog: &x.catalog, Host: x.host, Group: x.group, Limiter: func(service string) *limit.Limiter { return x.limiters[service] },
	})
}

// to returns a route that leads to a service.
func to(m mesh.RouteMatch, service string) mesh.Route {
	return mesh.Route{Match: m, Destination: &mesh.Destination{Service: service}}
}

func routed(t *testing.T, table *Table, r *Request, draw uint32) string {
	t.Helper()
	d := table.Decide(r, draw)
	if d.Target == nil {
		return d.Route.Name
	}
	return d.Target.Name()
}

func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 80)
}
