package accesslog

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// changes are all that two lines which are otherwise alike can differ in, as far as they are remembered.
var changes = []func(e *Entry, n int){
	func(e *Entry, n int) { e.Begun = e.Begun.Add(time.Duration(n) * 400 * time.Millisecond) },
	func(e *Entry, n int) { e.Begun = time.Unix(0, int64(n)) },
	func(e *Entry, n int) { e.Source = strconv.Itoa(n % 3) },
	func(e *Entry, _ int) { e.Source = "" },
	func(e *Entry, n int) { e.Unit = strconv.Itoa(n % 3) },
	func(e *Entry, n int) { e.PID += uint32(n % 20) },
	func(e *Entry, n int) { e.UID += uint32(n % 2) },
	func(e *Entry, n int) { e.Destination = strconv.Itoa(n % 3) },
	func(e *Entry, n int) { e.Target = strconv.Itoa(n % 3) },
	func(e *Entry, n int) { e.Subset = strconv.Itoa(n % 3) },
	func(e *Entry, _ int) { e.Subset = "" },
	func(e *Entry, n int) { e.Route = strconv.Itoa(n % 3) },
	func(e *Entry, _ int) { e.Endpoint = nil },
	func(e *Entry, _ int) { e.Endpoint = &mesh.Endpoint{} },
	func(e *Entry, n int) { e.Endpoint = &mesh.Endpoint{Host: strconv.Itoa(n % 3), Address: e.address()} },
	func(e *Entry, n int) {
		e.Endpoint = &mesh.Endpoint{Hostname: strconv.Itoa(n % 3), Address: e.address()}
	},
	func(e *Entry, n int) {
		e.Endpoint = &mesh.Endpoint{Host: "a", Address: netip.AddrPortFrom(e.address().Addr(), uint16(n%20))}
	},
	func(e *Entry, n int) {
		e.Endpoint = &mesh.Endpoint{Host: "a", Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(n % 2), 0, 0, 1}), 80)}
	},
	func(e *Entry, _ int) { *e = Entry{GRPC: -1} },
}

func (e *Entry) address() netip.AddrPort { return sample().Endpoint.Address }

// TestRecentPartsAreTheirOwn writes lines behind one another, which must be what each is by itself.
func TestRecentPartsAreTheirOwn(t *testing.T) {
	for _, format := range []Format{Text, JSON} {
		r := &recent{}
		for n := range 20_000 {
			e := sample()
			changes[n%len(changes)](e, n/7)
			changes[n/len(changes)%len(changes)](e, n/11)
			got, want := format.append(nil, e, r), format.append(nil, e, &recent{})
			if string(got) != string(want) {
				t.Fatalf("line %d: got  %swant %s", n, got, want)
			}
		}
	}
}
