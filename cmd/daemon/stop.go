package daemon

import (
	"context"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// drain ends the serving of connections: no new ones, then those that are open, for as long as there is patience.
func (d *daemon) drain() {
	d.draining.Store(true)
	d.tell("stopping", d.notifier.Stopping())
	d.log.Info("meshd stops", "open_connections", len(d.outbound.Connections()), "patience", d.options.drain)
	// First the kernel sends no more, then what it has sent already is accepted, so that a stop fails no connection.
	if err := d.owner.silence(d.kernel); err != nil {
		d.log.Warn("kernel not told of the stop", "error", err)
	}
	for _, l := range d.outboundListeners {
		awaitAccepted(l)
		l.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.options.drain)
	defer cancel()
	if err := d.outbound.Drain(ctx); err != nil {
		d.log.Warn("open connections reset", "error", err)
	}
}

// awaitAccepted waits until every connection in the queue of a listener has been accepted, or a second has passed.
func awaitAccepted(l *net.TCPListener) {
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for range 200 {
		<-ticks.C // also before the first look: a handshake may be under way
		waiting := uint32(0)
		err := raw.Control(func(fd uintptr) {
			// Of a listener, tcpi_unacked is the length of its accept queue (tcp_get_info in net/ipv4/tcp.c).
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
				waiting = info.Unacked
			}
		})
		if err != nil || waiting == 0 {
			return
		}
	}
}

// retire ends what apply has started.
func (d *daemon) retire(stop context.CancelFunc) {
	stop()
	d.checks.Close()
	d.changing.Lock()
	d.hide()
	d.changing.Unlock()
	d.running.Wait()
}
