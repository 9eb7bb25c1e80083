// Package drain lets the owner of work that must not be cut off wait for its end, for as long as it has patience.
package drain

import (
	"context"
	"sync"
	"sync/atomic"
)

// draining is the bit of state that says that nobody may begin any more; the bits below count the holders.
const draining = 1 << 62

// Drainer counts the holders of some work and waits until they are gone.
type Drainer struct {
	force func()
	state atomic.Int64
	once  sync.Once
	gone  chan struct{} // closed when draining and nobody holds
}

// New returns a drainer of which nobody is a holder yet.
//
// force is called when patience has ended. It must make all present holders release soon, those too that held before
// the call but are not yet where force looks for them.
func New(force func()) *Drainer {
	return &Drainer{force: force, gone: make(chan struct{})}
}

// Hold makes the caller a holder, who must call Release in the end. It returns false when draining has begun: the
// caller must then not begin, and not release.
func (d *Drainer) Hold() bool {
	if d.state.Add(1)&draining != 0 {
		d.Release()
		return false
	}
	return true
}

// Release ends one Hold.
func (d *Drainer) Release() {
	if d.state.Add(-1) == draining {
		d.once.Do(func() { close(d.gone) })
	}
}

// Drain lets nobody begin any more and waits until all holders are gone. When ctx ends before that, it forces those
// who are left, waits for them too, and returns the cause of ctx's end.
//
// Draining cannot be taken back. Several callers wait for the same end.
func (d *Drainer) Drain(ctx context.Context) error {
	if d.state.Or(draining)&^draining == 0 {
		d.once.Do(func() { close(d.gone) })
	}
	select {
	case <-d.gone:
		return nil
	case <-ctx.Done():
	}
	d.force()
	<-d.gone
	return context.Cause(ctx)
}
