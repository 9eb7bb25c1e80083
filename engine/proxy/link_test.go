package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// site2 is an HTTP server of the standard library that speaks HTTP/2 alone; it counts its connections.
func site2(t testing.TB, handle http.HandlerFunc) (at netip.AddrPort, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	s := httptest.NewUnstartedServer(handle)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String()), connections
}

// speaks makes the service one of that protocol.
func (r *rig) speaks(protocol mesh.Protocol, endpoints ...netip.AddrPort) {
	r.protocol = protocol
	r.publish(r.snapshots.Load().Version()+1, endpoints...)
}

// client returns a client of the standard library that speaks HTTP/1 or HTTP/2.
func (r *rig) client(two bool) *http.Client {
	transport := &http.Transport{DialContext: r.dialer(), Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetHTTP1(!two)
	transport.Protocols.SetUnencryptedHTTP2(two)
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// mixes runs a test for each mix of what a client and the endpoint speak.
func mixes(t *testing.T, handle http.HandlerFunc, test func(t *testing.T, r *rig, c *http.Client)) {
	for _, name := range []string{"1 to 1", "1 to 2", "2 to 1", "2 to 2"} {
		t.Run(name, func(t *testing.T) {
			protocol, start := mesh.HTTP, site
			if strings.HasSuffix(name, "2") {
				protocol, start = mesh.HTTP2, site2
			}
			at, _ := start(t, handle)
			r := newRig(t, func(c *Config) { c.Log = nil }) // a client may make more connections than the rig has room for records
			r.speaks(protocol, at)
			test(t, r, r.client(strings.HasPrefix(name, "2")))
		})
	}
}

// pattern is n bytes that differ from place to place.
func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i>>16) ^ byte(i>>8)*31 ^ byte(i)
	}
	return data
}

func TestMixes(t *testing.T) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h := w.Header()
		h.Set("X-Asked", fmt.Sprintf("%s %s %s %d:%s", r.Method, r.Host, r.RequestURI, len(body), r.Trailer.Get("X-Sum")))
		h["X-Twice"] = r.Header["X-Twice"]
		h.Set("X-Te", r.Header.Get("Te"))
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(204)
		case "/same":
			w.WriteHeader(304)
		case "/hints":
			h.Set("Link", "</a.css>")
			w.WriteHeader(103)
			fmt.Fprint(w, "hinted")
		case "/length":
			h.Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body)
		default:
			h.Set("Trailer", "X-Sum")
			w.WriteHeader(200)
			for rest := body; len(rest) > 0; {
				n := min(len(rest), 70_000)
				_, _ = w.Write(rest[:n])
				_ = http.NewResponseController(w).Flush()
				rest = rest[n:]
			}
			h.Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
		}
	}
	tests := []struct {
		method, path string
		body         []byte
		chunked      bool // and with a trailer
		status       int
	}{
		{"GET", "/a?b=c&d", nil, false, 200},
		{"HEAD", "/length", nil, false, 200},
		{"DELETE", "/none", nil, false, 204},
		{"GET", "/same", nil, false, 304},
		{"GET", "/hints", nil, false, 200},
		{"POST", "/", []byte("hello"), false, 200},
		{"POST", "/length", []byte("hello"), true, 200},
		{"PUT", "/", pattern(3 << 20), true, 200},
		{"PUT", "/length", pattern(3 << 20), false, 200},
	}
	mixes(t, handle, func(t *testing.T, r *rig, c *http.Client) {
		for _, test := range tests {
			var body io.Reader
			if test.body != nil {
				body = bytes.NewReader(test.body)
			}
			sum := ""
			request, err := http.NewRequestWithContext(t.Context(), test.method, "http://hello.mesh"+test.path, body)
			if err != nil {
				t.Fatal(err)
			}
			request.Header["X-Twice"] = []string{"one", "two"}
			request.Header.Set("Te", "trailers")
			if test.chunked {
				sum = "of " + test.path
				request.ContentLength, request.Body, request.Trailer = -1, io.NopCloser(body), http.Header{"X-Sum": {sum}}
			}
			hints := ""
			request = request.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
					hints = fmt.Sprint(code, h.Get("Link"))
					return nil
				},
			}))
			answer, err := c.Do(request)
			if err != nil {
				t.Fatalf("%s %s: %v", test.method, test.path, err)
			}
			got, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Errorf("%s %s: %v", test.method, test.path, err)
			}
			answer.Body.Close()
			h := answer.Header
			asked := fmt.Sprintf("%s hello.mesh %s %d:%s", test.method, test.path, len(test.body), sum)
			if answer.StatusCode != test.status || h.Get("X-Asked") != asked || fmt.Sprint(h["X-Twice"]) != "[one two]" || h.Get("X-Te") != "trailers" {
				t.Errorf("%s: got %d %v", asked, answer.StatusCode, h)
			}
			switch test.path {
			case "/hints":
				if hints != "103</a.css>" || string(got) != "hinted" {
					t.Errorf("%s: got %q after hints %q", asked, got, hints)
				}
				continue
			case "/none", "/same":
				continue
			case "/length":
				if test.method != "HEAD" && answer.ContentLength != int64(len(test.body)) {
					t.Errorf("%s: length %d", asked, answer.ContentLength)
				}
			default:
				if want := fmt.Sprintf("%x", sha256.Sum256(test.body)); answer.Trailer.Get("X-Sum") != want {
					t.Errorf("%s: trailers %v", asked, answer.Trailer)
				}
			}
			if !bytes.Equal(got, test.body) {
				t.Errorf("%s: got %d bytes, not those %d that were sent", asked, len(got), len(test.body))
			}
		}
	})
}

// TestManyStreams: many requests at once, each with its own answer.
func TestManyStreams(t *testing.T) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 has nothing else
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader(r.URL.Path), r.Body))
	}
	mixes(t, handle, func(t *testing.T, r *rig, c *http.Client) {
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				body := pattern(i * 300)
				answer, err := c.Post(fmt.Sprintf("http://hello.mesh/%d", i), "text/plain", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				got, err := io.ReadAll(answer.Body)
				if want := append(fmt.Appendf(nil, "/%d", i), body...); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d: got %d bytes, %v; want %d", i, len(got), err, len(want))
				}
			})
		}
		all.Wait()
	})
}
