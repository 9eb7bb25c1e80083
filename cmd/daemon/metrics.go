package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/meshd/meshd/engine/config"
)

// page is where metrics are served.
type page struct {
	addr     netip.AddrPort // as configured; not valid: nowhere
	listener *net.TCPListener
	server   *http.Server
}

// openMetrics returns the page that a configuration wants: the one that is served already, or a new one that is not
// served yet, so that a port that is taken refuses the configuration and not half of it.
func (d *daemon) openMetrics(ctx context.Context, c *config.Config) (*page, error) {
	if d.page != nil && d.page.addr == c.Prometheus.Listen {
		return d.page, nil
	}
	p := &page{addr: c.Prometheus.Listen}
	if !p.addr.IsValid() {
		return p, nil
	}
	l, err := d.sockets.TCP(ctx, "metrics", p.addr)
	if err != nil {
		return nil, err
	}
	p.listener = l
	p.server = &http.Server{
		Handler:           d.metrics.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	return p, nil
}

// discard gives up a page that was opened for a configuration that is not applied.
func (d *daemon) discard(p *page) {
	if p != d.page && p.listener != nil {
		p.listener.Close()
	}
}

// show serves a page instead of the one before.
func (d *daemon) show(p *page) {
	if p == d.page {
		return
	}
	d.hide()
	d.page = p
	if p.server == nil {
		return
	}
	d.running.Go(func() {
		if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("metrics not served", "listener", p.addr, "error", err)
		}
	})
}

// hide ends the page that is served.
func (d *daemon) hide() {
	if d.page != nil && d.page.server != nil {
		d.page.server.Close()
		d.page.listener.Close()
	}
	d.page = nil
}
