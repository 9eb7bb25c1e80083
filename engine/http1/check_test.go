package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// message is the head of a message as a test has it, with whatever follows.
type message struct {
	raw      []byte
	response bool
	to       Method // of a response
}

func (m message) parse(buf []byte, h *Head) (int, error) {
	if m.response {
		return ParseResponse(buf, h, m.to)
	}
	return ParseRequest(buf, h)
}

// outcome is in words what a parse has found.
func (m message) outcome(h *Head, n int, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case n == 0:
		return "incomplete"
	}
	words := fmt.Sprintf("%s %s", h.Method(m.raw), h.Target(m.raw))
	if m.response {
		words = fmt.Sprint(h.Status())
	}
	words += fmt.Sprintf(" 1.%d %s", h.Minor(), [...]string{"none", "length", "chunked", "close"}[h.Framing().Kind])
	if h.Framing().Kind == LengthBody {
		words += fmt.Sprintf("=%d", h.Framing().Length)
	}
	for _, say := range []struct {
		so   bool
		word string
	}{
		{h.KeepAlive(), "keep"},
		{h.Upgrades(), "upgrade"},
		{h.Expects() == ExpectContinue, "continue"},
		{h.Expects() == ExpectOther, "expects"},
	} {
		if say.so {
			words += " " + say.word
		}
	}
	return words
}

// check parses a message, wants all that must hold for every one to hold, and returns the outcome.
func (m message) check(t *testing.T) string {
	t.Helper()
	var h Head
	n, err := m.parse(m.raw, &h)
	want := m.outcome(&h, n, err)
	m.checkSplits(t, want)
	if err != nil || n == 0 {
		return want
	}
	if n > len(m.raw) || !bytes.HasSuffix(m.raw[:n], []byte("\r\n\r\n")) {
		t.Fatalf("%q: the head has %d bytes", m.raw, n)
	}
	m.checkWritten(t, &h)
	m.raw = m.raw[:n]
	m.checkStandardLibrary(t, &h)
	return want
}

// checkSplits wants a message that comes in pieces to be the same.
func (m message) checkSplits(t *testing.T, want string) {
	t.Helper()
	var h Head
	for split := range min(len(m.raw), 500) {
		h.Reset()
		n, err := m.parse(m.raw[:split], &h)
		if n == 0 && err == nil {
			n, err = m.parse(m.raw, &h)
		}
		if got := m.outcome(&h, n, err); got != want {
			t.Fatalf("%q is %s, but %s when cut at %d", m.raw, want, got, split)
		}
	}
	h.Reset()
	n, err := 0, error(nil)
	for end := 0; end <= len(m.raw) && n == 0 && err == nil; end += 1 + len(m.raw)/1000 {
		n, err = m.parse(m.raw[:end], &h)
	}
	if n == 0 && err == nil {
		n, err = m.parse(m.raw, &h)
	}
	if got := m.outcome(&h, n, err); got != want {
		t.Fatalf("%q is %s, but %s in small pieces", m.raw, want, got)
	}
}

// checkWritten wants what is written to be read as what came, and to be written again byte for byte.
func (m message) checkWritten(t *testing.T, h *Head) {
	t.Helper()
	if h.Len() == MaxFields || len(m.raw) > MaxHead-100 {
		return // with a field more it is too much
	}
	for _, edits := range []Edits{{}, {Close: true}, {KeepAlive: true, Upgrade: true}} {
		written := message{raw: m.append(h, m.raw, &edits), response: m.response, to: m.to}
		var again Head
		n, err := written.parse(written.raw, &again)
		if err != nil || n != len(written.raw) {
			t.Fatalf("%q is written as %q, which is %s", m.raw, written.raw, written.outcome(&again, n, err))
		}
		if h.Framing() != again.Framing() || !bytes.Equal(h.Target(m.raw), again.Target(written.raw)) ||
			!bytes.Equal(h.Authority(m.raw), again.Authority(written.raw)) || h.Status() != again.Status() ||
			h.Minor() != again.Minor() || h.Expects() != again.Expects() || edits.Close && again.KeepAlive() {
			t.Fatalf("%q is written as %q, which is another message", m.raw, written.raw)
		}
		if twice := m.append(&again, written.raw, &edits); !bytes.Equal(twice, written.raw) {
			t.Fatalf("%q is written as %q and then as %q", m.raw, written.raw, twice)
		}
	}
}

func (m message) append(h *Head, buf []byte, e *Edits) []byte {
	if m.response {
		return AppendResponse(nil, buf, h, e)
	}
	return AppendRequest(nil, buf, h, e)
}

// checkStandardLibrary wants net/http to accept the message too, and the same body behind it.
func (m message) checkStandardLibrary(t *testing.T, h *Head) {
	t.Helper()
	const body = "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
	framing := h.Framing()
	want, length := "", int64(0)
	switch framing.Kind {
	case ChunkedBody:
		want, length = "hello", -1
	case LengthBody:
		want, length = body[:min(framing.Length, int64(len(body)))], framing.Length
	case UntilClose:
		want, length = body, -1
	}
	got, gotLength, err := m.readStandard(h, body)
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", m.raw, err)
	}
	if got != want || !h.bodiless && gotLength != length {
		t.Fatalf("net/http reads a body %q of length %d from %q, want %q of length %d", got, gotLength, m.raw, want, length)
	}
}

// readStandard returns the body that net/http sees when these bytes follow on a head, and the length that it announces.
func (m message) readStandard(h *Head, body string) (string, int64, error) {
	head := m.raw[h.start:]
	if !m.response {
		// net/http reads targets as URLs; how they are written frames nothing.
		target := "/"
		if h.Form() == FormAuthority {
			target = "a:1"
		}
		head = AppendRequest(nil, m.raw, h, &Edits{Target: []byte(target), Upgrade: true})
		request, err := http.ReadRequest(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), strings.NewReader(body)), 1<<17))
		if err != nil {
			return "", 0, err
		}
		text, err := io.ReadAll(request.Body)
		return string(text), request.ContentLength, short(err)
	}
	methods := map[Method]string{MethodHead: "HEAD", MethodConnect: "CONNECT"}
	response, err := http.ReadResponse(bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), strings.NewReader(body)), 1<<17),
		&http.Request{Method: methods[m.to]})
	if err != nil {
		return "", 0, err
	}
	if h.tunnels() {
		return "", 0, nil // net/http leaves it to its caller that this is no body
	}
	text, err := io.ReadAll(response.Body)
	return string(text), response.ContentLength, short(err)
}

// short forgives that there are fewer bytes than a length announces.
func short(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func TestIsGRPC(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "Application/GRPC;a=b": true, "application/grpc ; a=b": true,
		"": false, "application/grp": false, "application/grpc-web": false, "application/grpc-web+proto": false, "text/plain": false,
	} {
		if got := IsGRPC([]byte(contentType)); got != want {
			t.Errorf("%q: %v", contentType, got)
		}
	}
}
