package http1

import "bytes"

// Path returns the path of a target, without its query: as it came, and empty if a whole URI has none.
func (h *Head) Path(buf []byte) []byte {
	path, _, _ := bytes.Cut(h.PathAndQuery(buf), []byte("?"))
	return path
}

// Query returns what follows on the first question mark of a target.
func (h *Head) Query(buf []byte) []byte {
	_, query, _ := bytes.Cut(h.PathAndQuery(buf), []byte("?"))
	return query
}

// PathAndQuery returns both as they came; nothing of an authority alone.
func (h *Head) PathAndQuery(buf []byte) []byte {
	switch h.form {
	case FormAbsolute:
		return buf[h.authority.to:h.target.to]
	case FormAuthority:
		return nil
	}
	return h.target.of(buf)
}

// CanonicalPath appends to dst the one form of all paths that mean the same. Only where a rule looks at paths they are
// compared so, and then that form must travel too, lest the server sees another path than the rule.
//
// Characters are percent-encoded if they must be and only then, dot segments are resolved, slashes are merged. A path that
// servers understand in different ways is refused: with a backslash or a zero, encoded or not, with an encoded slash, with a
// broken escape, with UTF-8 that is longer than its character needs, and with a dot segment that has parameters.
// An empty path is that of the root.
func CanonicalPath(dst, path []byte) ([]byte, error) {
	if string(path) == "*" {
		return append(dst, '*'), nil
	}
	base := len(dst)
	if len(path) > 0 && path[0] != '/' {
		return dst, ErrPath
	}
	dst = append(dst, '/')
	for at := 0; at < len(path); {
		at++ // the slash
		end := at + bytes.IndexByte(path[at:], '/')
		last := end < at
		if last {
			end = len(path)
		}
		segment := len(dst)
		var err error
		if dst, err = appendSegment(dst, path[at:end]); err != nil {
			return dst[:base], err
		}
		at = end
		switch string(dst[segment:]) {
		case "":
		case ".":
			dst = dst[:segment]
		case "..":
			dst = dst[:parent(dst[base:segment])+base]
		default:
			if dotsWithParameters(dst[segment:]) {
				return dst[:base], ErrPath
			}
			if !last {
				dst = append(dst, '/')
			}
		}
	}
	return dst, nil
}

// parent returns where the last segment begins in a path that ends with a slash; that of the root is the root.
func parent(path []byte) int {
	if len(path) == 1 {
		return 1
	}
	return bytes.LastIndexByte(path[:len(path)-1], '/') + 1
}

// dotsWithParameters says whether servers that know parameters of segments see a dot segment where others see a name.
func dotsWithParameters(segment []byte) bool {
	name, _, found := bytes.Cut(segment, []byte(";"))
	return found && (string(name) == "." || string(name) == "..")
}

// appendSegment appends the canonical form of what stands between two slashes.
func appendSegment(dst, segment []byte) ([]byte, error) {
	const hex = "0123456789ABCDEF"
	var before byte
	for i := 0; i < len(segment); i++ {
		c, escaped := segment[i], false
		if c == '%' {
			if i+2 >= len(segment) || class[segment[i+1]]&isHex == 0 || class[segment[i+2]]&isHex == 0 {
				return dst, ErrPath
			}
			c, escaped = unhex(segment[i+1])<<4|unhex(segment[i+2]), true
			i += 2
		}
		if ambiguous(c, escaped) || tooLong(before, c) {
			return dst, ErrPath
		}
		before = c
		if class[c]&isUnreserved != 0 || !escaped && class[c]&isPath != 0 {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', hex[c>>4], hex[c&0xf])
	}
	return dst, nil
}

// ambiguous says whether servers differ in what a character means.
func ambiguous(c byte, escaped bool) bool {
	switch c {
	case '\\', 0:
		return true
	case '/':
		return escaped
	case '?':
		return !escaped // that is a query, and no path
	}
	return !escaped && class[c]&isTarget == 0
}

// tooLong says whether two bytes begin a character in UTF-8 that has a shorter form.
func tooLong(first, second byte) bool {
	switch first {
	case 0xe0:
		return 0x80 <= second && second < 0xa0
	case 0xf0:
		return 0x80 <= second && second < 0x90
	}
	return second == 0xc0 || second == 0xc1
}

func unhex(c byte) byte {
	if c > '9' {
		return c&0xf + 9
	}
	return c & 0xf
}
