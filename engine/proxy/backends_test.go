package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// ledger is a server of the standard library that counts the whole requests which it was sent, and says in each answer which
// it was.
type ledger struct {
	at netip.AddrPort

	mu       sync.Mutex
	requests []string
}

func newLedger(t testing.TB) *ledger {
	t.Helper()
	l := &ledger{}
	l.at, _ = site(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it is not whole
		}
		l.mu.Lock()
		l.requests = append(l.requests, r.Method+" "+r.URL.Path)
		l.mu.Unlock()
		w.Header().Set("X-Ledger", "yes")
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	})
	return l
}

// take returns the requests since the last call.
func (l *ledger) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.requests
	l.requests = nil
	return taken
}

// reverseProxies are the servers that applications stand behind, each in front of another server. They take their listener as
// descriptor 3, and so nobody waits for them.
var reverseProxies = map[string]func(t testing.TB, listener, behind netip.AddrPort, log string) *exec.Cmd{
	"nginx":   nginx,
	"haproxy": haproxy,
}

// nginx hands a request on when it has all of it.
func nginx(t testing.TB, listener, behind netip.AddrPort, log string) *exec.Cmd {
	folder := t.TempDir()
	config := fmt.Sprintf(`
daemon off;
user root;
worker_processes 1;
pid %[1]s/pid;
error_log /dev/null crit;
events {}
http {
  log_format case ' $status $uri';
  access_log syslog:server=%[4]s,nohostname case;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000;
  upstream behind {
    server %[3]s;
    keepalive 4;
  }
  server {
    listen %[2]s;
    location / {
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_ignore_client_abort on; # a client that has ended its side has not gone away
    }
  }
}
`, folder, listener, behind, log)
	cmd := exec.Command("nginx", "-c", configure(t, folder, config))
	cmd.Env = append(os.Environ(), "NGINX=3;")
	return cmd
}

func haproxy(t testing.TB, _, behind netip.AddrPort, log string) *exec.Cmd {
	config := fmt.Sprintf(`
global
  log %s local0
  nbthread 1
defaults
  mode http
  log global
  log-format " %%ST %%HU"
  option http-buffer-request
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind fd@3
  default_backend behind
backend behind
  http-reuse always
  server ledger %s
`, log, behind)
	return exec.Command("haproxy", "-db", "-f", configure(t, t.TempDir(), config))
}

func configure(t testing.TB, folder, text string) string {
	t.Helper()
	path := filepath.Join(folder, "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startReverseProxy starts one of them, and returns where it listens and what it logs.
func startReverseProxy(t testing.TB, name string, behind netip.AddrPort) (netip.AddrPort, *logLines) {
	t.Helper()
	lines := listenLog(t)
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	cmd := reverseProxies[name](t, at, behind, lines.conn.LocalAddr().String())
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &output, &output, []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, &output)
		}
	})
	return at, lines
}

// logLines is a log by syslog, of one line for each request.
type logLines struct {
	conn  *net.UDPConn
	lines chan string
}

func listenLog(t testing.TB) *logLines {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l := &logLines{conn, make(chan string, 10000)}
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(l.lines)
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			l.lines <- string(buf[:n])
		}
	})
	t.Cleanup(func() {
		conn.Close()
		reader.Wait()
	})
	return l
}

// cutShort finds the lines of requests that did not come to their end.
var cutShort = regexp.MustCompile(` (400|499|-1) `)

// check wants the server to have logged all requests that it has answered, and no more than were sent to it.
func (l *logLines) check(t *testing.T, at netip.AddrPort, answered, sent int) {
	t.Helper()
	// It logs them in their order, and so this is the last one.
	response, err := http.Get(fmt.Sprintf("http://%s/the-end", at))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	whole, all := 0, 0
	for line := range l.lines {
		if strings.Contains(line, "/the-end") {
			break
		}
		if all++; !cutShort.MatchString(line) {
			whole++
		}
	}
	t.Logf("%d requests were logged, of which %d were answered; %d were answered, %d sent", all, whole, answered, sent)
	if whole < answered || all > sent {
		t.Errorf("the server has logged %d requests, %d of them answered, want between %d and %d", all, whole, answered, sent)
	}
}
