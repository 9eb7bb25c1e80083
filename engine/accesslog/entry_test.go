package accesslog

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/meshd/meshd/engine/mesh"
)

func sample() *Entry {
	return &Entry{
		Begun:  time.Date(2026, 3, 1, 12, 0, 0, 7e6, time.FixedZone("CET", 3600)),
		Source: "web", Unit: "web.service", PID: 42, UID: 1000, Client: netip.MustParseAddrPort("127.0.0.1:40000"),
		Protocol: "HTTP/1.1", Method: []byte("GET"), Authority: []byte("hello.mesh"), Path: []byte("/a?b=c"),
		Destination: "hello", Target: "hello", Subset: "v2", Route: `router "hello" route 1`,
		Endpoint: &mesh.Endpoint{Host: "app-2", Address: netip.MustParseAddrPort("10.0.0.22:8080")},
		Attempts: 2, Code: 200, GRPC: -1, Reason: mesh.ReasonDone, Sent: 100, Received: 2000,
		Duration: 1234567 * time.Microsecond, UntilHead: 2 * time.Millisecond,
		RequestID: []byte("4bf92f35"), TraceID: []byte("0af7651916cd43dd8448eb211c80319c"),
	}
}

func TestLines(t *testing.T) {
	none := &Entry{Begun: time.Unix(0, 0), GRPC: 0, Reason: mesh.ReasonFlowUnknown}
	outside := &Entry{Begun: time.Unix(0, 0), GRPC: -1, Source: "host:app-1", Endpoint: &mesh.Endpoint{Hostname: "db.example.com", Address: netip.MustParseAddrPort("[2001:db8::1]:5432")}}
	for _, tc := range []struct {
		format Format
		entry  *Entry
		want   string
	}{
		{Text, sample(), `time=2026-03-01T11:00:00.007Z source=web unit=web.service pid=42 uid=1000 client=127.0.0.1:40000 protocol=HTTP/1.1 ` +
			`method=GET authority=hello.mesh path="/a?b=c" destination=hello target=hello/v2 route="router \"hello\" route 1" endpoint=app-2:8080 address=10.0.0.22:8080 ` +
			`attempts=2 code=200 reason=done sent=100 received=2000 duration_ms=1234.567 upstream_ms=2.000 request_id=4bf92f35 trace_id=0af7651916cd43dd8448eb211c80319c`},
		{JSON, sample(), `{"time":"2026-03-01T11:00:00.007Z","source":"web","unit":"web.service","pid":42,"uid":1000,"client":"127.0.0.1:40000","protocol":"HTTP/1.1",` +
			`"method":"GET","authority":"hello.mesh","path":"/a?b=c","destination":"hello","target":"hello/v2","route":"router \"hello\" route 1","endpoint":"app-2:8080","address":"10.0.0.22:8080",` +
			`"attempts":2,"code":200,"reason":"done","sent":100,"received":2000,"duration_ms":1234.567,"upstream_ms":2.000,"request_id":"4bf92f35","trace_id":"0af7651916cd43dd8448eb211c80319c"}`},
		{Text, none, `time=1970-01-01T00:00:00.000Z grpc_status=0 reason=flow-unknown sent=0 received=0 duration_ms=0.000`},
		{JSON, none, `{"time":"1970-01-01T00:00:00.000Z","grpc_status":0,"reason":"flow-unknown","sent":0,"received":0,"duration_ms":0.000}`},
		{JSON, outside, `{"time":"1970-01-01T00:00:00.000Z","source":"host:app-1","pid":0,"uid":0,"endpoint":"[2001:db8::1]:5432","sent":0,"received":0,"duration_ms":0.000}`},
	} {
		if got := string(tc.format.append(nil, tc.entry, &recent{})); got != tc.want+"\n" {
			t.Errorf("format %d: got  %s\nwant %s", tc.format, got, tc.want)
		}
	}
}

// hostile is what somebody may send to have a line lie.
var hostile = []string{
	"\" reason=done", "a\nb", "a\r\nb", "\x00\x01\x1f\x7f", "\xff\xfe", "\xc3", "ab\xe2\x28\xa1", "\\u000a", `","code":500,"x":"`, "\u2028\u2029\u202e\u0085\u2066",
	"\x1b[31mred", "", " ", "=", "ü€😀", "\xed\xa0\x80", "</script>", strings.Repeat("\xff", 1000),
}

func TestNothingEscapes(t *testing.T) {
	for _, value := range hostile {
		checkHostile(t, value)
	}
}

func FuzzLine(f *testing.F) {
	for _, value := range hostile {
		f.Add(value)
	}
	f.Fuzz(checkHostile)
}

// checkHostile wants a line that is one line, that has the value in it and nothing more, and shows no control characters.
func checkHostile(t *testing.T, value string) {
	e := sample()
	e.Method, e.Authority, e.Path, e.RequestID = []byte(value), []byte(value), []byte(value), []byte(value)
	var got map[string]any
	asJSON := JSON.append(nil, e, &recent{})
	if err := json.Unmarshal(asJSON, &got); err != nil {
		t.Fatalf("%q: %v in %s", value, err, asJSON)
	}
	for _, key := range []string{"method", "authority", "path", "request_id"} {
		said, _ := got[key].(string)
		if want := strings.ToValidUTF8(value, "\ufffd"); utf8.ValidString(value) && said != want {
			t.Errorf("%s is %q, want %q", key, said, want)
		}
		delete(got, key)
	}
	if len(got) != 20 || got["reason"] != "done" || got["code"] != 200.0 {
		t.Errorf("%q changed what else is said: %v", value, got)
	}
	for _, line := range [][]byte{asJSON, Text.append(nil, e, &recent{})} {
		if !utf8.Valid(line) {
			t.Errorf("%q: not UTF-8: %q", value, line)
		}
		for i, r := range string(line) {
			if last := i == len(line)-1; r < ' ' && (!last || r != '\n') || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x202e {
				t.Errorf("%q: control %q in %q", value, r, line)
			}
		}
	}
	if bare := " reason=done sent=100 received=2000 "; strings.Count(string(Text.append(nil, e, &recent{})), bare) != 1 {
		t.Errorf("%q: the line says something twice", value)
	}
}

func TestLineDoesNotAllocate(t *testing.T) {
	e, buf := sample(), make([]byte, 0, 4096)
	e.Path = []byte("/ü€😀\x00\xff")
	for _, format := range []Format{Text, JSON} {
		r := &recent{}
		if allocs := testing.AllocsPerRun(100, func() { buf = format.append(buf[:0], e, r) }); allocs != 0 {
			t.Errorf("format %d: %v allocations a line, want none", format, allocs)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	e, r, buf := sample(), &recent{}, make([]byte, 0, 4096)
	for b.Loop() {
		buf = JSON.append(buf[:0], e, r)
	}
}
