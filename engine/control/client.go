package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Sentinels of the client. The errors that wrap them name the cause and what to do next.
var (
	ErrNotReachable = errors.New("cannot reach meshd") // nothing listens on the socket
	ErrNoAnswer     = errors.New("meshd did not answer")
	ErrDenied       = errors.New("access to meshd denied")
)

// Is makes a refusal for want of permission an ErrDenied.
func (e *Error) Is(target error) bool { return target == ErrDenied && e.Status == http.StatusForbidden }

// maxAnswer bounds an answer, in bytes. MaxConnections need less than 8 MiB.
const maxAnswer = 64 << 20

// timeout is how long a call may take, so that a tool never hangs with a hung daemon.
func (a access) timeout() time.Duration {
	if a == changes {
		return 30 * time.Second
	}
	return 5 * time.Second
}

// Client calls the meshd of this host. It may be used from many goroutines.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client of the socket. It does not connect yet.
func NewClient(socketPath string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socketPath)
	}
	// A tool makes a call or two: idle connections would only take room on the daemon.
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	return &Client{path: socketPath, http: &http.Client{Transport: transport}}
}

// Status asks how meshd is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, reads, "/v1/status", nil)
}

// Services asks for all services.
func (c *Client) Services(ctx context.Context) (ServiceList, error) {
	return get[ServiceList](ctx, c, reads, "/v1/services", nil)
}

// Endpoints asks for the endpoints of a service, or of all services when the name is empty.
func (c *Client) Endpoints(ctx context.Context, service string) (EndpointList, error) {
	return get[EndpointList](ctx, c, reads, "/v1/endpoints", ofService(service))
}

// Connections asks for the open connections to a service, or to all services when the name is empty.
func (c *Client) Connections(ctx context.Context, service string) (ConnectionList, error) {
	return get[ConnectionList](ctx, c, reads, "/v1/connections", ofService(service))
}

// Routes asks for what becomes of requests to a service, or to all services that say something of it when the name is empty.
func (c *Client) Routes(ctx context.Context, service string) (RouteList, error) {
	return get[RouteList](ctx, c, reads, "/v1/routes", ofService(service))
}

// Explain asks what becomes of a connection or request.
func (c *Client) Explain(ctx context.Context, q Question) (Explanation, error) {
	return get[Explanation](ctx, c, reads, "/v1/explain", q.values())
}

// Check asks meshd to check itself.
func (c *Client) Check(ctx context.Context) (CheckReport, error) {
	return get[CheckReport](ctx, c, reads, "/v1/check", nil)
}

// Switch asks meshd to turn capture on or off.
func (c *Client) Switch(ctx context.Context, on bool) (SwitchResult, error) {
	path := "/v1/disable"
	if on {
		path = "/v1/enable"
	}
	return get[SwitchResult](ctx, c, changes, path, nil)
}

// Reload asks meshd to apply its files. A configuration that is refused is a result, not an error.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	return get[ReloadResult](ctx, c, changes, "/v1/reload", nil)
}

func ofService(name string) url.Values {
	if name == "" {
		return nil
	}
	return url.Values{"service": {name}}
}

// get makes a call and returns its document.
func get[T any](ctx context.Context, c *Client, a access, path string, query url.Values) (T, error) {
	var document T
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, a.timeout())
	defer cancel()
	target := url.URL{Scheme: "http", Host: "meshd", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, string(a), target.String(), nil)
	if err != nil {
		return document, fmt.Errorf("call meshd: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return document, c.explain(err, time.Since(start))
	}
	defer response.Body.Close()
	decoder := json.NewDecoder(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode != http.StatusOK {
		refused := &Error{Status: response.StatusCode}
		if err := decoder.Decode(refused); err != nil || refused.Message == "" {
			refused.Message = fmt.Sprintf("meshd at %s answered %s", c.path, response.Status)
			refused.Hint = "is it meshd? journalctl -u meshd -e"
		}
		return document, refused
	}
	if err := decoder.Decode(&document); err != nil {
		if late := ctx.Err(); late != nil {
			return document, c.explain(late, time.Since(start))
		}
		return document, fmt.Errorf("read answer of meshd at %s: %w: are the versions the same? meshctl version", c.path, err)
	}
	return document, nil
}

// explain turns an error of the socket, or the end of the time for a call, into one that says what to do.
func (c *Client) explain(err error, waited time.Duration) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the address that stands for the socket
	}
	dial, isDial := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w for %v: it hangs, or the host is overloaded; a meshd that hangs is dead to the kernel after 3s, and "+
			"callers then get what capture.fail says: journalctl -u meshd -e; systemctl restart meshd", ErrNoAnswer, waited.Round(time.Second))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s is for root and the members of its group: %s", ErrDenied, c.path, joinGroup)
	case isDial && dial.Op == "dial" && !dial.Timeout():
		cause := dial.Err
		if call, ok := errors.AsType[*os.SyscallError](err); ok {
			cause = call.Err
		}
		return fmt.Errorf("%w at %s (%w): is it running? systemctl status meshd; if it ran before, callers now get what "+
			"capture.fail says", ErrNotReachable, c.path, cause)
	}
	return fmt.Errorf("%w at %s (%w): does it hang, or did it just end? journalctl -u meshd -e", ErrNoAnswer, c.path, err)
}
