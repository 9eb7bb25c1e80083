package examples_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	ledgerKills    = flag.Int("kills", 6, "how often an endpoint is killed while its clients make requests")
	ledgerRequests = flag.Int("requests", 10_000, "how many requests each kind of client makes meanwhile at least")
)

// ledgerService has three endpoints. What fails is sent again below /retried/, and nowhere else.
const ledgerService = `service "ledger" {
  port     = 7000
  protocol = "http"
  endpoint {
    host = "app-2"
    port = 7001
  }
  endpoint {
    host = "app-2"
    port = 7002
  }
  endpoint {
    host = "app-2"
    port = 7003
  }
}
router "ledger" {
  route {
    match {
      path_prefix = "/retried/"
    }
    destination {
      retry {
        attempts = 3
        on       = ["connect-failure", "reset", "503"]
      }
    }
  }
}
resolver "ledger" {
  outlier_detection {
    base_ejection_time = "1s"
    max_ejection_time  = "1s"
    interval           = "1s"
  }
}
`

var ledgerPorts = []uint16{7001, 7002, 7003}

// Who follows the first plan is never more than the budget of retries has room for.
var (
	retriedPlan = plan{3, "GET,PUT", "/retried"}
	oncePlan    = plan{4, "GET,PUT,DELETE", "/once"}
	postPlan    = plan{4, "POST", "/post"}
)

// deaths are how endpoints end in turn: in the middle of everything, or with one request for such a path that is completed and not
// answered.
var deaths = []string{"", retriedPlan.prefix, postPlan.prefix}

// kill is an end of an endpoint.
type kill struct{ began, back time.Time }

// TestLedger kills endpoints under load and starts them again. In the end the books of clients and endpoints are compared: nothing
// may be lost that is sent again, nothing mixed up, and nothing done twice but what may be.
func TestLedger(t *testing.T) {
	t.Parallel()
	one, two := newLab(t)
	one.write(t, moreFile, ledgerService)
	one.startMeshd(t)
	running := make([]*runningBackend, len(ledgerPorts))
	for i, port := range ledgerPorts {
		running[i] = two.startBackend(t, port)
	}
	all := append([]*runningBackend(nil), running...)
	plans := []plan{retriedPlan, oncePlan, postPlan}
	clients := one.startRequests(t, one.virtual(t, "ledger", 4)+":7000", *ledgerRequests, plans...)
	var kills []kill
	for n := range *ledgerKills {
		// Those that live must have work to do, before and after.
		for _, b := range running {
			size := b.size(t)
			eventually(t, fmt.Sprintf("the endpoint with port %d has completed requests", b.port), func() bool { return b.size(t) > size+10_000 })
		}
		i := n % len(running)
		k := kill{began: time.Now()}
		if path := deaths[(n+n/len(deaths))%len(deaths)]; path == "" {
			running[i].kill()
		} else {
			running[i].killBy(t, path)
		}
		other := running[(i+1)%len(running)]
		size := other.size(t)
		eventually(t, "the others go on", func() bool { return other.size(t) > size+10_000 })
		running[i] = two.startBackend(t, running[i].port)
		k.back = time.Now()
		kills, all = append(kills, k), append(all, running[i])
	}
	reports := clients.end(t)

	b := newBooks(t, all)
	retries := one.metric(t, `meshd_request_retries_total{destination="ledger",source="web"}`)
	repeated := one.metric(t, `meshd_pool_events_total{destination="ledger",event="repeated",source="web"}`)
	t.Logf("%d kills, %v retries, %v repeated; %d done twice", len(kills), retries, repeated, b.doubled())
	made := 0
	for i, p := range plans {
		t.Logf("%s: %s", p, reports[i])
		made += reports[i].all()
		b.compare(t, p, reports[i])
		wantOnlyInFlight(t, reports[i], kills, p.workers)
	}
	if n := len(reports[0].Failures); n > 0 {
		t.Errorf("%d requests are lost although they were to be sent again: %.5v", n, reports[0].Failures)
	}
	if retries == 0 {
		t.Error("no request was sent again")
	}
	if least := len(kills) / len(deaths); b.doubled() < least {
		t.Errorf("%d requests were done twice, and the endpoint has died with at least %d that were completed", b.doubled(), least)
	}
	if most := len(kills) * (retriedPlan.workers + oncePlan.workers); b.doubled() > most {
		t.Errorf("%d requests were done twice, and at most %d were on their way when an endpoint died", b.doubled(), most)
	}
	if float64(b.begun) > float64(made)+retries+repeated {
		t.Errorf("the endpoints have begun %d requests, but of %d meshd says that it has sent %v again", b.begun, made, retries+repeated)
	}
	if n := one.counted(t, `meshd_requests_total{`, `destination="ledger"`); n != float64(made) {
		t.Errorf("meshd has counted %v requests, the clients have made %d", n, made)
	}
}

// wantOnlyInFlight wants failures of requests that were on their way when an endpoint was killed, and of no more than could be.
func wantOnlyInFlight(t *testing.T, r planReport, kills []kill, workers int) {
	t.Helper()
	if len(r.Failures) > len(kills)*workers {
		t.Errorf("%d kills, %d clients, %d failures", len(kills), workers, len(r.Failures))
	}
	for _, f := range r.Failures {
		during := false
		for _, k := range kills {
			during = during || f.Began.Before(k.back) && f.Ended.After(k.began)
		}
		if !during || f.How != "502 endpoint-reset" {
			t.Errorf("%s: %s; while an endpoint was killed: %v", f.Request, f.How, during)
		}
	}
}

// books is what all endpoints have noted: by request, those that have begun or completed it, one for each start.
type books struct {
	backends  []*runningBackend
	begun     int
	began     map[string][]int // numbers of backends
	completed map[string][]int
}

func newBooks(t *testing.T, backends []*runningBackend) *books {
	t.Helper()
	b := &books{backends: backends, began: make(map[string][]int), completed: make(map[string][]int)}
	for i, backend := range backends {
		begun, completed := backend.notes(t)
		b.begun += len(begun)
		for _, request := range begun {
			b.began[request] = append(b.began[request], i)
		}
		for _, request := range completed {
			b.completed[request] = append(b.completed[request], i)
		}
	}
	return b
}

// doubled returns how many requests were completed more than once.
func (b *books) doubled() (n int) {
	for _, by := range b.completed {
		n += len(by) - 1
	}
	return n
}

// compare wants of each request that a client made what must be in the books.
func (b *books) compare(t *testing.T, p plan, r planReport) {
	t.Helper()
	failed := make(map[string]bool)
	for _, f := range r.Failures {
		failed[f.Request] = true
	}
	problems := 0
	fail := func(request, what string) {
		t.Helper()
		if problems++; problems <= 10 {
			t.Errorf("%s: %s: begun by %v, completed by %v", request, what, b.began[request], b.completed[request])
		}
	}
	for worker, n := range r.Requests {
		for i := range n {
			request := p.method(i) + " " + p.path(worker, i)
			began, completed := b.began[request], b.completed[request]
			switch {
			case failed[request] && len(b.alive(began)) > 0:
				fail(request, "it has failed although its endpoint has not died")
			case failed[request]:
			case len(completed) == 0:
				fail(request, "it is answered, and nobody has completed it")
			case len(completed) > 1 && len(b.alive(completed)) > 1:
				fail(request, "it was sent again although its endpoint has not died")
			}
			if len(began) > 1 && strings.HasPrefix(request, "POST ") {
				fail(request, "it was sent again")
			}
		}
	}
	if problems > 0 {
		t.Errorf("%s: %d problems in all", p, problems)
	}
}

// alive returns those of some backends that were not killed.
func (b *books) alive(of []int) (alive []int) {
	for _, i := range of {
		if !b.backends[i].dead {
			alive = append(alive, i)
		}
	}
	return alive
}
