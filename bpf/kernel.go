package bpf

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// Config says where the kernel programs live.
type Config struct {
	Dir       string        // folder of the pins, on a bpffs; required
	Cgroup    string        // cgroup2 folder whose processes are captured; required
	DeadAfter time.Duration // a heartbeat older than this means that meshd is dead or hung; 0 means 3 s
}

// Kernel is the loaded programs and their maps.
//
// The order of use is Open, Listen, Apply, Commit, and then Beat for ever: until Commit nothing is attached that was not attached before,
// so a start that fails on the way leaves nothing behind.
type Kernel struct {
	cfg      Config
	objects  meshObjects
	programs map[string]ebpf.ProgramID // the numbers of those that are attached, by name
	settled  meshConfig                // what the cfg map holds
	mode     mesh.CaptureMode          // of the last Apply that succeeded, as are
	applied  []table                   // its tables
	unpruned bool                      // entries may be left in them that the rules before had
	off      atomic.Bool               // see SwitchOff
	self     Self
	netns    uint64

	linking sync.Mutex // held while links change
	links   attachment
	pins    pinFiles

	listening map[meshListenerKey]Listener // see Listen

	generation uint64 // of this start; see Beat
	adopted    bool
	closed     bool
}

// Self is how the kernel sees this process.
type Self struct {
	TGID   uint32 // in the first pid namespace
	Cgroup uint64
}

// Open loads the programs, over the maps that are pinned from an earlier start if there are any.
//
// Errors name the privilege or the mount that is missing. ErrIncompatible means that the pins are of another release.
func Open(c Config) (*Kernel, error) {
	if c.DeadAfter == 0 {
		c.DeadAfter = 3 * time.Second
	}
	if err := checkMounts(c); err != nil {
		return nil, err
	}
	pinned, err := pinnedMaps(filepath.Join(c.Dir, pinVersion))
	if err != nil {
		return nil, err
	}
	defer closeMaps(pinned)

	k := &Kernel{cfg: c, programs: map[string]ebpf.ProgramID{}, pins: pinFiles{}, listening: map[meshListenerKey]Listener{}}
	if err := k.load(pinned); err != nil {
		return nil, err
	}
	if err := errors.Join(k.number(), k.introduce()); err != nil {
		k.objects.Close()
		return nil, err
	}
	k.links = openAttachment(filepath.Join(c.Dir, pinVersion), c.Cgroup)
	k.adopted = k.links.whole
	return k, nil
}

func (k *Kernel) load(pinned map[string]*ebpf.Map) error {
	spec, err := loadMesh()
	if err != nil {
		return fmt.Errorf("read kernel programs: %w", err)
	}
	if err := spec.Variables[meshVarHaveSetRetval].Set(haveSetRetval()); err != nil {
		return fmt.Errorf("set %s: %w", meshVarHaveSetRetval, err)
	}
	if err := spec.Variables[meshVarHaveMptcp].Set(haveMPTCP()); err != nil {
		return fmt.Errorf("set %s: %w", meshVarHaveMptcp, err)
	}
	err = spec.LoadAndAssign(&k.objects, &ebpf.CollectionOptions{MapReplacements: pinned})
	switch {
	case errors.Is(err, ebpf.ErrMapIncompatible):
		return fmt.Errorf("%w: %w", ErrIncompatible, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("load kernel programs: %w: meshd needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (run it as root or by its unit); meshctl check", err)
	case err != nil:
		return fmt.Errorf("load kernel programs: %w: does this kernel have BTF and cgroup BPF? meshctl check", err)
	}
	if len(pinned) > 0 {
		err = k.objects.Cfg.Lookup(uint32(0), &k.settled)
		k.off.Store(k.settled.SwitchedOff != 0)
	}
	return err
}

// number notes as which the kernel knows the programs: for good, and to ask it again costs much.
func (k *Kernel) number() error {
	for name, h := range k.objects.hooks() {
		info, err := h.program.Info()
		if err != nil {
			return fmt.Errorf("look at kernel program %s: %w", name, err)
		}
		k.programs[name], _ = info.ID() // known since Linux 4.13
	}
	return nil
}

// introduce makes this process known as meshd itself, whose connections pass.
func (k *Kernel) introduce() error {
	var me meshWhoami
	if _, err := k.objects.AskWhoami.Run(&ebpf.RunOptions{Context: &me, ContextOut: &me}); err != nil {
		return fmt.Errorf("ask the kernel who meshd is: %w", err)
	}
	k.self = Self{TGID: uint32(me.Tgid), Cgroup: me.Cgroup}
	// Only one meshd of a host gets here, see the lock of its owner. The ids of those before may be given to others.
	if _, err := settle(k.own()); err != nil {
		return err
	}
	var last meshHeartbeat
	if err := k.objects.Beat.Lookup(uint32(0), &last); err != nil {
		return fmt.Errorf("read heartbeat: %w", err)
	}
	k.generation = last.Generation + 1
	var err error
	if k.netns, err = ownNetns(); err != nil {
		return err
	}
	return k.forgetFlows()
}

func (k *Kernel) own() table {
	return rows[uint32, uint64]{meshMapOwn, k.objects.Own, map[uint32]uint64{k.self.TGID: k.self.Cgroup}}
}

// Self returns how the kernel sees this process.
func (k *Kernel) Self() Self { return k.self }

// Beat tells the kernel programs that meshd is alive. ErrSuperseded means that a later start owns them now: this one
// must end.
func (k *Kernel) Beat() error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	return k.beatAt(now)
}

func (k *Kernel) beatAt(ns uint64) error {
	var last meshHeartbeat
	if err := k.objects.Beat.Lookup(uint32(0), &last); err != nil {
		return fmt.Errorf("read heartbeat: %w", err)
	}
	if last.Generation > k.generation {
		return ErrSuperseded
	}
	return k.objects.Beat.Put(uint32(0), meshHeartbeat{AtNs: ns, Generation: k.generation})
}

// Silence makes the programs decide at once as if meshd were dead, instead of when the heartbeat has become old. The
// next Beat ends it.
func (k *Kernel) Silence() error { return k.beatAt(0) }

// HeartbeatAge returns how long ago the last Beat was.
func (k *Kernel) HeartbeatAge() (time.Duration, error) {
	var last meshHeartbeat
	if err := k.objects.Beat.Lookup(uint32(0), &last); err != nil {
		return 0, fmt.Errorf("read heartbeat: %w", err)
	}
	now, err := monotonic()
	return time.Duration(now - last.AtNs), err
}

// monotonic reads the clock of the programs.
func monotonic() (uint64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return uint64(now.Nano()), nil
}

// Listener is a listening TCP socket of this process.
type Listener interface {
	Addr() net.Addr
	SyscallConn() (syscall.RawConn, error)
}

// Listen makes l the place where captured connections of meshd's own network namespace go. One for IPv4 must take those
// to all addresses of 127.0.0.0/8, by which the kernel keeps the source ports of callers apart.
//
// The kernel forgets it when l closes, and from then on decides as if meshd were dead.
func (k *Kernel) Listen(l Listener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	key := k.listenerKey(l)
	var putErr error
	err = raw.Control(func(fd uintptr) { putErr = k.objects.Listeners.Put(key, uint64(fd)) })
	if err := errors.Join(err, putErr); err != nil {
		return fmt.Errorf("enter listener %s: %w", l.Addr(), err)
	}
	k.listening[key] = l
	return nil
}

func (k *Kernel) listenerKey(l Listener) meshListenerKey {
	key := meshListenerKey{Netns: k.netns, Family: unix.AF_INET}
	if addr, ok := l.Addr().(*net.TCPAddr); ok && addr.IP.To4() == nil {
		key.Family = unix.AF_INET6
	}
	return key
}

// Close lets go of the programs and maps. What Commit attached stays attached and goes on deciding. Closing twice is
// allowed.
func (k *Kernel) Close() error {
	if k.closed {
		return nil
	}
	k.closed = true
	err := k.objects.Own.Delete(k.self.TGID)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		err = nil // a later start has already forgotten this process
	}
	return errors.Join(err, k.links.close(), k.objects.Close())
}

func checkMounts(c Config) error {
	if err := isOn(c.Cgroup, unix.CGROUP2_SUPER_MAGIC); err != nil {
		return fmt.Errorf("cgroup %s: %w: meshd needs cgroup2 (mount | grep cgroup2; on a host that boots with cgroup v1 only, boot with systemd.unified_cgroup_hierarchy=1)", c.Cgroup, err)
	}
	return checkBPFFS(c.Dir)
}

func checkBPFFS(dir string) error {
	above := filepath.Dir(dir)
	if err := isOn(above, unix.BPF_FS_MAGIC); err != nil {
		return fmt.Errorf("folder %s: %w: %w; mount -t bpf bpf /sys/fs/bpf", above, err, ErrNoBPFFS)
	}
	return nil
}

func isOn(path string, magic int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return err
	}
	if int64(uint32(fs.Type)) != int64(uint32(magic)) {
		return errors.New("another file system is mounted there")
	}
	return nil
}

func ownNetns() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, os.NewSyscallError("getsockopt SO_NETNS_COOKIE", err)
	}
	return cookie, nil
}
