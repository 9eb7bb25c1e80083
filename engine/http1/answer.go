package http1

import "strconv"

// Answer is a response of our own.
type Answer struct {
	Status   int
	Fields   []Field // more of them, like the Location of a redirect
	Body     string  // text, for people; a status without body has none
	Close    bool    // say that the connection ends
	Bodiless bool    // to a HEAD: the length is said, the body not sent
}

var phrases = map[int]string{
	100: "Continue",
	200: "OK",
	204: "No Content",
	301: "Moved Permanently",
	302: "Found",
	303: "See Other",
	304: "Not Modified",
	307: "Temporary Redirect",
	308: "Permanent Redirect",
	400: "Bad Request",
	401: "Unauthorized",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	408: "Request Timeout",
	410: "Gone",
	413: "Content Too Large",
	417: "Expectation Failed",
	421: "Misdirected Request",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
}

// Phrase returns what HTTP/1.1 puts behind a status; it is empty for one that we do not know.
func Phrase(status int) string { return phrases[status] }

// AppendAnswer appends a whole response to dst.
func AppendAnswer(dst []byte, a Answer) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(append(append(dst, ' '), phrases[a.Status]...), "\r\n"...)
	dst = appendEdits(dst, a.Fields)
	if a.Close {
		dst = appendField(dst, "Connection", "close")
	}
	if a.Status < 200 || a.Status == 204 || a.Status == 304 {
		return append(dst, "\r\n"...)
	}
	if a.Body != "" {
		dst = appendField(dst, "Content-Type", "text/plain; charset=utf-8")
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(a.Body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	if a.Bodiless {
		return dst
	}
	return append(dst, a.Body...)
}
