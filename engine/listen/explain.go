package listen

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// explain adds to an error of bind what a person can do about it.
func explain(err error, network string, addr netip.AddrPort) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := "by another process"
		if pid := holder(network, addr.Port()); pid != 0 {
			who = "by " + process(pid)
		}
		return fmt.Errorf("%s port %d is in use %s; stop it, or give meshd another port: %w",
			network, addr.Port(), who, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not one of this host (see ip address): %w", addr.Addr(), err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("a port below 1024 takes CAP_NET_BIND_SERVICE; run meshd as root or from its unit: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the kernel guards %s port %d, as it does for another meshd (see meshctl status): %w",
			network, addr.Port(), err)
	}
	return err
}

// holder returns the process that has a port of the calling thread's network namespace, or 0: the process may be
// another user's, or hidden in another pid namespace.
func holder(network string, port uint16) int {
	for _, table := range []string{network, network + "6"} {
		file, err := os.Open("/proc/thread-self/net/" + table)
		if err != nil {
			continue
		}
		inode := inodeOf(bufio.NewScanner(file), network, port)
		file.Close()
		if pid := pidOf(inode); pid != 0 {
			return pid
		}
	}
	return 0
}

// inodeOf reads the format of /proc/net/tcp and returns the socket that listens on port, or "".
func inodeOf(table *bufio.Scanner, network string, port uint16) string {
	state := "0A" // listening
	if network == "udp" {
		state = "07" // not connected
	}
	for table.Scan() {
		f := strings.Fields(table.Text())
		if len(f) < 10 || f[3] != state {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(p) == port {
			return f[9]
		}
	}
	return ""
}

// pidOf returns the process that has the socket open, or 0.
func pidOf(inode string) int {
	if inode == "" {
		return 0
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range descriptors {
		if target, err := os.Readlink(path); err == nil && target == "socket:["+inode+"]" {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			return pid
		}
	}
	return 0
}

// process names a process for people.
func process(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("pid %d", pid)
	}
	return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), pid)
}
