package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/meshd/meshd/discovery/static"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/snapshot"
)

// loaded is the configuration that runs, and what became of the last attempt to change it.
type loaded struct {
	config  *config.Config
	at      time.Time
	refused *control.RefusedConfig // nil: the last attempt was applied
}

func (d *daemon) load() (*config.Config, *config.Diagnostics) {
	hostname, err := d.env.Hostname()
	if err != nil {
		d.log.Warn("host name not known", "error", err)
	}
	return config.Load(config.Options{Paths: d.options.config, Hostname: hostname, UserID: config.LocalUser})
}

// reload applies the files wholly or not at all: build, publish, retire.
func (d *daemon) reload(ctx context.Context) control.ReloadResult {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.tell("reloading", d.notifier.Reloading())
	defer func() { d.tell("ready", d.notifier.Ready(d.statusLine())) }()

	before := d.loaded.Load()
	next, diagnostics := d.load()
	result := control.ReloadResult{Hash: before.config.Hash, Diagnostics: diagnostics.List(), Text: textOf(diagnostics)}
	d.logDiagnostics(diagnostics)
	if next == nil {
		return d.refuse(before, result)
	}
	if err := d.apply(ctx, next); err != nil {
		d.log.Error("configuration cannot be applied", "error", err)
		result.Text += "Error: " + err.Error() + "\n"
		return d.refuse(before, result)
	}
	result.OK, result.Hash, result.Changed = true, next.Hash, next.Hash != before.config.Hash
	d.log.Info("configuration applied", "hash", next.Hash, "changed", result.Changed)
	d.metrics.Reload(true)
	return result
}

// refuse keeps what ran, and lets everybody know why: the caller, the log and the status.
func (d *daemon) refuse(before *loaded, result control.ReloadResult) control.ReloadResult {
	now := time.Now()
	d.loaded.Store(&loaded{config: before.config, at: before.at, refused: &control.RefusedConfig{At: now, Text: result.Text}})
	d.log.Error("configuration refused, the one before stays", "diagnostics", len(result.Diagnostics))
	d.metrics.Reload(false)
	return result
}

// logDiagnostics makes a record of each, since one that runs over lines is hard to read and to search in a journal.
func (d *daemon) logDiagnostics(diagnostics *config.Diagnostics) {
	for _, each := range diagnostics.List() {
		level := slog.LevelWarn
		if each.Severity == "error" {
			level = slog.LevelError
		}
		d.log.Log(context.Background(), level, "configuration diagnostic",
			"severity", each.Severity, "file", each.File, "line", each.Line, "summary", each.Summary, "detail", each.Detail)
	}
}

// apply makes a valid configuration the one that runs. What fails leaves the one before.
func (d *daemon) apply(ctx context.Context, next *config.Config) error {
	before := d.loaded.Load()
	if before != nil && before.config.Node.Cgroup != next.Node.Cgroup && d.options.cgroup == "" {
		return errors.New("node.cgroup has changed, which a reload cannot follow: systemctl restart meshd")
	}
	// Build.
	after := &loaded{config: next}
	d.learnOutside(ctx, before, after)
	defer func() { d.outside.Watch(outsideNames(d.loaded.Load())) }() // those of next, unless it was refused
	previous, snap := d.snapshots.Load(), d.build(next)
	if before == nil {
		d.memory.recall(snap, time.Now())
	}
	lines, err := d.openAccessLog(next)
	if err != nil {
		return err
	}
	page, err := d.openMetrics(ctx, next)
	if err != nil {
		return errors.Join(err, lines.Close())
	}
	// Publish.
	if err := d.publish(next, snap); err != nil {
		d.discard(page)
		return errors.Join(err, lines.Close())
	}
	after.at = time.Now()
	d.loaded.Store(after)
	if before == nil {
		close(d.published)
	}
	d.useTelemetry(next, lines)
	d.memory.catalog.Changed()
	d.hosts.keep()
	if before != nil { // else it is not captured yet what the names lead to
		d.resolved.keep(ctx)
	}
	// Retire.
	if before != nil && !slices.Equal(rangesOf(previous.Mesh()), rangesOf(snap.Mesh())) {
		d.keepRoutes()
	}
	d.show(page)
	d.workloads.forget()
	d.metrics.Forget(func(service string) bool { _, ok := snap.Named(service); return ok })
	d.watchFiles(ctx, next)
	d.storeListeners()
	return nil
}

// publish makes a snapshot the one that is read, and the kernel decide by it. What fails leaves those before.
func (d *daemon) publish(c *config.Config, snap *snapshot.Snapshot) error {
	rules := d.rulesOf(c, snap)
	previous := d.snapshots.Swap(snap) // first: a service that the kernel sends here must be known here
	if err := d.kernel.Apply(rules); err != nil {
		d.snapshots.Swap(previous)
		return fmt.Errorf("apply to the kernel: %w", err)
	}
	d.metrics.SnapshotVersion(snap.Version())
	d.checks.Set(targetsOf(snap, d.suspects))
	d.memory.endpoints.Changed()
	return nil
}

// reapply brings the kernel rules up to date when something outside of the configuration has changed.
func (d *daemon) reapply() {
	d.changing.Lock()
	defer d.changing.Unlock()
	if err := d.kernel.Apply(d.rulesOf(d.loaded.Load().config, d.snapshots.Load())); err != nil {
		d.log.Error("kernel rules not updated", "error", err)
	}
	d.storeListeners()
}

// relisten stores the listeners that there are now.
func (d *daemon) relisten() {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.storeListeners()
}

// followCgroups marks the cgroups of units that come and go.
func (d *daemon) followCgroups(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.cgroups.Changes():
		}
		d.changing.Lock()
		if err := d.kernel.MarkCgroups(marksOf(d.loaded.Load().config.Capture, d.cgroups)); err != nil {
			d.log.Error("cgroups not marked", "error", err)
		}
		d.changing.Unlock()
	}
}

// watchFiles reloads when the files of a static discovery change, if the configuration wants that. A watch that is
// already right goes on: what is written while one ends and the next begins would be missed.
func (d *daemon) watchFiles(ctx context.Context, c *config.Config) {
	var globs []string
	if c.Static.Watch {
		globs = c.Static.Files
	}
	if slices.Equal(globs, d.watched) {
		return
	}
	if d.stopWatch != nil {
		d.stopWatch()
	}
	d.watched, d.stopWatch = globs, nil
	if len(globs) == 0 {
		return
	}
	ctx, d.stopWatch = context.WithCancel(ctx)
	d.running.Go(func() {
		if err := static.Watch(ctx, globs, 0, d.requestReload); err != nil && ctx.Err() == nil {
			d.log.Error("files not watched", "files", globs, "error", err)
		}
	})
}

// requestReload asks for a reload soon; several requests before it begins are one.
func (d *daemon) requestReload() {
	select {
	case d.reloads <- struct{}{}:
	default:
	}
}

func (d *daemon) serveReloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.reloads:
			d.reload(ctx)
		}
	}
}

func textOf(diagnostics *config.Diagnostics) string {
	var text strings.Builder
	if err := diagnostics.WriteText(&text, 80, false); err != nil {
		return diagnostics.Error()
	}
	return text.String()
}

// tell logs that the service manager could not be told something.
func (d *daemon) tell(what string, err error) {
	if err != nil {
		d.log.Warn("service manager not notified", "of", what, "error", err)
	}
}
