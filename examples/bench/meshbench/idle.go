package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// idlePair is how many bytes of a proxy's own memory one more idle connection takes. The proxy is new, so that nothing
// of it is memory that others have left; each connection has carried a request and an answer.
func (b *bench) idlePair(ctx context.Context, contender string) (slope float64, err error) {
	if err := b.rig.startProxy(ctx, contender); err != nil {
		return 0, err
	}
	var all [holders]*helperProcess
	for i := range all {
		if all[i], err = b.rig.startHelper(ctx, b.rig.client, loadUnit(i), "hold", b.rig.target(contender, echoPort).String()); err != nil {
			return 0, err
		}
		defer all[i].stop(&err)
	}
	var memory [2]float64
	for i, pairs := range b.pairs {
		for _, holder := range all {
			if _, err := holder.ask(fmt.Sprint(pairs / holders)); err != nil {
				return 0, err
			}
		}
		if memory[i], err = b.rig.settled(ctx, contender); err != nil {
			return 0, err
		}
	}
	b.notes["idle-pair-bytes"] = fmt.Sprintf("between %d and %d connections", b.pairs[0], b.pairs[1])
	return (memory[1] - memory[0]) / float64(b.pairs[1]-b.pairs[0]), nil
}

// idleRSS is the memory of a proxy that has just been started, in MiB.
func (b *bench) idleRSS(ctx context.Context, contender string) (float64, error) {
	if err := b.rig.startProxy(ctx, contender); err != nil {
		return 0, err
	}
	bytes, err := b.rig.settled(ctx, contender)
	return bytes / (1 << 20), err
}

// holders is how many units hold the idle connections. meshd lets one unit hold as many as it leaves free, so that of
// all that there can be they get all but one share.
const holders = 16

// allowPairs lets this process, and what it starts, have so many connections through a proxy, or as many as the machine
// permits, and returns how many, in whole numbers for each holder.
func allowPairs(pairs int) (int, error) {
	// Of package syscall, which then does not put the limit back for children.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	// meshd takes three quarters of its descriptors for connections, two for each.
	want := uint64(pairs*2*4/3*(holders+1)/holders + 1000)
	raised := syscall.Rlimit{Cur: max(limit.Cur, want), Max: max(limit.Max, want)}
	err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised)
	if errors.Is(err, syscall.EPERM) { // a container that may not
		raised = syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised)
	}
	share := int(raised.Cur) * 3 / 4 / 2 / (holders + 1)
	return min(pairs, (share-1)*holders), os.NewSyscallError("setrlimit", err)
}

// settled waits until the memory of a proxy stays within a hundredth for a second, and returns its resident set in bytes.
func (r *rig) settled(ctx context.Context, contender string) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("the memory of %s does not settle", contender))
	defer cancel()
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	const calm = 10 // ticks
	var first float64
	for alike := 0; ; alike++ {
		now, err := residentSet(r.proxies[contender].PID())
		if err != nil {
			return 0, err
		}
		if math.Abs(now-first) > now/100 {
			alike, first = 0, now
		}
		if alike == calm {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-ticks.C:
		}
	}
}

func residentSet(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	return resident * float64(os.Getpagesize()), nil
}

// connectHook is the time of connect() to an address that meshd does not capture: the host's own, so that the kernel
// answers at once. A host without meshd is the baseline.
func (b *bench) connectHook(ctx context.Context, contender string) (latency float64, err error) {
	h := b.rig.client
	if contender == direct {
		h = b.rig.server
	}
	timer, err := b.rig.startHelper(ctx, h, loadUnit(0), "connect", netip.AddrPortFrom(h.Addresses()[0], 0).String())
	if err != nil {
		return 0, err
	}
	defer timer.stop(&err)
	answer, err := timer.ask(fmt.Sprint(b.duration / 4))
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(answer, &latency); err != nil {
		return 0, fmt.Errorf("read latency: %w", err)
	}
	return latency, nil
}
