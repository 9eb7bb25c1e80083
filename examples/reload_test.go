package examples_test

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

const moreFile = "/etc/meshd/mesh.d/zz-more.hcl"

// moreService is one more service, at the second address of the second host.
const moreService = `service "more" {
  port = 7000
  endpoint {
    address = "fd77::12"
    port    = 8080
  }
}
`

func TestReload(t *testing.T) {
	t.Parallel()
	one, _, daemon := startMesh(t)
	held := one.talk(t, "web.service", "tcp", "cache.mesh:6379")
	held.ask(t, "AUTH "+password)
	t.Run("unchanged", func(t *testing.T) {
		if output := one.run(t, "", "meshctl", "reload"); !strings.HasPrefix(output, "nothing to do: configuration ") {
			t.Errorf("output %q", output)
		}
	})
	t.Run("new service", func(t *testing.T) { testNewService(t, one) })
	t.Run("under load", func(t *testing.T) {
		one.underLoad(t, func() {
			for _, text := range []string{"", moreService} {
				one.write(t, moreFile, text)
				one.run(t, "", "meshctl", "reload")
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		testRefused(t, one, daemon, func() string {
			output, code := one.try(t, "", "meshctl", "reload")
			if code != 78 {
				t.Errorf("meshctl reload: exit code %d, want 78", code)
			}
			return output
		})
	})
	t.Run("refused after SIGHUP", func(t *testing.T) {
		testRefused(t, one, daemon, func() string {
			signal(t, daemon, syscall.SIGHUP)
			eventually(t, "meshd has refused the configuration", func() bool {
				return one.metric(t, "meshd_config_last_reload_success") == 0
			})
			return one.run(t, "", "meshctl", "status")
		})
	})
	t.Run("removed service", func(t *testing.T) { testRemovedService(t, one) })
	t.Run("metrics move", func(t *testing.T) { testMetricsMove(t, one) })
	if answer := held.ask(t, "PING"); answer != "+PONG" {
		t.Errorf("the connection from before all reloads got %q", answer)
	}
}

// underLoad does something again and again while the unit web gets pages, each by a connection of its own, none of which
// may fail.
func (h host) underLoad(t *testing.T, disturb func()) {
	t.Helper()
	const requests = 3000
	args := append(h.resolved(t)[:2], "-sS", "--fail", "--fail-early", "-H", "Connection: close", fmt.Sprintf("%s?[1-%d]", hello, requests))
	load := h.Command(t.Context(), "web.service", append([]string{"curl"}, args...)...)
	var answers bytes.Buffer
	load.Stdout, load.Stderr = &answers, &answers
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- load.Wait() }()
	disturbed := 0
	for {
		select {
		case err := <-ended:
			counts := tally(answers.String())
			if err != nil || counts["app-1"]+counts["app-2"] != requests {
				t.Errorf("%d requests got %v, and curl %v", requests, counts, err)
			}
			if disturbed == 0 {
				t.Error("the requests were over before anything happened")
			}
			return
		default:
			disturb()
			disturbed++
		}
	}
}

func testNewService(t *testing.T, h host) {
	h.write(t, moreFile, moreService)
	before := h.status(t)
	if output := h.run(t, "", "meshctl", "reload"); !strings.HasPrefix(output, "reloaded: configuration ") {
		t.Errorf("output %q", output)
	}
	after := h.status(t)
	if after.Services != before.Services+1 || after.Config.Hash == before.Config.Hash {
		t.Errorf("before: %d services, configuration %s; after: %d, %s",
			before.Services, before.Config.Hash, after.Services, after.Config.Hash)
	}
	if answer, code := h.page(t, "http://more.mesh:7000/"); code != 0 || answer != "app-2" {
		t.Errorf("the new service: exit code %d, %s", code, answer)
	}
}

// testRefused has a wrong configuration refused, and a right one accepted afterwards. What reload returns shows the
// mistake.
func testRefused(t *testing.T, h host, daemon *lab.Unit, reload func() string) {
	before, logged := h.status(t), len(logOf(t, daemon))
	if n := h.metric(t, "meshd_config_last_reload_success"); n != 1 {
		t.Errorf("before: meshd_config_last_reload_success is %v", n)
	}
	text := h.read(t, servicesFile)
	h.write(t, servicesFile, strings.Replace(text, `service "hello" {`, "service \"hello\" {\n  prot = 80", 1))
	shown := reload()
	status := h.status(t)
	if status.Config.LastError == nil {
		t.Fatal("the status does not tell of the refused configuration")
	}
	for place, said := range map[string]string{"answer": shown, "status": status.Config.LastError.Text} {
		if !strings.Contains(words(said), servicesFile+" line 3") || !strings.Contains(said, "prot = 80") {
			t.Errorf("the %s does not show the mistake:\n%s", place, said)
		}
	}
	if log := logOf(t, daemon)[logged:]; !strings.Contains(log, "file="+servicesFile+" line=3") || !strings.Contains(log, "configuration refused") {
		t.Errorf("the log does not show the mistake:\n%s", log)
	}
	if status.State != control.StateReady || len(status.Problems) != 1 || status.Config.Hash != before.Config.Hash {
		t.Errorf("state %s, problems %v, configuration %s, before it was %s",
			status.State, status.Problems, status.Config.Hash, before.Config.Hash)
	}
	if n := h.metric(t, "meshd_config_last_reload_success"); n != 0 {
		t.Errorf("refused: meshd_config_last_reload_success is %v", n)
	}
	if answer, code := h.page(t, hello); code != 0 {
		t.Errorf("what ran does not run any more: exit code %d, %s", code, answer)
	}

	h.write(t, servicesFile, text)
	h.run(t, "", "meshctl", "reload")
	status = h.status(t)
	if status.State != control.StateReady || len(status.Problems) != 0 || status.Config.LastError != nil {
		t.Errorf("repaired: state %s, problems %v, %+v", status.State, status.Problems, status.Config.LastError)
	}
	if n := h.metric(t, "meshd_config_last_reload_success"); n != 1 {
		t.Errorf("repaired: meshd_config_last_reload_success is %v", n)
	}
}

// logOf returns what a meshd has logged.
func logOf(t *testing.T, daemon *lab.Unit) string {
	t.Helper()
	log, err := daemon.Log()
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func testRemovedService(t *testing.T, h host) {
	address := h.virtual(t, "more", 4)
	remove(moreFile)(t, h)
	h.run(t, "", "meshctl", "reload")
	if output, code := h.try(t, "", "getent", "ahostsv4", "more.mesh"); code == 0 {
		t.Errorf("a removed service is resolved: %s", output)
	}
	if output, code := h.page(t, "http://"+address+":7000/"); code != refused {
		t.Errorf("the address of a removed service: exit code %d, want %d: %s", code, refused, output)
	}
}

func testMetricsMove(t *testing.T, h host) {
	rewrite(nodeFile, strings.Replace(h.read(t, nodeFile), "127.0.0.1:15020", "127.0.0.1:15025", 1))(t, h)
	h.run(t, "", "meshctl", "reload")
	h.run(t, "", "curl", "-sS", "--fail", "http://127.0.0.1:15025/metrics")
	if _, code := h.try(t, "", "curl", "-sS", "http://127.0.0.1:15020/metrics"); code != refused {
		t.Errorf("metrics at the old port: exit code %d, want %d", code, refused)
	}
}

// A cgroup that stands in the configuration, and not on the command line, cannot be changed by a reload.
func TestReloadOfCgroup(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	node := func(cgroup string) {
		one.write(t, nodeFile, "node {\n  cgroup = \""+cgroup+"\"\n}\ndiscovery \"static\" {\n  files = [\"/etc/meshd/mesh.d/*.hcl\"]\n}\n")
	}
	node(one.Cgroup())
	daemon := one.startMeshd(t, "-cgroup", "")
	node(one.Cgroup() + "/system.slice")
	output, code := one.try(t, "", "meshctl", "reload")
	if code != 78 || !strings.Contains(output, "node.cgroup has changed") || !strings.Contains(output, "systemctl restart meshd") {
		t.Errorf("exit code %d\n%s", code, output)
	}
	if s := one.status(t); s.Capture.Cgroup != one.Cgroup() || len(s.Problems) != 1 {
		t.Errorf("problems %v, capture %+v", s.Problems, s.Capture)
	}
	if err := daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	one.startMeshd(t, "-cgroup", "")
	if n := one.attached(t); n != 0 {
		t.Errorf("%d programs are still attached to the cgroup of before", n)
	}
	if _, code := one.page(t, hello); code != 0 {
		t.Errorf("after the restart: exit code %d", code)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	one, _ := newLab(t)
	one.edit(t, nodeFile, "mesh.d/*.hcl\"]", "mesh.d/*.hcl\"]\n  watch = true")
	one.startMeshd(t)
	one.write(t, moreFile, moreService)
	eventually(t, "a new file is applied", func() bool { return one.status(t).Services == 5 })
	one.write(t, moreFile, "service {\n")
	eventually(t, "a wrong file is refused", func() bool { return one.status(t).Config.LastError != nil })
	if s := one.status(t); s.Services != 5 {
		t.Errorf("after the wrong file there are %d services, want 5", s.Services)
	}
	remove(moreFile)(t, one)
	eventually(t, "a removed file is applied", func() bool {
		s := one.status(t)
		return s.Services == 4 && s.Config.LastError == nil
	})
}
