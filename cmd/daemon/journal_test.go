package daemon

import (
	"log/slog"
	"strings"
	"testing"
)

func TestJournalKnowsPriorities(t *testing.T) {
	var written strings.Builder
	log := options{logLevel: slog.LevelInfo, logFormat: "text"}.logger(&written, func(name string) string {
		return map[string]string{"JOURNAL_STREAM": "8:1"}[name]
	}).With("of", "dns").WithGroup("more")
	log.Debug("not written")
	log.Info("an information", "n", 1)
	log.Warn("a warning")
	log.Error("an error")
	want := `<6>level=INFO msg="an information" of=dns more.n=1
<4>level=WARN msg="a warning" of=dns
<3>level=ERROR msg="an error" of=dns
`
	if written.String() != want {
		t.Errorf("to the journal goes\n%swant\n%s", &written, want)
	}

	written.Reset()
	options{logFormat: "json"}.logger(&written, func(string) string { return "" }).Error("to a terminal")
	if !strings.HasPrefix(written.String(), `{"time":`) {
		t.Errorf("to a terminal goes %s", &written)
	}
}
