package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/cmd/ctl"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/systemd"
)

// cleanUp removes what a meshd that is gone has left: pinned programs, the control socket, and names in the hosts file. It is the owner meanwhile,
// so that no meshd starts on what is being removed. The lock stays, an empty file in a folder that a reboot empties.
func cleanUp(_ context.Context, o ctl.CleanupOptions) (string, error) {
	done := "would remove"
	if !o.DryRun {
		owner, err := takeOwnership(o.RunDir)
		if err != nil {
			return "", err
		}
		defer owner.release()
		done = "removed"
	}
	var report strings.Builder
	if _, err := os.Stat(o.BPFDir); err == nil {
		if !o.DryRun {
			if err := bpf.Withdraw(o.BPFDir); err != nil {
				return "", fmt.Errorf("remove kernel programs: %w", err)
			}
		}
		fmt.Fprintf(&report, "%s the kernel programs and maps in %s\n", done, o.BPFDir)
	}
	routes, err := bpf.Routes()
	if err == nil && len(routes) > 0 {
		if !o.DryRun {
			routes, err = bpf.ForgetRoutes(nil)
		}
		fmt.Fprintf(&report, "%s the routes by which virtual addresses are unreachable: %s\n", done, joined(routes))
	}
	if err != nil {
		return report.String(), err
	}
	socket := filepath.Join(o.RunDir, filepath.Base(control.SocketPath))
	if _, err := os.Lstat(socket); err == nil {
		if !o.DryRun {
			if err := os.Remove(socket); err != nil {
				return report.String(), err
			}
		}
		fmt.Fprintf(&report, "%s %s\n", done, socket)
	}
	had, err := systemd.RemoveNameLink(o.DryRun)
	if had {
		fmt.Fprintf(&report, "%s the link %s, by which systemd-resolved asks for names\n", done, systemd.NameLinkName)
	}
	if err != nil {
		return report.String(), err
	}
	had, err = removeHostsBlock(hostsPath, o.DryRun)
	if had {
		fmt.Fprintf(&report, "%s the names of the mesh in %s\n", done, hostsPath)
	}
	return report.String(), err
}
