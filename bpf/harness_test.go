package bpf

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The kernel decides by the cgroup of the caller, so connections are made by copies of the test binary that live in
// cgroups of their own below a folder that the test made.

const dialerEnv = "MESHD_BPF_TEST_DIALER"

func TestMain(m *testing.M) {
	if os.Getenv(dialerEnv) != "" {
		if err := serveDials(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// dial is one call of a dialer.
type dial struct {
	// "tcp"; "mptcp"; "udp" (connected); "sendto" (unconnected, to every address of To); "bind"; "connect", which is reset at
	// once; "hold", which stays open until the dialer ends.
	Op     string
	V6     bool // AF_INET6 socket; IPv4 addresses are dialled mapped
	V6Only bool
	To     []netip.AddrPort
	From   netip.AddrPort // bind to this address first, unless it is not valid
	Device string         // bind to this device first
}

// dialled is what became of it.
type dialledResult struct {
	Errno  int
	Peer   netip.AddrPort   // getpeername
	Reply  string           // the line or datagram that came back
	Froms  []netip.AddrPort // sources of the datagrams, in order
	Bodies []string
}

func serveDials(in io.Reader, out io.Writer) error {
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var d dial
		if err := requests.Decode(&d); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r, err := d.run()
		var errno syscall.Errno
		if errors.As(err, &errno) {
			r.Errno = int(errno)
		} else if err != nil {
			return err
		}
		if err := replies.Encode(r); err != nil {
			return err
		}
	}
}

func (d dial) run() (r dialledResult, err error) {
	family, kind, protocol := unix.AF_INET, unix.SOCK_DGRAM, 0
	if d.V6 {
		family = unix.AF_INET6
	}
	if d.Op == "tcp" || d.Op == "connect" || d.Op == "hold" || d.Op == "bind" {
		kind = unix.SOCK_STREAM
	}
	if d.Op == "mptcp" {
		kind, protocol = unix.SOCK_STREAM, unix.IPPROTO_MPTCP
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return r, err
	}
	if d.Op == "hold" {
		return r, unix.Connect(fd, d.sockaddr(d.To[0]))
	}
	defer unix.Close(fd)
	if d.V6Only {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return r, err
		}
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return r, err
	}
	if d.Device != "" {
		if err := unix.BindToDevice(fd, d.Device); err != nil {
			return r, err
		}
	}
	if d.From.IsValid() {
		reuse := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err := errors.Join(reuse, unix.Bind(fd, d.sockaddr(d.From))); err != nil {
			return r, err
		}
	}
	switch d.Op {
	case "connect":
		// Closed with RST, so that the port is free at once.
		err := unix.Connect(fd, d.sockaddr(d.To[0]))
		return r, errors.Join(err, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	case "bind":
		return r, unix.Bind(fd, d.sockaddr(d.To[0]))
	case "sendto":
		for _, to := range d.To {
			if err := unix.Sendto(fd, []byte("?"), 0, d.sockaddr(to)); err != nil {
				return r, err
			}
			buf := make([]byte, 512)
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				return r, err
			}
			r.Froms = append(r.Froms, addrPortOf(from))
			r.Bodies = append(r.Bodies, string(buf[:n]))
		}
		return r, nil
	}
	if err := unix.Connect(fd, d.sockaddr(d.To[0])); err != nil {
		return r, err
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return r, err
	}
	r.Peer = addrPortOf(peer)
	if d.Op == "udp" {
		if _, err := unix.Write(fd, []byte("?")); err != nil {
			return r, err
		}
	}
	buf := make([]byte, 4096)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return r, err
	}
	r.Reply = strings.TrimSpace(string(buf[:n]))
	return r, nil
}

func (d dial) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if d.V6 {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

func addrPortOf(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// bench is a network namespace, a cgroup and a bpffs of the test's own, with the programs loaded.
type bench struct {
	t      *testing.T
	cgroup string
	dir    string
	kernel *Kernel
}

func newBench(t *testing.T) *bench {
	t.Helper()
	joinNewNetns(t)
	b := &bench{t: t, cgroup: newCgroup(t), dir: filepath.Join(newBPFFS(t), "meshd")}
	return b
}

// config has one heartbeat do for a whole test, however slow the machine is. Silence ends it all the same.
func (b *bench) config() Config {
	return Config{Dir: b.dir, Cgroup: b.cgroup, DeadAfter: time.Hour}
}

func (b *bench) open() *Kernel {
	b.t.Helper()
	k, err := Open(b.config())
	if err != nil {
		b.t.Fatal(err)
	}
	b.kernel = k
	return k
}

// joinNewNetns moves the test to a thread in a network namespace of its own; the thread ends with the test.
func joinNewNetns(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	made, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(netns.Set(before), before.Close(), made.Close()); err != nil {
			t.Error(err) // and the thread stays locked, so that nothing else runs in the wrong namespace
			return
		}
		runtime.UnlockOSThread()
	})
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	// Every address that the tests dial is local here, so that a connection that passes ends at a listener that can
	// tell where it went.
	for _, cidr := range []string{"10.0.0.0/8", "244.0.0.0/8", "fd00::/16"} {
		_, dst, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		route := netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}
		if err := netlink.RouteAdd(&route); err != nil {
			t.Fatalf("route %s: %v", cidr, err)
		}
	}
}

func newCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		dir, err := os.MkdirTemp(strings.Fields(before)[4], "meshd-bpf-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		return dir
	}
	t.Fatal("no cgroup2 is mounted")
	return ""
}

func newBPFFS(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// dialer is a process in a cgroup that makes connections on request.
type dialer struct {
	t        *testing.T
	requests *json.Encoder
	replies  *json.Decoder
	pid      int
	uid      uint32
	cgroup   uint64
	lineage  []uint64 // from the bench's cgroup to its own
}

// startDialer starts one as uid in the folder name below the bench's cgroup.
func (b *bench) startDialer(name string, uid uint32) *dialer {
	b.t.Helper()
	path := filepath.Join(b.cgroup, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		b.t.Fatal(err)
	}
	folder, err := os.Open(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer folder.Close()
	exe := filepath.Join(b.t.TempDir(), "dialer") // where other users may read it
	copyTo(b.t, exe)
	cmd := exec.Command(exe)
	// No preemption by signals: they interrupt calls on sockets that have a time limit.
	cmd.Env = []string{dialerEnv + "=1", "GORACE=atexit_sleep_ms=0", "GODEBUG=asyncpreemptoff=1"}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd()), Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.t.Errorf("dialer %s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			b.t.Error(err)
		}
	})
	id, err := cgroupID(path)
	if err != nil {
		b.t.Fatal(err)
	}
	above, err := cgroupID(b.cgroup)
	if err != nil {
		b.t.Fatal(err)
	}
	return &dialer{
		t: b.t, requests: json.NewEncoder(in), replies: json.NewDecoder(out),
		pid: cmd.Process.Pid, uid: uid, cgroup: id, lineage: []uint64{above, id},
	}
}

func (d *dialer) do(call dial) dialledResult {
	d.t.Helper()
	if err := d.requests.Encode(call); err != nil {
		d.t.Fatal(err)
	}
	var r dialledResult
	if err := d.replies.Decode(&r); err != nil {
		d.t.Fatal(err)
	}
	return r
}

func copyTo(t *testing.T, path string) {
	t.Helper()
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// listenLoopback opens a listener at every address of lo, as meshd does, and lets answer handle every connection. Port 0
// takes any port.
func (b *bench) listenLoopback(port uint16, answer func(*net.TCPConn)) *net.TCPListener {
	b.t.Helper()
	return b.serve(net.ListenConfig{Control: bindToLoopback}, "tcp4", fmt.Sprintf("0.0.0.0:%d", port), answer)
}

func bindToLoopback(_, _ string, c syscall.RawConn) (err error) {
	controlErr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), "lo") })
	return errors.Join(err, controlErr)
}

// listenQuietly opens a listener that nobody accepts from.
func (b *bench) listenQuietly() *net.TCPListener {
	b.t.Helper()
	lc := net.ListenConfig{Control: bindToLoopback}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(b.t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func portOf(l *net.TCPListener) int { return l.Addr().(*net.TCPAddr).Port }

// listenTCP opens a listener in the bench's namespace and lets answer handle every connection.
func (b *bench) listenTCP(network, addr string, answer func(*net.TCPConn)) *net.TCPListener {
	b.t.Helper()
	return b.serve(net.ListenConfig{}, network, addr, answer)
}

func (b *bench) serve(lc net.ListenConfig, network, addr string, answer func(*net.TCPConn)) *net.TCPListener {
	b.t.Helper()
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(b.t.Context(), network, addr)
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c.(*net.TCPConn))
			c.Close()
		}
	}()
	b.t.Cleanup(func() { l.Close(); <-done })
	return l.(*net.TCPListener)
}
