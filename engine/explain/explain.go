// Package explain tells a person what becomes of a connection or a request, and why.
//
// It asks what the data path asks: the snapshot for what is dialled, its table of routes, and the choice among endpoints.
// explain.go follows a connection as ARCHITECTURE.md does, caller.go says who calls and whether the kernel captures it,
// destination.go what is dialled, request.go where a request goes, connection.go a connection whose bytes are not read, routes.go and target.go write down routes and targets.
package explain

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/route"
	"github.com/meshd/meshd/engine/snapshot"
)

// View is what explanations are about: the mesh as one host sees it.
type View struct {
	Snapshot *snapshot.Snapshot
	Capture  mesh.Capture
	Live     bool // it is that of a meshd that runs

	// Off says whether capture was turned off by a person.
	Off bool

	// Process looks up a process of the host; nil: there is no such host here.
	Process func(pid int) (Process, error)

	// Unresolved are host names that stand for addresses which were not looked up; nil: all were.
	Unresolved map[string]bool
}

// Process is a process of the host.
type Process struct {
	Caller    mesh.Caller
	UID       uint32
	Ambiguous bool   // it matches the workloads of more than one service
	Outside   string // why the kernel programs do not see what it does; empty: they do
	Elsewhere bool   // it is in a network namespace in which meshd does not listen
}

// Explain answers a question, or says what is wrong with it.
func (v View) Explain(q control.Question) (control.Explanation, *control.Error) {
	x := control.Explanation{Host: v.Snapshot.Host().Name, Live: v.Live}
	if v.Snapshot.Mesh().Name == "" {
		return x, refuse("write a mesh block, then meshctl reload", "no mesh is configured")
	}
	caller, err := v.caller(q.From)
	if err != nil {
		return x, err
	}
	x.Source = caller.source
	to, err := v.dialled(q)
	if err != nil {
		return x, err
	}
	x.Destination = to.document
	if to.port == nil {
		return v.withoutPort(x, to, q)
	}
	if q.Method != "" && !to.port.Reads() {
		return x, refuse(`leave method and URL out, or write protocol = "http", "http2" or "grpc" there if that is what it speaks`,
			"service %q at %s speaks %s, which has no requests", to.port.Service.Name, to.port.Service.At, to.port.Protocol)
	}
	way := v.way(caller, to)
	x.Capture = way.step
	if way.end != nil {
		x.Outcome = *way.end
		return x, nil
	}
	if !to.port.Reads() {
		v.connection(&x, caller, to.port, q)
		return x, nil
	}
	return x, v.request(&x, caller, to, q)
}

// withoutPort ends an explanation of what leads to no port of the mesh.
func (v View) withoutPort(x control.Explanation, to destination, q control.Question) (control.Explanation, *control.Error) {
	if to.undeclared {
		x.Capture.Text = "the kernel refuses it, whoever calls"
		x.Outcome = control.Outcome{
			Kind: control.OutcomeRefused, Reason: string(control.RefusedPort), Text: "connect() is refused: the service has no such port",
		}
		return x, nil
	}
	if q.Method != "" {
		return x, refuse("leave method and URL out", "requests to %s are not read", q.To)
	}
	x.Capture.Text = "no: only the virtual addresses of services are captured"
	if v.isVirtual(to.document.Addresses[0]) {
		x.Outcome = control.Outcome{Kind: control.OutcomeRefused, Text: "connect() fails with no route to host: no service has the address"}
		return x, nil
	}
	x.Outcome = control.Outcome{Kind: control.OutcomeUntouched, Text: "it passes meshd untouched, as without a mesh"}
	return x, nil
}

// shareOf writes down a share; a percentage that splitters have computed is rounded to what they were told.
func shareOf(s route.Share) control.Share {
	share := control.Share{Percent: math.Round(s.Percent*10000) / 10000, Asked: s.Asked.String(), Target: s.Target.Name()}
	for _, at := range s.Splits {
		share.Splits = append(share.Splits, at.String())
	}
	if s.Live != s.Target {
		share.Live = s.Live.Name()
	}
	return share
}

// stepsOf writes down what resolvers have made of a target.
func (v View) stepsOf(asked mesh.Target) []control.Step {
	var steps []control.Step
	before := asked
	for _, hop := range route.Way(v.Snapshot.Catalog(), asked) {
		text := fmt.Sprintf("%s gets its default_subset: %s", before, hop.To)
		if hop.Redirect {
			text = fmt.Sprintf("%s is redirected to %s", before, hop.To)
		}
		steps = append(steps, control.Step{Text: text, At: hop.At.String()})
		before = hop.To
	}
	return steps
}

// refuse returns the error of a question that cannot be answered.
func refuse(hint, message string, args ...any) *control.Error {
	return &control.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf(message, args...), Hint: hint}
}

// oneOf writes alternatives.
func oneOf(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("one of %s and %d more", strings.Join(names[:most], ", "), more)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Offline returns the view of a configuration without a meshd that runs: all endpoints are taken to be up, and host names
// outside the mesh are not looked up.
func Offline(c *config.Config) View {
	v := View{Capture: c.Capture, Unresolved: make(map[string]bool)}
	addresses := standIns(c.Catalog.Services, v.Unresolved)
	v.Snapshot = snapshot.Build(snapshot.Input{Version: 1, Catalog: c.Catalog, Host: c.Host, Addresses: addresses})
	return v
}

// duration writes a duration as in a configuration; empty for none.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} { // 1m0s, 1h0m
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// nameOf writes a port of a service as people do.
func nameOf(p *snapshot.Port) string { return p.Service.Name + prefixed("/", p.Listener) }

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
