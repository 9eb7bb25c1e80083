package systemd

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// How descriptors are passed.
const (
	unnamedFD  = "unknown" // what systemd calls a descriptor without a name
	firstFD    = 3
	maxInherit = 4096 // what a unit may set as FileDescriptorStoreMax= for us; guards against a broken environment
)

// Inherited returns the descriptors that the service manager has passed to this process, by name: sockets of socket
// units and what StoreFDs stored before. Call it once: the files own the descriptors. They are closed on exec. What
// the process has opened itself has other numbers, as these were open before it began.
//
// The variables stay in the environment, where they mean nothing to a child, as they name this process.
func Inherited(getenv func(string) string) map[string][]*os.File {
	if getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count <= 0 {
		return nil
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	inherited := make(map[string][]*os.File)
	for i := range min(count, maxInherit) {
		fd := firstFD + i
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			continue // not open
		}
		name := unnamedFD
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		inherited[name] = append(inherited[name], os.NewFile(uintptr(fd), name))
	}
	return inherited
}
