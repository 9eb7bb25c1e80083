package examples_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// wantOK has a program of the lab's folder run in client.service: it prints ok when all was as it must be.
func (h host) wantOK(t *testing.T, argv ...string) {
	t.Helper()
	output, code := h.try(t, "client.service", append([]string{"env", "NODE_PATH=/usr/share/nodejs"}, argv...)...)
	if code != 0 || output != "ok\n" {
		t.Errorf("%q: exit code %d\n%.2000s", argv, code, output)
	}
}

// TestHTTPClients has the clients of Python and Node.js talk with servers of both.
func TestHTTPClients(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python", "node")
	for _, server := range []string{"python", "node"} {
		one.wantOK(t, "/usr/bin/python3", "/srv/lab/http_client.py", server+".mesh")
		one.wantOK(t, "/usr/bin/node", "/srv/lab/http_client.js", server+".mesh")
		if n := one.answered(t, "client", server); n < 500 {
			t.Errorf("meshd has counted %d requests to %s", n, server)
		}
	}
	one.wantOK(t, "/usr/bin/node", "/srv/lab/node_client.js", "node.mesh")
}

// TestWebSockets has clients talk with servers of other makes than their own: messages of all kinds and sizes, fragments, pings
// and the codes of both sides.
func TestWebSockets(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "websockets", "ws", "httpbin")
	for _, client := range [][]string{{"/usr/bin/python3", "/srv/lab/websocket_client.py"}, {"/usr/bin/node", "/srv/lab/websocket_client.js"}} {
		for _, server := range []string{"websockets", "ws"} {
			one.wantOK(t, append(client, "ws://"+server+".mesh/", "orders")...)
		}
		one.wantOK(t, append(client, "ws://httpbin.mesh/websocket/echo?max_message_size=2097152&max_fragment_size=2097152")...)
	}
	for server, want := range map[string]float64{"websockets": 12, "ws": 12, "httpbin": 2} {
		series := fmt.Sprintf(`meshd_requests_total{code="101",destination=%q,protocol="http",reason="done",source="client"}`, server)
		eventually(t, fmt.Sprintf("%v upgrades to %s are counted", want, server), func() bool { return one.metric(t, series) == want })
	}
}

// TestServerSentEvents wants every event to arrive before the next one is sent.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python", "node")
	for _, server := range []string{"python.mesh", "node.mesh"} {
		one.wantOK(t, "/usr/bin/python3", "/srv/lab/events_client.py", server, "by-python")
		one.wantOK(t, "/usr/bin/node", "/srv/lab/events_client.js", server, "by-node")
	}
}

// TestLongPolls wants a request that waits for long to end by nothing but what its route says. Two hours are shortened here by
// idle_timeout and request_timeout; TestLongPoll of engine/proxy has them pass by its clock.
func TestLongPolls(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python")
	say := func(name, text string) {
		t.Helper()
		one.run(t, "client.service", "curl", "-sS", "--fail", "-d", text, "http://python.mesh/next/"+name)
	}
	poll := one.Command(t.Context(), "client.service", "curl", "-sS", "http://python.mesh/poll/unlimited")
	var answer bytes.Buffer
	poll.Stdout, poll.Stderr = &answer, &answer
	if err := poll.Start(); err != nil {
		t.Fatal(err)
	}
	say("events", "first")
	events := begin(t, one.Command(t.Context(), "client.service", "curl", "-sSN", "http://python.mesh/events/events"))
	if events.peer != "data: first" || events.line(t) != "" {
		t.Fatalf("the first event is %q", events.peer)
	}
	eventually(t, "both are under way", func() bool { return len(one.connections(t)) == 2 })

	for range 2 {
		for _, limit := range []string{"idle", "request"} {
			ended := one.run(t, "client.service", "curl", "-sSi", "http://python.mesh/"+limit+"/poll/limited")
			if !strings.HasPrefix(ended, "HTTP/1.1 504 ") || !strings.HasSuffix(ended, "timeout") {
				t.Errorf("a poll with a limit is answered with:\n%s", ended)
			}
			// The exit codes of curl for an answer that is cut off, and for a 504, if not even its head was there in time.
			if text, code := one.try(t, "client.service", "curl", "-sS", "--fail", "http://python.mesh/"+limit+"/events/limited"); code != 56 && code != 22 {
				t.Errorf("events with a limit end with exit code %d: %s", code, text)
			}
		}
	}

	say("unlimited", "at last")
	if err := poll.Wait(); err != nil || answer.String() != "at last" {
		t.Errorf("the poll without a limit is answered with %q: %v", answer.String(), err)
	}
	say("events", "last")
	if got := events.line(t) + events.line(t); got != "data: last" {
		t.Errorf("after the polls came %q", got)
	}
	say("events", "end")
	if rest := events.rest(t); rest != "" {
		t.Errorf("behind the last event came %q", rest)
	}
}
