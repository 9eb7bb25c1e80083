package daemon

import (
	"bytes"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args, complaint string
	}{
		{"", ""},
		{"-config /etc/a.hcl --config /etc/b.d -log-level debug -log-format json", ""},
		{"-outbound-port 70000", "outbound-port 70000: want a port"},
		{"-dns-port 65530", "dns-port 65530: want a port"},
		{"status", `unexpected argument "status": meshd takes only flags`},
		{"-log-format xml", `log-format "xml"`},
		{"-log-level loud", "log-level"},
		{"-nonsense", "nonsense"},
	} {
		var stderr bytes.Buffer
		_, err := parseOptions(strings.Fields(c.args), &stderr)
		if (err != nil) != (c.complaint != "") || !strings.Contains(stderr.String(), c.complaint) {
			t.Errorf("meshd %s: %v, says %q", c.args, err, stderr.String())
		}
	}
}
