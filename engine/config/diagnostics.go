package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostic is one problem of a configuration.
type Diagnostic struct {
	Severity string `json:"severity"` // error or warning
	Summary  string `json:"summary"`
	Detail   string `json:"detail"` // what to write or do instead, in sentences
	File     string `json:"file"`   // empty when the problem belongs to no file
	Line     int    `json:"line"`   // from 1; 0 when the problem is the file itself
	Column   int    `json:"column"` // from 1, in characters; 0 like Line
}

// Diagnostics are the problems of a configuration, sorted by file and line, with the text they are about.
//
// It is an error too, so that it can travel as one; an empty one is not nil, so test HasErrors and never the pointer.
type Diagnostics struct {
	list  hcl.Diagnostics
	files map[string]*hcl.File
}

// HasErrors says whether one of the problems is an error and not only a warning.
func (d *Diagnostics) HasErrors() bool { return d.list.HasErrors() }

// Len returns the number of problems.
func (d *Diagnostics) Len() int { return len(d.list) }

// List returns the problems as plain values.
func (d *Diagnostics) List() []Diagnostic {
	list := make([]Diagnostic, len(d.list))
	for i, p := range d.list {
		severity := "error"
		if p.Severity == hcl.DiagWarning {
			severity = "warning"
		}
		at := where(p)
		list[i] = Diagnostic{severity, p.Summary, p.Detail, at.Filename, at.Start.Line, at.Start.Column}
	}
	return list
}

// WriteText writes the problems for a person, each with the lines it is about.
//
// The width is the number of columns at which sentences wrap; 0 is no limit.
func (d *Diagnostics) WriteText(w io.Writer, width int, color bool) error {
	return hcl.NewDiagnosticTextWriter(w, d.files, uint(max(width, 0)), color).WriteDiagnostics(d.list)
}

// Error returns the first error, or without one the first warning, and how many more problems there are, in one paragraph.
func (d *Diagnostics) Error() string {
	if len(d.list) == 0 {
		return "no problems"
	}
	isError := func(x *hcl.Diagnostic) bool { return x.Severity == hcl.DiagError }
	first := d.list[max(slices.IndexFunc(d.list, isError), 0)]
	text := fmt.Sprintf("%s. %s", first.Summary, strings.Join(strings.Fields(first.Detail), " "))
	if at := where(first); at.Start.Line > 0 {
		text = fmt.Sprintf("%s: %s", place(at), text)
	}
	if more := len(d.list) - 1; more > 0 {
		text = fmt.Sprintf("%s (and %d more)", text, more)
	}
	return text
}

// problems collects diagnostics while a configuration is read and built.
type problems struct {
	list hcl.Diagnostics
}

// errorf adds an error. The summary is a headline without a full stop; the detail, in sentences, says what to write.
func (p *problems) errorf(at hcl.Range, summary, detail string, args ...any) {
	p.list = append(p.list, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at,
	})
}

// warnf adds a warning: what is written is valid, and hardly what anybody wants.
func (p *problems) warnf(at hcl.Range, summary, detail string, args ...any) {
	p.list = append(p.list, &hcl.Diagnostic{
		Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at,
	})
}

// fileErrorf adds an error about a file as a whole, of which there is no line to show.
func (p *problems) fileErrorf(path, summary, detail string, args ...any) {
	p.list = append(p.list, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Extra: wholeFile(path),
	})
}

// check adds the diagnostics of the HCL library and says whether they have errors.
//
// For an expression that cannot be evaluated the library reports why, and then that it has no value; the latter is
// left out.
func (p *problems) check(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		if d.Detail != "Unsuitable value: value must be known" {
			p.list = append(p.list, d)
		}
	}
	return diags.HasErrors()
}

func (p *problems) sorted() hcl.Diagnostics {
	slices.SortStableFunc(p.list, func(a, b *hcl.Diagnostic) int {
		x, y := where(a), where(b)
		return cmp.Or(cmp.Compare(x.Filename, y.Filename), cmp.Compare(x.Start.Byte, y.Start.Byte),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Summary, b.Summary))
	})
	return p.list
}

// wholeFile is the Extra of a diagnostic that has no Subject.
type wholeFile string

func where(d *hcl.Diagnostic) hcl.Range {
	if d.Subject != nil {
		return *d.Subject
	}
	path, _ := d.Extra.(wholeFile)
	return hcl.Range{Filename: string(path)}
}

// place writes the beginning of a range as editors and compilers do.
func place(at hcl.Range) string { return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line) }
