package daemon

import (
	"github.com/meshd/meshd/engine/accesslog"
	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/trace"
)

// newTelemetry makes what tells of requests. Until a configuration wants that, it tells nobody.
func (d *daemon) newTelemetry() {
	d.accessLog = accesslog.New()
	d.tracer = trace.NewTracer(d.log)
	d.metrics.SetTelemetry(d.accessLog.Dropped, d.tracer.Exported, d.tracer.Dropped)
}

// closeTelemetry tells what has not been told yet.
func (d *daemon) closeTelemetry() {
	d.accessLog.Close()
	d.tracer.Close()
}

// openAccessLog opens what a configuration wants lines to be written to; nil: they are not written. A file is opened anew each
// time: the one before may have been moved away since.
func (d *daemon) openAccessLog(c *config.Config) (*accesslog.Sink, error) {
	format := accesslog.Text
	switch c.AccessLog.Format {
	case "":
		return nil, nil
	case config.AccessLogJSON:
		format = accesslog.JSON
	}
	if c.AccessLog.Path == "" {
		return accesslog.NewSink(format, d.env.Stdout), nil
	}
	return accesslog.OpenFile(format, c.AccessLog.Path)
}

// useTelemetry has those told that a configuration names.
func (d *daemon) useTelemetry(c *config.Config, lines *accesslog.Sink) {
	d.accessLog.Use(lines)
	d.outbound.UseRequestIDs(c.RequestIDs)
	if c.OTLP.Endpoint == "" {
		d.tracer.Use(nil)
		return
	}
	d.tracer.Use(&trace.Config{Endpoint: c.OTLP.Endpoint, Share: c.OTLP.Share, Host: c.Host.Name, Version: build().metrics().Version})
}

func (d *daemon) telemetryProblems() []control.Problem {
	var all []control.Problem
	c := d.loaded.Load().config
	if failure := d.accessLog.Failure(); failure != "" && c.AccessLog.Format != "" {
		all = append(all, control.Problem{
			What: "lines of the access log are lost: " + failure,
			Fix:  "make room, or have access_log name another file, then meshctl reload",
		})
	}
	if failure := d.tracer.Failure(); failure != "" && c.OTLP.Endpoint != "" {
		all = append(all, control.Problem{
			What: "spans are lost: " + failure,
			Fix:  "see that a collector speaks OTLP over HTTP at " + c.OTLP.Endpoint + ", or take the otlp block out, then meshctl reload",
		})
	}
	return all
}
