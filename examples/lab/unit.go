package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Unit is a started unit, in the hands of the process that started it.
type Unit struct {
	host   *Host
	name   string
	cmd    *exec.Cmd
	logged int64 // where in the log file the output of this start begins

	exited chan struct{} // closed after err is set
	err    error
}

// startLimit is how long a unit may take to become ready.
const startLimit = 30 * time.Second

// Start starts a unit of the lab's folder on the host and waits until it is ready: until it says so when it has
// Type=notify, and until it listens on the ports of [X-Lab] Listen=.
//
// The unit file is read now, so one that was written since the lab is up can be started too.
func (h *Host) Start(ctx context.Context, name string) (*Unit, error) {
	file, err := readUnit(filepath.Join(h.unitFolder(), name))
	if err != nil {
		return nil, err
	}
	return h.start(ctx, file)
}

// StartMeshd starts meshd as meshd.service, with the host's cgroup for its root, and waits until it says that it is
// ready. The arguments are added to -cgroup.
func (h *Host) StartMeshd(ctx context.Context, args ...string) (*Unit, error) {
	if h.lab.state.Meshd == "" {
		return nil, errors.New("start meshd: the lab was made without a meshd binary")
	}
	return h.start(ctx, &unitFile{
		name:    "meshd.service",
		path:    h.lab.state.Meshd,
		argv:    append([]string{"meshd", "-cgroup", h.Cgroup()}, args...),
		runtime: []string{"meshd"},
		notify:  true,
	})
}

func (h *Host) start(ctx context.Context, file *unitFile) (*Unit, error) {
	u, err := h.launch(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("start %s on host %s: %w", file.name, h.Name(), err)
	}
	return u, nil
}

func (h *Host) launch(ctx context.Context, file *unitFile) (*Unit, error) {
	group := h.unitCgroup(file.name)
	if pids, err := group.pids(); err != nil {
		return nil, err
	} else if len(pids) > 0 {
		return nil, fmt.Errorf("it runs already: processes %v", pids)
	}
	// Every start gets a cgroup of its own, as with systemd. Besides, Linux 6.18 kills what is started into a cgroup
	// that was once killed, when the group of the starting process was not.
	if err := group.destroy(); err != nil {
		return nil, err
	}
	account, err := credential(file.user)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(h.LogPath(file.name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	u := &Unit{host: h, name: file.name, exited: make(chan struct{})}
	if u.logged, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	if err := h.makeRuntime(file.runtime, account); err != nil {
		return nil, err
	}
	u.cmd = &exec.Cmd{
		Path:   file.path,
		Args:   file.argv,
		Env:    append([]string{searchPath, "LANG=C.UTF-8"}, file.env...),
		Stdout: log,
		Stderr: log,
		// A session of its own, so that an interrupt at the terminal does not reach it.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: account},
	}
	var said *readiness
	if file.notify {
		if said, err = h.listenReadiness(file.name); err != nil {
			return nil, err
		}
		u.cmd.Env = append(u.cmd.Env, "NOTIFY_SOCKET="+said.path)
	}
	if err := h.spawn(u.cmd, group); err != nil {
		said.close()
		return nil, err
	}
	h.lab.running.Go(func() {
		u.err = u.cmd.Wait()
		said.close()
		close(u.exited)
	})
	if err := u.waitReady(ctx, file, said); err != nil {
		text, _ := u.Log()
		return nil, errors.Join(err, u.Kill(), errors.New(lastLines(text)))
	}
	return u, nil
}

// waitReady waits until the unit is ready. The end of the unit is an error.
func (u *Unit) waitReady(ctx context.Context, file *unitFile, said *readiness) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready after %s", startLimit))
	defer cancel()
	if said != nil {
		select {
		case <-said.ready:
		case <-u.exited:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, port := range file.listen {
		if err := u.host.waitListening(ctx, port, u.exited); err != nil {
			return err
		}
	}
	select {
	case <-u.exited:
		return fmt.Errorf("it ended at once: %s", u.cmd.ProcessState)
	default:
		return nil
	}
}

// Name returns the name of the unit.
func (u *Unit) Name() string { return u.name }

// PID returns the id of the unit's first process.
func (u *Unit) PID() int { return u.cmd.Process.Pid }

// Signal sends a signal to the unit's first process.
func (u *Unit) Signal(sig os.Signal) error { return u.cmd.Process.Signal(sig) }

// Wait waits for the end of the unit's first process and returns how it ended, like [exec.Cmd.Wait].
func (u *Unit) Wait() error {
	<-u.exited
	return u.err
}

// Stop ends all processes of the unit as systemd does and waits for it: SIGTERM, and after ten seconds SIGKILL.
func (u *Unit) Stop() error {
	if err := u.host.Stop(u.name); err != nil {
		return err
	}
	<-u.exited
	return nil
}

// Kill ends all processes of the unit at once, as if the power had failed, and waits for it.
func (u *Unit) Kill() error {
	if err := u.host.unitCgroup(u.name).kill(); err != nil {
		return err
	}
	<-u.exited
	return nil
}

// Log returns what the unit has written since it was started.
func (u *Unit) Log() (string, error) {
	f, err := os.Open(u.host.LogPath(u.name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, u.logged, 1<<40))
	return string(text), err
}

// lastLines returns the last lines of a log: what a person wants to see of it in an error.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// makeRuntime makes folders below /run for the account of a unit.
func (h *Host) makeRuntime(folders []string, account *syscall.Credential) error {
	return h.Do(func() error {
		for _, folder := range folders {
			path := filepath.Join("/run", folder)
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			if account == nil {
				continue
			}
			if err := os.Chown(path, int(account.Uid), int(account.Gid)); err != nil {
				return err
			}
		}
		return nil
	})
}

// credential returns the ids of an account by its name; nil for root.
func credential(name string) (*syscall.Credential, error) {
	if name == "" {
		return nil, nil
	}
	account, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("find user: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
