package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespaces are the descriptors in which the supervisor holds the namespaces of one host.
type namespaces struct {
	Mount int `json:"mount"`
	Net   int `json:"net"`
	UTS   int `json:"uts"`
}

// onThread runs f on a thread that is thrown away afterwards, so that f may change the thread's namespaces.
//
// The main thread is never that thread: /proc/self speaks of it, so it has to stay where it is.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine") // t.FailNow does
		defer func() { done <- err }()
		runtime.LockOSThread() // never unlocked: the runtime ends the thread together with the goroutine
		if unix.Gettid() == unix.Getpid() {
			err = onThread(f)
			runtime.UnlockOSThread()
			return
		}
		err = f()
	}()
	return <-done
}

// newNamespaces makes the namespaces of a host and runs setup inside them.
func newNamespaces(setup func() error) (namespaces, error) {
	var n namespaces
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		if err := setup(); err != nil {
			return err
		}
		for _, ns := range []struct {
			name string
			fd   *int
		}{{"mnt", &n.Mount}, {"net", &n.Net}, {"uts", &n.UTS}} {
			fd, err := unix.Open("/proc/thread-self/ns/"+ns.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("open namespace %s: %w", ns.name, err)
			}
			*ns.fd = fd
		}
		return nil
	})
	return n, err
}

// enter moves the calling thread into the namespaces that process pid holds.
func (n namespaces) enter(pid int) error {
	var paths []string
	for _, fd := range []int{n.Mount, n.Net, n.UTS} {
		paths = append(paths, fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	}
	return enterAll(paths)
}

// enterOf moves the calling thread into the namespaces that process pid is in.
func enterOf(pid int) error {
	folder := fmt.Sprintf("/proc/%d/ns/", pid)
	return enterAll([]string{folder + "mnt", folder + "net", folder + "uts"})
}

func enterAll(paths []string) error {
	var files []*os.File
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open namespace: %w (is the lab down?)", err)
		}
		defer f.Close()
		files = append(files, f)
	}
	// A mount namespace can only be entered by a thread that shares its root and working folder with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare working folder: %w", err)
	}
	for _, f := range files {
		if err := unix.Setns(int(f.Fd()), 0); err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
	}
	return nil
}
