// Package accesslog writes a line for each request and each connection that has ended.
//
// entry.go says what is in a line, escape.go keeps what a stranger has sent from being anything but a value in it, and log.go
// and sink.go bring lines to where they are read.
package accesslog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/meshd/meshd/engine/mesh"
)

// Entry is a request, or a connection of which no requests are read, as it was at its end. What is empty is left out of its
// line.
type Entry struct {
	Begun       time.Time
	Source      string // as intentions write it
	Unit        string
	PID, UID    uint32
	Client      netip.AddrPort // the socket of the application
	Protocol    string         // that the application speaks, such as HTTP/1.1
	Method      []byte
	Authority   []byte
	Path        []byte // as it came, with the query
	Destination string // service that was dialled
	Target      string // service that the route has chosen
	Subset      string // of it
	Route       string
	Endpoint    *mesh.Endpoint // the last one that was tried; nil: none
	Attempts    int            // to send a request
	Code        int            // of the answer; 0: none
	GRPC        int            // status of gRPC; negative: none
	Reason      mesh.Reason
	Sent        uint64 // bytes, as the application sees them
	Received    uint64
	Duration    time.Duration
	UntilHead   time.Duration // of the answer, since the request was sent for the last time; 0: none came
	RequestID   []byte
	TraceID     []byte // in hexadecimal
}

// Format is how a line is written.
type Format int32

// The formats.
const (
	Text Format = iota + 1 // key=value, as the log of meshd itself
	JSON                   // an object
)

// key is the name of a value, as each format writes it with what stands around it.
type key struct{ text, json string }

// named returns the key of a value, which is not the first one of its line.
func named(name string) key { return key{" " + name + "=", `,"` + name + `":`} }

var (
	keyTime        = key{"time=", `{"time":`}
	keySource      = named("source")
	keyUnit        = named("unit")
	keyPID         = named("pid")
	keyUID         = named("uid")
	keyClient      = named("client")
	keyProtocol    = named("protocol")
	keyMethod      = named("method")
	keyAuthority   = named("authority")
	keyPath        = named("path")
	keyDestination = named("destination")
	keyTarget      = named("target")
	keyRoute       = named("route")
	keyEndpoint    = named("endpoint")
	keyAddress     = named("address")
	keyAttempts    = named("attempts")
	keyCode        = named("code")
	keyGRPC        = named("grpc_status")
	keyReason      = named("reason")
	keySent        = named("sent")
	keyReceived    = named("received")
	keyDuration    = named("duration_ms")
	keyUntilHead   = named("upstream_ms")
	keyRequestID   = named("request_id")
	keyTraceID     = named("trace_id")
)

// append appends the line of an entry. r is what lines of the format before have left.
func (f Format) append(dst []byte, e *Entry, r *recent) []byte {
	l := line{bytes: dst, json: f == JSON, recent: r}
	l.time(e.Begun)
	l.caller(e)
	if e.Client.IsValid() {
		l.begin(&keyClient)
		l.bytes = e.Client.AppendTo(l.bytes)
		l.end()
	}
	text(&l, &keyProtocol, e.Protocol)
	text(&l, &keyMethod, e.Method)
	text(&l, &keyAuthority, e.Authority)
	text(&l, &keyPath, e.Path)
	l.callee(e)
	if e.Attempts > 0 {
		l.number(&keyAttempts, uint64(e.Attempts))
	}
	if e.Code > 0 {
		l.number(&keyCode, uint64(e.Code))
	}
	if e.GRPC >= 0 {
		l.number(&keyGRPC, uint64(e.GRPC))
	}
	text(&l, &keyReason, string(e.Reason))
	l.number(&keySent, e.Sent)
	l.number(&keyReceived, e.Received)
	l.milliseconds(&keyDuration, e.Duration)
	if e.UntilHead > 0 {
		l.milliseconds(&keyUntilHead, e.UntilHead)
	}
	text(&l, &keyRequestID, e.RequestID)
	text(&l, &keyTraceID, e.TraceID)
	if l.json {
		l.bytes = append(l.bytes, '}')
	}
	return append(l.bytes, '\n')
}

// line is a line that is being written.
type line struct {
	bytes  []byte
	json   bool
	recent *recent
}

func (l *line) key(k *key) {
	if l.json {
		l.bytes = append(l.bytes, k.json...)
	} else {
		l.bytes = append(l.bytes, k.text...)
	}
}

// begin begins a string that needs no escapes.
func (l *line) begin(k *key) {
	l.key(k)
	if l.json {
		l.bytes = append(l.bytes, '"')
	}
}

func (l *line) end() {
	if l.json {
		l.bytes = append(l.bytes, '"')
	}
}

func text[T []byte | string](l *line, k *key, value T) {
	if len(value) == 0 {
		return
	}
	l.key(k)
	if l.json || !isPlain(value) {
		l.bytes = appendQuoted(l.bytes, value)
		return
	}
	l.bytes = append(l.bytes, value...)
}

func (l *line) number(k *key, n uint64) {
	l.key(k)
	l.bytes = strconv.AppendUint(l.bytes, n, 10)
}

// milliseconds writes a time to three places after the point.
func (l *line) milliseconds(k *key, d time.Duration) {
	l.key(k)
	us := max(d, 0).Microseconds()
	l.bytes = strconv.AppendInt(l.bytes, us/1000, 10)
	l.bytes = append(l.bytes, '.', byte('0'+us/100%10), byte('0'+us/10%10), byte('0'+us%10))
}

// target writes where a route leads, if that is not the service itself.
func (l *line) target(e *Entry) {
	if e.Subset == "" && e.Target == e.Destination || e.Target == "" {
		return
	}
	l.begin(&keyTarget)
	l.bytes = append(l.bytes, e.Target...)
	if e.Subset != "" {
		l.bytes = append(append(l.bytes, '/'), e.Subset...)
	}
	l.end()
}

// endpoint writes the name of an endpoint and its address, where that is not its name.
func (l *line) endpoint(e *mesh.Endpoint) {
	l.begin(&keyEndpoint)
	l.bytes = e.AppendName(l.bytes)
	l.end()
	if e.Host == "" || !e.Address.IsValid() {
		return
	}
	l.begin(&keyAddress)
	l.bytes = e.Address.AppendTo(l.bytes)
	l.end()
}
