package mesh

import "net/netip"

// CaptureMode says what the kernel sends through meshd.
type CaptureMode string

// The modes of capture.
const (
	CaptureMesh CaptureMode = "mesh" // connections to mesh services
	CaptureOff  CaptureMode = "off"  // none; virtual addresses are served straight by the kernel
)

// FailMode says what callers of a service that is not protected get while meshd is dead or hung.
type FailMode string

// The ways to fail.
const (
	FailOpen   FailMode = "open"   // the kernel connects to one of the last known endpoints
	FailClosed FailMode = "closed" // connection refused
)

// Capture says which connections of the host are captured.
//
// A caller or port that is excluded does not go through meshd; a virtual address that it dials is then connected
// straight to an endpoint by the kernel, so that names go on working for it.
type Capture struct {
	Mode         CaptureMode
	Fail         FailMode
	IncludeUnits []string // not empty: only these units are captured; * matches any run of characters
	ExcludeUnits []string
	ExcludePorts []uint16
	ExcludeCIDRs []netip.Prefix // of destinations
	ExcludeUIDs  []uint32       // of callers
	At           Place          // none when nothing is written
}
