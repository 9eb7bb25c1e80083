package bpf

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addrOf returns the 16 bytes by which the programs know an address: IPv4 is mapped.
func addrOf(a netip.Addr) meshAddr { return meshAddr{Bytes: a.As16()} }

func (a meshAddr) netip() netip.Addr { return netip.AddrFrom16(a.Bytes).Unmap() }

func cidrOf(p netip.Prefix) meshCidrKey {
	bitsOf := p.Bits()
	if p.Addr().Is4() {
		bitsOf += 96
	}
	return meshCidrKey{PrefixLen: uint32(bitsOf), Addr: addrOf(p.Masked().Addr())}
}

// networkOrder turns a port into the big-endian form in which the programs keep it, and back.
func networkOrder(port uint16) uint16 {
	if isLittleEndian {
		return bits.ReverseBytes16(port)
	}
	return port
}

var isLittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1
