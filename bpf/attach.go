package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// pinVersion names the layout of the maps that other releases may find pinned.
const pinVersion = "v1"

// stagingDir is where a set of pins is made before it takes its place. A bpffs refuses names with a dot.
const stagingDir = "staging"

// Sentinels of this package.
var (
	// ErrIncompatible says that the pinned maps were made by a release with another layout.
	ErrIncompatible = errors.New("the pinned programs are of another release of meshd: meshctl cleanup, then start meshd again")
	// ErrSuperseded says that a later meshd has taken over these programs.
	ErrSuperseded = errors.New("another meshd has taken over the kernel programs of this host")
	// ErrNoBPFFS says that there is no place for the pins, without which the programs end with meshd.
	ErrNoBPFFS = errors.New("meshd pins its programs there")
	// ErrNoFlow says that the kernel has no record of a connection.
	ErrNoFlow = errors.New("the kernel has no record of this connection")
)

// attachment is the links that tie programs to the cgroup, by the name of the program.
type attachment struct {
	links map[string]link.Link
	whole bool // every program is attached, all to the right cgroup
}

// hook is a program that is attached to the cgroup.
type hook struct {
	program *ebpf.Program
	attach  ebpf.AttachType
}

func (o *meshObjects) hooks() map[string]hook {
	return map[string]hook{
		meshProgConnect4:     {o.Connect4, ebpf.AttachCGroupInet4Connect},
		meshProgConnect6:     {o.Connect6, ebpf.AttachCGroupInet6Connect},
		meshProgGetpeername4: {o.Getpeername4, ebpf.AttachCgroupInet4GetPeername},
		meshProgGetpeername6: {o.Getpeername6, ebpf.AttachCgroupInet6GetPeername},
		meshProgSendmsg4:     {o.Sendmsg4, ebpf.AttachCGroupUDP4Sendmsg},
		meshProgSendmsg6:     {o.Sendmsg6, ebpf.AttachCGroupUDP6Sendmsg},
		meshProgRecvmsg4:     {o.Recvmsg4, ebpf.AttachCGroupUDP4Recvmsg},
		meshProgRecvmsg6:     {o.Recvmsg6, ebpf.AttachCGroupUDP6Recvmsg},
		meshProgBind4:        {o.Bind4, ebpf.AttachCGroupInet4Bind},
		meshProgBind6:        {o.Bind6, ebpf.AttachCGroupInet6Bind},
		meshProgEstablished:  {o.Established, ebpf.AttachCGroupSockOps},
	}
}

// pinName keeps links and maps apart in one folder; a program and a map may have the same name.
func pinName(program string) string { return "link_" + program }

// openAttachment opens the links that an earlier start pinned. Whatever is missing makes it not whole, and Commit
// attaches everything anew.
func openAttachment(dir, cgroup string) attachment {
	a := attachment{links: map[string]link.Link{}}
	id, err := cgroupID(cgroup)
	if err != nil {
		return a
	}
	a.whole = true
	for name := range (&meshObjects{}).hooks() {
		l, err := link.LoadPinnedLink(filepath.Join(dir, pinName(name)), nil)
		if err != nil {
			a.whole = false
			continue
		}
		a.links[name] = l
		info, err := l.Info()
		if err != nil || info.Cgroup() == nil || info.Cgroup().CgroupId != id {
			a.whole = false
		}
	}
	return a
}

// detach ends the links at once: the kernel ends one whose last descriptor and pin are gone only some time later.
func (a attachment) detach() error {
	var errs []error
	for _, l := range a.links {
		errs = append(errs, l.Detach())
	}
	return errors.Join(append(errs, a.close())...)
}

func (a attachment) close() error {
	var errs []error
	for _, l := range a.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Commit attaches the programs, or puts them in the place of those of an earlier start, and then lets them decide.
//
// When it fails, the programs of an earlier start are as they were. Those of a start that was incomplete, or for another
// cgroup, are gone: two sets must never run for one connection, so they had to make room first.
func (k *Kernel) Commit() error {
	if err := k.Beat(); err != nil {
		return err
	}
	k.linking.Lock()
	defer k.linking.Unlock()
	publish := k.attach
	if k.links.whole {
		publish = k.update
	}
	if err := publish(); err != nil {
		return err
	}
	enabled := k.settled
	enabled.Enabled = 1
	return k.configure(enabled)
}

// Adopted says whether an earlier start had attached the programs already.
func (k *Kernel) Adopted() bool { return k.adopted }

// attach builds a complete folder of pins beside the one in use and then takes its place.
func (k *Kernel) attach() (err error) {
	fresh := filepath.Join(k.cfg.Dir, stagingDir)
	if err := errors.Join(unpin(fresh), os.MkdirAll(fresh, 0o700)); err != nil { // of a start that died in here
		return fmt.Errorf("make folder of pins: %w", err)
	}
	made := attachment{links: map[string]link.Link{}, whole: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(fresh), made.detach())
		}
	}()
	if _, err := k.pinMaps(fresh); err != nil {
		return err
	}
	// Two sets of our programs must never run for one socket, so the old links go before the new ones come.
	if err := errors.Join(k.links.detach(), os.RemoveAll(filepath.Join(k.cfg.Dir, pinVersion))); err != nil {
		return fmt.Errorf("remove earlier pins: %w", err)
	}
	k.links = attachment{}
	hooks := k.objects.hooks()
	for _, name := range slices.Sorted(maps.Keys(hooks)) {
		l, err := k.attachOne(name, hooks[name])
		if err != nil {
			return err
		}
		made.links[name] = l
		if err := l.Pin(filepath.Join(fresh, pinName(name))); err != nil {
			return fmt.Errorf("pin link of %s: %w", name, err)
		}
	}
	if err := os.Rename(fresh, filepath.Join(k.cfg.Dir, pinVersion)); err != nil {
		return fmt.Errorf("publish pins: %w", err)
	}
	k.links = made
	return nil
}

// attachOne attaches one program. The error of a tool in the way names its program.
func (k *Kernel) attachOne(name string, h hook) (link.Link, error) {
	l, err := link.AttachCgroup(link.CgroupOptions{Path: k.cfg.Cgroup, Attach: h.attach, Program: h.program})
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, unix.EPERM):
		if others := describe(k.neighbours(h.attach, k.cfg.Cgroup)); others != "" {
			return nil, fmt.Errorf("attach %s to %s: %w: %s does not share this hook: end the tool that it belongs to, or bpftool cgroup detach CGROUP %s id ID", name, k.cfg.Cgroup, err, others, name)
		}
		return nil, fmt.Errorf("attach %s to %s: %w: CAP_NET_ADMIN is missing", name, k.cfg.Cgroup, err)
	}
	return nil, fmt.Errorf("attach %s to %s: %w", name, k.cfg.Cgroup, err)
}

// pinMaps pins the maps that are not pinned in a folder yet, in the place of what somebody else has pinned there, and
// returns how many those were.
func (k *Kernel) pinMaps(dir string) (pinned int, err error) {
	for name, m := range k.objects.byName() {
		path := filepath.Join(dir, name)
		if k.pins.holdMap(m, path) {
			continue
		}
		// A clone has no pin of its own yet; pinning the original would move its pin out of the folder in use.
		clone, err := m.Clone()
		if err != nil {
			return pinned, fmt.Errorf("clone map %s: %w", name, err)
		}
		err = errors.Join(os.RemoveAll(path), clone.Pin(path))
		clone.Close()
		if err != nil {
			return pinned, fmt.Errorf("pin map %s: %w", name, err)
		}
		pinned++
	}
	return pinned, nil
}

// update exchanges the programs behind the links that exist: no connection finds a gap.
func (k *Kernel) update() error {
	if _, err := k.pinMaps(filepath.Join(k.cfg.Dir, pinVersion)); err != nil { // those that an earlier release did not have
		return err
	}
	before := map[string]*ebpf.Program{}
	defer func() {
		for _, p := range before {
			p.Close()
		}
	}()
	hooks := k.objects.hooks()
	for name, l := range k.links.links {
		old, err := programOf(l)
		if err == nil {
			before[name] = old
		} else if errors.Is(err, unix.EPERM) {
			err = nil // only CAP_SYS_ADMIN may open it; without it there is no way back for this one
		}
		if err == nil {
			err = l.Update(hooks[name].program)
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("update %s: %w", name, err)
		for name, program := range before {
			err = errors.Join(err, k.links.links[name].Update(program))
		}
		return err
	}
	return nil
}

func programOf(l link.Link) (*ebpf.Program, error) {
	info, err := l.Info()
	if err != nil {
		return nil, err
	}
	return ebpf.NewProgramFromID(info.Program)
}

// Attached counts the programs that are attached to the cgroup at this moment, and how many there should be.
func (k *Kernel) Attached() (have, want int) {
	id, _ := cgroupID(k.cfg.Cgroup)
	k.linking.Lock()
	defer k.linking.Unlock()
	for _, l := range k.links.links {
		info, err := l.Info()
		if err == nil && info.Cgroup() != nil && info.Cgroup().CgroupId == id && id != 0 {
			have++
		}
	}
	return have, len(k.objects.hooks())
}

func (o *meshObjects) byName() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		meshMapCfg: o.Cfg, meshMapBeat: o.Beat, meshMapOwn: o.Own, meshMapListeners: o.Listeners,
		meshMapVirtuals: o.Virtuals, meshMapEndpoints: o.Endpoints, meshMapServices: o.Services,
		meshMapCgroups: o.Cgroups, meshMapExcludedUsers: o.ExcludedUsers, meshMapExcludedPorts: o.ExcludedPorts,
		meshMapExcludedCidrs: o.ExcludedCidrs, meshMapResolvers: o.Resolvers, meshMapResolverSlots: o.ResolverSlots,
		meshMapReservedPorts: o.ReservedPorts, meshMapSkMeta: o.SkMeta, meshMapFlowOrig: o.FlowOrig,
		meshMapEvents: o.Events, meshMapRefusals: o.Refusals,
	}
}

// pinnedMaps opens the maps of an earlier start; none when there was no earlier start.
func pinnedMaps(dir string) (map[string]*ebpf.Map, error) {
	found := map[string]*ebpf.Map{}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	for name := range (&meshObjects{}).byName() {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeMaps(found)
			return nil, fmt.Errorf("open pinned map %s: %w", name, err)
		}
		found[name] = m
	}
	return found, nil
}

func closeMaps(all map[string]*ebpf.Map) {
	for _, m := range all {
		m.Close()
	}
}

func cgroupID(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("stat cgroup %s: %w", path, err)
	}
	return st.Ino, nil
}

// Leftover says what pinned programs do when no meshd runs: found is false when there are none. It needs the same rights
// as Open.
func Leftover(dir string) (fail mesh.FailMode, found bool, err error) {
	path := filepath.Join(dir, pinVersion, meshMapCfg)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return "", true, fmt.Errorf("open pinned map %s: %w", meshMapCfg, err)
	}
	defer m.Close()
	var c meshConfig
	if err := m.Lookup(uint32(0), &c); err != nil {
		return "", true, fmt.Errorf("read pinned map %s: %w", meshMapCfg, err)
	}
	if c.Fail == meshFailFAIL_CLOSED {
		return mesh.FailClosed, true, nil
	}
	return mesh.FailOpen, true, nil
}

// Withdraw detaches the programs and removes their pins: the way back when a start fails after Commit, and what
// `meshctl cleanup` does.
func Withdraw(dir string) error {
	return errors.Join(unpin(filepath.Join(dir, pinVersion)), unpin(filepath.Join(dir, stagingDir)), removeEmpty(dir))
}

// unpin removes a folder of pins, after it has detached the links: their pins alone would end them some time later.
func unpin(dir string) error {
	var errs []error
	for name := range (&meshObjects{}).hooks() {
		l, err := link.LoadPinnedLink(filepath.Join(dir, pinName(name)), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(l.Detach(), l.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

func removeEmpty(dir string) error {
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
