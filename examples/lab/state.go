package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stateRoot has one folder for each lab. It is named after the lab and locked by the lab's supervisor.
const stateRoot = "/run/meshlab"

// ErrNotFound says that there is no lab of that name, perhaps no longer.
var ErrNotFound = errors.New("no such lab")

// state is what the supervisor wrote down about a lab, enough to use the lab or to remove it.
type state struct {
	Name    string      `json:"name"`
	Dir     string      `json:"dir"`
	Meshd   string      `json:"meshd"`
	Tree    string      `json:"tree,omitempty"` // of hosts that are booted
	Cgroup  cgroup      `json:"cgroup"`
	PID     int         `json:"pid"` // of the supervisor
	Outside hostState   `json:"outside"`
	Hosts   []hostState `json:"hosts"`
}

func stateFolder(name string) string { return filepath.Join(stateRoot, name) }

func (s *state) path(elem ...string) string {
	return filepath.Join(append([]string{stateFolder(s.Name)}, elem...)...)
}

// save replaces the state file at once, because others may be reading it.
func (s *state) save() error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("state.json.new"), text, 0o644); err != nil {
		return err
	}
	return os.Rename(s.path("state.json.new"), s.path("state.json"))
}

func loadState(name string) (*state, error) {
	text, err := os.ReadFile(filepath.Join(stateFolder(name), "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open lab %s: %w: see meshlab list", name, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("read state of lab %s: %w", name, err)
	}
	return s, nil
}

// claim makes the state folder and locks it until this process ends.
func (s *state) claim() error {
	if err := os.MkdirAll(stateRoot, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(s.path(), 0o755); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make lab %s: it exists: choose another name or run meshlab -lab %s down", s.Name, s.Name)
	} else if err != nil {
		return err
	}
	_, err := s.lock(unix.LOCK_EX)
	return err
}

// lock takes the lock of the state folder. It is held until the descriptor is closed.
func (s *state) lock(how int) (fd int, err error) {
	fd, err = unix.Open(s.path(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", s.path(), err)
	}
	for {
		err = unix.Flock(fd, how)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			unix.Close(fd)
			return -1, fmt.Errorf("lock %s: %w", s.path(), err)
		}
	}
}

// remove ends all processes of the lab and removes its cgroups and its state folder.
//
// When processes or cgroups are left, the state folder stays, so that it can be tried again.
func (s *state) remove() error {
	if err := s.Cgroup.destroy(); err != nil {
		return fmt.Errorf("remove lab %s: %w", s.Name, err)
	}
	return os.RemoveAll(s.path())
}

// end makes the supervisor end the lab and waits for it. When there is no supervisor any more it does its work.
func (s *state) end() error {
	fd, err := s.lock(unix.LOCK_EX | unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		if err := unix.Kill(s.PID, unix.SIGTERM); err != nil && err != unix.ESRCH {
			return fmt.Errorf("end supervisor: %w", err)
		}
		fd, err = s.lock(unix.LOCK_EX)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone already
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return s.remove()
}

// alive says whether the supervisor holds the lab.
func (s *state) alive() bool {
	fd, err := s.lock(unix.LOCK_SH | unix.LOCK_NB)
	if err == nil {
		unix.Close(fd)
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}
