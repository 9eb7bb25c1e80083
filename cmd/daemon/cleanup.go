package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/cmd/ctl"
	"github.com/meshd/meshd/engine/control"
)

// cleanUp removes what a meshd that is gone has left: pinned programs, and the files of its runtime folder.
func cleanUp(_ context.Context, o ctl.CleanupOptions) (string, error) {
	if !o.DryRun && isOwned(o.RunDir) {
		return "", errors.New("a meshd is starting or ending: stop it first: systemctl stop meshd")
	}
	var report strings.Builder
	done := "removed"
	if o.DryRun {
		done = "would remove"
	}
	if _, err := os.Stat(o.BPFDir); err == nil {
		if !o.DryRun {
			if err := bpf.Withdraw(o.BPFDir); err != nil {
				return "", fmt.Errorf("remove kernel programs: %w", err)
			}
		}
		fmt.Fprintf(&report, "%s the kernel programs and maps in %s\n", done, o.BPFDir)
	}
	for _, name := range []string{filepath.Base(control.SocketPath), "lock"} {
		path := filepath.Join(o.RunDir, name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if !o.DryRun {
			if err := os.Remove(path); err != nil {
				return report.String(), err
			}
		}
		fmt.Fprintf(&report, "%s %s\n", done, path)
	}
	return report.String(), nil
}
