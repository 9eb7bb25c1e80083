package daemon

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
)

func TestWithHostsBlock(t *testing.T) {
	const (
		local = "127.0.0.1 localhost\n"
		old   = "# BEGIN meshd\n244.0.0.9 old.mesh\n# END meshd\n"
		block = "244.0.0.1 a.mesh\n"
		new   = "# BEGIN meshd\n244.0.0.1 a.mesh\n# END meshd\n"
	)
	for _, test := range []struct {
		name, text, block, want string
		wrong                   bool
	}{
		{"first", local, block, local + new, false},
		{"empty file", "", block, new, false},
		{"no newline at the end", "127.0.0.1 localhost", block, local + new, false},
		{"replaced at the end", local + old, block, local + new, false},
		{"replaced in its place", old + local, block, new + local, false},
		{"twice", old + local + old, block, new + local, false},
		{"as it is", local + new, block, local + new, false},
		{"indented, with the line ends of Windows", " # BEGIN meshd\r\nx\r\n# END meshd \r\n" + local, block, new + local, false},
		{"removed", local + old + local, "", local + local, false},
		{"nothing to remove", local + "\n\n#", "", local + "\n\n#", false},
		{"no end", local + "# BEGIN meshd\n" + local, block, "", true},
		{"no end, to remove", local + "# BEGIN meshd\n" + local, "", "", true},
		{"no beginning", local + "# END meshd\n", block, "", true},
		{"no beginning, and nothing to remove", local + "# END meshd\n", "", local + "# END meshd\n", false},
		{"two beginnings", "# BEGIN meshd\n" + old, block, "", true},
		{"nearly a mark", "# BEGIN meshd now\n", block, "# BEGIN meshd now\n" + new, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := withHostsBlock(test.text, test.block)
			if got != test.want || (err != nil) != test.wrong {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestHostsLines(t *testing.T) {
	v4, v6 := netip.MustParseAddr("244.0.0.1"), netip.MustParseAddr("fd00::1")
	catalog := mesh.Catalog{
		Mesh: mesh.Mesh{Name: "shop", Domain: "mesh"},
		Services: []mesh.Service{
			{Name: "billing", Port: 80, Virtual4: v4, Virtual6: v6, Hostnames: []string{"api.example.com"}},
			{Name: "nightly"},
		},
	}
	got, err := hostsLines(snapshot.Build(snapshot.Input{Catalog: catalog}))
	want := "244.0.0.1 api.example.com\nfd00::1 api.example.com\n244.0.0.1 billing.mesh\nfd00::1 billing.mesh\n"
	if got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}

	for n := range maxHostsNames {
		catalog.Services = append(catalog.Services, mesh.Service{Name: fmt.Sprintf("s%04d", n), Port: 80, Virtual4: v4, Virtual6: v6})
	}
	got, err = hostsLines(snapshot.Build(snapshot.Input{Catalog: catalog}))
	if got != "" || err == nil || !strings.Contains(err.Error(), "2003 names") {
		t.Errorf("of too many names %d bytes, %v", len(got), err)
	}
}
