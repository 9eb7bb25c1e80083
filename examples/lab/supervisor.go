package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	supervisorName = "meshlab-supervisor" // argv[0] of a supervisor
	reportReady    = "ready\n"            // what a supervisor writes when its lab is up
	orderDetach    = "detach"             // what it reads when it shall outlive its parent
)

// init turns a process that [Up] started from its own executable into a supervisor.
//
// It is done here and not in a main function, so that any program may import the package, tests included. All of the
// supervisor's life is spent in init, and during init the main thread runs nothing else: see onThread.
func init() {
	if len(os.Args) == 2 && os.Args[0] == supervisorName {
		os.Exit(supervise(os.Args[1]))
	}
}

// supervisor owns the namespaces of one lab.
type supervisor struct {
	state
	resolver *resolver
	manager  *manager
}

// supervise makes the lab that plan describes, holds it until it is told to end or its parent is gone, and removes it.
func supervise(plan string) int {
	// The parent may be gone when there is something to report. They are not ignored, because units would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP)
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	s := &supervisor{}
	err := json.Unmarshal([]byte(plan), &s.state)
	if err == nil {
		err = s.claim()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err = s.build(); err == nil {
		fmt.Print(reportReady)
		hold(terminated)
	}
	if s.manager != nil {
		err = errors.Join(err, s.manager.close())
	}
	if s.resolver != nil {
		s.resolver.close()
	}
	if err = errors.Join(err, s.remove()); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// hold returns when the lab shall end.
func hold(terminated <-chan os.Signal) {
	lost := make(chan struct{})
	go func() { // ends with the process
		if order, _ := io.ReadAll(os.Stdin); string(order) != orderDetach {
			close(lost)
		}
	}()
	select {
	case <-terminated:
	case <-lost:
	}
}

func (s *supervisor) build() error {
	s.PID = os.Getpid()
	if err := s.save(); err != nil {
		return err
	}
	if err := os.Mkdir(string(s.Cgroup), 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if err := s.buildHost(&s.Outside); err != nil {
		return err
	}
	if err := makeBridge(s.Outside.Namespaces, s.Outside.Addresses); err != nil {
		return err
	}
	if err := s.startResolver(); err != nil {
		return err
	}
	for i := range s.Hosts {
		host := &s.Hosts[i]
		if s.Tree != "" {
			if err := s.makeFolders(*host); err != nil {
				return err
			}
			continue // it makes the rest when it boots
		}
		if err := s.buildHost(host); err != nil {
			return err
		}
		if err := join(s.Outside.Namespaces, host.Namespaces, "port"+strconv.Itoa(i), host.Addresses); err != nil {
			return fmt.Errorf("connect host %s: %w", host.Name, err)
		}
	}
	var err error
	if s.manager, err = startManager(s.state); err != nil {
		return err
	}
	return s.save()
}

func (s *supervisor) buildHost(host *hostState) error {
	if err := s.makeFolders(*host); err != nil {
		return err
	}
	n, err := newNamespaces(func() error {
		if err := mountHost(s.Dir, s.Meshd, s.Tree); err != nil {
			return err
		}
		if err := unix.Sethostname([]byte(host.Name)); err != nil {
			return fmt.Errorf("set host name: %w", err)
		}
		return s.writeFiles(*host)
	})
	if err != nil {
		return fmt.Errorf("make host %s: %w", host.Name, err)
	}
	host.Namespaces = n
	return nil
}

func (s *supervisor) makeFolders(host hostState) error {
	folders := []string{string(s.Cgroup.child(host.Name)), s.path("log", host.Name), s.path("ended", host.Name)}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (s *supervisor) startResolver() error {
	log, err := os.OpenFile(s.path(queryLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	return onThread(func() error {
		if err := s.Outside.Namespaces.enter(os.Getpid()); err != nil {
			return err
		}
		s.resolver, err = startResolver(log, s.Outside.Addresses)
		return err
	})
}
