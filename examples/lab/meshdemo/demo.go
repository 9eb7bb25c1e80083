package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/meshd/meshd/examples/lab"
)

// demo is the state that one step leaves to the next.
type demo struct {
	ctx     context.Context
	lab     *lab.Lab
	out     io.Writer
	units   map[string]*lab.Unit // by host/unit
	address string               // of hello.mesh, once it was resolved
}

// start starts a unit of a host as systemctl would.
func (d *demo) start(host, unit string) error {
	fmt.Fprintf(d.out, "%s# systemctl start %s\n", host, unit)
	h := d.lab.Host(host)
	begin := h.Start
	if unit == "meshd.service" {
		begin = func(ctx context.Context, _ string) (*lab.Unit, error) { return h.StartMeshd(ctx) }
	}
	u, err := begin(d.ctx, unit)
	if err != nil {
		return err
	}
	d.units[host+"/"+unit] = u
	return nil
}

// kill ends a unit as a crash would.
func (d *demo) kill(host, unit string) error {
	fmt.Fprintf(d.out, "%s# systemctl kill --signal=SIGKILL %s\n", host, unit)
	return d.units[host+"/"+unit].Kill()
}

// sh shows a command, runs it in a unit of a host (an empty one is a login session) and shows what it prints.
func (d *demo) sh(host, unit, command string) (string, error) {
	prompt := host + "# "
	if unit != "" {
		prompt = host + " [" + unit + "]# "
	}
	fmt.Fprintln(d.out, prompt+command)
	output, err := d.quiet(host, unit, command)
	fmt.Fprint(d.out, output)
	return output, err
}

// quiet runs a command like sh and shows nothing.
func (d *demo) quiet(host, unit, command string) (string, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	output, err := d.lab.Host(host).Command(ctx, unit, "sh", "-c", command).CombinedOutput()
	if failed, isExit := errors.AsType[*exec.ExitError](err); isExit {
		err = fmt.Errorf("%q ends with %w: %s", command, failed, strings.TrimSpace(string(output)))
	}
	return string(output), err
}

// expect is sh with an answer that must stand in the output.
func (d *demo) expect(host, unit, command, answer string) error {
	output, err := d.sh(host, unit, command)
	if err == nil && !strings.Contains(output, answer) {
		err = fmt.Errorf("%q did not answer %q", command, answer)
	}
	return err
}

// tally runs a command many times and shows how often it gave each answer; every run must succeed.
func (d *demo) tally(host, unit, command string, times int) (map[string]int, error) {
	fmt.Fprintf(d.out, "%s# for i in $(seq %d); do %s; done | sort | uniq -c\n", host, times, command)
	answers := map[string]int{}
	for range times {
		output, err := d.quiet(host, unit, command)
		if err != nil {
			return answers, err
		}
		answers[strings.TrimSpace(output)]++
	}
	for _, name := range []string{"app-1", "app-2"} {
		if n := answers[name]; n > 0 {
			fmt.Fprintf(d.out, "%7d %s\n", n, name)
		}
	}
	return answers, nil
}
