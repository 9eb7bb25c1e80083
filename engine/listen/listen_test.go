package listen

import (
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	any4 = netip.MustParseAddrPort("127.0.0.1:0")
	any6 = netip.MustParseAddrPort("[::1]:0")
)

func newSet(t *testing.T, inherited map[string][]*os.File) *Set {
	t.Helper()
	s := New(inherited)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// handOn closes the set as a daemon does that ends, and returns what the service manager has stored by then.
func handOn(t *testing.T, s *Set) map[string][]*os.File {
	t.Helper()
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return files
}

func listenTCP(t *testing.T, s *Set, name string, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	l, err := s.TCP(t.Context(), name, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestTCPIsAdopted(t *testing.T) {
	for _, addr := range []netip.AddrPort{any4, any6} {
		first := newSet(t, nil)
		bound := listenTCP(t, first, "outbound", addr)
		files := handOn(t, first)

		// A connection made while nobody runs waits in the backlog and is served by the next process.
		waiting, err := net.Dial("tcp", bound.String())
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()

		second := newSet(t, files)
		l, err := second.TCP(t.Context(), "outbound", bound)
		if err != nil {
			t.Fatal(err)
		}
		served, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer served.Close()
		if got, want := served.RemoteAddr().String(), waiting.LocalAddr().String(); got != want {
			t.Errorf("accepted %s, want %s", got, want)
		}
		if left := second.Leftover(); left != nil {
			t.Errorf("left over: %v", left)
		}
	}
}

// TestLoopbackQueue wants one listener at all addresses of 127.0.0.0/8, and to be found again as such only.
func TestLoopbackQueue(t *testing.T) {
	first := newSet(t, nil)
	l, err := first.LoopbackQueue(t.Context(), "outbound", 0)
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	if got, want := first.Sockets()[0].Address, "0.0.0.0%lo:"+strconv.Itoa(int(port)); got != want {
		t.Errorf("listed as %s, want %s", got, want)
	}
	files := handOn(t, first)
	if w := (wanted{kind: unix.SOCK_STREAM, addr: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}); w.matches(int(files["outbound"][0].Fd())) {
		t.Error("taken for a listener at all devices")
	}
	second := newSet(t, files)
	l, err = second.LoopbackQueue(t.Context(), "outbound", port)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "127.77.200.3"} {
		to := net.JoinHostPort(host, strconv.Itoa(int(port)))
		client, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if got := acceptedAt(t, l); got != to {
			t.Errorf("dialled %s, accepted at %s", to, got)
		}
	}
}

func TestTCPOfOtherAddressIsEnded(t *testing.T) {
	first := newSet(t, nil)
	old := listenTCP(t, first, "metrics", any4)
	files := handOn(t, first)
	stored := duplicate(t, files["metrics"][0]) // what the service manager goes on to hold

	second := newSet(t, files)
	bound := listenTCP(t, second, "metrics", any6)
	if conn, err := net.Dial("tcp", old.String()); err == nil {
		conn.Close()
		t.Error("the old address still takes connections")
	}
	// Its port is free although the manager has not let go yet.
	listenTCP(t, second, "metrics", old)
	runtime.KeepAlive(stored)
	want := []Socket{{"metrics", "tcp", old.String()}, {"metrics", "tcp", bound.String()}}
	if got := second.Sockets(); !slices.Equal(got, want) {
		t.Errorf("sockets %v, want %v", got, want)
	}
}

// duplicate returns a second descriptor of a file, closed at the end of the test.
func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	var copied int
	var err error
	control(f, func(fd int) { copied, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(copied), f.Name())
	t.Cleanup(func() { file.Close() })
	return file
}

func TestOfOtherKindIsNotAdopted(t *testing.T) {
	var mptcp net.ListenConfig
	mptcp.SetMultipathTCP(true)
	multipath, err := mptcp.Listen(t.Context(), "tcp4", any4.String())
	if err != nil {
		t.Fatal(err)
	}
	defer multipath.Close()
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(any4))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	dual, err := net.Listen("tcp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dual.Close()
	regular, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	want4, want6 := wanted{kind: unix.SOCK_STREAM, addr: any4}, wanted{kind: unix.SOCK_STREAM, addr: netip.MustParseAddrPort("[::]:0")}
	for name, tc := range map[string]struct {
		file *os.File
		want wanted
	}{
		"multipath":         {fileOf(t, multipath.(*net.TCPListener)), want4},
		"udp":               {fileOf(t, udp), want4},
		"IPv4 through IPv6": {fileOf(t, dual.(*net.TCPListener)), want6},
		"not a socket":      {regular, want4},
	} {
		s := newSet(t, map[string][]*os.File{"outbound": {tc.file}})
		l, err := adopt(s, "outbound", tc.want.matches, net.FileListener)
		if l != nil || err != nil {
			t.Errorf("%s: adopted %v, %v", name, l, err)
		}
	}
}

func fileOf(t *testing.T, s socket) *os.File {
	t.Helper()
	f, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestListenersAreNotMultipath(t *testing.T) {
	s := newSet(t, nil)
	listenTCP(t, s, "outbound", any4)
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer files["outbound"][0].Close()
	control(files["outbound"][0], func(fd int) {
		if got := option(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); got != unix.IPPROTO_TCP {
			t.Errorf("protocol %d, want %d", got, unix.IPPROTO_TCP)
		}
	})
}

func TestUDPIsAdopted(t *testing.T) {
	for _, addr := range []netip.AddrPort{any4, any6} {
		first := newSet(t, nil)
		c, err := first.UDP("dns", addr)
		if err != nil {
			t.Fatal(err)
		}
		bound := c.LocalAddr().(*net.UDPAddr).AddrPort()
		files := handOn(t, first)
		client, err := net.Dial("udp", bound.String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := io.WriteString(client, "query"); err != nil {
			t.Fatal(err)
		}
		c, err = newSet(t, files).UDP("dns", bound)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		n, err := c.Read(buf)
		if string(buf[:n]) != "query" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
	}
}

func TestPortInUse(t *testing.T) {
	s := newSet(t, nil)
	tcp := listenTCP(t, s, "first", any6)
	c, err := s.UDP("first", any4)
	if err != nil {
		t.Fatal(err)
	}
	udp := c.LocalAddr().(*net.UDPAddr).AddrPort()
	me := "(pid " + strconv.Itoa(os.Getpid()) + ")"

	_, err = s.TCP(t.Context(), "second", tcp)
	if err == nil || !strings.Contains(err.Error(), me) || !strings.Contains(err.Error(), strconv.Itoa(int(tcp.Port()))) {
		t.Errorf("error %v names neither port %d nor process %s", err, tcp.Port(), me)
	}
	_, err = s.UDP("second", udp)
	if err == nil || !strings.Contains(err.Error(), me) {
		t.Errorf("error %v does not name process %s", err, me)
	}
}

func TestAddressOfAnotherHost(t *testing.T) {
	_, err := newSet(t, nil).TCP(t.Context(), "inbound", netip.MustParseAddrPort("192.0.2.1:0"))
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1 is not one of this host") {
		t.Errorf("error %v", err)
	}
}

func TestUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshd.sock")
	s := newSet(t, nil)
	if _, err := s.Unix("control", path, 0o660, os.Getgid()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), fs.ModeSocket|0o660; got != want {
		t.Errorf("mode %v, want %v", got, want)
	}

	_, err = newSet(t, nil).Unix("control", path, 0o660, -1)
	if err == nil || !strings.Contains(err.Error(), "(pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("error %v does not name the process that listens", err)
	}

	if err := s.Close(); err != nil { // the file stays, stale
		t.Fatal(err)
	}
	if _, err := newSet(t, nil).Unix("control", path, 0o600, -1); err != nil {
		t.Errorf("a stale socket is in the way: %v", err)
	}
	dial(t, path).Close()
}

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestUnixLeavesOtherFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(path, []byte("dear diary"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newSet(t, nil).Unix("control", path, 0o660, -1); err == nil {
		t.Error("no error for a path that is not a socket")
	}
	if text, err := os.ReadFile(path); string(text) != "dear diary" || err != nil {
		t.Errorf("file holds %q, %v", text, err)
	}
}

// Reading which file a unix socket is bound to takes CAP_NET_ADMIN.
func TestRootUnixIsAdopted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meshd.sock")
	first := newSet(t, nil)
	if _, err := first.Unix("control", path, 0o660, -1); err != nil {
		t.Fatal(err)
	}
	files := handOn(t, first)
	waiting := dial(t, path)
	defer waiting.Close()

	second := newSet(t, files)
	l, err := second.Unix("control", path, 0o660, -1)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}

	// The folder is cleared while nobody runs: clients can not reach the stored socket any more.
	files = handOn(t, second)
	if err := os.Remove(path); err != nil {
		t.Fatalf("the socket's file is gone after a restart: %v", err)
	}
	if l, err = newSet(t, files).Unix("control", path, 0o660, -1); err != nil {
		t.Fatal(err)
	}
	defer dial(t, path).Close()
	if conn, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

// Making a network namespace takes CAP_SYS_ADMIN.
func TestRootListenerOfAnotherNetnsIsNotAdopted(t *testing.T) {
	type made struct {
		fd  int
		err error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, and its namespace, end with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- made{err: err}
			return
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 15001})
		}
		if err == nil {
			err = unix.Listen(fd, 1)
		}
		result <- made{fd, err}
	}()
	foreign := <-result
	if foreign.err != nil {
		t.Fatal(foreign.err)
	}
	defer unix.Close(foreign.fd)
	if (wanted{kind: unix.SOCK_STREAM, addr: netip.MustParseAddrPort("0.0.0.0:15001")}).matches(foreign.fd) {
		t.Error("a listener of another network namespace matches")
	}
}

func TestLeftover(t *testing.T) {
	first := newSet(t, nil)
	bound := listenTCP(t, first, "old", any4)
	listenTCP(t, first, "kept", any4)
	second := newSet(t, handOn(t, first))
	listenTCP(t, second, "kept", any4)
	if got := second.Leftover(); !slices.Equal(got, []string{"old"}) {
		t.Errorf("left over: %v, want old", got)
	}
	if conn, err := net.Dial("tcp", bound.String()); err == nil {
		conn.Close()
		t.Error("a listener that nobody asked for takes connections")
	}
}

func TestClosedListenersAreNotListed(t *testing.T) {
	s := newSet(t, nil)
	l, err := s.TCP(t.Context(), "short", any4)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	files, err := s.Files()
	if len(files) != 0 || err != nil {
		t.Errorf("files %v, %v", files, err)
	}
	if got := s.Sockets(); got != nil {
		t.Errorf("sockets %v", got)
	}
}

// acceptedAt accepts a connection that is there, and returns its own address. It does not wait, because a queue does not
// block.
func acceptedAt(t *testing.T, q *Queue) (at string) {
	t.Helper()
	control(q.file, func(fd int) {
		accepted, _, err := unix.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(accepted)
		local, _ := boundAddr(accepted)
		at = local.String()
	})
	return at
}
