package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// manager is to the hosts of a lab what systemd is to a real one: the parent of every unit.
//
// It is part of the supervisor, so that somebody sees how a unit ends and reads what it has to say, whoever had it
// started and is gone. A connection to it is one start: an order, and events until the unit has ended.
type manager struct {
	lab      *Lab
	listener net.Listener
	serving  sync.WaitGroup

	launching sync.Mutex // one start at a time, lest a unit is started twice
	closed    bool
	stores    map[string]*fdStore // of units that have one, by host and unit
}

// order says what to start.
type order struct {
	Host string   `json:"host"`
	Unit unitFile `json:"unit"`
	List bool     `json:"list,omitempty"` // start nothing, tell what the store of the unit holds
}

// event is what a connection to the manager hears. The first one has a process or an error.
type event struct {
	Error  string `json:"error,omitempty"`
	PID    int    `json:"pid,omitempty"`
	Logged int64  `json:"logged,omitempty"` // size of the log file before the start
	Ready  bool   `json:"ready,omitempty"`  // the unit has said so
	Ended  string `json:"ended,omitempty"`  // how; the last event

	Stored []string `json:"stored,omitempty"` // the answer to an order that lists
}

// managerSocket is the file in the state folder at which the manager listens.
const managerSocket = "manager.sock"

// orderLimit is how long a connection may take to say what it wants.
const orderLimit = 5 * time.Second

func startManager(s state) (*manager, error) {
	m := &manager{lab: &Lab{}, stores: map[string]*fdStore{}}
	m.lab.use(s)
	var err error
	if m.listener, err = net.Listen("unix", s.path(managerSocket)); err != nil {
		return nil, fmt.Errorf("start manager: %w", err)
	}
	if err := os.Chmod(s.path(managerSocket), 0o600); err != nil {
		return nil, errors.Join(err, m.listener.Close())
	}
	m.serving.Go(m.accept)
	return m, nil
}

// close kills all units and waits for their ends.
func (m *manager) close() error {
	m.listener.Close()
	m.launching.Lock()
	m.closed = true
	m.launching.Unlock()
	if err := m.lab.state.Cgroup.kill(); err != nil {
		return err
	}
	m.serving.Wait()
	for _, store := range m.stores {
		store.close()
	}
	return nil
}

func (m *manager) accept() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.serving.Go(func() { m.serve(conn) })
	}
}

// serve starts the unit that a connection orders and stays with it to its end. Who has hung up meanwhile misses events
// and nothing else.
func (m *manager) serve(conn net.Conn) {
	defer conn.Close()
	var o order
	conn.SetReadDeadline(time.Now().Add(orderLimit))
	if err := json.NewDecoder(conn).Decode(&o); err != nil {
		return
	}
	tell := func(e event) { _ = json.NewEncoder(conn).Encode(e) }
	if o.List {
		tell(event{Stored: m.stored(o)})
		return
	}
	p, err := m.launch(o)
	if err != nil {
		tell(event{Error: err.Error()})
		return
	}
	defer p.said.close()
	ready := p.said.announced()
	tell(event{PID: p.cmd.Process.Pid, Logged: p.logged})
	ended := make(chan struct{})
	m.serving.Go(func() {
		defer close(ended)
		_ = p.cmd.Wait() // the state says it too
	})
	for {
		select {
		case <-ready:
			tell(event{Ready: true})
			ready = nil
		case <-ended:
			how := p.cmd.ProcessState.String()
			_ = os.WriteFile(m.lab.Host(o.Host).endedPath(o.Unit.Name), []byte(how), 0o644) // without it a status knows less
			tell(event{Ended: how})
			return
		}
	}
}

// stored returns the names of what a unit has stored.
func (m *manager) stored(o order) []string {
	m.launching.Lock()
	defer m.launching.Unlock()
	if store := m.stores[o.Host+"/"+o.Unit.Name]; store != nil {
		return store.listed()
	}
	return nil
}

func (m *manager) launch(o order) (*process, error) {
	m.launching.Lock()
	defer m.launching.Unlock()
	host := m.lab.Host(o.Host)
	if m.closed || host == nil {
		return nil, errors.New("the lab is going down")
	}
	key := o.Host + "/" + o.Unit.Name
	store := m.stores[key]
	switch {
	case !o.Unit.Store && store != nil:
		store.close()
		delete(m.stores, key)
		store = nil
	case o.Unit.Store && store == nil:
		store = &fdStore{}
		m.stores[key] = store
	}
	return host.launch(&o.Unit, store)
}
