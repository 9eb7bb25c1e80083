package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"regexp"
)

// unaryText is what one service says to another, and is answered with.
const unaryText = "What one service asks another by gRPC has some hundred bytes as a rule, and so this has as many too."

// unaryPath is where a host has it as a message of gRPC, as clients and servers send it.
const (
	unaryPath       = "/run/unary"
	unaryAnswerPath = "/run/page/unary"
)

// unaryMessage is a protobuf message with one field, in the frame of gRPC: not compressed, and its length.
func unaryMessage() []byte {
	message := append([]byte{1<<3 | 2, byte(len(unaryText))}, unaryText...)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// grpcArgs make a program of nghttp2 a client of gRPC.
func (r *rig) grpcArgs(contender string) []string {
	return []string{"--data=" + unaryPath, "--header=content-type: application/grpc", "--header=te: trailers",
		fmt.Sprintf("http://%s/echo.Echo/Unary", r.target(contender, callPort))}
}

// grpcUnary asks as many calls as it can, 8 at a time on each of 16 connections.
func (b *bench) grpcUnary(ctx context.Context, contender string) (float64, error) {
	if err := b.rig.callOnce(ctx, contender); err != nil {
		return 0, err
	}
	before, err := b.rig.busy(contender)
	if err != nil {
		return 0, err
	}
	argv := []string{"h2load", "-t1", "-c16", "-m8", fmt.Sprintf("--duration=%dms", max(1, b.duration.Milliseconds()))}
	report, err := b.rig.command(ctx, append(argv, b.rig.grpcArgs(contender)...)...)
	if err != nil {
		return 0, err
	}
	after, err := b.rig.busy(contender)
	if err != nil {
		return 0, err
	}
	rate, calls, err := parseH2load(report)
	if err != nil {
		return 0, err
	}
	b.cost(contender, (after-before).Seconds()/calls)
	return rate, nil
}

var callStatus = regexp.MustCompile(`recv \(stream_id=[0-9]+\) grpc-status: 0\n`)

// callOnce makes sure that a call succeeds: its status comes behind the message, where h2load does not look.
func (r *rig) callOnce(ctx context.Context, contender string) error {
	report, err := r.command(ctx, append([]string{"nghttp", "--verbose", "--null-out", "--no-dep"}, r.grpcArgs(contender)...)...)
	if err == nil && !callStatus.MatchString(report) {
		err = fmt.Errorf("a call is not answered with grpc-status 0:\n%s", report)
	}
	return err
}

var (
	h2loadRate  = regexp.MustCompile(`(?m)^finished in [^,]+, ([0-9.]+) req/s`)
	h2loadCalls = regexp.MustCompile(`(?m)^requests: .* ([0-9]+) succeeded, 0 failed, 0 errored, 0 timeout$`)
	h2loadData  = regexp.MustCompile(`(?m)^traffic: .* \(([0-9]+)\) data$`)
)

// parseH2load returns the calls a second, and all calls. Each must have been answered with a message, which is what a
// call that failed has none of.
func parseH2load(report string) (rate, calls float64, err error) {
	rate, failedRate := parseNumber(report, h2loadRate)
	calls, failedCalls := parseNumber(report, h2loadCalls)
	data, failedData := parseNumber(report, h2loadData)
	if err := errors.Join(failedRate, failedCalls, failedData); err != nil {
		return 0, 0, err
	}
	if data < calls*float64(len(unaryMessage())) {
		return 0, 0, fmt.Errorf("some calls were answered without a message:\n%s", report)
	}
	return rate, calls, nil
}

// writeContent writes what nginx serves on the one host, and what calls have to say on the other.
func (r *rig) writeContent() error {
	serve := func() error {
		if err := os.WriteFile("/run/page/mebibyte", make([]byte, mebibyteBytes), 0o644); err != nil {
			return err
		}
		return os.WriteFile(unaryAnswerPath, unaryMessage(), 0o644)
	}
	ask := func() error { return os.WriteFile(unaryPath, unaryMessage(), 0o644) }
	if err := errors.Join(r.server.Do(serve), r.client.Do(ask)); err != nil {
		return fmt.Errorf("write the content of hosts: %w", err)
	}
	return nil
}
