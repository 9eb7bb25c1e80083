package bpf

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// TestApplyCannotPrune has the kernel refuse, for a while, to remove what new rules do not want. They hold all the same.
func TestApplyCannotPrune(t *testing.T) {
	_, k, l, d := committed(t)
	port := uint16(portOf(l))
	rules := simple(port)
	rules.ExcludeCIDRs = []netip.Prefix{netip.PrefixFrom(virtual.Addr(), 32)}
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	d.expect("excluded", "endpoint")

	writable := k.objects.ExcludedCidrs
	locked, err := ebpf.LoadPinnedMap(pathOf(k, meshMapExcludedCidrs), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	k.objects.ExcludedCidrs = locked
	err = k.Apply(simple(port))
	k.objects.ExcludedCidrs = writable
	if err != nil {
		t.Errorf("rules that hold are reported as failed: %v", err)
	}
	d.expect("no longer excluded", "meshd")
	if parts, err := k.Repair(); err == nil || !strings.Contains(err.Error(), meshMapExcludedCidrs) || len(parts) > 0 {
		t.Errorf("a repair that cannot remove it either: %v, %v", parts, err)
	}

	for i, each := range k.applied {
		if cidrs, ok := each.(rows[meshCidrKey, uint8]); ok {
			cidrs.m = writable
			k.applied[i] = cidrs
		}
	}
	if parts, err := k.Repair(); err != nil || len(parts) > 0 {
		t.Errorf("a repair that removes what meshd itself has left: %v, %v", parts, err)
	}
	var key meshCidrKey
	var value uint8
	if writable.Iterate().Next(&key, &value) {
		t.Errorf("%v is still excluded", key)
	}
	d.expect("after the repair", "meshd")
}

// TestMarksCannotBePruned wants the marks of units that have come to hold although that of one that has gone stays.
func TestMarksCannotBePruned(t *testing.T) {
	_, k, l, d := committed(t)
	rules := simple(uint16(portOf(l)))
	rules.ByCgroup = true
	rules.Marks = map[uint64]CgroupMark{1 << 40: Excluded}
	if err := k.Apply(rules); err != nil {
		t.Fatal(err)
	}
	writable := k.objects.Cgroups
	defer func() { k.objects.Cgroups = writable }()
	locked, err := ebpf.LoadPinnedMap(pathOf(k, meshMapCgroups), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Close()
	k.objects.Cgroups = locked
	if err := writable.Put(d.cgroup, meshCgroupFlag(Excluded)); err != nil { // as the other could not be written
		t.Fatal(err)
	}
	if err := k.MarkCgroups(map[uint64]CgroupMark{d.cgroup: Excluded}); err != nil {
		t.Errorf("marks that hold are reported as failed: %v", err)
	}
	if _, err := k.Repair(); err == nil {
		t.Error("the repair does not say that a mark is left")
	}
	d.expect("excluded", "endpoint")
	k.objects.Cgroups = writable
	if err := k.MarkCgroups(map[uint64]CgroupMark{d.cgroup: Excluded}); err != nil {
		t.Fatal(err)
	}
	if parts, err := k.Repair(); err != nil || slices.Contains(parts, PartRules) {
		t.Errorf("when it can be removed again: %v, %v", parts, err)
	}
}
