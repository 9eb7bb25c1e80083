package ctl

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// column is a column of a table.
type column struct {
	head     string
	drop     int  // where a terminal is too narrow, 1 is left out first, then 2, …; 0: it stays
	shorten  bool // there its cells may be cut, down to shortest
	optional bool // it is no part of a table in which all its cells are empty
}

const (
	gap      = 2  // blanks between two columns
	shortest = 20 // of a cell that is cut
)

// table is rows of cells with the width of each column, 0 for one that is not shown.
type table struct {
	columns []column
	rows    [][]string
	widths  []int
}

// writeTable writes rows below their headings. An empty cell becomes a dash, so that every row has as many words.
//
// Only a terminal that is too narrow does not get everything, and then the last line says what is missing. A pipe or a
// file has no width.
func (p *program) writeTable(columns []column, rows [][]string) error {
	t := newTable(columns, rows)
	missing := ""
	if p.IsTerminal {
		missing = t.fit(p.Width)
	}
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.head
	}
	var text strings.Builder
	for _, cells := range append([][]string{heads}, t.rows...) {
		fmt.Fprintln(&text, t.line(cells))
	}
	if missing != "" {
		writeHanging(&text, "", "(terminal too narrow: "+missing+"; -o json has all)", p.Width)
	}
	_, err := io.WriteString(p.Stdout, text.String())
	return err
}

func newTable(columns []column, rows [][]string) *table {
	t := &table{columns: columns, rows: rows, widths: make([]int, len(columns))}
	for i, c := range columns {
		isEmpty := true
		for _, row := range rows {
			isEmpty = isEmpty && row[i] == ""
			row[i] = printable(row[i])
			if row[i] == "" {
				row[i] = "-"
			}
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(row[i]))
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c.head))
		if c.optional && isEmpty {
			t.widths[i] = 0
		}
	}
	return t
}

// fit makes the table as wide as that at most, as far as its columns allow, and returns what it took away. A cell is
// cut before a column is left out.
func (t *table) fit(width int) string {
	var left, missing []string
	shortened := ""
	for {
		excess := t.width() - width
		if excess <= 0 {
			break
		}
		if i := t.shortenable(excess); i >= 0 {
			t.widths[i] -= excess
			shortened = t.columns[i].head
			break
		}
		i := t.expendable()
		if i < 0 {
			break // the terminal breaks the lines, and so loses nothing
		}
		t.widths[i] = 0
		left = append(left, t.columns[i].head)
	}
	if len(left) > 0 {
		missing = append(missing, "left out "+strings.Join(left, ", "))
	}
	if shortened != "" {
		missing = append(missing, "shortened "+shortened)
	}
	return strings.Join(missing, ", ")
}

// shortenable returns the column that can become narrower by excess, -1 when none can.
func (t *table) shortenable(excess int) int {
	for i, c := range t.columns {
		if c.shorten && t.widths[i]-excess >= shortest {
			return i
		}
	}
	return -1
}

// expendable returns the shown column that is left out next, -1 when all others stay.
func (t *table) expendable() int {
	next := -1
	for i, c := range t.columns {
		if c.drop > 0 && t.widths[i] > 0 && (next < 0 || c.drop < t.columns[next].drop) {
			next = i
		}
	}
	return next
}

func (t *table) width() int {
	sum := -gap
	for _, w := range t.widths {
		if w > 0 {
			sum += w + gap
		}
	}
	return sum
}

func (t *table) line(cells []string) string {
	var line strings.Builder
	for i, cell := range cells {
		w := t.widths[i]
		if w == 0 {
			continue
		}
		if runes := []rune(cell); len(runes) > w {
			cell = string(runes[:w-1]) + "…"
		}
		fmt.Fprintf(&line, "%-*s", w+gap, cell)
	}
	return strings.TrimRight(line.String(), " ")
}

// address returns the cell of an address, empty for one that is not known.
func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
