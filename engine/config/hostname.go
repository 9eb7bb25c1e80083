package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// maxHostnames is how many different names of endpoints outside the mesh a configuration may have: each is asked of a
// resolver again and again.
const maxHostnames = 1024

// hostname checks a name outside the mesh.
func (b *builder) hostname(at hcl.Range, name string) bool {
	fault := hostnameFault(name)
	switch {
	case fault != "":
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		fault = fmt.Sprintf("%s is every host itself. Write the name that the other hosts use.", name)
	case b.domainName != "" && (name == b.domainName || strings.HasSuffix(name, "."+b.domainName)):
		fault = fmt.Sprintf("%s is in the mesh domain, whose names meshd answers itself. Write a name outside of %s.", name, b.domainName)
	}
	if fault != "" {
		b.errorf(at, "Unsuitable host name", "%s", fault)
	}
	return fault == ""
}

// hostnameFault returns why a text is not a host name, in sentences, or nothing.
func hostnameFault(name string) string {
	if strings.Contains(name, "*") {
		return fmt.Sprintf("%q is a pattern. Write each name in full.", name)
	}
	if lower := strings.ToLower(name); lower != name && domainFault(lower) == "" {
		return fmt.Sprintf("Names are in lower case. Write %q.", lower)
	}
	if fault := domainFault(name); fault != "" {
		return fault
	}
	if !isHostName(name) {
		return fmt.Sprintf("%q is no host name: its last part does not begin with a letter. Write one like \"api.example.com\".", name)
	}
	return ""
}

// hostnames returns the names outside the mesh that stand for a service.
func (b *builder) hostnames(s *serviceBlock) []string {
	if len(s.Hostnames) > 0 && s.Port == nil {
		b.errorf(s.HostnamesRange, "Host names without a port", "They are answered with the service's virtual address, which a service "+
			"without a port does not have. Write the port that callers connect to, or remove the argument.")
	}
	var names []string
	for _, name := range s.Hostnames {
		if !b.hostname(s.HostnamesRange, name) {
			continue
		}
		first, taken := b.names[name]
		switch {
		case taken && first.service == s.Name:
			b.errorf(s.HostnamesRange, "Host name is given twice", "%s is in the list already. Remove one of the two.", name)
		case taken:
			b.errorf(s.HostnamesRange, "Host name of two services", "%s stands for service %q at %s already. Remove it from one of the two.",
				name, first.service, place(first.at))
		default:
			b.names[name] = claim{s.Name, s.HostnamesRange}
			names = append(names, name)
		}
	}
	return names
}

// outsideName checks the host name of an endpoint outside the mesh.
func (b *builder) outsideName(e *endpointBlock) bool {
	name := *e.Address
	if b.hosts[name] != nil {
		b.errorf(e.AddressRange, "Name of a host of the mesh", "%q is the name of a host block. Write host = %q instead.", name, name)
		return false
	}
	if !b.hostname(e.AddressRange, name) {
		return false
	}
	if b.outside[name] = true; len(b.outside) == maxHostnames+1 {
		b.errorf(e.AddressRange, "Too many host names", "Endpoints outside the mesh may have %d different host names, and this is one "+
			"more. Write IP addresses where they do not change.", maxHostnames)
	}
	return true
}
