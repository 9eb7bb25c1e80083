package lab

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// fdStore is what a unit has handed to the manager, to get it back at its next start, as with FileDescriptorStoreMax= of
// systemd.
type fdStore struct {
	mu    sync.Mutex
	names []string
	files []*os.File
}

// obey does what a message of sd_notify(3) wants done with the descriptors that came with it, which it takes over.
func (s *fdStore) obey(message []string, fds []int) {
	name := "stored"
	for _, line := range message {
		if value, found := strings.CutPrefix(line, "FDNAME="); found {
			name = value
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(message, "FDSTOREREMOVE=1") {
		s.remove(func(i int) bool { return s.names[i] == name })
	}
	for _, fd := range fds {
		file := os.NewFile(uintptr(fd), name)
		if slices.Contains(message, "FDSTORE=1") && !slices.ContainsFunc(s.files, func(f *os.File) bool { return isSame(f, file) }) {
			s.names, s.files = append(s.names, name), append(s.files, file)
			continue
		}
		file.Close()
	}
}

func (s *fdStore) remove(isUnwanted func(i int) bool) {
	for i := len(s.files) - 1; i >= 0; i-- {
		if isUnwanted(i) {
			s.files[i].Close()
			s.files, s.names = slices.Delete(s.files, i, i+1), slices.Delete(s.names, i, i+1)
		}
	}
}

func (s *fdStore) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(func(int) bool { return true })
}

// listed returns the names of the descriptors, sorted.
func (s *fdStore) listed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.names))
}

// pass has a process that is about to be started inherit what is stored, by the protocol of sd_listen_fds(3). Only the
// process itself knows its id, so that a shell becomes it.
func (s *fdStore) pass(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return
	}
	p.cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, p.cmd.Path}, p.cmd.Args[1:]...)
	p.cmd.Path = "/bin/sh"
	p.cmd.ExtraFiles = s.files
	p.cmd.Env = append(p.cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(s.files)), "LISTEN_FDNAMES="+strings.Join(s.names, ":"))
}

func isSame(a, b *os.File) bool {
	one, err := a.Stat()
	if err != nil {
		return false
	}
	other, err := b.Stat()
	return err == nil && os.SameFile(one, other)
}

// descriptors returns those that came with a message.
func descriptors(control []byte) (all []int) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
		}
		all = append(all, fds...)
	}
	return all
}
