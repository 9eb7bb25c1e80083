package examples_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/dns/dnsmessage"
)

// TestSourceAddress has the trick by which programs learn their own address: they connect UDP to a resolver that
// everybody knows, and send nothing.
func TestSourceAddress(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	err := one.Do(func() error {
		return netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(10, 77, 0, 1)})
	})
	if err != nil {
		t.Fatal(err)
	}
	const text = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("8.8.8.8", 53))
print(s.getsockname()[0])`
	if address := one.run(t, "web.service", "python3", "-c", text); address != "10.77.0.11" {
		t.Errorf("the address is %s, want the host's own", address)
	}
	// The price of the one configured resolver, which is documented: the query would go to meshd.
	one.use(t, resolvConf{text: "nameserver 8.8.8.8\n", resolvers: []string{"8.8.8.8:53"}})
	if address := one.run(t, "web.service", "python3", "-c", text); address != "127.0.0.1" {
		t.Errorf("the address is %s, and README.md says that it is meshd's", address)
	}
}

// TestCachedAddress has a program that never asks again: the address of a service stays good.
func TestCachedAddress(t *testing.T) {
	t.Parallel()
	one, two, daemon := startMesh(t)
	program := one.talk(t, "web.service", "cached", "hello.mesh:80")
	want := func(when string) {
		t.Helper()
		if page := program.ask(t, "get"); page != "app-1" && page != "app-2" {
			t.Errorf("%s: page %q", when, page)
		}
	}
	want("before anything")
	one.write(t, moreFile, moreService)
	one.run(t, "", "meshctl", "reload")
	want("after a reload")
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	want("while meshd is stopped")
	daemon = one.startMeshd(t)
	want("after a restart")
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	want("while meshd is dead")
	one.startMeshd(t)
	if err := two.units["hello.service"].Kill(); err != nil {
		t.Fatal(err)
	}
	want("after a start, with a dead endpoint")
	if opened := one.opened(t); opened != 1 {
		t.Errorf("meshd has %d connections opened since it was started, want 1", opened)
	}
}

// TestFlood has one program that asks without end what nobody answers. Others go on.
func TestFlood(t *testing.T) {
	t.Parallel()
	one, two, daemon := startMesh(t)
	two.startNameserver(t, "10.77.0.12:53", true)
	one.use(t, resolvConf{
		text:      "nameserver 10.77.0.12\nnameserver 10.77.0.1\noptions timeout:1 attempts:2\n",
		resolvers: []string{"10.77.0.12:53", "10.77.0.1:53"},
	})
	before := sockets(t, daemon.PID())
	flood := one.talk(t, "web.service", "flood", "10.77.0.12:53")
	for range 5 {
		flood.ask(t, "more")
		if answer, code := one.page(t, "--max-time", "10", hello); code != 0 {
			t.Errorf("a page while the flood goes on: exit code %d, %s", code, answer)
		}
		for _, options := range []string{"+notcp", "+tcp"} {
			if status, answers := one.dig(t, options, "@10.77.0.1", "outside.example", "A"); status != "NOERROR" || len(answers) != 1 {
				t.Errorf("another resolver while the flood goes on, %s: %s, %q", options, status, answers)
			}
		}
	}
	if n := sockets(t, daemon.PID()) - before; n > 600 {
		t.Errorf("the flood holds %d sockets, want at most 512 and some", n)
	}
	if shed := one.metric(t, `meshd_dns_queries_total{result="overflow"}`); shed < 1000 {
		t.Errorf("%v queries were shed, want most of the 3000 for which there was no room", shed)
	}
	if one.status(t).State != "ready" {
		t.Errorf("status %+v", one.status(t))
	}
}

// sockets returns how many file descriptors a process has.
func sockets(t *testing.T, pid int) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// flood asks a resolver six hundred times for each line that it reads, over one socket. Each twentieth question is
// for a name of the mesh, and its answer is waited for, so that no question is lost between here and meshd.
func flood(resolver string) error {
	conn, err := net.Dial("udp", resolver)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Println(conn.RemoteAddr())
	answer := make([]byte, 512)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		for n := range 600 {
			name := silentName + "."
			if n%20 == 0 {
				name = "hello.mesh."
			}
			if _, err := conn.Write(question(uint16(n), name)); err != nil {
				return err
			}
			if n%20 != 0 {
				continue
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
			if _, err := conn.Read(answer); err != nil {
				return err
			}
		}
		fmt.Println("asked")
	}
	return nil
}

func question(id uint16, name string) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packed, err := m.Pack()
	if err != nil {
		panic(err) // every part is written above
	}
	return packed
}
