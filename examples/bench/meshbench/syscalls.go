package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// syscalls is how many system calls a proxy makes for a request of http-small-keepalive. strace makes everything slow,
// so the calls are counted and nothing is timed.
func (b *bench) syscalls(ctx context.Context, contender string) (float64, error) {
	trace, err := startTrace(ctx, b.rig.proxies[contender].PID())
	if err != nil {
		return 0, err
	}
	done, err := b.rig.wrk(ctx, b.duration.Seconds(), 32, b.rig.target(contender, pagePort).String()+"/")
	report, stopped := trace.stop()
	if err := errors.Join(err, stopped); err != nil {
		return 0, err
	}
	requests, err := parseNumber(done, wrkRequests)
	if err != nil {
		return 0, err
	}
	total, calls, err := parseTrace(report, requests)
	b.notes[contender] = "calls for a request: " + calls
	return total / requests, err
}

// trace is a strace that counts the system calls of a process.
type trace struct {
	cmd    *exec.Cmd
	report *bufio.Reader
}

// startTrace returns when all calls of the process are counted.
func startTrace(ctx context.Context, pid int) (*trace, error) {
	t := &trace{cmd: exec.CommandContext(ctx, "strace", "-f", "-c", "-p", strconv.Itoa(pid))}
	stderr, err := t.cmd.StderrPipe()
	if err == nil {
		err = t.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("trace process %d: %w", pid, err)
	}
	t.report = bufio.NewReader(stderr)
	// With several threads it says so once, when it has all of them.
	if line, err := t.report.ReadString('\n'); err != nil || !strings.Contains(line, " attached") {
		return nil, errors.Join(fmt.Errorf("trace process %d: strace says %q", pid, line), err, t.cmd.Process.Kill(), t.cmd.Wait())
	}
	return t, nil
}

// stop lets go of the process and returns the table of its calls.
func (t *trace) stop() (string, error) {
	err := t.cmd.Process.Signal(unix.SIGINT)
	report, failed := io.ReadAll(t.report)
	err = errors.Join(err, failed)
	// strace ends by the signal that it was sent.
	if exit, ok := errors.AsType[*exec.ExitError](t.cmd.Wait()); !ok || exit.ExitCode() > 0 {
		err = errors.Join(err, fmt.Errorf("strace did not end as asked: %s", report))
	}
	return string(report), err
}

// traceLine has the calls and the name of a line in strace's table. Its third column, of errors, may be empty.
var traceLine = regexp.MustCompile(`(?m)^ *[0-9.]+ +[0-9.]+ +[0-9]+ +([0-9]+) +(?:[0-9]+ +)?([a-z0-9_]+)$`)

// parseTrace returns how many calls there were and, for people, which ones are at least one in a hundred requests.
func parseTrace(report string, requests float64) (total float64, calls string, err error) {
	var often []string
	for _, found := range traceLine.FindAllStringSubmatch(report, -1) {
		n, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			return 0, "", fmt.Errorf("read the report of strace: %w", err)
		}
		if found[2] == "total" {
			return n, strings.Join(often, ", "), nil
		}
		if n >= requests/100 {
			often = append(often, fmt.Sprintf("%s %.2f", found[2], n/requests))
		}
	}
	return 0, "", fmt.Errorf("the report of strace has no total:\n%s", report)
}
