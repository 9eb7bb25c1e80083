package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Booted is a host of a lab that is a whole system: a Debian in which systemd is the first process.
//
// It has namespaces of every kind but one for users, its own subtree of cgroup2, which it sees as the whole, and a
// bpffs that is empty at each boot. What it writes is kept until the lab is down, and is gone then.
type Booted struct {
	lab    *Lab
	state  hostState
	leader int           // its process 1, as this process sees it; 0: it does not run
	ended  chan struct{} // closed when it has gone down
}

// bootLimit is how long a host may take to boot, or to go down.
const bootLimit = time.Minute

// Boot starts a host and waits until systemd has done all that a boot does. The host must be of a lab with a
// [Config.Tree].
func (l *Lab) Boot(ctx context.Context, name string) (*Booted, error) {
	i := slices.IndexFunc(l.state.Hosts, func(h hostState) bool { return h.Name == name })
	if i < 0 || l.state.Tree == "" {
		return nil, fmt.Errorf("boot host %s: the lab has no such host that boots", name)
	}
	b := &Booted{lab: l, state: l.state.Hosts[i]}
	if err := l.outside.Do(b.prepare); err != nil {
		return nil, fmt.Errorf("prepare host %s: %w", name, err)
	}
	if err := b.boot(ctx); err != nil {
		return nil, err
	}
	l.booted = append(l.booted, b)
	return b, nil
}

// folder returns where the outside keeps something of the host.
func (b *Booted) folder(elem ...string) string {
	return filepath.Join(append([]string{"/run/lab/booted", b.Name()}, elem...)...)
}

// prepare writes the files in which one host differs from another.
func (b *Booted) prepare() error {
	for _, folder := range []string{"root", "work", "bpf", "files/etc/systemd/network"} {
		if err := os.MkdirAll(b.folder(folder), 0o755); err != nil {
			return err
		}
	}
	network := "[Match]\nName=host0\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
	for _, address := range b.lab.outside.Addresses() {
		network += fmt.Sprintf("DNS=%s\nGateway=%s\n", address, address)
	}
	for _, address := range b.state.Addresses {
		// Usable at once: nobody else is on this network.
		network += fmt.Sprintf("\n[Address]\nAddress=%s\nDuplicateAddressDetection=none\n", onLink(address))
	}
	for path, text := range map[string]string{
		"etc/hostname":                         b.Name() + "\n",
		"etc/hosts":                            "127.0.0.1 localhost\n127.0.1.1 " + b.Name() + "\n::1 localhost ip6-localhost ip6-loopback\n",
		"etc/systemd/network/10-host0.network": network,
	} {
		if err := os.WriteFile(b.folder("files", path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.Symlink("../run/systemd/resolve/stub-resolv.conf", b.folder("files/etc/resolv.conf"))
}

// machine starts a host: $1 is its folder, $2 its name. It runs as process 1 of a namespace, with whose end all is
// over, and in a namespace of cgroups: systemd-nspawn, and so the host, sees no others than those of the host.
const machine = `set -eu
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t overlay overlay -o "lowerdir=` + treeFolder + `,upperdir=$1/files,workdir=$1/work" "$1/root"
mount -t bpf -o mode=700 bpf "$1/bpf"
systemd-nspawn --quiet --boot --directory="$1/root" --machine="$2" --console=pipe --notify-ready=yes \
	--register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off \
	--capability=all --system-call-filter='bpf perf_event_open @keyring' \
	--network-bridge=` + bridgeName + ` --bind=/dev/net/tun --bind="$1/bpf:/sys/fs/bpf"
`

// boot starts the host and waits until it is there.
func (b *Booted) boot(ctx context.Context) error {
	console, err := os.OpenFile(b.lab.state.path("log", b.Name(), "console.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	said, err := b.lab.outside.listenReadiness("boot-" + b.Name())
	if err != nil {
		return err
	}
	cmd := exec.Command("/usr/bin/unshare", "--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc",
		"/bin/bash", "-c", machine, "machine", b.folder(), b.Name())
	cmd.Env = []string{searchPath, "LANG=C.UTF-8", "NOTIFY_SOCKET=" + said.path}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := b.lab.outside.spawn(cmd, b.cgroup(), nil); err != nil {
		said.close()
		return fmt.Errorf("boot host %s: %w", b.Name(), err)
	}
	ended := make(chan struct{})
	b.ended = ended
	b.lab.following.Go(func() {
		defer close(ended)
		_ = cmd.Wait() // whether it should end is not said by how it does
		said.close()
	})
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	select {
	case <-said.ready:
	case <-ended:
		err = errors.New("it went down")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err == nil {
		b.leader, err = b.findLeader()
	}
	if err == nil {
		err = b.Do(b.checkApart)
	}
	if err != nil {
		text, _ := os.ReadFile(console.Name())
		return fmt.Errorf("boot host %s: %w\n%s", b.Name(), err, text)
	}
	return nil
}

// findLeader returns the process that is the host's first.
func (b *Booted) findLeader() (int, error) {
	pids, err := b.session().pids()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if ids := strings.Fields(line); ids[0] == "NSpid:" && len(ids) > 2 && ids[len(ids)-1] == "1" {
				return pid, nil
			}
		}
	}
	return 0, errors.New("it has no process 1")
}

// checkApart makes sure, inside the host, that what it takes for the root of all cgroups is only its own: what is
// attached there must not concern the machine.
func (b *Booted) checkApart() error {
	var own, seen unix.Stat_t
	if err := unix.Stat("/sys/fs/cgroup", &seen); err != nil {
		return fmt.Errorf("look at its cgroups: %w", err)
	}
	if err := b.lab.outside.Do(func() error { return unix.Stat(string(b.root()), &own) }); err != nil {
		return fmt.Errorf("look at its cgroups: %w", err)
	}
	const machineRoot = 1 // the id of the real root of cgroup2
	if own.Ino != seen.Ino || seen.Ino == machineRoot {
		return fmt.Errorf("its root of cgroups has id %d, and not %d", seen.Ino, own.Ino)
	}
	return nil
}

// cgroup returns the cgroup of everything that is of the host, root the one below it that the host takes for the root.
func (b *Booted) cgroup() cgroup { return b.lab.state.Cgroup.child(b.Name()) }

func (b *Booted) root() cgroup { return b.cgroup().child("payload") }

// session returns the cgroup of process 1 and of commands that are run from outside.
func (b *Booted) session() cgroup { return b.root().child("init.scope") }

// Name returns the name of the host.
func (b *Booted) Name() string { return b.state.Name }

// Addresses returns the addresses of the host in the order of its host block.
func (b *Booted) Addresses() []netip.Addr { return slices.Clone(b.state.Addresses) }

// Leader returns the process that is the first of the host, as the machine sees it.
func (b *Booted) Leader() int { return b.leader }

// Do runs f on a thread that sees the files, the network and the name of the host. See [Host.Do].
func (b *Booted) Do(f func() error) error {
	return onThread(func() error {
		if err := enterOf(b.leader); err != nil {
			return fmt.Errorf("enter host %s: %w", b.Name(), err)
		}
		return f()
	})
}

// Command returns a command that runs on the host, in no unit but that of systemd itself. The end of ctx kills
// nsenter, which runs it, and not what it is in the middle of.
func (b *Booted) Command(ctx context.Context, argv ...string) *Cmd {
	enter := []string{"--target", fmt.Sprint(b.leader), "--all", "--", "/usr/bin/env", "--"}
	cmd := exec.CommandContext(ctx, "/usr/bin/nsenter", append(enter, argv...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	cmd.WaitDelay = time.Second
	return &Cmd{Cmd: cmd, host: b.lab.outside, group: b.session()}
}

// Reboot reboots the host as systemctl reboot does, and waits like [Lab.Boot].
func (b *Booted) Reboot(ctx context.Context) error {
	if err := b.goDown(ctx, "reboot"); err != nil {
		return err
	}
	return b.boot(ctx)
}

// PowerOff shuts the host down and waits until it is.
func (b *Booted) PowerOff(ctx context.Context) error { return b.goDown(ctx, "poweroff") }

func (b *Booted) goDown(ctx context.Context, verb string) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	// It may be killed by the very end that it asks for.
	output, err := b.Command(ctx, "systemctl", verb).CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return fmt.Errorf("%s host %s: %w", verb, b.Name(), err)
	}
	select {
	case <-b.ended:
		b.leader = 0
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s host %s: %w\n%s", verb, b.Name(), context.Cause(ctx), output)
	}
}
