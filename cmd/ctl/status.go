package ctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meshd/meshd/engine/control"
)

var statusCommand = command{
	name:    "status",
	kind:    noun,
	summary: "whether all is well, and what needs a person",
	help: `
The first line is the answer. Problems come next, each with what solves it,
then the facts. The exit code says only whether meshd answered; to be told
by exit code whether something is wrong, use meshctl check.

When the heartbeat is older than 3 s, the kernel takes meshd for dead: new
connections then go as "fail" says, past meshd (open) or nowhere (closed).
"refused" counts connections that the kernel refused before meshd saw them.`,
	example: "meshctl status -o json",
	setup: noFlags(func(ctx context.Context, p *program) error {
		status, err := p.client().Status(ctx)
		if err != nil {
			return err
		}
		if p.json {
			return p.writeJSON(status)
		}
		writeStatus(p.Stdout, status, p.Now(), p.Width)
		return nil
	}),
}

// captureWords says what the state of capture means for connections.
var captureWords = map[control.CaptureState]string{
	control.CaptureActive:   "capturing",
	control.CaptureOff:      "not capturing (capture is off)",
	control.CaptureDegraded: "not capturing all it should",
}

func writeStatus(w io.Writer, s control.Status, now time.Time, width int) {
	answer := fmt.Sprintf("meshd on %s: %s", s.Host, s.State)
	if s.Mesh == "" && s.State == control.StateReady {
		answer += ", not capturing (no mesh is configured yet: see /etc/meshd/mesh.d/mesh.hcl)"
	} else if s.Capture.Disabled {
		answer += ", not capturing (disabled: meshctl enable ends that)"
	} else if words, known := captureWords[s.Capture.State]; known {
		answer += ", " + words
	}
	if n := len(s.Problems); n > 0 {
		answer += ": " + count(n, "problem")
	}
	fmt.Fprintln(w, printable(answer))
	for i, problem := range s.Problems {
		number := fmt.Sprintf("%3d. ", i+1)
		fmt.Fprintln(w)
		writeHanging(w, number, problem.What, width)
		if problem.Fix != "" {
			writeHanging(w, strings.Repeat(" ", len(number))+"fix: ", problem.Fix, width)
		}
	}
	fmt.Fprintln(w)
	for _, fact := range facts(s, now) {
		writeHanging(w, fmt.Sprintf("%-12s ", fact[0]), fact[1], width)
	}
	writeList(w, "listeners", listenerRows(s.Listeners), width)
	writeList(w, "refused", refusalRows(s.Refused), width)
	if refused := s.Config.LastError; refused != nil {
		fmt.Fprintf(w, "\nconfiguration refused %s ago:\n", elapsed(now.Sub(refused.At)))
		writeLines(w, "  ", refused.Text)
	}
}

// writeList writes a fact of several rows, each a name and a value; none at all for no rows.
func writeList(w io.Writer, fact string, rows [][2]string, width int) {
	longest := 0
	for _, row := range rows {
		longest = max(longest, len(row[0]))
	}
	for _, row := range rows {
		writeHanging(w, fmt.Sprintf("%-12s %-*s  ", fact, longest, printable(row[0])), row[1], width)
		fact = ""
	}
}

func listenerRows(listeners []control.Listener) (rows [][2]string) {
	for _, l := range listeners {
		rows = append(rows, [2]string{l.Name, l.Address})
	}
	return rows
}

// shownRefusals is how many refusals people see; -o json has all.
const shownRefusals = 5

// refusalWords says what the reason of a refusal means.
var refusalWords = map[control.RefusalReason]string{
	control.RefusedPort:  "the service has no such port",
	control.RefusedEmpty: "the service has no endpoint",
	control.RefusedDead:  "meshd was dead or hung (fail = closed)",
	control.RefusedUDP:   "services take TCP only, not UDP",
}

func refusalRows(refused []control.Refusal) (rows [][2]string) {
	for _, r := range refused[:min(len(refused), shownRefusals)] {
		words := cmp.Or(refusalWords[r.Reason], string(r.Reason))
		rows = append(rows, [2]string{r.Destination, fmt.Sprintf("%s: %s", count(r.Count, "time"), words)})
	}
	if more := len(refused) - len(rows); more > 0 {
		rows = append(rows, [2]string{fmt.Sprintf("and %d more", more), ""})
	}
	return rows
}

// facts returns the block of names and values.
func facts(s control.Status, now time.Time) [][2]string {
	capture := fmt.Sprintf("%s, mode %s, fail %s", s.Capture.State, s.Capture.Mode, s.Capture.Fail)
	if s.Capture.Disabled {
		capture = fmt.Sprintf("disabled by meshctl, else mode %s, fail %s", s.Capture.Mode, s.Capture.Fail)
	}
	if s.Capture.State != control.CaptureOff {
		capture += fmt.Sprintf(", heartbeat %s ago", elapsed(time.Duration(s.Capture.HeartbeatAgeMS)*time.Millisecond))
	}
	resolvers := "queries are not captured: no resolver is known"
	if s.Mesh == "" {
		resolvers = "queries are not captured: no mesh is configured"
	}
	if len(s.DNS.Resolvers) > 0 {
		resolvers = "queries to " + strings.Join(s.DNS.Resolvers, ", ") + " are captured"
	}
	loaded := "none loaded yet"
	if s.Config.Hash != "" {
		loaded = fmt.Sprintf("%s, loaded %s ago from %s", s.Config.Hash, elapsed(now.Sub(s.Config.LoadedAt)), count(len(s.Config.Files), "file"))
	}
	return [][2]string{
		{"mesh", fmt.Sprintf("%s, %s, %s", cmp.Or(s.Mesh, "none configured"), count(s.Services, "service"), count(s.Endpoints, "endpoint"))},
		{"connections", fmt.Sprintf("%d open, %d since start", s.Connections.Open, s.Connections.OpenedTotal)},
		{"capture", capture},
		{"cgroup", fmt.Sprintf("%s, %s attached", cmp.Or(s.Capture.Cgroup, "none"), count(s.Capture.Programs, "kernel program"))},
		{"dns", fmt.Sprintf("%s, %d since start", resolvers, s.DNS.Queries)},
		{"config", loaded},
		{"meshd", fmt.Sprintf("%s, pid %d, up %s", s.Version, s.PID, elapsed(now.Sub(s.Started)))},
	}
}
