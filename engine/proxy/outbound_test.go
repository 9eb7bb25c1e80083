package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/snapshot"
)

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{Snapshots: new(snapshot.Store), Metrics: observe.New(observe.Build{})}); err == nil {
		t.Error("an outbound without redirector was made")
	}
}

func TestUnknownFlowIsReset(t *testing.T) {
	r := newRig(t, nil, endpoint(t, echo))
	wantReset(t, r.dialWith(result{err: errors.New("no record")}))
	end := r.wantEnd(mesh.ReasonFlowUnknown)
	if err := end["error"].Any(); err == nil || err.(error).Error() != "no record" {
		t.Errorf("the log shows the error %v, want the redirector's", err)
	}
	r.wantMetric(`meshd_connections_closed_total{destination="unknown",reason="flow-unknown",source="unknown"} 1`)
	r.wantMetric(`meshd_connections_open{destination="unknown",source="unknown"} 0`)
}

func TestDestinationOutsideTheMeshIsReset(t *testing.T) {
	r := newRig(t, nil, endpoint(t, echo))
	wantReset(t, r.dial(netip.MustParseAddrPort("244.0.0.2:80")))
	r.wantEnd(mesh.ReasonNotInMesh)
	r.wantMetric(`meshd_connections_closed_total{destination="unknown",reason="not-in-mesh",source="web"} 1`)
}

func TestServiceWithoutEndpoint(t *testing.T) {
	r := newRig(t, nil)
	wantReset(t, r.dial(virtual))
	r.wantEnd(mesh.ReasonNoEndpoint)
}

func TestDeadEndpointIsSkipped(t *testing.T) {
	gone := dead(t)
	r := newRig(t, nil, gone, endpoint(t, echo), gone)
	for range 6 {
		client := r.dial(virtual)
		send(t, client, "x")
		want(t, client, "x")
	}
	group := r.snapshots.Load().Services()[0].Ports[0].Group.Endpoints()
	if group[0].Failed() == 0 || group[0].LastFailure() == nil || group[0].Connected() != 0 || group[0].Active() != 0 {
		t.Errorf("dead endpoint counts %d failures, %d connections, %d active; the last failure is %v",
			group[0].Failed(), group[0].Connected(), group[0].Active(), group[0].LastFailure())
	}
	if group[1].Failed() != 0 || group[1].Connected() != 6 || group[1].Active() != 6 {
		t.Errorf("living endpoint counts %d failures, %d connections, %d active, want 0, 6 and 6",
			group[1].Failed(), group[1].Connected(), group[1].Active())
	}
}

func TestAllEndpointsDead(t *testing.T) {
	r := newRig(t, nil, dead(t), dead(t))
	wantReset(t, r.dial(virtual))
	end := r.wantEnd(mesh.ReasonConnectFailed)
	if err, _ := end["error"].Any().(error); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the log shows the error %v, want the last connect's", err)
	}
	r.wantMetric(`meshd_endpoint_connect_failures_total{destination="hello"} 2`)
	r.wantMetric(`meshd_connections_closed_total{destination="hello",reason="connect-failed",source="web"} 1`)
}

// Who dials an endpoint's own address gets that endpoint, or none.
func TestEndpointByItsOwnAddress(t *testing.T) {
	gone, alive := dead(t), endpoint(t, echo)
	r := newRig(t, nil, gone, alive)
	wantReset(t, r.dial(gone))
	r.wantEnd(mesh.ReasonConnectFailed)
	client := r.dial(alive)
	send(t, client, "x")
	want(t, client, "x")
}

func TestConnectTimeoutMovesOn(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ConnectTimeout = 50 * time.Millisecond }, silent(t), endpoint(t, echo))
	for range 2 {
		client := r.dial(virtual)
		send(t, client, "x")
		want(t, client, "x")
	}
}

func TestClientThatIsGoneIsNotConnected(t *testing.T) {
	at, _ := accepting(t)
	r := newRig(t, func(c *Config) { c.ConnectTimeout = 200 * time.Millisecond }, silent(t), silent(t), at)
	client := r.dial(virtual)
	r.eventually("an endpoint is dialled", func() bool {
		list := r.Connections()
		return len(list) == 1 && list[0].Address.IsValid()
	})
	if r.Connections()[0].Address == at {
		client.Close()
		client = r.dial(virtual)
	}
	reset(client)
	for {
		switch end := r.logged("connection closed"); end["reason"].String() {
		case string(mesh.ReasonClientReset):
			return
		case string(mesh.ReasonDone):
		default:
			t.Fatalf("connection ended by %s, want %s", end["reason"], mesh.ReasonClientReset)
		}
	}
}

func TestSwapLeavesConnectionsAlone(t *testing.T) {
	name := func(text string) netip.AddrPort {
		return endpoint(t, func(conn *net.TCPConn) {
			send(t, conn, text)
			echo(conn)
		})
	}
	old, next := name("old"), name("new")
	r := newRig(t, nil, old)
	before := r.dial(virtual)
	want(t, before, "old")
	r.publish(2, next)
	after := r.dial(virtual)
	want(t, after, "new")
	send(t, before, "still here")
	want(t, before, "still here")

	r.publish(3, old, next)
	for _, e := range r.snapshots.Load().Services()[0].Ports[0].Group.Endpoints() {
		if e.Connected() != 1 || e.Active() != 1 { // also that which was away: a connection has held it
			t.Errorf("endpoint %s counts %d connections, %d of them open; want 1, 1", e.Address, e.Connected(), e.Active())
		}
	}
}

func TestConnections(t *testing.T) {
	alive, mute := endpoint(t, echo), silent(t)
	r := newRig(t, nil, alive, mute)
	client := r.dial(alive)
	send(t, client, "hello")
	want(t, client, "hello")
	r.dial(mute)
	r.eventually("both connections dial", func() bool {
		list := r.Connections()
		return len(list) == 2 && list[1].Endpoint != ""
	})
	list := r.Connections()
	open, connecting := list[0], list[1]
	if open.Flow.Destination != alive {
		open, connecting = connecting, open
	}
	if open.State != Open || connecting.State != Connecting {
		t.Errorf("states are %s and %s, want %s and %s", open.State, connecting.State, Open, Connecting)
	}
	// Bytes are counted after they have been passed on.
	r.eventually("all bytes are counted", func() bool {
		list = r.Connections()
		return list[0].Sent+list[1].Sent == 5 && list[0].Received+list[1].Received == 5
	})
	for _, c := range list {
		if c.ID == open.ID {
			open = c
		}
	}
	wanted := Connection{
		ID: open.ID, Start: open.Start, State: Open,
		Flow:   mesh.Flow{Destination: alive, PID: 42, UID: 1000},
		Caller: mesh.Caller{Service: "web", Unit: "web.service"}, Source: "web",
		Client:      client.LocalAddr().(*net.TCPAddr).AddrPort(),
		Destination: "hello", Endpoint: mesh.Endpoint{Host: "app-2", Address: alive}.Name(), Address: alive,
		Sent: 5, Received: 5,
	}
	if open != wanted {
		t.Errorf("connection is\n%+v, want\n%+v", open, wanted)
	}
	r.wantMetric(`meshd_connections_open{destination="hello",source="web"} 2`)
	r.eventually("the metrics show the bytes of a live connection", func() bool {
		return strings.Contains(r.page(), `meshd_connection_bytes_total{destination="hello",direction="sent",source="web"} 5`)
	})
}

func TestDrainWaits(t *testing.T) {
	r, client, server := connected(t)
	r.stop()
	drained := make(chan error)
	go func() { drained <- r.Drain(t.Context()) }()
	send(t, client, "last words")
	want(t, server, "last words")
	select {
	case err := <-drained:
		t.Fatalf("drain ended with a connection open: %v", err)
	default:
	}
	client.Close()
	server.Close()
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	if list := r.Connections(); len(list) != 0 {
		t.Errorf("after the drain there are still %v", list)
	}
	r.wantEnd(mesh.ReasonDone)
}

func TestDrainResetsWhenPatienceEnds(t *testing.T) {
	at, conns := accepting(t)
	mute := silent(t)
	r := newRig(t, nil, at, mute)
	client, dialling := r.dial(at), r.dial(mute)
	server := <-conns
	r.eventually("one connection is open and one dials", func() bool {
		list := r.Connections()
		return len(list) == 2 && (list[0].State == Open || list[1].State == Open)
	})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v, want the end of its context", err)
	}
	for _, conn := range []*net.TCPConn{client, dialling, server} {
		wantReset(t, conn)
	}
	r.wantEnd(mesh.ReasonShutdown)
	r.wantEnd(mesh.ReasonShutdown)

	// The listener is still there. Its reset may come before the client has seen that it is connected.
	if late, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(r.at)); err == nil {
		defer late.Close()
		wantReset(t, late)
	} else if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("dial: %v, want a reset", err)
	}
	r.wantEnd(mesh.ReasonShutdown)
}

func TestPanicEndsOneConnection(t *testing.T) {
	r := newRig(t, nil, endpoint(t, echo))
	other := r.dial(virtual)
	wantReset(t, r.dialWith(result{flow: mesh.Flow{Destination: virtual, UID: faulty}}))
	if stack := r.logged("connection panicked")["stack"].String(); stack == "" {
		t.Error("the log has no stack")
	}
	r.wantEnd(mesh.ReasonInternal)
	send(t, other, "x")
	want(t, other, "x")
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxConnections = 1 }, endpoint(t, echo))
	first := r.dial(virtual)
	send(t, first, "x")
	want(t, first, "x")
	r.logged("connection limit reached")
	second := r.dial(virtual)
	send(t, second, "y")
	if n := len(r.Connections()); n != 1 {
		t.Errorf("%d connections are live, want 1", n)
	}
	first.Close()
	want(t, second, "y")
}

func TestAcceptSurvivesLackOfDescriptors(t *testing.T) {
	r := newRig(t, nil, endpoint(t, echo))
	r.eventually("the loops have their descriptors", func() bool { return len(r.current()) > 0 })
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r.at = l.Addr().(*net.TCPAddr).AddrPort()
	client := r.dial(virtual)
	r.eventually("there are loops", func() bool { return len(r.current()) > 0 }) // which take descriptors

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var serve sync.WaitGroup
	serve.Go(func() {
		if err := r.Serve(ctx, l); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	if err, _ := r.logged("accept connection")["error"].Any().(error); !errors.Is(err, unix.EMFILE) {
		t.Errorf("the log shows the error %v, want %v", err, unix.EMFILE)
	}
	restore()
	send(t, client, "x")
	want(t, client, "x")
	stop()
	serve.Wait()
}
