package proxy

import (
	"fmt"
	"slices"
	"strings"
)

// hostile is what a client sends on one connection to have a proxy and a server differ in what they read.
type hostile struct {
	text    string
	kind    hostileKind
	split   int // where to wait until what is before it has gone on; 0: nowhere
	answers int // of the endpoint: that to the requests before the hostile one included
}

type hostileKind int

const (
	noHead hostileKind = iota // the head of the last request is refused: nothing of it may go on
	noBody                    // its body is none, or not all there: it may never be a whole request to anybody
	tricky                    // it is HTTP, and must be as many requests to all
)

// smuggled is what the hostile requests want somebody to take for a request.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\nX-Smuggled: yes\r\n\r\n"

// hostileRequests returns requests of many families.
func hostileRequests() []hostile {
	var all []hostile
	for _, family := range []func() []hostile{
		requestLines, hosts, fieldNames, fieldBytes, lineEnds, lengths, codings, lengthsWithCodings, limits, otherProtocols, cutHeads,
		brokenBodies, cutBodies,
		trickyFramings, trickyPipelines, trickyExpectations, trickyUpgrades,
	} {
		all = append(all, family()...)
	}
	// The same behind a request that is well: what is not read as one by all would be its answer.
	for i, h := range all {
		if i%4 == 0 && h.kind == noHead {
			all = append(all, hostile{text: "GET /before HTTP/1.1\r\nHost: a\r\n\r\n" + h.text, answers: 1})
			all = append(all, hostile{text: "POST /before HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + h.text, answers: 1})
		}
	}
	return all
}

// each returns a request for each text that the format makes of one of the parts.
func each(kind hostileKind, format string, parts ...string) []hostile {
	all := make([]hostile, 0, len(parts))
	for _, part := range parts {
		all = append(all, hostile{text: fmt.Sprintf(format, part), kind: kind})
	}
	return all
}

func requestLines() []hostile {
	var bad []string
	for _, c := range bytesThat(func(c byte) bool { return !isTarget(c) }) {
		bad = append(bad, "GET /a"+c+"b HTTP/1.1", "GET /?a="+c+" HTTP/1.1", "GET "+c+"/ HTTP/1.1")
	}
	for _, c := range bytesThat(func(c byte) bool { return !isToken(c) }) {
		bad = append(bad, "G"+c+"T / HTTP/1.1")
	}
	return append(each(noHead, "%s\r\nHost: a\r\n\r\n"+smuggled, bad...), each(noHead, "%s\r\nHost: a\r\n\r\n"+smuggled,
		"GET", "GET /", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "\tGET / HTTP/1.1", "GET\t/ HTTP/1.1",
		"GET /\tHTTP/1.1", "GET\x0b/ HTTP/1.1", "GET /\x0cHTTP/1.1", "GET\r/ HTTP/1.1", "GET /a b HTTP/1.1", "GET /a\tb HTTP/1.1",
		"GET /a\x00b HTTP/1.1", "GET /a\x7fb HTTP/1.1", "GET /a\rb HTTP/1.1", "GET /a\x1b HTTP/1.1", "GET /#a HTTP/1.1", "GET /a#b?c HTTP/1.1",
		"G(T / HTTP/1.1", "G\x00T / HTTP/1.1", "G\xe9T / HTTP/1.1", "GET: / HTTP/1.1", "GET, / HTTP/1.1", "\"GET\" / HTTP/1.1", "GE[T / HTTP/1.1",
		"GET a HTTP/1.1", "GET ?a HTTP/1.1", "GET * HTTP/1.1", "GET \\a HTTP/1.1", "GET ../a HTTP/1.1", "POST * HTTP/1.1", "OPTIONS ** HTTP/1.1",
		"GET /a HTTP/1.1 HTTP/1.1", "GET /a HTTP/1.1\tHTTP/1.0", "GET /a HTTP/1.1 X-A: b",
		"GET / HTTP/0.9", "GET / HTTP/1.2", "GET / HTTP/1.10", "GET / HTTP/1.01", "GET / HTTP/01.1", "GET / HTTP/2.0", "GET / HTTP/2", "GET / HTTP/3.0",
		"GET / HTTP/1", "GET / HTTP/1.", "GET / HTTP/.1", "GET / HTTP/1,1", "GET / HTTP/1.1.1", "GET / HTTP/-1.1", "GET / HTTP/+1.1",
		"GET / HTTP/1.1\x00", "GET / http/1.1", "GET / Http/1.1", "GET / HTTPS/1.1", "GET / HTTP /1.1", "GET / HTTP/ 1.1", "GET / XTTP/1.1", "GET / 1.1",
		"GET http:/a/ HTTP/1.1", "GET http://a@b/ HTTP/1.1", "GET http://user:word@a/ HTTP/1.1", "GET http:///a HTTP/1.1", "GET http://b/ HTTP/1.1",
		"GET http://a:80/ HTTP/1.1", "GET http://a:8x/ HTTP/1.1", "GET http://a\\@b/ HTTP/1.1", "GET http://a/#b HTTP/1.1", "GET ftp://a/ HTTP/1.1",
		"GET file:///a HTTP/1.1", "GET a:80 HTTP/1.1", "GET javascript:a HTTP/1.1",
		"CONNECT a:80 HTTP/1.1", "CONNECT a HTTP/1.1", "CONNECT / HTTP/1.1", "CONNECT http://a:80/ HTTP/1.1", "CONNECT a:80 HTTP/1.0",
		"\r\n\r\n\r\nGET / HTTP/1.1", "\nGET / HTTP/1.1", "\n\nGET / HTTP/1.1", "\rGET / HTTP/1.1", "\r\n GET / HTTP/1.1", "X: y\r\nGET / HTTP/1.1",
	)...)
}

func hosts() []hostile {
	all := each(noHead, "GET / HTTP/1.1\r\n%s\r\n"+smuggled,
		"", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host: a\r\nX: y\r\nhost: a\r\n", "Host: a, b\r\n", "Host: a b\r\n", "Host: a\tb\r\n",
		"Host: a/b\r\n", "Host: a?b\r\n", "Host: a#b\r\n", "Host: a@b\r\n", "Host: http://a\r\n", "Host: a\\b\r\n", "Host: a:b\r\n", "Host: a:80:80\r\n",
		"Host: a:999999\r\n", "Host: a:-1\r\n", "Host: [::1\r\n", "Host: ::1]\r\n", "Host: [::1]a\r\n", "Host: [g::1]\r\n", "Host: a\x00\r\n", "Host: \x7f\r\n",
		"Host: a\"b\r\n", "Host: <a>\r\n", "Host: a^b\r\n", "Host: a|b\r\n", "Host: a`b\r\n", "Host: {a}\r\n",
		"Host : a\r\n", " Host: a\r\n", "Host\t: a\r\n", "Host\x00: a\r\n", "Host\r\n: a\r\n", "Host:\r\n a\r\n", "Host: a\r\n b\r\n", "Host: a\r\n\tb\r\n",
		"Host: a\n", "X: y\r\n", "Hos t: a\r\n", "Hоst: a\r\n")
	return append(all, each(noHead, "GET http://a/ HTTP/1.1\r\n%s\r\n"+smuggled, "", "Host: b\r\n", "Host: a:80\r\n", "Host:\r\n", "Host: a.\r\n", "Host: aa\r\n")...)
}

func fieldNames() []hostile {
	all := each(noHead, "POST / HTTP/1.1\r\nHost: a\r\n%s: 5\r\n\r\n"+smuggled, wrongNames()...)
	return append(all, each(noHead, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n"+smuggled, wrongFields...)...)
}

func wrongNames() []string {
	all := []string{
		"", " ", "\t", " X", "X ", "X\t", "X Y", "X\tY", "\xa0X", "X\xe9", "X\x80", "Content-Length ", " Content-Length", "Transfer-Encoding\t",
		"\x0bTransfer-Encoding", "Transfer-Encoding\x00", "Transfer\x00-Encoding", "Content-Length\x0c", "Content-Length\r",
	}
	for _, c := range bytesThat(func(c byte) bool { return !isToken(c) && c != ':' }) {
		all = append(all, "X"+c+"Y")
	}
	return all
}

var wrongFields = []string{"X", ":", ": b", "X b", "X=b", "X;b", "GET / HTTP/1.1", "X\r\n: b", "X: b\r\n:", "\x00", "X\x00: b"}

// fieldBytes has what is no text within a value.
func fieldBytes() []hostile {
	var all []hostile
	for _, value := range wrongValues() {
		all = append(all, hostile{text: "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + value + "\r\n\r\n" + smuggled})
	}
	return all
}

func wrongValues() (all []string) {
	for _, c := range bytesThat(func(c byte) bool { return !isText(c) }) {
		for _, value := range []string{"%s", "%sb", "b%s", "b%sc", "b%sTransfer-Encoding: chunked", "b%s\r\nX-B: c"} {
			all = append(all, strings.Replace(value, "%s", c, 1))
		}
	}
	return all
}

// bytesThat returns all bytes of which something holds.
func bytesThat(holds func(c byte) bool) (all []string) {
	for c := range 256 {
		if holds(byte(c)) {
			all = append(all, string([]byte{byte(c)}))
		}
	}
	return all
}

// isToken and isText say what may stand in the name of a field, and in its value: RFC 9110, 5.5 and 5.6.2.
func isToken(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isText(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }

// isTarget says what goes on in a path: all but what ends it, or is text to nobody.
func isTarget(c byte) bool { return c > ' ' && c != 0x7f && c != '#' }

var wrongLineEnds = []string{"\n", "\r", "\r\r\n", "\n\r", "\x0b\r\n", "\r\n ", "\r\n\t", "\r\n \r\n", "\xe2\x80\xa8", "\u0085"}

func lineEnds() []hostile {
	var all []hostile
	for _, end := range wrongLineEnds {
		for _, text := range []string{
			"GET / HTTP/1.1%sHost: a\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a%sX-A: b\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0%sTransfer-Encoding: chunked\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked%sContent-Length: 5\r\n\r\n",
		} {
			all = append(all, hostile{text: strings.Replace(text, "%s", end, 1) + smuggled})
		}
	}
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\n" + smuggled, "GET / HTTP/1.1\r\nHost: a\n\r\n" + smuggled, "GET / HTTP/1.1\nHost: a\n\n" + smuggled,
		"GET / HTTP/1.1\r\nHost: a\r\n\r" + smuggled, "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n" + smuggled, "GET / HTTP/1.1\rHost: a\r\r" + smuggled,
	} {
		all = append(all, hostile{text: text})
	}
	return all
}

// wrongLengths are values of Content-Length that are none, or one to some only.
var wrongLengths = []string{
	"", " ", "+5", "-5", "--5", "0x5", "5 5", "5\t5", "5,", ",5", "5,5", "5, 5", "5,6", "5;", "5.0", "5e0", "5_0", "'5'", "\"5\"", "5a", "a", "five", "NaN",
	"5\x00", "\x0b5", "5\x0c", "\xef\xbc\x95", "99999999999999999999", "9223372036854775808", "18446744073709551621", "1 000", "0 5", "5\r\n 5", "5\r\n\t",
}

func lengths() []hostile {
	var all []hostile
	for _, value := range wrongLengths {
		all = append(all, hostile{text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + value + "\r\n\r\nhello" + smuggled})
	}
	return append(all, each(noHead, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\nhello"+smuggled,
		"Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: 0\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nX: y\r\ncontent-length: 0\r\n", "CONTENT-LENGTH: 5\r\ncontent-length: 5\r\n", "Content-Length: 5\r\nContent-Length:\r\n",
		"Content-Length: 5\r\nContent-Length: +5\r\n", "Content-Length:\r\n 5\r\n", "Content-Length\r\n : 5\r\n")...)
}

// wrongCodings are values of Transfer-Encoding that are not exactly chunked.
var wrongCodings = []string{
	"", " ", "xchunked", "chunkedx", "chunk", "chunke", "chu nked", "chunked,", ",chunked", "chunked chunked", "chunked, chunked", "chunked,identity", "chunked, identity", "identity, chunked",
	"identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked;q=1", "chunked; a", "\"chunked\"", "'chunked'", "(chunked)", "[chunked]", "chunked\x00", "\x00chunked", "\x0bchunked", "chunked\x0b",
	"chunked\x0c", "\xa0chunked", "chunked\xa0", "\xe3\x80\x80chunked", "chun\xe2\x84\xaaed", "c\xe2\x84\xaahunked", "chunked\r\n a", "chunked\r\n\t", "\r\n chunked", "chunked=1", "0chunked", "true",
}

func codings() []hostile {
	var all []hostile
	for _, value := range wrongCodings {
		all = append(all, hostile{text: "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + value + "\r\n\r\n0\r\n\r\n" + smuggled})
	}
	return append(all, each(noHead, "%s\r\n0\r\n\r\n"+smuggled,
		"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\ntransfer-encoding: chunked\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tTransfer-Encoding: chunked\r\n")...)
}

func lengthsWithCodings() []hostile {
	var all []hostile
	for _, length := range []string{"0", "4", "5", "6", "100"} {
		for _, order := range []string{"Content-Length: %[1]s\r\nTransfer-Encoding: %[2]s", "Transfer-Encoding: %[2]s\r\nX: y\r\nContent-Length: %[1]s", "transfer-encoding: %[2]s\r\ncontent-length: %[1]s"} {
			for _, coding := range []string{"chunked", "Chunked", "xchunked", "identity"} {
				all = append(all, hostile{text: fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\n"+order+"\r\n\r\n0\r\n\r\n", length, coding) + smuggled})
			}
		}
	}
	return all
}

func limits() []hostile {
	large := strings.Repeat("a", 70<<10)
	return each(noHead, "%s\r\n\r\n"+smuggled,
		"GET /"+large+" HTTP/1.1\r\nHost: a", large+" / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: a\r\nX: "+large, "GET / HTTP/1.1\r\nHost: a\r\n"+large+": b",
		"GET / HTTP/1.1\r\nHost: a"+strings.Repeat("\r\nX: y", 300), "GET / HTTP/1.1\r\nHost: a"+strings.Repeat("\r\nX: "+large[:1000], 70),
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: "+strings.Repeat("a, ", 100)+"a", "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat(" ", 70<<10),
		"GET / HTTP/1.1\r\nHost: "+large)
}

func otherProtocols() []hostile {
	return each(noHead, "%s",
		"PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"+smuggled,
		"\r\n\r\n\x00\r\nQUIT\n"+smuggled, "EHLO a\r\n\r\n", "*1\r\n$4\r\nPING\r\n", "<?xml version=\"1.0\"?>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"GET /\r\n", "GET /\r\n\r\n"+smuggled, "\x00\x00\x00\x00\r\n\r\n", "STARTTLS\r\n\r\n", "INFO / RTSP/1.0\r\n\r\n")
}

// cutHeads ends within a head.
func cutHeads() []hostile {
	const text = "POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	var all []hostile
	for _, at := range []int{1, 4, 5, 9, 10, 18, 19, 20, 24, 28, 29, 40, 47, 48, 49, strings.Index(text, "hello") - 1} {
		all = append(all, hostile{text: text[:at]})
	}
	return all
}

const chunkedPost = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// brokenBodies has bodies of chunks that are none, which come with the head, and behind it.
func brokenBodies() []hostile {
	var all []hostile
	for _, body := range slices.Concat(badChunks, badTrailers) {
		all = append(all, hostile{text: chunkedPost + body + smuggled, kind: noBody})
		all = append(all, hostile{text: chunkedPost + "5\r\nhello\r\n" + body + smuggled, kind: noBody, split: len(chunkedPost + "5\r\nhello\r\n")})
	}
	return all
}

var badChunks = []string{
	"\r\n", "\n", " 5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-0\r\n\r\n", "-1\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "0X0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n",
	"0 \r\n\r\n", "0\n\r\n", "0\n\n", "0\r\r\n\r\n", "0\r\n\n", "0\r\n\r\r\n", "5\nhello\r\n0\r\n\r\n", "5\rhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "5\r\nhello!\n0\r\n\r\n", "5\r\nhello\n\n0\r\n\r\n", "5\r\nhello\r!0\r\n\r\n", "5!\nhello\r\n0\r\n\r\n", "5\r!hello\r\n0\r\n\r\n",
	"5\r\nhell\r\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\r\nhello\r\n\r\n0\r\n\r\n", "g\r\n", "5g\r\nhello\r\n0\r\n\r\n", "5\x00\r\nhello\r\n0\r\n\r\n", "\x005\r\nhello\r\n0\r\n\r\n", "\"5\"\r\nhello\r\n0\r\n\r\n",
	"5,5\r\nhello\r\n0\r\n\r\n", "5.0\r\nhello\r\n0\r\n\r\n", "5_\r\nhello\r\n0\r\n\r\n", "5=\r\nhello\r\n0\r\n\r\n", "5;\r\nhello\r\n0\r\n\r\n", "5;\nhello\r\n0\r\n\r\n", "5;a\nhello\r\n0\r\n\r\n",
	"5;a\rb\r\nhello\r\n0\r\n\r\n", "5;a\x00\r\nhello\r\n0\r\n\r\n", "5;a=\r\nhello\r\n0\r\n\r\n", "5;a=\"\r\nhello\r\n0\r\n\r\n", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", "0;a\n\r\n", "0;\r\n\r\n",
	"5;" + strings.Repeat("a", 20<<10) + "\r\nhello\r\n0\r\n\r\n", "00000000000000000\r\n\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\nhello", "8000000000000000\r\nhello",
	"7fffffffffffffff0\r\nhello", "100000005 \r\nhello\r\n0\r\n\r\n", "\xef\xbc\x95\r\nhello\r\n0\r\n\r\n", "\r\n0\r\n\r\n", "\n0\r\n\r\n", ";a\r\n0\r\n\r\n", "0\x0b\r\n\r\n",
}

var badTrailers = []string{
	"0\r\n!\n", "0\r\n\r!", "0\r\nX: b!\n\r\n", "0\r\nX: b\r!\r\n", "0\r\nX\r\n\r\n", "0\r\n: b\r\n\r\n", "0\r\nX : b\r\n\r\n", "0\r\n X: b\r\n\r\n", "0\r\nX: b\r\n c\r\n\r\n", "0\r\nX: b\n\r\n", "0\r\nX: b\n\n", "0\r\nX: b\rc\r\n\r\n", "0\r\nX: b\x00\r\n\r\n", "0\r\nX\xe9: b\r\n\r\n",
	"0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHost: b\r\n\r\n", "0\r\nAuthorization: b\r\n\r\n", "0\r\nConnection: close\r\n\r\n", "0\r\ncontent-length: 5\r\n\r\n",
	"0\r\nX: b\r\nTE: a\r\n\r\n", "0\r\nUpgrade: a\r\n\r\n", "0\r\nExpect: 100-continue\r\n\r\n", "0\r\nX: " + strings.Repeat("b", 70<<10) + "\r\n\r\n", "0\r\n" + strings.Repeat("X: b\r\n", 12000) + "\r\n",
}

// cutBodies ends within a body.
func cutBodies() []hostile {
	var all []hostile
	for _, text := range []string{
		"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + smuggled,
		"PUT /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
		"GET /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n" + smuggled,
		"POST /cut HTTP/1.0\r\nContent-Length: 100\r\n\r\n" + smuggled,
	} {
		all = append(all, hostile{text: text, kind: noBody})
	}
	const whole = "5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
	for at := range len(whole) {
		if at%2 == 0 || at > len(whole)-8 {
			all = append(all, hostile{text: chunkedPost + whole[:at], kind: noBody})
		}
	}
	return all
}

// trickyRequests is requests that all must read as the same ones.
func trickyRequests(answers int, texts ...string) []hostile {
	all := make([]hostile, 0, len(texts))
	for _, text := range texts {
		all = append(all, hostile{text: text, kind: tricky, answers: answers})
	}
	return all
}

// inBody is a request whose body looks like one.
func inBody(fields string) string {
	return fmt.Sprintf("POST /in-body HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", fields, len(smuggled), smuggled)
}

func trickyFramings() []hostile {
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled)
	return trickyRequests(1,
		inBody(""), inBody("Content_Length: 0\r\n"), inBody("Transfer_Encoding: chunked\r\n"), inBody("X-Transfer-Encoding: chunked\r\n"), inBody("Content-Lengt: 0\r\n"), inBody("TE: chunked\r\n"),
		inBody("Connection: Content-Length\r\n"), inBody("Connection: Transfer-Encoding, Host\r\n"), inBody("Connection: close, X-A\r\nX-A: b\r\n"), inBody("Keep-Alive: timeout=0\r\n"),
		inBody("Proxy-Connection: close\r\n"), inBody("Trailer: Content-Length\r\n"), inBody("X-HTTP-Method-Override: GET\r\n"), inBody("Content-Encoding: chunked\r\n"),
		strings.Replace(inBody(""), "POST", "GET", 1), strings.Replace(inBody(""), "POST", "DELETE", 1), strings.Replace(inBody(""), "POST", "OPTIONS", 1),
		strings.Replace(inBody(""), "Content-Length: ", "Content-Length:   \t", 1), strings.Replace(inBody(""), "Content-Length: ", "Content-Length: 000", 1), strings.Replace(inBody(""), "Content-Length", "cOnTeNt-LeNgTh", 1),
		strings.Replace(inBody("Connection: keep-alive\r\n"), "HTTP/1.1", "HTTP/1.0", 1), strings.Replace(inBody(""), "HTTP/1.1", "HTTP/1.0", 1),
		chunkedPost+chunk, strings.Replace(chunkedPost, "chunked\r", "CHUNKED\r", 1)+chunk, strings.Replace(chunkedPost, ": chunked", ":\t chunked \t", 1)+chunk, strings.Replace(chunkedPost, "POST", "GET", 1)+chunk,
		strings.Replace(chunkedPost, "POST", "DELETE", 1)+chunk, chunkedPost+"5;a=b\r\nhello\r\n0\r\n\r\n", chunkedPost+"0005\r\nhello\r\n000\r\n\r\n", chunkedPost+"0\r\nX-A: b\r\n\r\n",
		chunkedPost+"A\r\n0\r\n\r\nGET /\r\n0\r\n\r\n", chunkedPost+"2\r\n\r\n\r\n2\r\n0\r\r\n0\r\n\r\n",
		"\r\n"+inBody(""), "\r\n\r\n"+inBody(""), "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", "GET //a//b/../c HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /head HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
	)
}

func trickyPipelines() []hostile {
	get, head := "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"
	all := trickyRequests(3, get+inBody("")+get, inBody("")+inBody("")+inBody(""), head+get+head, chunkedPost+"0\r\n\r\n"+chunkedPost+"5\r\nhello\r\n0\r\n\r\n"+get, head+head+inBody(""))
	all = append(all, trickyRequests(50, strings.Repeat(get, 50), strings.Repeat(inBody(""), 50), strings.Repeat(head+chunkedPost+"1\r\na\r\n0\r\n\r\n", 25))...)
	// Behind what ends the connection nothing is read.
	return append(all, trickyRequests(1, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"+smuggled, "GET /a HTTP/1.0\r\n\r\n"+smuggled, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n"+smuggled)...)
}

func trickyExpectations() []hostile {
	return trickyRequests(1,
		inBody("Expect: 100-continue\r\n"), inBody("Expect: 100-Continue\r\n"), "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
		strings.Replace(chunkedPost, "Host: a\r\n", "Host: a\r\nExpect: 100-continue\r\n", 1)+"5\r\nhello\r\n0\r\n\r\n", strings.Replace(inBody("Expect: 100-continue\r\n"), "HTTP/1.1", "HTTP/1.0", 1))
}

func trickyUpgrades() []hostile {
	fields := []string{
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Connection: upgrade\r\nUpgrade: a, b\r\n", "Upgrade: websocket\r\n",
		"Connection: Upgrade\r\n", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n", "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
	}
	var all []hostile
	for _, f := range fields { // nobody agrees to them
		all = append(all, trickyRequests(1, inBody(f))...)
		all = append(all, trickyRequests(2, "GET /upgrade HTTP/1.1\r\nHost: a\r\n"+f+"\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n")...)
	}
	return all
}
