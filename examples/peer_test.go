package examples_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// exchange is what two programs do on a connection. Each knows what the other sends, and so checks every byte by itself.
type exchange struct {
	kind   string // a key of kinds
	leader string // who leads: "client" or "server"
	bytes  int64  // that go in each direction which carries any
}

func (e exchange) String() string { return fmt.Sprintf("%s %s %d", e.kind, e.leader, e.bytes) }

func parseExchange(line string) (e exchange, err error) {
	_, err = fmt.Sscan(line, &e.kind, &e.leader, &e.bytes)
	if _, ok := kinds[e.kind]; err == nil && !ok {
		err = errors.New("there is no such kind")
	}
	if err != nil {
		return e, fmt.Errorf("exchange %q: %w", line, err)
	}
	return e, nil
}

// kinds has what the two sides of a connection do.
var kinds = map[string]func(p *peer) error{
	"greet":     (*peer).greet,
	"both-ways": (*peer).bothWays,
	"small":     (*peer).small,
	"half":      (*peer).half,
	"reset":     (*peer).reset,
	"slow":      (*peer).slow,
}

// peer is one side of an exchange.
type peer struct {
	exchange
	name  string // client or server
	conn  *net.TCPConn
	tells io.Writer     // the test
	hears *bufio.Reader // from the test
}

func (p *peer) leads() bool { return p.name == p.leader }

func (p *peer) other() string {
	if p.name == "client" {
		return "server"
	}
	return "client"
}

// run does the exchange. An error says what went otherwise than it must.
func (p *peer) run() error {
	defer p.conn.Close()
	return kinds[p.kind](p)
}

// greet has the server say one word, and the leader close first.
func (p *peer) greet() error {
	const word = "hello"
	if p.name == "server" {
		if _, err := io.WriteString(p.conn, word); err != nil {
			return err
		}
	} else if got, err := io.ReadAll(io.LimitReader(p.conn, int64(len(word)))); err != nil || string(got) != word {
		return fmt.Errorf("read %q: %w", got, err)
	}
	if p.leads() {
		return nil
	}
	return p.wantEnd()
}

// bothWays has both send at once and end their direction when they have.
func (p *peer) bothWays() error { return p.together(64 << 10) }

// small is bothWays in many writes.
func (p *peer) small() error { return p.together(7) }

func (p *peer) together(piece int) error {
	sent := make(chan error, 1)
	go func() { sent <- p.send(piece) }()
	return errors.Join(p.receive(), <-sent)
}

// half has the follower send only when the leader has ended its own direction.
func (p *peer) half() error {
	if p.leads() {
		return errors.Join(p.send(64<<10), p.receive())
	}
	return errors.Join(p.receive(), p.send(64<<10))
}

// reset has the leader reset the connection in the middle of what it is sent.
func (p *peer) reset() error {
	if p.leads() {
		if err := p.compare(p.bytes / 2); err != nil {
			return err
		}
		return p.conn.SetLinger(0) // and run closes it
	}
	err := p.send(64 << 10)
	if err == nil {
		_, err = io.ReadFull(p.conn, make([]byte, 1))
	}
	// In its place: the error of a write, of the end of this direction, or of a read.
	if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("the reset of the other side came as another error: %w", err)
	}
	return nil
}

// slow has the leader read nothing until the follower, and so the test, has seen that it can send no more.
func (p *peer) slow() error {
	if !p.leads() {
		return errors.Join(p.sendAndStall(), p.wantEnd())
	}
	if _, err := p.hears.ReadString('\n'); err != nil {
		return err
	}
	return errors.Join(p.receive(), p.conn.CloseWrite())
}

// send sends the whole stream in pieces and ends this direction.
func (p *peer) send(piece int) error {
	s := newStream(p.name)
	for left := p.bytes; left > 0; {
		n, err := p.conn.Write(s.next(int(min(int64(piece), left))))
		if err != nil {
			return fmt.Errorf("send, with %d bytes left: %w", left, err)
		}
		left -= int64(n)
	}
	return p.conn.CloseWrite()
}

// sendAndStall is send for a stream that must not all go into the buffers on the way.
func (p *peer) sendAndStall() error {
	s, stalled := newStream(p.name), false
	for left := p.bytes; left > 0; {
		piece := s.next(int(min(64<<10, left)))
		left -= int64(len(piece))
		for len(piece) > 0 {
			if !stalled {
				p.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			}
			n, err := p.conn.Write(piece)
			piece = piece[n:]
			if errors.Is(err, os.ErrDeadlineExceeded) {
				stalled = true
				p.conn.SetWriteDeadline(time.Time{})
				fmt.Fprintln(p.tells, "stalled")
			} else if err != nil {
				return fmt.Errorf("send, with %d bytes left: %w", left, err)
			}
		}
	}
	if !stalled {
		return errors.New("everything was sent, and nobody read it")
	}
	return p.conn.CloseWrite()
}

// receive compares the whole stream of the other side, and wants its end.
func (p *peer) receive() error {
	if err := p.compare(p.bytes); err != nil {
		return err
	}
	return p.wantEnd()
}

// compare reads the next bytes, which must be the first ones of the stream of the other side.
func (p *peer) compare(n int64) error {
	s, buf := newStream(p.other()), make([]byte, 64<<10)
	for at := int64(0); at < n; {
		got, err := p.conn.Read(buf[:min(int64(len(buf)), n-at)])
		for part := buf[:got]; len(part) > 0; {
			want := s.next(len(part))
			if !bytes.Equal(part[:len(want)], want) {
				return fmt.Errorf("the bytes from %d on are not those that were sent", at)
			}
			part = part[len(want):]
			at += int64(len(want))
		}
		if err != nil {
			return fmt.Errorf("receive, after %d of %d bytes: %w", at, n, err)
		}
	}
	return nil
}

func (p *peer) wantEnd() error {
	_, err := p.conn.Read(make([]byte, 1))
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return errors.New("there came more bytes instead of the end")
	}
	return fmt.Errorf("wait for the end: %w", err)
}

// stream is an endless sequence of bytes without repetition: a block of random ones, numbered.
type stream struct {
	block  []byte
	at     int
	blocks uint64
}

func newStream(name string) *stream {
	var seed [32]byte
	copy(seed[:], name)
	s := &stream{block: make([]byte, 64<<10)}
	_, _ = rand.NewChaCha8(seed).Read(s.block)
	return s
}

// next returns at least one and at most n of the next bytes, which stay until the next call.
func (s *stream) next(n int) []byte {
	if s.at == len(s.block) {
		s.at = 0
		s.blocks++
		copy(s.block, fmt.Sprintf("%016x", s.blocks))
	}
	part := s.block[s.at:min(s.at+n, len(s.block))]
	s.at += len(part)
	return part
}

// serve is the program of the server. It prints how each exchange has ended.
func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	hears := bufio.NewReader(os.Stdin)
	fmt.Println("listening")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { fmt.Println(answer(conn.(*net.TCPConn), hears)) }()
	}
}

// answer does the exchange that the client asks for by the first line.
func answer(conn *net.TCPConn, hears *bufio.Reader) string {
	defer conn.Close()
	var line []byte
	for letter := make([]byte, 1); letter[0] != '\n'; line = append(line, letter[0]) {
		if _, err := io.ReadFull(conn, letter); err != nil {
			return fmt.Sprintf("read the exchange, after %q: %v", line, err)
		}
	}
	e, err := parseExchange(string(line))
	if err != nil {
		return err.Error()
	}
	p := &peer{exchange: e, name: "server", conn: conn, tells: os.Stdout, hears: hears}
	return outcome(e, p.run())
}

// ask is the program of the client. It prints how the exchange has ended.
func ask(way, address, line string) error {
	conn, err := open(way, address)
	if err != nil {
		return err
	}
	e, err := parseExchange(line)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	fmt.Println(outcome(e, request(conn, e)))
	return nil
}

// request does an exchange as the client.
func request(conn net.Conn, e exchange) error {
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, e); err != nil {
		return err
	}
	p := &peer{exchange: e, name: "client", conn: conn.(*net.TCPConn), tells: os.Stdout, hears: bufio.NewReader(os.Stdin)}
	return p.run()
}

const wentWell = ": ok"

func outcome(e exchange, err error) string {
	if err == nil {
		return e.String() + wentWell
	}
	return e.String() + ": " + strings.ReplaceAll(err.Error(), "\n", "; ")
}
