package config

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// tailBits is the size of the end of each virtual prefix that no service gets an address from: 2^tailBits addresses.
const tailBits = 3

// ReservedProbe returns the last address but one of a virtual prefix, which belongs to no service: meshd captures
// connections to it even of its own, to see whether capture works.
func ReservedProbe(virtual netip.Prefix) netip.Addr { return last(virtual).Prev() }

// pool gives out the virtual addresses of one prefix.
type pool struct {
	poolKind
	prefix netip.Prefix
	owner  map[netip.Addr]*serviceBlock
}

// assign returns the virtual addresses of the services by name. What a service writes goes first; all others get what
// their name hashes to, so that hosts which learn services in another order still agree.
func (b *builder) assign(services []*serviceBlock, prefix netip.Prefix, kind poolKind,
	written func(*serviceBlock) (*string, hcl.Range),
) map[string]netip.Addr {
	addresses := make(map[string]netip.Addr)
	if !prefix.IsValid() {
		return addresses
	}
	p := &pool{kind, prefix, make(map[netip.Addr]*serviceBlock)}
	var unwritten, collided []*serviceBlock
	for _, s := range services {
		text, at := written(s)
		switch {
		case s.Port == nil && text != nil:
			b.errorf(at, "Virtual address without a port", "A service without a port only calls others and has no virtual "+
				"address. Write the port that callers connect to, or remove the argument.")
		case s.Port != nil && text == nil:
			unwritten = append(unwritten, s)
		case text != nil:
			addresses[s.Name] = b.claim(p, s, *text, at)
		}
	}
	for _, s := range unwritten {
		a := hashed(p.prefix, s.Name)
		if p.owner[a] != nil {
			collided = append(collided, s)
			continue
		}
		p.owner[a] = s
		addresses[s.Name] = a
	}
	for _, s := range collided {
		b.collision(p, s)
	}
	return addresses
}

// claim takes an address that a service writes.
func (b *builder) claim(p *pool, s *serviceBlock, text string, at hcl.Range) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || !usable(p.prefix, a) {
		b.errorf(at, "Unsuitable "+p.argument, "%q is not an address inside %s, the mesh's %s, without its first address and its "+
			"last eight. Write one that is, such as %q, or remove the argument.", text, p.prefix, p.argument, hashed(p.prefix, s.Name))
		return netip.Addr{}
	}
	if other := p.owner[a]; other != nil {
		b.errorf(at, "Virtual address of two services", "%s is the address of %s at %s already. Write another one, or remove the "+
			"argument.", a, other.title(), place(other.Range))
		return netip.Addr{}
	}
	p.owner[a] = s
	return a
}

// collision reports a service whose name hashes to another's address.
func (b *builder) collision(p *pool, s *serviceBlock) {
	wanted := hashed(p.prefix, s.Name)
	other := p.owner[wanted]
	free := wanted
	for range len(p.owner) + 1<<tailBits + 2 { // at most so many addresses in a row cannot be had
		if free = free.Next(); !p.prefix.Contains(free) {
			free = p.prefix.Addr()
		}
		if usable(p.prefix, free) && p.owner[free] == nil {
			break
		}
	}
	if p.owner[free] != nil || !usable(p.prefix, free) {
		b.errorf(s.Range, "No virtual address is free", "All addresses of %s are taken. Write a wider %s in the "+
			"mesh block.", p.prefix, p.argument)
		return
	}
	p.owner[free] = s
	b.errorf(s.Range, fmt.Sprintf("Virtual address of %s collides", s.title()), "Its name hashes to %s, which is the address of %s "+
		"at %s. Add this line to %s:\n\n  %s = %q", wanted, other.title(), place(other.Range), s.title(), p.argument, free)
}

// hashed returns the virtual address that belongs to a name. It is the same on every host and in every release, so the
// way to it must not change.
func hashed(prefix netip.Prefix, name string) netip.Addr {
	h := fnv.New64a()
	h.Write([]byte(name))
	for {
		if a := nth(prefix, h.Sum64()); usable(prefix, a) {
			return a
		}
		h.Write([]byte{0})
	}
}

// nth returns the address whose bits behind the prefix are those of n, folded as the authors of FNV advise.
func nth(prefix netip.Prefix, n uint64) netip.Addr {
	b := prefix.Masked().Addr().As16()
	if free := prefix.Addr().BitLen() - prefix.Bits(); free < 64 {
		n = (n>>free ^ n) & (1<<free - 1)
	}
	low := binary.BigEndian.Uint64(b[8:])
	binary.BigEndian.PutUint64(b[8:], low|n)
	a := netip.AddrFrom16(b)
	if prefix.Addr().Is4() {
		return a.Unmap()
	}
	return a
}

// usable says whether a service may have the address.
func usable(prefix netip.Prefix, a netip.Addr) bool {
	tail := netip.PrefixFrom(last(prefix), prefix.Addr().BitLen()-tailBits)
	return prefix.Contains(a) && a != prefix.Masked().Addr() && !tail.Contains(a)
}

// last returns the address of a prefix whose free bits are all set.
func last(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().AsSlice()
	for i := prefix.Bits(); i < prefix.Addr().BitLen(); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
