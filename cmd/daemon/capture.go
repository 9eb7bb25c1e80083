package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/engine/listen"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/proxy"
	"github.com/meshd/meshd/engine/snapshot"
)

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// probeInterval is how often capture is tried out, and put back.
const probeInterval = 3 * time.Second

// redirector tells the proxy what the kernel programs recorded, and keeps meshd's own probe away from it.
type redirector struct {
	kernel    *bpf.Kernel
	snapshots *snapshot.Store
}

// Flow implements proxy.Redirector.
func (r redirector) Flow(at, client netip.AddrPort) (mesh.Flow, error) {
	flow, err := r.kernel.Flow(at, client)
	if err != nil {
		return flow, err
	}
	if probe, ok := probeAddress(r.snapshots.Load().Mesh()); ok && flow.Destination == probe {
		return flow, proxy.ErrProbe
	}
	return flow, nil
}

// prober tries out whether the kernel still sends connections here: it dials an address that leads nowhere else.
type prober struct {
	snapshots *snapshot.Store
	inside    bool        // meshd is itself below the cgroup that is captured; else it cannot tell
	beats     func() bool // without a heartbeat nothing is captured, as it should be, so that nothing is tried out
	failure   atomic.Pointer[string]
}

// try dials the probe address once, and waits until meshd has accepted and closed the connection.
func (p *prober) try(ctx context.Context) error {
	addr, ok := probeAddress(p.snapshots.Load().Mesh())
	if !ok || !p.inside {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", addr.String())
	if err != nil {
		return fmt.Errorf("dial the probe address %s: %w", addr, err)
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(until); err != nil {
		return fmt.Errorf("await the end of the probe: %w", err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("a connection that was captured is not accepted: %w", err)
	}
	return nil
}

// again tries while meshd beats, and tells when the outcome has changed.
func (p *prober) again(ctx context.Context, changed func(error)) {
	if !p.beats() {
		return
	}
	err := p.try(ctx)
	if ctx.Err() != nil {
		return
	}
	if before := p.failure.Load(); (err == nil) != (before == nil) {
		changed(err)
	}
	p.set(err)
}

func (p *prober) set(err error) {
	if err == nil {
		p.failure.Store(nil)
		return
	}
	text := err.Error()
	p.failure.Store(&text)
}

// listenOutbound opens the places where captured connections arrive, one for each family that the host has, and tells
// the kernel programs of them.
func (d *daemon) listenOutbound(ctx context.Context) ([]*listen.Queue, error) {
	var all []*listen.Queue
	port := uint16(d.options.outboundPort)
	families := []func() (*listen.Queue, error){
		func() (*listen.Queue, error) { return d.sockets.LoopbackQueue(ctx, "outbound", port) },
		func() (*listen.Queue, error) {
			return d.sockets.Queue(ctx, "outbound", netip.AddrPortFrom(netip.IPv6Loopback(), port))
		},
	}
	for _, open := range families {
		l, err := open()
		if lacksFamily(err) {
			d.log.Info("host lacks an address family", "listener", "outbound", "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := d.kernel.Listen(l); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, errors.New("this host has neither 127.0.0.1 nor ::1: ip link set lo up")
	}
	return all, nil
}

// probeChanged logs that capture has begun to fail, or works again.
func (d *daemon) probeChanged(err error) {
	if err != nil {
		d.log.Error("capture fails", "error", err, "others", d.others())
		return
	}
	d.log.Info("capture works again")
}

// lacksFamily says that a listener failed because the host has no such addresses, as with IPv6 turned off.
func lacksFamily(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}
