package examples_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// socketRow is a way to connect, and what comes of it.
type socketRow struct {
	name, script string
	virtual      string // with a virtual address; empty: as without meshd
	only         string // the family that knows this way; empty: each
}

// socketRows are the ways to the virtual address of a service. With another address each must end as it does without
// meshd. Where nobody answers without meshd either, a script does not wait.
var socketRows = []socketRow{
	{"plain", "tcp{S} connect={to} peer local ask", "ok ok {to} {lo} -NOAUTH", ""},
	{"not blocking", "tcp{S} nonblock connect={to} peer local ask", "ok ok ok {to} {lo} -NOAUTH", ""},
	{"once more", "tcp{S} connect={to} connect={to} connect={closed} peer ask", "ok ok EISCONN EISCONN {to} -NOAUTH", ""},
	{"TCP_FASTOPEN by sendto", "tcp{S} fastopen={to} peer local answer ask", "ok ok {to} {lo} -NOAUTH -NOAUTH", ""},
	{"TCP_FASTOPEN_CONNECT", "tcp{S} fastopen_connect connect={to} ask peer local ask", "ok ok ok -NOAUTH {to} {lo} -NOAUTH", ""},
	{"MPTCP", "mptcp{S} connect={to} peer local ask", "ok ok {to} {lo} -NOAUTH", ""},
	{"MPTCP, not blocking", "mptcp{S} nonblock connect={to} peer local ask", "ok ok ok {to} {lo} -NOAUTH", ""},
	{"IPV6_V6ONLY", "tcp6 v6only connect={to} peer local ask", "ok ok ok {to} {lo} -NOAUTH", "IPv6"},
	{"IPV6_V6ONLY", "tcp6 v6only connect={to}", "ok ok ENETUNREACH", "mapped"},
	{"SO_BINDTODEVICE lo", "tcp{S} device=lo start={to} local", "ok ok EINPROGRESS {lo}", ""},
	{"SO_BINDTODEVICE eth0", "tcp{S} device=eth0 start={to} local", "", ""},
	{"bound to own address", "tcp{S} bind={own0} connect={to} peer local port ask", "ok ok ok {to} {own} kept:true -NOAUTH", ""},
	{"bound to a port", "tcp{S} bind={any0} connect={to} peer local port ask", "ok ok ok {to} {lo} kept:true -NOAUTH", ""},
	{"on another thread", "tcp{S} thread={to} peer ask", "ok ok {to} -NOAUTH", ""},
	{"duplicate", "tcp{S} dup connect={to} dup peer ask", "ok ok ok ok {to} -NOAUTH", ""},
	{"by a child", "tcp{S} child=connect={to} peer ask", "ok ok {to} -NOAUTH", ""},
	{"used by a child", "tcp{S} connect={to} child=peer child=ask", "ok ok {to} -NOAUTH", ""},
	{"passed on, then connected", "tcp{S} give={name} take connect={to} peer ask", "ok ok ok ok {to} -NOAUTH", ""},
	{"connected, then passed on", "tcp{S} connect={to} give={name} take peer ask", "ok ok ok ok {to} -NOAUTH", ""},
	{"UDP", "udp{S} connect={to} peer", "ok ECONNREFUSED ENOTCONN", ""},
	{"UDP by sendto", "udp{S} sendto={to} peer", "ok ECONNREFUSED ENOTCONN", ""},
	{"SOCK_RAW", "raw{S} connect={to}", "", ""},
	{"SOCK_RAW by sendto", "raw{S} sendto={to}", "", ""},
}

func TestSockets(t *testing.T) {
	t.Parallel()
	r := newSocketRig(t)
	rows := append(socketRows, uringRow(t))
	for _, f := range r.families {
		for _, row := range rows {
			if row.only != "" && row.only != f.name {
				continue
			}
			t.Run(row.name+", "+f.name, func(t *testing.T) {
				want := f.fill(row.virtual, f.virtual)
				if row.virtual == "" {
					want = r.outside.play(t, f.fill(row.script, f.virtual))
				}
				r.inside.wants(t, f.fill(row.script, f.virtual), want)
				r.inside.wants(t, f.fill(row.script, f.other), r.outside.play(t, f.fill(row.script, f.other)))
			})
		}
	}
	t.Run("SO_REUSEPORT listeners", func(t *testing.T) {
		// A port of meshd cannot be shared, by that option either.
		listener := "tcp4 reuseport bind=127.0.0.1:9100 listen "
		r.inside.wants(t, listener+listener+"tcp4 connect=127.0.0.1:9100 peer tcp4 reuseport bind=127.0.0.1:15001",
			"ok ok ok ok ok ok ok ok ok ok 127.0.0.1:9100 ok ok EPERM")
	})
	t.Run("SO_BINDTODEVICE lo", func(t *testing.T) {
		for _, f := range r.families {
			r.inside.wants(t, f.fill("tcp{S} device=lo connect={to} peer ask", f.virtual), f.fill("ok ok ok {to} -NOAUTH", f.virtual))
		}
	})
	t.Run("SO_ORIGINAL_DST", func(t *testing.T) {
		four := r.families[0] // whether the option is known at all is up to the machine
		without := r.outside.play(t, four.fill("tcp4 connect={to} origdst", four.other))
		r.inside.wants(t, four.fill("tcp4 connect={to} origdst", four.virtual), without)
	})
	t.Run("dead meshd", func(t *testing.T) { testSocketsDirect(t, r) })
}

// uringRow is io_uring, or its refusal where the kernel lets nobody use it.
func uringRow(t *testing.T) socketRow {
	t.Helper()
	row := socketRow{"io_uring", "tcp{S} uring={to} peer local ask", "ok ok {to} {lo} -NOAUTH", ""}
	text, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	switch {
	case errors.Is(err, os.ErrNotExist): // a kernel without this switch
	case err != nil:
		t.Fatal(err)
	case strings.TrimSpace(string(text)) == "2":
		t.Log("the kernel lets nobody use io_uring: kernel.io_uring_disabled is 2")
		row.script, row.virtual = "tcp{S} uring={to}", "ok EPERM"
	}
	return row
}

// testSocketsDirect has the kernel connect to the endpoint itself, which has an IPv4 address only.
func testSocketsDirect(t *testing.T, r *socketRig) {
	if err := r.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	four, six, mapped := r.families[0], r.families[1], r.families[2]
	for _, row := range []struct {
		name, script, want string
		families           []family
	}{
		{"plain", "tcp{S} connect={to} peer local ask", "ok ok {to} {own} -NOAUTH", []family{four, mapped}},
		{"plain", "tcp6 connect={to} peer local ask", "ok ok {to} " + mapped.own.String() + " -NOAUTH", []family{six}},
		{"not blocking", "tcp{S} nonblock connect={to} peer ask", "ok ok ok {to} -NOAUTH", r.families},
		{"TCP_FASTOPEN by sendto", "tcp{S} fastopen={to} peer answer", "ok ok {to} -NOAUTH", r.families},
		{"MPTCP", "mptcp{S} connect={to} peer ask", "ok ok {to} -NOAUTH", r.families},
		{"IPV6_V6ONLY", "tcp6 v6only connect={to} peer", "ok ok ENETUNREACH ENOTCONN", []family{six, mapped}},
		{"bound to own address", "tcp{S} bind={own0} connect={to} peer local port", "ok ok ok {to} {own} kept:true", []family{four, mapped}},
		{"bound to own address", "tcp6 bind={own0} connect={to} peer", "ok ok ENETUNREACH ENOTCONN", []family{six}},
		{"UDP", "udp{S} connect={to}", "ok ECONNREFUSED", r.families},
	} {
		for _, f := range row.families {
			t.Run(row.name+", "+f.name, func(t *testing.T) {
				r.inside.wants(t, f.fill(row.script, f.virtual), f.fill(row.want, f.virtual))
			})
		}
	}
}

// TestSocketReuse connects one socket three times, in every order of where: what it was connected to before must not
// show.
func TestSocketReuse(t *testing.T) {
	t.Parallel()
	r := newSocketRig(t)
	for _, f := range r.families {
		undeclared := netip.AddrPortFrom(f.virtual.Addr(), f.virtual.Port()+1)
		refused := "ECONNREFUSED ENOTCONN"
		steps := []struct{ script, want string }{
			{fmt.Sprintf("connect=%v peer ask unspec peer", f.virtual), fmt.Sprintf("ok %v -NOAUTH ok ENOTCONN", f.virtual)},
			{fmt.Sprintf("connect=%v peer ask unspec peer", f.other), fmt.Sprintf("ok %v -NOAUTH ok ENOTCONN", f.other)},
			{fmt.Sprintf("connect=%v peer", undeclared), refused},
			{fmt.Sprintf("connect=%v peer", f.closed), refused},
		}
		for _, kind := range []string{"tcp", "mptcp"} {
			for a := range steps {
				for b := range steps {
					for c := range steps {
						script := strings.Join([]string{kind + f.version, steps[a].script, steps[b].script, steps[c].script}, " ")
						r.inside.wants(t, script, strings.Join([]string{"ok", steps[a].want, steps[b].want, steps[c].want}, " "))
					}
				}
			}
		}
	}
}

// TestResolverReuse connects a UDP socket to the resolver and then elsewhere.
func TestResolverReuse(t *testing.T) {
	t.Parallel()
	r := newSocketRig(t)
	resolver := netip.MustParseAddrPort("10.77.0.1:53")
	for f, to := range map[*family]netip.AddrPort{
		&r.families[0]: resolver,
		&r.families[2]: netip.AddrPortFrom(mapped(resolver.Addr()), resolver.Port()),
	} {
		for _, test := range []struct{ name, script, want string }{
			{"with AF_UNSPEC", "connect={to} peer unspec peer connect={other} peer local", "ok {to} ok ENOTCONN ok {other} {own}"},
			{"there and back", "connect={other} peer connect={to} peer connect={other} peer local", "ok {other} ok {to} ok {other} {own}"},
			{"then refused", "connect={to} connect={virtual} peer", "ok ECONNREFUSED {to}"},
			// Its source has become a loopback address, with which nothing outside of the host can be reached.
			{"without AF_UNSPEC", "connect={to} connect={other}", "ok EINVAL"},
		} {
			t.Run(test.name+", "+f.name, func(t *testing.T) {
				r.inside.wants(t, f.fill("udp{S} "+test.script, to), f.fill("ok "+test.want, to))
			})
		}
	}
}

// TestSocketsOfOthers has a socket connected by another process than the one that opened it: the caller is who connects.
func TestSocketsOfOthers(t *testing.T) {
	t.Parallel()
	r := newSocketRig(t)
	session := startScripts(t, r.one, "session", "")
	four := r.families[0]
	for _, test := range []struct {
		opens, connects *scripts
		to, source      string
	}{
		{r.inside, session, "session", "host:app-1"},
		{session, r.inside, "web", "web"},
	} {
		test.opens.wants(t, "tcp4 give="+test.to, "ok ok")
		test.connects.wants(t, four.fill("take connect={to} peer", four.virtual), four.fill("ok ok {to}", four.virtual))
		test.opens.wants(t, "tcp4", "ok") // lets go of it
		eventually(t, "there is one connection, of "+test.source, func() bool {
			live := r.one.connections(t)
			return len(live) == 1 && live[0].Source == test.source
		})
		test.connects.wants(t, "tcp4", "ok")
		eventually(t, "the connection has ended", func() bool { return len(r.one.connections(t)) == 0 })
	}
}

// TestMultipath has an application that listens with MPTCP, as those in Go do, and says whether a client used it.
func TestMultipath(t *testing.T) {
	t.Parallel()
	r := newSocketRig(t)
	var l net.Listener
	if err := r.two.Do(func() (err error) {
		l, err = net.Listen("tcp", ":9000")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			used, err := conn.(*net.TCPConn).MultipathTCP()
			_, _ = fmt.Fprintf(conn, "mptcp:%t,%v\n", used, err)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	r.one.write(t, moreFile, "service \"multi\" {\n  port = 80\n  endpoint {\n    host = \"app-2\"\n    port = 9000\n  }\n}\n")
	r.one.run(t, "", "meshctl", "reload")
	for i, f := range r.families {
		version := []int{4, 6, 4}[i]
		to := netip.AddrPortFrom(netip.MustParseAddr(r.one.virtual(t, "multi", version)), 80)
		if f.name == "mapped" {
			to = netip.AddrPortFrom(mapped(to.Addr()), 80)
		}
		r.families[i].virtual = to
		for _, kind := range []string{"tcp", "mptcp"} {
			r.inside.wants(t, f.fill(kind+"{S} connect={to} peer answer", to), f.fill("ok ok {to} mptcp:false,<nil>", to))
		}
	}
	if err := r.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.families {
		r.inside.wants(t, f.fill("mptcp{S} connect={to} peer answer", f.virtual), f.fill("ok ok {to} mptcp:true,<nil>", f.virtual))
	}
}

// TestFastOpen has a host on which every listener takes data with the first packet, and every client may send it.
func TestFastOpen(t *testing.T) {
	t.Parallel()
	one, two := newLab(t)
	const everywhere = "0x607" // client and server, without a cookie, without an option of the socket: ip-sysctl
	for _, h := range []host{one, two} {
		h.sysctl(t, "net/ipv4/tcp_fastopen", everywhere)
	}
	r := rigOf(t, one, two, one.startMeshd(t))
	for _, f := range r.families {
		for range 20 {
			r.inside.wants(t, f.fill("tcp{S} fastopen={to} peer answer", f.virtual), f.fill("ok ok {to} -NOAUTH", f.virtual))
			r.inside.wants(t, f.fill("tcp{S} fastopen_connect connect={to} ask peer", f.virtual), f.fill("ok ok ok -NOAUTH {to}", f.virtual))
			r.inside.wants(t, f.fill("tcp{S} fastopen={to} peer answer", f.other), f.fill("ok ok {to} -NOAUTH", f.other))
		}
	}
	if n := one.counter(t, "TCPFastOpenActive"); n == 0 {
		t.Error("no client sent data with its first packet")
	}
	// A connection that meshd accepts before its client has heard of it has no flow yet.
	if n := one.counter(t, "TCPFastOpenPassive"); n != 0 {
		t.Errorf("meshd took data with the first packet %d times", n)
	}
}

// counter returns a TCP counter of the network of the host.
func (h host) counter(t *testing.T, name string) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(h.run(t, "", "cat", "/proc/net/netstat")) {
		fields := strings.Fields(line)
		if fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		n, err := strconv.Atoi(fields[slices.Index(names, name)])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatal("the kernel counts nothing of TCP")
	return 0
}

// sysctl sets a switch of the network of the host, whose own /proc/sys is read-only.

func (h host) sysctl(t *testing.T, name, value string) {
	t.Helper()
	path := "/proc/sys/" + name
	err := h.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(value), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
