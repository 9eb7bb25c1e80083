package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// manager is the service manager's end of the notify socket.
type manager struct{ conn *net.UnixConn }

func newManager(t *testing.T) (*manager, *Notifier) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{conn}, NewNotifier(func(name string) string {
		return map[string]string{"NOTIFY_SOCKET": path}[name]
	})
}

// read returns the next message and the descriptors that came with it.
func (m *manager) read(t *testing.T) (string, []int) {
	t.Helper()
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(maxFDsPerMessage*4))
	n, rn, _, _, err := m.conn.ReadMsgUnix(text, rights)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	for _, message := range messages {
		got, err := unix.ParseUnixRights(&message)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, got...)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	return string(text[:n]), fds
}

func TestNotify(t *testing.T) {
	m, n := newManager(t)
	for _, tc := range []struct {
		send func() error
		want string
	}{
		{func() error { return n.Ready("3 services") }, `READY=1\nSTATUS=3 services`},
		{func() error { return n.Ready("a\nSTOPPING=1") }, `READY=1\nSTATUS=a STOPPING=1`},
		{n.Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*`},
		{n.Stopping, `STOPPING=1`},
		{n.Watchdog, `WATCHDOG=1`},
		{func() error { return n.RemoveFDs("outbound") }, `FDSTOREREMOVE=1\nFDNAME=outbound`},
	} {
		if err := tc.send(); err != nil {
			t.Errorf("%s: %v", tc.want, err)
			continue
		}
		if got, _ := m.read(t); !regexp.MustCompile("^" + tc.want + "$").MatchString(got) {
			t.Errorf("message %q, want %s", got, tc.want)
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	n := NewNotifier(func(string) string { return "" })
	if err := n.Ready("fine"); err != nil {
		t.Error(err)
	}
}

func TestNotifyGoneManager(t *testing.T) {
	m, n := newManager(t)
	m.conn.Close()
	if err := n.Ready("fine"); err == nil {
		t.Error("no error when nobody has the socket")
	}
}

func TestStoreFDs(t *testing.T) {
	m, n := newManager(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var files []*os.File
	for range maxFDsPerMessage + 1 {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	if err := n.StoreFDs("outbound", files...); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{maxFDsPerMessage, 1} {
		text, fds := m.read(t)
		if text != "FDSTORE=1\nFDNAME=outbound" || len(fds) != want {
			t.Fatalf("message %q with %d descriptors, want %d", text, len(fds), want)
		}
		if on, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_ACCEPTCONN); on != 1 || err != nil {
			t.Errorf("the descriptor is no listener: %d, %v", on, err)
		}
		// Accept would take a thread each if storing had made the socket blocking.
		if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 || err != nil {
			t.Errorf("the listener has become blocking: flags %o, %v", flags, err)
		}
	}
	for _, name := range []string{"", "a:b", "a\nREADY=1", "ä", strings.Repeat("a", 256)} {
		if err := n.StoreFDs(name, files[0]); err == nil {
			t.Errorf("no error for name %q", name)
		}
	}
}

// TestMain lets the test binary play the daemon that inherits descriptors.
func TestMain(m *testing.M) {
	if os.Getenv("MESHD_TEST_INHERIT") == "" {
		os.Exit(m.Run())
	}
	inherited := Inherited(func(name string) string {
		if name == "LISTEN_PID" && os.Getenv(name) == "" {
			return fmt.Sprint(os.Getpid())
		}
		return os.Getenv(name)
	})
	var lines []string
	for name, files := range inherited {
		for _, f := range files {
			flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
			lines = append(lines, fmt.Sprintf("%s %d %v %v", name, f.Fd(), flags&unix.FD_CLOEXEC != 0, err))
		}
	}
	slices.Sort(lines)
	fmt.Println(strings.Join(lines, "\n"))
}
