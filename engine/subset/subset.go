// Package subset selects endpoints of a service by expressions over what Consul knows of an instance, so that a filter that
// works in a service-resolver of Consul works here: Service.Meta.version == v2.
package subset

import (
	"fmt"
	"regexp"
	"strconv"

	bexpr "github.com/hashicorp/go-bexpr"
	"github.com/hashicorp/go-bexpr/grammar"

	"github.com/meshd/meshd/engine/mesh"
)

// maxExpressions bounds the work of parsing a filter, far above what people write.
const maxExpressions = 100_000

// Filter selects endpoints. Its zero value selects all.
type Filter struct {
	eval *bexpr.Evaluator
}

// instance is an endpoint in the shape of an entry of Consul's /v1/health/service.
type instance struct {
	Service service
	Node    node
}

type service struct {
	Service  string
	Address  string // an IP address, or the host name that stands for several
	Port     int
	Tags     []string
	Meta     map[string]string
	Weights  struct{ Passing int }
	Locality struct{ Zone string }
}

type node struct {
	Node       string // the host; empty outside the mesh
	Address    string
	Datacenter string
}

// Parse returns the filter that an expression is. The empty one selects all.
//
// What it accepts works for every endpoint: each comparison in it is tried out.
func Parse(expression string) (Filter, error) {
	if expression == "" {
		return Filter{}, nil
	}
	tree, err := grammar.Parse("", []byte(expression), grammar.MaxExpressions(maxExpressions))
	if err != nil {
		return Filter{}, fmt.Errorf("parse %q: %w", expression, err)
	}
	eval, err := bexpr.CreateEvaluator(expression, bexpr.WithMaxExpressions(maxExpressions))
	if err != nil {
		return Filter{}, fmt.Errorf("parse %q: %w", expression, err)
	}
	if err := tryOut(tree.(grammar.Expression)); err != nil {
		return Filter{}, err
	}
	f := Filter{eval}
	if _, err := f.eval.Evaluate(anyInstance()); err != nil {
		return Filter{}, err
	}
	return f, nil
}

// tryOut evaluates each comparison of an expression by itself, as the whole does not look at those behind the one that
// decides it.
func tryOut(tree grammar.Expression) error {
	switch x := tree.(type) {
	case *grammar.UnaryExpression:
		return tryOut(x.Operand)
	case *grammar.BinaryExpression:
		if err := tryOut(x.Left); err != nil {
			return err
		}
		return tryOut(x.Right)
	case *grammar.MatchExpression:
		if x.Operator == grammar.MatchMatches || x.Operator == grammar.MatchNotMatches {
			if _, err := regexp.Compile(x.Value.Raw); err != nil {
				return err
			}
		}
		alone, err := bexpr.CreateEvaluator(written(x))
		if err != nil {
			return err
		}
		_, err = alone.Evaluate(anyInstance())
		return err
	}
	return nil // any and all bind names, which only the whole knows
}

// written returns a comparison as the language has it.
func written(x *grammar.MatchExpression) string {
	selector := ""
	for _, part := range x.Selector.Path {
		selector += "/" + part
	}
	selector = strconv.Quote(selector)
	value := ""
	if x.Value != nil {
		value = strconv.Quote(x.Value.Raw)
	}
	switch x.Operator {
	case grammar.MatchEqual:
		return selector + " == " + value
	case grammar.MatchNotEqual:
		return selector + " != " + value
	case grammar.MatchIn, grammar.MatchContains:
		return value + " in " + selector
	case grammar.MatchNotIn, grammar.MatchNotContains:
		return value + " not in " + selector
	case grammar.MatchIsEmpty:
		return selector + " is empty"
	case grammar.MatchIsNotEmpty:
		return selector + " is not empty"
	case grammar.MatchIsNil:
		return selector + " is nil"
	case grammar.MatchIsNotNil:
		return selector + " is not nil"
	case grammar.MatchMatches:
		return selector + " matches " + value
	default:
		return selector + " not matches " + value
	}
}

// anyInstance has something of everything, so that no comparison goes without.
func anyInstance() instance {
	return shape("dc1", "service", mesh.Endpoint{Tags: []string{"tag"}, Meta: map[string]string{"name": "value"}})
}

// Selects says whether the endpoint of a service in a datacenter is in the subset.
func (f Filter) Selects(datacenter, name string, e mesh.Endpoint) bool {
	if f.eval == nil {
		return true
	}
	selected, err := f.eval.Evaluate(shape(datacenter, name, e))
	return err == nil && selected
}

func shape(datacenter, name string, e mesh.Endpoint) instance {
	address := e.Hostname
	if address == "" {
		address = e.Address.Addr().String()
	}
	x := instance{
		Service: service{Service: name, Address: address, Port: int(e.Address.Port()), Tags: e.Tags, Meta: e.Meta},
		Node:    node{Node: e.Host, Address: address, Datacenter: datacenter},
	}
	x.Service.Weights.Passing = int(max(e.Weight, 1))
	x.Service.Locality.Zone = e.Zone
	return x
}
