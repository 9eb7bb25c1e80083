package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
)

// upkeep is what came of keeping meshd's state in the kernel as it should be, which other tools of the host can change.
type upkeep struct {
	mu       sync.Mutex
	failure  error      // of the last round; nil: all is as it should be
	repaired []bpf.Part // in the last round
	again    int        // rounds in a row that had something to repair
}

// lookAfterKernel puts back what others have changed, and tries out whether capture works, until ctx ends.
func (d *daemon) lookAfterKernel(ctx context.Context) {
	ticks := time.NewTicker(probeInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		if d.draining.Load() {
			return // it captures no more, as it should be
		}
		d.repair()
		d.probe.again(ctx, d.probeChanged)
	}
}

// repair is one round of the upkeep.
func (d *daemon) repair() {
	d.changing.Lock()
	parts, err := d.kernel.Repair()
	missing, routesErr := bpf.KeepRoutes(rangesOf(d.snapshots.Load().Mesh()))
	d.changing.Unlock()
	if errors.Is(err, bpf.ErrSuperseded) {
		return // the heartbeat hears of it, too, and ends this meshd
	}
	if missing > 0 {
		parts = append(parts, bpf.PartRoutes)
	}
	for _, part := range parts {
		d.metrics.KernelRepaired(string(part))
	}
	d.noteRepair(parts, errors.Join(err, routesErr))
}

// noteRepair logs what is news: another tool may do the same again and again.
func (d *daemon) noteRepair(parts []bpf.Part, err error) {
	u := &d.upkeep
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(parts) > 0 && !slices.Equal(parts, u.repaired) {
		d.log.Warn("kernel state put back that something else has changed", "parts", parts)
	}
	switch {
	case err != nil && (u.failure == nil || err.Error() != u.failure.Error()):
		d.log.Error("kernel state not as it should be", "error", err)
	case err == nil && u.failure != nil:
		d.log.Info("kernel state is as it should be again")
	}
	u.again++
	if len(parts) == 0 {
		u.again = 0
	}
	u.repaired, u.failure = parts, err
}

// problems lists what meshd cannot put back, or must put back again and again.
func (u *upkeep) problems(cgroup string) (all []control.Problem) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case errors.Is(u.failure, bpf.ErrNoBPFFS):
		all = append(all, control.Problem{
			What: "the kernel programs are not pinned and would end with meshd: " + u.failure.Error(),
			Fix:  "mount -t bpf bpf /sys/fs/bpf; within 5 s meshd pins them there",
		})
	case u.failure != nil:
		all = append(all, control.Problem{
			What: "what meshd needs in the kernel is not as it should be: " + u.failure.Error(),
			Fix:  "end the tool that is in the way (bpftool cgroup tree " + cgroup + "; ip route), and within 5 s meshd puts it right",
		})
	}
	if u.again > 1 {
		all = append(all, control.Problem{
			What: fmt.Sprintf("something changes what meshd has put into the kernel again and again, and meshd puts it back: %s", joinedParts(u.repaired)),
			Fix:  "find and end that tool: bpftool cgroup tree " + cgroup + "; ip monitor route",
		})
	}
	return all
}

func joinedParts(parts []bpf.Part) string {
	var words []string
	for _, p := range parts {
		words = append(words, string(p))
	}
	return strings.Join(words, ", ")
}

// kernelProblems lists what keeps the kernel from sending connections here.
func (d *daemon) kernelProblems() []control.Problem {
	all := d.upkeep.problems(d.cgroup)
	if have, want := d.kernel.Attached(); have < want && len(all) == 0 {
		all = append(all, control.Problem{
			What: fmt.Sprintf("only %d of %d kernel programs are attached: something else has detached them", have, want),
			Fix:  "wait 5 s, meshd attaches them again; find the other tool: bpftool cgroup tree " + d.cgroup,
		})
	}
	if !d.beats() {
		all = append(all, control.Problem{
			What: "the kernel programs get no heartbeat, so they decide as if meshd were dead",
			Fix:  "journalctl -u meshd -e; systemctl restart meshd",
		})
	}
	if failure := d.probe.failure.Load(); failure != nil {
		problem := control.Problem{
			What: "connections are not captured: " + *failure,
			Fix:  "meshctl check; systemctl restart meshd",
		}
		if others := d.others(); others != "" {
			problem.What += "; other tools have programs here: " + others
			problem.Fix = "end the tool, or bpftool cgroup detach CGROUP connect4 id ID"
		}
		all = append(all, problem)
	}
	return all
}

// others describes the programs of other tools that decide about meshd's own connections, and so about its probe.
func (d *daemon) others() string {
	path, known := d.cgroups.Path(d.kernel.Self().Cgroup)
	if !known {
		return ""
	}
	var words []string
	for _, n := range d.kernel.Neighbours(filepath.Join(d.cgroup, path)) {
		when := "after"
		if n.Before {
			when = "before"
		}
		words = append(words, fmt.Sprintf("%s, which runs %s meshd's", n, when))
	}
	return strings.Join(words, "; ")
}

// keepRoutes makes the virtual addresses that are not captured unreachable, and gives up the routes of other ranges.
func (d *daemon) keepRoutes() {
	ranges := rangesOf(d.snapshots.Load().Mesh())
	_, err := bpf.KeepRoutes(ranges)
	_, removeErr := bpf.ForgetRoutes(ranges)
	if err := errors.Join(err, removeErr); err != nil {
		d.log.Error("routes of virtual addresses not as they should be", "error", err)
	}
}

// rangesOf returns the ranges of virtual addresses; none while there is no mesh.
func rangesOf(m mesh.Mesh) (ranges []netip.Prefix) {
	for _, r := range []netip.Prefix{m.VirtualIPv4, m.VirtualIPv6} {
		if r.IsValid() {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// switchCapture turns capture off until it is turned on again.
func (d *daemon) switchCapture(on bool) control.SwitchResult {
	d.changing.Lock()
	defer d.changing.Unlock()
	changed := d.kernel.IsOff() == on
	if changed {
		if err := d.kernel.SwitchOff(!on); err != nil {
			return control.SwitchResult{Capture: d.captureState(), Error: err.Error() + ": meshctl status"}
		}
		d.log.Warn("capture switched by meshctl", "on", on)
	}
	return control.SwitchResult{Changed: changed, Capture: d.captureState()}
}
