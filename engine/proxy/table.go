package proxy

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// State says how far a live connection has come.
type State string

// The states of a connection.
const (
	Connecting State = "connecting"  // no endpoint has accepted yet
	Open       State = "open"        // both directions carry bytes
	HalfClosed State = "half-closed" // one side has finished, the other may go on
)

// states are those of the stages.
var states = [...]State{connecting: Connecting, open: Open, halfClosed: HalfClosed}

// Connection is a live connection as it was when Connections looked at it.
type Connection struct {
	ID             uint64 // counts the connections since start
	Start          time.Time
	State          State
	Flow           mesh.Flow
	Caller         mesh.Caller
	Source         string         // the caller as intentions write it
	Client         netip.AddrPort // of the application's socket
	Destination    string         // service
	Endpoint       string         // name of the endpoint that is dialled or connected; may be empty at the very start
	Address        netip.AddrPort // of Endpoint; invalid when Endpoint is empty
	Sent, Received uint64         // bytes, as the application sees them
}

// Connections returns the connections that are live, by id. Connections that begin or end meanwhile may be among them.
func (o *Outbound) Connections() []Connection {
	var list []Connection
	for _, l := range o.current() {
		for _, c := range l.conns() {
			list = append(list, c.describe())
		}
	}
	slices.SortFunc(list, func(a, b Connection) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

func (c *conn) describe() Connection {
	d := Connection{
		ID: c.id, Start: c.start, State: states[c.stage.Load()],
		Flow: c.flow, Caller: c.caller, Source: c.source, Client: c.from,
		Destination: c.port.Service.Name,
		Sent:        c.sent.Load(), Received: c.received.Load(),
	}
	if endpoint := c.endpoint.Load(); endpoint != nil {
		d.Endpoint, d.Address = endpoint.Name(), endpoint.Address
	}
	return d
}
