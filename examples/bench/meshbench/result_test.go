package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRounds: the order turns about, warm-ups do not count, and ratios are those of one round.
func TestRounds(t *testing.T) {
	var asked []string
	next := map[string][]float64{direct: {1000, 40, 10, 20}, meshd: {1000, 10, 5, 40}, haproxy: {1, 20, 10, 20}}
	w := workload{
		name: "made-up", metric: "throughput", unit: "1/s", baseline: haproxy, second: direct, contenders: everyone, warmUp: true,
		sample: func(_ *bench, _ context.Context, contender string) (float64, error) {
			asked = append(asked, contender[:1])
			value := next[contender][0]
			next[contender] = next[contender][1:]
			return value, nil
		},
	}
	got, err := w.run(t.Context(), nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	if order := strings.Join(asked, ""); order != "dmhhmddmhhmd" {
		t.Errorf("they were asked in the order %s", order)
	}
	want := []Result{
		{"made-up", direct, "throughput", 20, "1/s", 1, haproxy, Spread{"ratio", "iqr", 1, 1.5, 3}},
		{"made-up", meshd, "throughput", 10, "1/s", 0.5, haproxy, Spread{"ratio", "iqr", 0.5, 1.25, 3}},
		{"made-up", haproxy, "throughput", 20, "1/s", 1, haproxy, Spread{"value", "iqr", 15, 20, 3}},
		{"made-up", meshd, "throughput", 10, "1/s", 0.5, direct, Spread{"ratio", "iqr", 0.375, 1.25, 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestRoundFails(t *testing.T) {
	broken := errors.New("broken")
	w := workload{contenders: everyone, sample: func(*bench, context.Context, string) (float64, error) { return 0, broken }}
	if _, err := w.run(t.Context(), nil, 1); !errors.Is(err, broken) {
		t.Errorf("a value that cannot be taken: %v", err)
	}
}

func TestParseTrace(t *testing.T) {
	const report = `strace: Process 12 detached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.600000           1      4000      2000 read
 40.00    0.400000           1      2000           write
  0.00    0.000000           0         3         1 futex
------ ----------- ----------- --------- --------- ----------------
100.00    1.000000           1      6003      2001 total
`
	total, calls, err := parseTrace(report, 1000)
	if err != nil || total != 6003 || calls != "read 4.00, write 2.00" {
		t.Errorf("got %v calls, %q, %v", total, calls, err)
	}
	if _, _, err := parseTrace("strace: Process 12 detached\n", 1000); err == nil {
		t.Error("a report without a table is no error")
	}
}

func TestParseReports(t *testing.T) {
	const wrk = "  2 threads and 32 connections\n  1234 requests in 2.01s, 1.00MB read\nRequests/sec:   617.25\n"
	if n, err := parseNumber(wrk, wrkRate); n != 617.25 || err != nil {
		t.Errorf("rate of wrk: %v, %v", n, err)
	}
	if n, err := parseNumber(wrk, wrkRequests); n != 1234 || err != nil {
		t.Errorf("requests of wrk: %v, %v", n, err)
	}
	if _, err := parseNumber("Requests/sec:      0.00\n", wrkRate); err == nil {
		t.Error("no request at all is no error")
	}
	if found := wrkTrouble.FindString(wrk + "  Non-2xx or 3xx responses: 7\n"); found != "  Non-2xx or 3xx responses: 7" {
		t.Errorf("trouble of wrk: %q", found)
	}
	if _, err := parseIperf(`{"error": "unable to connect"}`); err == nil {
		t.Error("a stream that did not flow is no error")
	}
}

// TestParseH2load: a call that failed has a status, but neither a message nor a place among those that succeeded.
func TestParseH2load(t *testing.T) {
	const report = `finished in 1.20s, 2.50 req/s, 11.85MB/s
requests: 4 total, 5 started, 3 done, 3 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.00KB (1024) total, 600B (600) headers (space savings 33.88%), 321B (321) data
`
	if len(unaryMessage()) != 107 {
		t.Fatalf("a message has %d bytes, and the report is about 107", len(unaryMessage()))
	}
	if rate, calls, err := parseH2load(report); rate != 2.5 || calls != 3 || err != nil {
		t.Errorf("got %v calls/s, %v calls, %v", rate, calls, err)
	}
	for _, broken := range []string{
		strings.Replace(report, "3 succeeded, 0 failed", "2 succeeded, 1 failed", 1),
		strings.Replace(report, "(321) data", "(320) data", 1),
	} {
		if _, _, err := parseH2load(broken); err == nil {
			t.Errorf("calls failed and that is no error:\n%s", broken)
		}
	}
}

func TestWholePage(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n\r\n"
	page := strings.Repeat("x", pageBytes)
	for _, test := range []struct {
		answer string
		whole  bool
		wrong  bool
	}{
		{head[:20], false, false},
		{head + page[1:], false, false},
		{head + page, true, false},
		{head + page + "x", false, true},
		{strings.Replace(head, "200", "503", 1) + page, false, true},
	} {
		if whole, err := wholePage([]byte(test.answer)); whole != test.whole || (err != nil) != test.wrong {
			t.Errorf("%.40q and in all %d bytes: whole %v, %v", test.answer, len(test.answer), whole, err)
		}
	}
}
