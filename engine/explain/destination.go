package explain

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// destination is what a question says that is dialled.
type destination struct {
	document   control.Destination
	port       *snapshot.Port // nil: no port of the mesh
	undeclared bool           // the service has no such port
}

// dialled finds what is meant. Where no port is named, the one of the request's URL is meant, else the service's own.
func (v View) dialled(q control.Question) (destination, *control.Error) {
	if at, err := netip.ParseAddrPort(q.To); err == nil {
		return v.dialledAddress(at), nil
	}
	if _, err := netip.ParseAddr(q.To); err == nil {
		return destination{}, refuse("write "+net.JoinHostPort(q.To, "80"), "an address without a port: %s", q.To)
	}
	name, portText := q.To, ""
	if host, port, err := net.SplitHostPort(q.To); err == nil {
		name, portText = host, port
	}
	service, what := v.named(strings.ToLower(strings.TrimSuffix(name, ".")))
	if service == nil {
		return destination{}, control.NoService(name)
	}
	d := destination{document: control.Destination{
		Text: what, At: service.At.String(), Service: service.Name, Port: service.Port, Protocol: service.Protocol,
	}}
	if service.Port == 0 {
		return d, refuse("name a service that has one", "service %q at %s has no port: it only calls others", service.Name, service.At)
	}
	d.document.Addresses = []netip.Addr{service.Virtual4, service.Virtual6}
	if portText == "" {
		_, _, portText = split(q.URL)
	}
	if portText != "" {
		number, err := strconv.ParseUint(portText, 10, 16)
		if err != nil || number == 0 {
			return d, refuse("write a number from 1 to 65535", "no port %q", portText)
		}
		d.document.Port = uint16(number)
	}
	d.at(service)
	return d, nil
}

// named returns the service of a name, and says what the name is.
func (v View) named(name string) (*snapshot.Service, string) {
	domain := v.Snapshot.Mesh().Domain
	short, _ := strings.CutSuffix(name, "."+domain)
	if s, found := v.Snapshot.Named(short); found {
		return s, s.Name + "." + domain
	}
	for _, s := range v.Snapshot.Services() {
		if slices.Contains(s.Hostnames, name) {
			return s, fmt.Sprintf("%s, one of the hostnames of the service,", name)
		}
	}
	return nil, ""
}

// at completes a destination by the port that is dialled of a service.
func (d *destination) at(service *snapshot.Service) {
	i := slices.IndexFunc(service.Ports, func(p *snapshot.Port) bool { return p.Number == d.document.Port })
	if i < 0 {
		d.undeclared = true
		d.document.Protocol = ""
		return
	}
	d.port = service.Ports[i]
	d.document.Listener, d.document.Protocol = d.port.Listener, d.port.Protocol
}

func (v View) dialledAddress(at netip.AddrPort) destination {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	d := destination{document: control.Destination{Text: at.Addr().String(), Addresses: []netip.Addr{at.Addr()}, Port: at.Port()}}
	for _, s := range v.Snapshot.Services() {
		if s.Port != 0 && (at.Addr() == s.Virtual4 || at.Addr() == s.Virtual6) {
			d.document.Service, d.document.At, d.document.Text = s.Name, s.At.String(), at.Addr().String()+", a virtual address,"
			d.at(s)
			return d
		}
	}
	port, only, found := v.Snapshot.At(at)
	switch {
	case found && only != nil && !v.Unresolved[only.Hostname]:
		d.document.Text = fmt.Sprintf("the address of endpoint %s of service %q", only.Name(), nameOf(port))
		d.document.At = port.Service.At.String()
	case v.isVirtual(at.Addr()):
		d.document.Text = at.Addr().String() + ", a virtual address of no service,"
	default:
		d.document.Text = at.Addr().String() + ", which the mesh does not know,"
	}
	return d
}

func (v View) isVirtual(a netip.Addr) bool {
	m := v.Snapshot.Mesh()
	return m.VirtualIPv4.Contains(a) || m.VirtualIPv6.Contains(a)
}

// benchmarks is the network that is for tests of equipment: no endpoint stands there.
var benchmarks = netip.MustParsePrefix("198.18.0.0/15")

// standIns gives each host name of an endpoint an address of its own that stands for those that it has, and notes the name.
func standIns(services []mesh.Service, names map[string]bool) map[string][]netip.Addr {
	addresses := make(map[string][]netip.Addr)
	next := benchmarks.Addr()
	for _, s := range services {
		for _, e := range s.Endpoints {
			if e.Hostname != "" && !names[e.Hostname] {
				next = next.Next()
				addresses[e.Hostname], names[e.Hostname] = []netip.Addr{next}, true
			}
		}
	}
	return addresses
}
