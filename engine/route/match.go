package route

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/meshd/meshd/engine/mesh"
)

// matcher is a compiled mesh.RouteMatch. Its zero value matches every request.
type matcher struct {
	path    *text // nil: any
	methods []string
	headers []header
	query   []parameter
}

type header struct {
	name string
	text
	invert bool
}

type parameter struct {
	name string
	text
}

// text is a comparison.
type text struct {
	kind  mesh.TextKind
	text  string
	regex *regexp.Regexp // of a whole text
}

func compile(m mesh.RouteMatch) matcher {
	c := matcher{methods: m.Methods}
	for kind, path := range map[mesh.TextKind]string{
		mesh.TextExact: m.PathExact, mesh.TextPrefix: m.PathPrefix, mesh.TextRegex: m.PathRegex,
	} {
		if path != "" {
			t := newText(kind, path)
			c.path = &t
		}
	}
	for _, h := range m.Headers {
		c.headers = append(c.headers, header{h.Name, newText(h.Kind, h.Text), h.Invert})
	}
	for _, q := range m.Query {
		c.query = append(c.query, parameter{q.Name, newText(q.Kind, q.Text)})
	}
	return c
}

// nothing is the expression that no text matches.
var nothing = regexp.MustCompile(`[^\x{0}-\x{10FFFF}]`)

func newText(kind mesh.TextKind, s string) text {
	t := text{kind: kind, text: s}
	if kind == mesh.TextRegex {
		var err error
		if t.regex, err = regexp.Compile(`\A(?:` + s + `)\z`); err != nil {
			t.regex = nothing
		}
	}
	return t
}

func (t *text) holds(b []byte) bool {
	s := t.text
	switch t.kind {
	case mesh.TextExact:
		return string(b) == s
	case mesh.TextPrefix:
		return len(b) >= len(s) && string(b[:len(s)]) == s
	case mesh.TextSuffix:
		return len(b) >= len(s) && string(b[len(b)-len(s):]) == s
	case mesh.TextRegex:
		return t.regex.Match(b)
	default:
		return true
	}
}

// Conditions of a matcher by number: the path, the method, then each header and each parameter of the query.
const (
	none         = -1
	pathFails    = 0
	methodFails  = 1
	headersBegin = 2
)

// failing returns the first condition that does not hold for a request, or none.
func (m *matcher) failing(r *Request) int {
	if m.path != nil && !m.path.holds(r.Path) {
		return pathFails
	}
	if len(m.methods) > 0 && !m.hasMethod(r.Method) {
		return methodFails
	}
	for i := range m.headers {
		if h := &m.headers[i]; h.found(r.Header) == h.invert {
			return headersBegin + i
		}
	}
	for i := range m.query {
		if !m.query[i].found(r.Query) {
			return headersBegin + len(m.headers) + i
		}
	}
	return none
}

func (m *matcher) hasMethod(method []byte) bool {
	for _, x := range m.methods {
		if string(method) == x {
			return true
		}
	}
	return false
}

func (h *header) found(all Header) bool {
	for i := 0; all != nil; i++ {
		value, ok := all.Field(h.name, i)
		if !ok {
			return false
		}
		if h.holds(value) {
			return true
		}
	}
	return false
}

// why says in words why a condition does not hold.
func (m *matcher) why(r *Request, condition int) string {
	switch {
	case condition == pathFails:
		return fmt.Sprintf("path %q %s", r.Path, m.path.not())
	case condition == methodFails:
		return fmt.Sprintf("method %s is not %s", r.Method, strings.Join(m.methods, " or "))
	case condition < headersBegin+len(m.headers):
		h := &m.headers[condition-headersBegin]
		value := values(r.Header, h.name)
		switch {
		case h.invert:
			return fmt.Sprintf("header %s is %s", h.name, value)
		case value == "":
			return fmt.Sprintf("there is no header %s", h.name)
		}
		return fmt.Sprintf("header %s, which is %s, %s", h.name, value, h.not())
	default:
		q := &m.query[condition-headersBegin-len(m.headers)]
		if (&parameter{q.name, text{kind: mesh.TextPresent}}).found(r.Query) {
			return fmt.Sprintf("query parameter %s %s", q.name, q.not())
		}
		return fmt.Sprintf("there is no query parameter %s", q.name)
	}
}

func values(all Header, name string) string {
	var list []string
	for i := 0; all != nil; i++ {
		value, ok := all.Field(name, i)
		if !ok {
			break
		}
		list = append(list, fmt.Sprintf("%q", value))
	}
	return strings.Join(slices.Compact(list), ", ")
}

// not says in words that a text does not match.
func (t *text) not() string {
	switch t.kind {
	case mesh.TextPrefix:
		return fmt.Sprintf("does not begin with %q", t.text)
	case mesh.TextSuffix:
		return fmt.Sprintf("does not end with %q", t.text)
	case mesh.TextRegex:
		return fmt.Sprintf("does not match %q", t.text)
	default:
		return fmt.Sprintf("is not %q", t.text)
	}
}
