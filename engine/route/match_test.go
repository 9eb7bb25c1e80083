package route

import (
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

func TestMatch(t *testing.T) {
	header := func(kind mesh.TextKind, text string, invert bool) mesh.RouteMatch {
		return mesh.RouteMatch{Headers: []mesh.HeaderMatch{{Name: "x", Kind: kind, Text: text, Invert: invert}}}
	}
	query := func(kind mesh.TextKind, text string) mesh.RouteMatch {
		return mesh.RouteMatch{Query: []mesh.QueryMatch{{Name: "a b", Kind: kind, Text: text}}}
	}
	exact, prefix := mesh.RouteMatch{PathExact: "/a"}, mesh.RouteMatch{PathPrefix: "/a/"}
	regex := mesh.RouteMatch{PathRegex: "/a|/b.*"}
	methods := mesh.RouteMatch{Methods: []string{"GET", "HEAD"}}
	both := mesh.RouteMatch{PathPrefix: "/a", Methods: []string{"GET"}, Headers: header(mesh.TextExact, "1", false).Headers}
	x := func(value string) [2]string { return [2]string{"x", value} }
	tests := []struct {
		name  string
		match mesh.RouteMatch
		r     *Request
		why   string // not; empty: it matches
	}{
		{"all", mesh.RouteMatch{}, request("GET", "/", ""), ""},
		{"exact", exact, request("GET", "/a", "b=c"), ""},
		{"exact, longer", exact, request("GET", "/a/", ""), `path "/a/" is not "/a"`},
		{"exact, case", exact, request("GET", "/A", ""), `path "/A" is not "/a"`},
		{"prefix", prefix, request("GET", "/a/b", ""), ""},
		{"prefix, shorter", prefix, request("GET", "/a", ""), `path "/a" does not begin with "/a/"`},
		{"regex", regex, request("GET", "/bx", ""), ""},
		{"regex, first alternative is whole", regex, request("GET", "/ax", ""), `path "/ax" does not match "/a|/b.*"`},
		{"regex, line end", regex, request("GET", "/a\n", ""), `path "/a\n" does not match "/a|/b.*"`},
		{"broken regex", mesh.RouteMatch{PathRegex: "("}, request("GET", "", ""), `path "" does not match "("`},
		{"method", methods, request("HEAD", "/", ""), ""},
		{"other method", methods, request("head", "/", ""), "method head is not GET or HEAD"},
		{"header", header(mesh.TextExact, "1", false), request("GET", "/", "", x("1")), ""},
		{"one of several fields", header(mesh.TextExact, "1", false), request("GET", "/", "", x("2"), x("1")), ""},
		{"other value", header(mesh.TextExact, "1", false), request("GET", "/", "", x("2"), x("3")), `header x, which is "2", "3", is not "1"`},
		{"no header", header(mesh.TextExact, "1", false), request("GET", "/", ""), "there is no header x"},
		{"empty value", header(mesh.TextExact, "", false), request("GET", "/", "", x("")), ""},
		{"prefix of header", header(mesh.TextPrefix, "ab", false), request("GET", "/", "", x("abc")), ""},
		{"suffix of header", header(mesh.TextSuffix, "bc", false), request("GET", "/", "", x("abc")), ""},
		{"no suffix", header(mesh.TextSuffix, "abcd", false), request("GET", "/", "", x("bcd")), `header x, which is "bcd", does not end with "abcd"`},
		{"regex of header", header(mesh.TextRegex, "a+", false), request("GET", "/", "", x("aaa")), ""},
		{"regex of part", header(mesh.TextRegex, "a+", false), request("GET", "/", "", x("aab")), `header x, which is "aab", does not match "a+"`},
		{"present", header(mesh.TextPresent, "", false), request("GET", "/", "", x("")), ""},
		{"inverted", header(mesh.TextExact, "1", true), request("GET", "/", "", x("2")), ""},
		{"inverted, no header", header(mesh.TextPresent, "", true), request("GET", "/", ""), ""},
		{"inverted, one of several", header(mesh.TextExact, "1", true), request("GET", "/", "", x("2"), x("1")), `header x is "2", "1"`},
		{"query", query(mesh.TextExact, "c d"), request("GET", "/", "z=1&a%20b=c+d"), ""},
		{"query, second", query(mesh.TextExact, "c"), request("GET", "/", "a+b=x&&a+b=c"), ""},
		{"query, other value", query(mesh.TextExact, "c"), request("GET", "/", "a+b=cc"), `query parameter a b is not "c"`},
		{"query, beginning", query(mesh.TextExact, "cc"), request("GET", "/", "a+b=c"), `query parameter a b is not "cc"`},
		{"query, none", query(mesh.TextExact, "c"), request("GET", "/", "a=c"), "there is no query parameter a b"},
		{"query, no value", query(mesh.TextExact, ""), request("GET", "/", "a+b"), ""},
		{"query, no code", query(mesh.TextExact, "%zz%4"), request("GET", "/", "a+b=%zz%4"), ""},
		{"query, codes", query(mesh.TextRegex, "A[&=]+"), request("GET", "/", "a+b=%41%26%3d"), ""},
		{"query, plain regex", query(mesh.TextRegex, "[0-9]"), request("GET", "/", "a+b=12"), `query parameter a b does not match "[0-9]"`},
		{"query, present", query(mesh.TextPresent, ""), request("GET", "/", "a+b=%"), ""},
		{"all of several", both, request("GET", "/ab", "", x("1")), ""},
		{"path of several", both, request("GET", "/b", ""), `path "/b" does not begin with "/a"`},
		{"method of several", both, request("PUT", "/ab", ""), "method PUT is not GET"},
		{"header of several", both, request("GET", "/ab", ""), "there is no header x"},
	}
	for _, tt := range tests {
		m := compile(tt.match)
		condition := m.failing(tt.r)
		why := ""
		if condition != none {
			why = m.why(tt.r, condition)
		}
		if why != tt.why {
			t.Errorf("%s: does not match because %q, want %q", tt.name, why, tt.why)
		}
	}
	m := compile(header(mesh.TextPresent, "", false))
	if r := (&Request{}); m.failing(r) == none {
		t.Error("a request without fields has one")
	}
}
