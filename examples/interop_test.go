package examples_test

import (
	"fmt"
	"testing"
)

// interopCases are those of the client that gRPC tests its implementations with which its server can answer over plain TCP.
var interopCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
	"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service", "rpc_soak", "channel_soak",
}

// TestGRPCInterop runs the cases through meshd, alone and with nginx and HAProxy in front of it.
func TestGRPCInterop(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python", "ws", "interop")
	one.start(t, "nginx-front.service")
	one.start(t, "haproxy-front.service")
	for _, at := range []struct{ name, host, port string }{
		{"client", "interop.mesh", "80"}, {"nginx-front", "127.0.0.1", "8093"}, {"haproxy-front", "127.0.0.1", "8094"},
	} {
		t.Run(at.name, func(t *testing.T) {
			for _, name := range interopCases {
				if at.name != "client" && name == "timeout_on_sleeping_server" {
					continue // the server resets the call a moment after the client's time is over, which both make a 502 of
				}
				output, code := one.try(t, "client.service", "/run/lab/build/tools/client", "-server_host", at.host, "-server_port", at.port, "-test_case", name,
					"-soak_per_iteration_max_acceptable_latency_ms", "60000", "-soak_overall_timeout_seconds", "60")
				if code != 0 {
					t.Errorf("%s: exit code %d\n%.2000s", name, code, output)
				}
			}
			for code, want := range map[string]float64{"2": 3, "12": 2} { // status_code_and_message has two calls
				series := fmt.Sprintf(`meshd_requests_total{code=%q,destination="interop",protocol="grpc",reason="done",source=%q}`, code, at.name)
				eventually(t, fmt.Sprintf("%v calls with status %s are counted", want, code), func() bool { return one.metric(t, series) == want })
			}
		})
	}
}
