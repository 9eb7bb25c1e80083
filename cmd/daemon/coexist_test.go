package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/meshd/meshd/bpf"
)

// TestUpkeep follows what is logged, once, and what the status says over rounds of the upkeep.
func TestUpkeep(t *testing.T) {
	links := []bpf.Part{bpf.PartLinks}
	stuck := errors.New("attach connect4: an old tool")
	unmounted := fmt.Errorf("folder /sys/fs/bpf: %w", bpf.ErrNoBPFFS)
	var log bytes.Buffer
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, round := range []struct {
		what    string
		parts   []bpf.Part
		err     error
		logged  string // empty: nothing
		problem string // empty: none
	}{
		{what: "all is well"},
		{"repaired", links, nil, "kernel state put back", ""},
		{"repaired again", links, nil, "", "again and again, and meshd puts it back: links"},
		{what: "over"},
		{"cannot be repaired", nil, stuck, "an old tool", "attach connect4: an old tool"},
		{"still", nil, stuck, "", "attach connect4: an old tool"},
		{"something else", nil, unmounted, "/sys/fs/bpf", "not pinned and would end with meshd"},
		{"mounted again", []bpf.Part{bpf.PartPins}, nil, "put back", ""},
	} {
		log.Reset()
		d.noteRepair(round.parts, round.err)
		if text := log.String(); !strings.Contains(text, round.logged) || round.logged == "" && text != "" {
			t.Errorf("%s: logged %q, want %q", round.what, text, round.logged)
		}
		problems := d.upkeep.problems("/sys/fs/cgroup")
		if round.problem == "" && len(problems) > 0 || round.problem != "" && (len(problems) != 1 || !strings.Contains(problems[0].What, round.problem)) {
			t.Errorf("%s: problems %v, want %q", round.what, problems, round.problem)
		}
	}
}
