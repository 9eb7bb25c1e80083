package daemon

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/snapshot"
)

// freshFailure is how long a failure counts as a problem when nobody has tried again.
const freshFailure = 5 * time.Minute

// problems lists what needs a person, the worst first.
func (d *daemon) problems() []control.Problem {
	all := d.kernelProblems()
	if d.outbound.Full() {
		all = append(all, control.Problem{
			What: "as many connections are open as meshd may hold: further ones wait",
			Fix:  "see whose they are: meshctl connections; or raise LimitNOFILE= of meshd.service, two for each connection",
		})
	}
	if failure := d.hosts.failure(); failure != "" {
		all = append(all, control.Problem{
			What: "the names of the mesh in " + hostsPath + " are not as they should be: " + failure,
			Fix:  "mend that file, and wait 5 s; or take hosts_file out of the dns block, then meshctl reload",
		})
	}
	all = append(all, d.resolved.problems()...)
	all = append(all, d.memory.problems()...)
	all = append(all, d.outsideProblems()...)
	all = append(all, d.telemetryProblems()...)
	all = append(all, d.deadServices()...)
	for _, unit := range d.workloads.unclearUnits() {
		all = append(all, control.Problem{
			What: unit + " calls, and matches the workloads of more than one service: it has the identity of the host",
			Fix:  "let its workload stand in one service only, then meshctl reload",
		})
	}
	return all
}

// refusalReasons are the reasons by the kernel programs' names of them.
var refusalReasons = map[string]control.RefusalReason{
	"refused_port":        control.RefusedPort,
	"refused_no_endpoint": control.RefusedEmpty,
	"refused_fail_closed": control.RefusedDead,
}

// refused lists what the kernel programs have refused, by the names of the mesh.
func (d *daemon) refused(snap *snapshot.Snapshot) []control.Refusal {
	refusals, err := d.kernel.Refusals()
	if err != nil {
		d.log.Warn("refusals not read", "error", err)
	}
	names := map[netip.Addr]string{}
	for _, s := range snap.Services() {
		names[s.Virtual4] = s.Name + "." + snap.Mesh().Domain
		names[s.Virtual6] = names[s.Virtual4]
	}
	type row struct {
		destination string
		reason      control.RefusalReason
	}
	counts := map[row]uint64{} // IPv4 and IPv6 of a service are one
	for _, r := range refusals {
		name, found := names[r.Destination.Addr()]
		if !found {
			name = r.Destination.Addr().String() // of a service that has left the mesh
		}
		at := row{net.JoinHostPort(name, strconv.Itoa(int(r.Destination.Port()))), refusalReasons[r.Event]}
		counts[at] += r.Count
	}
	var all []control.Refusal
	for at, count := range counts {
		all = append(all, control.Refusal{Destination: at.destination, Reason: at.reason, Count: count})
	}
	return all
}

// deadServices lists the ports of services none of whose endpoints is up, by its check, or has accepted the last
// connection that it was offered.
func (d *daemon) deadServices() []control.Problem {
	var all []control.Problem
	for _, s := range d.snapshots.Load().Services() {
		for _, p := range s.Ports {
			if p.Elsewhere && len(p.Backends()) > 0 {
				continue // at other services, where its routes lead
			}
			if why := allDown(p.Group.Endpoints()); why != "" {
				all = append(all, control.Problem{
					What: fmt.Sprintf("no endpoint of %s is up, and connections to port %d are refused: %s", s.Name, p.Number, why),
					Fix:  "meshctl endpoints " + s.Name + "; then look at the service on those hosts",
				})
				continue
			}
			failure := deadSince(p.Group.Endpoints())
			if failure == nil {
				continue
			}
			all = append(all, control.Problem{
				What: fmt.Sprintf("no endpoint of %s accepts connections to port %d: %s", s.Name, p.Number, failure.Text),
				Fix:  "meshctl endpoints " + s.Name + "; then look at the service on those hosts",
			})
		}
	}
	return all
}

// allDown returns why the last of the endpoints went down when the checks of all fail; else nothing.
func allDown(endpoints []*balance.Endpoint) string {
	var last balance.Transition
	for _, e := range endpoints {
		h := e.Health()
		if h.State != balance.Down {
			return ""
		}
		if t := h.History[len(h.History)-1]; !t.Time.Before(last.Time) {
			last = t
		}
	}
	return last.Reason
}

// deadSince returns the latest failure when all endpoints fail and that is news; else nil.
func deadSince(endpoints []*balance.Endpoint) *balance.Failure {
	var latest *balance.Failure
	for _, e := range endpoints {
		if !e.Failing() {
			return nil
		}
		if f := e.LastFailure(); latest == nil || f.Time.After(latest.Time) {
			latest = f
		}
	}
	if latest == nil || time.Since(latest.Time) > freshFailure {
		return nil
	}
	return latest
}
