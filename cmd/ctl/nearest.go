package ctl

import (
	"strings"

	"github.com/agext/levenshtein"
)

// nearest returns the name that a person probably meant by word; empty when none is near.
func nearest(word string, names []string) string {
	best, bestDistance := "", 3
	for _, name := range names {
		distance := levenshtein.Distance(word, name, nil)
		if len(word) >= 3 && strings.HasPrefix(name, word) {
			distance = 0
		}
		if distance < min(bestDistance, len(word)) {
			best, bestDistance = name, distance
		}
	}
	return best
}
