package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
)

// Outside is the name of the host that plays the rest of the world.
const Outside = "outside"

// hostState is one host as the state file has it.
type hostState struct {
	Name       string       `json:"name"`
	Addresses  []netip.Addr `json:"addresses"`
	Namespaces namespaces   `json:"namespaces"`
}

var hostName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// describe reads which hosts a lab has from the host blocks of its configuration; meshd reads the rest of it.
func describe(dir string) ([]hostState, error) {
	files, err := filepath.Glob(filepath.Join(dir, "mesh.d", "*.hcl"))
	if err != nil {
		return nil, err
	}
	var hosts []hostState
	parser := hclparse.NewParser()
	for _, path := range append([]string{filepath.Join(dir, "meshd.hcl")}, files...) {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("describe lab: %w", err)
		}
		file, diags := parser.ParseHCL(src, path)
		if diags.HasErrors() {
			return nil, diags
		}
		blocks, _, diags := file.Body.PartialContent(&hcl.BodySchema{
			Blocks: []hcl.BlockHeaderSchema{{Type: "host", LabelNames: []string{"name"}}},
		})
		if diags.HasErrors() {
			return nil, diags
		}
		for _, block := range blocks.Blocks {
			host, err := describeHost(block)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", block.DefRange, err)
			}
			hosts = append(hosts, host)
		}
	}
	slices.SortFunc(hosts, func(a, b hostState) int { return strings.Compare(a.Name, b.Name) })
	return hosts, checkHosts(dir, hosts)
}

func describeHost(block *hcl.Block) (hostState, error) {
	host := hostState{Name: block.Labels[0]}
	if !hostName.MatchString(host.Name) || host.Name == Outside {
		return host, fmt.Errorf("host name %q cannot be used in a lab", host.Name)
	}
	content, _, diags := block.Body.PartialContent(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "addresses", Required: true}},
	})
	if diags.HasErrors() {
		return host, diags
	}
	list, diags := hcl.ExprList(content.Attributes["addresses"].Expr)
	if diags.HasErrors() {
		return host, diags
	}
	for _, expr := range list {
		value, diags := expr.Value(nil)
		if diags.HasErrors() {
			return host, diags
		}
		if !value.Type().Equals(cty.String) || value.IsNull() {
			return host, fmt.Errorf("an address of host %s is not a string", host.Name)
		}
		address, err := netip.ParseAddr(value.AsString())
		if err != nil {
			return host, fmt.Errorf("address of host %s: %w", host.Name, err)
		}
		host.Addresses = append(host.Addresses, address)
	}
	if len(host.Addresses) == 0 {
		return host, fmt.Errorf("host %s has no address", host.Name)
	}
	return host, nil
}

// checkHosts refuses hosts that could not talk with each other: all share one network of each family.
func checkHosts(dir string, hosts []hostState) error {
	if len(hosts) == 0 {
		return fmt.Errorf("describe lab: %s has no host: add a host block to a file in %s/mesh.d", dir, dir)
	}
	nets := networks(hosts)
	if len(nets) > 2 || len(nets) == 2 && nets[0].Addr().Is4() == nets[1].Addr().Is4() {
		return fmt.Errorf("describe lab: the hosts are in several networks %v: use one /24 and one /64", nets)
	}
	owners := map[netip.Addr]string{}
	for _, net := range nets {
		owners[net.Addr()] = Outside
	}
	for i, host := range hosts {
		if i > 0 && host.Name == hosts[i-1].Name {
			return fmt.Errorf("describe lab: host %s is declared twice", host.Name)
		}
		for _, address := range host.Addresses {
			if owner, taken := owners[address]; taken {
				return fmt.Errorf("describe lab: address %s of host %s belongs to %s", address, host.Name, owner)
			}
			owners[address] = host.Name
		}
	}
	return nil
}

// networks returns the networks that the hosts are in, as the addresses that [Outside] has in them: the first ones.
func networks(hosts []hostState) []netip.Prefix {
	var nets []netip.Prefix
	for _, host := range hosts {
		for _, address := range host.Addresses {
			net := onLink(address)
			net = netip.PrefixFrom(net.Masked().Addr().Next(), net.Bits())
			if !slices.Contains(nets, net) {
				nets = append(nets, net)
			}
		}
	}
	return nets
}

// onLink returns the address with the length of the network around it.
func onLink(address netip.Addr) netip.Prefix {
	if address.Is4() {
		return netip.PrefixFrom(address, 24)
	}
	return netip.PrefixFrom(address, 64)
}
