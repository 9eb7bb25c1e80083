package http2

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshd/meshd/engine/http1"
)

func mustFeed(t *testing.T, p *peer) {
	t.Helper()
	if err := p.feed(); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t *testing.T, s *Stream, text string) {
	t.Helper()
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d bytes of %d were taken: %v", n, len(text), err)
	}
}

const noContent = "HTTP/1.1 204 No Content\r\n\r\n"

// TestServerLeaves: what a client sends before it hears that we leave is answered, what comes later is not.
func TestServerLeaves(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.headers(1, flagEndStream, get...)
	mustFeed(t, p)
	p.session.Leave()
	p.session.Leave()
	want := []string{fmt.Sprintf("leave %d NO_ERROR", maxID), `ping 0 "leave\x00\x00\x00"`}
	if got := p.texts(); !slices.Equal(got, want) {
		t.Fatalf("sent %q, want %q", got, want)
	}
	p.headers(3, flagEndStream, get...)
	p.frame(kindPing, flagAck, 0, leavePing[:])
	p.headers(5, 0, get...)
	p.frame(kindData, flagEndStream, 5, []byte("abc"))
	mustFeed(t, p)
	if got := p.texts(); !slices.Equal(got, []string{"leave 3 NO_ERROR"}) {
		t.Errorf("sent %q", got)
	}
	for _, id := range []uint32{1, 3} {
		s := p.session.Next()
		if s == nil || s.ID() != id {
			t.Fatalf("stream %d has not come", id)
		}
		if p.session.IsOver() {
			t.Error("a session with streams is over")
		}
		mustWrite(t, s, noContent)
		s.Close(CodeCancel)
	}
	if p.session.Next() != nil {
		t.Error("a stream has come that is not taken")
	}
	if p.session.IsOver() {
		t.Error("a session with answers to send is over")
	}
	p.sent()
	if !p.session.IsOver() {
		t.Error("the session is not over")
	}
}

// TestPeerLeaves: requests that a server has not touched may go elsewhere, the others are answered.
func TestPeerLeaves(t *testing.T) {
	p := newPeer(t, NewClient(new(Pool)))
	var streams []*Stream
	for range 3 {
		streams = append(streams, ask(t, p.session, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"))
	}
	late := p.session.Open()
	p.frame(kindGoAway, 0, 0, []byte{0, 0, 0, 3, 0, 0, 0, 0})
	p.headers(1, flagEndStream, ":status: 204")
	p.word(kindReset, 3, uint32(CodeRefused))
	mustFeed(t, p)
	if p.session.Room() != 0 || p.session.Open() != nil || !p.session.Leaves() {
		t.Error("streams may be begun at a server that leaves")
	}
	if _, err := readAll(streams[0]); !errors.Is(err, ErrNothing) || streams[0].Err() != nil {
		t.Errorf("the answered one: %v", err)
	}
	for _, s := range streams[1:] {
		var reset *ResetError
		if _, err := readAll(s); !errors.As(err, &reset) || !reset.Untouched || reset.Code != CodeRefused {
			t.Errorf("one that was not touched: %v", err)
		}
	}
	var reset *ResetError
	if _, err := late.Write([]byte("GET / HTTP/1.1\r\nHost: web\r\n\r\n")); !errors.As(err, &reset) || !reset.Untouched {
		t.Errorf("one that was not sent: %v", err)
	}
	p.sent()
	for _, s := range append(streams, late) {
		if p.session.IsOver() {
			t.Error("a session with streams is over")
		}
		s.Close(CodeCancel)
	}
	if got := p.texts(); len(got) != 0 || !p.session.IsOver() {
		t.Errorf("the session is over: %t; sent %q", p.session.IsOver(), got)
	}
}

// TestTouched: a request of which something was answered is not for another server.
func TestTouched(t *testing.T) {
	p := newPeer(t, NewClient(new(Pool)))
	s := ask(t, p.session, "GET / HTTP/1.1\r\nHost: web\r\n\r\n")
	p.headers(1, 0, ":status: 200")
	p.frame(kindData, 0, 1, []byte("abc"))
	p.word(kindReset, 1, uint32(CodeRefused))
	mustFeed(t, p)
	text, err := readAll(s)
	var reset *ResetError
	if !errors.As(err, &reset) || reset.Untouched || !strings.HasSuffix(text, "3\r\nabc\r\n") {
		t.Errorf("read %q, %v", text, err)
	}
}

// TestAnsweredEarly: a server may answer before it has all of a request, and then wants no more.
func TestAnsweredEarly(t *testing.T) {
	p := newPeer(t, NewClient(new(Pool)))
	s := ask(t, p.session, "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\nabc")
	p.headers(1, 0, ":status: 413", "content-length: 2")
	p.frame(kindData, flagEndStream, 1, []byte("no"))
	p.word(kindReset, 1, uint32(CodeNone))
	mustFeed(t, p)
	if text, err := readAll(s); !strings.HasSuffix(text, "no") || !errors.Is(err, ErrNothing) {
		t.Errorf("read %q, %v", text, err)
	}
	var reset *ResetError
	if _, err := s.Write([]byte("def")); !errors.As(err, &reset) || reset.Code != CodeNone {
		t.Errorf("write: %v", err)
	}

	q := newPeer(t, NewServer(new(Pool)))
	q.headers(1, 0, get...)
	mustFeed(t, q)
	s = q.session.Next()
	mustWrite(t, s, noContent)
	s.Close(CodeInternal)
	if got := q.texts(); !slices.Equal(got, []string{"fields 1 5|:status: 204", "reset 1 NO_ERROR"}) {
		t.Errorf("sent %q", got)
	}
	q.frame(kindData, flagEndStream, 1, []byte("on its way"))
	mustFeed(t, q)
	if got := q.texts(); len(got) != 0 {
		t.Errorf("what was on its way is answered with %q", got)
	}
}

// TestCancel: a client that wants no answer any more is told of at once.
func TestCancel(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.headers(1, 0, get...)
	p.frame(kindData, 0, 1, []byte("abc"))
	mustFeed(t, p)
	s := p.session.Next()
	p.word(kindReset, 1, uint32(CodeCancel))
	mustFeed(t, p)
	var reset *ResetError
	if p.session.Next() != s || !s.Readable() || !errors.As(s.Err(), &reset) || reset.Code != CodeCancel || reset.Ours {
		t.Errorf("its user sees %v", s.Err())
	}
	if text, err := readAll(s); text != "" || !errors.As(err, &reset) {
		t.Errorf("read %q, %v", text, err)
	}
	if p.session.active != 1 {
		t.Error("a request counts no more whose user still works on it")
	}
	s.Close(CodeInternal)
	if got := p.texts(); len(got) != 0 || p.session.active != 0 {
		t.Errorf("sent %q; %d count", got, p.session.active)
	}
}

// TestManyCancelled: a server is not to blame for what it has sent before it hears that nobody wants it any more, however many
// streams that are.
func TestManyCancelled(t *testing.T) {
	p := newPeer(t, NewClient(new(Pool)))
	const many = 2 * mostResets
	for range many {
		s := p.session.Open()
		mustWrite(t, s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		s.Close(CodeCancel)
		p.sent()
	}
	for i := range many {
		id := uint32(2*i + 1)
		p.headers(id, 0, ":status: 200")
		p.frame(kindData, flagEndStream, id, []byte("late"))
	}
	mustFeed(t, p)
	if got := p.texts(); len(got) != 0 {
		t.Errorf("sent %.3q", got)
	}
}

// TestRefused: more requests than were agreed on are refused, and may be sent again.
func TestRefused(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	id := uint32(1)
	for range maxStreams {
		p.headers(id, flagEndStream, get...)
		id += 2
	}
	mustFeed(t, p)
	p.headers(id, flagEndStream, get...)
	p.word(kindReset, 1, uint32(CodeCancel)) // nobody has seen it, so it makes room at once
	p.headers(id+2, flagEndStream, get...)
	mustFeed(t, p)
	if got := p.texts(); !slices.Equal(got, []string{fmt.Sprintf("reset %d REFUSED_STREAM", id)}) {
		t.Errorf("sent %q", got)
	}
}

// TestTooLarge: a request with more fields than anybody reads is answered.
func TestTooLarge(t *testing.T) {
	for name, fields := range map[string][]string{
		"bytes":  with(get, "a: "+strings.Repeat("b", 15<<10), "b: "+strings.Repeat("b", 15<<10), "c: "+strings.Repeat("b", 15<<10), "d: "+strings.Repeat("b", 15<<10), "e: "+strings.Repeat("b", 15<<10)),
		"fields": with(get, slices.Repeat([]string{"a: b"}, http1.MaxFields)...),
	} {
		p := newPeer(t, NewServer(new(Pool)))
		block := p.block(fields...)
		first := min(len(block), frameSize)
		if first == len(block) {
			p.frame(kindHeaders, flagEndStream|flagEndHeaders, 1, block)
		} else {
			p.frame(kindHeaders, flagEndStream, 1, block[:first])
			rest := slices.Collect(slices.Chunk(block[first:], frameSize))
			for i, part := range rest {
				flags := uint8(0)
				if i == len(rest)-1 {
					flags = flagEndHeaders
				}
				p.frame(kindContinuation, flags, 1, part)
			}
		}
		// In the size of the list its fields count for more than their bytes; the bytes alone are allowed.
		if err := p.feed(); err != nil && name == "fields" {
			t.Fatal(err)
		} else if err != nil {
			if got := p.texts(); !strings.HasSuffix(got[0], "ENHANCE_YOUR_CALM") {
				t.Errorf("%s: answered with %q", name, got)
			}
			continue
		}
		if got := p.texts(); !slices.Equal(got, []string{"fields 1 5|:status: 431"}) {
			t.Errorf("%s: answered with %q", name, got)
		}
	}
}

// TestFloods: what costs us more than the peer has a bound, which time and useful work move.
func TestFloods(t *testing.T) {
	post := []string{":method: POST", ":scheme: http", ":path: /", ":authority: web"}
	begin := func(p *peer) { p.headers(1, 0, post...) }
	for name, test := range map[string]struct {
		begin func(p *peer)
		one   func(p *peer, i int)
	}{
		"rapid reset": {nil, func(p *peer, i int) {
			p.headers(uint32(2*i+1), flagEndStream, get...)
			p.word(kindReset, uint32(2*i+1), uint32(CodeCancel))
		}},
		"resets made by us": {nil, func(p *peer, i int) {
			p.headers(uint32(2*i+1), flagEndStream, get...)
			p.word(kindWindow, uint32(2*i+1), 0)
		}},
		"malformed":       {nil, func(p *peer, i int) { p.headers(uint32(2*i+1), flagEndStream, get[1:]...) }},
		"settings":        {nil, func(p *peer, i int) { p.frame(kindSettings, 0, 0, nil) }},
		"many settings":   {nil, func(p *peer, i int) { p.frame(kindSettings, 0, 0, bytes.Repeat([]byte{0, 9, 0, 0, 0, 0}, 100)) }},
		"acks":            {nil, func(p *peer, i int) { p.frame(kindSettings, flagAck, 0, nil) }},
		"pings":           {nil, func(p *peer, i int) { p.frame(kindPing, 0, 0, make([]byte, 8)) }},
		"pongs":           {nil, func(p *peer, i int) { p.frame(kindPing, flagAck, 0, make([]byte, 8)) }},
		"priorities":      {nil, func(p *peer, i int) { p.frame(kindPriority, 0, 1, make([]byte, 5)) }},
		"unknown":         {nil, func(p *peer, i int) { p.frame(kindUnknown, 0, 0, nil) }},
		"empty data":      {begin, func(p *peer, i int) { p.frame(kindData, 0, 1, nil) }},
		"padding":         {begin, func(p *peer, i int) { p.frame(kindData, flagPadded, 1, []byte{1, 0}) }},
		"empty fields":    {begin, func(p *peer, i int) { p.headers(1, 0, "x: y") }},
		"windows":         {begin, func(p *peer, i int) { p.word(kindWindow, 1, 1) }},
		"closed streams":  {begin, func(p *peer, i int) { p.headers(1, flagEndStream, "x: y") }},
		"leaving":         {nil, func(p *peer, i int) { p.frame(kindGoAway, 0, 0, make([]byte, 8)) }},
		"connection wide": {nil, func(p *peer, i int) { p.word(kindWindow, 0, 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, NewServer(new(Pool)))
			if test.begin != nil {
				test.begin(p)
			}
			var err error
			n := 0
			for ; err == nil && n < 2*mostGlitches; n++ {
				test.one(p, n)
				err = p.feed()
				p.sent()
			}
			var failed *ConnectionError
			if !errors.As(err, &failed) || failed.Code != CodeCalm {
				t.Errorf("after %d: %v", n, err)
			}
		})
	}
}

// TestDribble: a client that takes an answer byte by byte is left.
func TestDribble(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.frame(kindSettings, 0, 0, appendSetting(nil, settingWindow, 0))
	p.headers(1, flagEndStream, get...)
	mustFeed(t, p)
	s := p.session.Next()
	mustWrite(t, s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
	var err error
	n := 0
	for ; err == nil && n < 2*mostGlitches; n++ {
		if taken, err := s.Write([]byte("body")); taken > 1 || err != nil {
			t.Fatalf("%d bytes were taken: %v", taken, err)
		}
		p.sent()
		p.word(kindWindow, 1, 1)
		err = p.feed()
		p.session.Next()
	}
	var failed *ConnectionError
	if !errors.As(err, &failed) || failed.Code != CodeCalm {
		t.Errorf("after %d: %v", n, err)
	}
}

// TestBusyClient: a client that does much, and calls off half of it, meets no bound.
func TestBusyClient(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	for i := range 20000 {
		id := uint32(2*i + 1)
		p.headers(id, flagEndStream, get...)
		mustFeed(t, p)
		s := p.session.Next()
		if i%2 == 0 {
			mustWrite(t, s, noContent)
		} else {
			p.word(kindReset, id, uint32(CodeCancel))
		}
		p.word(kindWindow, 0, 100)
		p.frame(kindPing, 0, 0, make([]byte, 8))
		mustFeed(t, p)
		s.Close(CodeCancel)
		p.sent()
	}
}

// TestUnreadFields: fields that nobody reads have a bound, whatever they are of.
func TestUnreadFields(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	long := "x: " + strings.Repeat("y", 15<<10)
	var refused []string
	for id := uint32(1); id < 400 && len(refused) == 0; id += 2 {
		p.headers(id, 0, with(get, long)...)
		if id%4 == 1 {
			p.headers(id, flagEndStream, long)
		}
		mustFeed(t, p)
		refused = p.texts()
	}
	if held := p.session.unread; len(refused) != 1 || held < maxUnread || held > maxUnread+maxBlock {
		t.Errorf("%d bytes are held; answered with %q", held, refused)
	}
	for s := p.session.Next(); s != nil; s = p.session.Next() {
		if _, err := readAll(s); !errors.Is(err, ErrNothing) {
			t.Error(err)
		}
	}
	if p.session.unread != 0 {
		t.Errorf("%d bytes are held when all was read", p.session.unread)
	}
}

// TestWaits: a session says when the peer has begun what it must end.
func TestWaits(t *testing.T) {
	s := NewServer(new(Pool))
	steps := []struct {
		data  string
		waits bool
	}{
		{"PRI * HTT", true},
		{"P/2.0\r\n\r\nSM\r\n\r\n", true},
		{"\x00\x00\x00\x04\x00\x00\x00\x00\x00", false},
		{"\x00\x00", true},
		{"\x06\x01\x00\x00\x00\x00\x01", true},
		{"\x83\x86\x84\x41\x01w", true},
		{"\x00\x00\x00\x09\x04\x00\x00\x00\x01", false},
		{"\x00\x00\x02\x00\x00\x00\x00\x00\x01a", false}, // of data: the user of the stream sees to that
		{"b", false},
	}
	for i, step := range steps {
		if err := s.Feed([]byte(step.data), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if s.Waits() != step.waits {
			t.Errorf("after step %d it waits: %t", i, s.Waits())
		}
	}
}

// TestUnreadAnswers: a peer that asks for answers and does not read them is left.
func TestUnreadAnswers(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	var err error
	for range 100000 {
		p.frame(kindPing, 0, 0, make([]byte, 8))
		p.now = p.now.Add(time.Second) // no other bound is met
		if err = p.feed(); err != nil {
			break
		}
	}
	var failed *ConnectionError
	if !errors.As(err, &failed) || failed.Code != CodeCalm || len(p.session.Output()) > outMost+1000 {
		t.Errorf("%d bytes are to be sent: %v", len(p.session.Output()), err)
	}
}

// TestShares: streams with much to send take turns, and none is left out.
func TestShares(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.frame(kindSettings, 0, 0, appendSetting(nil, settingWindow, 1<<30))
	p.word(kindWindow, 0, 1<<30)
	const streams = 5
	for i := range uint32(streams) {
		p.headers(2*i+1, flagEndStream, get...)
	}
	mustFeed(t, p)
	p.sent()
	body := make([]byte, 1<<20)
	sent := map[uint32]int{}
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
	write := func(s *Stream) {
		if s.User == nil {
			n, err := s.Write([]byte(head))
			if err != nil || n > 0 && n < len(head) {
				t.Fatalf("%d bytes of a head were taken: %v", n, err)
			}
			if n == 0 {
				return
			}
			s.User = "begun"
		}
		for {
			n, err := s.Write(body)
			if err != nil {
				t.Fatal(err)
			}
			if n < len(body) {
				return
			}
		}
	}
	for s := p.session.Next(); s != nil; s = p.session.Next() {
		write(s)
	}
	for range 200 {
		if pending := len(p.session.Output()); pending > outBound+100 {
			t.Fatalf("%d bytes are to be sent", pending)
		}
		for _, f := range p.sent() {
			if f.kind == kindData {
				sent[f.id] += f.length
			}
		}
		for s := p.session.Next(); s != nil; s = p.session.Next() {
			write(s)
		}
	}
	for id, n := range sent {
		if n < sent[1]/2 || n > sent[1]*2 {
			t.Errorf("stream %d has sent %d bytes, stream 1 %d", id, n, sent[1])
		}
	}
	if len(sent) != streams {
		t.Errorf("%d streams have sent something", len(sent))
	}
}

// TestWindows: no more is sent than there are windows for, and what was held back follows when they grow.
func TestWindows(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.frame(kindSettings, 0, 0, appendSetting(nil, settingWindow, 10))
	p.headers(1, flagEndStream, get...)
	mustFeed(t, p)
	p.sent()
	s := p.session.Next()
	const head, body = "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", "012345678901234567890123456789"
	n, err := s.Write([]byte(head + body))
	if n != len(head)+10 || err != nil || s.Writable() {
		t.Fatalf("%d bytes were taken, %v; writable: %t", n, err, s.Writable())
	}
	rest := body[10:]
	p.sent()
	for _, step := range []struct {
		grow func()
		want int
	}{
		{func() { p.word(kindWindow, 1, 5) }, 5},
		{func() { p.frame(kindSettings, 0, 0, appendSetting(nil, settingWindow, 4)) }, 0}, // it is 6 below nothing now
		{func() { p.word(kindWindow, 1, 6) }, 0},
		{func() { p.word(kindWindow, 1, 1) }, 1},
		{func() { p.frame(kindSettings, 0, 0, appendSetting(nil, settingWindow, 6)) }, 2},
		{func() { p.word(kindWindow, 1, 100) }, 12},
	} {
		step.grow()
		mustFeed(t, p)
		next := p.session.Next()
		if (next != nil) != (step.want > 0) {
			t.Fatalf("a stream may write: %t, want %d bytes", next != nil, step.want)
		}
		if next == nil {
			continue
		}
		n, err := next.Write([]byte(rest))
		if n != step.want || err != nil {
			t.Fatalf("%d bytes were taken, want %d: %v", n, step.want, err)
		}
		rest = rest[n:]
	}
}

// TestWindowGrows: a stream whose user reads may hold more, as long as not all do, and gives that back.
func TestWindowGrows(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	var streams []*Stream
	for id := uint32(1); id < 20; id += 2 {
		p.headers(id, 0, get...)
		mustFeed(t, p)
		s := p.session.streams[id]
		streams = append(streams, s)
		for range 2 * mostWindow / frameSize {
			p.frame(kindData, 0, id, make([]byte, frameSize))
			mustFeed(t, p)
			if _, err := readAll(s); !errors.Is(err, ErrNothing) {
				t.Fatal(err)
			}
			if open := s.recvWindow + s.consumed; open != s.window || s.window > mostWindow {
				t.Fatalf("%d bytes of a window of %d", open, s.window)
			}
		}
	}
	grown := 0
	for _, s := range streams {
		grown += s.window - streamWindow
	}
	if streams[0].window != mostWindow || streams[9].window != streamWindow || grown > spareWindow || grown+p.session.spare != spareWindow {
		t.Errorf("windows have grown by %d, the first to %d, the last to %d; %d are spare", grown, streams[0].window, streams[9].window, p.session.spare)
	}
	for _, s := range streams {
		s.Close(CodeCancel)
	}
	if p.session.spare != spareWindow {
		t.Errorf("%d are spare when all streams are closed", p.session.spare)
	}
}

// TestMostHeld: a peer may send little when all sessions together hold much that was not read, and more when they do not any more.
func TestMostHeld(t *testing.T) {
	pool := new(Pool)
	p := newPeer(t, NewServer(pool))
	fill := func(id uint32) (n int) {
		p.headers(id, 0, get...)
		mustFeed(t, p)
		for s := p.session.streams[id]; s.recvWindow >= frameSize && p.session.recvWindow >= frameSize; n += frameSize {
			p.frame(kindData, 0, id, make([]byte, frameSize))
			mustFeed(t, p)
		}
		return n
	}
	const streams = 40
	total := 0
	for id := uint32(1); id < 2*streams; id += 2 {
		total += fill(id)
	}
	if total != streams*streamWindow || p.session.held != total || pool.held != total {
		t.Errorf("%d bytes have come, %d are held, want %d", total, p.session.held, streams*streamWindow)
	}

	pool.held += mostHeld // by others
	total = 0
	for id := uint32(2*streams + 1); id < 4*streams; id += 2 {
		total += fill(id)
	}
	if total > connectionWindow || total <= connectionWindow/2 {
		t.Errorf("%d bytes have come while others hold much", total)
	}
	before := p.session.recvWindow
	if p.session.Lend(); p.session.recvWindow != before {
		t.Errorf("the window grows from %d to %d", before, p.session.recvWindow)
	}
	pool.held -= mostHeld
	if p.session.Lend(); p.session.recvWindow <= connectionWindow/2 {
		t.Errorf("a window of %d stays when there is room again", p.session.recvWindow)
	}
	for _, s := range p.session.streams {
		s.Close(CodeCancel)
	}
	if s := p.session; s.held != 0 || s.lent != 0 || pool.held != 0 || s.recvWindow+s.consumed != connectionWindow {
		t.Errorf("%d bytes are held, %d lent, %d of all; the window is %d and %d", s.held, s.lent, pool.held, s.recvWindow, s.consumed)
	}
}

// TestNeverCompressed: a field that came so is sent on so.
func TestNeverCompressed(t *testing.T) {
	pool := new(Pool)
	p := newPeer(t, NewServer(pool))
	block := p.block(get...)
	block = appendText(appendText(append(block, 0x10), "x-key"), "secret")
	p.frame(kindHeaders, flagEndHeaders|flagEndStream, 1, block)
	mustFeed(t, p)
	text, _ := readAll(p.session.Next())
	client := newPeer(t, NewClient(pool))
	for range 4 {
		ask(t, client.session, text)
		for _, f := range client.sent() {
			if !bytes.Contains(f.payload, append([]byte{0x10, 5}, "x-key\x06secret"...)) {
				t.Errorf("the field is sent in %q", f.payload)
			}
		}
	}
}

// TestRecycledStreams: a stream has nothing of the one that was there before.
func TestRecycledStreams(t *testing.T) {
	pool := new(Pool)
	p := newPeer(t, NewClient(pool))
	s := ask(t, p.session, "GET / HTTP/1.0\r\nHost: web\r\n\r\n")
	s.User = 1
	s.Close(CodeCancel)
	q := newPeer(t, NewServer(pool))
	q.headers(1, flagEndStream, get...)
	mustFeed(t, q)
	if next := q.session.Next(); next.User != nil || next.Err() != nil {
		t.Errorf("a new stream has %v of another", next.User)
	}
}
