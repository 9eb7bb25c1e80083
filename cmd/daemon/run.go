package daemon

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshd/meshd/bpf"
	"github.com/meshd/meshd/cmd/ctl"
	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/dns"
	"github.com/meshd/meshd/engine/health"
	"github.com/meshd/meshd/engine/listen"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/observe"
	"github.com/meshd/meshd/engine/proxy"
	"github.com/meshd/meshd/engine/resolve"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/engine/trace"
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
	accessLog *accesslog.Log
	tracer    *trace.Tracer
	cgroup    string
	cgroups   *systemd.Tree
	kernel    *bpf.Kernel
	snapshots *snapshot.Store
	workloads *workloads
	outbound  *proxy.Outbound
	resolvers *resolvers
	resolved  *resolved
	hosts     *hostsFile
	control   *control.Server
	probe     *prober
	upkeep    upkeep
	checks    *health.Checker
	outside   *resolve.Resolver
	queries   atomic.Uint64

	outboundListeners []*listen.Queue
	stopAccepting     context.CancelFunc
	accepting         sync.WaitGroup // until that has had its effect
	controlListener   *net.UnixListener

	changing  sync.Mutex // held while the configuration or the rules change
	loaded    atomic.Pointer[loaded]
	reloads   chan struct{}
	rebuilds  chan struct{}
	suspects  map[mesh.ServiceID]bool // ports that are checked because all of their endpoints fail
	watched   []string                // what stopWatch ends the watch of
	stopWatch context.CancelFunc
	stored    map[string][]string // listeners that the service manager keeps, by name
	page      *page
	memory    *memory
	published chan struct{} // closed when the first snapshot is
	isReady   atomic.Bool
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
	useProcessors(env.Getenv)
	d := &daemon{
		env:       env,
		options:   o,
		log:       o.logger(env.Stderr, env.Getenv),
		notifier:  systemd.NewNotifier(env.Getenv),
		started:   time.Now(),
		snapshots: &snapshot.Store{},
		reloads:   make(chan struct{}, 1),
		rebuilds:  make(chan struct{}, 1),
		stored:    map[string][]string{},
		suspects:  map[mesh.ServiceID]bool{},
		published: make(chan struct{}),
	}
	first, diagnostics := d.load()
	if first == nil {
		fmt.Fprint(env.Stderr, textOf(diagnostics))
		return ctl.ExitConfig
	}
	d.logDiagnostics(diagnostics)
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

// run is the life of meshd, from top to bottom. Nothing decides for an application before everything that it leads to is
// there: parts, listeners, rules, and only then the kernel programs.
func (d *daemon) run(ctx context.Context, first *config.Config) (err error) {
	if d.owner, err = takeOwnership(d.options.runDir); err != nil {
		return err
	}
	defer d.owner.release()
	d.metrics = observe.New(build().metrics())
	inherited := systemd.Inherited(d.env.Getenv)
	d.resolved = d.newResolved(inherited[systemd.NameLinkName])
	delete(inherited, systemd.NameLinkName)
	d.sockets = listen.New(inherited)
	defer d.sockets.Close()
	if err := d.openKernel(first); err != nil {
		return err
	}
	defer d.closeKernel()
	if err := d.makeParts(); err != nil {
		return err
	}
	defer d.closeTelemetry()

	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // what serves goes on while a stop drains
	defer stop()
	defer d.outside.Close()
	defer d.resolvers.close()
	defer d.resolved.close()
	if err := d.listen(serving); err != nil {
		return err
	}
	if err := d.apply(serving, first); err != nil {
		return err
	}
	defer d.retire(stop)
	if err := d.kernel.Commit(); err != nil {
		return err
	}
	life := d.serve(serving)
	defer life.end()
	if err := d.probe.try(ctx); err != nil {
		d.stopAccepting() // no drain will
		life.end()
		return errors.Join(fmt.Errorf("the kernel programs are attached but do not capture: %w; %s; meshctl check", err, cmp.Or(d.others(), "no other tool is in the way")), d.withdraw())
	}
	d.keepRoutes()
	if d.resolved.settle(ctx) {
		d.relisten()
	}

	d.ready(first)
	debug.FreeOSMemory() // of what was read to start, above all the types of the kernel: far more than what is kept
	err = life.wait(ctx)
	d.drain()
	return err
}

// makeParts makes everything that works on connections, queries and calls.
func (d *daemon) makeParts() error {
	d.workloads = newWorkloads(d.cgroups, d.snapshots)
	d.probe = d.newProber()
	d.checks = health.New()
	d.newOutside()
	d.newMemory()
	d.newTelemetry()
	d.hosts = &hostsFile{path: hostsPath, wanted: d.hostsBlock, log: d.log}
	d.control = control.New(backend{d}, control.Config{Group: meshdGroup(), Log: d.log})
	return errors.Join(d.newProxy(), d.newResolvers())
}

// listen opens everything that does not depend on the mesh.
func (d *daemon) listen(ctx context.Context) (err error) {
	if d.outboundListeners, err = d.listenOutbound(ctx); err != nil {
		return err
	}
	if d.controlListener, err = d.sockets.Unix("control", d.controlSocket(), 0o660, meshdGroup()); err != nil {
		return err
	}
	_, err = d.resolvers.serve(ctx)
	return err
}

// serve starts everything that goes on until the end.
func (d *daemon) serve(ctx context.Context) *life {
	life := newLife(ctx)
	var accepting context.Context
	accepting, d.stopAccepting = context.WithCancel(ctx)
	for _, l := range d.outboundListeners {
		d.accepting.Add(1)
		life.must("outbound", func(ctx context.Context) error { return d.serveOutbound(ctx, accepting, l) })
	}
	life.must("control", func(ctx context.Context) error { return d.control.Serve(ctx, d.controlListener) })
	life.must("cgroups", d.cgroups.Run)
	life.must("heartbeat", func(ctx context.Context) error { return d.owner.beat(ctx, d.kernel, d.log) })
	life.do(d.followCgroups)
	life.do(d.followHealth)
	life.do(d.serveReloads)
	life.do(d.serveRebuilds)
	life.do(d.reloadOnHangup)
	life.do(func(ctx context.Context) { d.resolvers.follow(ctx, d.resolversChanged) })
	life.do(func(ctx context.Context) { d.resolved.follow(ctx, d.relisten) })
	life.do(d.hosts.follow)
	life.do(func(ctx context.Context) { d.followNetwork(ctx, d.outside.Retry) })
	life.do(d.memory.catalog.Run)
	life.do(d.memory.endpoints.Run)
	life.do(d.lookAfterKernel)
	life.do(func(ctx context.Context) {
		systemd.RunWatchdog(ctx, d.notifier, systemd.WatchdogInterval(d.env.Getenv), d.beats, d.log)
	})
	return life
}

// serveOutbound serves a listener until accepting ends, as it does when a drain begins, and does not end the rest of meshd
// by that: meshctl status, for one, must go on meanwhile.
func (d *daemon) serveOutbound(ctx, accepting context.Context, l *listen.Queue) error {
	err := d.outbound.Serve(accepting, l)
	d.accepting.Done()
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// ready says that meshd is there.
func (d *daemon) ready(c *config.Config) {
	for _, name := range d.sockets.Leftover() {
		d.tell("listeners", d.notifier.RemoveFDs(name))
	}
	d.metrics.Reload(true)
	d.isReady.Store(true)
	d.tell("ready", d.notifier.Ready(d.statusLine()))
	d.log.Info("meshd is ready", "host", c.Host.Name, "mesh", c.Catalog.Mesh.Name, "services", len(c.Catalog.Services), "config", c.Hash)
}

// openKernel loads the kernel programs and reads the cgroups that they will look at.
func (d *daemon) openKernel(c *config.Config) (err error) {
	d.cgroup, err = d.captureRoot(c)
	if err != nil {
		return err
	}
	d.kernel, err = bpf.Open(bpf.Config{Dir: d.options.bpfDir, Cgroup: d.cgroup, DeadAfter: deadAfter})
	if err != nil {
		return err
	}
	d.cgroups, err = systemd.OpenTree(d.cgroup, d.log)
	if err != nil {
		return errors.Join(err, d.kernel.Close())
	}
	d.metrics.SetHeartbeat(func() float64 {
		age, _ := d.kernel.HeartbeatAge()
		return age.Seconds()
	})
	d.metrics.SetEndpoints(d.endpointStates)
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
	if !systemd.IsHost(root) {
		return "", fmt.Errorf("%s is not the root of cgroup2, so meshd would see only a part of the host: run meshd outside of the container, or set node.cgroup to capture just this part", root)
	}
	return root, nil
}

// beats says whether the kernel programs take meshd for alive.
func (d *daemon) beats() bool {
	age, err := d.kernel.HeartbeatAge()
	return err == nil && age < deadAfter
}

func (d *daemon) newProber() *prober {
	_, inside := d.cgroups.Path(d.kernel.Self().Cgroup)
	return &prober{snapshots: d.snapshots, inside: inside, beats: d.beats}
}

func (d *daemon) newProxy() (err error) {
	d.outbound, err = proxy.New(proxy.Config{
		Redirector:     redirector{d.kernel, d.snapshots},
		Workloads:      d.workloads,
		Snapshots:      d.snapshots,
		Metrics:        d.metrics,
		AccessLog:      d.accessLog,
		Tracer:         d.tracer,
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
	port := uint16(d.options.dnsPort)
	d.resolvers = &resolvers{name: "dns", file: d.options.resolvConf, most: bpf.MaxResolvers, port: port, sockets: d.sockets, server: server, log: d.log, published: d.published}
	d.resolved.uplinks = &resolvers{name: "dns-resolved", file: resolvedUplinks, most: maxUplinks, at: resolvedServer, port: port, sockets: d.sockets, server: server, log: d.log, published: d.published}
	return err
}

func (d *daemon) closeKernel() {
	if err := errors.Join(d.kernel.Close(), d.cgroups.Close()); err != nil {
		d.log.Warn("kernel not let go of", "error", err)
	}
}

// withdraw undoes a Commit of a start that then fails, unless an earlier meshd had attached the programs.
func (d *daemon) withdraw() error {
	if d.kernel.Adopted() {
		return nil
	}
	return errors.Join(d.kernel.Close(), bpf.Withdraw(d.options.bpfDir))
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
