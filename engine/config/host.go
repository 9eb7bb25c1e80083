package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// hostBlock is a machine that runs meshd: host "app-1" {}.
type hostBlock struct {
	// Name is the machine's host name, short or full, or what node.name says there.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Addresses are the machine's IP addresses. Other hosts reach its endpoints at the first one.
	Addresses      []string  `hcl:"addresses"`
	AddressesRange hcl.Range `hcl:"addresses,attr_value_range"`

	// Zone is where the machine stands. Default: "", nowhere in particular.
	Zone string `hcl:"zone,optional"`

	Range hcl.Range `hcl:",def_range"`

	first netip.Addr // of Addresses; invalid until it is known to be good
}

func (h *hostBlock) title() string      { return fmt.Sprintf("host %q", h.Name) }
func (h *hostBlock) defined() hcl.Range { return h.Range }

// buildHosts returns the hosts sorted by name, and remembers who has which address.
func (b *builder) buildHosts(all []*hostBlock) []mesh.Host {
	b.hosts = make(map[string]*hostBlock)
	for _, h := range b.Hosts {
		if b.hosts[h.Name] == nil {
			b.hosts[h.Name] = h
		}
	}
	b.addresses = make(map[netip.Addr]*hostBlock)
	var hosts []mesh.Host
	for _, h := range all {
		b.domain(h.NameRange, "host name", h.Name)
		if len(h.Addresses) == 0 {
			b.errorf(h.AddressesRange, "Host without an address", "Write the IP address at which the other hosts reach it.")
		}
		host := mesh.Host{Name: h.Name, Zone: h.Zone}
		for i, text := range h.Addresses {
			address, ok := b.address(h.AddressesRange, text)
			if !ok {
				continue
			}
			if other := b.addresses[address]; other != nil {
				b.errorf(h.AddressesRange, "Address is given twice", "%s is an address of %s at %s already. Remove one of "+
					"the two.", address, other.title(), place(other.AddressesRange))
				continue
			}
			b.addresses[address] = h
			if i == 0 {
				h.first = address
			}
			host.Addresses = append(host.Addresses, address)
		}
		hosts = append(hosts, host)
	}
	slices.SortFunc(hosts, func(x, y mesh.Host) int { return strings.Compare(x.Name, y.Name) })
	return hosts
}

// declared says whether a host block of that name exists, or may exist in what could not be read; else it reports.
func (b *builder) declared(at hcl.Range, host string) bool {
	if b.incomplete || b.hosts[host] != nil {
		return true
	}
	b.errorf(at, "Unknown host", "There is no host %q.%s Add host %q { addresses = [\"…\"] }, or name one that is declared.",
		host, didYouMean(host, b.hosts), host)
	return false
}

// thisHost returns the catalog's entry of the machine.
func (b *builder) thisHost(c *mesh.Catalog, name string, node *nodeBlock, hostname string) mesh.Host {
	if name != "" {
		b.declared(node.NameRange, name)
		host, _ := c.Host(name)
		return host
	}
	full := strings.ToLower(hostname)
	short, _, _ := strings.Cut(full, ".")
	for _, candidate := range []string{full, short} {
		if host, found := c.Host(candidate); found {
			return host
		}
	}
	nodeBroken := node == nil && len(b.Nodes) > 0
	if b.incomplete || nodeBroken || b.hosts[full] != nil || b.hosts[short] != nil {
		return mesh.Host{}
	}
	if hostname == "" {
		b.errorf(b.Meshes[0].Range, "No host for this machine", "The machine has no host name. Write node { name = \"…\" } "+
			"in %s with the name of a host block.", defaultFile)
		return mesh.Host{}
	}
	b.errorf(b.Meshes[0].Range, "No host for this machine", "No host block is named %q, which is the machine's host name, "+
		"or what validate was given with -host. Add host %q { addresses = [\"…\"] }, or write node { name = \"…\" } in %s "+
		"with the name of a host block.", hostname, short, defaultFile)
	return mesh.Host{}
}
