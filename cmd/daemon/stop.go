package daemon

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/listen"
	"github.com/meshd/meshd/engine/mesh"
)

// drain ends the serving of connections: no new ones, then those that are open, for as long as there is patience.
func (d *daemon) drain() {
	d.draining.Store(true)
	d.tell("stopping", d.notifier.Stopping())
	d.log.Info("meshd stops", "open_connections", len(d.outbound.Connections()), "patience", d.options.drain)
	d.stepAside()
	d.stopAccepting()
	d.accepting.Wait() // or the drain would refuse what should wait for the next meshd
	for _, l := range d.outboundListeners {
		l.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.options.drain)
	defer cancel()
	if err := d.outbound.Drain(ctx); err != nil {
		d.log.Warn("open connections reset", "error", err)
	}
}

// stepAside has new connections go on without this process, so that a stop fails none.
//
// With fail = "open" the kernel connects them itself from now on, and what it has sent already is accepted. The heartbeat
// goes on, because names are answered to the end, and by then wait in the sockets that the service manager keeps, if it
// does; else the kernel finds them closed. With "closed" connections wait in the same way as names do, if they can.
func (d *daemon) stepAside() {
	d.changing.Lock()
	defer d.changing.Unlock()
	var err error
	switch {
	case d.loaded.Load().config.Capture.Fail == mesh.FailOpen:
		err = d.kernel.StepAside()
	case d.notifier.Listens():
		return
	default:
		err = d.owner.silence(d.kernel)
	}
	if err != nil {
		d.log.Warn("kernel not told of the stop", "error", err)
	}
	for _, l := range d.outboundListeners {
		awaitAccepted(l)
	}
}

// awaitAccepted waits until every connection in the queue of a listener has been accepted, or a second has passed.
func awaitAccepted(l *listen.Queue) {
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
