package systemd

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestIndexForgetsTheGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newIndex()
		x.add(10, "/a")
		x.add(11, "/b")
		x.remove("/a")
		time.Sleep(remembered - time.Second)
		x.remove("/b")
		if _, ok := x.path(10); !ok {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Second)
		x.remove("/not there")
		for id, want := range map[uint64]bool{10: false, 11: true} {
			if _, ok := x.path(id); ok != want {
				t.Errorf("cgroup %d known: %v, want %v", id, ok, want)
			}
		}
	})
}

// A unit's first connection can be looked up before its event is read.
func TestIndexRemembersWhatWasLookedUpFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newIndex()
		x.remember(10, "/a")
		x.add(10, "/a")
		time.Sleep(remembered)
		x.remove("/a")
		time.Sleep(remembered - time.Second)
		x.remove("/not there")
		for id := range uint64(maxFound) {
			x.remember(100+id, "/others")
		}
		if path, ok := x.path(10); path != "/a" || !ok {
			t.Errorf("path %q, %v less than a minute after the end", path, ok)
		}
	})
}

func TestIndexOfLookupsIsBounded(t *testing.T) {
	x := newIndex()
	x.add(1, "/unit")
	x.remove("/unit")
	for id := range uint64(2 * maxFound) {
		for range 2 {
			x.remember(10+id, "/looked up")
		}
	}
	if len(x.found) != maxFound || len(x.order) != maxFound {
		t.Errorf("%d records in order of %d, want %d", len(x.found), len(x.order), maxFound)
	}
	for id, want := range map[uint64]bool{1: true, 10: false, 10 + maxFound: true, 9 + 2*maxFound: true} {
		if _, ok := x.path(id); ok != want {
			t.Errorf("cgroup %d known: %v, want %v", id, ok, want)
		}
	}
}

func TestIndexIsBounded(t *testing.T) {
	x := newIndex()
	for id := range uint64(maxRecords) {
		x.add(id+1, filepath.Join("/", time.Duration(id).String()))
	}
	if x.add(1<<40, "/over") {
		t.Error("there was room for one more living cgroup")
	}
	x.remove("/1ns")
	if !x.add(1<<40, "/over") {
		t.Error("no room after a cgroup has gone")
	}
	if _, ok := x.path(2); ok {
		t.Error("the cgroup that has gone is known beyond the bound")
	}
	if len(x.paths) != maxRecords {
		t.Errorf("%d records, want %d", len(x.paths), maxRecords)
	}
}
