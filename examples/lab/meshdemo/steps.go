package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/meshd/meshd/engine/control"
)

// step is one thing that the demo shows. What it says must be true, or the demo fails.
type step struct {
	title string
	run   func(*demo) error
}

var steps = []step{
	{"Two hosts, one meshd each. The applications are unmodified and know nothing of it", startAll},
	{"hello.mesh is an nginx on each host: connections are balanced, over IPv4 and IPv6", balance},
	{"redis-cli through the mesh, to a Redis with a password", redis},
	{"A Redis in its stock protected mode still refuses clients of other hosts", protectedMode},
	{"Who talks to whom: meshctl connections, while a client of web.service holds one open", connections},
	{"One nginx dies: no request fails, because a connect that fails goes on to the next endpoint", endpointDies},
	{"meshd dies (kill -9): the kernel connects a client that knows the address straight to an endpoint", meshdDies},
	{"meshd is back: connections are captured again", meshdBack},
	{"How are the two hosts?", status},
}

func startAll(d *demo) error {
	for _, h := range d.lab.Hosts() {
		if err := d.start(h.Name(), "meshd.service"); err != nil {
			return err
		}
	}
	for _, unit := range []string{"app-1/hello.service", "app-1/web.service", "app-2/hello.service", "app-2/redis.service", "app-2/stock.service"} {
		host, name, _ := strings.Cut(unit, "/")
		if err := d.start(host, name); err != nil {
			return err
		}
	}
	return d.expect("app-1", "", "env | grep -i proxy || echo no proxy is set", "no proxy is set")
}

func balance(d *demo) error {
	address, err := d.sh("app-1", "", "getent ahostsv4 hello.mesh | awk '{ print $1; exit }'")
	if err != nil {
		return err
	}
	d.address = strings.TrimSpace(address)
	for _, family := range []string{"-4", "-6"} {
		answers, err := d.tally("app-1", "", "curl -sS "+family+" http://hello.mesh/", 20)
		if err != nil {
			return err
		}
		if answers["app-1"] == 0 || answers["app-2"] == 0 {
			return fmt.Errorf("curl %s reached only one of two endpoints: %v", family, answers)
		}
	}
	return nil
}

const redisCLI = "REDISCLI_AUTH=open-sesame redis-cli -h cache.mesh "

func redis(d *demo) error {
	if err := d.expect("app-1", "web.service", redisCLI+"set greeting 'hello from app-1'", "OK"); err != nil {
		return err
	}
	return d.expect("app-2", "", redisCLI+"get greeting", "hello from app-1")
}

func protectedMode(d *demo) error {
	return d.expect("app-1", "web.service", "redis-cli -h stock.mesh -p 6380 ping | cut -c 1-60", "DENIED Redis is running in protected mode")
}

func connections(d *demo) error {
	fmt.Fprintf(d.out, "app-1 [web.service]# %sSUBSCRIBE news &\n", redisCLI)
	subscriber := d.lab.Host("app-1").Command(d.ctx, "web.service", "sh", "-c", "exec env "+redisCLI+"SUBSCRIBE news")
	subscribed, err := subscriber.StdoutPipe()
	if err != nil {
		return err
	}
	if err := subscriber.Start(); err != nil {
		return err
	}
	defer func() {
		_ = subscriber.Process.Kill()
		_ = subscriber.Wait()
	}()
	// The answer to SUBSCRIBE says that the connection is up.
	if _, err := io.ReadFull(subscribed, make([]byte, len("subscribe\n"))); err != nil {
		return err
	}
	return d.expect("app-1", "", "meshctl connections", "web.service")
}

func endpointDies(d *demo) error {
	if err := d.kill("app-2", "hello.service"); err != nil {
		return err
	}
	answers, err := d.tally("app-1", "", "curl -sS http://hello.mesh/", 50)
	if err != nil {
		return err
	}
	if answers["app-1"] != 50 {
		return fmt.Errorf("50 requests got %v", answers)
	}
	if _, err := d.sh("app-1", "", "meshctl endpoints hello"); err != nil {
		return err
	}
	return d.start("app-2", "hello.service")
}

func meshdDies(d *demo) error {
	if err := d.kill("app-1", "meshd.service"); err != nil {
		return err
	}
	fmt.Fprintln(d.out, "(names are answered by meshd, so a name that a client has not resolved yet has to wait)")
	_, err := d.tally("app-1", "", "curl -sS --resolve hello.mesh:80:"+d.address+" http://hello.mesh/", 20)
	return err
}

func meshdBack(d *demo) error {
	if err := d.start("app-1", "meshd.service"); err != nil {
		return err
	}
	if _, err := d.tally("app-1", "", "curl -sS http://hello.mesh/", 10); err != nil {
		return err
	}
	text, err := d.quiet("app-1", "", "meshctl status -o json")
	if err != nil {
		return err
	}
	var s control.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "app-1# meshctl status -o json | jq .connections.opened_total\n%d\n", s.Connections.OpenedTotal)
	if s.Connections.OpenedTotal != 10 {
		return fmt.Errorf("meshd saw %d of 10 connections", s.Connections.OpenedTotal)
	}
	return nil
}

func status(d *demo) error {
	for _, h := range d.lab.Hosts() {
		if err := d.expect(h.Name(), "", "meshctl status", "meshd on "+h.Name()+": ready, capturing"); err != nil {
			return err
		}
	}
	return nil
}
