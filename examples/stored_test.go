package examples_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/meshd/meshd/examples/lab"
)

// startStored is startMeshd with a store for its listeners, as systemd has one.
func (h host) startStored(t *testing.T) *lab.Unit {
	t.Helper()
	unit, err := h.StartStoredMeshd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

// newStoredLab is newLab with a fail mode.
func newStoredLab(t *testing.T, fail string) host {
	t.Helper()
	one, _ := newLab(t)
	one.edit(t, nodeFile, `fail = "open"`, fmt.Sprintf("fail = %q", fail))
	return one
}

// byName are programs of the unit web that each resolve the name and get a page, one after the other, and say what has
// failed.
const byName = `i=0
while [ $i -lt %d ]; do
	curl -sS --fail --max-time 20 ` + hello + ` || echo "exit code $?"
	i=$((i+1))
done`

// asking is such programs, while something else happens.
type asking struct {
	cmd    *lab.Cmd
	output bytes.Buffer
}

func (h host) ask(t *testing.T, times int) *asking {
	t.Helper()
	a := &asking{cmd: h.Command(t.Context(), "web.service", "sh", "-c", fmt.Sprintf(byName, times))}
	a.cmd.Stdout, a.cmd.Stderr = &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

// want checks that all were answered.
func (a *asking) want(t *testing.T, times int) {
	t.Helper()
	err := a.cmd.Wait()
	counts := tally(strings.TrimSpace(a.output.String()))
	if err != nil || counts["app-1"]+counts["app-2"] != times {
		t.Errorf("%d requests by name got %v, and %v", times, counts, err)
	}
}

// TestStoredRestart restarts meshd while programs look up names and make connections: neither may fail, whatever the
// kernel does with callers of a dead meshd.
func TestStoredRestart(t *testing.T) {
	t.Parallel()
	for _, fail := range []string{"open", "closed"} {
		t.Run(fail, func(t *testing.T) {
			t.Parallel()
			one := newStoredLab(t, fail)
			daemon := one.startStored(t)
			const times = 150
			load := one.ask(t, times)
			for range 3 {
				if err := daemon.Stop(); err != nil {
					t.Error(err)
				}
				wantEnd(t, daemon, false)
				daemon = one.startStored(t)
			}
			load.want(t, times)
		})
	}
}

// TestStoredKill has names looked up and connections made while there is no process of meshd: both wait for the next.
func TestStoredKill(t *testing.T) {
	t.Parallel()
	one := newStoredLab(t, "closed")
	daemon := one.startStored(t)
	listening := one.status(t).Listeners
	held := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	held.ask(t, "PING") // only what meshd has accepted ends with it; the rest waits in the stored listener
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	var loads []*asking
	for range 5 {
		loads = append(loads, one.ask(t, 1))
	}
	held.rest(t) // what was open is reset
	one.startStored(t)
	for _, load := range loads {
		load.want(t, 1)
	}
	after := one.status(t)
	if opened := after.Connections.OpenedTotal; opened != 5 {
		t.Errorf("%d connections went through meshd after its restart, want 5", opened)
	}
	if fmt.Sprint(after.Listeners) != fmt.Sprint(listening) {
		t.Errorf("listeners %v, before %v", after.Listeners, listening)
	}
}

// TestEveryListenerIsStored compares what the store holds with what meshd listens on.
func TestEveryListenerIsStored(t *testing.T) {
	t.Parallel()
	one := newStoredLab(t, "open")
	one.write(t, "/etc/resolv.conf", "nameserver 10.77.0.1\nnameserver fd77::1\n")
	one.startStored(t)
	compare := func(when string) {
		t.Helper()
		var listening []string
		for _, l := range one.status(t).Listeners {
			listening = append(listening, l.Name)
		}
		stored, err := one.Stored("meshd.service")
		if err != nil || strings.Join(stored, " ") != strings.Join(listening, " ") {
			t.Errorf("%s: stored are %q, %v; meshd listens on %q", when, stored, err, listening)
		}
	}
	compare("after the start")
	one.use(t, resolvConf{text: "nameserver 10.77.0.1\n", resolvers: []string{"10.77.0.1:53"}})
	compare("with one resolver less")
	one.edit(t, nodeFile, "127.0.0.1:15020", "127.0.0.1:15120")
	one.run(t, "", "meshctl", "reload")
	compare("with metrics elsewhere")
	one.startMeshdAgain(t)
	compare("after a restart")
}

func (h host) startMeshdAgain(t *testing.T) {
	t.Helper()
	if err := h.Stop("meshd.service"); err != nil {
		t.Fatal(err)
	}
	h.startStored(t)
}
