package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/meshd/meshd/engine/mesh"
)

// The bounds of what is read of an answer.
const (
	maxHeader = 64 << 10
	maxBody   = 64 << 10
)

// asker makes the connections of checks. Nothing of them is used twice: a server that still serves the connections that
// it has, and accepts no new one, must not pass.
type asker struct {
	dialer net.Dialer
	client http.Client
	two    http.Client // of HTTP/2 from the first byte
}

func newAsker() *asker {
	a := &asker{dialer: net.Dialer{KeepAlive: -1}}
	a.dialer.SetMultipathTCP(false)
	a.client, a.two = a.over(nil), a.over(new(http.Protocols))
	a.two.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
	return a
}

// over returns a client that speaks some protocols; nil: those that are usual.
func (a *asker) over(protocols *http.Protocols) http.Client {
	return http.Client{
		Transport: &http.Transport{
			DialContext:            a.dialer.DialContext,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			Protocols:              protocols,
		},
		// A redirect is an answer. To follow it would have an endpoint send meshd anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (a *asker) ask(ctx context.Context, t *Target) error {
	switch t.Check.Kind {
	case mesh.CheckHTTP:
		return a.askHTTP(ctx, t)
	case mesh.CheckGRPC:
		return a.askGRPC(ctx, t)
	}
	conn, err := a.dialer.DialContext(ctx, "tcp", t.Endpoints[0].Address.String())
	if err != nil {
		return short(err)
	}
	return conn.Close()
}

// askHTTP wants a GET answered with 2xx or 3xx.
func (a *asker) askHTTP(ctx context.Context, t *Target) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.Endpoints[0].Address.String()+t.Check.Path, nil)
	if err != nil {
		return err
	}
	request.Host = t.Service
	request.Header.Set("User-Agent", "meshd")
	client := &a.client
	if t.Check.HTTP2 {
		client = &a.two
	}
	answer, err := client.Do(request)
	if err != nil {
		return short(err)
	}
	defer answer.Body.Close()
	// The status says it all; but a server whose answer is not read may log an error.
	_, _ = io.CopyN(io.Discard, answer.Body, maxBody)
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("GET %s is answered with %s", t.Check.Path, answer.Status)
	}
	return nil
}

// short leaves out of an error what stands beside it anyway: the address and the request.
func short(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}
