package http2

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/http1"
)

// TestModel: whatever is written at one end of two sessions comes out at the other, however it is cut into pieces and mixed
// with others, unless one side calls it off.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		w.run()
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// world is two sessions and what passes between them.
type world struct {
	t              *testing.T
	rand           *rand.Rand
	client, server *Session
	up, down       []byte // on the way
	now            time.Time
	pairs          []*pair
	waiting        map[string]*pair // requests by their path, that no server has seen
	most           int
	over           bool // the sessions have ended early
	buf            []byte
}

// pair is a request and its answer.
type pair struct {
	request, answer wanted
	asker, answerer end
	called          bool // off, by either side
}

// wanted is a message as it is written, and what is to come of it.
type wanted struct {
	text   []byte
	first  string
	fields []string
	body   []byte
	tail   []string
}

// end is one side of a stream.
type end struct {
	stream  *Stream // nil: not yet, or no more
	closed  bool
	toWrite []byte
	came    []byte
	err     error
	blocked bool // it takes no more until Next says so
}

func newWorld(t *testing.T, seed uint64) *world {
	p := new(Pool)
	return &world{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1, 0),
		client: NewClient(p), server: NewServer(p), waiting: map[string]*pair{}, most: 60, buf: make([]byte, 60<<10),
	}
}

func (w *world) run() {
	idle := 0
	for idle < 10 && !w.t.Failed() {
		w.now = w.now.Add(time.Millisecond)
		switch {
		case w.step():
			idle = 0
		case w.rand.IntN(50) > 0:
		case w.sweep():
			idle = 0
		default:
			idle++
		}
	}
	for _, p := range w.pairs {
		if !p.asker.closed || p.answerer.stream != nil {
			w.t.Errorf("an exchange hangs: asker %+v, answerer: %t", p.asker.err, p.answerer.stream != nil)
			return
		}
	}
	if w.client.Len() != 0 || w.server.Len() != 0 || w.server.active != 0 || w.server.unread != 0 {
		w.t.Errorf("%d and %d streams are left, %d count, %d bytes of heads are unread", w.client.Len(), w.server.Len(), w.server.active, w.server.unread)
	}
	for _, s := range []*Session{w.client, w.server} {
		if w.over {
			break
		}
		if s.held != 0 || s.lent != 0 || s.pool.held != 0 {
			w.t.Errorf("%d bytes are held, %d lent, and %d of all", s.held, s.lent, s.pool.held)
		}
		if s.recvWindow+s.consumed != connectionWindow || s.spare != spareWindow {
			w.t.Errorf("%d bytes of a window are lost, and %d of what it may grow", connectionWindow-s.recvWindow-s.consumed, spareWindow-s.spare)
		}
	}
}

// step does one thing, and says whether it did something.
func (w *world) step() bool {
	switch w.rand.IntN(8) {
	case 0:
		if w.rand.IntN(2000) == 0 {
			w.ruin()
		}
		return w.open()
	case 1, 2:
		return w.carry(w.client, &w.up, w.server)
	case 3, 4:
		return w.carry(w.server, &w.down, w.client)
	}
	if len(w.pairs) == 0 {
		return false
	}
	p := w.pairs[w.rand.IntN(len(w.pairs))]
	switch w.rand.IntN(5) {
	case 0:
		if w.rand.IntN(60) == 0 {
			return w.callOff(p)
		}
		return false
	case 1, 2:
		return w.use(p, &p.asker)
	}
	return w.use(p, &p.answerer)
}

// sweep gives everybody a turn, and says whether it has been of use.
func (w *world) sweep() bool {
	did := false
	for range 10 {
		for _, p := range w.pairs {
			asks, answers := w.use(p, &p.asker), w.use(p, &p.answerer)
			did = did || asks || answers
		}
	}
	up, down := w.carry(w.client, &w.up, w.server), w.carry(w.server, &w.down, w.client)
	return did || up || down
}

// ruin ends both sessions at once, in one of the ways in which that happens.
func (w *world) ruin() {
	for _, p := range w.pairs {
		p.called = true
	}
	w.most = len(w.pairs)
	w.over = true
	sessions := []*Session{w.client, w.server}
	if w.rand.IntN(2) == 0 {
		s := sessions[w.rand.IntN(2)]
		_ = s.fail(CodeProtocol, "ruined") // what follows from it is what is looked at
		w.notice(s)
	}
	for _, s := range sessions {
		s.Lost()
		w.notice(s)
	}
	w.up, w.down = nil, nil
	for path, p := range w.waiting { // no server will ever see them
		p.answerer.closed = true
		delete(w.waiting, path)
	}
}

// open begins a request.
func (w *world) open() bool {
	if len(w.pairs) == w.most || w.client.Room() == 0 {
		return false
	}
	p := &pair{}
	path := fmt.Sprintf("/%d/%s", len(w.pairs), strings.Repeat("p", w.rand.IntN(50)))
	method := []string{"GET", "POST", "HEAD", "PUT"}[w.rand.IntN(4)]
	p.request = w.message(method+" "+path+" HTTP/1.1", []string{"Host: web.mesh"}, method == "HEAD" || method == "GET" && w.rand.IntN(2) == 0)
	p.answer = w.message([]string{"HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 503 Service Unavailable"}[w.rand.IntN(3)], nil, method == "HEAD")
	p.asker = end{stream: w.client.Open(), toWrite: p.request.text}
	p.asker.stream.User = p
	w.pairs = append(w.pairs, p)
	w.waiting[path] = p
	return true
}

// message makes a message.
func (w *world) message(first string, fields []string, bodiless bool) wanted {
	m := wanted{first: first}
	text := first + "\r\n" + strings.Join(append(fields, ""), "\r\n")
	for range w.rand.IntN(8) {
		name := []string{"X-A", "x-b", "Accept", "Cookie2", "X-\x7c", "grpc-timeout"}[w.rand.IntN(6)]
		value := []string{"", "a b\tc", "\xff\xfe", strings.Repeat("v", w.rand.IntN(300)), fmt.Sprint(w.rand.IntN(5))}[w.rand.IntN(5)]
		text += name + ": " + value + "\r\n"
		m.fields = append(m.fields, strings.ToLower(name)+": "+value)
	}
	if bodiless {
		m.text = []byte(text + "\r\n")
		return m
	}
	size := w.rand.IntN(200)
	if w.rand.IntN(12) == 0 {
		size = w.rand.IntN(700 << 10)
	}
	m.body = bytes.Repeat([]byte{byte('a' + w.rand.IntN(26)), '\n', byte(w.rand.IntN(256))}, size/3+1)[:size]
	if w.rand.IntN(2) == 0 {
		length := fmt.Sprintf("content-length: %d", size)
		m.fields = append(m.fields, length)
		m.text = append([]byte(text+length+"\r\n\r\n"), m.body...)
		return m
	}
	m.text = []byte(text + "Transfer-Encoding: chunked\r\n\r\n")
	for rest := m.body; len(rest) > 0; {
		n := min(len(rest), 1+w.rand.IntN(40<<10))
		m.text = fmt.Appendf(m.text, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	m.text = append(m.text, "0\r\n"...)
	for i := range w.rand.IntN(3) {
		line := fmt.Sprintf("x-tail-%d: %d", i, w.rand.IntN(3))
		m.tail = append(m.tail, line)
		m.text = append(m.text, line+"\r\n"...)
	}
	m.text = append(m.text, "\r\n"...)
	return m
}

// carry takes some bytes from one session and gives some to the other.
func (w *world) carry(from *Session, way *[]byte, to *Session) bool {
	if w.over {
		return false
	}
	out := from.Output()
	if len(out) > outBound+maxBlock+1024 {
		w.t.Errorf("%d bytes are to be sent", len(out))
	}
	if w.rand.IntN(2) == 0 {
		out = out[:w.rand.IntN(len(out)+1)]
	}
	*way = append(*way, out...)
	from.Sent(len(out))
	w.notice(from)
	n := len(*way)
	if w.rand.IntN(2) == 0 {
		n = w.rand.IntN(n + 1)
	}
	if err := to.Feed((*way)[:n], w.now); err != nil {
		w.t.Errorf("a session refuses the other: %v", err)
	}
	*way = append((*way)[:0], (*way)[n:]...)
	w.notice(to)
	return len(out)+n > 0
}

// notice has the ends look at what is new.
func (w *world) notice(s *Session) {
	for t := s.Next(); t != nil; t = s.Next() {
		p, _ := t.User.(*pair)
		if p == nil { // whose it is shows when it has been read
			p = w.match(t)
			if p == nil {
				continue
			}
			t.User = p
		}
		e := &p.asker
		if !s.client {
			e = &p.answerer
		}
		e.blocked = false
		w.use(p, e)
	}
}

// match finds whose request has come.
func (w *world) match(t *Stream) *pair {
	buf := make([]byte, 4096)
	n, err := t.Read(buf)
	if n == 0 {
		w.t.Errorf("a new stream has nothing to read: %v", err)
		return nil
	}
	var h http1.Head
	if size, err := http1.ParseRequest(buf[:n], &h); size == 0 || err != nil {
		w.t.Errorf("a new stream has no head: %v", err)
		return nil
	}
	path := string(h.Target(buf))
	p := w.waiting[path]
	if p == nil {
		w.t.Errorf("a request came that nobody has sent: %q", path)
		return nil
	}
	delete(w.waiting, path)
	p.answerer = end{stream: t, toWrite: p.answer.text, came: bytes.Clone(buf[:n])}
	return p
}

// use reads and writes something, and closes the end when there is no more to do.
func (w *world) use(p *pair, e *end) bool {
	t := e.stream
	if t == nil {
		return false
	}
	did := false
	if w.rand.IntN(3) > 0 {
		buf := w.buf[:64+w.rand.IntN(len(w.buf)-64)]
		n, err := t.Read(buf)
		e.came = append(e.came, buf[:n]...)
		did = n > 0
		if err != nil && !errors.Is(err, ErrNothing) {
			e.err = err
		}
		if n == 0 && err == nil {
			w.t.Error("a read brought nothing, and no error")
		}
	}
	if !e.blocked && len(e.toWrite) > 0 && e.err == nil {
		some := e.toWrite
		if w.rand.IntN(2) == 0 {
			some = some[:1+w.rand.IntN(len(some))]
		}
		n, err := t.Write(some)
		did = did || n > 0
		e.toWrite = e.toWrite[n:]
		e.blocked = n < len(some)
		if err != nil {
			e.err = err
		}
	}
	if did || e.err != nil {
		w.finish(p, e)
	}
	return did
}

// finish closes an end that has all, and compares.
func (w *world) finish(p *pair, e *end) {
	want, to := &p.answer, http1.MethodOther
	if e == &p.answerer {
		want = &p.request
	} else if strings.HasPrefix(p.request.first, "HEAD") {
		to = http1.MethodHead
	}
	if e.err == nil && len(e.came) < len(want.body) {
		return
	}
	m, n, err := readMessage(e.came, e == &p.answerer, to)
	switch {
	case err != nil:
		w.t.Errorf("a message was read that is none: %v", err)
	case m != nil && n != len(e.came):
		w.t.Errorf("a message was read with %d bytes behind it", len(e.came)-n)
	case m != nil:
		want.compare(w.t, m)
	}
	if e.err != nil && !p.called {
		w.t.Errorf("an exchange ended early: %v", e.err)
	}
	if e.err != nil || m != nil && len(e.toWrite) == 0 {
		w.close(e, CodeCancel)
	}
}

func (w *world) close(e *end, code Code) {
	e.stream.Close(code)
	e.stream, e.closed = nil, true
}

// callOff ends an exchange from either side.
func (w *world) callOff(p *pair) bool {
	e := &p.asker
	if w.rand.IntN(2) == 0 {
		e = &p.answerer
	}
	if e.stream == nil {
		return false
	}
	p.called = true
	w.close(e, []Code{CodeCancel, CodeInternal}[w.rand.IntN(2)])
	if e == &p.asker && p.answerer.stream == nil {
		p.answerer.closed = true
	}
	return true
}

// compare says where a message differs from what was written.
func (m *wanted) compare(t *testing.T, got *messageRead) {
	first, _, _ := bytes.Cut(got.text, []byte("\r\n"))
	if string(first) != m.first {
		t.Errorf("the first line is %q, want %q", first, m.first)
	}
	var fields []string
	for i := range got.head.Len() {
		name, value := got.head.Field(got.text, i)
		switch http1.NameOf(name) {
		case http1.Host, http1.TransferEncoding:
			continue
		}
		fields = append(fields, string(name)+": "+string(value))
	}
	// A message without body may have been given a length of 0, and no other.
	if len(fields) == len(m.fields)+1 && fields[0] == "content-length: 0" && len(m.body) == 0 {
		fields = fields[1:]
	}
	if a, b := strings.Join(fields, "\n"), strings.Join(m.fields, "\n"); a != b {
		t.Errorf("fields are %.300q, want %.300q", a, b)
	}
	if !bytes.Equal(got.body, m.body) {
		t.Errorf("the body has %d bytes, want %d", len(got.body), len(m.body))
	}
	tail := strings.TrimSuffix(string(got.tail), "\r\n")
	if want := strings.Join(append(m.tail, ""), "\r\n"); tail != want {
		t.Errorf("trailers are %q, want %q", tail, want)
	}
}
