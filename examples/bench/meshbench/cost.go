package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// proxyUnits are the ones that the contenders run in, without the one that needs none.
var proxyUnits = map[string]string{
	meshd: "meshd.service", quiet: "meshd.service", haproxy: "haproxy.service", nginx: "nginx.service",
}

var usage = regexp.MustCompile(`(?m)^usage_usec ([0-9]+)$`)

// busy returns how long a proxy has used a processor since it was started, as the kernel accounts for its cgroup; it is
// 0 where there is none.
func (r *rig) busy(contender string) (time.Duration, error) {
	unit, ok := proxyUnits[contender]
	if !ok {
		return 0, nil
	}
	text, err := os.ReadFile(filepath.Join(r.client.UnitCgroup(unit), "cpu.stat"))
	if err != nil {
		return 0, fmt.Errorf("read the time of %s: %w", unit, err)
	}
	used, err := parseNumber(string(text), usage)
	return time.Duration(used) * time.Microsecond, err
}

// cost takes down what a request of the workload that is under way has cost a contender.
func (b *bench) cost(contender string, seconds float64) {
	if seconds > 0 {
		b.costs[contender] = append(b.costs[contender], seconds)
	}
}

// costNote sums up what a request of a workload has cost its contenders; it is empty when nothing was taken down.
func (w workload) costNote(costs map[string][]float64) string {
	var all []string
	for _, contender := range w.contenders {
		if taken := costs[contender]; len(taken) > 0 {
			all = append(all, fmt.Sprintf("%s %.1f µs", contender, quantile(taken, 0.5)*1e6))
		}
	}
	return strings.Join(all, ", ")
}
