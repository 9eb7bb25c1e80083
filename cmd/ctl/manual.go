package ctl

import (
	"flag"
	"strings"
)

// Manual is what the help and the manual page say about a command.
type Manual struct {
	Name, Summary string
	Kind          string // the heading it stands below
	Usage         string // as it is typed
	Text          string // paragraphs; indented lines are typed by a person
	Flags         []FlagManual
	Example       string
}

// FlagManual is what they say about a flag.
type FlagManual struct {
	Usage string // as it is typed, with the name of its value
	Text  string
}

// Manuals returns those of all commands, in the order of the help.
func Manuals() []Manual {
	var all []Manual
	for _, c := range commands() {
		all = append(all, c.manual())
	}
	return all
}

func (c command) manual() Manual {
	flags, _ := c.prepare(&program{})
	m := Manual{
		Name: c.name, Summary: c.summary, Kind: string(c.kind), Usage: "meshctl " + c.name, Text: strings.TrimSpace(c.help), Example: c.example,
	}
	flags.VisitAll(func(f *flag.Flag) {
		_, text := flag.UnquoteUsage(f)
		m.Flags = append(m.Flags, FlagManual{flagUsage(f), text})
		m.Usage += " [" + flagUsage(f) + "]"
	})
	if c.args != "" {
		m.Usage += " " + c.args
	}
	return m
}

// flagUsage returns a flag as it is typed, with the name of its value.
func flagUsage(f *flag.Flag) string {
	if value := valueOf(f); value != "" {
		return "-" + f.Name + " " + value
	}
	return "-" + f.Name
}

// valueOf returns the name of a flag's value; empty when it has none.
func valueOf(f *flag.Flag) string {
	value, _ := flag.UnquoteUsage(f)
	return value
}
