package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// process is the first process of a unit, in the hands of the manager.
type process struct {
	cmd    *exec.Cmd
	said   *readiness // nil: it says nothing
	logged int64
}

// launch starts a unit and does not wait until it is ready.
func (h *Host) launch(file *unitFile, store *fdStore) (*process, error) {
	group := h.unitCgroup(file.Name)
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
	if err := os.RemoveAll(h.endedPath(file.Name)); err != nil {
		return nil, err
	}
	account, err := credential(file.User)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(h.LogPath(file.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{}
	if p.logged, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	if err := h.makeRuntime(file.Runtime, account); err != nil {
		return nil, err
	}
	p.cmd = &exec.Cmd{
		Path:   file.Path,
		Args:   file.Argv,
		Env:    append([]string{searchPath, "LANG=C.UTF-8"}, file.Env...),
		Stdout: log,
		Stderr: log,
		// A session of its own, so that no terminal becomes its terminal.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Credential: account},
	}
	if file.Notify {
		if p.said, err = h.listenStoring(file.Name, store); err != nil {
			return nil, err
		}
		p.cmd.Env = append(p.cmd.Env, "NOTIFY_SOCKET="+p.said.path)
	}
	if store != nil {
		store.pass(p)
	}
	if err := h.spawn(p.cmd, group, nil); err != nil {
		p.said.close()
		return nil, err
	}
	return p, nil
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
