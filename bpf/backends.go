package bpf

import (
	"fmt"
	"net/netip"

	"github.com/meshd/meshd/engine/mesh"
)

// SetBackends replaces the endpoints of one service of the last Apply. Of a service that is not among its backends, or
// that has these endpoints already, it changes nothing. Calls must not overlap with each other nor with Apply.
func (k *Kernel) SetBackends(id mesh.ServiceID, backends []netip.AddrPort) error {
	if k.applied == nil {
		return nil
	}
	services := k.applied[0].(rows[uint64, meshService])
	key, value := uint64(id), serviceValue(backends)
	if now, known := services.want[key]; !known || now == value {
		return nil
	}
	if err := services.m.Put(key, value); err != nil {
		return fmt.Errorf("write kernel table %s: %w", services.name, err)
	}
	services.want[key] = value // what a failed Apply puts back
	return nil
}
