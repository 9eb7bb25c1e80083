package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/cmd/ctl"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/dns"
	"github.com/meshd/meshd/engine/listen"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/proxy"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/systemd"
)

// daemon is one running meshd.
type daemon struct {
	env      Env
	options  options
	log      *slog.Logger
	notifier *systemd.Notifier
	started  time.Time

	owner     *ownership
	sockets   *listen.Set
	metrics   *observe.Metrics
	cgroup    string
	cgroups   *systemd.Tree
	kernel    *bpf.Kernel
	snapshots *snapshot.Store
	workloads *workloads
	outbound  *proxy.Outbound
	resolvers *resolvers
	probe     *prober
	queries   atomic.Uint64

	changing  sync.Mutex // held while the configuration or the rules change
	loaded    atomic.Pointer[loaded]
	reloads   chan struct{}
	stopWatch context.CancelFunc
	page      *page
	draining  atomic.Bool
	running   sync.WaitGroup // everything that apply starts
}

// Run runs meshd until ctx ends, drains, and returns the exit code: those of meshctl.
func Run(ctx context.Context, env Env, args []string) int {
	o, err := parseOptions(args, env.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return ctl.ExitOK
	case err != nil:
		return ctl.ExitUsage
	case o.version:
		fmt.Fprintln(env.Stdout, "meshd", build())
		return ctl.ExitOK
	}
	d := &daemon{
		env:       env,
		options:   o,
		log:       o.logger(env.Stderr, env.Getenv),
		notifier:  systemd.NewNotifier(env.Getenv),
		started:   time.Now(),
		snapshots: &snapshot.Store{},
		reloads:   make(chan struct{}, 1),
	}
	first, diagnostics := d.load()
	if first == nil {
		fmt.Fprint(env.Stderr, textOf(diagnostics))
		return ctl.ExitConfig
	}
	err = d.run(ctx, first)
	switch {
	case err == nil:
		return ctl.ExitOK
	case errors.Is(err, fs.ErrPermission):
		d.log.Error("meshd ends", "error", err)
		return ctl.ExitDenied
	}
	d.log.Error("meshd ends", "error", err)
	return ctl.ExitFailure
}

// run is the life of meshd, from top to bottom.
func (d *daemon) run(ctx context.Context, first *config.Config) (err error) {
	d.owner, err = takeOwnership(d.options.runDir)
	if err != nil {
		return err
	}
	defer d.owner.release()

	d.sockets = listen.New(systemd.Inherited(d.env.Getenv))
	defer d.sockets.Close()
	d.metrics = observe.New(build().metrics())

	if err := d.openKernel(first); err != nil {
		return err
	}
	defer d.kernel.Close()
	defer d.cgroups.Close()
	d.workloads = newWorkloads(d.cgroups, d.snapshots)
	d.probe = d.newProber()

	if err := d.newProxy(); err != nil {
		return err
	}
	if err := d.newResolvers(); err != nil {
		return err
	}
	server := control.New(backend{d}, control.Config{Group: meshdGroup(), Log: d.log})

	// Listeners, rules and programs, in this order: nothing decides for an application before all of it is there.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	listeners, err := d.listenOutbound(ctx)
	if err != nil {
		return err
	}
	socket, err := d.sockets.Unix("control", d.controlSocket(), 0o660, meshdGroup())
	if err != nil {
		return err
	}
	if _, err := d.resolvers.serve(serving); err != nil {
		return err
	}
	defer d.resolvers.close()
	if err := d.apply(serving, first); err != nil {
		return err
	}
	defer d.running.Wait()
	defer d.hide()
	defer stop()
	if err := d.kernel.Commit(); err != nil {
		return err
	}
	for _, name := range d.sockets.Leftover() {
		d.tell("listeners", d.notifier.RemoveFDs(name))
	}

	life := newLife(serving)
	for _, l := range listeners {
		life.must("outbound", func(ctx context.Context) error { return d.outbound.Serve(ctx, l) })
	}
	life.must("control", func(ctx context.Context) error { return server.Serve(ctx, socket) })
	life.must("cgroups", d.cgroups.Run)
	life.must("heartbeat", func(ctx context.Context) error { return d.owner.beat(ctx, d.kernel, d.log) })
	life.do(d.followCgroups)
	life.do(d.serveReloads)
	life.do(d.reloadOnHangup)
	life.do(func(ctx context.Context) { d.resolvers.follow(ctx, d.reapply) })
	if err := d.probe.try(ctx); err != nil {
		life.end()
		return errors.Join(fmt.Errorf("the kernel programs are attached but do not capture: %w; meshctl check", err), d.withdraw())
	}
	life.do(func(ctx context.Context) { d.probe.watch(ctx, d.probeChanged) })
	life.do(func(ctx context.Context) {
		systemd.RunWatchdog(ctx, d.notifier, systemd.WatchdogInterval(d.env.Getenv), d.owner.beats, d.log)
	})

	d.metrics.Reload(true)
	d.storeListeners()
	d.tell("ready", d.notifier.Ready(d.statusLine()))
	d.log.Info("meshd is ready", "host", first.Host.Name, "mesh", first.Catalog.Mesh.Name, "services", len(first.Catalog.Services), "config", first.Hash)

	err = life.wait(ctx)
	d.drain(listeners)
	life.end()
	return err
}

// openKernel loads the kernel programs and reads the cgroups that they will look at.
func (d *daemon) openKernel(c *config.Config) (err error) {
	d.cgroup, err = d.captureRoot(c)
	if err != nil {
		return err
	}
	d.kernel, err = bpf.Open(bpf.Config{Dir: d.options.bpfDir, Cgroup: d.cgroup})
	if err != nil {
		return err
	}
	d.cgroups, err = systemd.OpenTree(d.cgroup)
	if err != nil {
		return errors.Join(err, d.kernel.Close())
	}
	d.metrics.SetHeartbeat(func() float64 {
		age, _ := d.kernel.HeartbeatAge()
		return age.Seconds()
	})
	d.metrics.SetKernelStats(func() map[string]uint64 {
		events, _ := d.kernel.Events()
		return events
	})
	return nil
}

// captureRoot returns the cgroup below which connections are captured: by flag, by configuration, or the root.
func (d *daemon) captureRoot(c *config.Config) (string, error) {
	if d.options.cgroup != "" {
		return d.options.cgroup, nil
	}
	if c.Node.Cgroup != "" {
		return c.Node.Cgroup, nil
	}
	root, err := systemd.MountPoint()
	if err != nil {
		return "", err
	}
	if !systemd.IsRoot(root) {
		return "", fmt.Errorf("%s is not the root of cgroup2, so meshd would see only a part of the host: run meshd outside of the container, or set node.cgroup to capture just this part", root)
	}
	return root, nil
}

func (d *daemon) newProber() *prober {
	_, inside := d.cgroups.Path(d.kernel.Self().Cgroup)
	return &prober{snapshots: d.snapshots, inside: inside, beats: d.owner.beats}
}

func (d *daemon) newProxy() (err error) {
	d.outbound, err = proxy.New(proxy.Config{
		Redirector:     redirector{d.kernel, d.snapshots},
		Workloads:      d.workloads,
		Snapshots:      d.snapshots,
		Metrics:        d.metrics,
		Log:            d.log,
		MaxConnections: maxConnections(),
	})
	return err
}

func (d *daemon) newResolvers() error {
	server, err := dns.New(dns.Config{
		Domain: func() string { return d.snapshots.Load().Mesh().Domain },
		Names:  func() dns.Names { return d.snapshots.Load() },
		Log:    d.log,
		Observe: func(result string) {
			d.queries.Add(1)
			d.metrics.DNS(result)
		},
	})
	d.resolvers = &resolvers{file: d.options.resolvConf, port: uint16(d.options.dnsPort), sockets: d.sockets, server: server, log: d.log}
	return err
}

// withdraw undoes a Commit of a start that then fails, unless an earlier meshd had attached the programs.
func (d *daemon) withdraw() error {
	if d.kernel.Adopted() {
		return nil
	}
	return errors.Join(d.kernel.Close(), bpf.Withdraw(d.options.bpfDir))
}

// drain stops accepting, at which the kernel programs go over to what `fail` says, and waits for what is open.
func (d *daemon) drain(listeners []*net.TCPListener) {
	d.draining.Store(true)
	d.tell("stopping", d.notifier.Stopping())
	for _, l := range listeners {
		l.Close()
	}
	open := len(d.outbound.Connections())
	d.log.Info("meshd stops", "open_connections", open, "patience", d.options.drain)
	ctx, cancel := context.WithTimeout(context.Background(), d.options.drain)
	defer cancel()
	if err := d.outbound.Drain(ctx); err != nil {
		d.log.Warn("connections reset", "error", err)
	}
}

func (d *daemon) controlSocket() string {
	return filepath.Join(d.options.runDir, filepath.Base(control.SocketPath))
}

// meshdGroup returns the id of the group whose members may use the control socket; -1 when the host has no such group.
func meshdGroup() int {
	g, err := user.LookupGroup("meshd")
	if err != nil {
		return -1
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1
	}
	return id
}
