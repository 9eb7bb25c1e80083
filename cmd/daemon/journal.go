package daemon

import (
	"context"
	"io"
	"log/slog"
)

// journalPriorities are what sd-daemon(3) has a line begin with, by the least level of those lines. journalctl -p and what
// raises alarms from the journal go by them.
var journalPriorities = []struct {
	level  slog.Level
	prefix string
}{
	{slog.LevelError, "<3>"},
	{slog.LevelWarn, "<4>"},
	{slog.LevelInfo, "<6>"},
	{slog.LevelDebug, "<7>"},
}

// journalHandler gives each record to a handler of its priority.
type journalHandler []slog.Handler // as journalPriorities

// newJournalHandler returns a handler that writes by those that make returns for a writer.
func newJournalHandler(w io.Writer, handler func(io.Writer) slog.Handler) slog.Handler {
	var all journalHandler
	for _, p := range journalPriorities {
		all = append(all, handler(prefixed{w, p.prefix}))
	}
	return all
}

// Enabled is that of any of them: they differ in what they write to.
func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h[0].Enabled(ctx, level)
}

// Handle writes a record.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	for i, p := range journalPriorities {
		if r.Level >= p.level {
			return h[i].Handle(ctx, r)
		}
	}
	return h[len(h)-1].Handle(ctx, r)
}

// WithAttrs returns a handler whose records have attributes more.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithAttrs(attrs) })
}

// WithGroup returns a handler whose attributes stand in a group.
func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithGroup(name) })
}

func (h journalHandler) each(f func(slog.Handler) slog.Handler) journalHandler {
	var all journalHandler
	for _, one := range h {
		all = append(all, f(one))
	}
	return all
}

// prefixed writes what it is given, a whole line, behind a prefix, by one call.
type prefixed struct {
	w      io.Writer
	prefix string
}

// Write writes a line.
func (p prefixed) Write(line []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), line...))
	return max(0, n-len(p.prefix)), err
}
