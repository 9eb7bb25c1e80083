// Package systemd holds what meshd needs of systemd: its messages to services, the cgroup tree that it keeps, and its
// resolver. The system bus is spoken to for that resolver only.
package systemd

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFDsPerMessage is SCM_MAX_FD, the most descriptors that the kernel takes with one message.
const maxFDsPerMessage = 253

// Notifier tells the service manager how the daemon fares. Outside of a service it does nothing.
type Notifier struct {
	socket string // empty: nobody listens
}

// NewNotifier returns a notifier for the service manager that the environment names.
func NewNotifier(getenv func(string) string) *Notifier {
	return &Notifier{socket: getenv("NOTIFY_SOCKET")}
}

// Listens says whether there is a service manager to be told.
func (n *Notifier) Listens() bool { return n.socket != "" }

// Ready says that start, or a reload, is done, and what to show as status.
func (n *Notifier) Ready(status string) error { return n.send("READY=1\nSTATUS=" + oneLine(status)) }

// Reloading says that a reload has begun; Ready ends it, also when the reload failed and nothing changed.
func (n *Notifier) Reloading() error {
	// The time tells the manager which of several reloads this message answers.
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("read monotonic clock: %w", err)
	}
	return n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// Stopping says that the daemon is about to end.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Watchdog feeds the watchdog once.
func (n *Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// StoreFDs has the service manager keep descriptors under a name and hand them to the next start of the service. It
// needs FileDescriptorStoreMax= in the unit.
//
// The manager holds a duplicate of each until RemoveFDs, or until the socket is shut down. It leaves out what it
// has already, so that all listeners may be stored again after each change.
func (n *Notifier) StoreFDs(name string, files ...*os.File) error {
	if err := checkFDName(name); err != nil {
		return err
	}
	for chunk := range slices.Chunk(files, maxFDsPerMessage) {
		if err := n.send("FDSTORE=1\nFDNAME="+name, chunk...); err != nil {
			return err
		}
	}
	return nil
}

// RemoveFDs has the service manager close all descriptors that it keeps under a name. Without it, clients of a
// listener that meshd has given up connect to the duplicate, and wait there for ever.
func (n *Notifier) RemoveFDs(name string) error {
	if err := checkFDName(name); err != nil {
		return err
	}
	return n.send("FDSTOREREMOVE=1\nFDNAME=" + name)
}

func (n *Notifier) send(message string, files ...*os.File) error {
	if n.socket == "" {
		return nil
	}
	var rights []byte
	if len(files) > 0 {
		fds, err := descriptors(files)
		if err != nil {
			return err
		}
		rights = unix.UnixRights(fds...)
	}
	// Not package net: it refuses to send descriptors through a datagram socket that is connected.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendmsg(fd, []byte(message), rights, &unix.SockaddrUnix{Name: n.socket}, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("notify service manager at %s: %w", n.socket, err)
	}
	runtime.KeepAlive(files)
	return nil
}

// descriptors returns the numbers behind files, which are good as long as the files are open. It does not use Fd,
// which would make a socket blocking that the Go runtime polls.
func descriptors(files []*os.File) ([]int, error) {
	var fds []int
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return nil, fmt.Errorf("read descriptor of %s: %w", f.Name(), err)
		}
	}
	return fds, nil
}

// checkFDName refuses names that the manager would replace by "unknown".
func checkFDName(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("descriptor name %q is not 1 to 255 printable ASCII characters without colon and space",
			name)
	}
	return nil
}

// oneLine keeps text from being read as further assignments.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
