package examples_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The socket client is a program that makes system calls on request: a line of its input is a script, whose steps it
// takes one after the other with the socket that the script has opened, and a line of its output has one word for each
// step: what came of it, or the name of the error. What a script has opened is closed when the next one begins.

// playScripts plays the scripts of the input. The name is where other such clients of the host can give it a socket.
// With further steps it takes those alone, with the socket that it has inherited.
func playScripts(args []string) error {
	name, steps := args[0], args[1:]
	if len(steps) > 0 {
		heir := player{fd: 3, v6: name == "6"}
		fmt.Println(heir.play(steps))
		return nil
	}
	inbox, err := net.ListenUnixgram("unixgram", inboxOf(name))
	if err != nil {
		return err
	}
	defer inbox.Close()
	c := &player{inbox: inbox}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(c.play(strings.Fields(lines.Text())))
	}
	return lines.Err()
}

// player is the state of a script.
type player struct {
	inbox *net.UnixConn
	open  []int // all descriptors
	fd    int   // the one that steps are about
	v6    bool  // it is an AF_INET6 socket
	port  int   // that it was bound to
}

func (p *player) play(steps []string) string {
	for _, fd := range p.open {
		unix.Close(fd)
	}
	p.open = nil
	var words []string
	for _, step := range steps {
		word, err := p.step(step)
		if errno, ok := errors.AsType[syscall.Errno](err); ok {
			word = unix.ErrnoName(errno)
		} else if err != nil {
			word = strings.ReplaceAll(err.Error(), " ", "_")
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// step takes one step, which is VERB or VERB=ARGUMENT.
func (p *player) step(step string) (string, error) {
	verb, argument, _ := strings.Cut(step, "=")
	const ok = "ok"
	switch verb {
	case "tcp4", "tcp6", "udp4", "udp6", "mptcp4", "mptcp6", "raw4", "raw6":
		return ok, p.socket(verb)
	case "v6only":
		return ok, unix.SetsockoptInt(p.fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1)
	case "reuseport":
		return ok, unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	case "fastopen_connect":
		return ok, unix.SetsockoptInt(p.fd, unix.SOL_TCP, unix.TCP_FASTOPEN_CONNECT, 1)
	case "nonblock":
		return ok, unix.SetNonblock(p.fd, true)
	case "device":
		return ok, unix.BindToDevice(p.fd, argument)
	case "bind":
		return ok, p.bind(argument)
	case "listen":
		return ok, unix.Listen(p.fd, 1)
	case "start":
		return ok, errors.Join(unix.SetNonblock(p.fd, true), unix.Connect(p.fd, p.address(argument)))
	case "connect":
		return ok, p.connect(argument)
	case "uring":
		return ok, uringConnect(p.fd, p.address(argument))
	case "thread":
		return ok, p.onThread(func() error { return p.connect(argument) })
	case "unspec":
		return ok, unspec(p.fd)
	case "dup":
		fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
		p.use(fd, err)
		return ok, err
	case "give":
		return ok, p.give(argument)
	case "take":
		return ok, p.take()
	case "child":
		return p.child(argument)
	case "fastopen":
		return ok, unix.Sendto(p.fd, []byte("PING\r\n"), unix.MSG_FASTOPEN, p.address(argument))
	case "sendto":
		return ok, unix.Sendto(p.fd, []byte("PING\r\n"), 0, p.address(argument))
	case "ask":
		if _, err := unix.Write(p.fd, []byte("PING\r\n")); err != nil {
			return "", err
		}
		return p.answer()
	case "answer":
		return p.answer()
	}
	return p.look(verb)
}

// look asks the kernel about the socket.
func (p *player) look(what string) (string, error) {
	switch what {
	case "peer":
		address, err := unix.Getpeername(p.fd)
		return text(address), err
	case "local": // without the port, which is the kernel's choice
		address, err := unix.Getsockname(p.fd)
		return hostOf(address), err
	case "port": // whether it is still the one that it was bound to
		address, err := unix.Getsockname(p.fd)
		return fmt.Sprintf("kept:%t", portOf(address) == p.port), err
	case "origdst":
		_, err := unix.GetsockoptIPv6Mreq(p.fd, unix.SOL_IP, 80) // SO_ORIGINAL_DST
		return "known", err
	}
	return "", fmt.Errorf("there is no step %s", what)
}

func (p *player) use(fd int, err error) {
	if err == nil {
		p.fd = fd
		p.open = append(p.open, fd)
	}
}

func (p *player) socket(kind string) error {
	p.v6 = strings.HasSuffix(kind, "6")
	family := unix.AF_INET
	if p.v6 {
		family = unix.AF_INET6
	}
	way, protocol := unix.SOCK_STREAM, 0
	switch kind[:len(kind)-1] {
	case "udp":
		way = unix.SOCK_DGRAM
	case "raw":
		way, protocol = unix.SOCK_RAW, unix.IPPROTO_TCP
	case "mptcp":
		protocol = unix.IPPROTO_MPTCP
	}
	fd, err := unix.Socket(family, way|unix.SOCK_CLOEXEC, protocol)
	p.use(fd, err)
	return err
}

func (p *player) address(text string) unix.Sockaddr {
	a := netip.MustParseAddrPort(text)
	if p.v6 {
		return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
}

func (p *player) bind(to string) error {
	if err := unix.Bind(p.fd, p.address(to)); err != nil {
		return err
	}
	address, err := unix.Getsockname(p.fd)
	p.port = portOf(address)
	return err
}

// connect connects as programs with non-blocking sockets do, when the socket is one.
func (p *player) connect(to string) error {
	err := unix.Connect(p.fd, p.address(to))
	if !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	if err := await(p.fd, unix.POLLOUT); err != nil {
		return err
	}
	number, err := unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && number != 0 {
		err = syscall.Errno(number)
	}
	return err
}

// unspec dissolves the connection of a socket.
func unspec(fd int) error {
	address := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	return connectRaw(fd, &address)
}

// answer returns the first word that comes.
func (p *player) answer() (string, error) {
	if err := await(p.fd, unix.POLLIN); err != nil {
		return "", err
	}
	buf := make([]byte, 512)
	n, err := unix.Read(p.fd, buf)
	if err != nil {
		return "", err
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(buf[:n])), " ")
	return word, nil
}

// patience is how long a step may take: what takes longer hangs.
const patience = 30 * time.Second

func await(fd int, events int16) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, int(patience.Milliseconds()))
		if err == nil && n == 0 {
			return unix.ETIMEDOUT
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// onThread runs f on another thread than the one that opened the socket.
func (p *player) onThread(f func() error) error {
	runtime.LockOSThread() // so that the goroutine cannot get this one
	defer runtime.UnlockOSThread()
	done := make(chan error)
	go func() { done <- f() }()
	return <-done
}

// child takes one step in a child that inherits the socket.
func (p *player) child(step string) (string, error) {
	fd, err := unix.FcntlInt(uintptr(p.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	inherited := os.NewFile(uintptr(fd), "socket")
	defer inherited.Close()
	family := "4"
	if p.v6 {
		family = "6"
	}
	cmd := exec.Command("/proc/self/exe", "client", "script", family, step)
	cmd.ExtraFiles = []*os.File{inherited}
	output, err := cmd.Output()
	return strings.TrimSpace(string(output)), err
}

// give passes the socket on to the client of that name.
func (p *player) give(to string) error {
	_, _, err := p.inbox.WriteMsgUnix([]byte("socket"), unix.UnixRights(p.fd), inboxOf(to))
	return err
}

func inboxOf(name string) *net.UnixAddr {
	return &net.UnixAddr{Name: "@meshd-test-" + name, Net: "unixgram"}
}

// take goes on with a socket that a client, maybe this one, has given to this one.
func (p *player) take() error {
	rights := make([]byte, unix.CmsgSpace(4))
	if err := p.inbox.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, n, _, _, err := p.inbox.ReadMsgUnix(make([]byte, 16), rights)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	family, err := unix.GetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_DOMAIN)
	p.use(fds[0], err)
	p.v6 = family == unix.AF_INET6
	return err
}

// text writes an address; one that is mapped stays it.
func text(address unix.Sockaddr) string {
	switch a := address.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)).String()
	}
	return ""
}

func hostOf(address unix.Sockaddr) string {
	a, _ := netip.ParseAddrPort(text(address))
	return a.Addr().String()
}

func portOf(address unix.Sockaddr) int {
	a, _ := netip.ParseAddrPort(text(address))
	return int(a.Port())
}
