package proxy

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// acceptTurn is how many connections are accepted before it is the turn of those that are there.
const acceptTurn = 32

// listener is where connections arrive, as one loop sees it. All loops wait for those of the same socket.
type listener struct {
	fd   int
	what int32 // of its events
	at   netip.AddrPort
	any  bool // at is no address that a client can have dialled

	delay  time.Duration // of the last pause
	resume time.Time     // the end of a pause; zero: there is none
	logged time.Time
}

// listen begins to accept.
func (l *loop) listen(fd int, at netip.AddrPort) *listener {
	from := &listener{fd: fd, at: at, any: at.Addr().IsUnspecified(), what: firstListener - int32(len(l.listeners))}
	l.listeners = append(l.listeners, from)
	l.resume(from)
	return from
}

// unlisten accepts no more.
func (l *loop) unlisten(from *listener) {
	if from.resume.IsZero() {
		l.unwatch(from)
	}
	l.listeners[firstListener-from.what] = nil
}

// resume takes connections on. Of the loops that wait, the kernel wakes not all for each.
func (l *loop) resume(from *listener) {
	from.resume = time.Time{}
	if err := l.watch(from.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, from.what, 0); err != nil {
		l.cannotAccept(from, err)
	}
}

// resumeAll ends all pauses.
func (l *loop) resumeAll() {
	for _, from := range l.listeners {
		if from != nil && !from.resume.IsZero() {
			l.resume(from)
		}
	}
}

func (l *loop) unwatch(from *listener) {
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, from.fd, nil) // fails only when it is not watched
}

// pause leaves connections in the queue of the listener for 5 ms, for twice as long each time up to a second. It says
// whether a second has passed since it has said so last.
func (l *loop) pause(from *listener) (loud bool) {
	l.unwatch(from)
	from.delay = min(max(2*from.delay, 5*time.Millisecond), time.Second)
	from.resume = l.now.Add(from.delay)
	if loud = l.now.Sub(from.logged) >= time.Second; loud {
		from.logged = l.now
	}
	return loud
}

// cannotAccept pauses for an error.
func (l *loop) cannotAccept(from *listener, err error) {
	if l.pause(from) {
		l.out.log.Error("accept connection", "listener", from.at, "error", err)
	}
}

// accept takes on what has arrived.
func (l *loop) accept(from *listener) {
	for range acceptTurn {
		if !l.out.reserve() {
			if l.pause(from) {
				l.out.log.Warn("connection limit reached", "listener", from.at, "limit", l.out.limit)
			}
			return
		}
		fd, client, err := accept(from.fd)
		if err == nil {
			from.delay = 0
			l.place(fd, client, from)
			continue
		}
		l.release()
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case isOfConnection(err):
		default:
			l.cannotAccept(from, err)
			return
		}
	}
}

// isOfConnection says that an accept failed for something that has happened to the connection, see accept(2).
func isOfConnection(err error) bool {
	for _, of := range []error{
		unix.EINTR, unix.ECONNABORTED, unix.ENETDOWN, unix.EPROTO, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET,
		unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH,
	} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// place gives an accepted connection to the loop that should have it: to this one, unless another has clearly less to do.
func (l *loop) place(fd int, client netip.AddrPort, from *listener) {
	c := newConn(l.out, fd, client, l.now)
	at := from.at
	if from.any {
		if local, err := localAddr(fd); err == nil {
			at = local
		}
	}
	c.loop = l.out.leastLoaded(l)
	c.loop.load.Add(1)
	c.held = l.out.drain.Hold()
	if c.loop == l {
		c.begin(at)
		return
	}
	c.loop.do(func() { c.begin(at) }) // loops do not end while there are listeners
}
