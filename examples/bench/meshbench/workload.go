package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The contenders: no proxy, ours, and the one that it is compared with.
const (
	direct  = "direct"
	meshd   = "meshd"
	haproxy = "haproxy"
)

// bench is what the workloads share.
type bench struct {
	rig      *rig
	duration time.Duration
	pairs    [2]int
	rate     map[string]float64 // a second, by program and contender: of the last round
	notes    map[string]string  // shown below the table, the last of each contender or workload
}

// sample takes one value of one contender.
type sample func(b *bench, ctx context.Context, contender string) (float64, error)

// workload is one question, asked of each contender in turn.
type workload struct {
	name       string
	metric     string
	unit       string
	baseline   string // the contender that the others are divided by
	contenders []string
	warmUp     bool // the first value of each contender does not count
	maxRounds  int  // 0: as many as asked for
	sample     sample
}

var everyone = []string{direct, meshd, haproxy}

var workloads = []workload{
	// First: what the others leave behind on the one host, such as sockets in TIME_WAIT, slows its connects.
	{"connect-hook", "latency", "ns", direct, []string{direct, meshd}, true, 0, (*bench).connectHook},
	{"redis-get-c50", "throughput", "requests/s", haproxy, everyone, true, 0, (*bench).redis},
	{"http-small-keepalive", "throughput", "requests/s", haproxy, everyone, true, 0, (*bench).keepAlive},
	{"conn-per-request", "throughput", "requests/s", haproxy, everyone, true, 0, (*bench).connPerRequest},
	{"h1-keepalive", "throughput", "requests/s", haproxy, everyone, true, 0, (*bench).h1KeepAlive},
	{"h1-close", "throughput", "requests/s", haproxy, everyone, true, 0, (*bench).h1Close},
	{"bulk-1", "throughput", "Gbit/s", haproxy, everyone, true, 0, (*bench).bulk},
	{"idle-pair-bytes", "memory", "bytes", haproxy, []string{meshd, haproxy}, false, 3, (*bench).idlePair},
	{"idle-rss", "memory", "MiB", haproxy, []string{meshd, haproxy}, false, 3, (*bench).idleRSS},
	{"syscalls-per-request", "syscalls", "calls", haproxy, []string{meshd, haproxy}, false, 3, (*bench).syscalls},
}

func names() []string {
	var all []string
	for _, w := range workloads {
		all = append(all, w.name)
	}
	return all
}

// choose returns the workload of that name, or all for the empty one.
func choose(name string) ([]workload, error) {
	if name == "" {
		return workloads, nil
	}
	i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no workload %q, only %s", name, strings.Join(names(), " "))
	}
	return workloads[i : i+1], nil
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
