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

var redisRate = regexp.MustCompile(`(?m)^"GET","([0-9.]+)"`)

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
