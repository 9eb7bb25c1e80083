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

// follow feeds a body in pieces of that size, and returns how many bytes belong to it.
func follow(f Framing, p []byte, size int) (n int, done bool, err error) {
	var b Body
	b.Begin(f)
	for n < len(p) && err == nil && !b.Done() {
		var took int
		piece := p[n:min(len(p), n+size)]
		if took, done, err = b.Feed(piece); err == nil && took < len(piece) && !done {
			return n, false, fmt.Errorf("took %d of %d bytes and is not done", took, len(piece))
		}
		n += took
	}
	return n, b.Done(), err
}

// outcomeOf returns in words what a chunked body is, whose outcome must not depend on how it comes.
func outcomeOf(t *testing.T, raw []byte) string {
	t.Helper()
	want := ""
	for _, size := range []int{len(raw) + 1, 1, 2, 3, 7} {
		n, done, err := follow(Framing{Kind: ChunkedBody}, raw, size)
		got := fmt.Sprintf("%d %v %v", n, done, err)
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("%.200q: (bytes, done, error) is %s at once, but %s in pieces of %d", raw, want, got, size)
		}
	}
	return want
}

func TestChunks(t *testing.T) {
	good := []string{
		"0\r\n\r\n",
		"000\r\n\r\n",
		"5\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello\r\n6\r\n\r\n0\r\n\r\r\n0\r\n\r\n",
		"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
		"0000000000000005\r\nhello\r\n0\r\n\r\n",
		"5;a\r\nhello\r\n0;b\r\n\r\n",
		"5;a=b;c=\"d;\\\"\te\";f\r\nhello\r\n0\r\n\r\n",
		"5;a=\"\"\r\nhello\r\n0\r\n\r\n",
		"5;" + strings.Repeat("a", maxExtensions-3) + "\r\nhello\r\n0\r\n\r\n",
		"0\r\nA: b\r\n\r\n",
		"0\r\nA:\r\nB: \xc3\xa9\t c\r\n\r\n",
		"0\r\nGrpc-Status: 0\r\nTrailers: a\r\nTransfer-Encodings: a\r\nX-Transfer-Encoding: a\r\n\r\n",
		"0\r\nTraceparent: a\r\nX-Request-Id: b\r\n\r\n",
		"0\r\nA: " + strings.Repeat("b", maxTrailers-8) + "\r\n\r\n",
	}
	for _, raw := range good {
		for _, rest := range []string{"", "0\r\n\r\n", "GET / HTTP/1.1\r\n"} {
			if got, want := outcomeOf(t, []byte(raw+rest)), fmt.Sprintf("%d true <nil>", len(raw)); got != want {
				t.Errorf("%.200q: (bytes, done, error) is %s, want %s", raw+rest, got, want)
			}
		}
		for cut := range min(len(raw), 100) {
			if got, want := outcomeOf(t, []byte(raw[:cut])), fmt.Sprintf("%d false <nil>", cut); got != want {
				t.Errorf("%.200q: (bytes, done, error) is %s, want %s", raw[:cut], got, want)
			}
		}
	}
	bad := []struct {
		fine, rest string // the first byte of rest is the one that is wrong
		want       Error
	}{
		{"", "\r\n", ErrChunk},
		{"", "\n", ErrChunk},
		{"", " 5\r\nhello", ErrChunk},
		{"", "+5\r\nhello", ErrChunk},
		{"", "-1\r\nhello", ErrChunk},
		{"", ";a\r\nhello", ErrChunk},
		{"", "g\r\n", ErrChunk},
		{"", "\"5\"\r\n", ErrChunk},
		{"", "\xb5\r\n", ErrChunk},
		{"0", "x5\r\nhello", ErrChunk},
		{"5", " \r\nhello", ErrChunk},
		{"5", "\t\r\nhello", ErrChunk},
		{"5", "\nhello", ErrChunk},
		{"5", "\x00\r\nhello", ErrChunk},
		{"5", "_0\r\nhello", ErrChunk},
		{"5", ",5\r\nhello", ErrChunk},
		{"5", " ;a\r\nhello", ErrChunk},
		{"5\r", "hello", ErrChunk},
		{"5\r", "\r\nhello", ErrChunk},
		{"5\r\nhello", "\n0\r\n\r\n", ErrChunk},
		{"5\r\nhello", "0\r\n\r\n", ErrChunk},
		{"5\r\nhello", "!\r\n0\r\n\r\n", ErrChunk},
		{"5\r\nhello\r", "0\r\n\r\n", ErrChunk},
		{"5\r\nhello\r", "\r\n0\r\n\r\n", ErrChunk},
		{"5\r\nhello\r\n", "\r\n0\r\n\r\n", ErrChunk},
		{"0000000000000000", "0\r\n", ErrChunk},
		{"7fffffffffffffff", "f\r\n", ErrChunk},
		{"800000000000000", "0\r\n", ErrChunk},
		{"fffffffffffffff", "f\r\n", ErrChunk},
		{"5;", "\r\nhello", ErrChunk},
		{"5;", ";a\r\nhello", ErrChunk},
		{"5;", " a\r\nhello", ErrChunk},
		{"5;", "=b\r\nhello", ErrChunk},
		{"5;a", "\nhello", ErrChunk},
		{"5;a", "\x00\r\nhello", ErrChunk},
		{"5;a", " \r\nhello", ErrChunk},
		{"5;a=", "\r\nhello", ErrChunk},
		{"5;a=", ";b\r\nhello", ErrChunk},
		{"5;a=b", "=c\r\nhello", ErrChunk},
		{"5;a=b", "\"\r\nhello", ErrChunk},
		{"5;a=\"b", "\r\nhello", ErrChunk},
		{"5;a=\"b", "\n\"\r\nhello", ErrChunk},
		{"5;a=\"b\\", "\r\n\"\r\nhello", ErrChunk},
		{"5;a=\"b\"", "c\r\nhello", ErrChunk},
		{"5;" + strings.Repeat("a", maxExtensions-1), "a\r\nhello", ErrChunk},
		{"0\r\n", "\nA: b", ErrTrailer},
		{"0\r\n\r", "A: b", ErrTrailer},
		{"0\r\n", " A: b\r\n\r\n", ErrTrailer},
		{"0\r\n", ": b\r\n\r\n", ErrTrailer},
		{"0\r\nA", " : b\r\n\r\n", ErrTrailer},
		{"0\r\nA", "\r\n\r\n", ErrTrailer},
		{"0\r\nA: b", "\n\r\n", ErrTrailer},
		{"0\r\nA: b", "\x00\r\n\r\n", ErrTrailer},
		{"0\r\nA: b\r", "\r\n\r\n", ErrTrailer},
		{"0\r\nA: b\r\n", " c\r\n\r\n", ErrTrailer},
		{"0\r\nContent-Length", ": 5\r\n\r\n", ErrTrailer},
		{"0\r\ntransfer-ENCODING", ": chunked\r\n\r\n", ErrTrailer},
		{"0\r\nHost", ": a\r\n\r\n", ErrTrailer},
		{"0\r\nConnection", ": close\r\n\r\n", ErrTrailer},
		{"0\r\nAuthorization", ": a\r\n\r\n", ErrTrailer},
		{"0\r\nTrailer", ": a\r\n\r\n", ErrTrailer},
		{"0\r\nA: " + strings.Repeat("b", maxTrailers-3), "b\r\n\r\n", ErrTrailer},
	}
	for _, test := range bad {
		if got, want := outcomeOf(t, []byte(test.fine+test.rest)), fmt.Sprintf("%d false %v", len(test.fine), test.want); got != want {
			t.Errorf("%.200q: (bytes, done, error) is %s, want %s", test.fine+test.rest, got, want)
		}
	}
}

// TestChunkExcess: a body may have extensions everywhere, but must not be made of them.
func TestChunkExcess(t *testing.T) {
	extension := ";" + strings.Repeat("a", 200) + "\r\n"
	small := strings.Repeat("1"+extension+"x\r\n", 1000)
	if n, _, err := follow(Framing{Kind: ChunkedBody}, []byte(small), 1000); !errors.Is(err, ErrChunk) || n < maxExcess || n > 2*maxExcess {
		t.Errorf("extensions without data: error %v after %d bytes", err, n)
	}
	large := strings.Repeat("80"+extension+strings.Repeat("x", 128)+"\r\n", 1000) + "0\r\n\r\n"
	if n, done, err := follow(Framing{Kind: ChunkedBody}, []byte(large), 1000); err != nil || !done {
		t.Errorf("extensions with data: error %v after %d bytes", err, n)
	}
}

func TestBody(t *testing.T) {
	tests := []struct {
		framing Framing
		n       int
		done    bool
	}{
		{Framing{Kind: NoBody}, 0, true},
		{Framing{Kind: LengthBody}, 0, true},
		{Framing{Kind: LengthBody, Length: 3}, 3, true},
		{Framing{Kind: LengthBody, Length: 5}, 5, true},
		{Framing{Kind: LengthBody, Length: 6}, 5, false},
		{Framing{Kind: UntilClose}, 5, false},
	}
	for _, test := range tests {
		for size := 1; size < 7; size++ {
			if n, done, err := follow(test.framing, []byte("hello"), size); n != test.n || done != test.done || err != nil {
				t.Errorf("%v in pieces of %d: %d bytes, done %v, error %v", test.framing, size, n, done, err)
			}
		}
	}
}

// checkChunks wants what is accepted as a body of chunks to be one for net/http too, of the same bytes.
func checkChunks(t *testing.T, raw []byte) {
	t.Helper()
	outcomeOf(t, raw)
	n, done, err := follow(Framing{Kind: ChunkedBody}, raw, len(raw)+1)
	if err != nil || !done {
		return
	}
	if again, done, err := follow(Framing{Kind: ChunkedBody}, raw[:n], n+1); again != n || !done || err != nil {
		t.Fatalf("%q: %d bytes are a body, but alone %d, %v, %v", raw, n, again, done, err)
	}
	const head, next = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "next"
	whole := bufio.NewReaderSize(io.MultiReader(strings.NewReader(head), bytes.NewReader(raw[:n]), strings.NewReader(next)), 1<<16)
	request, err := http.ReadRequest(whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		t.Fatalf("net/http refuses the body %q: %v", raw[:n], err)
	}
	if rest, _ := io.ReadAll(whole); string(rest) != next {
		t.Fatalf("net/http sees the end of %q elsewhere: %q follows", raw[:n], rest)
	}
}

// TestNext wants the pieces of a body to be what net/http reads, however it comes and however little is wanted at once.
func TestNext(t *testing.T) {
	for _, raw := range []string{
		"0\r\n\r\n",
		"5\r\nhello\r\n0\r\n\r\n",
		"1\r\na\r\nb;x=y\r\nbcdefghijkl\r\n0\r\nGrpc-Status: 0\r\nA:b\r\n\r\n",
	} {
		checkNext(t, []byte(raw))
	}
	var b Body
	b.Begin(Framing{Kind: LengthBody, Length: 4})
	if n, data, _, err := b.Next([]byte("abcdef"), 3); n != 3 || string(data) != "abc" || err != nil {
		t.Errorf("got %d bytes, %q, %v", n, data, err)
	}
	if n, data, _, err := b.Next([]byte("def"), 3); n != 1 || string(data) != "d" || err != nil || !b.Done() {
		t.Errorf("got %d bytes, %q, %v, done %v", n, data, err, b.Done())
	}
}

// checkNext looks for chunks whose pieces are not what Feed follows.
func checkNext(t *testing.T, raw []byte) {
	t.Helper()
	wantN, wantDone, wantErr := follow(Framing{Kind: ChunkedBody}, raw, len(raw)+1)
	var first string
	for _, size := range []int{len(raw) + 1, 1, 2, 5} {
		var data, trailer []byte
		var b Body
		b.Begin(Framing{Kind: ChunkedBody})
		n, err := 0, error(nil)
		for most := size; n < len(raw) && err == nil && !b.Done(); most = size {
			var took int
			var d, tr []byte
			took, d, tr, err = b.Next(raw[n:min(len(raw), n+size)], most)
			data, trailer = append(data, d...), append(trailer, tr...)
			n += took
		}
		if n != wantN || b.Done() != wantDone || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%.200q in pieces of %d: %d %v %v, want %d %v %v", raw, size, n, b.Done(), err, wantN, wantDone, wantErr)
		}
		got := fmt.Sprintf("%q %q", data, trailer)
		if first == "" {
			first = got
		}
		if wantErr == nil && got != first {
			t.Fatalf("%.200q in pieces of %d: %s, at once %s", raw, size, got, first)
		}
	}
	if !wantDone {
		return
	}
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+string(raw))), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // it is stricter in places
	}
	if prefix := fmt.Sprintf("%q ", body); !strings.HasPrefix(first, prefix) {
		t.Fatalf("%.200q: got %s, net/http reads %s", raw, first, prefix)
	}
}

// TestSkip wants a body of which parts are passed on unread to end where one that is read does.
func TestUnreadBytes(t *testing.T) {
	chunks := []byte("5\r\nhello\r\n10000\r\n" + strings.Repeat("a", 1<<16) + "\r\n1\r\nb\r\n0\r\nA: b\r\n\r\n")
	for _, test := range []struct {
		framing Framing
		raw     []byte
		done    bool
	}{
		{Framing{Kind: ChunkedBody}, chunks, true},
		{Framing{Kind: LengthBody, Length: int64(len(chunks))}, chunks, true},
		{Framing{Kind: UntilClose}, chunks, false},
		{Framing{Kind: NoBody}, nil, true},
	} {
		var b Body
		b.Begin(test.framing)
		for at, skip := 0, true; at < len(test.raw); skip = !skip {
			if n := int(min(b.Unread(), int64(len(test.raw)-at), 40_000)); n > 0 && skip {
				b.Advance(n)
				at += n
				continue
			}
			n, _, err := b.Feed(test.raw[at:min(at+3, len(test.raw))])
			if err != nil {
				t.Fatalf("%+v at byte %d: %v", test.framing, at, err)
			}
			at += n
		}
		if b.Done() != test.done {
			t.Errorf("%+v: done is %t", test.framing, b.Done())
		}
	}
}

func TestGRPCStatusOfTrailers(t *testing.T) {
	tests := map[string]int{
		"Grpc-Status: 0": 0,
		"grpc-status:14": 14,
		"A: b\r\ngrpc-status: \t7 \r\ngrpc-message: 9": 7,
		"grpc-status: 13\r\ngrpc-status: 5":            5,
		"grpc-status: 255":                             255,
		"grpc-status: 256":                             -1,
		"grpc-status: 99999999999999999999":            -1,
		"grpc-status: -1":                              -1,
		"grpc-status: 1x":                              -1,
		"grpc-status:":                                 -1,
		"grpc-statuses: 1":                             -1,
		"grpc-statu: 1":                                -1,
		"x-grpc-status: 1":                             -1,
	}
	for trailers, want := range tests {
		raw := []byte("5\r\nhello\r\n0\r\n" + trailers + "\r\n\r\n")
		for size := range len(raw) {
			var b Body
			b.Begin(Framing{Kind: ChunkedBody})
			for from := 0; from < len(raw); from += size + 1 {
				if _, _, err := b.Feed(raw[from:min(from+size+1, len(raw))]); err != nil {
					t.Fatal(err)
				}
			}
			if got, ok := b.GRPCStatus(); ok != (want >= 0) || ok && got != want {
				t.Errorf("%q in pieces of %d: status %d, %v; want %d", trailers, size+1, got, ok, want)
			}
		}
	}
}
