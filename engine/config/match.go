package config

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/http1"
	"github.com/meshd/meshd/engine/mesh"
)

// matchBlock says which requests take a route: match {}. All that is written must hold; an empty one matches every request.
type matchBlock struct {
	// PathExact is the whole path, without the query; a method of gRPC is "/package.Service/Method". At most one of the three
	// paths is written.
	PathExact      *string   `hcl:"path_exact,optional"`
	PathExactRange hcl.Range `hcl:"path_exact,attr_value_range"`

	// PathPrefix is how the path begins, letter by letter: "/v2" is also the beginning of "/v20".
	PathPrefix      *string   `hcl:"path_prefix,optional"`
	PathPrefixRange hcl.Range `hcl:"path_prefix,attr_value_range"`

	// PathRegex is a regular expression of RE2 for the whole path, of at most 256 characters.
	PathRegex      *string   `hcl:"path_regex,optional"`
	PathRegexRange hcl.Range `hcl:"path_regex,attr_value_range"`

	// Methods are the methods of which one is the request's, such as "GET". Default: [], any.
	Methods      []string  `hcl:"methods,optional"`
	MethodsRange hcl.Range `hcl:"methods,attr_value_range"`

	Headers []*headerBlock `hcl:"header,block"`
	Query   []*queryBlock  `hcl:"query,block"`

	Range hcl.Range `hcl:",def_range"`
}

// headerBlock is a header field that the request has: header "x-canary" {}. One of several fields of that name is enough.
// It has exactly one of exact, prefix, suffix, regex and present.
type headerBlock struct {
	// Name is the name of the field; upper and lower case are the same.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Exact is the whole value.
	Exact *string `hcl:"exact,optional"`

	// Prefix is how the value begins.
	Prefix *string `hcl:"prefix,optional"`

	// Suffix is how the value ends.
	Suffix *string `hcl:"suffix,optional"`

	// Regex is a regular expression of RE2 for the whole value, of at most 256 characters.
	Regex      *string   `hcl:"regex,optional"`
	RegexRange hcl.Range `hcl:"regex,attr_value_range"`

	// Present is true: the request has the field, whatever its value.
	Present      *bool     `hcl:"present,optional"`
	PresentRange hcl.Range `hcl:"present,attr_value_range"`

	// Invert is true for a request that has no such field. Default: false.
	Invert *bool `hcl:"invert,optional"`

	Range hcl.Range `hcl:",def_range"`
}

// queryBlock is a parameter of the query: query "version" {}. One of several parameters of that name is enough. It has
// exactly one of exact, regex and present; texts are compared after %20 and the like are decoded.
type queryBlock struct {
	// Name is the name of the parameter.
	Name      string    `hcl:"name,label"`
	NameRange hcl.Range `hcl:"name,label_range"`

	// Exact is the whole value.
	Exact *string `hcl:"exact,optional"`

	// Regex is a regular expression of RE2 for the whole value, of at most 256 characters.
	Regex      *string   `hcl:"regex,optional"`
	RegexRange hcl.Range `hcl:"regex,attr_value_range"`

	// Present is true: the query has the parameter, whatever its value.
	Present      *bool     `hcl:"present,optional"`
	PresentRange hcl.Range `hcl:"present,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

// Bounds of a regular expression: of what people write, and of the steps that each character of a text may cost.
const (
	maxRegex   = 256  // characters
	maxProgram = 4096 // instructions
)

func (b *builder) match(m *matchBlock) mesh.RouteMatch {
	built := mesh.RouteMatch{
		PathExact: valueOr(m.PathExact, ""), PathPrefix: valueOr(m.PathPrefix, ""), PathRegex: valueOr(m.PathRegex, ""),
	}
	paths := 0
	for _, p := range []*string{m.PathExact, m.PathPrefix, m.PathRegex} {
		if p != nil {
			paths++
		}
	}
	if paths > 1 {
		b.errorf(m.Range, "Two paths in one match", "A request has one path. Keep one of path_exact, path_prefix and path_regex, and "+
			"write a route for each other one.")
	}
	b.matchedPath(m.PathExactRange, "path_exact", m.PathExact)
	b.matchedPath(m.PathPrefixRange, "path_prefix", m.PathPrefix)
	if m.PathRegex != nil {
		b.regex(m.PathRegexRange, "path_regex", *m.PathRegex)
	}
	for _, method := range m.Methods {
		b.method(m.MethodsRange, method)
		if slices.Contains(built.Methods, method) {
			b.errorf(m.MethodsRange, "Method is given twice", "%q is in the list already. Remove one of the two.", method)
		}
		built.Methods = append(built.Methods, method)
	}
	for _, h := range m.Headers {
		built.Headers = append(built.Headers, b.header(h))
	}
	for _, q := range m.Query {
		built.Query = append(built.Query, b.query(q))
	}
	return built
}

// matchedPath checks a path that the canonical path of a request is compared with.
func (b *builder) matchedPath(at hcl.Range, argument string, path *string) {
	switch {
	case path == nil:
	case !strings.HasPrefix(*path, "/"):
		b.errorf(at, "Invalid "+argument, "The path of every request begins with a slash. Write %q.", "/"+*path)
	case strings.Contains(*path, "?"):
		b.errorf(at, "Invalid "+argument, "The query is not part of the path. Write the path alone, and a query block for the rest.")
	default:
		b.path(at, *path)
	}
}

var standardMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}

func (b *builder) method(at hcl.Range, method string) {
	upper := strings.ToUpper(method)
	switch {
	case !http1.ValidName(method):
		b.errorf(at, "Invalid method", "%q is not a method of HTTP. Write a word such as \"GET\".", method)
	case upper == "CONNECT":
		b.errorf(at, "Invalid method", "CONNECT asks for a tunnel and has no path. Remove it.")
	case upper != method && slices.Contains(standardMethods, upper):
		b.errorf(at, "Invalid method", "Methods are in upper case. Write %q.", upper)
	}
}

// headerNameFault returns what is wrong with what is no name of a header field, in sentences.
func headerNameFault(name, example string) string {
	if strings.HasPrefix(name, ":") {
		return fmt.Sprintf("%q is no header field but the way in which HTTP/2 says the beginning of a request. Write \"host\" in the place of "+
			"\":authority\"; for methods and paths match {} has arguments.", name)
	}
	return fmt.Sprintf("%q is not the name of a header field. Write one such as %q.", name, example)
}

func (b *builder) header(h *headerBlock) mesh.HeaderMatch {
	built := mesh.HeaderMatch{Name: strings.ToLower(h.Name), Invert: valueOr(h.Invert, false)}
	if !http1.ValidName(h.Name) {
		b.errorf(h.NameRange, "Invalid header name", "%s", headerNameFault(h.Name, "x-canary"))
	}
	b.present(h.PresentRange, h.Present, "To match requests without the field, write present = true and invert = true.")
	if h.Regex != nil {
		b.regex(h.RegexRange, "regex", *h.Regex)
	}
	built.Kind, built.Text = b.comparison(h.Range, "header", []written{
		{mesh.TextExact, h.Exact}, {mesh.TextPrefix, h.Prefix}, {mesh.TextSuffix, h.Suffix}, {mesh.TextRegex, h.Regex},
	}, h.Present)
	return built
}

func (b *builder) query(q *queryBlock) mesh.QueryMatch {
	built := mesh.QueryMatch{Name: q.Name}
	if q.Name == "" {
		b.errorf(q.NameRange, "Query without a name", "Write the name of a parameter, such as query \"version\" {}.")
	}
	b.present(q.PresentRange, q.Present, "Remove the block, or write present = true.")
	if q.Regex != nil {
		b.regex(q.RegexRange, "regex", *q.Regex)
	}
	built.Kind, built.Text = b.comparison(q.Range, "query", []written{{mesh.TextExact, q.Exact}, {mesh.TextRegex, q.Regex}}, q.Present)
	return built
}

func (b *builder) present(at hcl.Range, present *bool, advice string) {
	if present != nil && !*present {
		b.errorf(at, "Invalid present", "It can only be true. %s", advice)
	}
}

// written is one of the ways to compare of which a block has exactly one.
type written struct {
	kind mesh.TextKind
	text *string
}

func (b *builder) comparison(at hcl.Range, what string, ways []written, present *bool) (mesh.TextKind, string) {
	kind, text, count := mesh.TextPresent, "", 0
	var names []string
	for _, w := range ways {
		names = append(names, string(w.kind)+" = \"…\"")
		if w.text == nil {
			continue
		}
		count++
		kind, text = w.kind, *w.text
	}
	if present != nil {
		count++
	}
	if count != 1 {
		b.errorf(at, "One comparison is needed", "The %s block has %d. Write one of %s and present = true.", what, count, strings.Join(names, ", "))
	}
	return kind, text
}

// regex checks a regular expression that a whole text must match.
func (b *builder) regex(at hcl.Range, argument, text string) {
	if len(text) > maxRegex {
		b.errorf(at, "Invalid "+argument, "The expression has %d characters, and may have %d. Shorten it, or divide it into several routes.",
			len(text), maxRegex)
		return
	}
	if _, err := regexp.Compile(text); err != nil {
		b.errorf(at, "Invalid "+argument, "It is not a regular expression of RE2: %v.", err)
		return
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return // the same as above
	}
	if program, err := syntax.Compile(tree.Simplify()); err == nil && len(program.Inst) > maxProgram {
		b.errorf(at, "Invalid "+argument, "Its repetitions make it %d steps long, and it may be %d. Write smaller numbers in { }.",
			len(program.Inst), maxProgram)
	}
}

// covers says whether every request that matches narrow also matches wide, as far as that can be seen.
func covers(wide, narrow mesh.RouteMatch) bool {
	switch {
	case wide.PathExact != "" && wide.PathExact != narrow.PathExact, wide.PathRegex != "" && wide.PathRegex != narrow.PathRegex:
		return false
	case wide.PathPrefix == "" || wide.PathPrefix == "/": // every path begins so
	case !strings.HasPrefix(narrow.PathExact, wide.PathPrefix) && !strings.HasPrefix(narrow.PathPrefix, wide.PathPrefix):
		return false
	}
	if len(wide.Methods) > 0 && (len(narrow.Methods) == 0 || !containsAll(wide.Methods, narrow.Methods)) {
		return false
	}
	return containsAll(narrow.Headers, wide.Headers) && containsAll(narrow.Query, wide.Query)
}

func containsAll[T comparable](all, some []T) bool {
	return !slices.ContainsFunc(some, func(x T) bool { return !slices.Contains(all, x) })
}
