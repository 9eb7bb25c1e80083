package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// blocks are the top-level blocks of all files, in the order in which they were read.
type blocks struct {
	Nodes       []*nodeBlock      `hcl:"node,block"`
	Captures    []*captureBlock   `hcl:"capture,block"`
	Discoveries []*discoveryBlock `hcl:"discovery,block"`
	DNS         []*dnsBlock       `hcl:"dns,block"`
	Telemetries []*telemetryBlock `hcl:"telemetry,block"`

	Meshes    []*meshBlock     `hcl:"mesh,block"`
	Hosts     []*hostBlock     `hcl:"host,block"`
	Services  []*serviceBlock  `hcl:"service,block"`
	Routers   []*routerBlock   `hcl:"router,block"`
	Splitters []*splitterBlock `hcl:"splitter,block"`
	Resolvers []*resolverBlock `hcl:"resolver,block"`
}

// nodeBlocks are the types of the blocks that stand only in the node's own files.
var nodeBlocks = []string{"node", "capture", "dns", "discovery", "telemetry"}

// block is one top-level block. Two blocks of the same title are an error.
type block interface {
	title() string
	defined() hcl.Range
}

// distinct returns the blocks that decoded, and reports each one whose title another has already.
func distinct[B block](b *builder, all []B) []B {
	first := make(map[string]hcl.Range)
	var good []B
	for _, x := range all {
		if at, twice := first[x.title()]; twice {
			b.errorf(x.defined(), fmt.Sprintf("%s is given twice", x.title()), "The first one is at %s. Blocks are never "+
				"merged: remove one of the two.", place(at))
			continue
		}
		first[x.title()] = x.defined()
		if !b.broken[x.defined()] {
			good = append(good, x)
		}
	}
	return good
}

// decode adds the blocks of one file.
//
// It decodes block by block, so that a problem spoils only the block it is in and the others are still checked.
func (r *reader) decode(body *hclsyntax.Body, shared bool) {
	r.removeUnbuilt(body, "")
	part := &hclsyntax.Body{Attributes: body.Attributes, SrcRange: body.SrcRange, EndRange: body.EndRange}
	r.check(gohcl.DecodeBody(part, nil, &blocks{}))
	for _, syntax := range body.Blocks {
		if shared && slices.Contains(nodeBlocks, syntax.Type) {
			r.errorf(syntax.DefRange(), fmt.Sprintf("%s block in a file of discovery \"static\"", syntax.Type), "Files of "+
				"discovery \"static\" are the same on all hosts and hold only what all share. Move the block to %s or to a "+
				"file in %s.", defaultFile, defaultFolder)
			continue
		}
		var one blocks
		part = &hclsyntax.Body{Blocks: hclsyntax.Blocks{syntax}, SrcRange: body.SrcRange, EndRange: body.EndRange}
		if failed := r.check(gohcl.DecodeBody(part, nil, &one)); failed {
			r.broken[syntax.DefRange()] = true
			r.incomplete = r.incomplete || reflect.ValueOf(one).IsZero()
		}
		r.blocks.add(one)
	}
}

func (b *blocks) add(o blocks) {
	b.Nodes = append(b.Nodes, o.Nodes...)
	b.Captures = append(b.Captures, o.Captures...)
	b.Discoveries = append(b.Discoveries, o.Discoveries...)
	b.DNS = append(b.DNS, o.DNS...)
	b.Telemetries = append(b.Telemetries, o.Telemetries...)
	b.Meshes = append(b.Meshes, o.Meshes...)
	b.Hosts = append(b.Hosts, o.Hosts...)
	b.Services = append(b.Services, o.Services...)
	b.Routers = append(b.Routers, o.Routers...)
	b.Splitters = append(b.Splitters, o.Splitters...)
	b.Resolvers = append(b.Resolvers, o.Resolvers...)
}

// valueOr returns what an optional argument or block says, or its default.
func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
