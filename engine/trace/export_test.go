package trace

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a collector, that decodes by the real messages.
type backend struct {
	*httptest.Server
	got     chan *collector.ExportTraceServiceRequest
	status  atomic.Int32  // of its answers
	refused chan struct{} // a request was not taken
	reject  int64         // spans of each request
}

func newBackend(t *testing.T) *backend {
	b := &backend{got: make(chan *collector.ExportTraceServiceRequest, 100), refused: make(chan struct{}, 100)}
	b.status.Store(http.StatusOK)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || err != nil {
			t.Errorf("%s %s of %s: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
		}
		if status := int(b.status.Load()); status != http.StatusOK {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(status)
			b.refused <- struct{}{}
			return
		}
		request := &collector.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, request); err != nil {
			t.Errorf("a collector cannot read %q: %v", body, err)
		}
		if len(request.ProtoReflect().GetUnknown()) > 0 {
			t.Error("there is something unknown in the request")
		}
		answer := &collector.ExportTraceServiceResponse{}
		if b.reject > 0 {
			answer.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: b.reject, ErrorMessage: "no"}
		}
		out, err := proto.Marshal(answer)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(out)
		b.got <- request
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) config(share int) *Config {
	return &Config{Endpoint: b.URL, Share: share, Host: "app-1", Version: "1.2.3"}
}

func newTracer(t *testing.T, c *Config) (*Tracer, *Lane) {
	tracer := NewTracer(slog.New(slog.DiscardHandler))
	t.Cleanup(tracer.Close)
	tracer.Use(c)
	return tracer, tracer.Lane()
}

func sample() *accesslog.Entry {
	return &accesslog.Entry{
		Begun: time.Unix(1_700_000_000, 5), Duration: 1500 * time.Microsecond,
		Source: "web", Unit: "web.service", Protocol: "HTTP/1.1",
		Method: []byte("GET"), Authority: []byte("hello.mesh:8080"), Path: []byte("/a?b=c"),
		Destination: "hello", Route: `router "hello" route 1`,
		Endpoint: &mesh.Endpoint{Host: "app-2", Address: netip.MustParseAddrPort("10.0.0.22:8081")},
		Attempts: 1, Code: 200, GRPC: -1, Reason: mesh.ReasonDone, RequestID: []byte("id"),
	}
}

func attributes(all []*common.KeyValue) map[string]string {
	got := map[string]string{}
	for _, kv := range all {
		if n, ok := kv.Value.Value.(*common.AnyValue_IntValue); ok {
			got[kv.Key] = strconv.FormatInt(n.IntValue, 10)
			continue
		}
		got[kv.Key] = kv.Value.GetStringValue()
	}
	return got
}

// TestExport has a collector read what is told of two requests of different sources.
func TestExport(t *testing.T) {
	b := newBackend(t)
	tracer, lane := newTracer(t, b.config(10_000))
	first, ok := lane.Begin(nil)
	if !ok {
		t.Fatal("a request is not told of, of which all are")
	}
	lane.Add(&first, sample())
	second, ok := lane.Begin(first.Append(nil))
	if !ok {
		t.Fatal("a request of a trace is not told of")
	}
	failed := sample()
	failed.Source, failed.Method, failed.Path = "worker", []byte("BREW"), []byte("/\xff\xfe\xed\xa0\x80ü")
	failed.Code, failed.Reason, failed.Attempts, failed.GRPC = 503, mesh.ReasonNoEndpoint, 3, 14
	failed.Protocol, failed.Authority, failed.Endpoint = "HTTP/2", []byte("[::1]"), nil
	lane.Add(&second, failed)
	tracer.spool.Wake()

	got := <-b.got
	if len(got.ResourceSpans) != 2 {
		t.Fatalf("%d resources, want web and worker: %v", len(got.ResourceSpans), got)
	}
	spans := map[string]*otlp.Span{}
	for _, r := range got.ResourceSpans {
		about := attributes(r.Resource.Attributes)
		scope := r.ScopeSpans[0].Scope
		if about["host.name"] != "app-1" || scope.Name != "meshd" || scope.Version != "1.2.3" || len(r.ScopeSpans[0].Spans) != 1 {
			t.Errorf("resource %v, scope %v", about, scope)
		}
		spans[about["service.name"]] = r.ScopeSpans[0].Spans[0]
	}
	good, bad := spans["web"], spans["worker"]
	if good.Name != "GET" || good.Kind != otlp.Span_SPAN_KIND_CLIENT || good.Flags != 1 || good.Status.GetCode() != otlp.Status_STATUS_CODE_UNSET ||
		good.EndTimeUnixNano-good.StartTimeUnixNano != 1_500_000 || good.StartTimeUnixNano != 1_700_000_000_000_000_005 ||
		string(good.TraceId) != string(first.Trace[:]) || string(good.SpanId) != string(first.Span[:]) || len(good.ParentSpanId) != 0 {
		t.Errorf("span %v", good)
	}
	if string(bad.TraceId) != string(first.Trace[:]) || string(bad.ParentSpanId) != string(first.Span[:]) || string(bad.SpanId) != string(second.Span[:]) ||
		bad.Status.Code != otlp.Status_STATUS_CODE_ERROR || bad.Status.Message != "no-endpoint" || bad.Name != "_OTHER" {
		t.Errorf("span %v", bad)
	}
	wantAttributes(t, good, map[string]string{
		"http.request.method": "GET", "server.address": "hello.mesh", "server.port": "8080", "url.full": "http://hello.mesh:8080/a?b=c",
		"network.protocol.version": "1.1", "network.peer.address": "10.0.0.22", "network.peer.port": "8081", "http.response.status_code": "200",
		"peer.service": "hello", "meshd.route": `router "hello" route 1`, "meshd.unit": "web.service", "meshd.reason": "done", "meshd.request_id": "id",
	})
	wantAttributes(t, bad, map[string]string{
		"http.request.method": "_OTHER", "http.request.method_original": "BREW", "server.address": "[::1]", "server.port": "80",
		"url.full": "http://[::1]/\ufffd\ufffd\ufffd\ufffd\ufffdü", "network.protocol.version": "2", "http.response.status_code": "503",
		"http.request.resend_count": "2", "error.type": "no-endpoint", "rpc.system": "grpc", "rpc.grpc.status_code": "14",
		"peer.service": "hello", "meshd.route": `router "hello" route 1`, "meshd.unit": "web.service", "meshd.reason": "no-endpoint", "meshd.request_id": "id",
	})
}

func wantAttributes(t *testing.T, span *otlp.Span, want map[string]string) {
	t.Helper()
	got := attributes(span.Attributes)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("further attributes: %v", got)
	}
}

func TestSampling(t *testing.T) {
	tracer := NewTracer(slog.New(slog.DiscardHandler))
	defer tracer.Close()
	lane := tracer.Lane()
	sampled, not := New(), New()
	not.Sampled = false
	if _, ok := lane.Begin(sampled.Append(nil)); ok || lane.On() {
		t.Error("a request is told of to nobody")
	}
	tracer.Use(&Config{Endpoint: "http://127.0.0.1:1", Share: 100})
	begun := 0
	for range 100_000 {
		if _, ok := lane.Begin(nil); ok {
			begun++
		}
	}
	if begun < 700 || begun > 1300 {
		t.Errorf("%d of 100000 requests are told of, want 1 %%", begun)
	}
	if s, ok := lane.Begin(sampled.Append(nil)); !ok || s.Trace != sampled.Trace || s.Parent != sampled.Span {
		t.Errorf("a trace is not gone on with: %v", s)
	}
	tracer.Use(&Config{Endpoint: "http://127.0.0.1:1", Share: 10_000})
	if _, ok := lane.Begin(not.Append(nil)); ok {
		t.Error("a request is told of whose trace is not")
	}
	if _, ok := lane.Begin([]byte("00-nonsense")); !ok {
		t.Error("what is no trace keeps one from beginning")
	}
}

// TestRetry has a collector that is busy at first.
func TestRetry(t *testing.T) {
	b := newBackend(t)
	b.status.Store(http.StatusServiceUnavailable)
	tracer, lane := newTracer(t, b.config(10_000))
	span, _ := lane.Begin(nil)
	lane.Add(&span, sample())
	tracer.spool.Wake()
	<-b.refused
	b.status.Store(http.StatusOK)
	<-b.got
	tracer.Close()
	if tracer.Exported() != 1 || tracer.Dropped() != 0 || tracer.Failure() != "" {
		t.Errorf("%d spans exported, %d dropped, %q; want 1, 0", tracer.Exported(), tracer.Dropped(), tracer.Failure())
	}
}

func TestRefusedSpansAreDropped(t *testing.T) {
	b := newBackend(t)
	b.status.Store(http.StatusBadRequest)
	tracer, lane := newTracer(t, b.config(10_000))
	span, _ := lane.Begin(nil)
	lane.Add(&span, sample())
	tracer.Close()
	if len(b.refused) != 1 || tracer.Dropped() != 1 || tracer.Exported() != 0 || !strings.Contains(tracer.Failure(), "400 Bad Request") {
		t.Errorf("asked %d times, %d spans dropped, %q; want 1, 1", len(b.refused), tracer.Dropped(), tracer.Failure())
	}
}

func TestPartialSuccess(t *testing.T) {
	b := newBackend(t)
	b.reject = 2
	tracer, lane := newTracer(t, b.config(10_000))
	for range 5 {
		span, _ := lane.Begin(nil)
		lane.Add(&span, sample())
	}
	tracer.Close()
	if tracer.Exported() != 3 || tracer.Dropped() != 2 {
		t.Errorf("%d spans exported, %d dropped; want 3, 2", tracer.Exported(), tracer.Dropped())
	}
}

// TestDeadCollector adds spans while nobody takes them: they are bounded, and counted.
func TestDeadCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracer := NewTracer(slog.New(slog.DiscardHandler))
		tracer.Use(&Config{Endpoint: "http://127.0.0.1:1", Share: 10_000})
		lane, e := tracer.Lane(), sample()
		e.Path = []byte("/" + strings.Repeat("x", 4000))
		for range 200 { // 800 KB
			span, _ := lane.Begin(nil)
			lane.Add(&span, e)
		}
		if d := tracer.Dropped(); d < 40 || d > 150 { // as many again have room once the exporter has taken what there was
			t.Errorf("%d spans of 200 found no room, want 70 to 135", d)
		}
		tracer.Close()
		if tracer.Dropped() != 200 || tracer.Failure() == "" {
			t.Errorf("%d spans dropped for %q, want all 200", tracer.Dropped(), tracer.Failure())
		}
	})
}

// TestPauses goes by the clock of the bubble: a batch is given up after a minute, and the pauses grow until then.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			tries++
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		})}
		tracer := NewTracer(slog.New(slog.DiscardHandler))
		tracer.config.Store(&Config{Endpoint: "http://collector"})
		span := Span{Context: New()}
		tracer.Lane().Add(&span, sample())
		begun := time.Now()
		tracer.send(t.Context(), client)
		if took := time.Since(begun); took > lastTry || tries < 5 || tries > 10 {
			t.Errorf("%d tries in %v, want some in at most a minute", tries, took)
		}
		if tracer.Dropped() != 1 {
			t.Errorf("%d spans dropped, want 1", tracer.Dropped())
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAddDoesNotAllocate(t *testing.T) {
	tracer := NewTracer(slog.New(slog.DiscardHandler))
	tracer.config.Store(&Config{Share: 10_000})
	lane, e := tracer.Lane(), sample()
	add := func() {
		span, _ := lane.Begin(nil)
		lane.Add(&span, e)
	}
	for range 2 {
		for range 500 {
			add()
		}
		tracer.take()
	}
	if allocs := testing.AllocsPerRun(200, add); allocs != 0 {
		t.Errorf("%v allocations a span, want none", allocs)
	}
}
