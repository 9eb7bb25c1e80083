package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// redis asks a store from 50 connections, one request at a time on each.
func (b *bench) redis(ctx context.Context, contender string) (float64, error) {
	requests := max(b.amount("redis", contender), 2000)
	to := b.rig.target(contender, storePort)
	output, err := b.rig.command(ctx, "redis-benchmark", "-h", to.Addr().String(), "-p", fmt.Sprint(to.Port()),
		"-t", "get", "-c", "50", "-P", "1", "-n", fmt.Sprint(requests), "--csv")
	if err != nil {
		return 0, err
	}
	rate, err := parseNumber(output, redisRate)
	b.rate["redis "+contender] = rate
	return rate, err
}

// amount is what fills the duration at the rate of the contender's last round, for programs that know amounts only;
// 0 in the first.
func (b *bench) amount(program, contender string) int {
	return int(b.rate[program+" "+contender] * b.duration.Seconds())
}

// keepAlive gets a small page on 32 connections that stay open.
func (b *bench) keepAlive(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, pagePort, wrkRate)
}

// h1KeepAlive is keepAlive by proxies that read HTTP.
func (b *bench) h1KeepAlive(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, sitePort, wrkRate)
}

// h1Close is connPerRequest by proxies that read HTTP, and so need no new connection to the server.
func (b *bench) h1Close(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, sitePort, wrkRate, "-H", "Connection: close")
}

// connPerRequest opens a connection for each page, 32 at a time.
func (b *bench) connPerRequest(ctx context.Context, contender string) (float64, error) {
	return b.wrk(ctx, contender, pagePort, wrkRate, "-H", "Connection: close")
}

// wrk returns the number that the expression finds in wrk's report.
func (b *bench) wrk(ctx context.Context, contender string, port uint16, number *regexp.Regexp, args ...string) (float64, error) {
	// wrk counts in whole seconds, but when it is interrupted it reports what it has done so far.
	argv := append([]string{"timeout", "--preserve-status", "--signal=INT", fmt.Sprint(b.duration.Seconds()), "wrk", "-t1", "-c32", "-d1h"}, args...)
	output, err := b.rig.command(ctx, append(argv, fmt.Sprintf("http://%s/", b.rig.target(contender, port)))...)
	if err != nil {
		return 0, err
	}
	if trouble := wrkTrouble.FindString(output); trouble != "" {
		return 0, fmt.Errorf("not every request was answered: %s", trouble)
	}
	return parseNumber(output, number)
}

// bulk sends as much as it can on one connection.
func (b *bench) bulk(ctx context.Context, contender string) (rate float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One server for each time: a client that comes while it is busy with the end of the one before is turned away.
	server := b.rig.server.Command(ctx, "stream.service", "iperf3", "--server", "--one-off", "--port", fmt.Sprint(streamPort))
	if err := server.Start(); err != nil {
		return 0, fmt.Errorf("start iperf3: %w", err)
	}
	defer func() {
		if err != nil {
			cancel() // it may wait for a client that never was
		}
		err = errors.Join(err, server.Wait())
	}()
	if err := b.rig.server.WaitListening(ctx, streamPort); err != nil {
		return 0, err
	}
	const gigabit = 1e9 / 8 // bytes
	bytes := max(b.amount("iperf3", contender), gigabit/8)
	to := b.rig.target(contender, streamPort)
	output, err := b.rig.command(ctx, "iperf3", "--client", to.Addr().String(), "--port", fmt.Sprint(to.Port()),
		"--bytes", fmt.Sprint(bytes), "--json")
	if err != nil {
		return 0, err
	}
	if rate, err = parseIperf(output); err != nil {
		return 0, err
	}
	b.rate["iperf3 "+contender] = rate * gigabit
	return rate, nil
}

var (
	redisRate   = regexp.MustCompile(`(?m)^"GET","([0-9.]+)"`)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec: +([0-9.]+)$`)
	wrkRequests = regexp.MustCompile(`(?m)^ *([0-9]+) requests in `)
	wrkTrouble  = regexp.MustCompile(`(?m)^ *(Socket errors|Non-2xx or 3xx responses): .*$`)
)

// parseNumber returns the positive number that an expression finds in the report of a program.
func parseNumber(output string, number *regexp.Regexp) (float64, error) {
	found := number.FindStringSubmatch(output)
	if found == nil {
		return 0, fmt.Errorf("the report has no result:\n%s", output)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil || value <= 0 {
		return 0, fmt.Errorf("the report has the result %q:\n%s", found[1], output)
	}
	return value, nil
}

// parseIperf returns the Gbit/s that arrived.
func parseIperf(output string) (float64, error) {
	var report struct {
		End struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(output), &report); err != nil {
		return 0, fmt.Errorf("read the report of iperf3: %w", err)
	}
	if report.End.Received.BitsPerSecond <= 0 {
		return 0, fmt.Errorf("the report has no result:\n%s", output)
	}
	return report.End.Received.BitsPerSecond / 1e9, nil
}
