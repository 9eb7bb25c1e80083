package examples_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

// application is a program that calls a service by its name, as somebody types it who knows nothing of the mesh.
type application struct {
	name, destination, command string
	want                       string // a regular expression for the output
}

var applications = []application{
	{"redis-cli", "cache", `redis-cli -h cache.mesh set k v && redis-cli -h cache.mesh get k`, `^OK\nv$`},
	{"redis-benchmark", "cache", `redis-benchmark -h cache.mesh -q -t set,get -c 10 -n 5000 -P 16`, `SET: .* requests per second(?s:.*)GET: .* requests per second`},
	{"psql", "db", `psql -h db.mesh -U postgres -Atc "select inet_client_addr(), count(*) from generate_series(1, 100000)"`, `^10\.77\.0\.11\|100000$`},
	{"psql over IPv6", "db", `psql -h $(getent ahostsv6 db.mesh | cut -d' ' -f1 | head -1) -U postgres -Atc "select 1"`, `^1$`},
	{"pgbench", "db", `pgbench -h db.mesh -U postgres -iq postgres 2>&1 && pgbench -h db.mesh -U postgres -c 4 -t 50 postgres`, `processed: 200/200\nnumber of failed transactions: 0 `},
	{"pgbench, a connection each time", "db", `pgbench -h db.mesh -U postgres -n -C -S -c 2 -t 20 postgres`, `processed: 40/40\n`},
	{"memcached", "sessions", `cd /tmp && echo hello >greeting && memccp --servers=sessions.mesh greeting && memccat --servers=sessions.mesh greeting`, `^hello$`},
	{"SMTP", "mail", `printf 'Subject: hi\r\n\r\nhello\r\n' | curl -sSv smtp://mail.mesh --mail-from a@example.com --mail-rcpt b@example.com -T - 2>&1`, `< 220 .*(?s:.*)< 250 OK`},
	{"rsync", "files", `rsync -a rsync://files.mesh/lab/ /tmp/got && diff -r /srv/lab /tmp/got && echo same`, `^same$`},
	{"rsync, upwards", "files", `head -c 5000000 /dev/urandom >/tmp/up && rsync /tmp/up rsync://files.mesh/inbox/up && rsync rsync://files.mesh/inbox/up /tmp/back && cmp /tmp/up /tmp/back && echo same`, `^same$`},
	{"iperf3", "speed", `iperf3 -c speed.mesh -n 20M`, `iperf Done`},
	{"iperf3, backwards", "speed", `iperf3 -c speed.mesh -n 20M -R`, `iperf Done`},
	{"curl", "hello", `curl -sS http://hello.mesh/ http://hello.mesh/`, `^app-2\napp-2$`},
	{"urllib", "hello", `python3 -c 'import urllib.request; print(urllib.request.urlopen("http://hello.mesh/").read().decode())'`, `^app-2$`},
	{"http.client", "hello", `python3 -c '
import http.client
c = http.client.HTTPConnection("hello.mesh")
for _ in range(3):
    c.request("GET", "/"); print(c.getresponse().read().decode().strip())'`, `^app-2\napp-2\napp-2$`},
	{"node", "hello", `node -e '
const http = require("http"), agent = new http.Agent({keepAlive: true})
const get = then => {
  const q = http.get({host: "hello.mesh", agent}, r => {
    r.on("data", d => process.stdout.write(d + (q.reusedSocket ? "again\n" : "")))
    r.on("end", () => setImmediate(then))
  })
}
get(() => get(() => agent.destroy()))'`, `^app-2\napp-2\nagain$`},
}

// TestPrograms runs programs as they are packaged against services of another host.
func TestPrograms(t *testing.T) {
	t.Parallel()
	l := lab.New(t, lab.Config{Dir: "testdata/programs", Meshd: meshd})
	two := startUnits(t, l, "app-2")
	one := host{Host: l.Host("app-1"), lab: l}
	daemon := one.startMeshd(t)
	one = startUnits(t, l, "app-1") // they ask for names when they start
	for _, p := range applications {
		t.Run(p.name, func(t *testing.T) {
			one.wantThrough(t, "client", p.destination, func() {
				output := one.run(t, "client.service", "bash", "-c", p.command)
				if !regexp.MustCompile(p.want).MatchString(output) {
					t.Errorf("the output does not match %s:\n%s", p.want, output)
				}
			})
		})
	}
	t.Run("MONITOR", func(t *testing.T) { testMonitor(t, one) })
	t.Run("ssh", func(t *testing.T) { testSSH(t, one, two) })
	t.Run("proxies", func(t *testing.T) { testFronts(t, one, daemon) })
	if s := one.status(t); s.State != control.StateReady || len(s.Problems) != 0 || len(s.Refused) != 0 {
		t.Errorf("state %s, problems %v, refused %v", s.State, s.Problems, s.Refused)
	}
}

// wantThrough wants that something connects through meshd, as the source and to nobody but the destination.
func (h host) wantThrough(t *testing.T, source, destination string, call func()) {
	t.Helper()
	series := fmt.Sprintf("meshd_connections_opened_total{destination=%q,source=%q}", destination, source)
	all, own := h.opened(t), h.metric(t, series)
	call()
	all, own = h.opened(t)-all, h.metric(t, series)-own
	if own == 0 || float64(all) != own {
		t.Errorf("meshd was handed %d connections, of which %v are from %s to %s", all, own, source, destination)
	}
}

// testMonitor has a connection on which only the server speaks, while others pipeline.
func testMonitor(t *testing.T, h host) {
	monitor := begin(t, h.Command(t.Context(), "client.service", "redis-cli", "-h", "cache.mesh", "monitor")) // reads OK
	const commands = 100
	h.run(t, "client.service", "bash", "-c",
		fmt.Sprintf("for i in {1..%d}; do echo set monitored $i; done | redis-cli -h cache.mesh --pipe", commands))
	for i := 1; i <= commands; i++ {
		if line := monitor.line(t); !strings.HasSuffix(line, fmt.Sprintf(`"set" "monitored" "%d"`, i)) {
			t.Fatalf("the monitor shows %q as command %d", line, i)
		}
	}
}

// testSSH logs in by a port that is captured, and by the one that is not unless somebody wants it.
func testSSH(t *testing.T, one, two host) {
	one.run(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key")
	two.write(t, "/run/ssh/authorized_keys", one.read(t, "/root/key.pub"))
	const ssh = `ssh -i /root/key -o StrictHostKeyChecking=no -o LogLevel=ERROR `
	login := func(t *testing.T, command, want string) {
		t.Helper()
		if output := one.run(t, "client.service", "bash", "-c", command); output != want {
			t.Errorf("%s: got %q, want %q", command, output, want)
		}
	}
	one.wantThrough(t, "client", "shell", func() {
		login(t, ssh+"-p 2222 root@shell.mesh hostname", "app-2")
		login(t, "head -c 3000000 /dev/urandom >/tmp/sent && "+ssh+"-p 2222 root@shell.mesh cat </tmp/sent | cmp - /tmp/sent && echo same", "same")
	})
	opened, direct := one.opened(t), one.event(t, "direct_by_rule")
	login(t, ssh+"root@login.mesh hostname", "app-2")
	if n := one.opened(t) - opened; n != 0 {
		t.Errorf("%d connections to port 22 went through meshd", n)
	}
	if n := one.event(t, "direct_by_rule") - direct; n != 1 {
		t.Errorf("the kernel made %v connections by itself, want one", n)
	}
}

// testFronts has proxies in front of a service whose address they have asked for once, when they started. It must be
// right for ever.
func testFronts(t *testing.T, h host, daemon *lab.Unit) {
	pages := func(t *testing.T) {
		t.Helper()
		for front, port := range map[string]int{"nginx-front": 8081, "haproxy-front": 8082} {
			series := fmt.Sprintf("meshd_connections_opened_total{destination=%q,source=%q}", "hello", front)
			before := h.metric(t, series)
			answer, code := h.try(t, "client.service", "curl", "-sS", "--fail", fmt.Sprintf("http://127.0.0.1:%d/", port))
			if code != 0 || answer != "app-2\n" {
				t.Errorf("%s: exit code %d, %s", front, code, answer)
			}
			if h.metric(t, series) == before {
				t.Errorf("%s has not gone through meshd", front)
			}
		}
	}
	pages(t)
	h.write(t, moreFile, "service \"aaa\" {\n  port = 80\n}\n")
	h.run(t, "", "meshctl", "reload")
	pages(t)
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	h.startMeshd(t)
	pages(t)
}
