package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// life holds the goroutines of the daemon: those whose end is the end of all, and those that just go along.
type life struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	all    sync.WaitGroup
}

func newLife(ctx context.Context) *life {
	ctx, cancel := context.WithCancelCause(ctx)
	return &life{ctx: ctx, cancel: cancel}
}

// must runs f; its error ends the life, as does a return before the end.
func (l *life) must(name string, f func(context.Context) error) {
	l.all.Go(func() {
		err := f(l.ctx)
		if err == nil && l.ctx.Err() == nil {
			err = errors.New("ended by itself")
		}
		if err != nil {
			l.cancel(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// do runs f until the end.
func (l *life) do(f func(context.Context)) {
	l.all.Go(func() { f(l.ctx) })
}

// wait returns nil when ctx ends, and an error when the life ends before.
func (l *life) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// end ends all goroutines and waits for them.
func (l *life) end() {
	l.cancel(nil)
	l.all.Wait()
}

// reloadOnHangup makes SIGHUP a reload.
func (d *daemon) reloadOnHangup(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			d.requestReload()
		}
	}
}

// maxConnections leaves a quarter of the descriptors that meshd may open to everything that is not a connection; each
// connection takes two.
func maxConnections() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20) * 3 / 4 / 2)
}

// useProcessors gives Go twice the processors that it may use at once, unless the environment says how many: a loop of the
// proxy holds one for as long as it has something to do, and queries, checks and meshctl should not wait for that.
func useProcessors(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0)) // which knows of the quota of a cgroup
	}
}
