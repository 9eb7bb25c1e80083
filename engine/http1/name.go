package http1

// Name is a name of a field that means something to a proxy; the zero value is any other.
type Name uint8

// The names, in groups that are looked at as such.
const (
	Other Name = iota

	// What these say is of one connection, and does not travel.
	Connection
	KeepAlive
	ProxyConnection
	Upgrade
	TE

	// These frame the message; nobody edits them.
	ContentLength
	TransferEncoding
	Trailer

	// These travel, even when Connection names them: who removed them so would change who asks for what.
	Host
	Expect
	Authorization
	Cookie
	Via
	Forwarded
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XRealIP
	XRequestID
	Traceparent
	Tracestate
)

var names = [...]string{
	Connection:       "connection",
	KeepAlive:        "keep-alive",
	ProxyConnection:  "proxy-connection",
	Upgrade:          "upgrade",
	TE:               "te",
	ContentLength:    "content-length",
	TransferEncoding: "transfer-encoding",
	Trailer:          "trailer",
	Host:             "host",
	Expect:           "expect",
	Authorization:    "authorization",
	Cookie:           "cookie",
	Via:              "via",
	Forwarded:        "forwarded",
	XForwardedFor:    "x-forwarded-for",
	XForwardedHost:   "x-forwarded-host",
	XForwardedProto:  "x-forwarded-proto",
	XRealIP:          "x-real-ip",
	XRequestID:       "x-request-id",
	Traceparent:      "traceparent",
	Tracestate:       "tracestate",
}

// longestName is the length of the longest of the names.
const longestName = len("transfer-encoding")

// byLength has the names of each length.
var byLength = func() (table [longestName + 1][]Name) {
	for id, name := range names {
		if name != "" {
			table[len(name)] = append(table[len(name)], Name(id))
		}
	}
	return table
}()

// NameOf returns which name a text is, in whatever case.
func NameOf[T []byte | string](text T) Name {
	if len(text) > longestName {
		return Other
	}
	for _, id := range byLength[len(text)] {
		// Most names of a length differ in their first letter.
		if name := names[id]; name[0] == text[0]|0x20 && same(text, name) {
			return id
		}
	}
	return Other
}

// String is the name in lower case.
func (n Name) String() string { return names[n] }

// ofConnection says whether fields of that name are of one connection.
func (n Name) ofConnection() bool { return n >= Connection && n <= TE }

// Editable says whether configuration may remove, set or add fields of that name: not those that say where a message goes or
// ends, or belong to one connection.
func Editable(name string) bool {
	id := NameOf(name)
	return ValidName(name) && (id == Other || id > Host)
}
