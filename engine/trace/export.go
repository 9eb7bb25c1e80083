package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/spool"
)

const (
	// laneSize bounds the spans of one goroutine that have not been sent. Further ones are dropped.
	laneSize = 256 << 10
	// gather is how long spans wait for more, to be sent together.
	gather = time.Second
	// lastTry is how long a batch is worth sending.
	lastTry = time.Minute
	// firstPause and longestPause bound the time before a batch is sent again.
	firstPause, longestPause = time.Second, 30 * time.Second
	// callTimeout bounds one call of the collector.
	callTimeout = 10 * time.Second
	// farewell bounds what the end waits for the spans that are left.
	farewell = time.Second
	// mostAnswer bounds what is read of the answer of a collector.
	mostAnswer = 64 << 10
)

// Config says to whom spans are told, and of which requests.
type Config struct {
	Endpoint string // URL of the collector, below which /v1/traces is
	Share    int    // of the requests that belong to no trace yet, in hundredths of a percent
	Host     string // this machine
	Version  string // of meshd
}

// Tracer tells a collector of requests by a goroutine of its own, so that nobody waits for a network.
type Tracer struct {
	log    *slog.Logger
	spool  *spool.Spool
	config atomic.Pointer[Config] // nil: nothing is traced

	mu       sync.Mutex
	stop     context.CancelFunc // calls off what is under way; nil: it has not begun
	done     chan struct{}      // closed when nothing is waited for any more
	ended    chan struct{}
	closed   bool
	exported atomic.Uint64
	dropped  atomic.Uint64 // for another reason than want of room
	failure  atomic.Pointer[string]
}

// NewTracer returns a tracer that traces nothing.
func NewTracer(log *slog.Logger) *Tracer { return &Tracer{log: log, spool: spool.New(laneSize)} }

// Use has it trace by another configuration; nil: nothing is traced. It waits for nobody.
func (t *Tracer) Use(c *Config) {
	t.config.Store(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c == nil || t.stop != nil { // it runs, or has ended
		return
	}
	var ctx context.Context
	ctx, t.stop = context.WithCancel(context.Background())
	t.done, t.ended = make(chan struct{}), make(chan struct{})
	go t.run(ctx)
}

// Close sends what is left, if that takes no longer than a second, and ends the tracer for good.
func (t *Tracer) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop == nil || t.closed {
		return
	}
	t.closed = true
	close(t.done)
	late := time.AfterFunc(farewell, t.stop)
	<-t.ended
	late.Stop()
	t.stop()
	t.config.Store(nil)
}

// Exported returns how many spans a collector has taken.
func (t *Tracer) Exported() uint64 { return t.exported.Load() }

// Dropped returns how many spans were lost: they came faster than a collector took them, or none did.
func (t *Tracer) Dropped() uint64 { return t.spool.Lost() + t.dropped.Load() }

// Lane returns a way for the spans of one goroutine.
func (t *Tracer) Lane() *Lane { return &Lane{tracer: t, lane: t.spool.Lane()} }

// Lane is the way of the spans of one goroutine to the tracer.
type Lane struct {
	tracer *Tracer
	lane   *spool.Lane
}

// On says whether anything is traced.
func (l *Lane) On() bool { return l.tracer.config.Load() != nil }

// Begin returns the span of a request that came with that traceparent, which may be empty; false when nothing is told of it.
// A trace that goes through is told of if it is sampled; of the other requests, a share begins one.
func (l *Lane) Begin(traceparent []byte) (Span, bool) {
	c := l.tracer.config.Load()
	if c == nil {
		return Span{}, false
	}
	if from, ok := Parse(traceparent); ok {
		return Span{Context: from.Child(), Parent: from.Span}, from.Sampled
	}
	if rand.IntN(10_000) >= c.Share {
		return Span{}, false
	}
	return Span{Context: New()}, true
}

// Add tells of a request that has ended. It neither waits nor allocates, and keeps nothing of the entry.
func (l *Lane) Add(s *Span, e *accesslog.Entry) {
	b := l.lane.Begin()
	if b == nil {
		return
	}
	b.Bytes = binary.AppendUvarint(b.Bytes, uint64(len(e.Source)))
	b.Bytes = append(b.Bytes, e.Source...)
	at := len(b.Bytes)
	b.Bytes = appendSpan(append(b.Bytes, 0, 0, 0, 0), s, e)
	binary.BigEndian.PutUint32(b.Bytes[at:], uint32(len(b.Bytes)-at-4))
	b.Records++
	l.lane.End(b)
}

// batch is spans that are sent together: those of each source, one behind the other.
type batch struct {
	spans map[string][]byte
	count uint64
}

func (t *Tracer) take() *batch {
	b := &batch{spans: map[string][]byte{}}
	t.spool.Take(func(from *spool.Buffer) {
		b.count += uint64(from.Records)
		for p := from.Bytes; len(p) > 0; {
			n, k := binary.Uvarint(p)
			source := string(p[k : k+int(n)])
			p = p[k+int(n):]
			size := binary.BigEndian.Uint32(p)
			b.spans[source] = appendBytes(b.spans[source], scopeSpans, p[4:4+size])
			p = p[4+size:]
		}
	})
	return b
}

// The fields of trace.proto, resource.proto and trace_service.proto around the spans.
const (
	requestResources = 1
	resource         = 1
	resourceScopes   = 2
	resourceKeys     = 1
	scope            = 1
	scopeSpans       = 2
	scopeName        = 1
	scopeVersion     = 2
)

// request returns the message for a collector. Sources are services, as they would be if they told of their calls themselves.
func (b *batch) request(c *Config) []byte {
	var out []byte
	for _, source := range slices.Sorted(maps.Keys(b.spans)) {
		var keys, about []byte
		for _, kv := range [][2]string{{"service.name", source}, {"host.name", c.Host}} {
			value := appendString(nil, valueString, kv[1])
			pair := appendBytes(appendString(nil, keyName, kv[0]), keyValue, value)
			keys = appendBytes(keys, resourceKeys, pair)
		}
		about = appendString(appendString(nil, scopeName, "meshd"), scopeVersion, c.Version)
		scopes := append(appendBytes(nil, scope, about), b.spans[source]...)
		out = appendBytes(out, requestResources, appendBytes(appendBytes(nil, resource, keys), resourceScopes, scopes))
	}
	return out
}

func (t *Tracer) run(ctx context.Context) {
	defer close(t.ended)
	transport := &http.Transport{ // by none of the proxies that the environment may name
		DialContext:     (&net.Dialer{Timeout: callTimeout}).DialContext,
		MaxIdleConns:    1,
		IdleConnTimeout: time.Minute,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport, Timeout: callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for more := true; more; {
		more = t.spool.Wait(gather, t.done)
		t.send(ctx, client)
	}
}

// send tells the collector of what there is. It tries again while that may help.
func (t *Tracer) send(ctx context.Context, client *http.Client) {
	b, c := t.take(), t.config.Load()
	if b.count == 0 {
		return
	}
	if c == nil {
		t.dropped.Add(b.count)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastTry)
	defer cancel()
	body := b.request(c)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		rejected, err := t.call(ctx, client, c, body)
		if err == nil {
			rejected = min(rejected, b.count)
			t.dropped.Add(rejected)
			t.exported.Add(b.count - rejected)
			t.failure.Store(nil)
			return
		}
		if !t.pause(ctx, pause, err) {
			t.dropped.Add(b.count)
			t.failed(c, err)
			return
		}
	}
}

// failed remembers why spans do not get through, and logs it once.
func (t *Tracer) failed(c *Config, err error) {
	text := err.Error()
	if t.failure.Swap(&text) == nil {
		t.log.Warn("spans not exported", "endpoint", c.Endpoint, "error", err)
	}
}

// Failure returns why the last spans did not get through; empty when they did.
func (t *Tracer) Failure() string {
	if text := t.failure.Load(); text != nil {
		return *text
	}
	return ""
}

// busy is the error of a collector that wants to be asked again.
type busy struct {
	status string
	after  time.Duration // 0: it does not say when
}

func (e busy) Error() string { return "collector answers " + e.status }

// refusal is the error of a collector that does not want what it was sent.
type refusal struct{ status string }

func (e refusal) Error() string { return "collector answers " + e.status }

// pause waits before the next try; false when there is to be none.
func (t *Tracer) pause(ctx context.Context, pause time.Duration, err error) bool {
	if _, final := errors.AsType[refusal](err); final || ctx.Err() != nil {
		return false
	}
	pause = pause/2 + rand.N(pause/2+1)
	if b, ok := errors.AsType[busy](err); ok && b.after > 0 {
		pause = b.after
	}
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.done:
	case <-ctx.Done():
	}
	return false
}

// call sends a request once, and returns how many of its spans the collector did not take.
func (t *Tracer) call(ctx context.Context, client *http.Client, c *Config, body []byte) (rejected uint64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return 0, refusal{err.Error()}
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "meshd/"+c.Version)
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("call collector: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	switch response.StatusCode {
	case http.StatusOK:
		if err != nil {
			return 0, fmt.Errorf("read answer of collector: %w", err)
		}
		return rejectedSpans(answer), nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
		return 0, busy{response.Status, time.Duration(seconds) * time.Second}
	}
	return 0, refusal{response.Status}
}

// rejectedSpans returns what an ExportTraceServiceResponse says of a partial success.
func rejectedSpans(answer []byte) uint64 {
	partial, _ := field(answer, 1)
	_, n := field(partial, 1)
	return n
}

// field returns a field of a message: its bytes, or its number.
func field(message []byte, want protowire.Number) (value []byte, n uint64) {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil, 0
		}
		message = message[size:]
		if size = protowire.ConsumeFieldValue(number, kind, message); size < 0 {
			return nil, 0
		}
		if number == want {
			value, _ = protowire.ConsumeBytes(message)
			n, _ = protowire.ConsumeVarint(message)
			return value, n
		}
		message = message[size:]
	}
	return nil, 0
}
