package examples_test

import (
	"errors"
	"net/netip"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/control"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	one.write(t, moreFile, "service \"empty\" {\n  port = 80\n}\n")
	one.startMeshd(t)
	virtual := func(service string, version int) netip.Addr {
		return netip.MustParseAddr(one.virtual(t, service, version))
	}
	for _, version := range []int{4, 6} {
		hello := virtual("hello", version)
		tests := []struct {
			name, way string
			to        netip.AddrPort
			event     string
		}{
			{"port that is not declared", "tcp", netip.AddrPortFrom(hello, 81), "refused_port"},
			{"service without endpoints", "tcp", netip.AddrPortFrom(virtual("empty", version), 80), "refused_no_endpoint"},
			{"UDP", "udp", netip.AddrPortFrom(hello, 80), "refused_udp"},
			{"UDP without connect", "sendto", netip.AddrPortFrom(hello, 443), "refused_udp"},
		}
		for _, test := range tests {
			t.Run(test.name+" of "+hello.String(), func(t *testing.T) {
				before := one.event(t, test.event)
				output, code := finish(t, one.clientCommand(t, "web.service", test.way, test.to.String()))
				if code != 1 || !strings.Contains(output, unix.ECONNREFUSED.Error()) {
					t.Errorf("exit code %d: %s", code, output)
				}
				if n := one.event(t, test.event) - before; n != 1 {
					t.Errorf("the kernel counted %v times %s, want once", n, test.event)
				}
			})
		}
	}
	if n := one.opened(t); n != 0 {
		t.Errorf("meshd was handed %v connections, want none", n)
	}
	// Nothing but the status tells a person why.
	want := []control.Refusal{
		{Destination: "empty.mesh:80", Reason: control.RefusedEmpty, Count: 2},
		{Destination: "hello.mesh:81", Reason: control.RefusedPort, Count: 2},
	}
	if got := one.status(t).Refused; !slices.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
}

func TestWhatIsCaptured(t *testing.T) {
	t.Parallel()
	one, two, _ := startMesh(t)
	virtual := one.virtual(t, "cache", 4)
	t.Run("peer name", func(t *testing.T) {
		for _, address := range []string{
			virtual + ":6379", "[" + one.virtual(t, "cache", 6) + "]:6379",
		} {
			if c := one.talk(t, "web.service", "tcp", address); c.peer != address {
				t.Errorf("a program that dialled %s believes to talk to %s", address, c.peer)
			}
		}
	})
	t.Run("IPv4 by an IPv6 socket", func(t *testing.T) {
		c := one.talk(t, "web.service", "mapped", virtual+":6379")
		if want := "[::ffff:" + virtual + "]:6379"; c.peer != want {
			t.Errorf("the peer name is %s, want %s", c.peer, want)
		}
		c.line(t) // the peer name again, as Go writes it
		if answer := c.ask(t, "PING"); !strings.HasPrefix(answer, "-NOAUTH") {
			t.Errorf("the cache answered %q", answer)
		}
	})
	t.Run("address of an endpoint", func(t *testing.T) {
		before := one.opened(t)
		for _, address := range two.Addresses() {
			url := "http://" + netip.AddrPortFrom(address, 8080).String()
			if answer, code := one.page(t, url); code != 0 || answer != "app-2" {
				t.Errorf("%s: exit code %d, %s", url, code, answer)
			}
		}
		if n := one.opened(t) - before; n != 0 {
			t.Errorf("%v connections to an endpoint's own address were captured", n)
		}
	})
	t.Run("process of another host", func(t *testing.T) {
		// The test itself is in the network namespace of the host then, but not in its cgroup.
		before := one.opened(t)
		conn, err := one.Dial(t.Context(), "tcp", virtual+":6379")
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("a virtual address led from outside of the cgroup to %v", err)
		}
		if n := one.opened(t) - before; n != 0 {
			t.Errorf("%v connections from outside of the cgroup were captured", n)
		}
	})
}

// caller says who calls the cache. What is empty stands for a session, and for root.
type caller struct{ unit, user string }

// captureRule is a capture block, and who is then connected straight and who by meshd.
type captureRule struct {
	name, capture    string
	direct, captured []caller
}

func captureRules(cache string) []captureRule {
	web, session := caller{unit: "web.service"}, caller{}
	return []captureRule{
		{"exclude units", "exclude {\n  units = [\"we*.service\"]\n}", []caller{web}, []caller{session}},
		{"exclude users", "exclude {\n  users = [\"nobody\"]\n}", []caller{{user: "nobody"}}, []caller{web, session}},
		{"exclude the user of meshd", "exclude {\n  users = [\"root\"]\n}", []caller{web, session}, []caller{{user: "nobody"}}},
		{"exclude ports", "exclude {\n  ports = [6379]\n}", []caller{web, session}, nil},
		{"exclude cidrs", "exclude {\n  cidrs = [\"" + cache + "/32\"]\n}", []caller{web, session}, nil},
		{"exclude all that is virtual", "exclude {\n  cidrs = [\"244.0.0.0/6\"]\n}", []caller{web, session}, nil},
		{"include units", "include {\n  units = [\"web.service\"]\n}", []caller{session}, []caller{web}},
		{"mode off", "mode = \"off\"", []caller{web, session}, nil},
		{"no rule", "", nil, []caller{web, session, {user: "nobody"}}},
	}
}

func (r captureRule) write(t *testing.T, h host) {
	t.Helper()
	rewrite(nodeFile, strings.Replace(h.read(t, nodeFile), captureBlock, "capture {\n"+r.capture+"\n}", 1))(t, h)
}

func TestExclusions(t *testing.T) {
	t.Parallel()
	one, _, _ := startMesh(t)
	for _, rule := range captureRules(one.virtual(t, "cache", 4)) {
		t.Run(rule.name, func(t *testing.T) {
			rule.write(t, one)
			one.run(t, "", "meshctl", "reload")
			for _, c := range rule.direct {
				testCaller(t, one, c, false)
			}
			for _, c := range rule.captured {
				testCaller(t, one, c, true)
			}
		})
	}
}

// TestStartWithExclusions wants meshd to start, and to find itself well, whatever it has to leave alone.
func TestStartWithExclusions(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	for _, rule := range captureRules(one.virtual(t, "cache", 4)) {
		t.Run(rule.name, func(t *testing.T) {
			if err := daemon.Stop(); err != nil {
				t.Fatal(err)
			}
			rule.write(t, one)
			daemon = one.startMeshd(t)
			if s := one.status(t); s.State != control.StateReady {
				t.Errorf("state %s, problems %v", s.State, s.Problems)
			}
		})
	}
}

// TestExcludedLater has a unit excluded that starts when meshd runs already. Its cgroup is noticed in a moment.
func TestExcludedLater(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	one.edit(t, nodeFile, captureBlock, "capture {\n  exclude {\n    units = [\"late.service\"]\n  }\n}")
	one.startMeshd(t)
	eventually(t, "the calls of the unit are not captured", func() bool {
		opened := one.opened(t)
		one.run(t, "late.service/worker", "curl", "-sS", hello)
		return one.opened(t) == opened
	})
}

// testCaller holds a connection and looks where the kernel has sent it. The service sees the caller's host either way.
func testCaller(t *testing.T, h host, from caller, captured bool) {
	t.Helper()
	opened, direct := h.opened(t), h.event(t, "direct_by_rule")
	cmd := h.Command(t.Context(), from.unit, redisCommand("cache.mesh", "subscribe", "news")...)
	if from.user != "" {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account(t, from.user)}
	}
	subscriber := subscribe(t, cmd)
	opened, direct = h.opened(t)-opened, h.event(t, "direct_by_rule")-direct
	live := len(h.connections(t))
	if captured && (opened != 1 || direct != 0 || live != 1) || !captured && (opened != 0 || direct != 1 || live != 0) {
		t.Errorf("%+v: meshd was handed %v connections and has %d, the kernel made %v", from, opened, live, direct)
	}
	clients := h.run(t, "", redisCommand("10.77.0.12", "client", "list")...)
	if !regexp.MustCompile(`(?m) addr=10\.77\.0\.11:.* cmd=subscribe `).MatchString(clients) {
		t.Errorf("%+v: the cache has no client of that host:\n%s", from, clients)
	}
	subscriber.end()
	eventually(t, "the connection has ended", func() bool { return len(h.connections(t)) == 0 })
}

// account returns the ids of a user.
func account(t *testing.T, name string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
