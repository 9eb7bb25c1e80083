package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/systemd"
)

// capabilities are what meshd needs, and what it can do without.
var capabilities = []struct {
	number  int
	name    string
	without string // what is lost; empty: meshd does not start
}{
	{unix.CAP_BPF, "CAP_BPF", ""},
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", ""},
	{unix.CAP_PERFMON, "CAP_PERFMON", ""},
	{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "a unit that calls in the very moment of its start may get the identity of its host"},
}

// checkHost looks at what meshd needs of this host. It needs no meshd.
func checkHost() []control.CheckResult {
	results := []control.CheckResult{checkCgroup(), checkBPFFS(), checkCapabilities()}
	results = append(results, checkLeftover()...)
	results = append(results, checkKernel()...)
	return append(results, checkPorts()...)
}

// checkLeftover says what becomes of callers when the kernel programs decide and no meshd runs.
func checkLeftover() []control.CheckResult {
	fail, found, err := bpf.Leftover(defaultBPFDir)
	if !found || err != nil || isOwned(filepath.Dir(control.SocketPath)) {
		return nil // who may not look at the programs is told so by the other checks
	}
	meanwhile := "the kernel connects callers straight to endpoints, and answers no names (fail = open)"
	if fail == mesh.FailClosed {
		meanwhile = "callers are refused (fail = closed)"
	}
	return []control.CheckResult{fails("meshd", "systemctl start meshd, or to do without it: meshctl cleanup -yes", "its programs are in the kernel and it does not run: %s", meanwhile)}
}

func ok(name, format string, args ...any) control.CheckResult {
	return control.CheckResult{Name: name, Status: control.CheckOK, Detail: fmt.Sprintf(format, args...)}
}

func fails(name, fix, format string, args ...any) control.CheckResult {
	return control.CheckResult{Name: name, Status: control.CheckFail, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func warns(name, fix, format string, args ...any) control.CheckResult {
	return control.CheckResult{Name: name, Status: control.CheckWarn, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

func checkCgroup() control.CheckResult {
	const name = "cgroup2"
	root, err := systemd.MountPoint()
	switch {
	case err != nil:
		return fails(name, "boot with systemd.unified_cgroup_hierarchy=1", "%v", err)
	case !systemd.IsHost(root):
		return warns(name, "run meshd outside of the container, or set node.cgroup", "%s is not the real root: meshd would see only a part of the host", root)
	}
	return ok(name, "mounted at %s", root)
}

func checkBPFFS() control.CheckResult {
	const name, path = "bpffs", "/sys/fs/bpf"
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil || fs.Type != unix.BPF_FS_MAGIC {
		return fails(name, "mount -t bpf bpf "+path, "no bpffs at %s, where meshd pins its programs", path)
	}
	return ok(name, "mounted at %s", path)
}

func checkCapabilities() control.CheckResult {
	const name, fix = "capabilities", "run as root, or through the unit of meshd"
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fails(name, fix, "read capabilities: %v", err)
	}
	var missing, missed []string
	for _, c := range capabilities {
		if data[c.number/32].Effective&(1<<(c.number%32)) != 0 {
			continue
		}
		if c.without == "" {
			missing = append(missing, c.name)
		} else {
			missed = append(missed, fmt.Sprintf("without %s, %s", c.name, c.without))
		}
	}
	switch {
	case len(missing) > 0 && os.Geteuid() != 0: // a member of the group, who looks after a meshd that has them
		return warns(name, "run meshctl check as root", "this user lacks %s, which says nothing about meshd", strings.Join(missing, ", "))
	case len(missing) > 0:
		return fails(name, fix, "this process lacks %s", strings.Join(missing, ", "))
	case len(missed) > 0:
		return warns(name, fix, "%s", strings.Join(missed, "; "))
	}
	return ok(name, "all there")
}

func checkKernel() []control.CheckResult {
	const name = "kernel"
	var results []control.CheckResult
	present := 0
	for _, f := range bpf.Features() {
		switch {
		case f.Err == nil:
			present++
		case errors.Is(f.Err, unix.EPERM):
			return []control.CheckResult{warns(name, "run meshctl check as root", "this user may not ask the kernel what it can do")}
		case !errors.Is(f.Err, ebpf.ErrNotSupported):
			results = append(results, warns(name, "", "%s: not known: %v", f.Name, f.Err))
		case f.Required:
			results = append(results, fails(name, "use Linux 5.15 or later, with BTF", "%s: this kernel does not have it", f.Name))
		default:
			results = append(results, warns(name, "", "%s: this kernel does not have it, so %s", f.Name, f.Without))
		}
	}
	return append(results, ok(name, "%d features that meshd uses are there", present))
}

// checkPorts says which ports of meshd somebody holds. It does not try to bind them: the kernel programs of a meshd
// that is not running would refuse that, rightly.
func checkPorts() []control.CheckResult {
	taken := map[uint16]bool{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		listening(table, taken)
	}
	return append(portResults(taken, filepath.Dir(control.SocketPath)), checkPortRange()...)
}

func portResults(taken map[uint16]bool, runDir string) []control.CheckResult {
	const name = "ports"
	var results []control.CheckResult
	owned, known := isOwned(runDir), isOwnerKnown(runDir)
	for _, port := range []uint16{15001, 15020, 15053} {
		if taken[port] && !known {
			return []control.CheckResult{warns(name, "run meshctl check as root", "port %d is taken, and this user may not see whether by meshd", port)}
		}
		if taken[port] && !owned {
			results = append(results, fails(name, fmt.Sprintf("ss -lpn 'sport = :%d', and move that program", port), "port %d is taken by another program", port))
		}
	}
	switch {
	case len(results) > 0:
		return results
	case owned:
		results = append(results, ok(name, "held by the meshd that runs"))
	default:
		results = append(results, ok(name, "15001, 15020 and 15053 are free"))
	}
	return results
}

// checkPortRange warns when the kernel may give a port of meshd to any program that asks for a free one.
func checkPortRange() []control.CheckResult {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return nil
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil || first > 15060 || last < 15001 {
		return nil
	}
	reserved, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
	if err == nil && strings.Contains(string(reserved), "15001") {
		return nil
	}
	return []control.CheckResult{warns("port range", "sysctl -w net.ipv4.ip_local_reserved_ports=15001,15006,15008,15020-15021,15053-15060, and keep it in /etc/sysctl.d",
		"the kernel may give ports of meshd to other programs: net.ipv4.ip_local_port_range is %d to %d", first, last)}
}

// listening adds the local ports of the listeners in a table of /proc/net.
func listening(table string, ports map[uint16]bool) {
	file, err := os.Open("/proc/net/" + table)
	if err != nil {
		return // a host without IPv6 has no such table
	}
	defer file.Close()
	const tcpListen, udpUnconnected = "0A", "07"
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != tcpListen && fields[3] != udpUnconnected {
			continue
		}
		_, hexPort, _ := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(hexPort, 16, 16); err == nil {
			ports[uint16(port)] = true
		}
	}
}

// checkSelf looks at the meshd that runs.
func (d *daemon) checkSelf(ctx context.Context) []control.CheckResult {
	var results []control.CheckResult
	if have, want := d.kernel.Attached(); have < want {
		results = append(results, fails("programs", "wait 5 s, meshd attaches them again; find the other tool: bpftool cgroup tree "+d.cgroup, "%d of %d attached to %s", have, want, d.cgroup))
	} else {
		results = append(results, ok("programs", "%d attached to %s", have, d.cgroup))
	}
	if !systemd.IsHost(d.cgroup) {
		results = append(results, warns("coverage", "unset node.cgroup and -cgroup to cover the whole host", "only processes below %s are captured", d.cgroup))
	}
	results = append(results, d.checkCapture(ctx))
	return append(results, d.checkNames())
}

// checkNames says by which ways names of the mesh reach programs.
func (d *daemon) checkNames() control.CheckResult {
	const name = "names"
	for _, p := range d.resolved.problems() {
		return warns(name, p.Fix, "%s", p.What)
	}
	var ways []string
	if !d.hasMesh() {
		return ok(name, "no mesh is configured, so no queries are captured")
	}
	if resolvers := d.resolvers.list(); len(resolvers) > 0 {
		ways = append(ways, fmt.Sprintf("queries to %s are captured", joined(resolvers)))
	}
	if way := d.resolved.describe(); way != "" {
		ways = append(ways, way)
	}
	if d.loaded.Load().config.DNS.HostsFile {
		ways = append(ways, "they stand in "+hostsPath)
	}
	if len(ways) == 0 {
		return warns(name, "add a nameserver line, or resolve names of the mesh in another way", "%s names no resolver whose queries could be captured", d.options.resolvConf)
	}
	return ok(name, "%s", strings.Join(ways, "; "))
}

func (d *daemon) checkCapture(ctx context.Context) control.CheckResult {
	const name = "capture"
	_, hasMesh := probeAddress(d.snapshots.Load().Mesh())
	err := d.probe.try(ctx)
	switch {
	case !hasMesh:
		return warns(name, "write a mesh block into /etc/meshd, then meshctl reload", "no mesh is configured, so nothing is captured")
	case !d.probe.inside:
		return warns(name, "", "meshd is itself outside of %s and cannot try it out", d.cgroup)
	case err != nil:
		return fails(name, "systemctl restart meshd", "%v", err)
	}
	return ok(name, "a connection of meshd's own was captured just now")
}

func joined[T fmt.Stringer](values []T) string {
	var text []string
	for _, v := range values {
		text = append(text, v.String())
	}
	return strings.Join(text, ", ")
}
