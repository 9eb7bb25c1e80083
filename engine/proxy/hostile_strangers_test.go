package proxy

import (
	"strings"

	"github.com/meshd/meshd/engine/http1"
)

// strangers returns requests that are HTTP, and that a service which is hardened must not get from a stranger; and some that it
// gets, without what they claim.
func strangers() []hostile {
	all := each(noHead, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n"+smuggled,
		"X_A: b", "_: a", "a_: b", "A: b\r\n_a: b", "Content_Length: 5", "Transfer_Encoding: chunked", "Host_: b", "X_Forwarded_For: 1.2.3.4", "X-Forwarded_For: 1.2.3.4",
		"x_real_ip: a", "X_Request_ID: a", "X_Mesh_Source: a", "HTTP_HOST: b", "Connection: X_Forwarded_For", "Connection: x-forwarded-for", "Connection: close, X-Forwarded-Proto",
		"Connection: Forwarded", "Connection: keep-alive\r\nConnection: X-Real-IP", "Connection: ,,X-Request-ID,,", "Connection: \tX-FORWARDED-CLIENT-CERT", "Connection: x-mesh-a", "Connection: X-Meshd-Source",
		"Connection: traceparent", "Connection: a, TraceState", "X-Forwarded-For: a\r\nConnection: X-Forwarded-For",
		strings.TrimSuffix(strings.Repeat("A: b\r\n", http1.MaxStrangerFields), "\r\n"), "A: "+strings.Repeat("b", http1.MaxStrangerHead), strings.Repeat("A", http1.MaxStrangerHead)+": b")
	all = append(all, each(noHead, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"+smuggled, strings.Repeat("a", http1.MaxStrangerHead))...)
	all = append(all, each(noBody, chunkedPost+"5\r\nhello\r\n0\r\n%s: b\r\n\r\n"+smuggled,
		"X_A", "X-Forwarded-For", "x_forwarded_for", "Forwarded", "X-Real-IP", "X-Request-Id", "X-Mesh-A", "x-meshd_a", "X-Forwarded-Client-Cert", strings.Repeat("a", 1000)+"_")...)
	claims := "X-Forwarded-For: a\r\nForwarded: for=a\r\nX-Forwarded-Client-Cert: a\r\nX-Real-IP: a\r\n"
	return append(all, trickyRequests(1, inBody(claims), inBody("Connection: close, X-A\r\n"+claims), inBody("Forwarded: "+strings.Repeat("a", 15000)+"\r\n"),
		chunkedPost+"5\r\nhello\r\n0\r\nX-A: b_c\r\n\r\n", inBody("X-A: b_c\r\nCookie: a_b=c\r\n"))...)
}
