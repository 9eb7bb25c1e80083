package route

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

// FuzzParameter looks for a query in which the standard library sees another value of a parameter.
func FuzzParameter(f *testing.F) {
	f.Add([]byte("a=b&c=d"), "c", "d")
	f.Add([]byte("z=1&a%20b=c+d&a+b"), "a b", "c d")
	f.Add([]byte("&&=&a=&=b&a"), "a", "")
	f.Add([]byte("%41=%2B%zz&a=%"), "A", "+%zz")
	f.Add([]byte("a=%c3%A9&a=\xff"), "a", "\xff")
	f.Fuzz(func(t *testing.T, query []byte, name, text string) {
		p := parameter{name: name, text: newText(mesh.TextExact, text)}
		found := p.found(query)
		values, err := url.ParseQuery(string(query))
		if err != nil {
			return // it leaves out what it cannot decode, which is compared as it is here
		}
		if want := slices.Contains(values[name], text); name != "" && found != want { // none is configured without a name
			t.Errorf("%q has %q = %q: %v, want %v", query, name, text, found, want)
		}
	})
}

// FuzzCookie looks for a field of cookies in which the standard library sees another value of one.
func FuzzCookie(f *testing.F) {
	f.Add([]byte("a=b; c=d"), "c")
	f.Add([]byte("a=\"b\";a=c ; =d; e"), "a")
	f.Add([]byte(" \ta=b=c;;"), "a")
	f.Fuzz(func(t *testing.T, field []byte, name string) {
		value, ok := cookieOf(field, name)
		cookies, err := http.ParseCookie(string(field))
		if err != nil || bytes.ContainsAny(field, "\r\n") {
			return // it is stricter, and a field has no line ends
		}
		i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == name })
		if i < 0 {
			if ok {
				t.Errorf("%q has a cookie %q, which nobody else sees", field, name)
			}
			return
		}
		want := cookies[i].Value
		if cookies[i].Quoted {
			want = `"` + want + `"`
		}
		if !ok || string(value) != want {
			t.Errorf("%q has %q = %q, %v, want %q", field, name, value, ok, want)
		}
	})
}
