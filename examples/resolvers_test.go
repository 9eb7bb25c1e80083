package examples_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A style is a way in which programs look up the addresses of a name.
type style struct {
	name string
	tcp  bool     // asks again by TCP when an answer did not fit
	argv []string // of a program that takes a family and a name
}

const python = `import socket, sys
family = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]]
try:
    for found in socket.getaddrinfo(sys.argv[2], None, family, socket.SOCK_STREAM):
        print(found[4][0])
except socket.gaierror as error:
    sys.exit(error.strerror)`

var styles = []style{
	{"glibc", true, []string{"/tmp/glibc"}},
	{"musl", false, []string{"/tmp/musl"}}, // TCP came with musl 1.2.4, Debian 12 has 1.2.3
	{"c-ares", true, []string{"/tmp/c-ares"}},
	{"Go", true, []string{"env", "GORACE=atexit_sleep_ms=0", self, "client", "lookup"}},
	{"Python", true, []string{"python3", "-c", python}},
}

// installStyles puts the programs of all styles on the host.
func (h host) installStyles(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	for _, build := range []string{
		"gcc -o glibc testdata/resolvers/getaddrinfo.c",
		"musl-gcc -static -o musl testdata/resolvers/getaddrinfo.c",
		"gcc -o c-ares testdata/resolvers/ares.c -lcares",
	} {
		argv := strings.Fields(build)
		program := slices.Index(argv, "-o") + 1
		name := argv[program]
		argv[program] = filepath.Join(folder, name)
		if output, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build, err, output)
		}
		text, err := os.ReadFile(argv[program])
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Do(func() error { return os.WriteFile("/tmp/"+name, text, 0o755) }); err != nil {
			t.Fatal(err)
		}
	}
}

// resolve looks a name up as a program of the unit web does, and returns the lines that it prints: addresses, or an error.
func (h host) resolve(t *testing.T, s style, family, name string) (lines []string, found bool) {
	t.Helper()
	output, code := h.try(t, "web.service", append(slices.Clone(s.argv), family, name)...)
	return strings.Fields(output), code == 0
}

// resolveByAll looks names up in all styles at once, and returns what each one saw.
func (h host) resolveByAll(t *testing.T, names ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := make([]string, len(styles)*len(names))
	var running sync.WaitGroup
	for i := range seen {
		s, name := styles[i/len(names)], names[i%len(names)]
		running.Go(func() {
			output, err := h.Command(ctx, "web.service", append(slices.Clone(s.argv), "4", name)...).CombinedOutput()
			seen[i] = fmt.Sprintf("%s of %s: %q, %v", s.name, name, output, err)
		})
	}
	running.Wait()
	return seen
}

// lookup is the resolver of Go, not that of the C library that the binary may be linked with.
func lookup(family, name string) error {
	resolver := net.Resolver{PreferGo: true}
	addresses, err := resolver.LookupNetIP(context.Background(), "ip"+family, name)
	for _, a := range addresses {
		fmt.Println(a)
	}
	// Whom it asked last and from which port is left out.
	if failed, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("not found %t, in time %t", failed.IsNotFound, !failed.IsTimeout)
	}
	return err
}

// cached asks for the address of a service once, as programs do that have a cache without an end, and then gets a page
// from that address for each line that it reads.
func cached(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	conn.Close()
	fmt.Println(conn.RemoteAddr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := show("http://" + conn.RemoteAddr().String() + "/"); err != nil {
			return err
		}
	}
	return nil
}

func show(url string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	page, err := client.Get(url)
	if err != nil {
		return err
	}
	defer page.Body.Close()
	_, err = io.Copy(os.Stdout, page.Body)
	return err
}

// resolvConf is a configuration of a host's resolvers.
type resolvConf struct {
	name, text string
	resolvers  []string // that meshd serves
	call       string   // how programs name the service hello
}

var resolvConfs = []resolvConf{
	{"one", "nameserver 10.77.0.1\n", []string{"10.77.0.1:53"}, "hello.mesh"},
	{"IPv6", "nameserver fd77::1\n", []string{"[fd77::1]:53"}, "hello.mesh"},
	{"both families", "nameserver 10.77.0.1\nnameserver fd77::1\n", []string{"10.77.0.1:53", "[fd77::1]:53"}, "hello.mesh"},
	{"search list with the domain", "nameserver 10.77.0.1\nsearch lan.example mesh\n", []string{"10.77.0.1:53"}, "hello"},
	{"search list before the name", "nameserver 10.77.0.1\nsearch lan.example\noptions ndots:5\n", []string{"10.77.0.1:53"}, "hello.mesh"},
	{"EDNS", "nameserver 10.77.0.1\noptions edns0 trust-ad single-request\n", []string{"10.77.0.1:53"}, "hello.mesh"},
	{"TCP", "nameserver 10.77.0.1\noptions use-vc\n", []string{"10.77.0.1:53"}, "hello.mesh"},
	{"rotate", "nameserver 10.77.0.1\nnameserver fd77::1\noptions rotate\n", []string{"10.77.0.1:53", "[fd77::1]:53"}, "hello.mesh"},
	// As where systemd-resolved listens.
	{"stub on loopback", "nameserver 127.0.0.53\noptions edns0 trust-ad\n", []string{"127.0.0.53:53"}, "hello.mesh"},
	// A resolver that says nothing is not asked for names of the mesh.
	{"silent one first", "nameserver 10.77.0.12\nnameserver 10.77.0.1\noptions timeout:1 attempts:2\n", []string{"10.77.0.12:53", "10.77.0.1:53"}, "hello.mesh"},
}

// use makes the host ask the resolvers of a configuration.
func (h host) use(t *testing.T, c resolvConf) {
	t.Helper()
	h.write(t, "/etc/resolv.conf", c.text)
	eventually(t, "the resolvers are followed", func() bool { return slices.Equal(h.status(t).DNS.Resolvers, c.resolvers) })
	for _, resolver := range c.resolvers {
		address := "@" + netip.MustParseAddrPort(resolver).Addr().String()
		eventually(t, "queries to "+resolver+" are captured", func() bool {
			output, code := h.try(t, "", "dig", "+short", "+time=1", "+tries=1", address, "hello.mesh")
			return code == 0 && output != ""
		})
	}
}

func TestResolvers(t *testing.T) {
	t.Parallel()
	one, two, _ := startMesh(t)
	one.installStyles(t)
	one.startNameserver(t, "127.0.0.53:53", false)
	two.startNameserver(t, "10.77.0.12:53", true)
	virtual4, virtual6 := one.virtual(t, "hello", 4), one.virtual(t, "hello", 6)
	for _, c := range resolvConfs {
		t.Run(c.name, func(t *testing.T) {
			one.use(t, c)
			for _, s := range styles {
				for _, test := range []struct{ family, name, want string }{
					{"4", c.call, virtual4},
					{"6", c.call, virtual6},
					{"4", "outside.example", "10.77.0.1"},
					{"6", "nobody.mesh", ""},
				} {
					lines, found := one.resolve(t, s, test.family, test.name)
					if found != (test.want != "") || found && !slices.Equal(lines, []string{test.want}) {
						t.Errorf("%s: %s by IPv%s is %q, want %q", s.name, test.name, test.family, lines, test.want)
					}
				}
			}
		})
	}
}

// TestLargeAnswer has an answer that does not fit into UDP, which the resolver marks and the program asks for by TCP.
func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	one, two, _ := startMesh(t)
	one.installStyles(t)
	two.startNameserver(t, "10.77.0.12:53", false)
	one.use(t, resolvConf{text: "nameserver 10.77.0.12\n", resolvers: []string{"10.77.0.12:53"}})
	for _, s := range styles {
		want := manyCount
		if !s.tcp {
			want = 0
		}
		lines, found := one.resolve(t, s, "6", manyName)
		if found != s.tcp || found && len(lines) != want {
			t.Errorf("%s: %d addresses, want %d: %q", s.name, len(lines), want, lines)
		}
	}
	for _, options := range []string{"+tcp", "+bufsize=512", "+bufsize=4096", "+noedns"} {
		if status, answers := one.dig(t, options, manyName, "A"); status != "NOERROR" || len(answers) != manyCount {
			t.Errorf("dig %s: %s, %d answers, want %d", options, status, len(answers), manyCount)
		}
	}
	if output := one.run(t, "web.service", "dig", "+ignore", "+noedns", manyName, "A"); !strings.Contains(output, " tc ") {
		t.Errorf("the answer by UDP is not marked as cut:\n%s", output)
	}
}

// TestResolverDown compares what programs see of resolvers that are down without meshd and with it.
func TestResolverDown(t *testing.T) {
	t.Parallel()
	one, two := newLab(t)
	one.installStyles(t)
	two.startNameserver(t, "10.77.0.12:53", true)
	names := []string{"outside.example", "nobody.example"}
	const twice = "options timeout:1 attempts:2\n"
	confs := []resolvConf{
		// What is told at once without meshd is told at once with it, but in other words: SERVFAIL, not a socket's error.
		{name: "closed, then one that works", text: "nameserver fd77::12\nnameserver 10.77.0.1\n" + twice, resolvers: []string{"[fd77::12]:53", "10.77.0.1:53"}},
		{name: "silent, then one that works", text: "nameserver 10.77.0.12\nnameserver 10.77.0.1\n" + twice, resolvers: []string{"10.77.0.12:53", "10.77.0.1:53"}},
		{name: "silent", text: "nameserver 10.77.0.12\n" + twice, resolvers: []string{"10.77.0.12:53"}},
	}
	var without [][]string
	for _, c := range confs {
		one.write(t, "/etc/resolv.conf", c.text)
		without = append(without, one.resolveByAll(t, names...))
	}
	one.startMeshd(t)
	for i, c := range confs {
		one.use(t, c)
		for j, seen := range one.resolveByAll(t, names...) {
			if seen != without[i][j] {
				t.Errorf("%s: %s; without meshd %s", c.name, seen, without[i][j])
			}
		}
		if _, code := one.page(t, "--max-time", "10", hello); code != 0 {
			t.Errorf("%s: exit code %d of a request to the mesh", c.name, code)
		}
	}
}
