package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// virtual is what clients of the test dial: the virtual address of the service "hello".
var virtual = netip.MustParseAddrPort("244.0.0.1:80")

// rig is an Outbound with what it needs: a mesh, a kernel that is told what each client dialled, and the log.
type rig struct {
	*Outbound
	t         testing.TB
	at        netip.AddrPort // where it listens
	snapshots snapshot.Store
	metrics   *observe.Metrics
	flows     sync.Map // client address → chan result
	records   chan map[string]slog.Value
	stop      context.CancelFunc // ends Serve
	protocol  mesh.Protocol      // of the service
	dialled   atomic.Uint64      // connections of clients
}

type result struct {
	flow mesh.Flow
	err  error
}

// newRig serves a mesh whose service "hello" has the endpoints.
func newRig(t testing.TB, change func(*Config), endpoints ...netip.AddrPort) *rig {
	t.Helper()
	r := &rig{
		t: t, protocol: mesh.TCP, metrics: observe.New(observe.Build{}),
		records: make(chan map[string]slog.Value, 1000),
	}
	r.publish(1, endpoints...)
	config := Config{
		Redirector: r, Workloads: r, Snapshots: &r.snapshots, Metrics: r.metrics,
		Log: slog.New(&recorder{records: r.records}),
	}
	if change != nil {
		change(&config)
	}
	var err error
	if r.Outbound, err = New(config); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r.at = l.Addr().(*net.TCPAddr).AddrPort()
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	var serve sync.WaitGroup
	serve.Go(func() {
		if err := r.Serve(ctx, l); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		serve.Wait()
		l.Close()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = r.Drain(now)
	})
	r.eventually("there are loops", func() bool { return len(r.current()) > 0 }) // inLoops would have nobody do anything
	return r
}

// publish makes a new snapshot current.
func (r *rig) publish(version uint64, endpoints ...netip.AddrPort) {
	hello := mesh.Service{Name: "hello", Port: virtual.Port(), Virtual4: virtual.Addr(), Balancing: mesh.RoundRobin, Protocol: r.protocol}
	for _, at := range endpoints {
		hello.Endpoints = append(hello.Endpoints, mesh.Endpoint{Host: "app-2", Address: at, Weight: 1})
	}
	r.snapshots.Swap(snapshot.Build(snapshot.Input{
		Version:  version,
		Catalog:  mesh.Catalog{Services: []mesh.Service{hello}},
		Host:     mesh.Host{Name: "app-1"},
		Previous: r.snapshots.Load(),
	}))
}

var _ Redirector = (*rig)(nil)

// Flow waits until the test has told what the client dialled.
func (r *rig) Flow(_, client netip.AddrPort) (mesh.Flow, error) {
	got := <-r.told(client)
	return got.flow, got.err
}

func (r *rig) told(client netip.AddrPort) chan result {
	ch, _ := r.flows.LoadOrStore(client, make(chan result, 1))
	return ch.(chan result)
}

var _ Workloads = (*rig)(nil)

func (r *rig) Caller(flow mesh.Flow) (mesh.Caller, bool) {
	switch flow.UID {
	case faulty:
		panic("a fault of the test")
	case vanished:
		return mesh.Caller{}, false
	case quiet:
		return mesh.Caller{Unit: "quiet.service"}, true
	}
	return mesh.Caller{Service: "web", Unit: "web.service"}, true
}

// The users of whom Caller knows something special.
const (
	faulty   = 666 // it panics
	vanished = 404 // it cannot tell who that was
	quiet    = 1   // another unit than that of all others
)

// dial connects a client and tells the rig what it dialled.
func (r *rig) dial(dst netip.AddrPort) *net.TCPConn {
	return r.dialWith(result{flow: mesh.Flow{Destination: dst, PID: 42, UID: 1000}})
}

// dialer connects clients of the standard library.
func (r *rig) dialer() func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return r.dial(virtual), nil }
}

func (r *rig) dialWith(told result) *net.TCPConn {
	r.t.Helper()
	client, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(r.at))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { client.Close() })
	r.dialled.Add(1)
	r.told(client.LocalAddr().(*net.TCPAddr).AddrPort()) <- told
	return client
}

// logged returns the next log record with that message.
func (r *rig) logged(message string) map[string]slog.Value {
	for record := range r.records {
		if record[slog.MessageKey].String() == message {
			return record
		}
	}
	return nil
}

// wantEnd waits for the next end of a connection and checks its reason.
func (r *rig) wantEnd(reason mesh.Reason) map[string]slog.Value {
	r.t.Helper()
	record := r.logged("connection closed")
	if got := record["reason"].String(); got != string(reason) {
		r.t.Errorf("connection ended by %s, want %s: %v", got, reason, record)
	}
	return record
}

// page returns what /metrics shows.
func (r *rig) page() string {
	recorder := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "http://localhost/metrics", nil))
	return recorder.Body.String()
}

func (r *rig) wantMetric(series string) {
	r.t.Helper()
	if !strings.Contains(r.page(), series+"\n") {
		r.t.Errorf("metrics do not show %s", series)
	}
}

// eventually waits until a condition holds that nothing announces.
func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited in vain until %s", what)
		}
		runtime.Gosched()
	}
}

// recorder is a log handler that sends every record to a channel.
type recorder struct {
	records chan map[string]slog.Value
}

func (h *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (h *recorder) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *recorder) WithGroup(string) slog.Handler            { return h }

func (h *recorder) Handle(_ context.Context, record slog.Record) error {
	attrs := map[string]slog.Value{slog.MessageKey: slog.StringValue(record.Message)}
	record.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value
		return true
	})
	h.records <- attrs
	return nil
}

// endpoint serves each of its connections with handle, which must return when the peer is gone.
func endpoint(t testing.TB, handle func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	// Cleanups run in reverse: the proxy, made later, has ended its connections by then.
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// accepting is an endpoint whose connections the test itself plays.
func accepting(t testing.TB) (at netip.AddrPort, conns <-chan *net.TCPConn) {
	ch := make(chan *net.TCPConn)
	done := make(chan struct{})
	at = endpoint(t, func(conn *net.TCPConn) {
		select {
		case ch <- conn:
			<-done
		case <-done:
		}
	})
	t.Cleanup(func() { close(done) })
	return at, ch
}

// echo sends back what comes, and its end.
func echo(conn *net.TCPConn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// bound returns a socket that is bound to a free port but does not listen: connects to it are refused.
func bound(t testing.TB) (fd int, at netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	local := name.(*unix.SockaddrInet4)
	return fd, netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port))
}

// dead is an endpoint that refuses connections.
func dead(t testing.TB) netip.AddrPort {
	_, at := bound(t)
	return at
}

// silent is an endpoint that answers no connect: its queue is full.
func silent(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, at := bound(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	first, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Close() })
	return at
}

func send(t testing.TB, to io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, from io.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(from, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v; want %q", got, err, text)
	}
}

func wantEOF(t testing.TB, from io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(from); err != nil || len(rest) > 0 {
		t.Errorf("read %q, %v; want the end of the stream", rest, err)
	}
}

func wantReset(t testing.TB, from io.Reader) {
	t.Helper()
	if _, err := io.Copy(io.Discard, from); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

// reset closes one side with RST instead of FIN.
func reset(side *net.TCPConn) {
	_ = side.SetLinger(0)
	_ = side.Close()
}

// isReset says whether the peer of side has reset it, whatever is still to be read from it.
func isReset(side *net.TCPConn) bool {
	raw, err := side.SyscallConn()
	if err != nil {
		return true
	}
	const tcpClose = 7 // TCP_CLOSE of the kernel's tcp_states.h
	var info *unix.TCPInfo
	var infoErr error
	err = raw.Control(func(fd uintptr) {
		info, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	return errors.Join(err, infoErr) != nil || info.State == tcpClose
}

// inLoops has each loop call f.
func (r *rig) inLoops(f func(*loop)) {
	for _, l := range r.current() {
		done := make(chan struct{})
		l.do(func() {
			f(l)
			close(done)
		})
		<-done
	}
}
