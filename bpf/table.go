package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// table is one map of rules and what should be in it. Its writers return how many entries they have changed.
type table interface {
	fits() error
	put() (int, error)   // add and change
	prune() (int, error) // remove what should not be there
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
func (t rows[K, V]) put() (changed int, err error) {
	for key, value := range t.want {
		var now V
		if err := t.m.Lookup(key, &now); err == nil && now == value {
			continue
		}
		if err := t.m.Put(key, value); err != nil {
			return changed, fmt.Errorf("write kernel table %s: %w", t.name, err)
		}
		changed++
	}
	return changed, nil
}

func (t rows[K, V]) prune() (changed int, err error) {
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
		return 0, fmt.Errorf("read kernel table %s: %w", t.name, err)
	}
	for _, key := range gone {
		if err := t.m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return changed, fmt.Errorf("prune kernel table %s: %w", t.name, err)
		}
		changed++
	}
	return changed, nil
}

// settle makes the map what it should be.
func settle(t table) (changed int, err error) {
	put, err := t.put()
	if err != nil {
		return put, err
	}
	pruned, err := t.prune()
	return put + pruned, err
}
