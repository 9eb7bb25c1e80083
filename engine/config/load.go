package config

import (
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// Options says what Load reads and for which machine.
type Options struct {
	// Paths are files or folders; a folder stands for its *.hcl files in the order of their names, without those that
	// begin with a dot. Empty: /etc/meshd/meshd.hcl and the folder /etc/meshd/conf.d, which may be absent.
	Paths []string

	// Root is a folder that stands for /etc/meshd, such as a copy of another host's: what is read without Paths, and
	// what the files name below /etc/meshd, is looked for inside it. Empty: /etc/meshd itself.
	Root string

	// Hostname is the machine's host name, short or full. Empty: in a mesh, node.name must be written.
	Hostname string

	// UserID returns the id of a user of the machine, such as LocalUser. Nil: the configuration is another machine's,
	// and names of users are not looked up.
	UserID func(name string) (uint32, error)
}

// Config is a whole, valid configuration of one host.
type Config struct {
	Node       Node
	Capture    mesh.Capture
	DNS        DNS
	Static     Static
	Prometheus Prometheus
	AccessLog  AccessLog
	OTLP       OTLP
	RequestIDs bool         // requests get one that have none
	Catalog    mesh.Catalog // empty without a mesh block
	Host       mesh.Host    // this machine's entry of the catalog; empty without a mesh block

	Files []string // every file that was read, sorted
	Hash  string   // short hexadecimal digest of the contents of Files; equal contents have equal hashes
}

// Node is what belongs to this machine alone.
type Node struct {
	Name   string // as written; empty when the host was found by the machine's host name
	Cgroup string // cgroup2 folder whose processes are captured; empty: the root of the cgroup2 tree
}

// DNS is how names are answered on this machine.
type DNS struct {
	HostsFile bool // names also stand in a marked block of /etc/hosts
}

// Static is the discovery that reads files.
type Static struct {
	Files []string // patterns of package filepath: those of the block, with the folder that each is looked for in
	Watch bool     // a changed and valid set of files applies without a reload
}

// Prometheus is where metrics are served.
type Prometheus struct {
	Listen netip.AddrPort // a loopback address; the zero value, for which IsValid is false, is off
}

const (
	etc           = "/etc/meshd"
	defaultFile   = etc + "/meshd.hcl"
	defaultFolder = etc + "/conf.d"
)

// root is the folder that stands for /etc/meshd; empty: itself.
type root string

// find returns where a clean path is really looked for.
func (r root) find(path string) string {
	if name, below := strings.CutPrefix(path, etc+"/"); below && r != "" {
		return filepath.Join(string(r), name)
	}
	return path
}

// Load reads and checks a configuration.
//
// The Config is nil exactly when the Diagnostics, which are never nil, have errors.
func Load(o Options) (*Config, *Diagnostics) {
	var found problems
	r := newReader(&found, root(o.Root))
	r.readNode(o.Paths)
	b := &builder{problems: &found, blocks: r.blocks, broken: r.broken, userID: o.UserID}
	discovery := b.static(r.root)
	r.readMesh(discovery.patterns)
	b.blocks, b.incomplete = r.blocks, r.incomplete || discovery.broken

	c := b.build(o.Hostname)
	d := &Diagnostics{list: found.sorted(), files: r.files}
	if d.HasErrors() {
		return nil, d
	}
	c.Static = discovery.Static
	c.Files, c.Hash = r.digest()
	return c, d
}

// builder turns decoded blocks into a Config. Blocks that did not decode are left out, and count as declared.
type builder struct {
	*problems
	blocks
	broken     map[hcl.Range]bool // by the range of the block's header
	userID     func(name string) (uint32, error)
	incomplete bool // some blocks could not be read, so a name that is missing proves nothing

	domainName string         // of the mesh
	virtual    []netip.Prefix // the mesh's valid virtual prefixes
	hosts      map[string]*hostBlock
	services   map[string]*serviceBlock  // also those that did not decode, as resolvers
	resolvers  map[string]*resolverBlock // by service
	addresses  map[netip.Addr]*hostBlock
	ports      map[string]claim // by what an endpoint is reached at: address and port, or host name and port
	names      map[string]claim // by host name that stands for a service
	outside    map[string]bool  // host names of endpoints
}

// claim is the service that has something that only one can have, and where that is said.
type claim struct {
	service string
	at      hcl.Range
}

func (b *builder) build(hostname string) *Config {
	node, named := b.node()
	t := b.telemetry()
	c := &Config{
		Node: node, Capture: b.capture(), DNS: b.dns(),
		Prometheus: b.prometheus(t), AccessLog: b.accessLog(t), OTLP: b.otlp(t), RequestIDs: b.requestIDs(t),
	}
	meshes := distinct(b, b.Meshes)
	hosts, services := distinct(b, b.Hosts), distinct(b, b.Services)
	routers, splitters, resolvers := distinct(b, b.Routers), distinct(b, b.Splitters), distinct(b, b.Resolvers)
	if len(b.Meshes) == 0 {
		b.needMesh()
		return c
	}
	if len(meshes) == 1 {
		c.Catalog.Mesh = b.mesh(meshes[0])
	}
	c.Catalog.Hosts = b.buildHosts(hosts)
	b.indexServices()
	c.Catalog.Services = b.buildServices(services, c.Catalog.Mesh)
	b.balance(resolvers, &c.Catalog)
	c.Catalog.Routers = b.buildRouters(routers)
	c.Catalog.Splitters = b.buildSplitters(splitters)
	c.Catalog.Resolvers = b.buildResolvers(resolvers, &c.Catalog)
	c.Host = b.thisHost(&c.Catalog, node.Name, named, hostname)
	return c
}

// indexServices collects the services and resolvers that are declared, right or wrong.
func (b *builder) indexServices() {
	b.services, b.resolvers = make(map[string]*serviceBlock), make(map[string]*resolverBlock)
	for _, s := range b.Services {
		b.services[s.Name] = s
	}
	for _, r := range b.Resolvers {
		b.resolvers[r.Service] = r
	}
}

// needMesh reports the first block that makes no sense without a mesh.
func (b *builder) needMesh() {
	if b.incomplete {
		return
	}
	var orphans []block
	for _, h := range b.Hosts {
		orphans = append(orphans, h)
	}
	for _, s := range b.Services {
		orphans = append(orphans, s)
	}
	for _, r := range b.Routers {
		orphans = append(orphans, r)
	}
	for _, s := range b.Splitters {
		orphans = append(orphans, s)
	}
	for _, r := range b.Resolvers {
		orphans = append(orphans, r)
	}
	if len(orphans) > 0 {
		b.errorf(orphans[0].defined(), "No mesh block", "Hosts, services and what routes to them belong to a mesh. Add "+
			"mesh \"NAME\" {}, with the same name in the files of every host.")
	}
}
