package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	hosts, err := describe("../01-two-hosts")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(hosts, networks(hosts))
	want := "[{app-1 [10.77.0.11 fd77::11] {0 0 0}} {app-2 [10.77.0.12 fd77::12] {0 0 0}}] [10.77.0.1/24 fd77::1/64]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDescribeRefuses(t *testing.T) {
	host := func(name, addresses string) string {
		return fmt.Sprintf("host %q {\n addresses = [%s]\n zone = \"a\"\n}\n", name, addresses)
	}
	for text, want := range map[string]string{
		`node {}`:                           "has no host",
		`host "a" {`:                        "Unclosed configuration block",
		host("outside", `"10.1.1.2"`):       "cannot be used",
		host("A/b", `"10.1.1.2"`):           "cannot be used",
		host("a", ``):                       "has no address",
		host("a", `7`):                      "not a string",
		host("a", `"10.1.1"`):               "address of host a",
		host("a", `"10.1.1.1"`):             "belongs to outside",
		host("a", `"10.1.1.2", "10.2.2.2"`): "several networks",
		host("a", `"10.1.1.2"`) + host("a", `"10.1.1.3"`):           "declared twice",
		host("a", `"10.1.1.2"`) + host("b", `"fd00::2","10.1.1.2"`): "address 10.1.1.2 of host b belongs to a",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "meshd.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := describe(dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
