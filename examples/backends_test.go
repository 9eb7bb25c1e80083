package examples_test

import (
	"fmt"
	"strings"
	"testing"
)

// nginxCalls and haproxyCalls are what curl asks of the units nginx.service and haproxy.service.
var nginxCalls = []curlCall{
	{"/", "200"},
	{"/small.txt", "200"},
	{"/small.txt -I", "200"},
	{"/large", "200"},
	{"/large -r 1000000-2000000", "206"},
	{"/large -r 0-9,100-109", "206"},
	{"/large -r 9000000-", "416"},
	{"/small.txt -H If-None-Match:*", "304"},
	{"/gzip/text.txt --compressed", "200"},
	{"/gzip/text.txt -H Accept-Encoding:gzip", "200"},
	{"/gzip/text.txt", "200"},
	{"/dir", "301"},
	{"/dir/", "403"},
	{"/none", "404"},
	{"/small.txt -d a=1", "405"},
	{"/small.txt -X TRACE", "405"},
	{"/put/a -T /tmp/large", "100 201"},
	{"/put/a -T /tmp/large", "100 204"},
	{"/put/a", "200"},
	{"/put/b -T - -H Expect:", "201"},
	{"/put/a -X DELETE", "204"},
	{"/put/b -X DELETE", "204"},
	{"/small/x -T /tmp/large", "413"},
	{"/small/x -T /tmp/large -H Transfer-Encoding:chunked", "100 413"},
	{"/close", "200"},
	{"/ -H Connection:close", "200"},
	{"/ -0", "200"},
}

var haproxyCalls = []curlCall{
	{"/", "200"},
	{"/ -I", "200"},
	{"/return -d a=1", "418"},
	{"/return -X PURGE", "418"},
	{"/deny", "403"},
	{"/redirect", "303"},
	{"/tarpit", "500"},
	{"/small.txt", "200"},
	{"/large", "200"},
	{"/large -r 1000000-2000000", "206"},
	{"/gzip/text.txt --compressed", "200"},
	{"/put/a -T /tmp/large", "100 201"},
	{"/put/a", "200"},
	{"/put/a -X DELETE", "204"},
	{"/none", "404"},
	{"/nothing", "502"},
	{"/ -0", "200"},
}

// startBackends starts nginx and HAProxy with what nginxCalls and haproxyCalls ask for.
func startBackends(t *testing.T, two host) {
	t.Helper()
	two.run(t, "", "sh", "-c", `mkdir -p /tmp/www/dir /tmp/www/put && cd /tmp/www && chmod 777 put &&
		echo small >small.txt && seq 20000 >text.txt && head -c 8000000 /dev/urandom >large`)
	two.start(t, "nginx.service")
	two.start(t, "haproxy.service")
}

// TestHTTPBackends has nginx and HAProxy behind meshd: what they answer, and what becomes of the connections that they close.
func TestHTTPBackends(t *testing.T) {
	t.Parallel()
	one, two := startWeb(t)
	startBackends(t, two)
	one.compare(t, "nginx", nginxCalls)
	one.compare(t, "haproxy", haproxyCalls)

	// Of this nginx says nothing but the end of the connection.
	answer := one.run(t, "client.service", "curl", "-sSi", "http://nginx.mesh/nothing")
	if !strings.HasPrefix(answer, "HTTP/1.1 502 ") || !strings.HasSuffix(answer, "endpoint-reset") {
		t.Errorf("an end in the place of an answer is answered with:\n%s", answer)
	}
	// Connections of the pool end all the time, here after seven requests, and no client sees anything of it.
	for _, url := range []string{"http://nginx.mesh/", "http://nginx.mesh/small.txt", "http://haproxy.mesh/", "http://haproxy.mesh/small.txt"} {
		for _, pipelined := range []string{"1", "8"} {
			output := one.run(t, "client.service", "h2load", "--h1", "-n", "2000", "-c", "8", "-m", pipelined, url)
			if !strings.Contains(output, "2000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(output, "2000 2xx, ") {
				t.Errorf("%s, with %s requests at once on a connection:\n%s", url, pipelined, output)
			}
		}
	}
}

// TestHTTPFronts has nginx and HAProxy call services as what they are: proxies that keep their connections.
func TestHTTPFronts(t *testing.T) {
	t.Parallel()
	one, _ := startWeb(t, "python", "ws")
	one.start(t, "nginx-front.service") // they ask for names when they start
	one.start(t, "haproxy-front.service")
	for front, address := range map[string]string{"nginx-front": "127.0.0.1:8091", "haproxy-front": "127.0.0.1:8092"} {
		t.Run(front, func(t *testing.T) {
			one.wantOK(t, "/usr/bin/python3", "/srv/lab/http_client.py", address)
			one.wantOK(t, "/usr/bin/node", "/srv/lab/http_client.js", address)
			one.wantOK(t, "/usr/bin/python3", "/srv/lab/events_client.py", address, front)
			one.wantOK(t, "/usr/bin/node", "/srv/lab/events_client.js", address, front)
			one.wantOK(t, "/usr/bin/python3", "/srv/lab/websocket_client.py", "ws://"+address+"/socket", "orders")
			one.wantOK(t, "/usr/bin/node", "/srv/lab/websocket_client.js", "ws://"+address+"/socket", "orders")
			const calls = 2000
			before := one.metric(t, fmt.Sprintf("meshd_connections_opened_total{destination=\"python\",source=%q}", front))
			output := one.run(t, "client.service", "h2load", "--h1", "-n", fmt.Sprint(calls), "-c", "8", "http://"+address+"/")
			if !strings.Contains(output, "2000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(output, "2000 2xx, ") {
				t.Errorf("many requests:\n%s", output)
			}
			opened := one.metric(t, fmt.Sprintf("meshd_connections_opened_total{destination=\"python\",source=%q}", front)) - before
			if opened > calls/10 {
				t.Errorf("%d requests took %v connections to meshd", calls, opened)
			}
			if n := one.answered(t, front, "python"); n < calls {
				t.Errorf("%d requests were answered", n)
			}
		})
	}
}
