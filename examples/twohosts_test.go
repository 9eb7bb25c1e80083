package examples_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

func TestTwoHosts(t *testing.T) {
	t.Parallel()
	one, two, _ := startMesh(t)
	two.startMeshd(t)
	for version, cache := range map[int]string{4: "cache.mesh", 6: one.virtual(t, "cache", 6)} {
		t.Run(fmt.Sprintf("hello by IPv%d", version), func(t *testing.T) { testHello(t, one, version) })
		t.Run(fmt.Sprintf("cache by IPv%d", version), func(t *testing.T) { testCache(t, one, cache) })
	}
	t.Run("protected mode", func(t *testing.T) {
		for _, unit := range []string{"web.service", ""} {
			output, _ := one.try(t, unit, "redis-cli", "-h", "stock.mesh", "-p", "6380", "ping")
			if !strings.HasPrefix(output, "DENIED") {
				t.Errorf("a client of another host, in unit %q, was answered %q", unit, output)
			}
		}
	})
	t.Run("status", func(t *testing.T) {
		testStatus(t, one)
		testStatus(t, two)
	})
	t.Run("metrics", func(t *testing.T) {
		if n := one.metric(t, `meshd_connections_opened_total{destination="hello",source="web"}`); n == 0 {
			t.Error("no connection from web to hello was counted")
		}
	})
}

// testHello wants answers of both endpoints, over one address family.
func testHello(t *testing.T, h host, version int) {
	answers, code := h.page(t, fmt.Sprintf("-%d", version), "--fail", "--fail-early", "-H", "Connection: close", hello+"?[1-40]")
	counts := tally(answers)
	if code != 0 || counts["app-1"] == 0 || counts["app-2"] == 0 || len(counts) != 2 {
		t.Errorf("40 requests got %v, exit code %d", counts, code)
	}
}

// tally counts equal lines.
func tally(lines string) map[string]int {
	counts := make(map[string]int)
	for line := range strings.Lines(lines) {
		counts[strings.TrimSpace(line)]++
	}
	return counts
}

// testCache talks with a Redis in the ways of its clients: one question, many at once, and being told.
func testCache(t *testing.T, h host, address string) {
	redis := func(words ...string) []string { return redisCommand(address, words...) }
	for _, step := range []struct {
		words []string
		want  string
	}{
		{[]string{"ping"}, "PONG"},
		{[]string{"set", "k", "v"}, "OK"},
		{[]string{"get", "k"}, "v"},
	} {
		if got := h.run(t, "web.service", redis(step.words...)...); got != step.want {
			t.Errorf("%v: got %q, want %q", step.words, got, step.want)
		}
	}

	pipe := h.Command(t.Context(), "web.service", redis("--pipe")...)
	pipe.Stdin = strings.NewReader(strings.Repeat("INCR n\r\n", 1000))
	if output, code := finish(t, pipe); code != 0 || !strings.Contains(output, "errors: 0, replies: 1000") {
		t.Errorf("pipelined commands: exit code %d, %s", code, output)
	}

	subscriber := subscribe(t, h.Command(t.Context(), "web.service", redis("subscribe", "news")...))
	h.run(t, "", redis("publish", "news", "extra")...)
	var pushed []string
	for range 3 {
		pushed = append(pushed, subscriber.line(t))
	}
	if want := []string{"message", "news", "extra"}; !slices.Equal(pushed, want) {
		t.Errorf("the subscriber was told %q, want %q", pushed, want)
	}
}

// redisCommand is a command line that asks the cache.
func redisCommand(address string, words ...string) []string {
	return append([]string{"redis-cli", "--no-auth-warning", "-a", password, "-h", address}, words...)
}

// subscribe starts a redis-cli that subscribes to something, and waits until it has.
func subscribe(t *testing.T, cmd *lab.Cmd) *talk {
	t.Helper()
	subscriber := begin(t, cmd) // reads "subscribe"
	for range 2 {               // the name and the number of subscriptions
		subscriber.line(t)
	}
	return subscriber
}

func testStatus(t *testing.T, h host) {
	s := h.status(t)
	if s.Host != h.Name() || s.Mesh != "shop" || s.State != control.StateReady || len(s.Problems) != 0 {
		t.Errorf("status of %s: host %s, mesh %s, state %s, problems %v", h.Name(), s.Host, s.Mesh, s.State, s.Problems)
	}
	if s.Capture.State != control.CaptureActive || s.Capture.Cgroup != h.Cgroup() || s.Capture.Programs != len(hooks) {
		t.Errorf("status of %s: capture %+v", h.Name(), s.Capture)
	}
	if s.Services != 4 || s.Endpoints != 4 || s.Config.LastError != nil || len(s.Config.Files) != 3 {
		t.Errorf("status of %s: %d services, %d endpoints, config %+v", h.Name(), s.Services, s.Endpoints, s.Config)
	}
	if want := []string{"10.77.0.1:53"}; !slices.Equal(s.DNS.Resolvers, want) {
		t.Errorf("status of %s: resolvers %v, want %v", h.Name(), s.DNS.Resolvers, want)
	}
	var listeners []string
	for _, l := range s.Listeners {
		listeners = append(listeners, l.Address)
	}
	for _, want := range []string{"0.0.0.0%lo:15001", "[::1]:15001", "127.0.0.1:15020", "127.0.0.1:15053", "/run/meshd/meshd.sock"} {
		if !slices.Contains(listeners, want) {
			t.Errorf("status of %s: %s is not among the listeners %v", h.Name(), want, listeners)
		}
	}
}

func TestEndpointDies(t *testing.T) {
	t.Parallel()
	one, two, _ := startMesh(t)
	if err := two.units["hello.service"].Kill(); err != nil {
		t.Fatal(err)
	}
	answers, code := one.page(t, "--fail", "--fail-early", "-H", "Connection: close", hello+"?[1-100]")
	if counts := tally(answers); code != 0 || counts["app-1"] != 100 {
		t.Errorf("100 requests got %v, exit code %d", counts, code)
	}
	dead := one.endpoint(t, "hello", "app-2:8080")
	if dead.Failed == 0 || dead.LastFailure == nil || !strings.Contains(dead.LastFailure.Text, "connection refused") {
		t.Errorf("the endpoint that died: %+v", dead)
	}
	if alive := one.endpoint(t, "hello", "app-1:8080"); alive.Failed != 0 || alive.Connected != 100 {
		t.Errorf("the endpoint that lives: %+v", alive)
	}
	if n := one.metric(t, `meshd_endpoint_connect_failures_total{destination="hello"}`); n != float64(dead.Failed) {
		t.Errorf("the metric of failed connects is %v, the endpoint has %d", n, dead.Failed)
	}
	if dead.State != control.EndpointEjected || dead.EjectedUntil == nil {
		t.Errorf("the endpoint that died is %s until %v", dead.State, dead.EjectedUntil)
	}
	// With the other one gone too there is nothing to lose: even one that is ejected is tried.
	if _, err := two.Start(t.Context(), "hello.service"); err != nil {
		t.Fatal(err)
	}
	if err := one.units["hello.service"].Kill(); err != nil {
		t.Fatal(err)
	}
	if answer, code := one.page(t, hello); answer != "app-2" {
		t.Errorf("exit code %d, answer %q", code, answer)
	}
}
