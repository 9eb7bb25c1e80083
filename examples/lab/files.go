package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// writeFiles writes the files in which one host differs from another, and those of meshd.
func (s *state) writeFiles(host hostState) error {
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	for _, address := range host.Addresses {
		hosts += address.String() + " " + host.Name + "\n"
	}
	for _, file := range []struct{ path, text string }{
		{"/etc/hostname", host.Name + "\n"},
		{"/etc/hosts", hosts},
		{"/etc/resolv.conf", "nameserver " + s.Outside.Addresses[0].String() + "\noptions timeout:1 attempts:2\n"},
	} {
		// Removed first: on many machines /etc/resolv.conf is a link into /run.
		if err := os.Remove(file.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(file.path, []byte(file.text), 0o644); err != nil {
			return err
		}
	}
	for _, folder := range []string{configFolder, "/var/lib/meshd", logsFolder} {
		if err := os.RemoveAll(folder); err != nil { // the machine may run a meshd of its own
			return err
		}
	}
	for _, folder := range []string{configFolder + "/mesh.d", "/run/lock", binFolder, logsFolder} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(s.writePrograms(host), copyConfiguration())
}

// writePrograms fills the folder that is first in PATH.
func (s *state) writePrograms(host hostState) error {
	for name, instead := range map[string]string{
		"systemctl":  "start HOST meshd.service, or stop; status shows what runs; exec HOST -- meshctl reload",
		"journalctl": "logs HOST meshd.service",
	} {
		text := fmt.Sprintf("#!/bin/sh\necho '%s: there is no systemd in a lab. On the machine itself: meshlab -lab %s %s' >&2\nexit 1\n",
			name, s.Name, strings.ReplaceAll(instead, "HOST", host.Name))
		if err := os.WriteFile(filepath.Join(binFolder, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	if s.Meshd == "" {
		return nil
	}
	for _, name := range []string{"meshd", "meshctl"} {
		if err := os.Symlink(filepath.Join(buildFolder, filepath.Base(s.Meshd)), filepath.Join(binFolder, name)); err != nil {
			return err
		}
	}
	return nil
}

const (
	configFolder = "/etc/meshd"     // where meshd looks for its configuration
	logsFolder   = "/var/log/meshd" // where it may write an access log: LogsDirectory= of its unit
)

// copyConfiguration makes the configuration of the lab the one that meshd finds.
func copyConfiguration() error {
	before, err := filepath.Glob(configFolder + "/mesh.d/*.hcl")
	if err != nil {
		return err
	}
	for _, path := range before {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	paths, err := filepath.Glob(labFolder + "/mesh.d/*.hcl")
	if err != nil {
		return err
	}
	for _, path := range append(paths, labFolder+"/meshd.hcl") {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(configFolder+strings.TrimPrefix(path, labFolder), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// CopyConfiguration makes the configuration that now stands in the lab's folder the one of the host, as Up did. A meshd
// that runs has to be told to reload it.
func (h *Host) CopyConfiguration() error { return h.Do(copyConfiguration) }

// CheckConfiguration asks the host's meshctl whether the configuration that now stands in the lab's folder would be
// valid on the host. It changes nothing. The error has what meshctl says, about the files in the lab's folder.
func (h *Host) CheckConfiguration(ctx context.Context) error {
	if h.lab.state.Meshd == "" {
		return errors.New("check configuration: the lab was made without a meshd binary")
	}
	cmd := h.Command(ctx, "", "meshctl", "validate")
	var said bytes.Buffer
	cmd.Stderr = &said
	err := h.spawn(cmd.Cmd, cmd.group, hideConfiguration)
	if err == nil {
		err = cmd.Wait()
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%s is not valid:\n\n%s", h.lab.Dir(), inFolder(h.lab.Dir(), strings.TrimSpace(said.String())))
	}
	return err
}

// hideConfiguration gives the calling thread a view of its host in which the configuration has been copied already. The
// view ends with what is started from the thread.
func hideConfiguration() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("tmpfs", configFolder, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", configFolder, err)
	}
	if err := os.Mkdir(configFolder+"/mesh.d", 0o755); err != nil {
		return err
	}
	return copyConfiguration()
}

// sourceLine is a line of a diagnostic that shows what stands in a file.
var sourceLine = regexp.MustCompile(`^ *[0-9]+: `)

// inFolder makes diagnostics name the files in the lab's folder, which a person can correct.
func inFolder(dir, diagnostics string) string {
	lines := strings.Split(diagnostics, "\n")
	for i, line := range lines {
		if !sourceLine.MatchString(line) {
			lines[i] = strings.ReplaceAll(line, configFolder+"/", dir+"/")
		}
	}
	return strings.Join(lines, "\n")
}
