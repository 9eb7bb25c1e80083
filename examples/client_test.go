package examples_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

// client is a program for what no usual one does: it runs in a host, prints what the kernel tells it, and returns the
// exit code.
func client(args []string) int {
	var err error
	switch args[0] {
	case "serve":
		err = serve(args[1])
	case "ask":
		err = ask(args[1], args[2], args[3])
	case "load":
		err = pressure(args[1], args[2], args[3], args[4:])
	case "backend":
		err = serveRequests(args[1])
	case "requests":
		err = makeRequests(args[1], args[2], args[3:])
	case "stall":
		err = stall(args[1], args[2])
	case "lookup":
		err = lookup(args[1], args[2])
	case "flood":
		err = flood(args[1])
	case "cached":
		err = cached(args[1])
	case "script":
		err = playScripts(args[1:])
	default:
		return talkTo(args)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// talkTo copies what it is told to a connection and back.
func talkTo(args []string) int {
	conn, err := open(args[0], args[1])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	fmt.Println(conn.RemoteAddr()) // asked of the kernel when it was connected
	go func() { _, _ = io.Copy(conn, os.Stdin) }()
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// open connects by tcp or mapped, sends something by udp or sendto, or tries whether it may listen.
func open(way, address string) (net.Conn, error) {
	switch way {
	case "mapped":
		return dialMapped(netip.MustParseAddrPort(address))
	case "listen":
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		return nil, errors.Join(l.Close(), errors.New("nobody minded"))
	case "udp":
		conn, err := net.Dial("udp", address)
		if err != nil {
			return nil, err
		}
		_, err = conn.Write([]byte("hello"))
		return conn, err
	case "sendto":
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return nil, err
		}
		_, err = conn.WriteToUDPAddrPort([]byte("hello"), netip.MustParseAddrPort(address))
		return conn, err
	}
	return net.Dial(way, address)
}

// dialMapped dials an IPv4 address by an AF_INET6 socket, as programs do that know only IPv6 sockets.
func dialMapped(to netip.AddrPort) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "mapped")
	defer file.Close()
	if err := unix.Connect(fd, &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	peer, err := unix.Getpeername(fd)
	if err != nil {
		return nil, os.NewSyscallError("getpeername", err)
	}
	shown := peer.(*unix.SockaddrInet6)
	fmt.Println(netip.AddrPortFrom(netip.AddrFrom16(shown.Addr), uint16(shown.Port)))
	return net.FileConn(file)
}

// talk is a client that is connected.
type talk struct {
	cmd   *lab.Cmd
	peer  string // the address that it believes to talk to
	says  io.WriteCloser
	hears *bufio.Reader

	giveUp *time.Timer // what says nothing for a minute hangs, and is ended
}

// clientCommand returns the client as a command in a unit of the host.
func (h host) clientCommand(t *testing.T, unit, way, address string) *lab.Cmd {
	t.Helper()
	cmd := h.Command(t.Context(), unit, self, "client", way, address)
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// talk starts a client in a unit of the host and waits until it is connected.
func (h host) talk(t *testing.T, unit, way, address string) *talk {
	t.Helper()
	return begin(t, h.clientCommand(t, unit, way, address))
}

// begin starts a command that prints one line when it is connected.
func begin(t *testing.T, cmd *lab.Cmd) *talk {
	t.Helper()
	c := &talk{cmd: cmd}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.says, c.hears = stdin, bufio.NewReader(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.giveUp = time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		c.giveUp.Stop()
		c.end()
	})
	c.peer = c.line(t)
	return c
}

// line returns the next line that the client prints.
func (c *talk) line(t *testing.T) string {
	t.Helper()
	c.giveUp.Reset(time.Minute)
	line, err := c.hears.ReadString('\n')
	if err != nil {
		t.Fatalf("%q printed %q and no more: %v", c.cmd.Args, line, err)
	}
	return strings.TrimSpace(line)
}

// ask sends a line to the other side and returns the line that comes back.
func (c *talk) ask(t *testing.T, question string) string {
	t.Helper()
	if _, err := fmt.Fprintf(c.says, "%s\r\n", question); err != nil {
		t.Fatal(err)
	}
	return c.line(t)
}

// rest waits until the client has ended by itself, and returns what it printed until then.
func (c *talk) rest(t *testing.T) string {
	t.Helper()
	text, err := io.ReadAll(c.hears)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // the exit code does not matter, but whether it exited
	if !c.cmd.ProcessState.Exited() {
		t.Errorf("%q did not notice the end of its connection", c.cmd.Args)
	}
	return string(text)
}

// end ends the client, whose exit code is of no interest then.
func (c *talk) end() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}
