package systemd

import (
	"slices"
	"strings"
)

// unitSuffixes are the kinds of unit that processes run in. A slice only holds other units.
var unitSuffixes = []string{".service", ".scope", ".socket", ".mount", ".swap"}

// UnitOf returns the unit of the system's service manager that a cgroup belongs to, given its path below the cgroup
// root, or "" when it belongs to none. As in systemd's own sd_pid_get_unit, that is the first component behind the
// slices, so that a folder which a service makes inside its own cgroup resolves to the service.
//
// The units of a user's own service manager are all user@<uid>.service, and those inside a container are the
// container's: their owners choose their names, and could otherwise take the name of a system service.
func UnitOf(cgroupPath string) string {
	name := unitName(behindSlices(cgroupPath))
	if slices.ContainsFunc(unitSuffixes, func(suffix string) bool { return isUnitName(name, suffix) }) {
		return name
	}
	return ""
}

// holdsUnits says whether what is directly in a cgroup can be a unit of the system's service manager.
func holdsUnits(cgroupPath string) bool { return behindSlices(cgroupPath) == "" }

// behindSlices returns the first component of a path that is no slice, or "" when all are.
func behindSlices(cgroupPath string) string {
	for component := range strings.SplitSeq(strings.Trim(cgroupPath, "/"), "/") {
		if !isUnitName(unitName(component), ".slice") {
			return component
		}
	}
	return ""
}

// unitName drops the _ that systemd puts before a name that might be taken for a file of the kernel's, such as
// memory.service.
func unitName(component string) string { return strings.TrimPrefix(component, "_") }

// isUnitName says whether name is a valid name of a unit of that kind; \x2d and the like stay as they are.
func isUnitName(name, suffix string) bool {
	stem, ok := strings.CutSuffix(name, suffix)
	if !ok || stem == "" || stem[0] == '@' || len(name) > 255 {
		return false
	}
	return !strings.ContainsFunc(stem, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune(`:-_.\@`, r)
	})
}
