package http1

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestCanonicalPath(t *testing.T) {
	tests := []struct{ path, want string }{
		{"", "/"},
		{"/", "/"},
		{"*", "*"},
		{"/a/b", "/a/b"},
		{"/a/b/", "/a/b/"},
		{"//", "/"},
		{"//a///b//", "/a/b/"},
		{"/.", "/"},
		{"/./", "/"},
		{"/..", "/"},
		{"/../..", "/"},
		{"/a/.", "/a/"},
		{"/a/./b", "/a/b"},
		{"/a/..", "/"},
		{"/a/../", "/"},
		{"/a/../b", "/b"},
		{"/a/b/..", "/a/"},
		{"/a/b/../c", "/a/c"},
		{"/a/b/../../c", "/c"},
		{"/a/../../../c", "/c"},
		{"/a//../b", "/b"},
		{"/...", "/..."},
		{"/a/.b/..c/d.", "/a/.b/..c/d."},
		{"/%2e", "/"},
		{"/a/%2e%2E/b", "/b"},
		{"/a/.%2e/b", "/b"},
		{"/a/%2e/b", "/a/b"},
		{"/%61%62%7e%7E%2d%5f", "/ab~~-_"},
		{"/%c3%a9", "/%C3%A9"},
		{"/\xc3\xa9", "/%C3%A9"},
		{"/%e9", "/%E9"},
		{"/%252e%252e/", "/%252e%252e/"},
		{"/%252fetc", "/%252fetc"},
		{"/a%20b", "/a%20b"},
		{"/a%3fb%23c", "/a%3Fb%23c"},
		{"/a%3Bb;c=d", "/a%3Bb;c=d"},
		{"/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b"},
		{"/a%21%40", "/a%21%40"},
		{"/{a}|<b>\"^`", "/%7Ba%7D%7C%3Cb%3E%22%5E%60"},
		{"/A/a", "/A/a"},
		{"/%0d%0a", "/%0D%0A"},
		{"/\xe0\xa0\x80", "/%E0%A0%80"},
		{"/\xf0\x9f\x98\x80", "/%F0%9F%98%80"},
		{"/a;b/../c", "/c"},
		{"/" + strings.Repeat("a/", 100) + strings.Repeat("../", 100), "/"},
	}
	for _, test := range tests {
		got, err := CanonicalPath([]byte("/before/"), []byte(test.path))
		if string(got) != "/before/"+test.want || err != nil {
			t.Errorf("%q is %q, error %v, want %q", test.path, got, err, test.want)
		}
	}
	refused := []string{
		"a", "a/b", "?", "**", "/a?b", "/a#b", "/a b", "/a\tb", "/a\x00b", "/a\x7fb", "/a\nb",
		"/%", "/%2", "/%zz", "/%2g", "/%%", "/a%", "/%u002e", "/% 2e", "/%+2",
		"/%00", "/a%00b", "/%2f", "/a%2Fb", "/..%2f", "/%5c", "/a%5Cb", "/a\\b", "/..\\b",
		"/%c0%ae", "/%C0%AE%c0%ae/", "/\xc0\xaf", "/%c1%9c", "/%e0%80%af", "/%e0%9f%bf", "/%f0%80%80%af", "/\xe0%80\xaf",
		"/..;/a", "/a/..;b=c/d", "/.;/a", "/%2e%2e;/a", "/a/..;",
	}
	for _, path := range refused {
		got, err := CanonicalPath([]byte("/before/"), []byte(path))
		if string(got) != "/before/" || !errors.Is(err, ErrPath) {
			t.Errorf("%q is %q, error %v, want %v", path, got, err, ErrPath)
		}
	}
}

// checkCanonicalPath wants a canonical path to be its own canonical path, without anything that is read in two ways.
func checkCanonicalPath(t *testing.T, path []byte) {
	t.Helper()
	once, err := CanonicalPath(nil, path)
	if err != nil || string(once) == "*" {
		return
	}
	twice, err := CanonicalPath(nil, once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%q becomes %q and then %q, error %v", path, once, twice, err)
	}
	if once[0] != '/' || !all(once, isTarget) || bytes.ContainsAny(once, "\\?#") || bytes.Contains(once, []byte("//")) ||
		bytes.Contains(append(once, '/'), []byte("/./")) || bytes.Contains(append(once, '/'), []byte("/../")) {
		t.Fatalf("%q becomes %q", path, once)
	}
	// Where nothing is to be resolved, net/url sees the same path in both.
	before, err := url.PathUnescape(string(path))
	if err != nil {
		t.Fatalf("net/url refuses %q, which becomes %q: %v", path, once, err)
	}
	after, err := url.PathUnescape(string(once))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(before, "//") && !strings.Contains(before+"/", "/./") && !strings.Contains(before+"/", "/../") && before != "" && after != before {
		t.Fatalf("%q becomes %q, which is another path", path, once)
	}
}
