package subset

import (
	"net/netip"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
)

func TestSelects(t *testing.T) {
	e := mesh.Endpoint{
		Host: "app-1", Address: netip.MustParseAddrPort("10.0.0.21:8080"), Zone: "eu-1a", Weight: 3,
		Tags: []string{"blue", "canary"}, Meta: map[string]string{"version": "v2", "build.id": "7"},
	}
	tests := []struct {
		filter string
		want   bool
	}{
		{"", true},
		{"Service.Meta.version == v2", true},
		{`Service.Meta.version == "v1"`, false},
		{"Service.Meta.version != v1", true},
		{"Service.Meta.absent == v2", false},
		{"Service.Meta.absent != v2", true},
		{"Service.Meta.absent is empty", true},
		{`Service.Meta["build.id"] == 7`, true},
		{`"/Service/Meta/version" == v2`, true},
		{"version in Service.Meta", true},
		{"blue in Service.Tags", true},
		{"red in Service.Tags", false},
		{"Service.Tags contains canary", true},
		{"Service.Tags is not empty", true},
		{`Service.Meta.version matches "^v[23]$"`, true},
		{"Service.Meta.version == v2 and green not in Service.Tags", true},
		{"not (Service.Port == 8080 or Service.Service == x)", false},
		{"Service.Port == 8080", true},
		{"Service.Address == \"10.0.0.21\"", true},
		{"Service.Service == billing", true},
		{"Service.Weights.Passing == 3", true},
		{"Service.Locality.Zone == \"eu-1a\"", true},
		{`Node.Node == "app-1" and Node.Datacenter == dc1`, true},
		{`any Service.Tags as t { t == "blue" }`, true},
	}
	for _, tt := range tests {
		f, err := Parse(tt.filter)
		if err != nil {
			t.Errorf("Parse(%s): %v", tt.filter, err)
			continue
		}
		if got := f.Selects("dc1", "billing", e); got != tt.want {
			t.Errorf("%s selects: %v, want %v", tt.filter, got, tt.want)
		}
	}
}

// TestSelectsBare: an endpoint without tags, meta and address is no error.
func TestSelectsBare(t *testing.T) {
	f, err := Parse("blue not in Service.Tags and Service.Meta.version != v2 and Service.Address == \"db.example.com\"")
	if err != nil {
		t.Fatal(err)
	}
	if !f.Selects("dc1", "db", mesh.Endpoint{Hostname: "db.example.com"}) {
		t.Error("a bare endpoint is not selected")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, filter := range []string{
		"Service.Meta.version =", "Service.Meta.version = v2", "Meta.version == v2", "Service.Met.version == v2", "Service.Port == http",
		"Service.Meta.version == v2 and Service.Nonsense == 1", "Service.Meta.version == v2 or Service.Nonsense == 1",
		`Service.Meta.version matches "("`, "Service.Service is nil", "Service == x", "not Checks is empty", "Service.Port matches \"8.*\"", " ",
	} {
		if _, err := Parse(filter); err == nil {
			t.Errorf("Parse(%q) accepts it", filter)
		}
	}
}
