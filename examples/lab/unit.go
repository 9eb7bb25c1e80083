package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Unit is a started unit, as the process that started it sees it.
type Unit struct {
	host    *Host
	name    string
	process *os.Process // a child of the supervisor
	logged  int64       // where in the log file the output of this start begins

	ready  chan struct{} // closed when the unit has said that it is
	exited chan struct{} // closed after how is set
	how    string        // it ended, as in exitedWell
}

// exitedWell is how a process ends that found nothing wrong.
const exitedWell = "exit status 0"

const (
	startLimit  = 30 * time.Second       // a unit may take as long to become ready
	settleLimit = 200 * time.Millisecond // a unit that promises nothing is ready when it has not ended within it
)

// Start starts a unit of the lab's folder on the host and waits until it is ready: until it says so when it has
// Type=notify, until it listens on the ports of [X-Lab] Listen=, or else for a moment in which a mistake would end it.
//
// The unit file is read now, so one that was written since the lab is up can be started too. The unit does not end with
// the calling process.
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
	return h.startMeshd(ctx, false, args)
}

// StartStoredMeshd is StartMeshd with a store for descriptors: what meshd puts there waits for the next start of this kind,
// as it does under systemd when the unit is restarted, or dies.
func (h *Host) StartStoredMeshd(ctx context.Context, args ...string) (*Unit, error) {
	return h.startMeshd(ctx, true, args)
}

func (h *Host) startMeshd(ctx context.Context, stored bool, args []string) (*Unit, error) {
	if h.lab.state.Meshd == "" {
		return nil, errors.New("start meshd: the lab was made without a meshd binary")
	}
	return h.start(ctx, &unitFile{
		Name:    "meshd.service",
		Path:    filepath.Join(binFolder, "meshd"),
		Argv:    append([]string{"meshd", "-cgroup", h.Cgroup()}, args...),
		Runtime: []string{"meshd"},
		Notify:  true,
		Store:   stored,
	})
}

func (h *Host) start(ctx context.Context, file *unitFile) (*Unit, error) {
	u, err := h.order(file)
	if err == nil {
		if err = u.waitReady(ctx, file); err != nil {
			err = errors.Join(err, u.Kill(), u.lastWords())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start %s on host %s: %w", file.Name, h.Name(), err)
	}
	return u, nil
}

// order has the manager of the lab start a unit.
func (h *Host) order(file *unitFile) (*Unit, error) {
	conn, err := net.Dial("unix", h.lab.state.path(managerSocket))
	if err != nil {
		return nil, fmt.Errorf("reach supervisor: %w (is the lab down?)", err)
	}
	events := json.NewDecoder(conn)
	var first event
	err = json.NewEncoder(conn).Encode(order{Host: h.Name(), Unit: *file})
	if err == nil {
		err = events.Decode(&first)
	}
	if err == nil && first.Error != "" {
		err = errors.New(first.Error)
	}
	u := &Unit{host: h, name: file.Name, logged: first.Logged, ready: make(chan struct{}), exited: make(chan struct{})}
	if err == nil {
		u.process, err = os.FindProcess(first.PID)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	h.lab.following.Go(func() {
		defer conn.Close()
		u.follow(events)
	})
	return u, nil
}

// Stored returns the names of the descriptors that the manager keeps for a unit, sorted; none when it has no store.
func (h *Host) Stored(unit string) ([]string, error) {
	conn, err := net.Dial("unix", h.lab.state.path(managerSocket))
	if err != nil {
		return nil, fmt.Errorf("reach supervisor: %w (is the lab down?)", err)
	}
	defer conn.Close()
	var answer event
	err = errors.Join(json.NewEncoder(conn).Encode(order{Host: h.Name(), Unit: unitFile{Name: unit}, List: true}), json.NewDecoder(conn).Decode(&answer))
	return answer.Stored, err
}

// follow hears what becomes of the unit until it has ended.
func (u *Unit) follow(events *json.Decoder) {
	defer close(u.exited)
	for u.how == "" {
		var e event
		if err := events.Decode(&e); err != nil {
			u.how = "it was killed together with the lab"
			return
		}
		if e.Ready {
			close(u.ready)
		}
		u.how = e.Ended
	}
}

// waitReady waits until the unit is ready. The end of the unit is an error.
func (u *Unit) waitReady(ctx context.Context, file *unitFile) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not ready after %s", startLimit))
	defer cancel()
	if file.Notify || file.Listen == nil {
		var settled <-chan time.Time // never, for a unit that says when it is ready
		if !file.Notify {
			settled = time.After(settleLimit)
		}
		select {
		case <-u.ready:
		case <-settled:
		case <-u.exited:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, port := range file.Listen {
		if err := u.host.waitListening(ctx, port, u.exited); err != nil {
			return fmt.Errorf("%w: its unit file has [X-Lab] Listen=%d", err, port)
		}
	}
	select {
	case <-u.exited:
		return fmt.Errorf("it ended at once: %s", u.how)
	default:
		return nil
	}
}

// Name returns the name of the unit.
func (u *Unit) Name() string { return u.name }

// PID returns the id of the unit's first process.
func (u *Unit) PID() int { return u.process.Pid }

// Signal sends a signal to the unit's first process.
func (u *Unit) Signal(sig os.Signal) error { return u.process.Signal(sig) }

// Wait waits for the end of the unit's first process. An exit status other than 0, and a signal, is an error.
func (u *Unit) Wait() error {
	<-u.exited
	if u.how != exitedWell {
		return errors.New(u.how)
	}
	return nil
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

// lastWords returns the last lines of the log, what a person wants to see of it, as an error; nil when there are none.
func (u *Unit) lastWords() error {
	text, err := u.Log()
	if text = strings.TrimSpace(text); err != nil || text == "" {
		return err
	}
	lines := strings.Split(text, "\n")
	return errors.New(strings.Join(lines[max(0, len(lines)-10):], "\n"))
}
