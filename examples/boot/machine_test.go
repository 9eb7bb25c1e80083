//go:build boot

package boot_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/systemd"
)

// attachedToMachine returns which programs are attached to the machine's own root cgroup, a line for each.
func attachedToMachine(t *testing.T) string {
	t.Helper()
	mount, err := systemd.MountPoint()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	err = attached(mount, func(attach ebpf.AttachType, program ebpf.ProgramID) {
		fmt.Fprintf(&lines, "%s: program %d\n", attach, program)
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines.String()
}

// attached calls f for every program that is attached to a cgroup.
func attached(cgroup string, f func(ebpf.AttachType, ebpf.ProgramID)) error {
	folder, err := os.Open(cgroup)
	if err != nil {
		return err
	}
	defer folder.Close()
	asked := 0
	for attach := ebpf.AttachCGroupInetIngress; attach <= ebpf.AttachCgroupUnixGetsockname; attach++ {
		if !strings.HasPrefix(strings.ToLower(attach.String()), "cgroup") {
			continue // hooks of something else
		}
		result, err := link.QueryPrograms(link.QueryOptions{Target: int(folder.Fd()), Attach: attach})
		if errors.Is(err, unix.EINVAL) || errors.Is(err, link.ErrNotSupported) {
			continue // newer than the kernel
		}
		if err != nil {
			return fmt.Errorf("query programs of %s: %w", attach, err)
		}
		asked++
		for _, program := range result.Programs {
			f(attach, program.ID)
		}
	}
	if asked < 20 {
		return fmt.Errorf("the kernel has told only of %d hooks of cgroups", asked)
	}
	return nil
}

// traces returns everything by which an installation of meshd might be told afterwards, a line for each.
func (h host) traces(t *testing.T) string {
	t.Helper()
	var lines strings.Builder
	err := h.Do(func() error {
		return attached("/sys/fs/cgroup", func(attach ebpf.AttachType, _ ebpf.ProgramID) {
			fmt.Fprintf(&lines, "%s: a program\n", attach)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	// Left out is what any program would change: journals, caches, the transient state of systemd and of dpkg.
	lines.WriteString(h.shell(t, `
for family in -4 -6; do
	ip $family -oneline address | awk '{ print "address", $2, $4 }'
	ip $family rule | sed 's/^/rule /'
	ip $family route show table all | sed 's/^/route /; s/ *$//'
done
ip -oneline link | awk '{ print "link", $2 }'
find /sys/fs/bpf | sed 's/^/pin /'
find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache \
	-o -path /run/systemd -o -path /var/lib/apt -o -path /run/log -o -path '/var/lib/dpkg/*-old' -o -path /root/.cache \) -prune -o -print |
	grep -v '^/etc/\(group\|gshadow\)-$' | sort | sed 's/^/file /'
find /run -xdev -path /run/systemd -prune -o -path /run/log -prune -o -path /run/udev -prune -o -print | sort | sed 's/^/run /'
cut -d: -f1 /etc/group | sed 's/^/group /'
cut -d: -f1 /etc/passwd | sed 's/^/user /'
cat /etc/hosts /etc/resolv.conf | sed 's/^/text /'
systemctl list-unit-files --no-legend --no-pager | sed 's/  */ /g; s/^/unit /'
`))
	return lines.String()
}

// waitOnline waits until the addresses of the host are there.
func (h host) waitOnline(t *testing.T) {
	t.Helper()
	h.run(t, "/lib/systemd/systemd-networkd-wait-online", "--timeout=20")
}
