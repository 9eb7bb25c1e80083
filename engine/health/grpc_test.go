package health

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// serveGRPC serves HTTP/2 from the first byte.
func serveGRPC(t *testing.T, handler http.HandlerFunc) net.Listener {
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener
}

func TestAskGRPC(t *testing.T) {
	// What a server answers, by the name that it is asked for: a message, and the fields behind it.
	answers := map[string]struct {
		body    string
		trailer [2]string
		want    string
	}{
		"":         {"\x00\x00\x00\x00\x02\x08\x01", [2]string{"Grpc-Status", "0"}, ""},
		"torn":     {"\x00\x00\x00\x00\x03\x08\x01\x08", [2]string{"Grpc-Status", "0"}, "read the answer to the health check of gRPC: unexpected EOF"},
		"more":     {"\x00\x00\x00\x00\x04\x10\x07\x08\x01", [2]string{"Grpc-Status", "0"}, ""}, // a field of later days
		"shop.Bad": {"\x00\x00\x00\x00\x02\x08\x02", [2]string{"Grpc-Status", "0"}, "its health is NOT_SERVING"},
		"unset":    {"\x00\x00\x00\x00\x00", [2]string{"Grpc-Status", "0"}, "its health is UNKNOWN"},
		"odd":      {"\x00\x00\x00\x00\x02\x08\x09", [2]string{"Grpc-Status", "0"}, "its health is 9"},
		"unknown":  {"", [2]string{"Grpc-Status", "5"}, `the health check of gRPC is answered with grpc-status 5 ""`},
		"silent":   {"\x00\x00\x00\x00\x02\x08\x01", [2]string{"X", "0"}, "the answer to the health check of gRPC has no grpc-status"},
		"cut":      {"\x00\x00\x00\x00\x03\x08\x01", [2]string{"Grpc-Status", "0"}, "the answer to the health check of gRPC is not one whole message"},
		"packed":   {"\x01\x00\x00\x00\x02\x08\x01", [2]string{"Grpc-Status", "0"}, "the answer to the health check of gRPC is not one whole message"},
		"endless":  {string(make([]byte, 2*maxMessage)), [2]string{"Grpc-Status", "0"}, "the answer to the health check of gRPC has more than 4096 bytes"},
	}
	l := serveGRPC(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/2.0" || r.Method != http.MethodPost || r.URL.Path != "/grpc.health.v1.Health/Check" || r.Host != "hello" ||
			r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
			t.Errorf("request %s %s %s %v", r.Proto, r.Method, r.URL, r.Header)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		name := ""
		if len(body) > 5 {
			name = string(body[7:])
			if want := append([]byte{0, 0, 0, 0, byte(len(name) + 2), 0x0a, byte(len(name))}, name...); !bytes.Equal(body, want) {
				t.Errorf("message % x, want % x", body, want)
			}
		}
		answer := answers[name]
		w.Header().Set("Content-Type", "application/grpc")
		if answer.body == "" { // all in the head
			w.Header().Set(answer.trailer[0], answer.trailer[1])
			return
		}
		w.Header().Set("Trailer", answer.trailer[0])
		_, _ = io.WriteString(w, answer.body)
		w.Header().Set(answer.trailer[0], answer.trailer[1])
	})
	for name, answer := range answers {
		asked := target(mesh.CheckGRPC, "", l)
		asked.Check.Name = name
		if got := text(newAsker().ask(t.Context(), asked)); got != answer.want {
			t.Errorf("%q: %q, want %q", name, got, answer.want)
		}
	}
}

// TestAskGRPCOfAnother wants what speaks no gRPC to fail.
func TestAskGRPCOfAnother(t *testing.T) {
	asked := target(mesh.CheckGRPC, "", serveGRPC(t, func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }))
	if got := text(newAsker().ask(t.Context(), asked)); got != "the health check of gRPC is answered with 404 Not Found" {
		t.Errorf("error %q", got)
	}
	asked = target(mesh.CheckGRPC, "", serve(t, func(http.ResponseWriter, *http.Request) {}))
	if err := newAsker().ask(t.Context(), asked); err == nil {
		t.Error("a server of HTTP/1.1 passes")
	}
}
