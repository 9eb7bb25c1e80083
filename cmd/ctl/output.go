package ctl

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// output remembers the first write that was lost, so that a full disk is a failure of every command.
type output struct {
	io.Writer
	lost error
}

// Write writes b.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	o.lost = cmp.Or(o.lost, err)
	return n, err
}

// writeJSON writes a document for scripts.
func (p *program) writeJSON(document any) error {
	e := json.NewEncoder(p.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// writeLines writes every line of a text behind an indent.
func writeLines(w io.Writer, indent, text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintln(w, strings.TrimRight(indent+printable(strings.TrimRight(line, "\n")), " "))
	}
}

// wrap breaks a text between words into lines of at most width columns, if its words allow.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(printable(text)) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// writeHanging writes text behind first, wrapped, with the further lines below the first one's text.
func writeHanging(w io.Writer, first, text string, width int) {
	for i, line := range wrap(text, width-len(first)) {
		if i > 0 {
			first = strings.Repeat(" ", len(first))
		}
		fmt.Fprintln(w, strings.TrimRight(first+line, " "))
	}
}

// printable replaces what could steer a terminal: names and texts come from other hosts and other users.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		if unicode.IsSpace(r) {
			return ' '
		}
		return '?'
	}, s)
}

// elapsed returns a duration in at most two units: 120ms, 42s, 5m, 2h13m, 3d4h.
func elapsed(d time.Duration) string {
	d = max(d, 0)
	two := func(big time.Duration, bigName string, small time.Duration, smallName string) string {
		text := strconv.Itoa(int(d/big)) + bigName
		if rest := d % big / small; rest > 0 {
			text += strconv.Itoa(int(rest)) + smallName
		}
		return text
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < day:
		return two(time.Hour, "h", time.Minute, "m")
	}
	return two(day, "d", time.Hour, "h")
}

// size returns a number of bytes in the largest unit that leaves at least one: 512B, 1.2KiB, 37MiB.
func size(bytes uint64) string {
	if bytes < 1024 {
		return strconv.FormatUint(bytes, 10) + "B"
	}
	value, unit := float64(bytes), -1
	for value >= 1024 {
		value /= 1024
		unit++
	}
	precision := 0
	if value < 9.95 {
		precision = 1
	}
	return strconv.FormatFloat(value, 'f', precision, 64) + []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit]
}

// count returns a number with its noun, in the plural where English wants it.
func count[N int | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func decimal[N int | uint16 | uint32 | uint64](n N) string { return strconv.FormatUint(uint64(n), 10) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
