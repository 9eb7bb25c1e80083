package examples_test

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
)

// checkBlock is for the service hello; an endpoint is down three seconds after it has stopped.
const checkBlock = `  check {
    http     = "/"
    interval = "1s"
    timeout  = "1s"
  }
`

// newCheckedLab is newLab with the service hello checked.
func newCheckedLab(t *testing.T) (one, two host) {
	t.Helper()
	one, two = newLab(t)
	one.edit(t, servicesFile, "service \"hello\" {\n  port = 80\n", "service \"hello\" {\n  port = 80\n"+checkBlock)
	return one, two
}

func (h host) stop(t *testing.T, unit string) {
	t.Helper()
	if err := h.units[unit].Stop(); err != nil {
		t.Fatal(err)
	}
}

func (h host) start(t *testing.T, unit string) {
	t.Helper()
	var err error
	if h.units[unit], err = h.Start(t.Context(), unit); err != nil {
		t.Fatal(err)
	}
}

func (h host) awaitState(t *testing.T, endpoint string, state control.EndpointState) control.Endpoint {
	t.Helper()
	var e control.Endpoint
	eventually(t, fmt.Sprintf("%s is %s", endpoint, state), func() bool {
		e = h.endpoint(t, "hello", endpoint)
		return e.State == state
	})
	return e
}

// wantOnly makes connections, all of which one host must answer.
func (h host) wantOnly(t *testing.T, when, name string, args ...string) {
	t.Helper()
	answers, code := h.page(t, append(args, "--fail", "--fail-early", "-H", "Connection: close", hello+"?[1-20]")...)
	if counts := tally(answers); code != 0 || counts[name] != 20 {
		t.Errorf("%s: exit code %d, answers %v, want 20 of %s", when, code, counts, name)
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	one, two := newCheckedLab(t)
	daemon := one.startMeshd(t)
	address := one.resolved(t)[:2]
	watch := one.startHAProxy(t)
	watch.await(t, map[string]string{"virtual4": "UP", "virtual6": "UP", "app-1": "UP", "app-2": "UP"})

	t.Run("one stops", func(t *testing.T) {
		two.stop(t, "hello.service")
		e := one.awaitState(t, "app-2:8080", control.EndpointDown)
		one.wantOnly(t, "app-2 is down", "app-1")
		if failed := one.endpoint(t, "hello", "app-2:8080").Failed; failed != e.Failed {
			t.Errorf("the endpoint that is down was tried %d times", failed-e.Failed)
		}
		if n := one.metric(t, fmt.Sprintf(`meshd_endpoint_up{endpoint="%s:8080",service="hello"}`, two.Addresses()[0])); n != 0 {
			t.Errorf("the metric of the endpoint that is down is %v", n)
		}
		watch.await(t, map[string]string{"virtual4": "UP", "virtual6": "UP", "app-1": "UP", "app-2": "DOWN"})
		watch.wantNeverDown(t, "virtual4", "virtual6", "app-1")
	})
	t.Run("all stop", func(t *testing.T) {
		before := one.event(t, "refused_no_endpoint")
		one.stop(t, "hello.service")
		one.awaitState(t, "app-1:8080", control.EndpointDown)
		eventually(t, "the kernel refuses connections", func() bool { return one.event(t, "refused_no_endpoint") > before })
		if _, code := one.page(t, append(address, hello)...); code != refused {
			t.Errorf("exit code %d of curl, want %d", code, refused)
		}
		if code := one.probe(t); code == 0 {
			t.Error("a TCP prober finds the service that has stopped")
		}
		watch.await(t, map[string]string{"virtual4": "DOWN", "virtual6": "DOWN", "app-1": "DOWN", "app-2": "DOWN"})
		want := "no endpoint of hello is up, and connections to port 80 are refused: its check fails: connect: connection refused"
		if problems := one.status(t).Problems; len(problems) != 1 || problems[0].What != want {
			t.Errorf("problems %v, want %q", problems, want)
		}
	})
	t.Run("all are back", func(t *testing.T) {
		one.start(t, "hello.service")
		two.start(t, "hello.service")
		one.awaitState(t, "app-1:8080", control.EndpointUp)
		e := one.awaitState(t, "app-2:8080", control.EndpointUp)
		eventually(t, "connections are not refused", func() bool { return one.probe(t) == 0 })
		testHello(t, one, 4)
		watch.await(t, map[string]string{"virtual4": "UP", "virtual6": "UP", "app-1": "UP", "app-2": "UP"})
		var states []control.EndpointState
		for _, change := range e.History {
			states = append(states, change.State)
		}
		if !slices.Equal(states, []control.EndpointState{control.EndpointDown, control.EndpointUp}) {
			t.Errorf("history %v", e.History)
		}
		if text := one.run(t, "", "meshctl", "endpoints", "hello"); !strings.Contains(text, "its check passes") {
			t.Errorf("meshctl endpoints does not show the history:\n%s", text)
		}
	})
	t.Run("without meshd", func(t *testing.T) {
		one.stop(t, "hello.service")
		eventually(t, "meshd has told the kernel", func() bool {
			log, err := daemon.Log()
			return err == nil && strings.Count(log, "endpoint=app-1:8080 state=down") == 2
		})
		if err := daemon.Kill(); err != nil {
			t.Fatal(err)
		}
		one.wantOnly(t, "app-1 was down when meshd died", "app-2", address...)
	})
}

// TestStoppedService has probers find out that a service has stopped, of which meshd has no check: it learns that from
// connections. Those of HAProxy's checks end before meshd could accept them, so another prober makes one.
func TestStoppedService(t *testing.T) {
	t.Parallel()
	one, two, _ := startMesh(t)
	watch := one.startHAProxy(t)
	up := map[string]string{"virtual4": "UP", "virtual6": "UP", "app-1": "UP", "app-2": "UP"}
	watch.await(t, up)
	if code := one.probe(t); code != 0 {
		t.Errorf("a prober of a service that runs: exit code %d", code)
	}
	watch.wantNeverDown(t, "virtual4", "virtual6", "app-1", "app-2")

	one.stop(t, "hello.service")
	two.stop(t, "hello.service")
	eventually(t, "a prober finds no service any more", func() bool { return one.probe(t) != 0 })
	watch.await(t, map[string]string{"virtual4": "DOWN", "virtual6": "DOWN", "app-1": "DOWN", "app-2": "DOWN"})

	one.start(t, "hello.service")
	watch.await(t, map[string]string{"virtual4": "UP", "virtual6": "UP", "app-1": "UP", "app-2": "DOWN"})
	one.wantOnly(t, "app-2 has not come back", "app-1")
	two.start(t, "hello.service")
	one.awaitState(t, "app-2:8080", control.EndpointUp)
	watch.await(t, up)
	testHello(t, one, 4)
}

// probe is a plain TCP prober: it connects, and does nothing else.
func (h host) probe(t *testing.T) (code int) {
	t.Helper()
	_, code = h.try(t, "web.service", "bash", "-c", "exec 3<>/dev/tcp/hello.mesh/80")
	return code
}

// TestEjection has an endpoint refuse connections, without a check.
func TestEjection(t *testing.T) {
	t.Parallel()
	one, two, daemon := startMesh(t)
	address := one.resolved(t)[:2]
	two.stop(t, "hello.service")
	one.wantOnly(t, "app-2 refuses", "app-1")
	e := one.awaitState(t, "app-2:8080", control.EndpointEjected)
	if e.Failed != 5 || e.EjectedUntil == nil {
		t.Errorf("after %d failures the endpoint is ejected until %v, want 5 and a time", e.Failed, e.EjectedUntil)
	}
	one.wantOnly(t, "app-2 is ejected", "app-1")
	if failed := one.endpoint(t, "hello", "app-2:8080").Failed; failed != 5 {
		t.Errorf("the ejected endpoint was tried: %d failures, want 5", failed)
	}

	one.stop(t, "hello.service")
	for range 6 {
		if _, code := one.page(t, hello); code == 0 {
			t.Error("a page came from nowhere")
		}
	}
	one.start(t, "hello.service")
	eventually(t, "app-1 is back", func() bool { return one.probe(t) == 0 })
	one.wantOnly(t, "app-1 is back", "app-1")
	for _, change := range one.endpoint(t, "hello", "app-1:8080").History {
		if change.State == control.EndpointEjected {
			t.Error("the last endpoint was ejected")
		}
	}

	eventually(t, "meshd has told the kernel", func() bool {
		log, err := daemon.Log()
		return err == nil && strings.Contains(log, "endpoint=app-2:8080 state=ejected")
	})
	if err := daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	one.wantOnly(t, "app-2 was ejected when meshd died", "app-1", address...)
}

// haproxy is a load balancer on a host, of which only its checks matter: it asks the service hello at its virtual
// addresses, and both endpoints at their own.
type haproxy struct{ host }

const haproxyConfig = `global
  log stderr local0 notice
defaults
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  default-server check inter 500ms fall 3 rise 2
frontend stats
  mode http
  bind 127.0.0.1:9000
  stats enable
  stats uri /
backend hello
  mode tcp
  server virtual4 %s:80
  server virtual6 [%s]:80
  server app-1 %s:8080
  server app-2 %s:8080
`

func (h host) startHAProxy(t *testing.T) haproxy {
	t.Helper()
	h.write(t, "/run/haproxy.cfg", fmt.Sprintf(haproxyConfig, h.virtual(t, "hello", 4), h.virtual(t, "hello", 6),
		h.lab.Host("app-1").Addresses()[0], h.lab.Host("app-2").Addresses()[0]))
	h.background(t, "haproxy", "-db", "-f", "/run/haproxy.cfg")
	if err := h.WaitListening(t.Context(), 9000); err != nil {
		t.Fatal(err)
	}
	return haproxy{h}
}

// servers returns a column of HAProxy's statistics for each server.
func (p haproxy) servers(t *testing.T, column string) map[string]string {
	t.Helper()
	page := p.run(t, "", "curl", "-sS", "--fail", "http://127.0.0.1:9000/;csv")
	rows, err := csv.NewReader(strings.NewReader(page)).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("statistics of HAProxy: %v\n%s", err, page)
	}
	i := slices.Index(rows[0], column)
	values := make(map[string]string)
	for _, row := range rows[1:] {
		if row[0] == "hello" && row[1] != "BACKEND" {
			values[row[1]], _, _ = strings.Cut(row[i], " ") // "UP 1/3" is on its way down
		}
	}
	return values
}

// await waits until HAProxy believes of each server what is wanted.
func (p haproxy) await(t *testing.T, want map[string]string) {
	t.Helper()
	eventually(t, fmt.Sprintf("HAProxy has found out %v", want), func() bool {
		got := p.servers(t, "status")
		for server, status := range want {
			if got[server] != status {
				return false
			}
		}
		return true
	})
}

func (p haproxy) wantNeverDown(t *testing.T, servers ...string) {
	t.Helper()
	times := p.servers(t, "chkdown")
	for _, server := range servers {
		if times[server] != "0" {
			t.Errorf("HAProxy took %s for down, %s times", server, times[server])
		}
	}
}
