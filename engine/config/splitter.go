package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/meshd/meshd/engine/mesh"
)

// splitterBlock divides the requests to a service by weight: splitter "billing" {}. Where requests are not read, as those of a tcp
// service, it divides the connections. The weights of its splits are percents and their sum is 100. Who connects past meshd, as
// all do while meshd is dead, gets an endpoint of any split, whatever its weight.
type splitterBlock struct {
	// Service is the name of the service that the requests or connections are for.
	Service      string    `hcl:"service,label"`
	ServiceRange hcl.Range `hcl:"service,label_range"`

	Splits []*splitBlock `hcl:"split,block"`

	Range hcl.Range `hcl:",def_range"`
}

// splitBlock is a part of the requests or connections: split {}.
type splitBlock struct {
	// Weight is how many percent it is, 0 to 100, to two places after the point.
	Weight      float64   `hcl:"weight"`
	WeightRange hcl.Range `hcl:"weight,attr_value_range"`

	// Service is the name of the service that they go to, which has a tcp port if the splitter's own has one, and one of HTTP if that
	// has. Default: the splitter's own.
	Service      *string   `hcl:"service,optional"`
	ServiceRange hcl.Range `hcl:"service,attr_value_range"`

	// Subset is the name of a subset in the service's resolver. Default: what the service's splitter, if it is another
	// service, and its resolver say.
	Subset      *string   `hcl:"subset,optional"`
	SubsetRange hcl.Range `hcl:"subset,attr_value_range"`

	Range hcl.Range `hcl:",def_range"`
}

func (s *splitterBlock) title() string      { return fmt.Sprintf("splitter %q", s.Service) }
func (s *splitterBlock) defined() hcl.Range { return s.Range }

// buildSplitters returns the splitters sorted by service.
func (b *builder) buildSplitters(all []*splitterBlock) []mesh.Splitter {
	var built []mesh.Splitter
	leads := make(map[string][]step)
	for _, s := range all {
		b.shaped(s, s.ServiceRange, s.Service, "splitter")
		splitter := mesh.Splitter{Service: s.Service, At: placeOf(s.Range)}
		sum := 0
		for _, x := range s.Splits {
			weight := b.hundredths(x.WeightRange, "weight", x.Weight)
			sum += weight
			target, _ := b.target(targetRef{s.Service, x.Range, x.Service, x.ServiceRange, x.Subset, x.SubsetRange, true, takesAll})
			splitter.Splits = append(splitter.Splits, mesh.Split{Weight: weight, Service: target.Service, Subset: target.Subset, At: placeOf(x.Range)})
			if target.Subset == "" && target.Service != s.Service {
				leads[s.Service] = append(leads[s.Service], step{target.Service, x.Range})
			}
		}
		if sum != mesh.Hundred {
			b.errorf(s.Range, "Weights that are not 100 together", "The weights of its splits have the sum %s. Change them so that it is 100.",
				percent(sum))
		}
		built = append(built, splitter)
	}
	b.cycles("Splitters in a circle", leads)
	slices.SortFunc(built, func(x, y mesh.Splitter) int { return strings.Compare(x.Service, y.Service) })
	return built
}

// hundredths returns a number of percents in hundredths.
func (b *builder) hundredths(at hcl.Range, what string, percents float64) int {
	hundredths := percents * 100
	if percents < 0 || percents > 100 {
		b.errorf(at, "Invalid "+what, "A %s is a number of percents from 0 to 100. Write one that is.", what)
		return 0
	}
	if rounded := math.Round(hundredths); math.Abs(hundredths-rounded) > 1e-6 {
		b.errorf(at, "Invalid "+what, "The smallest share is 0.01 percent. Write %s.", percent(int(rounded)))
	}
	return int(math.Round(hundredths))
}

// percent writes hundredths of a percent as people do.
func percent(hundredths int) string {
	text := fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// step is a way from one service to another, and where it is written.
type step struct {
	to string
	at hcl.Range
}

// cycles reports ways that lead back to where they began, each once, where it closes.
func (b *builder) cycles(summary string, leads map[string][]step) {
	done := make(map[string]bool)
	var way []string
	var walk func(service string)
	walk = func(service string) {
		way = append(way, service)
		for _, next := range leads[service] {
			if at := slices.Index(way, next.to); at >= 0 {
				circle := append(slices.Clone(way[at:]), next.to)
				b.errorf(next.at, summary, "Nothing would ever arrive: %s. Name another service here, or a subset.",
					strings.Join(circle, " → "))
			} else if !done[next.to] {
				walk(next.to)
			}
		}
		way = way[:len(way)-1]
		done[service] = true
	}
	for _, service := range slices.Sorted(maps.Keys(leads)) {
		if !done[service] {
			walk(service)
		}
	}
}
