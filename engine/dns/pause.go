package dns

import (
	"context"
	"errors"
	"net"
	"time"
)

const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// pause keeps a loop of reads or accepts alive through errors that pass, such as file descriptors running out.
type pause struct{ length time.Duration }

// outlive waits, longer with each error in a row. It returns false when the loop has to end: after ctx, or because
// the socket was closed.
func (p *pause) outlive(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	p.length = min(max(2*p.length, minPause), maxPause)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(p.length):
		return true
	}
}
