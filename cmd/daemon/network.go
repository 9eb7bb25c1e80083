package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// networkPause gathers the many events of a network that comes up.
const networkPause = 200 * time.Millisecond

// networkEvents are the changes of links and of addresses.
var networkEvents = []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR}

// followNetwork calls changed after the links or the addresses of the host have changed, until ctx ends: meshd starts before
// the network does, and a host may move to another.
func (d *daemon) followNetwork(ctx context.Context, changed func()) {
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, networkEvents...)
	if err != nil {
		d.log.Error("changes of the network not followed", "error", err)
		return
	}
	stop := context.AfterFunc(ctx, events.Close)
	defer stop()
	changed() // for what came before the subscription
	for {
		_, _, err := events.Receive()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !errors.Is(err, unix.ENOBUFS): // ENOBUFS: some were lost, so something has changed
			d.log.Warn("change of the network not read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(networkPause):
		}
		changed()
	}
}

// resolversChanged has other resolvers captured, and asked for what is outside of the mesh.
func (d *daemon) resolversChanged() {
	d.reapply()
	d.outside.Retry()
}
