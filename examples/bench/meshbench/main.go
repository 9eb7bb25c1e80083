// Command meshbench compares meshd with HAProxy and with no proxy at all, between two hosts of a lab.
//
// Client, proxy and backend share the cores of one machine, so its absolute numbers mean little: what can be compared,
// also between days and machines, are the ratios of one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if code, ok := helper(os.Args[1:]); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

// options are the command line.
type options struct {
	meshd    string
	dir      string
	output   string
	workload string // patterns of names; empty: all
	rounds   int
	duration time.Duration
	pairs    [2]int // connections between which the slope of memory is taken; whole numbers for each of the holders
}

func run(ctx context.Context, stdout, stderr io.Writer, args []string) int {
	o := options{pairs: [2]int{1008, 8000}}
	flags := flag.NewFlagSet("meshbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.meshd, "meshd", "bin/meshd", "the meshd `BINARY` to measure")
	flags.StringVar(&o.dir, "dir", "examples/bench", "`FOLDER` that describes the hosts")
	flags.StringVar(&o.output, "o", "", "`FILE` for the results as JSON (default none)")
	flags.StringVar(&o.workload, "workload", "", "run only those of these `NAMES`, as in h1-*,bulk-1: "+strings.Join(names(), " "))
	flags.IntVar(&o.rounds, "rounds", 9, "how often each contender is measured")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "how long one value of a throughput takes")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.duration <= 0 {
		fmt.Fprintln(stderr, "meshbench: it takes no arguments, at least one round, and some duration: see -h")
		return 2
	}
	if err := benchmark(ctx, stdout, o); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(stderr, "meshbench:", err)
		return 1
	}
	return 0
}

// benchmark runs the workloads, prints a line for each contender as soon as there is one, and writes the file.
func benchmark(ctx context.Context, stdout io.Writer, o options) (err error) {
	chosen, err := choose(o.workload)
	if err != nil {
		return err
	}
	b := &bench{pairs: o.pairs, rate: map[string]float64{}, notes: map[string]string{}}
	if b.pairs[1], err = allowPairs(o.pairs[1]); err != nil {
		return err
	}
	if b.rig, err = newRig(ctx, o.dir, o.meshd); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.rig.down()) }()
	if err := printFacts(ctx, stdout); err != nil {
		return err
	}
	before, err := readMachine()
	if err != nil {
		return err
	}
	printHeader(stdout)
	var results []Result
	for _, w := range chosen {
		b.duration, b.costs = o.duration, map[string][]float64{}
		if w.brief {
			b.duration = o.duration * 3 / 5
		}
		rows, err := w.run(ctx, b, o.rounds)
		if err != nil {
			return fmt.Errorf("workload %s: %w", w.name, err)
		}
		printRows(stdout, rows)
		if costs := w.costNote(b.costs); costs != "" {
			b.notes["CPU for a request of "+w.name] = costs
		}
		results = append(results, rows...)
	}
	for _, about := range slices.Sorted(maps.Keys(b.notes)) {
		fmt.Fprintf(stdout, "%s: %s\n", about, b.notes[about])
	}
	after, err := readMachine()
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, after.since(before))
	return writeResults(o.output, results)
}
