package proxy

import (
	"bufio"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// faulted makes a service whose requests meet a fault on their way to the endpoints.
func faulted(t testing.TB, f mesh.Fault, endpoints ...netip.AddrPort) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.protocol = mesh.HTTP
	r.serve(func(c *mesh.Catalog) {
		c.Routers = []mesh.Router{{Service: "hello", Routes: []mesh.Route{{Fault: &f, Destination: &mesh.Destination{Service: "hello"}}}}}
	}, endpoints...)
	return r
}

func TestFaultAbort(t *testing.T) {
	at, tries := plays(t)
	r := faulted(t, mesh.Fault{Abort: &mesh.Abort{Share: mesh.Hundred, HTTPStatus: 418}}, at)
	client := r.dial(virtual)
	in := bufio.NewReader(client)
	for range 2 {
		if response, body := get(t, client, in, plain); response.StatusCode != 418 || body != "fault\n" {
			t.Errorf("%d %q", response.StatusCode, body)
		}
	}
	if tries.Load() > 0 {
		t.Error("the endpoint was asked")
	}
	client.Close()
	r.wantEnd(mesh.ReasonDone)
	r.wantMetric(`meshd_requests_total{code="418",destination="hello",protocol="http",reason="fault",source="web"} 2`)
}

func TestFaultAbortOfGRPC(t *testing.T) {
	r := faulted(t, mesh.Fault{Abort: &mesh.Abort{Share: mesh.Hundred, GRPCStatus: 14}}, dead(t))
	client := r.dial(virtual)
	response, body := get(t, client, bufio.NewReader(client), plain)
	h := response.Header
	if response.StatusCode != 200 || body != "" || h.Get("Grpc-Status") != "14" || h.Get("Content-Type") != "application/grpc" {
		t.Errorf("%d %v %q", response.StatusCode, h, body)
	}
}

func TestFaultDelay(t *testing.T) {
	at, conns := accepting(t)
	r := faulted(t, mesh.Fault{Delay: &mesh.Delay{Share: mesh.Hundred, Fixed: time.Hour}}, at)
	client := r.dial(virtual)
	send(t, client, plain)
	waits := func() (waits bool) {
		r.exchanges(func(x *exchange) { waits = x.stage == forTime && x.endpoint == nil })
		return waits
	}
	r.eventually("the request waits", waits)
	r.later(59 * time.Minute)
	if !waits() {
		t.Error("the request waits no more, though its time has not come")
	}
	r.later(2 * time.Hour)
	server := <-conns
	if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
		t.Fatal(err)
	}
	send(t, server, answer)
	want(t, client, answer)
}

// TestFaultDelayOfWhoLeaves wants nothing to be left of a request whose client does not wait.
func TestFaultDelayOfWhoLeaves(t *testing.T) {
	r := faulted(t, mesh.Fault{Delay: &mesh.Delay{Share: mesh.Hundred, Fixed: time.Hour}}, dead(t))
	client := r.dial(virtual)
	send(t, client, plain)
	r.eventually("the request waits", func() (waits bool) {
		r.exchanges(func(x *exchange) { waits = x.stage == forTime })
		return waits
	})
	reset(client)
	r.wantEnd(mesh.ReasonClientReset)
	r.inLoops(func(l *loop) {
		if len(l.deadlines) > 0 {
			t.Error("its deadline is left")
		}
	})
}

// TestFaultDelayThenAbort wants a request that meets both to wait first.
func TestFaultDelayThenAbort(t *testing.T) {
	r := faulted(t, mesh.Fault{
		Delay: &mesh.Delay{Share: mesh.Hundred, Fixed: time.Hour}, Abort: &mesh.Abort{Share: mesh.Hundred, HTTPStatus: 500},
	}, dead(t))
	client := r.dial(virtual)
	send(t, client, plain)
	r.eventually("the request waits", func() (waits bool) {
		r.exchanges(func(x *exchange) { waits = x.stage == forTime })
		return waits
	})
	r.later(2 * time.Hour)
	if response, _ := get(t, client, bufio.NewReader(client), ""); response.StatusCode != 500 {
		t.Errorf("%s", response.Status)
	}
}
