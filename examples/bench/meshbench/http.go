package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// The pages of the site, in bytes; its server has the first in its configuration.
const (
	pageBytes     = 1 << 10
	mebibyteBytes = 1 << 20
)

// keepAlive gets a small page on 32 connections that stay open.
func (b *bench) keepAlive(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, pagePort, 32, "/")
}

// connPerRequest opens a connection for each page, 32 at a time.
func (b *bench) connPerRequest(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, pagePort, 32, "/", "-H", "Connection: close")
}

// h1KeepAlive gets a page of 1 KiB on so many connections, by proxies that read HTTP.
func h1KeepAlive(connections int) sample {
	return func(b *bench, ctx context.Context, contender string) (float64, error) {
		return b.wrk(ctx, contender, sitePort, connections, "/")
	}
}

// h1Mebibyte gets large pages.
func (b *bench) h1Mebibyte(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, sitePort, 32, "/mebibyte")
}

// h1Close opens a connection for each page. Proxies that read HTTP need no new one to the server.
func (b *bench) h1Close(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, sitePort, 32, "/", "-H", "Connection: close")
}

// wrk returns the requests a second that wrk gets answered, and takes down what they cost the proxy.
func (b *bench) wrk(ctx context.Context, contender string, port uint16, connections int, path string, args ...string) (float64, error) {
	before, err := b.rig.busy(contender)
	if err != nil {
		return 0, err
	}
	report, err := b.rig.wrk(ctx, b.duration.Seconds(), connections, b.rig.target(contender, port).String()+path, args...)
	if err != nil {
		return 0, err
	}
	requests, err := parseNumber(report, wrkRequests)
	if err != nil {
		return 0, err
	}
	after, err := b.rig.busy(contender)
	if err != nil {
		return 0, err
	}
	b.cost(contender, (after-before).Seconds()/requests)
	return parseNumber(report, wrkRate)
}

// wrk runs the program for so many seconds and returns its report.
func (r *rig) wrk(ctx context.Context, seconds float64, connections int, url string, args ...string) (string, error) {
	// wrk counts in whole seconds, but when it is interrupted it reports what it has done so far.
	argv := []string{"timeout", "--preserve-status", "--signal=INT", fmt.Sprint(seconds), "wrk", "-t1", "-d1h", fmt.Sprintf("-c%d", connections)}
	report, err := r.command(ctx, append(append(argv, args...), "http://"+url)...)
	if err == nil {
		if trouble := wrkTrouble.FindString(report); trouble != "" {
			err = fmt.Errorf("not every request was answered: %s", trouble)
		}
	}
	return report, err
}

var (
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)$`)
	wrkRequests = regexp.MustCompile(`(?m)^ *([0-9]+) requests in `)
	wrkTrouble  = regexp.MustCompile(`(?m)^ *(Socket errors|Non-2xx or 3xx responses): .*$`)
)

// h1Half is the 99th percentile of the time that requests take which come at a constant rate, whatever became of those
// before: half of what the slowest of the contenders carries.
func (b *bench) h1Half(ctx context.Context, contender string) (latency float64, err error) {
	if b.half == 0 {
		if b.half, err = b.halfOfSlowest(ctx); err != nil {
			return 0, err
		}
		b.notes["h1-p99-half"] = fmt.Sprintf("at %.0f requests/s", b.half)
	}
	pacer, err := b.rig.startHelper(ctx, b.rig.client, loadUnit(0), "pace", b.rig.target(contender, sitePort).String())
	if err != nil {
		return 0, err
	}
	defer pacer.stop(&err)
	before, err := b.rig.busy(contender)
	if err != nil {
		return 0, err
	}
	requests := max(1, b.half*b.duration.Seconds())
	answer, err := pacer.ask(fmt.Sprintf("%.0f %.0f", b.half, requests))
	if err != nil {
		return 0, err
	}
	after, err := b.rig.busy(contender)
	if err != nil {
		return 0, err
	}
	b.cost(contender, (after-before).Seconds()/requests)
	if _, err := fmt.Sscan(answer, &latency); err != nil {
		return 0, fmt.Errorf("read latency: %w", err)
	}
	return latency, nil
}

// halfOfSlowest returns half of the requests a second that the slowest contender carries in h1-keepalive.
func (b *bench) halfOfSlowest(ctx context.Context) (float64, error) {
	var slowest float64
	for _, contender := range readers {
		var rate float64
		for range 2 { // the first warms up
			report, err := b.rig.wrk(ctx, b.duration.Seconds(), 32, b.rig.target(contender, sitePort).String()+"/")
			if err == nil {
				rate, err = parseNumber(report, wrkRate)
			}
			if err != nil {
				return 0, fmt.Errorf("measure the capacity of %s: %w", contender, err)
			}
		}
		if slowest == 0 || rate < slowest {
			slowest = rate
		}
	}
	if slowest < 2 {
		return 0, errors.New("the capacity is less than a request a second")
	}
	return slowest / 2, nil
}
