package http2

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConnectionErrors: what ends a session, and with which code.
func TestConnectionErrors(t *testing.T) {
	block := []byte{0x82, 0x86, 0x84, 0x41, 1, 'w'} // GET / of w
	for name, test := range map[string]struct {
		client bool
		send   func(p *peer)
		want   Code
	}{
		"frame too long":              {false, func(p *peer) { p.frame(kindData, 0, 1, make([]byte, frameSize+1)) }, CodeFrameSize},
		"data of no stream":           {false, func(p *peer) { p.frame(kindData, 0, 0, nil) }, CodeProtocol},
		"fields of no stream":         {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 0, block) }, CodeProtocol},
		"reset of no stream":          {false, func(p *peer) { p.word(kindReset, 0, 0) }, CodeProtocol},
		"priority of no stream":       {false, func(p *peer) { p.frame(kindPriority, 0, 0, make([]byte, 5)) }, CodeProtocol},
		"settings of a stream":        {false, func(p *peer) { p.frame(kindSettings, 0, 1, nil) }, CodeProtocol},
		"ping of a stream":            {false, func(p *peer) { p.frame(kindPing, 0, 1, make([]byte, 8)) }, CodeProtocol},
		"leave of a stream":           {false, func(p *peer) { p.frame(kindGoAway, 0, 1, make([]byte, 8)) }, CodeProtocol},
		"short settings":              {false, func(p *peer) { p.frame(kindSettings, 0, 0, make([]byte, 5)) }, CodeFrameSize},
		"settings in an answer":       {false, func(p *peer) { p.frame(kindSettings, flagAck, 0, make([]byte, 6)) }, CodeFrameSize},
		"short ping":                  {false, func(p *peer) { p.frame(kindPing, 0, 0, make([]byte, 7)) }, CodeFrameSize},
		"short leave":                 {false, func(p *peer) { p.frame(kindGoAway, 0, 0, make([]byte, 7)) }, CodeFrameSize},
		"short reset":                 {false, func(p *peer) { p.frame(kindReset, 0, 1, make([]byte, 3)) }, CodeFrameSize},
		"long priority":               {false, func(p *peer) { p.frame(kindPriority, 0, 1, make([]byte, 6)) }, CodeFrameSize},
		"short window":                {false, func(p *peer) { p.frame(kindWindow, 0, 0, make([]byte, 3)) }, CodeFrameSize},
		"no window":                   {false, func(p *peer) { p.word(kindWindow, 0, 0) }, CodeProtocol},
		"window overflows":            {false, func(p *peer) { p.word(kindWindow, 0, maxWindow) }, CodeFlowControl},
		"setting of windows":          {false, func(p *peer) { p.frame(kindSettings, 0, 0, appendSetting(nil, settingWindow, maxWindow+1)) }, CodeFlowControl},
		"setting of frames, small":    {false, func(p *peer) { p.frame(kindSettings, 0, 0, appendSetting(nil, settingFrameSize, frameSize-1)) }, CodeProtocol},
		"setting of frames, large":    {false, func(p *peer) { p.frame(kindSettings, 0, 0, appendSetting(nil, settingFrameSize, 1<<24)) }, CodeProtocol},
		"setting of pushes":           {false, func(p *peer) { p.frame(kindSettings, 0, 0, appendSetting(nil, settingPush, 2)) }, CodeProtocol},
		"server that pushes":          {true, func(p *peer) { p.frame(kindSettings, 0, 0, appendSetting(nil, settingPush, 1)) }, CodeProtocol},
		"push to a client":            {true, func(p *peer) { p.frame(kindPush, flagEndHeaders, 1, append(make([]byte, 4), block...)) }, CodeProtocol},
		"push to a server":            {false, func(p *peer) { p.frame(kindPush, flagEndHeaders, 1, append(make([]byte, 4), block...)) }, CodeProtocol},
		"even stream":                 {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 2, block) }, CodeProtocol},
		"stream of the server's":      {true, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 2, []byte{0x88}) }, CodeProtocol},
		"answer to nothing":           {true, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 1, []byte{0x88}) }, CodeProtocol},
		"data of an idle stream":      {false, func(p *peer) { p.frame(kindData, 0, 1, nil) }, CodeProtocol},
		"reset of an idle stream":     {false, func(p *peer) { p.word(kindReset, 1, 0) }, CodeProtocol},
		"window of an idle stream":    {false, func(p *peer) { p.word(kindWindow, 1, 1) }, CodeProtocol},
		"window of their idle stream": {true, func(p *peer) { p.word(kindWindow, 1, 1) }, CodeProtocol},
		"going back": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders, 5, block)
			p.frame(kindHeaders, flagEndHeaders, 3, block)
		}, CodeProtocol},
		"padding of fields": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders|flagPadded, 1, append([]byte{7}, block...))
		}, CodeProtocol},
		"no padding":               {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders|flagPadded, 1, nil) }, CodeFrameSize},
		"short priority of fields": {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders|flagPriority, 1, make([]byte, 4)) }, CodeFrameSize},
		"depends on itself":        {false, func(p *peer) { p.frame(kindPriority, 0, 1, []byte{0, 0, 0, 1, 0}) }, CodeProtocol},
		"fields that depend on that": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders|flagPriority, 1, append([]byte{0, 0, 0, 1, 0}, block...))
		}, CodeProtocol},
		"padding of data": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders, 1, block)
			p.frame(kindData, flagPadded, 1, []byte{2, 0})
		}, CodeProtocol},
		"no padding of data": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders, 1, block)
			p.frame(kindData, flagPadded, 1, nil)
		}, CodeFrameSize},
		"continuation of nothing": {false, func(p *peer) { p.frame(kindContinuation, flagEndHeaders, 1, nil) }, CodeProtocol},
		"frame among fields": {false, func(p *peer) {
			p.frame(kindHeaders, 0, 1, block)
			p.frame(kindPing, 0, 0, make([]byte, 8))
		}, CodeProtocol},
		"continuation of another": {false, func(p *peer) {
			p.frame(kindHeaders, 0, 1, block)
			p.frame(kindContinuation, flagEndHeaders, 3, nil)
		}, CodeProtocol},
		"broken compression":         {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 1, []byte{0x80}) }, CodeCompression},
		"broken compression, behind": {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}) }, CodeCompression},
		"late size of a table":       {false, func(p *peer) { p.frame(kindHeaders, flagEndHeaders, 1, append(block, 0x20)) }, CodeCompression},
		"large size of a table": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders, 1, append(appendInteger(nil, 0x20, 5, tableSize+1), block...))
		}, CodeCompression},
		"fields of a closed stream": {false, func(p *peer) {
			p.frame(kindHeaders, flagEndHeaders|flagEndStream, 1, block)
			if p.feed() == nil {
				s := p.session.Next()
				if _, err := s.Write([]byte("HTTP/1.1 204 \r\n\r\n")); err != nil {
					p.t.Error(err)
				}
				s.Close(CodeCancel)
			}
			p.sent()
			p.frame(kindHeaders, flagEndHeaders|flagEndStream, 1, block)
		}, CodeStreamClosed},
		"many continuations": {false, func(p *peer) {
			p.frame(kindHeaders, 0, 1, block)
			for range maxContinuations + 1 {
				p.frame(kindContinuation, 0, 1, []byte{0x84})
			}
		}, CodeCalm},
		"endless fields": {false, func(p *peer) {
			p.frame(kindHeaders, 0, 1, block)
			for range 5 {
				p.frame(kindContinuation, 0, 1, make([]byte, frameSize))
			}
		}, CodeCalm},
		"fields that grow": {false, func(p *peer) {
			bomb := appendText(appendText([]byte{0x40}, "x"), strings.Repeat("y", 4000))
			p.frame(kindHeaders, flagEndHeaders, 1, append(bomb, bytes.Repeat([]byte{0xbe}, 10000)...))
		}, CodeCalm},
		"more than the connection has room for": {false, func(p *peer) {
			p.session.recvWindow = streamWindow // which many streams would have left of it
			p.frame(kindHeaders, flagEndHeaders, 1, block)
			p.frame(kindHeaders, flagEndHeaders, 3, block)
			for range streamWindow / frameSize {
				p.frame(kindData, 0, 1, make([]byte, frameSize))
				p.frame(kindData, 0, 3, make([]byte, frameSize))
			}
		}, CodeFlowControl},
	} {
		t.Run(name, func(t *testing.T) {
			session := NewServer(new(Pool))
			if test.client {
				session = NewClient(new(Pool))
			}
			p := newPeer(t, session)
			test.send(p)
			pieces := bytes.Clone(p.out)
			err := p.feed()
			var failed *ConnectionError
			if !errors.As(err, &failed) || failed.Code != test.want {
				t.Fatalf("fed: %v, want %v", err, test.want)
			}
			frames := p.sent()
			if last := frames[len(frames)-1].String(); !strings.HasSuffix(last, test.want.String()) || !strings.HasPrefix(last, "leave") {
				t.Errorf("the last frame is %q", last)
			}
			if err := session.Feed(pieces, p.now); !errors.As(err, &failed) || len(session.Output()) > 0 {
				t.Errorf("fed again: %v, and %d bytes are to be sent", err, len(session.Output()))
			}
			for s := session.Next(); s != nil; s = session.Next() {
				s.Close(CodeCancel)
			}
			if session.Len() != 0 || !session.IsOver() {
				t.Errorf("%d streams are left", session.Len())
			}
		})
	}
}

// TestStreamErrors: what resets a stream and leaves the others alone.
func TestStreamErrors(t *testing.T) {
	post := []string{":method: POST", ":scheme: http", ":path: /", ":authority: web"}
	for name, test := range map[string]struct {
		send func(p *peer)
		want Code
	}{
		"more than was announced": {func(p *peer) {
			p.headers(1, 0, with(post, "content-length: 2")...)
			p.frame(kindData, 0, 1, []byte("abc"))
		}, CodeProtocol},
		"more behind what was announced": {func(p *peer) {
			p.headers(1, 0, with(post, "content-length: 2")...)
			p.frame(kindData, 0, 1, []byte("ab"))
			p.frame(kindData, flagEndStream, 1, []byte("c"))
		}, CodeProtocol},
		"a body where none was announced": {func(p *peer) {
			p.headers(1, 0, with(post, "content-length: 0")...)
			p.frame(kindData, flagEndStream, 1, []byte("c"))
		}, CodeProtocol},
		"less than was announced": {func(p *peer) {
			p.headers(1, 0, with(post, "content-length: 2")...)
			p.frame(kindData, flagEndStream, 1, []byte("a"))
		}, CodeProtocol},
		"trailers before all has come": {func(p *peer) {
			p.headers(1, 0, with(post, "content-length: 2")...)
			p.headers(1, flagEndStream, "x: y")
		}, CodeProtocol},
		"trailers that are no end":     {func(p *peer) { p.headers(1, 0, post...); p.headers(1, 0, "x: y") }, CodeProtocol},
		"pseudo-field behind a body":   {func(p *peer) { p.headers(1, 0, post...); p.headers(1, flagEndStream, ":path: /") }, CodeProtocol},
		"length behind a body":         {func(p *peer) { p.headers(1, 0, post...); p.headers(1, flagEndStream, "content-length: 0") }, CodeProtocol},
		"authorization behind a body":  {func(p *peer) { p.headers(1, 0, post...); p.headers(1, flagEndStream, "authorization: x") }, CodeProtocol},
		"window that grows by nothing": {func(p *peer) { p.headers(1, 0, post...); p.word(kindWindow, 1, 0) }, CodeProtocol},
		"window that overflows":        {func(p *peer) { p.headers(1, 0, post...); p.word(kindWindow, 1, maxWindow) }, CodeFlowControl},
		"more than there is room for": {func(p *peer) {
			p.headers(1, 0, post...)
			for range streamWindow/frameSize + 1 {
				p.frame(kindData, 0, 1, make([]byte, frameSize))
			}
		}, CodeFlowControl},
		"data behind the end":   {func(p *peer) { p.headers(1, flagEndStream, post...); p.frame(kindData, 0, 1, nil) }, CodeStreamClosed},
		"fields behind the end": {func(p *peer) { p.headers(1, flagEndStream, post...); p.headers(1, flagEndStream, "x: y") }, CodeStreamClosed},
	} {
		for _, seen := range []bool{false, true} {
			p := newPeer(t, NewServer(new(Pool)))
			test.send(p)
			var s *Stream
			all := p.out
			if seen {
				n := headerSize + readFrame(all).length
				p.out = all[:n]
				if err := p.feed(); err != nil {
					t.Fatal(err)
				}
				s = p.session.Next()
				p.out = all[n:]
			}
			if err := p.feed(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := p.texts(); len(got) != 1 || got[0] != "reset 1 "+test.want.String() {
				t.Errorf("%s: answered with %q", name, got)
			}
			if seen {
				text, err := readAll(s)
				var reset *ResetError
				if !errors.As(err, &reset) || !reset.Ours || reset.Code != test.want {
					t.Errorf("%s: read %q, %v", name, text, err)
				}
				if m, _, _ := readMessage([]byte(text), true, 0); m != nil {
					t.Errorf("%s: a whole request was read", name)
				}
				s.Close(CodeCancel)
			}
			if s := p.session.Next(); s != nil || p.session.Len() != 0 || p.session.active != 0 {
				t.Errorf("%s: %d streams are left", name, p.session.Len())
			}
			if lost := connectionWindow - p.session.recvWindow - p.session.consumed; lost != 0 {
				t.Errorf("%s: %d bytes of the window are lost", name, lost)
			}
			p.headers(3, flagEndStream, get...)
			if err := p.feed(); err != nil || p.session.Next() == nil {
				t.Errorf("%s: the next request has not come: %v", name, err)
			}
		}
	}
}

// TestHeldBack: a message with a length is whole only when its end has come.
func TestHeldBack(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.headers(1, 0, with([]string{":method: POST"}, append(get[1:], "content-length: 2")...)...)
	p.frame(kindData, 0, 1, []byte("ab"))
	if err := p.feed(); err != nil {
		t.Fatal(err)
	}
	s := p.session.Next()
	if text, err := readAll(s); !strings.HasSuffix(text, "\r\n\r\na") || !errors.Is(err, ErrNothing) {
		t.Errorf("read %q, %v", text, err)
	}
	p.frame(kindData, flagEndStream, 1, nil)
	if err := p.feed(); err != nil {
		t.Fatal(err)
	}
	if p.session.Next() != s {
		t.Error("nobody is told of the end")
	}
	if text, err := readAll(s); text != "b" || !errors.Is(err, ErrNothing) {
		t.Errorf("read %q, %v", text, err)
	}
}

// TestPieces: bytes that come one by one are the same as those that come at once.
func TestPieces(t *testing.T) {
	p := newPeer(t, NewServer(new(Pool)))
	p.headers(1, 0, with([]string{":method: POST"}, get[1:]...)...)
	p.frame(kindData, flagPadded, 1, append([]byte{3}, "abcdef\x00\x00\x00"...))
	p.frame(kindPing, 0, 0, []byte("12345678"))
	p.frame(kindUnknown+5, 0, 1, []byte("xyz"))
	block := p.block(with(get, "a: "+strings.Repeat("b", 300))...)
	p.frame(kindHeaders, flagEndStream|flagPriority|flagPadded, 3, append([]byte{2, 0, 0, 0, 0, 9}, append(block[:20:20], 0, 0)...))
	p.frame(kindContinuation, 0, 3, block[20:50])
	p.frame(kindContinuation, flagEndHeaders, 3, block[50:])
	p.headers(1, flagEndStream, "x: y")
	p.word(kindReset, 3, uint32(CodeCancel))
	all := p.out
	var results []string
	for _, piece := range []int{1, 2, 11, len(all)} {
		session := NewServer(new(Pool))
		q := newPeer(t, session)
		texts := map[uint32]string{}
		for part := range slices.Chunk(all, piece) {
			if err := session.Feed(part, p.now); err != nil {
				t.Fatal(err)
			}
		}
		for s := session.Next(); s != nil; s = session.Next() {
			text, err := readAll(s)
			texts[s.ID()] += fmt.Sprintf("%s %v", text, err)
		}
		results = append(results, fmt.Sprint(texts, q.texts()))
	}
	for _, result := range results {
		if result != results[0] || !strings.Contains(result, "6\r\nabcdef\r\n0\r\nx: y") {
			t.Errorf("in pieces: %q, otherwise %q", result, results[0])
		}
	}
}

// TestPreface: nothing else is taken for it.
func TestPreface(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\r\n", Preface[:10] + "x", Preface + "\x00\x00\x00\x06\x00\x00\x00\x00\x00"} {
		s := NewServer(new(Pool))
		if !s.Waits() {
			t.Error("a session waits for nothing")
		}
		if err := s.Feed([]byte(text), time.Now()); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestIdleCost bounds what a session holds between two requests.
func TestIdleCost(t *testing.T) {
	const sessions = 400
	c := newCalls(t)
	var kept []*Session
	measure := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	p := c.client.pool
	c.call()
	before := measure()
	for range sessions {
		c.client, c.server = NewClient(p), NewServer(p)
		for range 20 {
			c.call()
		}
		kept = append(kept, c.client, c.server)
	}
	each := int(measure()-before) / len(kept)
	t.Logf("MEASURED: an idle session holds %d bytes, a stream %d beside what it has to read", each, reflect.TypeFor[Stream]().Size())
	if each > 10<<10 {
		t.Errorf("an idle session holds %d bytes", each)
	}
	runtime.KeepAlive(kept)
}
