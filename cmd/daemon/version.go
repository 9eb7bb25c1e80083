package daemon

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/meshd/meshd/engine/observe"
)

// version is the release; packaging sets it at link time.
var version = "0.1.0-dev"

// buildInfo says which meshd this is.
type buildInfo struct {
	revision, time string
}

func build() buildInfo {
	b := buildInfo{revision: "unknown", time: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.revision = cmp.Or(settings["vcs.revision"], b.revision)
	b.revision = b.revision[:min(12, len(b.revision))]
	if settings["vcs.modified"] == "true" {
		b.revision += "+changes"
	}
	b.time = cmp.Or(settings["vcs.time"], b.time)
	return b
}

// String returns the version as people should see it.
func (b buildInfo) String() string {
	return fmt.Sprintf("%s (%s, %s, %s, %s/%s)", version, b.revision, b.time, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (b buildInfo) metrics() observe.Build {
	return observe.Build{Version: version, Revision: b.revision, GoVersion: runtime.Version()}
}
