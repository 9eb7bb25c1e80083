package main

import (
	"strings"
	"text/template"
)

// functions are what the templates call.
var functions = template.FuncMap{
	"text":    escape,
	"quote":   quote,
	"prose":   prose,
	"verb":    verbatim,
	"heading": func(kind string) string { return escape(strings.TrimSuffix(kind, ":")) },
}

var escaper = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`)

// escape makes text mean itself in roff.
func escape(text string) string {
	text = escaper.Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// quote makes text one argument of a macro.
func quote(text string) string { return `"` + strings.ReplaceAll(escape(text), `"`, `\(dq`) + `"` }

// prose writes paragraphs; indented lines stay as they are.
func prose(text string) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		switch {
		case strings.HasPrefix(paragraph, "  "):
			b.WriteString(verbatim(strings.ReplaceAll("\n"+paragraph, "\n  ", "\n")))
			continue
		case i > 0:
			b.WriteString(".PP\n")
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			b.WriteString(escape(strings.TrimSpace(line)) + "\n")
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// verbatim writes lines as they are.
func verbatim(text string) string {
	var b strings.Builder
	b.WriteString(".PP\n.RS 4\n.nf\n")
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		b.WriteString(escape(line) + "\n")
	}
	b.WriteString(".fi\n.RE\n")
	return b.String()
}
