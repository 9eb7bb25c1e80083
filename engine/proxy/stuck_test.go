package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/engine/mesh"
)

// flood writes to a side until that fails, and says when the side takes no more for now.
func flood(t *testing.T, side *net.TCPConn, all *sync.WaitGroup) (full chan struct{}, broken chan error) {
	t.Helper()
	full, broken = make(chan struct{}), make(chan error, 1)
	raw, err := side.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	all.Go(func() {
		told := false
		err := raw.Write(func(fd uintptr) bool {
			for {
				_, err := unix.Write(int(fd), make([]byte, 64<<10))
				if errors.Is(err, unix.EAGAIN) {
					if !told {
						told = true
						close(full)
					}
					return false
				}
				if err != nil {
					broken <- err
					return true
				}
			}
		})
		if err != nil {
			broken <- err
		}
	})
	return full, broken
}

// clogged is a connection of which neither side reads and both directions wait to write.
func clogged(t *testing.T) (r *rig, client, server *net.TCPConn, ends map[*net.TCPConn]chan error) {
	t.Helper()
	r, client, server = connected(t)
	send(t, client, "hello") // and so it is known here that the endpoint has accepted
	want(t, server, "hello")
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	clientFull, clientEnds := flood(t, client, &all)
	serverFull, serverEnds := flood(t, server, &all)
	<-clientFull
	<-serverFull
	return r, client, server, map[*net.TCPConn]chan error{client: clientEnds, server: serverEnds}
}

func TestForcedDrainOfCloggedConnection(t *testing.T) {
	r, _, _, ends := clogged(t)
	r.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("drain: %v", err)
	}
	for _, end := range ends {
		<-end
	}
	r.wantEnd(mesh.ReasonShutdown)
}

// TestResetOfCloggedConnection resets one side while all wait to write, so that nobody reads or writes to notice.
func TestResetOfCloggedConnection(t *testing.T) {
	for _, who := range []string{"client", "endpoint"} {
		t.Run(who, func(t *testing.T) {
			r, client, server, ends := clogged(t)
			resetter, other, reason := client, server, mesh.ReasonClientReset
			if who == "endpoint" {
				resetter, other, reason = server, client, mesh.ReasonEndpointReset
			}
			reset(resetter)
			r.eventually("the reset is passed on", func() bool {
				r.loseLastWords()
				select {
				case <-ends[other]:
					return true
				default:
					return false
				}
			})
			r.wantEnd(reason)
		})
	}
}

// TestResetDuringStalledUpload resets a client whose bytes the endpoint does not take.
func TestResetDuringStalledUpload(t *testing.T) {
	r, client, server := connected(t)
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	full, _ := flood(t, client, &all)
	<-full
	reset(client)
	r.eventually("the connection has ended", func() bool {
		r.loseLastWords()
		return len(r.Connections()) == 0
	})
	r.wantEnd(mesh.ReasonClientReset)
	server.Close()
}

// loseLastWords lets the time pass that a broken side has for what it has said last.
func (r *rig) loseLastWords() {
	r.inLoops(func(l *loop) {
		l.now = time.Now().Add(lastWords)
		l.expire()
	})
}
