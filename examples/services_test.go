package examples_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/meshd/meshd/engine/control"
)

// twoPorts is a service of which only the listener is served: nothing listens at its own port.
const twoPorts = `service "twice" {
  port = 81
  listener "page" {
    port = 9000
  }
  endpoint {
    address = "fd77::12"
    ports   = { page = 8080 }
  }
}
`

func TestListener(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	one.write(t, moreFile, twoPorts)
	one.run(t, "", "meshctl", "reload")
	virtual := one.virtual(t, "twice", 6) // the family of the endpoint, as the kernel cannot translate
	for port, works := range map[string]bool{"9000": true, "81": false, "82": false} {
		if output, code := one.page(t, "http://twice.mesh:"+port+"/"); (code == 0) != works {
			t.Errorf("port %s: exit code %d, want a page: %v: %s", port, code, works, output)
		}
	}
	own, listener := one.endpoint(t, "twice", "[fd77::12]:81"), one.endpoint(t, "twice", "[fd77::12]:8080")
	if own.Listener != "" || own.Connected != 0 || own.Failed == 0 {
		t.Errorf("the endpoint at the service's own port: %+v", own)
	}
	if listener.Listener != "page" || listener.Connected == 0 || listener.Failed != 0 {
		t.Errorf("the endpoint at the listener's port: %+v", listener)
	}
	if n := one.metric(t, `meshd_connections_opened_total{destination="twice",source="web"}`); n < 2 {
		t.Errorf("the metrics of the service count %v connections, want those of both ports", n)
	}
	if status, answers := one.dig(t, "_page._tcp.twice.mesh", "SRV"); status != "NOERROR" || !slices.Contains(answers, "0 0 9000 twice.mesh.") {
		t.Errorf("SRV: %s %q", status, answers)
	}

	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	for port, want := range map[string]int{"9000": 0, "81": refused} {
		if output, code := one.page(t, "http://["+virtual+"]:"+port+"/"); code != want {
			t.Errorf("port %s without meshd: exit code %d, want %d: %s", port, code, want, output)
		}
	}
}

// elsewhere is the resolver of the lab, which serves TCP too, under the name that it knows.
const elsewhere = `service "elsewhere" {
  port      = 5300
  hostnames = ["outside.example"]
  endpoint {
    address = "outside.example"
    port    = 53
  }
}
service "nobody" {
  port = 80
  endpoint {
    address = "nobody.example"
  }
}
`

// TestOutside reaches a service outside the mesh by its own name, and through the mesh.
func TestOutside(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	one.write(t, moreFile, elsewhere)
	one.run(t, "", "meshctl", "reload")
	virtual := one.virtual(t, "elsewhere", 4)
	if output := one.run(t, "web.service", "getent", "ahostsv4", "outside.example"); !strings.HasPrefix(output, virtual+" ") {
		t.Errorf("outside.example is answered with\n%s\nwant %s", output, virtual)
	}
	before := one.opened(t)
	for _, family := range []string{"-4", "-6"} {
		status, answers := one.dig(t, family, "+tcp", "-p", "5300", "@outside.example", "outside.example", "A")
		if status != "NOERROR" || !slices.Equal(answers, []string{"10.77.0.1"}) {
			t.Errorf("%s: the server outside says %s %q", family, status, answers)
		}
	}
	if n := one.opened(t) - before; n != 2 {
		t.Errorf("%d connections went through meshd, want 2", n)
	}
	for _, name := range []string{"10.77.0.1:53", "[fd77::1]:53"} {
		if e := one.endpoint(t, "elsewhere", name); e.Hostname != "outside.example" || e.Host != "" {
			t.Errorf("endpoint %s: %+v", name, e)
		}
	}
	if output, code := one.page(t, "http://nobody.mesh/"); code != refused {
		t.Errorf("a name without an address: exit code %d, want %d: %s", code, refused, output)
	}
	if !hasProblem(one.status(t), "nobody.example") {
		t.Errorf("the name that is not found is no problem: %+v", one.status(t).Problems)
	}
}

func hasProblem(s control.Status, about string) bool {
	return slices.ContainsFunc(s.Problems, func(p control.Problem) bool { return strings.Contains(p.What, about) })
}

const moving = `service "moving" {
  port = 80
  endpoint {
    address = "moving.example"
    port    = 8080
  }
}
`

// TestOutsideMoves follows a name to another address, and keeps that when the name is gone.
func TestOutsideMoves(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	server := one.startMovingName(t, "127.0.0.9:53")
	one.write(t, "/etc/resolv.conf", "nameserver 127.0.0.9\n")
	server.move("10.77.0.12")
	one.write(t, moreFile, moving)
	one.run(t, "", "meshctl", "reload")
	at := func() []string {
		var all []string
		for _, e := range query[control.EndpointList](t, one, "endpoints", "moving").Endpoints {
			all = append(all, e.Name)
		}
		return all
	}
	if got := at(); !slices.Equal(got, []string{"10.77.0.12:8080"}) {
		t.Errorf("after the reload the endpoints are %q", got)
	}
	server.move("10.77.0.11")
	eventually(t, "the name is followed", func() bool { return slices.Equal(at(), []string{"10.77.0.11:8080"}) })
	server.move("")
	eventually(t, "that the name is gone is a problem", func() bool { return hasProblem(one.status(t), "moving.example") })
	address := one.virtual(t, "moving", 4)
	if answer, code := one.page(t, "http://"+address+"/"); code != 0 || !strings.Contains(answer, "app-1") {
		t.Errorf("the address from before: exit code %d: %s", code, answer)
	}
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if answer, code := one.page(t, "http://"+address+"/"); code != 0 || !strings.Contains(answer, "app-1") {
		t.Errorf("without meshd: exit code %d: %s", code, answer)
	}
}

// movingName is a name server for one name, whose answer is good for no time at all.
type movingName struct{ address atomic.Pointer[netip.Addr] }

// move changes the address of the name; it does not exist without one.
func (m *movingName) move(address string) {
	if address == "" {
		m.address.Store(nil)
		return
	}
	a := netip.MustParseAddr(address)
	m.address.Store(&a)
}

func (h host) startMovingName(t *testing.T, address string) *movingName {
	t.Helper()
	var conn net.PacketConn
	err := h.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &movingName{}
	var serving sync.WaitGroup
	serving.Go(func() {
		query := make([]byte, 512)
		for {
			n, client, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			if reply := m.reply(query[:n]); reply != nil {
				_, _ = conn.WriteTo(reply, client)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	return m
}

func (m *movingName) reply(query []byte) []byte {
	var q dnsmessage.Message
	if q.Unpack(query) != nil || len(q.Questions) != 1 {
		return nil
	}
	q.Response, q.Additionals = true, nil
	address := m.address.Load()
	switch {
	case address == nil:
		q.RCode = dnsmessage.RCodeNameError
	case q.Questions[0].Type == dnsmessage.TypeA:
		q.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: address.As4()},
		}}
	}
	reply, err := q.Pack()
	if err != nil {
		return nil
	}
	return reply
}
