package config

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestHashedIsStable pins addresses: all hosts of a mesh, whatever their release, must come to the same ones.
func TestHashedIsStable(t *testing.T) {
	tests := []struct{ prefix, name, want string }{
		{"244.0.0.0/6", "billing", "244.250.18.249"},
		{"10.96.0.0/24", "billing", "10.96.0.142"},
		{"10.96.0.0/24", "users", "10.96.0.86"}, // the hash is the first address
		{"10.96.0.0/24", "stock", "10.96.0.75"}, // the hash is among the last eight
		{"fd6d:6573:6864::/64", "billing", "fd6d:6573:6864:0:4005:5702:95af:d25c"},
		{"fd6d:6573:6864::/48", "billing", "fd6d:6573:6864:0:4005:5702:95af:d25c"},
		{"fd6d:6573:6864::/96", "billing", "fd6d:6573:6864::d5aa:855e"},
	}
	for _, test := range tests {
		if got := hashed(netip.MustParsePrefix(test.prefix), test.name); got.String() != test.want {
			t.Errorf("%s in %s: got %s, want %s", test.name, test.prefix, got, test.want)
		}
	}
}

func TestHashedIsUsable(t *testing.T) {
	for _, text := range []string{"10.96.0.0/24", "244.0.0.0/6", "fd00::/96", "fd00::/64", "fd00::/48"} {
		prefix := netip.MustParsePrefix(text)
		for i := range 2000 {
			if a := hashed(prefix, fmt.Sprintf("service-%d", i)); !usable(prefix, a) {
				t.Errorf("service-%d in %s: %s is not usable", i, prefix, a)
			}
		}
	}
}

func TestReservedProbe(t *testing.T) {
	for text, want := range map[string]string{
		"244.0.0.0/6":         "247.255.255.254",
		"10.96.0.0/24":        "10.96.0.254",
		"fd6d:6573:6864::/64": "fd6d:6573:6864:0:ffff:ffff:ffff:fffe",
	} {
		prefix := netip.MustParsePrefix(text)
		if got := ReservedProbe(prefix); got.String() != want || usable(prefix, got) {
			t.Errorf("%s: got %s, want %s, which no service may have", prefix, got, want)
		}
	}
}

// TestPoolFull fills a prefix: what is left over has an error each, and no address is suggested that is taken.
func TestPoolFull(t *testing.T) {
	port := 80
	var services []*serviceBlock
	for i := range 300 {
		services = append(services, &serviceBlock{Name: fmt.Sprintf("service-%d", i), Port: &port})
	}
	b := &builder{problems: &problems{}}
	got := b.assign(services, netip.MustParsePrefix("10.96.0.0/24"), ipv4Pool, (*serviceBlock).written4)
	full := 0
	for _, d := range b.list {
		if d.Summary == "No virtual address is free" {
			full++
		}
	}
	const free = 256 - 1 - 8
	if len(got)+len(b.list) != len(services) || full != len(services)-free {
		t.Errorf("%d addresses, %d errors, %d of them for want of addresses; want %d of them", len(got), len(b.list), full, len(services)-free)
	}
}
