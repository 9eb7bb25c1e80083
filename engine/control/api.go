package control

import (
	"net/netip"
	"time"

	"github.com/meshd/meshd/engine/config"
	"github.com/meshd/meshd/engine/mesh"
)

// SchemaVersion is the version of every JSON document of this package.
//
// New fields do not raise it; a field that goes away or changes its meaning does. The server sets it, so a Backend
// leaves it zero. Lists are sorted and never null.
const SchemaVersion = 1

// SocketPath is where meshd listens when nothing else is configured.
const SocketPath = "/run/meshd/meshd.sock"

// State is how meshd is, in one word.
type State string

// The states of meshd.
const (
	StateStarting State = "starting" // it does not capture yet
	StateReady    State = "ready"
	StateDegraded State = "degraded" // it works in part; the problems say what does not
	StateDraining State = "draining" // it is stopping and waits for open connections
)

// CaptureState says whether the kernel sends connections to meshd.
type CaptureState string

// The states of capture.
const (
	CaptureActive   CaptureState = "active"
	CaptureOff      CaptureState = "off"      // as configured, or disabled
	CaptureDegraded CaptureState = "degraded" // configured, and not or not wholly in effect
)

// Status is the answer to "is all well here?".
type Status struct {
	SchemaVersion int              `json:"schema_version"`
	Host          string           `json:"host"`
	Mesh          string           `json:"mesh"` // empty: no mesh is configured
	Version       string           `json:"version"`
	PID           int              `json:"pid"`
	Started       time.Time        `json:"started"`
	State         State            `json:"state"`
	Problems      []Problem        `json:"problems"` // in the order in which they should be solved
	Capture       Capture          `json:"capture"`
	Config        LoadedConfig     `json:"config"`
	Services      int              `json:"services"`
	Endpoints     int              `json:"endpoints"`
	Connections   ConnectionCounts `json:"connections"`
	DNS           DNS              `json:"dns"`
	Listeners     []Listener       `json:"listeners"`
	Refused       []Refusal        `json:"refused"` // most often first
}

// Problem is something that needs a person.
type Problem struct {
	What string `json:"what"`
	Fix  string `json:"fix"` // the command or edit that solves it
}

// Capture is the state of the kernel's redirection.
type Capture struct {
	State          CaptureState     `json:"state"`
	Mode           mesh.CaptureMode `json:"mode"`     // as configured
	Disabled       bool             `json:"disabled"` // by a person, whatever the mode is
	Fail           mesh.FailMode    `json:"fail"`
	Cgroup         string           `json:"cgroup"`           // only processes below it are captured
	Programs       int              `json:"programs"`         // attached eBPF programs
	HeartbeatAgeMS int64            `json:"heartbeat_age_ms"` // since meshd last told the kernel that it lives
}

// LoadedConfig is the configuration that runs.
type LoadedConfig struct {
	Hash      string         `json:"hash"`
	LoadedAt  time.Time      `json:"loaded_at"`
	Files     []string       `json:"files"`
	LastError *RefusedConfig `json:"last_error,omitempty"` // the last reload was refused; the server adds a problem
}

// RefusedConfig is a configuration that was refused.
type RefusedConfig struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"` // diagnostics, as they are shown to people
}

// ConnectionCounts counts captured connections.
type ConnectionCounts struct {
	Open        int    `json:"open"`
	OpenedTotal uint64 `json:"opened_total"` // since the start of meshd
}

// DNS is the state of the names.
type DNS struct {
	Resolvers []string `json:"resolvers"` // those whose queries are captured, as address:port
	Queries   uint64   `json:"queries"`   // since the start of meshd
}

// Listener is a socket that meshd listens on.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"` // address:port, or a path
}

// Refusal is a destination to which the kernel has refused connections, so that meshd never saw them.
type Refusal struct {
	Destination string        `json:"destination"` // name:port of a service, or address:port
	Reason      RefusalReason `json:"reason"`
	Count       uint64        `json:"count"` // of connections
}

// RefusalReason is why the kernel refused connections, in one word.
type RefusalReason string

// The reasons of refusals.
const (
	RefusedPort  RefusalReason = "undeclared-port" // the service has another port
	RefusedEmpty RefusalReason = "no-endpoint"     // the service has no endpoint
	RefusedDead  RefusalReason = "meshd-dead"      // or hung, with capture.fail = "closed"
	RefusedUDP   RefusalReason = "udp"             // to a virtual address, where only TCP goes
)

// ServiceList is the answer to "which services are there?".
type ServiceList struct {
	SchemaVersion int       `json:"schema_version"`
	Services      []Service `json:"services"`
}

// Service is a service of the mesh as this host sees it.
type Service struct {
	Name      string            `json:"name"`
	Addresses []netip.Addr      `json:"virtual_addresses"` // IPv4 first; empty for a service that only calls others
	Port      uint16            `json:"port"`              // 0 for a service that only calls others
	Protocol  mesh.Protocol     `json:"protocol"`
	Listeners []ServiceListener `json:"listeners,omitempty"` // further ports
	Balancing mesh.Balancing    `json:"balancing"`
	Endpoints int               `json:"endpoints"`
	Local     bool              `json:"local_workload"` // processes of this host are looked for that are the service
	DNSName   string            `json:"dns_name"`
	Hostnames []string          `json:"hostnames,omitempty"` // names outside the mesh that are answered with the addresses
}

// ServiceListener is a further port of a service.
type ServiceListener struct {
	Name     string        `json:"name"`
	Port     uint16        `json:"port"`
	Protocol mesh.Protocol `json:"protocol"`
}

// EndpointList is the answer to "who serves, and how is each doing?".
type EndpointList struct {
	SchemaVersion int        `json:"schema_version"`
	Endpoints     []Endpoint `json:"endpoints"`
}

// Endpoint is an endpoint with what this host knows of it.
type Endpoint struct {
	Service     string         `json:"service"`
	Name        string         `json:"name"`
	Listener    string         `json:"listener,omitempty"` // empty: the service's own port
	Host        string         `json:"host"`               // empty outside the mesh
	Hostname    string         `json:"hostname,omitempty"` // the name outside the mesh that has the address
	Address     netip.AddrPort `json:"address"`
	Weight      uint32         `json:"weight"`
	Tags        []string       `json:"tags"`
	Active      int            `json:"active"`          // open connections from this host
	Connected   uint64         `json:"connected_total"` // connects that succeeded since meshd learned of the endpoint
	Failed      uint64         `json:"failed_total"`    // connects that did not
	LastFailure *Failure       `json:"last_failure,omitempty"`

	State        EndpointState `json:"state"`
	EjectedUntil *time.Time    `json:"ejected_until,omitempty"`
	History      []Transition  `json:"history"` // of the state: the last eight changes, the oldest first
}

// EndpointState is how an endpoint stands.
type EndpointState string

// The states of an endpoint.
const (
	EndpointUp      EndpointState = "up"
	EndpointDown    EndpointState = "down"    // its check fails
	EndpointEjected EndpointState = "ejected" // connections to it failed; it is left alone for a while
)

// Transition is a change of the state of an endpoint.
type Transition struct {
	At     time.Time     `json:"at"`
	State  EndpointState `json:"state"` // that began
	Reason string        `json:"reason"`
}

// Failure is the last connect to an endpoint that did not succeed.
type Failure struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// ConnectionList is the answer to "what is open right now?".
type ConnectionList struct {
	SchemaVersion int          `json:"schema_version"`
	Connections   []Connection `json:"connections"` // oldest first
	Total         int          `json:"total"`       // more than listed when the list was cut at MaxConnections
}

// MaxConnections is the greatest number of connections that one answer lists.
const MaxConnections = 10_000

// ConnectionState is how far a connection has come.
type ConnectionState string

// The states of a connection.
const (
	ConnectionConnecting ConnectionState = "connecting" // no endpoint has accepted yet
	ConnectionOpen       ConnectionState = "open"
	ConnectionHalfClosed ConnectionState = "half-closed" // one side has finished sending
)

// Connection is a captured connection that is open.
type Connection struct {
	ID                  uint64          `json:"id"`
	OpenedAt            time.Time       `json:"opened_at"`
	PID                 uint32          `json:"pid"`
	UID                 uint32          `json:"uid"`
	Unit                string          `json:"unit"`
	Source              string          `json:"source"` // a service, or host:<name>
	Client              netip.AddrPort  `json:"client"`
	OriginalDestination netip.AddrPort  `json:"original_destination"` // what the application dialled
	Destination         string          `json:"destination"`          // a service
	Endpoint            string          `json:"endpoint"`             // that is connected or tried; empty before the first try
	EndpointAddress     netip.AddrPort  `json:"endpoint_address"`
	Sent                uint64          `json:"bytes_sent"`     // from the application
	Received            uint64          `json:"bytes_received"` // to the application
	State               ConnectionState `json:"state"`
}

// CheckStatus is the outcome of a check.
type CheckStatus string

// The outcomes of a check.
const (
	CheckOK   CheckStatus = "ok"
	CheckWarn CheckStatus = "warn" // meshd works, though not as well as it could
	CheckFail CheckStatus = "fail"
)

// CheckReport is the answer to "can meshd work here?".
type CheckReport struct {
	SchemaVersion int           `json:"schema_version"`
	Checks        []CheckResult `json:"checks"` // by severity, then by name
}

// CheckResult is one check.
type CheckResult struct {
	Name   string      `json:"name"`
	Status CheckStatus `json:"status"`
	Detail string      `json:"detail"`
	Fix    string      `json:"fix"` // the command or edit that helps; empty when there is nothing to do
}

// ReloadResult says what became of a reload. A reload that is refused changes nothing.
type ReloadResult struct {
	SchemaVersion int                 `json:"schema_version"`
	OK            bool                `json:"ok"`
	Changed       bool                `json:"changed"`     // the configuration differs from the one before
	Hash          string              `json:"hash"`        // of the configuration that runs now
	Text          string              `json:"text"`        // the diagnostics as they are shown to people
	Diagnostics   []config.Diagnostic `json:"diagnostics"` // also warnings of a reload that was accepted
}

// SwitchResult says what became of disabling or enabling capture.
type SwitchResult struct {
	SchemaVersion int     `json:"schema_version"`
	Changed       bool    `json:"changed"` // false: it was so already, or there is an error
	Capture       Capture `json:"capture"` // as it is now
	Error         string  `json:"error"`   // empty: done
}

// Error is the answer to a call that could not be served.
type Error struct {
	SchemaVersion int    `json:"schema_version"`
	Status        int    `json:"-"` // of HTTP
	Message       string `json:"error"`
	Hint          string `json:"hint"` // the likely way out
}

// Error returns the message and the way out.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}
