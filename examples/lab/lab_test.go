package lab_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/examples/lab"
)

const example = "../01-two-hosts"

// The test binary is also the meshd of the labs, and a parent that can be killed.
func TestMain(m *testing.M) {
	switch os.Args[0] {
	case "meshd":
		os.Exit(fakeMeshd())
	case "lab-parent":
		os.Exit(labParent(os.Args[1]))
	}
	os.Exit(m.Run())
}

// fakeMeshd says that it is ready and prints its arguments, and how it ends.
func fakeMeshd() int {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	fmt.Println("arguments", os.Args[1:])
	if slices.Contains(os.Args, "-broken") {
		fmt.Println("this cannot work")
		return 78
	}
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer conn.Close()
	fmt.Fprint(conn, "STATUS=serving\nREADY=1")
	<-terminated
	fmt.Println("terminated")
	return 0
}

// labParent makes a lab, starts its units, says where it is, and waits to be killed.
func labParent(dir string) int {
	l, err := lab.Up(context.Background(), lab.Config{Dir: dir})
	if err == nil {
		_, err = l.Host("app-2").Start(context.Background(), "hello.service")
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(l.Name())
	fmt.Println(filepath.Dir(l.Host("app-2").Cgroup()))
	select {}
}

func TestHostsReachEachOther(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	one, two := l.Host("app-1"), l.Host("app-2")
	for _, address := range two.Addresses() {
		var listener net.Listener
		err := two.Do(func() (err error) {
			listener, err = net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		client, err := one.Dial(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		remote := server.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !slices.Contains(one.Addresses(), remote) {
			t.Errorf("the client has address %s, want one of %s", remote, one.Addresses())
		}
	}
	for _, elsewhere := range []string{"192.0.2.1:80", "[2001:db8::1]:80"} {
		if _, err := one.Dial(t.Context(), "tcp", elsewhere); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("dial %s: %v, want no route", elsewhere, err)
		}
	}
}

func TestResolver(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	host := l.Host("app-1")
	for _, network := range []string{"udp", "tcp"} {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return host.Dial(ctx, network, "10.77.0.1:53")
		}}
		answer, err := resolver.LookupNetIP(t.Context(), "ip", lab.OutsideName)
		slices.SortFunc(answer, netip.Addr.Compare)
		if err != nil || !slices.Equal(answer, l.Host(lab.Outside).Addresses()) {
			t.Errorf("%s: %v, %v", network, answer, err)
		}
		_, err = resolver.LookupNetIP(t.Context(), "ip4", "nothing.example")
		if missing, ok := errors.AsType[*net.DNSError](err); !ok || !missing.IsNotFound {
			t.Errorf("%s: unknown name: %v", network, err)
		}
	}
	if answer, err := host.Command(t.Context(), "", "getent", "ahostsv4", lab.OutsideName).Output(); err != nil {
		t.Errorf("getent: %q, %v", answer, err)
	}
	queries, err := l.Queries()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"udp 10.77.0.11 AAAA outside.example.", "tcp 10.77.0.11 A nothing.example."} {
		if !slices.Contains(queries, want) {
			t.Errorf("%q is not among the queries %q", want, queries)
		}
	}
}

func TestTwoLabsAtOnce(t *testing.T) {
	one := lab.New(t, lab.Config{Dir: example})
	two := lab.New(t, lab.Config{Dir: example})
	for _, l := range []*lab.Lab{one, two} {
		if _, err := l.Host("app-1").Start(t.Context(), "hello.service"); err != nil {
			t.Error(err)
		}
	}
	_, err := lab.Up(t.Context(), lab.Config{Dir: example, Name: one.Name()})
	if err == nil || !strings.Contains(err.Error(), "it exists") {
		t.Errorf("a second lab of the same name: %v", err)
	}
	if units, err := one.Host("app-1").Units(); err != nil || len(units) != 1 {
		t.Errorf("the first lab is hurt: %v, %v", units, err)
	}
}

func TestDownLeavesNothing(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	group := filepath.Dir(l.Host("app-2").Cgroup())
	unit, err := l.Host("app-2").Start(t.Context(), "hello.service")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Down(); err != nil {
			t.Fatal(err)
		}
	}
	wantNothing(t, l.Name(), group)
	if err := unit.Wait(); err == nil {
		t.Error("the unit ended in order, it was not killed")
	}
	if err := l.Host("app-2").Do(func() error { return nil }); err == nil {
		t.Error("the namespaces are still there")
	}
}

func TestKilledParentLeavesNothing(t *testing.T) {
	parent := exec.Command("/proc/self/exe")
	parent.Args = []string{"lab-parent", example}
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	name, group := readLine(t, lines), readLine(t, lines)
	folder, err := os.Open("/run/meshlab/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := parent.Wait(); err == nil {
		t.Fatal("the parent was not killed")
	}
	waitSupervisor(t, folder)
	wantNothing(t, name, group)
}

func TestDownAfterKilledSupervisor(t *testing.T) {
	l := lab.New(t, lab.Config{Dir: example})
	if _, err := l.Host("app-2").Start(t.Context(), "hello.service"); err != nil {
		t.Fatal(err)
	}
	folder, err := os.Open("/run/meshlab/" + l.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	text, err := os.ReadFile(folder.Name() + "/state.json")
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ PID int }
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	if !l.Alive() {
		t.Error("a lab that is up is not alive")
	}
	if err := unix.Kill(state.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitSupervisor(t, folder)
	if l.Alive() {
		t.Error("a lab without a supervisor is alive")
	}
	group := filepath.Dir(l.Host("app-2").Cgroup())
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, l.Name(), group)
}

func TestFailedUpLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("z", 70) // no kernel takes it for a host name, and it comes after app-1
	text := `host "app-1" { addresses = ["10.77.0.11"] }` + "\n" + `host "` + long + `" { addresses = ["10.77.0.12"] }`
	if err := os.WriteFile(filepath.Join(dir, "meshd.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	l := lab.New(t, lab.Config{Dir: example})
	name := l.Name()
	group := filepath.Dir(l.Host("app-1").Cgroup())
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	_, err := lab.Up(t.Context(), lab.Config{Dir: dir, Name: name})
	if err == nil || !strings.Contains(err.Error(), "set host name") {
		t.Fatalf("error %v", err)
	}
	wantNothing(t, name, group)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Up(ctx, lab.Config{Dir: example, Name: name}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	wantNothing(t, name, group)
}

// waitSupervisor waits for the end of a supervisor, which holds the lock of its state folder as long as it lives.
func waitSupervisor(t *testing.T, folder *os.File) {
	t.Helper()
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
}

// wantNothing checks that a lab has left neither state nor cgroup; without a cgroup there is no process.
func wantNothing(t *testing.T, name, group string) {
	t.Helper()
	for _, path := range []string{"/run/meshlab/" + name, group} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		rest, _ := io.ReadAll(r)
		t.Fatalf("read line: %v: %s%s", err, line, rest)
	}
	return strings.TrimSuffix(line, "\n")
}
