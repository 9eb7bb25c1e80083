package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// claims are names under which a stranger could say what only proxies have to.
var claims = []string{
	"X-Forwarded-For", "x-forwarded-host", "X-FORWARDED-PROTO", "X-Forwarded-Client-Cert", "X-Forwarded-Anything-That-Is-Long", "Forwarded", "FORWARDED",
	"X-Real-IP", "X-Request-ID", "x-mesh-source", "X-Mesh-A", "X-Mesh-", "X-Meshd-Source",
}

func TestOfProxies(t *testing.T) {
	for _, name := range claims {
		for _, spelled := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.Replace(name, "-", "_", 1)} {
			if !OfProxies(spelled) || !OfProxies([]byte(spelled)) {
				t.Errorf("%s is believed", spelled)
			}
		}
	}
	for _, name := range []string{
		"", "x", "X-A", "Host", "Via", "Forward", "Forwarded-By", "X-Forwarded", "X-Forwarder-For", "X-Real-IPs", "X-Real", "X-Request-Id-2", "X-Meshed", "X-Mesh", "From",
		"Traceparent", "x-forwardedfor", "XX-Forwarded-For", "_Forwarded",
	} {
		if OfProxies(name) {
			t.Errorf("%q is for proxies to say", name)
		}
	}
}

// headOf parses a request with these lines of fields.
func headOf(t *testing.T, lines ...string) ([]byte, *Head) {
	t.Helper()
	raw := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
	var h Head
	if n, err := ParseRequest(raw, &h); n != len(raw) || err != nil {
		t.Fatalf("%.200q: parsed %d bytes, %v", raw, n, err)
	}
	return raw, &h
}

func TestCheckStranger(t *testing.T) {
	tests := map[string]struct {
		lines []string
		want  error
	}{
		"nothing special":    {[]string{"Accept: */*", "Cookie: a_b=c_d", "Connection: keep-alive, X-Hop", "X-Hop: a_b"}, nil},
		"claims":             {[]string{"X-Forwarded-For: 1.2.3.4", "Forwarded: for=a", "X-Request-ID: a"}, nil}, // which are left out
		"underscore":         {[]string{"X_A: b"}, ErrUnderscore},
		"only an underscore": {[]string{"_: b"}, ErrUnderscore},
		"claim in disguise":  {[]string{"X_Forwarded_For: 1.2.3.4"}, ErrUnderscore},
		"as many as may be":  {slice("A: b", MaxStrangerFields-1), nil},
		"too many":           {slice("A: b", MaxStrangerFields), ErrTooMany},
		"as long as may be":  {[]string{"A: " + strings.Repeat("b", MaxStrangerHead-len("GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n"))}, nil},
		"too long":           {[]string{"A: " + strings.Repeat("b", MaxStrangerHead-len("GET / HTTP/1.1\r\nHost: a\r\nA: \r\n\r\n")+1)}, ErrTooLarge},
		"names traceparent":  {[]string{"Connection: close, Traceparent"}, ErrReserved},
		"names tracestate":   {[]string{"Connection: a", "Connection: tracestate"}, ErrReserved},
	}
	for _, name := range claims {
		tests["names "+name] = struct {
			lines []string
			want  error
		}{[]string{"Connection: keep-alive", "A: b", "connection: a ,\t" + strings.ReplaceAll(name, "-", "_") + " "}, ErrReserved}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			raw, h := headOf(t, test.lines...)
			if err := h.CheckStranger(raw); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func slice(line string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = line
	}
	return all
}

// TestFromStranger wants what only proxies have to say to be left out, also what is looked up, and what is set to stay.
func TestFromStranger(t *testing.T) {
	lines := []string{"A: b"}
	for _, name := range claims {
		lines = append(lines, name+": c", "a: "+name)
	}
	raw, h := headOf(t, append(lines, "Connection: A", "Traceparent: d")...)
	got := string(AppendRequest(nil, raw, h, &Edits{FromStranger: true, Set: []Field{{"x-request-id", []byte("own")}}}))
	if want := "GET / HTTP/1.1\r\nHost: a\r\nTraceparent: d\r\nx-request-id: own\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, name := range claims {
		for strange := range 2 {
			f := Fields{Data: raw, Head: h, FromStranger: strange == 1}
			if _, found := f.Field(name, 0); found == f.FromStranger {
				t.Errorf("field %s: found %v, of a stranger %v", name, found, f.FromStranger)
			}
		}
	}
	for _, e := range []*Edits{{Set: []Field{{"B", nil}, {"a", nil}}}, {Add: []Field{{"A", nil}}}} {
		if err := h.CheckEdits(raw, e); !errors.Is(err, ErrReserved) {
			t.Errorf("what is set is taken away: %v", err)
		}
	}
	if err := h.CheckEdits(raw, &Edits{Remove: []string{"a"}, Set: []Field{{"b", nil}}}); err != nil {
		t.Error(err)
	}
}

func TestTrailersOfStrangers(t *testing.T) {
	for _, test := range []struct {
		name string
		want error
	}{
		{"X-Sum", nil}, {"X-Forwarded", nil}, {"X-Sum_A", ErrReserved}, {strings.Repeat("a", 100) + "_", ErrReserved}, {"X-Forwarded-Client-Cert", ErrReserved},
		{"x_mesh_a", ErrReserved}, {"Forwarded", ErrReserved}, {"X-Request-Id", ErrReserved}, {"Host", ErrTrailer},
	} {
		for size := 1; size < 40; size += 13 {
			raw := fmt.Appendf(nil, "1\r\na\r\n0\r\nX-A: b\r\n%s: c_d\r\n\r\n", test.name)
			for stranger := range 2 {
				var b Body
				b.Begin(Framing{Kind: ChunkedBody})
				want := test.want
				if stranger == 1 {
					b.FromStranger()
				} else if errors.Is(want, ErrReserved) {
					want = nil
				}
				var err error
				for rest := raw; len(rest) > 0 && err == nil; rest = rest[min(size, len(rest)):] {
					_, _, err = b.Feed(rest[:min(size, len(rest))])
				}
				if !errors.Is(err, want) || b.Done() != (want == nil) {
					t.Errorf("%.40s, of a stranger %v: %v, want %v", test.name, stranger == 1, err, want)
				}
			}
		}
	}
}

// FuzzStranger looks for a head that is well and still brings on what only proxies have to say, or loses something else.
func FuzzStranger(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h, strange, plain Head
		n, err := ParseRequest(raw, &h)
		if n == 0 || err != nil || h.CheckStranger(raw[:n]) != nil {
			return
		}
		clean := AppendRequest(nil, raw[:n], &h, &Edits{FromStranger: true})
		if m, err := ParseRequest(clean, &strange); m != len(clean) || err != nil {
			t.Fatalf("%q becomes %q, which is none: %v", raw[:n], clean, err)
		}
		all := AppendRequest(nil, raw[:n], &h, &Edits{})
		if m, err := ParseRequest(all, &plain); m != len(all) || err != nil {
			t.Fatalf("%q becomes %q, which is none: %v", raw[:n], all, err)
		}
		at := 0
		for i := range plain.Len() {
			name, value := plain.Field(all, i)
			if OfProxies(name) {
				continue
			}
			if at == strange.Len() {
				t.Fatalf("%q loses %q", raw[:n], name)
			}
			got, gotValue := strange.Field(clean, at)
			if !bytes.Equal(got, name) || !bytes.Equal(gotValue, value) {
				t.Fatalf("%q: field %q is %q", raw[:n], name, got)
			}
			at++
		}
		if at != strange.Len() {
			t.Fatalf("%q brings %q", raw[:n], clean)
		}
	})
}
