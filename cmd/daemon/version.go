package daemon

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/meshd/meshd/engine/observe"
)

// version is the release; packaging sets it at link time.
var version = "0.1.0-dev"

// buildInfo says which meshd this is.
type buildInfo struct {
	revision, time string // empty when it was not built from a repository
}

func build() buildInfo {
	var b buildInfo
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.revision = settings["vcs.revision"]
	b.revision = b.revision[:min(12, len(b.revision))]
	if settings["vcs.modified"] == "true" {
		b.revision += "+changes"
	}
	b.time = settings["vcs.time"]
	return b
}

// String returns the version as people should see it.
func (b buildInfo) String() string {
	var known []string
	for _, s := range []string{b.revision, b.time, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH} {
		if s != "" {
			known = append(known, s)
		}
	}
	return version + " (" + strings.Join(known, ", ") + ")"
}

func (b buildInfo) metrics() observe.Build {
	return observe.Build{Version: version, Revision: b.revision, GoVersion: runtime.Version()}
}
