package lab

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Config says which lab [Up] makes.
type Config struct {
	Dir   string // the folder that describes the lab; required
	Meshd string // the meshd binary, which may be replaced by a new build while the lab is up; empty: [Host.StartMeshd] is an error and the hosts have no meshctl
	Name  string // empty: a name that is not in use
	Tree  string // the files of a Debian: with it the hosts are whole systems, which [Lab.Boot] boots, and nothing of Dir is copied to them
}

// Lab is a set of hosts that live until [Lab.Down] or the end of the process that made them.
type Lab struct {
	state   state
	hosts   []*Host
	booted  []*Booted
	outside *Host

	supervisor *exec.Cmd      // nil when another process made the lab, or after Down
	lifeline   io.WriteCloser // the supervisor ends when it is closed
	report     io.Reader      // what the supervisor says
	following  sync.WaitGroup // units that this process started
}

var labName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Up makes the hosts that a folder describes. It starts no process on them.
//
// It needs root. When it fails nothing is left behind. The end of ctx aborts it, but does not end a lab that is up.
func Up(ctx context.Context, config Config) (*Lab, error) {
	plan, err := newPlan(config)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{supervisorName, string(text)}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt at the terminal is not for the supervisor
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	report, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	l := &Lab{state: *plan, supervisor: cmd, lifeline: lifeline, report: report}
	abort := context.AfterFunc(ctx, func() { lifeline.Close() })
	err = l.waitReady()
	if !abort() {
		err = errors.Join(context.Cause(ctx), err)
	}
	if err == nil {
		err = l.open()
	}
	if err != nil {
		return nil, fmt.Errorf("make lab %s: %w", l.Name(), errors.Join(err, l.letGo()))
	}
	return l, nil
}

func newPlan(config Config) (*state, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("make lab: it needs root: try again with sudo")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	plan := &state{Name: config.Name, Dir: dir}
	if plan.Hosts, err = describe(dir); err != nil {
		return nil, err
	}
	plan.Outside.Name = Outside
	for _, net := range networks(plan.Hosts) {
		plan.Outside.Addresses = append(plan.Outside.Addresses, net.Addr())
	}
	if config.Meshd != "" {
		if plan.Meshd, err = filepath.Abs(config.Meshd); err != nil {
			return nil, err
		}
		if plan.Meshd, err = filepath.EvalSymlinks(plan.Meshd); err != nil {
			return nil, fmt.Errorf("find meshd: %w", err)
		}
	}
	if config.Tree != "" {
		if plan.Tree, err = filepath.Abs(config.Tree); err != nil {
			return nil, err
		}
	}
	if plan.Name == "" {
		plan.Name = "lab-" + strings.ToLower(rand.Text()[:6])
	}
	if !labName.MatchString(plan.Name) {
		return nil, fmt.Errorf("make lab: name %q: use at most 40 lower-case letters, digits and dashes", plan.Name)
	}
	root, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	plan.Cgroup = root.child("meshlab-" + plan.Name)
	return plan, nil
}

// waitReady waits for the first word of the supervisor: that the lab is up, or why it cannot be.
func (l *Lab) waitReady() error {
	word := make([]byte, len(reportReady))
	n, err := io.ReadFull(l.report, word)
	if err == nil && string(word) == reportReady {
		return nil
	}
	rest, err := io.ReadAll(l.report)
	if err != nil {
		return fmt.Errorf("read report of supervisor: %w", err)
	}
	return errors.New(strings.TrimSpace(string(word[:n]) + string(rest)))
}

// open reads the state that the supervisor wrote.
func (l *Lab) open() error {
	s, err := loadState(l.state.Name)
	if err != nil {
		return err
	}
	l.use(*s)
	return nil
}

// use makes the lab the one that s describes.
func (l *Lab) use(s state) {
	l.state = s
	l.outside = &Host{lab: l, state: s.Outside}
	l.hosts = nil
	if s.Tree != "" {
		return // they are there once they are booted
	}
	for _, host := range s.Hosts {
		l.hosts = append(l.hosts, &Host{lab: l, state: host})
	}
}

// Open returns a lab that is up already, made by another process and left with [Lab.Detach].
func Open(name string) (*Lab, error) {
	l := &Lab{state: state{Name: name}}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

// Names returns the names of all labs of the machine, sorted.
func Names() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(stateRoot, "*", "state.json"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, path := range paths {
		names = append(names, filepath.Base(filepath.Dir(path)))
	}
	return names, nil
}

// Name returns the name of the lab.
func (l *Lab) Name() string { return l.state.Name }

// Dir returns the folder that describes the lab.
func (l *Lab) Dir() string { return l.state.Dir }

// Alive says whether the lab has a supervisor. Without one its hosts are gone, and [Lab.Down] clears away the rest.
func (l *Lab) Alive() bool { return l.state.alive() }

// Hosts returns the hosts of the mesh, sorted by name, without [Outside].
func (l *Lab) Hosts() []*Host { return slices.Clone(l.hosts) }

// Host returns the host of that name, [Outside] included. It is nil when there is none.
func (l *Lab) Host(name string) *Host {
	if name == Outside {
		return l.outside
	}
	for _, host := range l.hosts {
		if host.Name() == name {
			return host
		}
	}
	return nil
}

// Queries returns what the resolver of the lab was asked so far, oldest first, as in "udp 10.77.0.11 A outside.example.".
func (l *Lab) Queries() ([]string, error) {
	text, err := os.ReadFile(l.state.path(queryLog))
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }), nil
}

// queryLog is the file in the state folder that has what the resolver was asked.
const queryLog = "queries.log"

// Detach lets the lab go on after this process has ended. It is the last call on the lab.
func (l *Lab) Detach() error {
	if l.supervisor == nil {
		return nil
	}
	if _, err := io.WriteString(l.lifeline, orderDetach); err != nil {
		return fmt.Errorf("detach lab %s: %w", l.Name(), err)
	}
	return errors.Join(l.lifeline.Close(), l.supervisor.Process.Release())
}

// Down ends every process of the lab and removes all of it. A second call does nothing.
func (l *Lab) Down() error {
	err := l.letGo()
	err = errors.Join(err, l.state.end())
	l.following.Wait()
	return err
}

// letGo waits for the end of the supervisor, if it is this process's, and returns what it complained of.
func (l *Lab) letGo() error {
	cmd := l.supervisor
	if cmd == nil {
		return nil
	}
	l.supervisor = nil
	l.lifeline.Close()
	text, err := io.ReadAll(l.report)
	if err == nil && len(text) > 0 {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	_ = cmd.Wait() // the exit status says less than the text
	return err
}
