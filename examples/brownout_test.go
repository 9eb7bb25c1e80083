package examples_test

import "testing"

// brownService has two endpoints, and a route by which most of what fails is sent again three times.
const brownService = `service "ledger" {
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
}
router "ledger" {
  route {
    destination {
      retry {
        attempts        = 3
        on              = ["reset", "503"]
        per_try_timeout = "2s"
      }
    }
  }
}
`

// brownPlan is many clients at once. The budget of retries has room for 8, and of the requests that come when none has room
// left none is sent again.
var brownPlan = plan{40, "GET", "/retried"}

// TestBrownOut has a service fail most of its requests under load, in two ways. It must not get a multiple of the load for that, and
// no request may fail from the moment on that it is well again.
func TestBrownOut(t *testing.T) {
	t.Parallel()
	one, two := newLab(t)
	one.write(t, moreFile, brownService)
	one.startMeshd(t)
	backends := []*runningBackend{two.startBackend(t, 7001), two.startBackend(t, 7002)}
	address := one.virtual(t, "ledger", 4) + ":7000"
	sentAgain := func() int {
		return int(one.metric(t, `meshd_request_retries_total{destination="ledger",source="web"}`) +
			one.metric(t, `meshd_pool_events_total{destination="ledger",event="repeated",source="web"}`))
	}
	tell := func(mood string) (begun int) {
		for _, b := range backends {
			begun += int(b.tell(t, mood))
		}
		return begun
	}
	for _, test := range []struct {
		name, mood, failure string
		requests            int
	}{
		{"503", "busy=90", "503 ", 10_000},
		{"no answer", "stalled=90", "504 timeout", 160},
	} {
		begun, again := tell(test.mood), sentAgain()
		r := one.startRequests(t, address, test.requests, brownPlan).end(t)[0]
		begun, again = tell("")-begun, sentAgain()-again
		made, answered := r.all(), r.all()-len(r.Failures)
		t.Logf("%s: %d requests, %d answered; %d sent again, %d came to the endpoints", test.name, made, answered, again, begun)
		for _, f := range r.Failures {
			if f.How != test.failure {
				t.Errorf("%s: %s: %s", test.name, f.Request, f.How)
			}
		}
		// While a fifth of the requests under way are tried again, four fifths are tried for the first time.
		if again == 0 || again > made/4+8 {
			t.Errorf("%s: of %d requests %d were sent again, want a quarter at most", test.name, made, again)
		}
		if answered <= made/10 {
			t.Errorf("%s: of %d requests %d were answered, want more than without a retry", test.name, made, answered)
		}
		// A try may end before the endpoint has seen it.
		if most := made + again; begun > most || test.mood == "busy=90" && begun < most {
			t.Errorf("%s: %d tries came to the endpoints, and meshd has made %d", test.name, begun, most)
		}

		again = sentAgain()
		if r := one.startRequests(t, address, 2000, brownPlan).end(t)[0]; len(r.Failures) > 0 {
			t.Errorf("%s: %d requests failed when the service was well again: %.3v", test.name, len(r.Failures), r.Failures)
		}
		if n := sentAgain() - again; n > 0 {
			t.Errorf("%s: %d requests were sent again when the service was well again", test.name, n)
		}
	}
}
