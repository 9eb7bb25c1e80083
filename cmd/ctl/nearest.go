package ctl

import "strings"

// nearest returns the name that a person probably meant by word; empty when none is near.
func nearest(word string, names []string) string {
	best, bestDistance := "", 3
	for _, name := range names {
		distance := editDistance(word, name)
		if len(word) >= 3 && strings.HasPrefix(name, word) {
			distance = 0
		}
		if distance < min(bestDistance, len(word)) {
			best, bestDistance = name, distance
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace that make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
