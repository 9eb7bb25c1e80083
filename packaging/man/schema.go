package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// block is a block of the configuration, as it is declared.
type block struct {
	Path      string // of the names of the blocks that it is in, and its own: service.check
	Labels    []string
	Text      string
	NodeOnly  bool // it stands only in the files of the host
	Arguments []argument
	Blocks    []block
}

// argument is an argument of a block.
type argument struct {
	Name     string
	Text     string
	Required bool
}

// source is the declarations of engine/config by their names.
type source struct {
	structs  map[string]*ast.StructType
	comments map[string]string
	node     []string // types of the blocks that stand only in the host's own files
}

// readSchema returns the blocks that the package in a folder decodes, each with the comments on its declaration. It fails
// for a block or an argument that has none.
func readSchema(folder string) ([]block, error) {
	s := source{structs: map[string]*ast.StructType{}, comments: map[string]string{}}
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, s.collect)
	}
	root, err := s.block("", "blocks")
	return root.Blocks, err
}

func (s *source) collect(n ast.Node) bool {
	d, ok := n.(*ast.GenDecl)
	if !ok {
		return true
	}
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if t, ok := spec.Type.(*ast.StructType); ok {
				s.structs[spec.Name.Name], s.comments[spec.Name.Name] = t, d.Doc.Text()
			}
		case *ast.ValueSpec:
			if spec.Names[0].Name == "nodeBlocks" {
				for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
					name, _ := strconv.Unquote(e.(*ast.BasicLit).Value)
					s.node = append(s.node, name)
				}
			}
		}
	}
	return false
}

// block returns what a structure declares.
func (s *source) block(path, name string) (block, error) {
	b := block{Path: path, NodeOnly: slices.Contains(s.node, path)}
	var problems []error
	var err error
	if path != "" {
		if b.Text, err = sentence(s.comments[name], name, last(path)); err != nil {
			problems = append(problems, err)
		}
	}
	for _, f := range s.structs[name].Fields.List {
		word, kind := tag(f)
		inner := strings.TrimPrefix(path+"."+word, ".")
		name, text := word, ""
		if kind == "label" {
			name = strings.ToUpper(word)
		}
		if kind != "block" && word != "" {
			if text, err = sentence(f.Doc.Text(), f.Names[0].Name, name); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", inner, err))
			}
		}
		switch kind {
		case "block":
			one, err := s.block(inner, typeName(f.Type))
			problems = append(problems, err)
			b.Blocks = append(b.Blocks, one)
		case "label":
			b.Labels = append(b.Labels, name)
			b.Text += "\n" + text
		case "optional", "":
			b.Arguments = append(b.Arguments, argument{word, text, kind == ""})
		}
	}
	return b, errors.Join(problems...)
}

// tag returns the name and the kind that a field has in the configuration; the kind of one that is not there, or only says
// where something is, is none.
func tag(f *ast.Field) (word, kind string) {
	if f.Tag == nil {
		return "", "none"
	}
	text, _ := strconv.Unquote(f.Tag.Value)
	word, kind, _ = strings.Cut(reflect.StructTag(text).Get("hcl"), ",")
	if strings.HasSuffix(kind, "range") {
		return "", "none"
	}
	return word, kind
}

// asWritten is how a comment on a block shows it; the manual has that in the heading.
var asWritten = regexp.MustCompile(`: [a-z_]+( "[^"]*")? {}`)

// sentence returns a comment on a declaration, about the thing by the name that it has in the configuration.
func sentence(comment, declared, name string) (string, error) {
	rest, found := strings.CutPrefix(comment, declared+" ")
	if !found {
		return "", fmt.Errorf("the comment on %s does not begin with its name: it is what the manual says about %s", declared, name)
	}
	return name + " " + asWritten.ReplaceAllString(strings.Join(strings.Fields(rest), " "), ""), nil
}

// typeName returns the name of the structure that a field holds, itself, by a pointer, or in a list.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ArrayType:
		return typeName(e.Elt)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
