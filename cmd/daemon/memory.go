package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshd/meshd/engine/balance"
	"github.com/meshd/meshd/engine/control"
	"github.com/meshd/meshd/engine/mesh"
	"github.com/meshd/meshd/engine/snapshot"
	"github.com/meshd/meshd/engine/state"
)

// The files of the state folder.
const (
	catalogFile   = "catalog.state"   // the mesh as it was published last
	endpointsFile = "endpoints.state" // what has been found out about its endpoints
)

const (
	// verdictsLast is how long after meshd was last alive its verdicts on endpoints still count. Later everything may be
	// otherwise, and the first connections tell.
	verdictsLast = 5 * time.Minute
	// confirmInterval is how often they are confirmed while there are any.
	confirmInterval = time.Minute
)

// memory is what meshd remembers over its own end. It adds to the configuration files and never overrides them.
type memory struct {
	daemon    *daemon
	folder    string
	catalog   *state.Keeper
	endpoints *state.Keeper
	known     savedEndpoints // as an earlier meshd left it
}

// savedEndpoints is what has been found out about endpoints.
type savedEndpoints struct {
	At        time.Time               `json:"at"`   // when the verdicts were right
	Boot      string                  `json:"boot"` // of the host, after which they are not
	Addresses map[string][]netip.Addr `json:"addresses,omitempty"`
	Verdicts  []verdict               `json:"verdicts,omitempty"`
}

// verdict is how an endpoint at a port of a service stands.
type verdict struct {
	Service  string           `json:"service"`
	Listener string           `json:"listener,omitempty"`
	Address  netip.AddrPort   `json:"address"`
	Standing balance.Standing `json:"standing"`
}

// savedCatalog is a catalog as it is written.
type savedCatalog struct {
	Config   string         `json:"config"` // hash of the files that it comes from
	Mesh     mesh.Mesh      `json:"mesh"`
	Hosts    []mesh.Host    `json:"hosts"`
	Services []savedService `json:"services"`
}

type savedService struct {
	mesh.Service
	Endpoints []savedEndpoint
}

// savedEndpoint has the port apart, because the text of an address that is a port alone does not show it.
type savedEndpoint struct {
	mesh.Endpoint
	Port uint16
}

// newMemory reads what an earlier meshd knew.
func (d *daemon) newMemory() {
	m := &memory{daemon: d, folder: d.options.stateDir}
	catalog, endpoints := filepath.Join(m.folder, catalogFile), filepath.Join(m.folder, endpointsFile)
	m.catalog = state.NewKeeper(state.Config{Path: catalog, Now: func() any { return saveCatalog(d.loaded.Load()) }, Log: d.log})
	m.endpoints = state.NewKeeper(state.Config{Path: endpoints, Now: m.saveEndpoints, Log: d.log})
	var known savedEndpoints
	if d.read(endpoints, &known) {
		m.known = known
	}
	d.read(catalog, new(savedCatalog)) // of which the files are the master; only one to be trusted may stay
	d.memory = m
	d.outside.Recall(m.known.Addresses)
}

// read reads a state file, and says whether there was one to be trusted.
func (d *daemon) read(path string, v any) bool {
	err := state.Read(path, v)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("state not read, meshd starts without", "error", err)
	}
	return err == nil
}

// recall makes the endpoints of the first snapshot stand as they did, and has those that were down without a check of
// their own checked until they are up.
func (m *memory) recall(snap *snapshot.Snapshot, now time.Time) {
	if m.known.Boot != bootID() || now.Sub(m.known.At) > verdictsLast {
		return
	}
	type place struct {
		service, listener string
		address           netip.AddrPort
	}
	verdicts := make(map[place]balance.Standing, len(m.known.Verdicts))
	for _, v := range m.known.Verdicts {
		verdicts[place{v.Service, v.Listener, v.Address}] = v.Standing
	}
	for p, e := range endpointsOf(snap) {
		was, found := verdicts[place{p.Service.Name, p.Listener, e.Address}]
		if !found {
			continue
		}
		e.Recall(was, now)
		if was.State == balance.Down && p.Service.Check == nil {
			m.daemon.suspects[p.ID] = true
		}
	}
}

// endpointsOf goes through all endpoints with their ports.
func endpointsOf(snap *snapshot.Snapshot) func(yield func(*snapshot.Port, *balance.Endpoint) bool) {
	return func(yield func(*snapshot.Port, *balance.Endpoint) bool) {
		for _, s := range snap.Services() {
			for _, p := range s.Ports {
				for _, e := range p.Group.Endpoints() {
					if !yield(p, e) {
						return
					}
				}
			}
		}
	}
}

// saveEndpoints returns what is to be kept of the endpoints now.
func (m *memory) saveEndpoints() any {
	s := savedEndpoints{Boot: bootID(), Addresses: m.daemon.outside.Addresses()}
	for p, e := range endpointsOf(m.daemon.snapshots.Load()) {
		if standing, ok := e.Standing(); ok {
			s.Verdicts = append(s.Verdicts, verdict{p.Service.Name, p.Listener, e.Address, standing})
		}
	}
	if len(s.Verdicts) > 0 {
		s.At = time.Now().Truncate(confirmInterval) // so that nothing is written when nothing has changed
	}
	return s
}

// saveCatalog returns what is to be kept of a configuration.
func saveCatalog(l *loaded) savedCatalog {
	catalog := l.config.Catalog
	s := savedCatalog{Config: l.config.Hash, Mesh: catalog.Mesh, Hosts: catalog.Hosts}
	for _, service := range catalog.Services {
		saved := savedService{Service: service}
		for _, e := range service.Endpoints {
			saved.Endpoints = append(saved.Endpoints, savedEndpoint{e, e.Address.Port()})
		}
		s.Services = append(s.Services, saved)
	}
	return s
}

// bootID names the time since the host was booted; it is empty where the kernel does not tell.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// problems lists what is wrong with the state folder.
func (m *memory) problems() []control.Problem {
	var all []control.Problem
	for _, k := range []*state.Keeper{m.catalog, m.endpoints} {
		if failure := k.Failure(); failure != "" {
			all = append(all, control.Problem{
				What: "what meshd knows cannot be kept for its next start: " + failure,
				Fix:  "df " + m.folder + "; within 10 s of being mended it is written",
			})
			break // the next is most likely the same
		}
	}
	for _, name := range []string{catalogFile, endpointsFile} {
		path := state.Quarantine(filepath.Join(m.folder, name))
		if _, err := os.Lstat(path); err == nil {
			all = append(all, control.Problem{
				What: fmt.Sprintf("%s could not be trusted, and meshd has started without what it held: journalctl -u meshd", name),
				Fix:  "look for the cause, a bad disk perhaps; then rm " + path,
			})
		}
	}
	return all
}
