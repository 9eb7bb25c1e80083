package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/examples/lab"
)

// The ports of the services. Each has the same at its endpoint, at its virtual address, and at HAProxy.
const (
	pagePort   = 8080
	sitePort   = 8090 // pages, by proxies that read HTTP
	callPort   = 8092 // gRPC
	storePort  = 6379
	streamPort = 5201
	echoPort   = 7000
)

// loadUnit is one of the units of the clients.
func loadUnit(n int) string { return fmt.Sprintf("load-%d.service", n) }

// rig is the two hosts: clients and proxies on one, backends on the other, as users have it.
type rig struct {
	lab      *lab.Lab
	client   *lab.Host
	server   *lab.Host
	proxies  map[string]*lab.Unit
	virtual  map[uint16]netip.Addr // of the services, by their ports
	echo     net.Listener
	echoing  sync.WaitGroup
	stopEcho context.CancelFunc
}

// newRig brings the hosts up, with everything running on them. When it fails nothing is left.
func newRig(ctx context.Context, dir, binary string) (*rig, error) {
	hosts, err := lab.Up(ctx, lab.Config{Dir: dir, Meshd: binary})
	if err != nil {
		return nil, err
	}
	r := &rig{lab: hosts, client: hosts.Host("app-1"), server: hosts.Host("app-2"), proxies: map[string]*lab.Unit{}}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(err, r.down())
	}
	return r, nil
}

func (r *rig) start(ctx context.Context) error {
	for _, h := range []*lab.Host{r.client, r.server} {
		if err := h.Do(widenPorts); err != nil {
			return err
		}
	}
	backends, err := r.server.UnitFiles()
	if err != nil {
		return err
	}
	for _, unit := range backends {
		if _, err := r.server.Start(ctx, unit); err != nil {
			return err
		}
	}
	if err := errors.Join(r.writeContent(), r.startEcho()); err != nil {
		return err
	}
	for _, proxy := range []string{haproxy, nginx, meshd} {
		if err := r.startProxy(ctx, proxy); err != nil {
			return err
		}
	}
	return r.learnAddresses(ctx)
}

// widenPorts makes a host bear thousands of connections a second, whose ports rest for a minute when they end.
func widenPorts() error {
	for name, value := range map[string]string{"ip_local_port_range": "20000 65535", "tcp_tw_reuse": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("set up the ports of a host: %w", err)
		}
	}
	return nil
}

// startEcho serves what the idle connections are to. It is part of this process, with a socket of the host.
func (r *rig) startEcho() error {
	err := r.server.Do(func() (err error) {
		var plain net.ListenConfig
		plain.SetMultipathTCP(false)
		r.echo, err = plain.Listen(context.Background(), "tcp4", fmt.Sprintf(":%d", echoPort))
		return err
	})
	if err != nil {
		return fmt.Errorf("start echo: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stopEcho = stop
	r.echoing.Go(func() {
		for {
			conn, err := r.echo.Accept()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "meshbench: the echo ends:", err)
				return
			}
			r.echoing.Go(func() { echo(ctx, conn) })
		}
	})
	return nil
}

// echo returns what it reads, without the pipe that io.Copy would hold for each connection.
func echo(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buffer := make([]byte, exchanged)
	for {
		n, err := conn.Read(buffer)
		if err == nil {
			_, err = conn.Write(buffer[:n])
		}
		if err != nil {
			return // a client that is gone is the end of its measurement
		}
	}
}

// startProxy starts a proxy, or starts it anew; meshd with further arguments.
func (r *rig) startProxy(ctx context.Context, proxy string, args ...string) error {
	if running := r.proxies[proxy]; running != nil {
		if err := running.Stop(); err != nil {
			return err
		}
	}
	begin := func() (*lab.Unit, error) { return r.client.Start(ctx, proxyUnits[proxy]) }
	if proxy == meshd {
		begin = func() (*lab.Unit, error) { return r.client.StartMeshd(ctx, args...) }
	}
	unit, err := begin()
	r.proxies[proxy] = unit
	return err
}

func (r *rig) learnAddresses(ctx context.Context) error {
	answer, err := r.client.Command(ctx, "", "meshctl", "services", "-o", "json").Output()
	if err != nil {
		return fmt.Errorf("ask meshd for its services: %w", err)
	}
	var list control.ServiceList
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("read the services: %w", err)
	}
	r.virtual = map[uint16]netip.Addr{}
	for _, service := range list.Services {
		if len(service.Addresses) > 0 {
			r.virtual[service.Port] = service.Addresses[0]
		}
	}
	return nil
}

// target is where a client reaches a service by way of a contender.
func (r *rig) target(contender string, port uint16) netip.AddrPort {
	switch contender {
	case meshd, quiet:
		return netip.AddrPortFrom(r.virtual[port], port)
	case nginx:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 2}), port)
	case haproxy:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return netip.AddrPortFrom(r.server.Addresses()[0], port)
}

// command runs a client to its end and returns what it wrote to its standard output.
func (r *rig) command(ctx context.Context, argv ...string) (string, error) {
	cmd := r.client.Command(ctx, loadUnit(0), argv...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	output, err := cmd.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		err = fmt.Errorf("%q: %w\n%s%s", strings.Join(argv, " "), err, output, complaint.String())
	}
	return string(output), err
}

// down removes the hosts.
func (r *rig) down() (err error) {
	if r.echo != nil {
		r.stopEcho()
		err = r.echo.Close()
		r.echoing.Wait()
	}
	return errors.Join(err, r.lab.Down())
}
