package explain

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

// caller is who a question says that calls.
type caller struct {
	source  control.Source
	process *Process // nil: the question names none
	units   []string // patterns of those that the service may be, as far as it is told by unit
	users   []string
}

// caller finds who is meant.
func (v View) caller(from string) (caller, *control.Error) {
	m, host := v.Snapshot.Mesh(), v.Snapshot.Host().Name
	if number, isProcess := strings.CutPrefix(from, "pid:"); isProcess {
		return v.processOf(number)
	}
	if name, isHost := strings.CutPrefix(from, "host:"); isHost {
		if name != host {
			return caller{}, refuse(fmt.Sprintf("ask meshctl there, or with its files: meshctl explain -config PATH -host %s", name),
				"%s is another host than %s, whose view this is", from, host)
		}
		return caller{source: control.Source{
			Name: from, Identity: m.HostIdentity(host), Why: control.Step{Text: "a process of the host that is no service"},
		}}, nil
	}
	s, found := v.Snapshot.Named(from)
	if !found {
		e := control.NoService(from)
		e.Hint += "; who is no service is host:" + host
		return caller{}, e
	}
	c := caller{source: control.Source{Name: from, Identity: m.ServiceIdentity(from)}}
	var texts []string
	for _, w := range s.Workloads {
		if !s.OnHost(w, host) {
			continue
		}
		texts = append(texts, workloadText(w))
		c.source.Why.At = w.At.String()
		if w.Unit != "" {
			c.units = append(c.units, w.Unit)
		}
		if w.User != "" && w.Unit == "" && w.Cgroup == "" {
			c.users = append(c.users, w.User)
		}
	}
	if c.source.Why.Text = strings.Join(texts, ", or "); len(texts) == 0 {
		c.source.Why = control.Step{Text: fmt.Sprintf("no process of %s can be it; this is what it would get", host), At: s.At.String()}
	}
	return c, nil
}

// workloadText says in words which processes are meant.
func workloadText(w mesh.Workload) string {
	var all []string
	for _, x := range [][2]string{{"unit", w.Unit}, {"cgroup", w.Cgroup}, {"user", w.User}} {
		if x[1] != "" {
			all = append(all, x[0]+" "+x[1])
		}
	}
	return "processes of " + strings.Join(all, " and ")
}

func (v View) processOf(number string) (caller, *control.Error) {
	if v.Process == nil {
		return caller{}, refuse("name a service, or host:"+v.Snapshot.Host().Name, "a process can be asked for only where meshd runs")
	}
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 0 {
		return caller{}, refuse("write it as pid:4711", "no process id %q", number)
	}
	p, err := v.Process(pid)
	if err != nil {
		return caller{}, &control.Error{Status: http.StatusNotFound, Message: err.Error(), Hint: "does it still run? name a service, or its host"}
	}
	m, host := v.Snapshot.Mesh(), v.Snapshot.Host().Name
	c := caller{process: &p, source: control.Source{
		Name: p.Caller.Name(host), Identity: m.HostIdentity(host), PID: pid, UID: p.UID, Unit: p.Caller.Unit,
	}}
	c.source.Why.Text = fmt.Sprintf("%s matches no workload on this host", p.Caller.Unit)
	if p.Ambiguous {
		c.source.Why.Text = fmt.Sprintf("%s matches the workloads of more than one service, so that it is none of them", p.Caller.Unit)
	}
	if s, found := v.Snapshot.Named(p.Caller.Service); found {
		c.source.Identity, c.source.Why = m.ServiceIdentity(s.Name), control.Step{Text: p.Caller.Unit + " matches a workload of the service", At: s.At.String()}
	}
	return c, nil
}

// way is how a connection to a port leaves the caller.
type way struct {
	step control.Step
	end  *control.Outcome // nil: meshd gets it
}

// way asks what the kernel programs ask, in their order.
func (v View) way(c caller, to destination) way {
	if c.process != nil && c.process.Outside != "" {
		return way{control.Step{Text: "no: " + c.process.Outside}, &control.Outcome{
			Kind: control.OutcomeUntouched, Text: "it passes meshd untouched, and the virtual address leads nowhere",
		}}
	}
	backends := to.port.Backends()
	if len(backends) == 0 {
		return way{control.Step{Text: "the kernel refuses it, whoever calls"}, &control.Outcome{
			Kind: control.OutcomeRefused, Reason: string(control.RefusedEmpty), Text: "connect() is refused: no endpoint is up, and nobody stands in",
		}}
	}
	why, at := v.excluded(c, to), v.Capture.At.String()
	if why == "" && c.process != nil && c.process.Elsewhere {
		if why = "it is in a network namespace in which meshd does not listen"; v.Capture.Fail == mesh.FailClosed {
			return way{control.Step{Text: "no: " + why, At: at}, &control.Outcome{
				Kind: control.OutcomeRefused, Reason: string(control.RefusedDead), Text: "connect() is refused, as fail = \"closed\" says",
			}}
		}
	}
	if why == "" {
		text := "yes: mode " + string(v.Capture.Mode)
		if units := v.exceptUnits(c); len(units) > 0 {
			text += fmt.Sprintf(", except for %s, which exclude.units has", strings.Join(units, ", "))
		}
		if addresses := v.exceptAddresses(to); len(addresses) > 0 {
			text += fmt.Sprintf(", except at %s, which exclude.cidrs has", strings.Join(addresses, ", "))
		}
		return way{step: control.Step{Text: text, At: at}}
	}
	if v.Off {
		at = ""
	}
	names := v.namesOf(to.port, backends)
	return way{control.Step{Text: "no: " + why, At: at}, &control.Outcome{
		Kind: control.OutcomeStraight, Endpoints: names, Text: "the kernel connects it to " + oneOf(names) + ", past meshd and its routes",
	}}
}

// excluded says why a caller is not captured; empty when it is.
func (v View) excluded(c caller, to destination) string {
	x := v.Capture
	isIn := func(patterns []string, unit string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return mesh.Match(p, unit) })
	}
	all := func(list []string, is func(string) bool) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool { return !is(s) })
	}
	units, users := c.units, c.users
	if c.process != nil {
		units, users = []string{c.process.Caller.Unit}, []string{strconv.FormatUint(uint64(c.process.UID), 10)}
	}
	// Of a service that is known by units and by users, it takes both to leave out all of it.
	onlyUsers, onlyUnits := c.process != nil || len(units) == 0, c.process != nil || len(users) == 0
	isUser := func(user string) bool {
		uid, err := strconv.ParseUint(user, 10, 32)
		return err == nil && slices.Contains(x.ExcludeUIDs, uint32(uid))
	}
	switch {
	case v.Off:
		return "meshctl disable has turned it off: meshctl enable"
	case x.Mode == mesh.CaptureOff:
		return "mode is off"
	case slices.Contains(x.ExcludePorts, to.port.Number):
		return fmt.Sprintf("exclude.ports has %d", to.port.Number)
	case len(v.exceptAddresses(to)) == len(to.document.Addresses):
		return "exclude.cidrs has the address"
	case onlyUsers && all(users, isUser):
		return "exclude.users has " + strings.Join(users, ", ")
	case onlyUnits && all(units, func(u string) bool { return isIn(x.ExcludeUnits, u) }):
		return "exclude.units has " + strings.Join(units, ", ")
	case len(x.IncludeUnits) > 0 && len(units) == 0:
		return "include.units has only " + strings.Join(x.IncludeUnits, ", ")
	case len(x.IncludeUnits) > 0 && !slices.ContainsFunc(units, func(u string) bool { return isIn(x.IncludeUnits, u) }):
		return "include.units does not have " + strings.Join(units, ", ")
	}
	return ""
}

// exceptUnits returns the units that are left out of capture while others that the caller may be are not.
func (v View) exceptUnits(c caller) []string {
	var some []string
	for _, unit := range v.Capture.ExcludeUnits {
		if slices.ContainsFunc(c.units, func(pattern string) bool { return mesh.Match(pattern, unit) || mesh.Match(unit, pattern) }) {
			some = append(some, unit)
		}
	}
	return some
}

// exceptAddresses returns the addresses of a destination that are left out of capture.
func (v View) exceptAddresses(to destination) []string {
	var some []string
	for _, a := range to.document.Addresses {
		if slices.ContainsFunc(v.Capture.ExcludeCIDRs, func(p netip.Prefix) bool { return p.Contains(a) }) {
			some = append(some, a.String())
		}
	}
	return some
}

// namesOf returns the names of the endpoints at some addresses.
func (v View) namesOf(p *snapshot.Port, addresses []netip.AddrPort) []string {
	known := make(map[netip.AddrPort]string)
	for _, g := range groupsOf(p) {
		for _, e := range g.Endpoints() {
			known[e.Address] = v.name(e)
		}
	}
	var names []string
	for _, at := range addresses {
		names = append(names, known[at])
	}
	slices.Sort(names)
	return names
}
