//go:build boot

package boot_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
)

// loads are two programs that make a connection for each request as the unit web, while meshd is restarted: wrk, which
// counts, and one that tells of each request that failed when it was begun.
type loads struct {
	wrk    bytes.Buffer
	result loaded
	stop   func(t *testing.T)
}

func (h host) load(t *testing.T, seconds string) *loads {
	t.Helper()
	l := &loads{}
	run := []string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--slice=load.slice", "--property=LimitNOFILE=4096"}
	wrk := h.Command(t.Context(), append(run, "wrk", "-t1", "-c8", "-d"+seconds, "-H", "Connection: close", "http://billing.mesh:80/")...)
	wrk.Stdout, wrk.Stderr = &l.wrk, &l.wrk
	if err := wrk.Start(); err != nil {
		t.Fatal(err)
	}
	own := h.Command(t.Context(), append(run, clientPath, "client", "load", billing)...)
	end, err := own.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := own.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(output)
	if line, err := said.ReadString('\n'); err != nil || line != "begun\n" {
		t.Fatalf("the load says %q: %v", line, err)
	}
	l.stop = func(t *testing.T) {
		t.Helper()
		if err := wrk.Wait(); err != nil {
			t.Fatalf("wrk: %v\n%s", err, l.wrk.String())
		}
		end.Close()
		text, err := io.ReadAll(said)
		if err == nil {
			err = json.Unmarshal(text, &l.result)
		}
		if err != nil {
			t.Fatalf("the load says %q: %v", text, err)
		}
		if err := own.Wait(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d requests, of which %d failed\nwrk: %s", l.result.Requests, len(l.result.Failed), l.wrk.String())
		if l.result.Requests < 100 || !regexp.MustCompile(`[0-9]{3,} requests in`).MatchString(l.wrk.String()) {
			t.Error("there was hardly any load")
		}
	}
	return l
}

// errors returns what wrk says of connections that failed: none says nothing.
func (l *loads) errors() string {
	for line := range strings.Lines(l.wrk.String()) {
		if strings.Contains(line, "Socket errors") || strings.Contains(line, "Non-2xx") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// TestRestartUnderLoad has systemd restart meshd while others connect: no request fails, whichever way capture.fail says.
func TestRestartUnderLoad(t *testing.T) {
	one, _ := newPair(t)
	one.takeClient(t)
	for _, fail := range []string{"open", "closed"} {
		t.Run(fail, func(t *testing.T) {
			one.write(t, "/etc/meshd/conf.d/capture.hcl", "capture {\n  fail = \""+fail+"\"\n}\n")
			one.run(t, "systemctl", "reload", "meshd")
			if is := one.status(t).Capture.Fail; string(is) != fail {
				t.Fatalf("capture.fail is %s, want %s", is, fail)
			}
			l := one.load(t, "5s")
			for range 3 {
				one.run(t, "systemctl", "restart", "meshd")
			}
			l.stop(t)
			if e := l.errors(); e != "" || len(l.result.Failed) > 0 {
				t.Errorf("%d requests failed, the first of them: %v; wrk: %s", len(l.result.Failed), l.result.Failed[:min(3, len(l.result.Failed))], e)
			}
			checkStatus(t, one)
		})
	}
}

// TestKillUnderLoad kills meshd while others connect. What went through it is cut off, but all that is begun afterwards
// waits for the next meshd, which systemd starts.
func TestKillUnderLoad(t *testing.T) {
	one, _ := newPair(t)
	one.takeClient(t)
	l := one.load(t, "5s")
	var kills []time.Time
	for range 3 {
		before := one.property(t, "MainPID")
		kills = append(kills, time.Now())
		one.run(t, "systemctl", "kill", "--signal=KILL", "meshd")
		kills = append(kills, time.Now())
		eventually(t, "systemd has started meshd again", func() bool {
			return one.property(t, "MainPID") != before && one.run(t, "systemctl", "show", "--value", "-p", "ActiveState", "meshd") == "active"
		})
	}
	l.stop(t)
	cut := 0
	for _, f := range l.result.Failed {
		// A failure that was begun well before a kill, or while it was under way, was in flight.
		inFlight := false
		for i := 0; i < len(kills); i += 2 {
			inFlight = inFlight || f.Begun.After(kills[i].Add(-time.Second)) && f.Begun.Before(kills[i+1])
		}
		if !inFlight {
			t.Fatalf("a request that was begun at %v, when no meshd was killed, failed: %s; kills at %v", f.Begun, f.Error, kills)
		}
		if strings.Contains(f.Error, "dial ") {
			t.Fatalf("a connection could not be made, or the name for it not found: %s", f.Error)
		}
		cut++
	}
	// wrk counts a connect that fails apart from a connection that was cut off.
	if e := l.errors(); e != "" && !strings.HasPrefix(e, "Socket errors: connect 0, ") || strings.Contains(e, "Non-2xx") {
		t.Errorf("connections could not be made: %s", e)
	}
	t.Logf("MEASURED three times killed: %d of %d requests were in flight and cut off; wrk: %q", cut, l.result.Requests, l.errors())
	checkStatus(t, one)
}
