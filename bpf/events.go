package bpf

import (
	"fmt"
	"net/netip"
)

// The names of what the programs count.
var eventNames = [meshEventEVENT_COUNT]string{
	meshEventEVENT_PROXIED:         "proxied",
	meshEventEVENT_DIRECT_MODE:     "direct_by_rule",
	meshEventEVENT_DIRECT_FAILOPEN: "direct_fail_open",
	meshEventEVENT_REFUSED_PORT:    "refused_port",
	meshEventEVENT_REFUSED_UDP:     "refused_udp",
	meshEventEVENT_REFUSED_EMPTY:   "refused_no_endpoint",
	meshEventEVENT_REFUSED_DEAD:    "refused_fail_closed",
	meshEventEVENT_NAMES:           "dns_query",
	meshEventEVENT_BIND_DENIED:     "bind_denied",
	meshEventEVENT_FLOW_LOST:       "flow_lost",
}

// Events returns how often each thing has happened since the programs were first attached.
func (k *Kernel) Events() (map[string]uint64, error) {
	counts := make(map[string]uint64, len(eventNames))
	for i, name := range eventNames {
		var perCPU []uint64
		if err := k.objects.Events.Lookup(uint32(i), &perCPU); err != nil {
			return nil, fmt.Errorf("read event %s: %w", name, err)
		}
		for _, n := range perCPU {
			counts[name] += n
		}
	}
	return counts, nil
}

// Refusal is a destination that connections were refused to by the programs.
type Refusal struct {
	Destination netip.AddrPort
	Event       string // as in Events
	Count       uint64 // since the programs were first attached, or since it was last forgotten among many
}

// Refusals returns the destinations that were refused lately, in no order.
func (k *Kernel) Refusals() ([]Refusal, error) {
	var all []Refusal
	var key meshRefusal
	var count uint64
	entries := k.objects.Refusals.Iterate()
	for entries.Next(&key, &count) {
		if int(key.Why) >= len(eventNames) {
			continue // counted by a later release
		}
		all = append(all, Refusal{
			Destination: netip.AddrPortFrom(key.Addr.netip(), networkOrder(key.Port)),
			Event:       eventNames[key.Why],
			Count:       count,
		})
	}
	if err := entries.Err(); err != nil {
		return nil, fmt.Errorf("read refusals: %w", err)
	}
	return all, nil
}
