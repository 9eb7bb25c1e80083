package examples_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var fairRequests = flag.Int("quiet", 300, "how many requests are made to a service while another one is flooded in one way")

// fairServices are a service that is flooded and one that is not, each with an endpoint of its own. Behind the flooded one are two more:
// hello, whose nginx is not what a flood waits for, and one with a limit.
const fairServices = `service "limited" {
  port                    = 7100
  protocol                = "http"
  max_concurrent_requests = 4
  endpoint {
    host = "app-2"
    port = 7003
  }
}
service "flood" {
  port     = 7000
  protocol = "http"
  endpoint {
    host = "app-2"
    port = 7001
  }
}
service "quiet" {
  port     = 7000
  protocol = "http"
  endpoint {
    host = "app-2"
    port = 7002
  }
}
router "flood" {
  route {
    match {
      path_exact = "/"
    }
    destination {
      service = "hello"
    }
  }
  route {
    match {
      path_exact = "/limited"
    }
    destination {
      service = "limited"
    }
  }
  route {
    match {
      path_prefix = "/retried/"
    }
    destination {
      retry {
        attempts = 3
        on       = ["503"]
      }
    }
  }
}
`

// fairHAProxy is HAProxy with the same services, at ports of loopback.
const fairHAProxy = `global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend stats
  bind 127.0.0.1:7303
  stats enable
  stats uri /
listen flood
  bind 127.0.0.1:7301
  http-reuse always
  retry-on 503
  retries 3
  use_backend page if { path / }
  server one %[1]s:7001
backend page
  http-reuse always
  server one %[1]s:8080
listen quiet
  bind 127.0.0.1:7302
  http-reuse always
  server one %[1]s:7002
`

// flooding is a way to keep a service busy.
type flooding struct {
	name        string
	mood        string
	path        string
	connections int
	stuck       int // further connections, whose clients read nothing
	turns       int // how often a proxy has to work on one connection for one request
}

var floodings = []flooding{
	{"many connections", "", "/", 256, 0, 1},
	{"more than its limit", "", "/limited", 256, 0, 1},
	{"large answers", "", "/large", 32, 0, largeAnswer / (64 << 10)},
	{"readers that stall", "", "/", 64, 200, 1},
	{"retries", "busy=90", "/retried/flood", 256, 0, 1},
}

// unfair is how many times more the turns of one connection of a flood may be than those of one connection to a quiet service.
const unfair = 16

// TestFairness floods a service while another one is asked on one connection, one request after the other. None of these may fail, and
// between two of them each connection of the flood may have its turn, and not many. HAProxy shows what is usual in latency; the machine
// is as busy with the clients and endpoints of the flood.
func TestFairness(t *testing.T) {
	t.Parallel()
	one, two := newLab(t)
	one.write(t, moreFile, fairServices)
	one.edit(t, servicesFile, "service \"hello\" {\n  port = 80\n", "service \"hello\" {\n  port = 80\n  protocol = \"http\"\n")
	one.startMeshd(t)
	flooded := two.startBackend(t, 7001)
	two.startBackend(t, 7002)
	two.startBackend(t, 7003)
	one.write(t, "/run/fair.cfg", fmt.Sprintf(fairHAProxy, two.Addresses()[0]))
	one.background(t, "haproxy", "-db", "-f", "/run/fair.cfg")
	if err := one.WaitListening(t.Context(), 7302); err != nil {
		t.Fatal(err)
	}
	ask := plan{1, "GET,PUT", "/quiet"}
	requests := func(parts ...string) float64 { return one.counted(t, append(parts, "meshd_requests_total{")...) }
	const ofQuiet = `destination="quiet"`
	inFlood := func() int { return int(requests() - requests(ofQuiet)) }

	address := one.virtual(t, "quiet", 4) + ":7000"
	t.Logf("no flood: %s", one.startRequests(t, address, *fairRequests, ask).end(t)[0])
	for _, f := range floodings {
		flooded.tell(t, f.mood)
		before := inFlood()
		end := one.flood(t, one.virtual(t, "flood", 4)+":7000", f)
		eventually(t, "the flood is there", func() bool { return inFlood() > before+f.connections })
		before = inFlood()
		r := one.startRequests(t, address, *fairRequests, ask).end(t)[0]
		turns := (inFlood() - before) * f.turns / f.connections
		t.Logf("%s, %s/s: for %d turns of each connection %s", f.name, end(), turns, r)
		if len(r.Failures) > 0 {
			t.Errorf("%s: %d requests failed: %.3v", f.name, len(r.Failures), r.Failures)
		}
		if r.all()*unfair < turns {
			t.Errorf("%s: in %d turns of each connection of the flood the quiet service had %d", f.name, turns, r.all())
		}
		before = one.floodOfHAProxy(t)
		end = one.flood(t, "127.0.0.1:7301", f)
		eventually(t, "the flood of HAProxy is there", func() bool { return one.floodOfHAProxy(t) > before+f.connections })
		r = one.startRequests(t, "127.0.0.1:7302", *fairRequests, ask).end(t)[0]
		t.Logf("%s, %s/s, by HAProxy: %s", f.name, end(), r)
	}
	if all, answered := requests(ofQuiet), requests(ofQuiet, `code="200"`, `reason="done"`); all != answered {
		t.Errorf("of %v requests to the quiet service %v were answered", all, answered)
	}
}

// flood keeps a service busy until the end that it returns, which says how many requests a second that were.
func (h host) flood(t *testing.T, address string, f flooding) (end func() string) {
	t.Helper()
	const unit = "flooder.service" // not the one of the quiet service's clients
	var said bytes.Buffer
	wrk := h.Command(t.Context(), unit, "wrk", "-t", "2", "-c", strconv.Itoa(f.connections), "-d", "10m", "http://"+address+f.path)
	wrk.Stdout = &said
	stuck := h.Command(t.Context(), unit, self, "client", "stall", address, strconv.Itoa(f.stuck))
	stdin, err := stuck.StdinPipe()
	if err == nil {
		err = errors.Join(wrk.Start(), stuck.Start())
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		stdin.Close()
		if err := errors.Join(wrk.Process.Signal(os.Interrupt), wrk.Wait(), stuck.Wait()); err != nil {
			t.Errorf("the flood ended with %v", err)
		}
		_, rate, _ := strings.Cut(said.String(), "Requests/sec:")
		rate, _, _ = strings.Cut(strings.TrimSpace(rate), "\n")
		return rate
	}
}

// floodOfHAProxy returns how many requests HAProxy has had to the flooded service.
func (h host) floodOfHAProxy(t *testing.T) int {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(h.run(t, "", "curl", "-sS", "--fail", "http://127.0.0.1:7303/;csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	total := slices.Index(rows[0], "req_tot")
	for _, row := range rows {
		if row[0] == "flood" && row[1] == "FRONTEND" {
			return int(numberOf(row[total]))
		}
	}
	t.Fatal("HAProxy has no statistics of the flood")
	return 0
}

// stall is the program of readers that ask for much, and read none of it.
func stall(address, connections string) error {
	n, err := strconv.Atoi(connections)
	if err != nil {
		return err
	}
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: flood.mesh\r\n\r\n"); err != nil {
			return err
		}
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
