package control

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
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
	// Routes returns those of all services in which there is something to see, or of the one that is named.
	Routes(service string) []ServiceRoutes
	// Explain tells what becomes of a connection or request, or what is wrong with the question.
	Explain(Question) (Explanation, *Error)
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
	path   string
	access access
	takes  []string // query parameters; service is the name of one, and header may be there many times
	answer func(ctx context.Context, b Backend, query url.Values) (any, *Error)
}

// calls is the whole API. Both kinds of access need the same membership: who may read sees every name, process and
// address of the host, and who may change can only make meshd read files that belong to root.
var calls = []call{
	{"/v1/status", reads, nil, plain(func(_ context.Context, b Backend) any { return b.Status().arranged() })},
	{"/v1/services", reads, nil, plain(func(_ context.Context, b Backend) any { return newServiceList(b.Services()) })},
	{"/v1/endpoints", reads, byService, ofServices(func(b Backend, service string) any { return newEndpointList(b.Endpoints(), service) })},
	{"/v1/connections", reads, byService, ofServices(func(b Backend, service string) any { return newConnectionList(b.Connections(), service) })},
	{"/v1/routes", reads, byService, ofServices(func(b Backend, service string) any { return NewRouteList(b.Routes(service)) })},
	{"/v1/explain", reads, []string{"from", "to", "method", "url", "header", "draw"}, func(_ context.Context, b Backend, query url.Values) (any, *Error) {
		x, err := b.Explain(questionOf(query))
		return x.Arranged(), err
	}},
	{"/v1/check", reads, nil, plain(func(ctx context.Context, b Backend) any { return NewCheckReport(b.Check(ctx)) })},
	{"/v1/disable", changes, nil, plain(func(_ context.Context, b Backend) any { return b.Switch(false).arranged() })},
	{"/v1/enable", changes, nil, plain(func(_ context.Context, b Backend) any { return b.Switch(true).arranged() })},
	{"/v1/reload", changes, nil, plain(func(ctx context.Context, b Backend) any { return b.Reload(ctx).arranged() })},
}

var byService = []string{"service"}

// plain is the answer of a call without parameters.
func plain(answer func(context.Context, Backend) any) func(context.Context, Backend, url.Values) (any, *Error) {
	return func(ctx context.Context, b Backend, _ url.Values) (any, *Error) { return answer(ctx, b), nil }
}

// ofServices is the answer of a call about one service, which must exist, or about all.
func ofServices(answer func(b Backend, service string) any) func(context.Context, Backend, url.Values) (any, *Error) {
	return func(_ context.Context, b Backend, query url.Values) (any, *Error) {
		service := query.Get("service")
		if service != "" && !slices.ContainsFunc(b.Services(), func(s Service) bool { return s.Name == service }) {
			// An empty list would hide the mistyped letter.
			return nil, NoService(service)
		}
		return answer(b, service), nil
	}
}

// NoService is the error of a question about a service that does not exist.
func NoService(name string) *Error {
	return refuse(http.StatusNotFound, "meshctl services lists them", "no service %q", name)
}

func questionOf(query url.Values) Question {
	return Question{
		From: query.Get("from"), To: query.Get("to"), Method: query.Get("method"), URL: query.Get("url"), Headers: query["header"],
		Draw: query.Has("draw"),
	}
}

// values writes a question as questionOf reads it.
func (q Question) values() url.Values {
	values := url.Values{"from": {q.From}, "to": {q.To}}
	if q.Method != "" {
		values["method"], values["url"] = []string{q.Method}, []string{q.URL}
	}
	if len(q.Headers) > 0 {
		values["header"] = q.Headers
	}
	if q.Draw {
		values["draw"] = []string{"1"}
	}
	return values
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
		if !slices.Contains(c.takes, name) || len(values) != 1 && name != "header" {
			return nil, refuse(http.StatusBadRequest, "leave it out", "%s does not take the parameter %q, or not twice", c.path, name)
		}
	}
	ctx := r.Context()
	if c.access == changes {
		s.log.Info("control verb called", "path", c.path, "uid", caller.uid, "pid", caller.pid)
		ctx = life
	}
	return c.answer(ctx, s.backend, query)
}

// refuse returns the error of a call that is not served.
func refuse(status int, hint, message string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(message, args...), Hint: hint}
}
