package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Longest names in DNS, in bytes.
const (
	maxLabel  = 63
	maxDomain = 253
)

// label checks a name that is one label of a name in DNS.
func (b *builder) label(at hcl.Range, what, name string) bool {
	fault := labelFault(name)
	if fault != "" {
		b.errorf(at, "Invalid "+what, "%s", fault)
	}
	return fault == ""
}

// domain checks a name that is one or more labels with dots between them.
func (b *builder) domain(at hcl.Range, what, name string) {
	if fault := domainFault(name); fault != "" {
		b.errorf(at, "Invalid "+what, "%s", fault)
	}
}

// labelFault returns what is wrong with a label, in sentences, or nothing.
func labelFault(label string) string {
	lower := strings.ToLower(label)
	switch {
	case label == "":
		return "The name, or a part of it between dots, is empty. Write at least one letter or digit."
	case len(label) > maxLabel:
		return fmt.Sprintf("%q has %d characters, and names in DNS at most %d between dots. Shorten it.", label, len(label), maxLabel)
	case strings.ContainsFunc(lower, isForeign):
		return fmt.Sprintf("%q has a character that names do not have. Write it with a-z, 0-9, - and _ only.", label)
	case lower != label:
		return fmt.Sprintf("Names are in lower case. Write %q.", lower)
	case strings.Trim(label, "-") == "":
		return "A name is not of hyphens only. Write at least one letter or digit."
	case strings.Trim(label, "-") != label:
		return fmt.Sprintf("A name neither begins nor ends with a hyphen. Write %q.", strings.Trim(label, "-"))
	}
	return ""
}

func isForeign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// domainFault returns what is wrong with a domain, in sentences, or nothing.
func domainFault(domain string) string {
	if trimmed := strings.Trim(domain, "."); trimmed != domain && trimmed != "" {
		return fmt.Sprintf("The name neither begins nor ends with a dot. Write %q.", trimmed)
	}
	if len(domain) > maxDomain {
		return fmt.Sprintf("The name has %d characters, and names in DNS at most %d. Shorten it.", len(domain), maxDomain)
	}
	for label := range strings.SplitSeq(domain, ".") {
		if fault := labelFault(label); fault != "" {
			return fault
		}
	}
	return ""
}

// isHostName tells a name from an IP address, right or wrong: a top-level domain begins with a letter.
func isHostName(text string) bool {
	top := text[strings.LastIndexByte(text, '.')+1:]
	return domainFault(text) == "" && 'a' <= top[0] && top[0] <= 'z'
}

// seemsHostName is isHostName for what a person may have meant as one.
func seemsHostName(text string) bool { return isHostName(strings.Trim(strings.ToLower(text), ".")) }

// didYouMean returns a sentence, with a space before it, that names the declared names nearest to an unknown one, or
// nothing when none is near.
func didYouMean[V any](unknown string, declared map[string]V) string {
	const most = 3 // of equally near names
	var nearest []string
	least := 2
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		d := levenshtein.Distance(unknown, name, nil)
		if d > least || d >= len(name) {
			continue
		}
		if d < least {
			nearest, least = nil, d
		}
		nearest = append(nearest, name)
	}
	if len(nearest) == 0 {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s?", alternatives(nearest[:min(len(nearest), most)]))
}

// alternatives returns words as a sentence offers them: "a", "b" or "c".
func alternatives[T ~string](words []T) string {
	text := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			text += " or "
		default:
			text += ", "
		}
		text += strconv.Quote(string(w))
	}
	return text
}
