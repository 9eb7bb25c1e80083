package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

// self is this program. A host does not see the folder that it lies in, but the process.
var self = fmt.Sprintf("/proc/%d/exe", os.Getpid())

// helperProcess is this program as a client in a host: it is asked a line and answers with a line.
type helperProcess struct {
	cmd     *lab.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

func (r *rig) startHelper(ctx context.Context, h *lab.Host, unit, verb, address string) (*helperProcess, error) {
	p := &helperProcess{cmd: h.Command(ctx, unit, self, verb, address)}
	p.cmd.Stderr = os.Stderr
	answers, err := p.cmd.StdoutPipe()
	if err == nil {
		p.orders, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start helper %s: %w", verb, err)
	}
	p.answers = bufio.NewReader(answers)
	return p, nil
}

func (p *helperProcess) ask(order string) (string, error) {
	_, err := fmt.Fprintln(p.orders, order)
	var answer string
	if err == nil {
		answer, err = p.answers.ReadString('\n')
	}
	if err != nil {
		return "", fmt.Errorf("ask helper for %s: %w", order, err)
	}
	return answer, nil
}

// stop ends the helper and adds to an error that there is already.
func (p *helperProcess) stop(err *error) {
	*err = errors.Join(*err, p.orders.Close(), p.cmd.Wait())
}

// helper is the other side: it runs as the helper that the arguments name, until there are no more orders.
func helper(args []string) (code int, ok bool) {
	if len(args) != 2 {
		return 0, false
	}
	var err error
	switch args[0] {
	case "hold":
		err = hold(args[1], os.Stdin, os.Stdout)
	case "pace":
		err = pace(netip.MustParseAddrPort(args[1]), os.Stdin, os.Stdout)
	case "connect":
		err = timeConnects(netip.MustParseAddrPort(args[1]), os.Stdin, os.Stdout)
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "meshbench %s: %v\n", args[0], err)
		return 1, true
	}
	return 0, true
}

// hold opens connections until there are as many as it was told, and keeps them. Each has said something and was
// answered.
func hold(address string, orders io.Reader, answers io.Writer) error {
	var conns []net.Conn
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		want, err := strconv.Atoi(lines.Text())
		if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		opened := make([]net.Conn, max(want-len(conns), 0))
		var dialers errgroup.Group
		dialers.SetLimit(64)
		for i := range opened {
			dialers.Go(func() (err error) {
				opened[i], err = exchange(address)
				return err
			})
		}
		if err := dialers.Wait(); err != nil {
			return err
		}
		conns = append(conns, opened...)
		fmt.Fprintln(answers, len(conns))
	}
	for _, conn := range conns {
		conn.Close()
	}
	return nil
}

// exchanged is how many bytes have gone both ways before a connection is idle.
const exchanged = 256

// exchange opens a connection that has carried something, and gives up after ten seconds.
func exchange(address string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	text := make([]byte, exchanged)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = conn.Write(text); err == nil {
		_, err = io.ReadFull(conn, text)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("exchange with %s: %w", address, err)
	}
	return conn, nil
}

// timeConnects answers each order, a duration, with the median time of the connects in it, in nanoseconds.
func timeConnects(own netip.AddrPort, orders io.Reader, answers io.Writer) error {
	runtime.LockOSThread()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: own.Addr().As4()}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(listener, 16); err != nil {
		return os.NewSyscallError("listen", err)
	}
	to, err := unix.Getsockname(listener)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		duration, err := time.ParseDuration(lines.Text())
		if err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		var took []float64
		for start := time.Now(); len(took) == 0 || time.Since(start) < duration; {
			one, err := timeConnect(listener, to)
			if err != nil {
				return err
			}
			took = append(took, float64(one.Nanoseconds()))
		}
		slices.Sort(took)
		fmt.Fprintln(answers, took[len(took)/2])
	}
	return nil
}

// timeConnect times one connect(). The connection ends with a reset, so that its port is free at once.
func timeConnect(listener int, to unix.Sockaddr) (time.Duration, error) {
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(client)
	if err := unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
	}
	start := time.Now()
	err = unix.Connect(client, to)
	took := time.Since(start)
	if err != nil {
		return 0, os.NewSyscallError("connect", err)
	}
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, os.NewSyscallError("accept", err)
	}
	return took, os.NewSyscallError("close", unix.Close(server))
}
