package daemon

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/mesh"
)

func TestDeadSince(t *testing.T) {
	group := balance.New(balance.Config{Endpoints: []mesh.Endpoint{
		{Address: netip.MustParseAddrPort("10.0.0.1:80"), Weight: 1},
		{Address: netip.MustParseAddrPort("10.0.0.2:80"), Weight: 1},
	}})
	one, two := group.Endpoints()[0], group.Endpoints()[1]
	refused := errors.New("refused")
	expect := func(when string, dead bool) {
		t.Helper()
		if got := deadSince(group.Endpoints()); (got != nil) != dead {
			t.Errorf("%s: %v", when, got)
		}
	}
	expect("nothing was tried", false)
	one.Fail(time.Now(), refused)
	expect("one of two fails", false)
	two.Fail(time.Now(), refused)
	expect("both fail", true)
	one.Connect()
	expect("one accepts again", false)
	one.Fail(time.Now().Add(-time.Hour), refused)
	two.Fail(time.Now().Add(-time.Hour), refused)
	expect("both failed long ago", false)
	if deadSince(nil) != nil {
		t.Error("a service without endpoints has no failure")
	}
}
