package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// versions are the commands that say which programs take part, and where in their output the version is.
var versions = []struct {
	argv    []string
	version *regexp.Regexp
}{
	{[]string{"haproxy", "-v"}, regexp.MustCompile(`version (\S+)`)},
	{[]string{"/usr/sbin/nginx", "-v"}, regexp.MustCompile(`nginx/(\S+)`)},
	{[]string{"redis-server", "--version"}, regexp.MustCompile(`v=(\S+)`)},
	{[]string{"wrk", "-v"}, regexp.MustCompile(`wrk (\S+)`)},
	{[]string{"h2load", "--version"}, regexp.MustCompile(`nghttp2/(\S+)`)},
	{[]string{"iperf3", "--version"}, regexp.MustCompile(`iperf (\S+)`)},
	{[]string{"strace", "--version"}, regexp.MustCompile(`version (\S+)`)},
}

// printFacts says on what machine and with which programs the results were made.
func printFacts(ctx context.Context, w io.Writer) error {
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return os.NewSyscallError("uname", err)
	}
	fmt.Fprintf(w, "%d cores of %s, Linux %s, %s\n", runtime.NumCPU(), processor(), unix.ByteSliceToString(kernel.Release[:]), runtime.Version())
	var programs []string
	for _, p := range versions {
		output, err := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...).CombinedOutput()
		// wrk shows its version and says that it is an error to ask.
		if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
			return fmt.Errorf("ask for the version of %s: %w; make deps installs it", p.argv[0], err)
		}
		found := p.version.FindSubmatch(output)
		if found == nil {
			return fmt.Errorf("%s does not say its version:\n%s", p.argv[0], output)
		}
		programs = append(programs, strings.TrimPrefix(p.argv[0], "/usr/sbin/")+" "+string(found[1]))
	}
	_, err := fmt.Fprintln(w, strings.Join(programs, ", "))
	return err
}

// processor is the model that Linux names, and the architecture where it names none.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the architecture has to do
	found := regexp.MustCompile(`(?m)^model name\s*: (.+)$`).FindSubmatch(text)
	if found == nil {
		return runtime.GOARCH
	}
	return string(found[1])
}

// machine is how busy all cores were since the start of the machine.
type machine struct {
	total, stolen float64 // ticks
	load          string  // the mean of the last minute
}

func readMachine() (machine, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return machine{}, err
	}
	var m machine
	var ticks [8]float64 // user nice system idle iowait irq softirq steal
	line := strings.Fields(string(stat))
	if len(line) <= len(ticks) {
		return machine{}, fmt.Errorf("read /proc/stat: it begins with %q", line)
	}
	for i := range ticks {
		if _, err := fmt.Sscan(line[1+i], &ticks[i]); err != nil {
			return machine{}, fmt.Errorf("read /proc/stat: %w", err)
		}
		m.total += ticks[i]
	}
	m.stolen = ticks[7]
	m.load, _, _ = strings.Cut(string(load), " ")
	return m, nil
}

// since says what else went on between two moments.
func (m machine) since(start machine) string {
	return fmt.Sprintf("load before %s, after %s; stolen from this machine %.1f%%", start.load, m.load,
		100*(m.stolen-start.stolen)/max(m.total-start.total, 1))
}
