package accesslog

import "unicode/utf8"

// bare are the bytes that stand for themselves in a string of JSON.
var bare = func() (all [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		all[c] = c != '"' && c != '\\'
	}
	return all
}()

// isPlain says whether a value may stand in a line of text without quotes.
func isPlain[T []byte | string](value T) bool {
	for i := range len(value) {
		if c := value[i]; !bare[c] || c == ' ' || c == '=' {
			return false
		}
	}
	return true
}

// appendQuoted appends a value as a string of JSON. Nothing in it ends the string or the line, or controls a terminal that
// shows it; what is no UTF-8 becomes U+FFFD.
func appendQuoted[T []byte | string](dst []byte, value T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(value); {
		from := i
		for i < len(value) && bare[value[i]] {
			i++
		}
		if dst = append(dst, value[from:i]...); i == len(value) {
			break
		}
		c := value[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		default:
			r, n := utf8.DecodeRuneInString(string(value[i:min(len(value), i+utf8.UTFMax)]))
			switch {
			case r == utf8.RuneError && n <= 1:
				dst = append(dst, `\ufffd`...)
			case r < 0xa0: // controls, as those below the space are
				dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
			case isSeparator(r):
				dst = append(dst, '\\', 'u', '2', '0', hex[r>>4&15], hex[r&15])
			default:
				dst = append(dst, value[i:i+n]...)
			}
			i += n
		}
	}
	return append(dst, '"')
}

// isSeparator says whether a rune ends a line, or turns what follows around, where it is shown.
func isSeparator(r rune) bool {
	return r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
