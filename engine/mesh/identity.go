package mesh

// Identity is the SPIFFE id of a service, in the form that Consul's Connect CA uses.
//
// See https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md.
type Identity string

// ServiceIdentity returns the identity of a service of the mesh.
func (m *Mesh) ServiceIdentity(service string) Identity {
	return Identity("spiffe://" + m.TrustDomain + "/ns/default/dc/" + m.Datacenter + "/svc/" + service)
}

// HostIdentity returns the identity of a process that matches no workload: its host's.
func (m *Mesh) HostIdentity(host string) Identity { return m.ServiceIdentity("host-" + host) }
