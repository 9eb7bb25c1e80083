package bpf

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Part is a part of meshd's state in the kernel that somebody else can change.
type Part string

// The parts that are looked after.
const (
	PartLinks     Part = "links"     // the programs were detached or exchanged
	PartRules     Part = "rules"     // what the programs decide by was written to
	PartListeners Part = "listeners" // the listeners were taken out of their map
	PartPins      Part = "pins"      // files below Dir were removed or exchanged
	PartRoutes    Part = "routes"    // see KeepRoutes
)

// Repair puts back what somebody else has changed since Commit and the last Apply, and returns which parts that was.
//
// It does all that it can: parts and an error may come together. ErrSuperseded means that a later start owns the state,
// which is then left alone. ErrNoBPFFS means that the programs run, and would end with meshd.
func (k *Kernel) Repair() ([]Part, error) {
	var last meshHeartbeat
	if err := k.objects.Beat.Lookup(uint32(0), &last); err != nil {
		return nil, fmt.Errorf("read heartbeat: %w", err)
	}
	if last.Generation > k.generation {
		return nil, ErrSuperseded
	}
	k.linking.Lock()
	defer k.linking.Unlock()
	var repaired []Part
	var errs []error
	for _, step := range []struct {
		part   Part
		repair func() (int, error)
	}{
		{PartRules, k.repairRules}, // first, so that no program decides by what somebody else has written
		{PartListeners, k.repairListeners},
		{PartLinks, k.repairLinks},
		{PartPins, k.repairPins},
	} {
		n, err := step.repair()
		if n > 0 {
			repaired = append(repaired, step.part)
		}
		errs = append(errs, err)
	}
	return repaired, errors.Join(errs...)
}

func (k *Kernel) repairRules() (changed int, err error) {
	var errs []error
	if k.unpruned { // it was meshd itself that has left something there
		k.unpruned = k.prune() != nil // which is said below
	}
	for _, t := range append([]table{k.own()}, k.applied...) {
		n, err := settle(t)
		changed += n
		errs = append(errs, err)
	}
	var now meshConfig
	if err := k.objects.Cfg.Lookup(uint32(0), &now); err != nil || now != k.settled {
		changed++
		errs = append(errs, k.configure(k.settled))
	}
	return changed, errors.Join(errs...)
}

func (k *Kernel) repairListeners() (changed int, err error) {
	var errs []error
	for key, l := range k.listening {
		cookie, err := cookieOf(l)
		if errors.Is(err, net.ErrClosed) {
			continue // meshd is about to stop
		}
		var entered uint64
		if err == nil {
			err = k.objects.Listeners.Lookup(key, &entered)
		}
		if err == nil && entered == cookie {
			continue
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, fmt.Errorf("look for listener %s: %w", l.Addr(), err))
			continue
		}
		changed++
		errs = append(errs, k.Listen(l))
	}
	return changed, errors.Join(errs...)
}

// cookieOf returns the number by which the kernel tells sockets apart, and as which it shows those in a map.
func cookieOf(l Listener) (cookie uint64, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		cookie, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE)
	})
	return cookie, errors.Join(err, controlErr)
}

// repairLinks attaches what is not attached to the cgroup, each program by itself: those that are stay.
func (k *Kernel) repairLinks() (changed int, err error) {
	id, err := cgroupID(k.cfg.Cgroup)
	if err != nil {
		return 0, err
	}
	var errs []error
	hooks := k.objects.hooks()
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		before := k.links.links[name]
		info, err := before.Info()
		if err != nil {
			return changed, fmt.Errorf("look at link of %s: %w", name, err)
		}
		attached := info.Cgroup() != nil && info.Cgroup().CgroupId == id
		if attached && info.Program == k.programs[name] {
			continue
		}
		changed++
		if attached {
			errs = append(errs, before.Update(hooks[name].program))
			continue
		}
		l, err := k.attachOne(name, hooks[name])
		if err != nil {
			errs = append(errs, err)
			changed--
			continue
		}
		k.links.links[name] = l
		errs = append(errs, before.Close())
	}
	return changed, errors.Join(errs...)
}

// repairPins pins what is not pinned, and puts it in the place of what somebody else has pinned there. The programs run
// without, but only as long as meshd.
func (k *Kernel) repairPins() (changed int, err error) {
	if err := checkBPFFS(k.cfg.Dir); err != nil {
		return 0, err
	}
	dir := filepath.Join(k.cfg.Dir, pinVersion)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("make folder of pins: %w", err)
	}
	changed, err = k.pinMaps(dir)
	errs := []error{err}
	for name, l := range k.links.links {
		path := filepath.Join(dir, pinName(name))
		if k.pins.holdLink(l, path) {
			continue
		}
		// Unpin, or Pin believes that it is pinned there still.
		if err := errors.Join(l.Unpin(), os.RemoveAll(path), l.Pin(path)); err != nil {
			errs = append(errs, fmt.Errorf("pin link of %s: %w", name, err))
			continue
		}
		changed++
	}
	return changed, errors.Join(errs...)
}
