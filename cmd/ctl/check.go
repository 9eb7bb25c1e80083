package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/meshd/meshd/engine/control"
)

var checkCommand = command{
	name:    "check",
	kind:    noun,
	summary: "whether meshd can work on this host, and does",
	help: `
Looks at the host itself, so it works before meshd was ever started, and asks
meshd when it runs. What failed comes first. Exits with 1 when a check failed;
a warning is no failure. A meshd that has gone and left its programs in the
kernel is a failure, one that was never started a warning.`,
	example: "meshctl check",
	setup: noFlags(func(ctx context.Context, p *program) error {
		var results []control.CheckResult
		if p.Probe != nil {
			results = p.Probe(ctx)
		}
		report := control.NewCheckReport(append(results, askDaemon(ctx, p, results)...))
		failed := 0
		for _, r := range report.Checks {
			if r.Status == control.CheckFail {
				failed++
			}
		}
		if p.json {
			if err := p.writeJSON(report); err != nil {
				return err
			}
		} else {
			writeChecks(p.Stdout, report.Checks, p.Width)
		}
		if failed > 0 {
			return printed(ExitFailure)
		}
		return nil
	}),
}

// askDaemon returns the checks of meshd, behind one that says whether it answered. A meshd that does not run is only
// a warning: check is also what one types before starting it. It is left out when the checks of the host say more of it.
func askDaemon(ctx context.Context, p *program, host []control.CheckResult) []control.CheckResult {
	report, err := p.client().Check(ctx)
	answered := control.CheckResult{Name: "daemon", Status: control.CheckOK, Detail: "meshd answers at " + p.socket}
	switch {
	case errors.Is(err, control.ErrNotReachable), errors.Is(err, control.ErrDenied):
		if slices.ContainsFunc(host, func(r control.CheckResult) bool { return r.Name == "meshd" }) {
			return nil
		}
		answered.Status, answered.Detail = control.CheckWarn, err.Error()
	case err != nil:
		answered.Status, answered.Detail = control.CheckFail, err.Error()
	}
	return append(report.Checks, answered)
}

func writeChecks(w io.Writer, checks []control.CheckResult, width int) {
	longest := 0
	totals := map[control.CheckStatus]int{}
	for _, c := range checks {
		longest = max(longest, len(c.Name))
		totals[c.Status]++
	}
	for _, c := range checks {
		word := string(c.Status)
		if c.Status == control.CheckFail {
			word = "FAIL"
		}
		writeHanging(w, fmt.Sprintf("%-4s  %-*s  ", word, longest, printable(c.Name)), c.Detail, width)
		if c.Fix != "" {
			writeHanging(w, fmt.Sprintf("%*sfix: ", longest+8, ""), c.Fix, width)
		}
	}
	fmt.Fprintf(w, "\n%d failed, %s, %d ok\n", totals[control.CheckFail], count(totals[control.CheckWarn], "warning"), totals[control.CheckOK])
}
