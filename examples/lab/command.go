package lab

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"time"
)

// Cmd is a command that runs inside a host. Its fields are those of [exec.Cmd].
//
// Environment and working folder do not come from the calling process: PATH, HOME, LANG and TERM are set, the folder
// is the root. ExtraFiles, Process and the streams work as usual.
type Cmd struct {
	*exec.Cmd
	host  *Host
	group cgroup
}

// Command returns a command that will run in the cgroup of a unit; an empty unit stands for a login session, which is
// of no service. A program without a slash is searched in the PATH of the host, and exit status 127 says that it was not found.
//
// The end of ctx kills the command, but not what it left behind in the cgroup.
func (h *Host) Command(ctx context.Context, unit string, argv ...string) *Cmd {
	group := h.cgroup().child("user.slice/session.scope")
	if unit != "" {
		group = h.unitCgroup(unit)
	}
	// env searches the program inside the host; this process would search it outside.
	cmd := exec.CommandContext(ctx, "/usr/bin/env", append([]string{"--"}, argv...)...)
	cmd.Env = []string{searchPath, "HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}
	cmd.WaitDelay = time.Second // a child of the command may hold its output open
	return &Cmd{Cmd: cmd, host: h, group: group}
}

// Start starts the command and does not wait for it.
func (c *Cmd) Start() error { return c.host.spawn(c.Cmd, c.group, nil) }

// Run starts the command and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns what it wrote to its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var output bytes.Buffer
	c.Stdout = &output
	err := c.Run()
	return output.Bytes(), err
}

// CombinedOutput runs the command and returns what it wrote to its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var output bytes.Buffer
	c.Stdout, c.Stderr = &output, &output
	err := c.Run()
	return output.Bytes(), err
}
