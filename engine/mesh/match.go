package mesh

import "strings"

// Match says whether s has the shape of pattern, in which * stands for any run of characters, slashes too.
func Match(pattern, s string) bool {
	head, pattern, star := strings.Cut(pattern, "*")
	s, ok := strings.CutPrefix(s, head)
	if !ok || !star {
		return ok && s == ""
	}
	for {
		part, rest, star := strings.Cut(pattern, "*")
		if !star {
			return strings.HasSuffix(s, part)
		}
		if _, s, ok = strings.Cut(s, part); !ok {
			return false
		}
		pattern = rest
	}
}
