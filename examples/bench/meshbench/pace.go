package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// pacer sends requests when they are due, on one of its connections that is free. The time of a request counts from the
// moment when it was due, so one that had to wait for a connection looks as slow as its caller would find it.
//
// It is one thread with an epoll of its own: at tens of thousands of requests a second the generators that there are for
// HTTP use more of the processors, which they share with what is measured, or send in bursts.
type pacer struct {
	epoll, timer int
	request      []byte
	conns        []pacedConn
	free         []int // of conns
	took         []time.Duration
}

type pacedConn struct {
	socket int
	due    time.Time // of the request that is under way
	answer []byte    // as much as has come
}

// pacedConns is how many requests can be under way at once.
const pacedConns = 64

// pace answers each order, a rate and a number of requests, with the 99th percentile of their times in microseconds.
func pace(to netip.AddrPort, orders io.Reader, answers io.Writer) error {
	runtime.LockOSThread()
	p, err := newPacer(to)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		var rate float64
		var requests int
		if _, err := fmt.Sscan(lines.Text(), &rate, &requests); err != nil {
			return fmt.Errorf("read order: %w", err)
		}
		if err := p.run(rate, requests); err != nil {
			return err
		}
		slices.Sort(p.took)
		fmt.Fprintln(answers, float64(p.took[len(p.took)*99/100].Nanoseconds())/1000)
	}
	return nil
}

func newPacer(to netip.AddrPort) (*pacer, error) {
	p := &pacer{request: fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", to)}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	if err := p.watch(p.timer, -1); err != nil {
		return nil, err
	}
	for i := range pacedConns {
		socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, os.NewSyscallError("socket", err)
		}
		if err := unix.Connect(socket, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
			return nil, os.NewSyscallError("connect", err)
		}
		if err := unix.SetsockoptInt(socket, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
		if err := unix.SetNonblock(socket, true); err != nil {
			return nil, os.NewSyscallError("fcntl", err)
		}
		if err := p.watch(socket, i); err != nil {
			return nil, err
		}
		p.conns = append(p.conns, pacedConn{socket: socket})
		p.free = append(p.free, i)
	}
	return p, nil
}

// watch reports what can be read of a descriptor under a number.
func (p *pacer) watch(descriptor, number int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(number)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, descriptor, &event))
}

// run sends so many requests at a rate and waits for their answers.
func (p *pacer) run(rate float64, requests int) error {
	p.took = p.took[:0]
	start := time.Now()
	due := func(n int) time.Time { return start.Add(time.Duration(float64(n) / rate * float64(time.Second))) }
	var events [pacedConns + 1]unix.EpollEvent
	for sent := 0; len(p.took) < requests; {
		for sent < requests && len(p.free) > 0 && !due(sent).After(time.Now()) {
			if err := p.send(due(sent)); err != nil {
				return err
			}
			sent++
		}
		if sent < requests && len(p.free) > 0 {
			if err := p.wake(time.Until(due(sent))); err != nil {
				return err
			}
		}
		const patience = 10_000 // milliseconds
		n, err := unix.EpollWait(p.epoll, events[:], patience)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("epoll_wait", err)
		}
		if n == 0 {
			return fmt.Errorf("%d of %d requests are not answered", sent-len(p.took), sent)
		}
		for _, event := range events[:n] {
			if event.Fd < 0 {
				// It has done its work, and is silent until it is set again.
				if _, err := unix.Read(p.timer, make([]byte, 8)); err != nil && !errors.Is(err, unix.EAGAIN) {
					return os.NewSyscallError("read", err)
				}
			} else if err := p.receive(int(event.Fd)); err != nil {
				return err
			}
		}
	}
	return nil
}

// wake ends the next wait after some time.
func (p *pacer) wake(after time.Duration) error {
	once := unix.ItimerSpec{Value: unix.NsecToTimespec(max(after.Nanoseconds(), 1))}
	return os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(p.timer, 0, &once, nil))
}

// send sends one request. The connection is idle, so the kernel takes all of it.
func (p *pacer) send(due time.Time) error {
	last := len(p.free) - 1
	c := &p.conns[p.free[last]]
	p.free = p.free[:last]
	c.due, c.answer = due, c.answer[:0]
	n, err := unix.Write(c.socket, p.request)
	if err == nil && n < len(p.request) {
		err = io.ErrShortWrite
	}
	return os.NewSyscallError("write", err)
}

// receive reads what has come of an answer, and takes its time when that was all.
func (p *pacer) receive(number int) error {
	c := &p.conns[number]
	c.answer = slices.Grow(c.answer, 4<<10)
	n, err := unix.Read(c.socket, c.answer[len(c.answer):cap(c.answer)])
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if err != nil || n == 0 {
		return fmt.Errorf("a connection was closed by the other side: %w", os.NewSyscallError("read", err))
	}
	c.answer = c.answer[:len(c.answer)+n]
	whole, err := wholePage(c.answer)
	if whole {
		p.took = append(p.took, time.Since(c.due))
		p.free = append(p.free, number)
	}
	return err
}

// wholePage says whether an answer has come to its end. It is an error when it is not the page.
func wholePage(answer []byte) (bool, error) {
	head := bytes.Index(answer, []byte("\r\n\r\n"))
	if head < 0 {
		return false, nil
	}
	body := len(answer) - head - len("\r\n\r\n")
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) || body > pageBytes {
		return false, fmt.Errorf("the answer is not the page: %q", answer)
	}
	return body == pageBytes, nil
}
