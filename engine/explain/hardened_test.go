package explain

import (
	"strings"
	"testing"
)

// TestHardened: what a stranger may not send is told, and what it is not believed decides nothing.
func TestHardened(t *testing.T) {
	text := strings.Replace(shop, `hostnames    = ["billing.example.com"]`, "http {\nhardening = \"edge\"\n}", 1)
	text = strings.Replace(text, `header "x-canary"`, `header "x-forwarded-proto"`, 1)
	text = strings.Replace(text, `service = "spare"`, "service = \"spare\"\nrequest_headers {\nset = { x-tenant = \"a\" }\n}", 1)
	v := offline(t, text)
	if routes := v.Routes("billing"); routes[0].Hardening != "edge" {
		t.Errorf("%+v", routes[0])
	}
	if routes := v.Routes("spare"); routes[0].Hardening != "" {
		t.Errorf("%+v", routes[0])
	}
	for header, reason := range map[string]string{
		"X_A: b": "hardening", "Connection: X-Real-IP": "hardening", "Connection: X-Tenant": "hardening", "Connection: X-Other": "", "X-Forwarded-For: a": "",
	} {
		x, err := v.Explain(ask("web", "billing", "GET", "/spare", header))
		if err != nil || x.Outcome.Reason != reason || reason != "" && x.Outcome.Status != 400 {
			t.Errorf("%s: %+v, %v", header, x.Outcome, err)
		}
	}
	x, err := v.Explain(ask("web", "billing", "GET", "/v2/", "X-Forwarded-Proto: 1"))
	if err != nil || strings.Contains(x.Targets[0].Name, "v2") {
		t.Errorf("a stranger chooses its route: %+v, %v", x.Targets, err)
	}
}
