package http1

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// class says of each byte where it may stand.
var class = classes()

const (
	isToken      = 1 << iota // in a name or a method
	isTarget                 // in the target of a request
	isHost                   // in the name of a host
	isControl                // nowhere: a control character other than a tab
	isUnreserved             // in a path, and means the same percent-encoded
	isPath                   // in a segment of a path
	isHex
)

func classes() (c [256]uint8) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	set := func(bit uint8, of string) {
		for i := range len(of) {
			c[of[i]] |= bit
		}
	}
	set(isToken, letters+"!#$%&'*+-.^_`|~")
	set(isHost, letters+"-._~%!$&'()*+;=")
	set(isUnreserved, letters+"-._~")
	set(isPath, letters+"-._~!$&'()*+,;=:@")
	set(isHex, "0123456789abcdefABCDEF")
	for b := range c {
		switch {
		case b == '\t':
		case b < ' ' || b == 0x7f:
			c[b] |= isControl
		case b > ' ' && b != '#':
			// Bytes above ASCII and characters that no URI has are sent by clients, and frame nothing.
			c[b] |= isTarget
		}
	}
	return c
}

// all says whether every byte of b is of that class.
func all(b []byte, is uint8) bool {
	for _, c := range b {
		if class[c]&is == 0 {
			return false
		}
	}
	return true
}

// control returns the index of the first control character of b other than a tab, or the length of b.
func control(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		// A byte less than a space, or DEL, sets its high bit in candidates; one that follows it may do so by a borrow.
		word := binary.LittleEndian.Uint64(b[i:])
		dels := word ^ 0x7f*ones
		candidates := ((word-' '*ones)&^word | (dels-ones)&^dels) & highs
		for ; candidates != 0; candidates &= candidates - 1 {
			if at := i + bits.TrailingZeros64(candidates)/8; class[b[at]]&isControl != 0 {
				return at
			}
		}
	}
	for ; i < len(b); i++ {
		if class[b[i]]&isControl != 0 {
			return i
		}
	}
	return len(b)
}

// lower is the lower case of ASCII.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// same says whether two texts differ at most in the case of ASCII letters.
func same[A, B []byte | string](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// trim returns where buf[from:to] begins and ends without white space around it.
func trim(buf []byte, from, to int) (int, int) {
	for from < to && (buf[from] == ' ' || buf[from] == '\t') {
		from++
	}
	for from < to && (buf[to-1] == ' ' || buf[to-1] == '\t') {
		to--
	}
	return from, to
}

// element returns the first element of a list with commas, and what is left of the list.
func element(list []byte) (first, rest []byte) {
	end := 0
	for end < len(list) && list[end] != ',' {
		end++
	}
	rest = list[min(end+1, len(list)):]
	from, to := trim(list, 0, end)
	return list[from:to], rest
}

// lists says whether a list with commas has that element.
func lists[T []byte | string](list []byte, want T) bool {
	for len(list) > 0 {
		var one []byte
		if one, list = element(list); same(one, want) {
			return true
		}
	}
	return false
}

// ValidName says whether a text can be the name of a field.
func ValidName(name string) bool { return name != "" && all([]byte(name), isToken) }

// ValidValue says whether a text can be the value of a field as it is, without white space around it.
func ValidValue(value string) bool {
	return control([]byte(value)) == len(value) && strings.Trim(value, " \t") == value
}
