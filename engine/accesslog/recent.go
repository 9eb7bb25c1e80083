package accesslog

import (
	"net/netip"
	"time"
)

// recent is what lines of late have had alike, as it stands in them: to copy it takes a fraction of the time that it takes to
// write it anew. It is of one format.
type recent struct {
	second  int64  // since 1970
	time    []byte // of a line that began then, up to the point; empty: there is none yet
	callers [16]part[caller]
	callees [16]part[callee]
}

// part is a part of a line. Of the zero key nothing is written, so the zero part is true.
type part[K comparable] struct {
	key   K
	bytes []byte
}

// caller is what a line says of a process. A host has few that call at a time.
type caller struct {
	source, unit string
	pid, uid     uint32
}

// callee is what it says of who was called. It holds no endpoint, which would hold all that it was configured with.
type callee struct {
	destination, target, subset, route string
	tried                              bool // there is an endpoint
	host, hostname                     string
	address                            netip.AddrPort
}

func (l *line) caller(e *Entry) {
	key := caller{e.Source, e.Unit, e.PID, e.UID}
	p := &l.recent.callers[e.PID%uint32(len(l.recent.callers))]
	if p.key == key {
		l.bytes = append(l.bytes, p.bytes...)
		return
	}
	from := len(l.bytes)
	text(l, &keySource, e.Source)
	text(l, &keyUnit, e.Unit)
	if e.Source != "" {
		l.number(&keyPID, uint64(e.PID))
		l.number(&keyUID, uint64(e.UID))
	}
	p.key, p.bytes = key, append(p.bytes[:0], l.bytes[from:]...)
}

func (l *line) callee(e *Entry) {
	key := callee{destination: e.Destination, target: e.Target, subset: e.Subset, route: e.Route}
	at := 0
	if e.Endpoint != nil {
		key.tried, key.host, key.hostname, key.address = true, e.Endpoint.Host, e.Endpoint.Hostname, e.Endpoint.Address
		last := key.address.Addr().As16()[15]
		at = (int(last) + int(key.address.Port())) % len(l.recent.callees)
	}
	p := &l.recent.callees[at]
	if p.key == key {
		l.bytes = append(l.bytes, p.bytes...)
		return
	}
	from := len(l.bytes)
	text(l, &keyDestination, e.Destination)
	l.target(e)
	text(l, &keyRoute, e.Route)
	if e.Endpoint != nil {
		l.endpoint(e.Endpoint)
	}
	p.key, p.bytes = key, append(p.bytes[:0], l.bytes[from:]...)
}

// time writes when an entry began, to three places after the point.
func (l *line) time(at time.Time) {
	r := l.recent
	if second := at.Unix(); second != r.second || len(r.time) == 0 {
		from := len(l.bytes)
		l.begin(&keyTime)
		l.bytes = at.UTC().AppendFormat(l.bytes, time.RFC3339) // which is much faster than a format of our own
		l.bytes[len(l.bytes)-len("Z")] = '.'
		r.second, r.time = second, append(r.time[:0], l.bytes[from:]...)
	} else {
		l.bytes = append(l.bytes, r.time...)
	}
	ms := at.Nanosecond() / 1e6
	l.bytes = append(l.bytes, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
	l.end()
}
