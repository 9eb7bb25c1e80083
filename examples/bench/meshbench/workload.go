package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// The contenders: no proxy, ours, and those that it is compared with.
const (
	direct  = "direct"
	meshd   = "meshd"
	haproxy = "haproxy"
	nginx   = "nginx"
)

// bench is what the workloads share.
type bench struct {
	rig      *rig
	duration time.Duration
	pairs    [2]int
	rate     map[string]float64   // a second, by program and contender: of the last round
	notes    map[string]string    // shown below the table, the last of each contender or workload
	costs    map[string][]float64 // seconds of a processor for a request of the workload under way, by contender
	half     float64              // requests a second of h1-p99-half; 0: not measured yet
}

// sample takes one value of one contender.
type sample func(b *bench, ctx context.Context, contender string) (float64, error)

// workload is one question, asked of each contender in turn.
type workload struct {
	name       string
	metric     string
	unit       string
	baseline   string // the contender that the others are divided by
	second     string // the contender that meshd alone is divided by too; empty: none
	contenders []string
	warmUp     bool // the first value of each contender does not count
	maxRounds  int  // 0: as many as asked for
	brief      bool // a value takes three fifths of the time
	sample     sample
}

var (
	everyone = []string{direct, meshd, haproxy}
	readers  = []string{direct, meshd, haproxy, nginx} // of HTTP
)

var workloads = []workload{
	// First: what the others leave behind on the one host, such as sockets in TIME_WAIT, slows its connects.
	{name: "connect-hook", metric: "latency", unit: "ns", baseline: direct, contenders: []string{direct, meshd}, warmUp: true, sample: (*bench).connectHook},
	tcp("redis-get-c50", "requests/s", (*bench).redis),
	tcp("http-small-keepalive", "requests/s", (*bench).keepAlive),
	tcp("conn-per-request", "requests/s", (*bench).connPerRequest),
	tcp("bulk-1", "Gbit/s", (*bench).bulk),
	ofProxies("idle-pair-bytes", "memory", "bytes", (*bench).idlePair),
	ofProxies("idle-rss", "memory", "MiB", (*bench).idleRSS),
	ofProxies("syscalls-per-request", "syscalls", "calls", (*bench).syscalls),
	http("h1-keepalive-1", h1KeepAlive(1)),
	http("h1-keepalive", h1KeepAlive(32)),
	http("h1-keepalive-256", h1KeepAlive(256)),
	{name: "h1-p99-half", metric: "latency", unit: "µs", baseline: haproxy, second: nginx, contenders: readers, warmUp: true, brief: true, sample: (*bench).h1Half},
	http("h1-1mib", (*bench).h1Mebibyte),
	http("h1-close", (*bench).h1Close),
	{name: "grpc-unary", metric: "throughput", unit: "requests/s", baseline: nginx, second: haproxy, contenders: readers, warmUp: true, brief: true, sample: (*bench).grpcUnary},
	// Last: it leaves a meshd behind that is configured otherwise.
	{name: "telemetry-tax", metric: "throughput", unit: "requests/s", baseline: quiet, contenders: []string{quiet, meshd}, warmUp: true, brief: true, sample: (*bench).telemetryTax},
}

// tcp is a throughput by proxies of connections, ofProxies what they need for it, and http a throughput by proxies that
// read HTTP.
func tcp(name, unit string, s sample) workload {
	return workload{name: name, metric: "throughput", unit: unit, baseline: haproxy, contenders: everyone, warmUp: true, sample: s}
}

func ofProxies(name, metric, unit string, s sample) workload {
	return workload{name: name, metric: metric, unit: unit, baseline: haproxy, contenders: []string{meshd, haproxy}, maxRounds: 3, sample: s}
}

func http(name string, s sample) workload {
	return workload{
		name: name, metric: "throughput", unit: "requests/s", baseline: haproxy, second: nginx, contenders: readers, warmUp: true,
		brief: true, sample: s,
	}
}

func names() []string {
	var all []string
	for _, w := range workloads {
		all = append(all, w.name)
	}
	return all
}

// choose returns the workloads that one of the patterns matches, which are separated by commas as in "h1-*,bulk-1", or
// all for the empty string.
func choose(patterns string) ([]workload, error) {
	if patterns == "" {
		return workloads, nil
	}
	chosen := map[string]bool{}
	for pattern := range strings.SplitSeq(patterns, ",") {
		found := false
		for _, name := range names() {
			matches, err := path.Match(pattern, name)
			if err != nil {
				return nil, fmt.Errorf("read pattern %q of workloads: %w", pattern, err)
			}
			if matches {
				found, chosen[name] = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no workload %q, only %s", pattern, strings.Join(names(), " "))
		}
	}
	return slices.DeleteFunc(slices.Clone(workloads), func(w workload) bool { return !chosen[w.name] }), nil
}

// run measures all contenders once in each round, and in the next one in the opposite order, so that what changes
// slowly on the machine befalls all of them alike. A value that cannot be taken ends the run: none is left out.
func (w workload) run(ctx context.Context, b *bench, rounds int) ([]Result, error) {
	if w.maxRounds > 0 {
		rounds = min(rounds, w.maxRounds)
	}
	if w.warmUp {
		rounds++
	}
	values := map[string][]float64{}
	order := slices.Clone(w.contenders)
	for range rounds {
		for _, contender := range order {
			value, err := w.sample(b, ctx, contender)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", contender, err)
			}
			values[contender] = append(values[contender], value)
		}
		slices.Reverse(order)
	}
	if w.warmUp {
		for _, contender := range w.contenders {
			values[contender] = values[contender][1:]
		}
	}
	return w.results(values), nil
}
