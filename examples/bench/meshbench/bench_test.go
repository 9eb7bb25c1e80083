package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/meshd/meshd/examples/lab"
)

func TestMain(m *testing.M) {
	if code, ok := helper(os.Args[1:]); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestWorkloads runs every workload for a blink: that there are numbers, not which.
func TestWorkloads(t *testing.T) {
	var shown bytes.Buffer
	output := filepath.Join(t.TempDir(), "build", "bench.json")
	err := benchmark(t.Context(), &shown, options{
		meshd: lab.Meshd(t), dir: "..", output: output, rounds: 1, duration: 50 * time.Millisecond, pairs: [2]int{16, 1600},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, shown.String())
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads {
		rows := w.contenders
		if w.second != "" {
			rows = append(slices.Clone(rows), meshd)
		}
		for i, contender := range rows {
			if len(results) == 0 {
				t.Fatalf("%s: no result for %s", w.name, contender)
			}
			r := results[0]
			results = results[1:]
			if r.Workload != w.name || r.Contender != contender || r.Value <= 0 || r.Ratio <= 0 || r.Spread.Low > r.Spread.High || r.Spread.Rounds != 1 {
				t.Errorf("the result of %s in %s is %+v", contender, w.name, r)
			}
			if second := i >= len(w.contenders); second && r.Baseline != w.second || !second && r.Baseline != w.baseline {
				t.Errorf("the baseline of %s in %s is %s", contender, w.name, r.Baseline)
			}
			if r.Contender == r.Baseline && r.Ratio != 1 {
				t.Errorf("the baseline %s of %s has the ratio %v", r.Baseline, w.name, r.Ratio)
			}
		}
	}
	if len(results) > 0 {
		t.Errorf("nobody asked for %+v", results)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-no-such-flag"}, 2, "no-such-flag"},
		{[]string{"extra"}, 2, "it takes no arguments"},
		{[]string{"-rounds", "0"}, 2, "at least one round"},
		{[]string{"-workload", "bulk-2"}, 1, `no workload "bulk-2", only connect-hook redis-get-c50`},
		{[]string{"-workload", "bulk-1,h3-*"}, 1, `no workload "h3-*"`},
		{[]string{"-workload", "["}, 1, `pattern "["`},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), &stdout, &stderr, test.args); code != test.code || !bytes.Contains(stderr.Bytes(), []byte(test.want)) {
			t.Errorf("%q: exit code %d, want %d, and %q in:\n%s", test.args, code, test.code, test.want, stderr.String())
		}
	}
}
