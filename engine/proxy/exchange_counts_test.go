package proxy

import (
	"reflect"

	"github.com/meshd/meshd/engine/route"
)

// wantEmpty wants a loop to have nothing under way.
func (p *play) wantEmpty(l *loop) {
	for name, n := range map[string]int{
		"deadlines": len(l.deadlines), "mirrors": len(l.mirrors), "idle connections": len(l.idle), "links": len(l.endpointLinks),
		"slots in use": len(l.slots) - len(l.free), "connections": int(l.load.Load()),
	} {
		if n != 0 {
			p.t.Errorf("%d %s are left", n, name)
		}
	}
	for name, list := range map[string]*timeouts{
		"parting": &l.parting, "slow": &l.slow, "idle at the edge": &l.edge.idle, "slow at the edge": &l.edge.slow,
	} {
		if list.first != nil || list.last != nil {
			p.t.Errorf("somebody is %s", name)
		}
	}
	kept := map[*byte]bool{}
	for _, b := range l.buffers {
		if kept[&b[:1][0]] {
			p.t.Error("a buffer is kept twice")
		}
		kept[&b[:1][0]] = true
	}
}

// wantNoCounts wants nothing to count any more, in all that was ever configured.
func (p *play) wantNoCounts() {
	for _, s := range p.snaps {
		for _, service := range s.Services() {
			if l := service.Load; l.Connections() != 0 || l.Requests() != 0 || l.Pending() != 0 {
				p.t.Errorf("%s: %d connections, %d requests, %d pending", service.Name, l.Connections(), l.Requests(), l.Pending())
			}
			for _, port := range service.Ports {
				if n := port.Group.Active(); n != 0 {
					p.t.Errorf("%s: %d are with endpoints", service.Name, n)
				}
				decision := port.Routes.Decide(&route.Request{Method: []byte("GET"), Path: []byte("/")}, 0)
				if target := decision.Target; target != nil {
					for _, field := range []string{"requests", "retries"} {
						if n := reflect.ValueOf(target.Budget).Elem().FieldByName(field).FieldByName("v").Int(); n != 0 {
							p.t.Errorf("%s: %d %s in the budget", service.Name, n, field)
						}
					}
				}
			}
		}
	}
	if n := len(p.clients.held); n != 0 {
		p.t.Errorf("%d clients are held", n)
	}
	if n := len(p.shares.held); n != 0 {
		p.t.Errorf("%d units have a share", n)
	}
}
