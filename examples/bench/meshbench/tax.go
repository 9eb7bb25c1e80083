package main

import "context"

// quiet is a meshd that tells nothing, where meshd itself has telemetry.
const quiet = "meshd-quiet"

// telemetryFiles are the configuration that each variant has besides that of the hosts.
var telemetryFiles = map[string]string{
	quiet: "/srv/lab/telemetry/quiet.hcl",
	meshd: "/srv/lab/telemetry/full.hcl",
}

// telemetryTax is h1-keepalive by a meshd that has just been started with more or less telemetry.
func (b *bench) telemetryTax(ctx context.Context, contender string) (float64, error) {
	if err := b.rig.startProxy(ctx, meshd, "-config", "/etc/meshd/meshd.hcl", "-config", telemetryFiles[contender]); err != nil {
		return 0, err
	}
	return h1KeepAlive(32)(b, ctx, contender)
}
