package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is one host of a lab.
type Host struct {
	lab   *Lab
	state hostState
}

// Name returns the name of the host.
func (h *Host) Name() string { return h.state.Name }

// Addresses returns the addresses of the host in the order of its host block.
func (h *Host) Addresses() []netip.Addr { return slices.Clone(h.state.Addresses) }

// Cgroup returns the cgroup folder of the whole host: what a meshd on it takes for the root.
func (h *Host) Cgroup() string { return string(h.cgroup()) }

// UnitCgroup returns the cgroup folder of a unit, which exists from the first start in it until the unit is stopped.
func (h *Host) UnitCgroup(unit string) string { return string(h.unitCgroup(unit)) }

func (h *Host) cgroup() cgroup { return h.lab.state.Cgroup.child(h.state.Name) }

func (h *Host) unitCgroup(unit string) cgroup { return h.cgroup().child("system.slice/" + unit) }

// LogPath returns the file that the output of a unit goes to.
func (h *Host) LogPath(unit string) string { return h.lab.state.path("log", h.Name(), unit+".log") }

// Do runs f on a thread inside the host: the sockets that it opens and the files that it names are the host's.
//
// The thread stays in the cgroup of the calling process, so its connections are those of no unit: meshd does not
// capture them. What f starts in other goroutines runs outside of the host.
func (h *Host) Do(f func() error) error {
	return onThread(func() error {
		if err := h.state.Namespaces.enter(h.lab.state.PID); err != nil {
			return fmt.Errorf("enter host %s: %w", h.Name(), err)
		}
		return f()
	})
}

// Dial connects from the host like [net.Dialer.DialContext], but only to an IP address and port. The connection is
// of no unit: see [Host.Do].
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from host %s: %w", h.Name(), err)
	}
	var conn net.Conn
	err := h.Do(func() (err error) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// WaitListening waits until a TCP socket of the host listens on the port, at any address.
//
// It asks the kernel and does not connect, so that neither the program nor meshd sees anything of it.
func (h *Host) WaitListening(ctx context.Context, port uint16) error {
	return h.waitListening(ctx, port, nil)
}

// waitListening also returns, without an error, when ended is closed.
func (h *Host) waitListening(ctx context.Context, port uint16, ended <-chan struct{}) error {
	ticker := time.NewTicker(10 * time.Millisecond) // the kernel announces no listeners
	defer ticker.Stop()
	for {
		listening, err := h.listening(port)
		if err != nil || listening {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for port %d on host %s: %w", port, h.Name(), context.Cause(ctx))
		case <-ended:
			return nil
		case <-ticker.C:
		}
	}
}

func (h *Host) listening(port uint16) (bool, error) {
	const listen = 10 // TCP_LISTEN of linux/tcp_states.h
	found := false
	err := h.Do(func() error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			sockets, err := netlink.SocketDiagTCP(family)
			if err != nil {
				return fmt.Errorf("list sockets: %w", err)
			}
			for _, socket := range sockets {
				found = found || socket.State == listen && socket.ID.SourcePort == port
			}
		}
		return nil
	})
	return found, err
}

// UnitState is what runs in the cgroup of one unit.
type UnitState struct {
	Name string
	PIDs []int
}

// EndedUnit is a unit that ended by itself: nobody stopped it.
type EndedUnit struct {
	Name string
	How  string // its first process, as in "exit status 2"
}

// Ended returns the units of the host that ended by themselves since they were started last, sorted by name.
func (h *Host) Ended() ([]EndedUnit, error) {
	entries, err := os.ReadDir(h.endedPath(""))
	if err != nil {
		return nil, err
	}
	var units []EndedUnit
	for _, entry := range entries {
		group := h.unitCgroup(entry.Name())
		if pids, err := group.pids(); err != nil {
			return nil, err
		} else if len(pids) > 0 || !group.exists() {
			continue // it left processes behind; it was stopped
		}
		how, err := os.ReadFile(h.endedPath(entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // started again meanwhile
		}
		if err != nil {
			return nil, err
		}
		units = append(units, EndedUnit{entry.Name(), string(how)})
	}
	return units, nil
}

// endedPath returns the file that says how a unit ended.
func (h *Host) endedPath(unit string) string { return h.lab.state.path("ended", h.Name(), unit) }

// Units returns the units of the host that have processes, sorted by name.
func (h *Host) Units() ([]UnitState, error) {
	entries, err := os.ReadDir(string(h.unitCgroup("")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var units []UnitState
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		pids, err := h.unitCgroup(entry.Name()).pids()
		if err != nil {
			return nil, err
		}
		if len(pids) > 0 {
			units = append(units, UnitState{entry.Name(), pids})
		}
	}
	return units, nil
}

// UnitFiles returns the units that the folder of the lab has for the host, sorted.
func (h *Host) UnitFiles() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(h.unitFolder(), "*.service"))
	for i := range paths {
		paths[i] = filepath.Base(paths[i])
	}
	return paths, err
}

func (h *Host) unitFolder() string { return filepath.Join(h.lab.Dir(), "units", h.Name()) }

// Stop ends all processes of a unit as systemd does, SIGTERM and after ten seconds SIGKILL, and removes its cgroup.
func (h *Host) Stop(unit string) error {
	group := h.unitCgroup(unit)
	if !group.exists() {
		return fmt.Errorf("stop %s on host %s: it does not run", unit, h.Name())
	}
	err := group.signal(unix.SIGTERM)
	if err == nil {
		err = group.waitEmpty(stopLimit)
	}
	if errors.Is(err, errPopulated) {
		err = group.kill()
	}
	if err == nil {
		err = group.destroy()
	}
	if err != nil {
		return fmt.Errorf("stop %s on host %s: %w", unit, h.Name(), err)
	}
	return nil
}

// stopLimit is how long a unit may take to end in order.
const stopLimit = 10 * time.Second

// spawn starts a command inside the host and from its first instruction on inside the cgroup. A prepare that is not nil
// runs before on the same thread, from which the command inherits its namespaces.
func (h *Host) spawn(cmd *exec.Cmd, group cgroup, prepare func() error) error {
	if err := os.MkdirAll(string(group), 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	folder, err := os.Open(string(group))
	if err != nil {
		return fmt.Errorf("open cgroup: %w", err)
	}
	defer folder.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = int(folder.Fd())
	return h.Do(func() error {
		if prepare != nil {
			if err := prepare(); err != nil {
				return err
			}
		}
		return cmd.Start()
	})
}

// searchPath is the PATH of every process in a lab.
const searchPath = "PATH=" + binFolder + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
