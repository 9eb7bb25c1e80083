package daemon

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestReadResolvers(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"usual", "# by hand\nsearch example.org\nnameserver 10.0.0.2\nnameserver  fd00::2\noptions ndots:2\n", []string{"10.0.0.2", "fd00::2"}},
		{"systemd-resolved", "nameserver 127.0.0.53\noptions edns0 trust-ad\n", []string{"127.0.0.53"}},
		{"twice and mapped", "nameserver 10.0.0.2\nnameserver ::ffff:10.0.0.2\n", []string{"10.0.0.2"}},
		{"link-local is left alone", "nameserver fe80::1%eth0\nnameserver 10.0.0.2\n", []string{"10.0.0.2"}},
		{"only link-local", "nameserver fe80::1%eth0\n", nil},
		{"rubbish", "nameserver\nnameserver resolver.example\nNAMESERVER 10.0.0.2\n", []string{"127.0.0.1", "::1"}},
		{"none", "search example.org\n", []string{"127.0.0.1", "::1"}},
		{"more than can be served", "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\nnameserver 10.0.0.5\n" +
			"nameserver 10.0.0.6\nnameserver 10.0.0.7\nnameserver 10.0.0.8\nnameserver 10.0.0.9\n",
			[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "resolv.conf")
			if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			got, err := readResolvers(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []netip.Addr
			for _, w := range c.want {
				want = append(want, netip.MustParseAddr(w))
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if got, err := readResolvers(filepath.Join(t.TempDir(), "none")); !slices.Equal(got, localResolvers) || err != nil {
		t.Errorf("a host without the file: %v, %v", got, err)
	}
}
