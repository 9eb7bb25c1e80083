package examples_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/meshd/meshd/examples/lab"
)

// How long the tests of endurance are. The defaults show that they work; make soak has numbers that find something.
var (
	soakRestarts    = flag.Int("restarts", 4, "how often meshd is restarted under load")
	soakConnections = flag.Int("connections", 5000, "how many connections are made to one service")
	soakTime        = flag.Duration("mixed", 5*time.Second, "how long the mixed load goes on")
)

// usage is what a meshd takes up while it has no connections.
type usage struct {
	Descriptors, Threads, Goroutines int
	Entries                          int // of the hashes of the kernel programs
	Flows                            int // of connections that meshd has not accepted, apart from those
	Memory                           int // KiB that are resident
}

// more says whether u is more than there was before, apart from the descriptors of those who asked for these numbers, a
// few goroutines and threads, and a tenth of the memory.
func (u usage) more(before usage) bool {
	return u.Descriptors > before.Descriptors+4 || u.Goroutines > before.Goroutines+4 || u.Threads > before.Threads+16 ||
		u.Entries != before.Entries || u.Flows > before.Flows || u.Memory > before.Memory*11/10+4096
}

// usage waits until meshd has no connections any more, and measures.
func (h host) usage(t *testing.T, daemon *lab.Unit) usage {
	t.Helper()
	eventually(t, "all connections have ended", func() bool { return len(h.connections(t)) == 0 })
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", daemon.PID()))
	if err != nil {
		t.Fatal(err)
	}
	entries, flows := h.entries(t)
	return usage{
		Descriptors: len(fds),
		Threads:     field(t, daemon, "Threads"),
		Memory:      field(t, daemon, "VmRSS"),
		Goroutines:  int(h.metric(t, "go_goroutines")),
		Entries:     entries,
		Flows:       flows,
	}
}

// field returns a number of /proc/PID/status.
func field(t *testing.T, unit *lab.Unit, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", unit.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the status has no %s", name)
	return 0
}

// entries returns how many entries the hashes of the kernel programs have together, and apart from them the flows.
// What was refused is kept for people to look at, and does not count.
func (h host) entries(t *testing.T) (all, flows int) {
	t.Helper()
	err := h.Do(func() error {
		return filepath.WalkDir(pins, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || entry.Name() == "refusals" {
				return err
			}
			m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
			if err != nil {
				return nil // a program or a link
			}
			defer m.Close()
			if m.Type() != ebpf.Hash && m.Type() != ebpf.LRUHash {
				return nil
			}
			n, entries, key, value := 0, m.Iterate(), []byte(nil), []byte(nil)
			for entries.Next(&key, &value) {
				n++
			}
			if entry.Name() == "flow_orig" {
				flows += n
			} else {
				all += n
			}
			return entries.Err()
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, flows
}

// complaints is the output of a server of exchanges: it keeps what did not go well.
type complaints struct {
	mu    sync.Mutex
	lines []string
}

// serveExchanges starts the server of exchanges for many clients.
func (h host) serveExchanges(t *testing.T) *complaints {
	t.Helper()
	c := &complaints{}
	cmd := h.serverCommand(t)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stdout)
	said.Scan() // that it listens
	var reading sync.WaitGroup
	reading.Go(func() {
		for said.Scan() {
			c.add(said.Text())
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
	})
	return c
}

func (c *complaints) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !strings.HasSuffix(line, wentWell) && len(c.lines) < 20 {
		c.lines = append(c.lines, line)
	}
}

func (c *complaints) want(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) > 0 {
		t.Errorf("the server complains:\n%s", strings.Join(c.lines, "\n"))
	}
}

var greetings = []exchange{{"greet", "client", 0}, {"greet", "server", 0}}

// reuse lets ports be used again a second after their connection has ended, as a host with so many must.
func (h host) reuse(t *testing.T) { h.write(t, "/proc/sys/net/ipv4/tcp_tw_reuse", "1") }

// TestRestarts restarts meshd again and again under load, by turns as systemctl does and as a fault does.
func TestRestarts(t *testing.T) {
	t.Parallel()
	one, two, daemon := startPeer(t)
	two.serveExchanges(t)
	one.reuse(t)
	address := one.virtual(t, "peer", 4) + ":7100"
	const workers = 4
	var before usage
	for i := range *soakRestarts {
		killed := i%2 == 1
		load := one.load(t, address, workers, 0, greetings...)
		eventually(t, "the load has begun", func() bool { return one.opened(t) > 20 })
		if killed {
			if err := daemon.Kill(); err != nil {
				t.Fatal(err)
			}
		} else {
			if err := daemon.Stop(); err != nil {
				t.Fatal(err)
			}
			wantEnd(t, daemon, false)
		}
		daemon = one.startMeshd(t)
		eventually(t, "meshd has the load again", func() bool { return one.opened(t) > 20 })
		report := load.end(t)
		if err := report.unexpected(killed); err != nil {
			t.Errorf("restart %d, killed %t: of %d connections %v", i, killed, report.Connections, err)
		}
		own := one.metric(t, `meshd_connections_opened_total{destination="peer",source="web"}`)
		if all := one.opened(t); float64(all) != own || int64(all) > report.Connections {
			t.Errorf("restart %d: meshd was handed %d connections, %v of them by the load, which made %d", i, all, own, report.Connections)
		}
		after := one.usage(t, daemon)
		if i == 0 {
			before = after
		}
		allowed := before
		allowed.Flows += i * workers // of those who waited for a meshd that was killed
		if after.more(allowed) {
			t.Errorf("restart %d: %+v, and after the first one %+v", i, after, before)
		}
	}
	t.Logf("%d restarts; after the first: %+v, after the last: %+v", *soakRestarts, before, one.usage(t, daemon))
}

// unexpected returns the failures that may not be. A connection through a meshd that is killed may be reset.
func (r loadReport) unexpected(killed bool) error {
	var all []error
	for how, n := range r.Failures {
		if !killed || !strings.Contains(how, "reset by peer") && !strings.Contains(how, "broken pipe") {
			all = append(all, fmt.Errorf("%d: %s", n, how))
		}
	}
	return errors.Join(all...)
}

// TestManyConnections makes so many connections that every source port is used many times.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	one, two, daemon := startPeer(t)
	server := two.serveExchanges(t)
	one.reuse(t)
	before := one.usage(t, daemon)
	for _, version := range []int{4, 6} {
		address := "[" + one.virtual(t, "peer", version) + "]:7100"
		report := one.load(t, address, 8, *soakConnections/2, greetings...).wait(t)
		if err := report.unexpected(false); err != nil {
			t.Errorf("IPv%d: of %d connections %v", version, report.Connections, err)
		}
	}
	after := one.usage(t, daemon)
	if n := one.opened(t); n != uint64(*soakConnections/2*2) {
		t.Errorf("meshd was handed %d connections, want %d", n, *soakConnections)
	}
	if n := one.event(t, "flow_lost"); n != 0 {
		t.Errorf("the kernel lost %v flows", n)
	}
	if after.more(before) {
		t.Errorf("before: %+v, after: %+v", before, after)
	}
	server.want(t)
	t.Logf("%d connections; before: %+v, after: %+v", *soakConnections, before, after)
}

// mixture is what the mixed load does.
var mixture = []exchange{
	{"greet", "client", 0}, {"greet", "server", 0}, {"small", "client", 2000}, {"both-ways", "client", 1 << 20},
	{"half", "client", 100_000}, {"half", "server", 100_000}, {"reset", "client", 4 << 20}, {"reset", "server", 4 << 20},
}

// TestMixedLoad has everything happen for long: connections of every kind by name, refusals, reloads. Meshd is measured
// each time that it has nothing to do, and must not take up more in the end than it did near the beginning.
func TestMixedLoad(t *testing.T) {
	t.Parallel()
	one, two, daemon := startPeer(t)
	server := two.serveExchanges(t)
	one.reuse(t)
	virtual := one.virtual(t, "peer", 4)
	over := time.Now().Add(*soakTime)
	var all []usage
	for round := 0; time.Now().Before(over) || round < 8; round++ {
		load := one.load(t, "peer.mesh:7100", 8, 400, mixture...)
		for _, text := range []string{peerService + moreService, peerService} {
			one.write(t, moreFile, text)
			one.run(t, "", "meshctl", "reload")
			one.try(t, "web.service", "curl", "-sS", "http://"+virtual+":81/")
		}
		report := load.wait(t)
		if err := report.unexpected(false); err != nil {
			t.Fatalf("round %d: of %d connections %v", round, report.Connections, err)
		}
		all = append(all, one.usage(t, daemon))
	}
	server.want(t)
	if n := one.event(t, "flow_lost"); n != 0 {
		t.Errorf("the kernel lost %v flows", n)
	}
	quarter := len(all) / 4
	early, late := median(all[quarter:2*quarter]), median(all[len(all)-quarter:])
	t.Logf("%d rounds; early: %+v, late: %+v", len(all), early, late)
	if late.more(early) {
		t.Errorf("meshd takes up more and more: early %+v, late %+v", early, late)
	}
}

// median returns the middle of each number.
func median(all []usage) usage {
	middle := func(of func(usage) int) int {
		var numbers []int
		for _, u := range all {
			numbers = append(numbers, of(u))
		}
		slices.Sort(numbers)
		return numbers[len(numbers)/2]
	}
	return usage{
		Descriptors: middle(func(u usage) int { return u.Descriptors }),
		Threads:     middle(func(u usage) int { return u.Threads }),
		Goroutines:  middle(func(u usage) int { return u.Goroutines }),
		Entries:     middle(func(u usage) int { return u.Entries }),
		Flows:       middle(func(u usage) int { return u.Flows }),
		Memory:      middle(func(u usage) int { return u.Memory }),
	}
}
