package control

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Backend is what the socket shows and does.
//
// Reads are cheap, return copies that the server may reorder, and may be called from many goroutines at once.
type Backend interface {
	Status() Status
	Services() []Service
	Endpoints() []Endpoint
	Connections() []Connection
	// Check looks at what can change while meshd runs; it ends early with ctx.
	Check(ctx context.Context) []CheckResult
	// Reload applies the files, wholly or not at all. Its ctx ends with the server, not with the caller: half a
	// reload because somebody pressed ctrl-c would help nobody.
	Reload(ctx context.Context) ReloadResult
	// Switch turns capture off until it turns it on again. Then the kernel connects callers straight to endpoints.
	Switch(on bool) SwitchResult
}

// Config configures a Server.
type Config struct {
	Group int          // id of the group whose members may call; 0 or less: only root and meshd's own user may
	Log   *slog.Logger // nil: slog.Default()
}

// Server serves a Backend.
type Server struct {
	backend Backend
	rule    rule
	log     *slog.Logger

	running sync.RWMutex // each call holds it for reading; Serve takes it for good when it ends
}

// The bounds of the server. No call has a body, so the size of one has no bound of its own: it is refused.
const (
	maxOpen        = 64       // connections
	maxHeader      = 16 << 10 // bytes
	headerTimeout  = 5 * time.Second
	idleTimeout    = 30 * time.Second
	writeTimeout   = time.Minute // of the whole call, so that a check or reload can end
	closingTimeout = time.Second // for answers that are on their way when the server ends
)

// New returns a server of the backend.
func New(b Backend, c Config) *Server {
	s := &Server{backend: b, rule: rule{uid: uint32(os.Geteuid()), group: c.Group}, log: c.Log}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Serve answers calls until ctx ends, then closes the listener, waits for the calls that run and returns nil.
// A server serves once.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	srv := &http.Server{
		Handler:                      s.handler(ctx),
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		WriteTimeout:                 writeTimeout,
		MaxHeaderBytes:               maxHeader,
		ConnContext:                  withPeer,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		DisableGeneralOptionsHandler: true, // it would answer without looking at the peer
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(&peerListener{UnixListener: l, max: maxOpen}) }()

	var err error
	select {
	case err = <-served:
		err = fmt.Errorf("serve control socket %s: %w", l.Addr(), err)
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
		defer cancel()
		_ = srv.Shutdown(closing) // what is left after it is closed below
		<-served
	}
	srv.Close()
	s.running.Lock()
	return err
}

// access is what a call does, and so what it needs: the method, and whether it is logged with its caller.
type access string

const (
	reads   access = http.MethodGet
	changes access = http.MethodPost
)

// call is a path of the API.
type call struct {
	path      string
	access    access
	byService bool // it takes the query parameter service, the name of one
	answer    func(ctx context.Context, b Backend, service string) any
}

// calls is the whole API. Both kinds of access need the same membership: who may read sees every name, process and
// address of the host, and who may change can only make meshd read files that belong to root.
var calls = []call{
	{"/v1/status", reads, false, func(_ context.Context, b Backend, _ string) any { return b.Status().arranged() }},
	{"/v1/services", reads, false, func(_ context.Context, b Backend, _ string) any { return newServiceList(b.Services()) }},
	{"/v1/endpoints", reads, true, func(_ context.Context, b Backend, service string) any {
		return newEndpointList(b.Endpoints(), service)
	}},
	{"/v1/connections", reads, true, func(_ context.Context, b Backend, service string) any {
		return newConnectionList(b.Connections(), service)
	}},
	{"/v1/check", reads, false, func(ctx context.Context, b Backend, _ string) any { return NewCheckReport(b.Check(ctx)) }},
	{"/v1/disable", changes, false, func(_ context.Context, b Backend, _ string) any { return b.Switch(false).arranged() }},
	{"/v1/enable", changes, false, func(_ context.Context, b Backend, _ string) any { return b.Switch(true).arranged() }},
	{"/v1/reload", changes, false, func(ctx context.Context, b Backend, _ string) any { return b.Reload(ctx).arranged() }},
}

// handler returns the handler of all calls; life is the context of the ones that change something.
func (s *Server) handler(life context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.running.TryRLock() {
			return // the server has ended and the connection is closed
		}
		defer s.running.RUnlock()
		answer, refused := s.serve(life, r)
		status := http.StatusOK
		if refused != nil {
			refused.SchemaVersion = SchemaVersion
			answer, status = refused, refused.Status
			// What is left of a refused request is not worth reading.
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			s.log.Debug("control answer not delivered", "path", r.URL.Path, "error", err)
		}
	})
}

// serve checks a request and answers it.
func (s *Server) serve(life context.Context, r *http.Request) (any, *Error) {
	caller := peerOf(r.Context())
	if !s.rule.permits(caller) {
		s.log.Warn("control call denied", "path", r.URL.Path, "uid", caller.uid, "pid", caller.pid)
		return nil, s.rule.refuse(caller)
	}
	i := slices.IndexFunc(calls, func(c call) bool { return c.path == r.URL.Path })
	if i < 0 {
		return nil, refuse(http.StatusNotFound, "use the meshctl of the same version as meshd", "no call %s", r.URL.Path)
	}
	c := calls[i]
	if r.Method != string(c.access) {
		return nil, refuse(http.StatusMethodNotAllowed, "use "+string(c.access), "%s does not take %s", c.path, r.Method)
	}
	if r.ContentLength != 0 {
		return nil, refuse(http.StatusBadRequest, "send none", "%s takes no body", c.path)
	}
	query := r.URL.Query()
	for name, values := range query {
		if !c.byService || name != "service" || len(values) != 1 {
			return nil, refuse(http.StatusBadRequest, "leave it out", "%s does not take the parameter %q, or not twice", c.path, name)
		}
	}
	service := query.Get("service")
	if service != "" && !slices.ContainsFunc(s.backend.Services(), func(s Service) bool { return s.Name == service }) {
		// An empty list would hide the mistyped letter.
		return nil, refuse(http.StatusNotFound, "meshctl services lists them", "no service %q", service)
	}
	ctx := r.Context()
	if c.access == changes {
		s.log.Info("control verb called", "path", c.path, "uid", caller.uid, "pid", caller.pid)
		ctx = life
	}
	return c.answer(ctx, s.backend, service), nil
}

// refuse returns the error of a call that is not served.
func refuse(status int, hint, message string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(message, args...), Hint: hint}
}
