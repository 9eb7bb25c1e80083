package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// peer is one end of a connection, with what TCP has promised to the other end. It never waits.
type peer struct {
	name  string
	conn  *net.TCPConn
	other *peer
	seed  int    // where in the noise it begins
	heard []byte // the buffer of its reads

	wrote, read             int
	finished, reset, closed bool // what it has done
	ended, broken           bool // what it has seen: the end of the stream, a reset
}

// most is how much is written or read at once.
const most = 2 << 20

// noise is what everybody says, from a place of their own on. It repeats itself only after a prime number of bytes, so
// that whatever is lost, doubled or swapped shows.
var noise = sync.OnceValue(func() []byte {
	const period = 1048573
	all := make([]byte, period+period+most)
	_, _ = rand.NewChaCha8([32]byte{}).Read(all[:period])
	for n := period; n < len(all); n *= 2 {
		copy(all[n:], all[:n])
	}
	return all[:period+most]
})

// says returns n bytes of what the peer says, from the i-th on.
func (p *peer) says(i, n int) []byte {
	from := (p.seed + i) % (len(noise()) - most)
	return noise()[from : from+n]
}

// mayBeReset says whether the other end has given TCP a reason to reset this one: it did so, or went away for good with
// something that it has not read, or has not got yet.
func (p *peer) mayBeReset() bool {
	o := p.other
	return o.reset || o.closed && p.wrote > o.read
}

// try does something to the socket, which does not block.
func (p *peer) try(f func(fd int) (int, error)) (n int, err error) {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { n, err = f(int(fd)) })
	return max(n, 0), errors.Join(controlErr, err)
}

// write says as much of n bytes as the socket takes.
func (p *peer) write(n int) error {
	n, err := p.try(func(fd int) (int, error) { return unix.Write(fd, p.says(p.wrote, n)) })
	p.wrote += n
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	return p.sees(err)
}

// listen reads up to n bytes, and says whether anything has come of it.
func (p *peer) listen(n int) (came bool, err error) {
	n, err = p.try(func(fd int) (int, error) { return unix.Read(fd, p.heard[:n]) })
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false, nil
	case err != nil:
		return true, p.sees(err)
	case n == 0:
		p.ended = true
		if o := p.other; !o.finished && !o.closed {
			return true, fmt.Errorf("end of a stream that %s has not ended", o.name)
		} else if p.read != o.wrote && !p.mayBeReset() {
			return true, fmt.Errorf("end of the stream after %d of %d bytes", p.read, o.wrote)
		}
		return true, nil
	}
	if !bytes.Equal(p.heard[:n], p.other.says(p.read, n)) {
		return true, fmt.Errorf("between bytes %d and %d something that %s has not said", p.read, p.read+n, p.other.name)
	}
	if p.read += n; p.read > p.other.wrote {
		return true, fmt.Errorf("%d bytes of %d", p.read, p.other.wrote)
	}
	return true, nil
}

// sees checks an error for being a reset that TCP allows.
func (p *peer) sees(err error) error {
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE):
		return err
	case !p.mayBeReset():
		return fmt.Errorf("%w, without a reason", err)
	}
	p.broken = true
	return nil
}

func (p *peer) shutdown() {
	if !p.finished {
		p.finished = true
		_ = p.conn.CloseWrite() // fails when a reset has come, which is seen by the next read
	}
}

// leave closes the socket, with FIN or with RST.
func (p *peer) leave(byReset bool) {
	p.closed, p.reset = true, byReset
	if byReset {
		_ = p.conn.SetLinger(0)
	}
	p.conn.Close()
}

// step does something by chance. Most of it moves bytes, and a side that reads little stalls the other.
func (p *peer) step(chance *rand.Rand) error {
	if p.closed {
		return nil
	}
	size := 1 + chance.IntN([]int{10, 5_000, 100_000, most}[chance.IntN(4)])
	switch action := chance.IntN(100); {
	case action < 45 && !p.finished && !p.broken:
		return p.write(size)
	case action < 94:
		_, err := p.listen(size)
		return err
	case action < 97:
		p.shutdown()
	case action < 98:
		p.leave(false)
	case action < 99:
		p.leave(true)
	}
	return nil
}

// settle has those who are left say no more, and hear everything.
func settle(all ...*peer) error {
	for _, p := range all {
		if !p.closed {
			p.shutdown()
		}
	}
	for {
		var waiting []unix.PollFd
		for _, p := range all {
			for !p.closed && !p.ended && !p.broken {
				came, err := p.listen(most)
				if err != nil {
					return fmt.Errorf("%s sees %w", p.name, err)
				}
				if !came {
					_, _ = p.try(func(fd int) (int, error) {
						waiting = append(waiting, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
						return 0, nil
					})
					break
				}
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		if n, err := unix.Poll(waiting, 20_000); n == 0 && err == nil {
			return errors.New("waits in vain for the end")
		}
	}
}

// TestStreamsLikeTCP has both ends of many connections do what they like, and compares what they see with what a
// connection without a proxy may show: bytes in order and none twice, the end after the last byte, and a reset only
// when the other end has given a reason.
func TestStreamsLikeTCP(t *testing.T) {
	const seeds, steps, together = 60, 50, 4
	var all sync.WaitGroup
	for worker := range together {
		at, conns := accepting(t)
		r := newRig(t, func(c *Config) { c.Log = nil }, at)
		all.Go(func() {
			for seed := worker; seed < seeds; seed += together {
				if err := act(r, conns, uint64(seed), steps); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
			r.eventually("all connections have ended", func() bool { return r.held.Load() == 0 })
		})
	}
	all.Wait()
}

func act(r *rig, conns <-chan *net.TCPConn, seed uint64, steps int) error {
	chance := rand.New(rand.NewPCG(seed, 0))
	client := &peer{name: "client", conn: r.dial(virtual), seed: 0, heard: make([]byte, most)}
	server := &peer{name: "endpoint", conn: <-conns, other: client, seed: 1_000, heard: make([]byte, most)}
	client.other = server
	both := [2]*peer{client, server}
	for _, p := range both {
		if chance.IntN(2) == 0 {
			_ = p.conn.SetReadBuffer(256 << 10) // with a smaller one than a segment of lo, TCP itself crawls
		}
		if chance.IntN(2) == 0 {
			_ = p.conn.SetWriteBuffer(64 << 10)
		}
	}
	for i := range steps {
		p := both[chance.IntN(2)]
		if err := p.step(chance); err != nil {
			return fmt.Errorf("step %d: %s sees %w", i, p.name, err)
		}
		for range chance.IntN(20) {
			runtime.Gosched()
		}
	}
	err := settle(both[:]...)
	for _, p := range both {
		p.conn.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: they have said %d and %d bytes, and heard %d and %d", err, client.wrote, server.wrote, server.read, client.read)
	}
	return nil
}
