package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// table is one map of rules and what should be in it.
type table interface {
	fits() error
	put() error   // add and change
	prune() error // remove what should not be there
}

type rows[K, V comparable] struct {
	name string
	m    *ebpf.Map
	want map[K]V
}

func (t rows[K, V]) fits() error {
	if limit := int(t.m.MaxEntries()); len(t.want) > limit {
		return fmt.Errorf("kernel table %s: %d entries wanted, %d fit", t.name, len(t.want), limit)
	}
	return nil
}

// put writes only what differs: the kernel may give the memory of a value that is replaced to the next one while a
// program still reads it.
func (t rows[K, V]) put() error {
	for key, value := range t.want {
		var now V
		if err := t.m.Lookup(key, &now); err == nil && now == value {
			continue
		}
		if err := t.m.Put(key, value); err != nil {
			return fmt.Errorf("write kernel table %s: %w", t.name, err)
		}
	}
	return nil
}

func (t rows[K, V]) prune() error {
	var key K
	var value V
	var gone []K
	all := t.m.Iterate()
	for all.Next(&key, &value) {
		if _, wanted := t.want[key]; !wanted {
			gone = append(gone, key)
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read kernel table %s: %w", t.name, err)
	}
	for _, key := range gone {
		if err := t.m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("prune kernel table %s: %w", t.name, err)
		}
	}
	return nil
}
