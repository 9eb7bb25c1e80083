package http1

// Field is a field to write. Its name must be Editable, its value a ValidValue.
type Field struct {
	Name  string
	Value []byte
}

// Edits is how a head that is written differs from the one that came. The zero value changes nothing but what is of the
// connection on which the head came.
type Edits struct {
	Target []byte   // of a request, in place of its own; nil: its own
	Remove []string // first these fields go,
	Set    []Field  // then these replace all of their name,
	Add    []Field  // then these are added

	Close     bool // say that the connection ends after the message
	KeepAlive bool // or that it stays, where HTTP/1.0 is spoken
	Upgrade   bool // pass on what is said of an upgrade

	FromStranger bool // leave out first what only proxies have to say
}

// AppendRequest appends the head of a request to dst, to be sent to a server. All fields stand as they came and in their
// order, but for the edits, and for those that are of the connection: Connection and what it names, Keep-Alive,
// Proxy-Connection, Upgrade, and TE unless it accepts trailers.
func AppendRequest(dst, buf []byte, h *Head, e *Edits) []byte {
	from := h.start
	if e.Target != nil {
		dst = append(dst, buf[from:h.target.from]...)
		dst = append(dst, e.Target...)
		from = int(h.target.to)
	}
	return h.appendFields(dst, buf, from, e)
}

// AppendResponse appends the head of a response to dst, to be sent to a client, as AppendRequest does. What frames a body
// is not passed on where none can be.
func AppendResponse(dst, buf []byte, h *Head, e *Edits) []byte {
	return h.appendFields(dst, buf, h.start, e)
}

// appendFields appends what stands in buf from there on.
func (h *Head) appendFields(dst, buf []byte, from int, e *Edits) []byte {
	said := false // Connection is written
	if h.ofConnection || h.wrongs || e.FromStranger || len(e.Remove)+len(e.Set) > 0 {
		for i := range h.fields {
			f := &h.fields[i]
			if h.travels(buf, f, e) {
				continue
			}
			// What lies between two fields that do not travel is copied at once.
			dst = append(dst, buf[from:f.name.from]...)
			from = h.lineAfter(i)
			switch {
			case f.id == Connection && !said:
				dst, said = h.appendConnection(dst, e), true
			case f.id == TE && lists(f.value.of(buf), "trailers"):
				dst = append(dst, "TE: trailers\r\n"...)
			}
		}
	}
	dst = append(dst, buf[from:h.end-len("\r\n")]...)
	if !said {
		dst = h.appendConnection(dst, e)
	}
	dst = appendEdits(dst, e.Set)
	dst = appendEdits(dst, e.Add)
	return append(dst, "\r\n"...)
}

// lineAfter returns where the line ends that has a field.
func (h *Head) lineAfter(i int) int {
	if i++; i < len(h.fields) {
		return int(h.fields[i].name.from)
	}
	return h.end - len("\r\n")
}

// travels says whether a field is passed on as it came.
func (h *Head) travels(buf []byte, f *field, e *Edits) bool {
	switch f.id {
	case Connection, KeepAlive, ProxyConnection:
		return false
	case Upgrade:
		return e.Upgrade
	case TE:
		return string(f.value.of(buf)) == "trailers"
	case ContentLength, TransferEncoding:
		return !h.wrongs
	case Trailer:
		return true
	}
	name := f.name.of(buf)
	if e.FromStranger && OfProxies(name) {
		return false
	}
	for _, remove := range e.Remove {
		if same(name, remove) {
			return false
		}
	}
	for i := range e.Set {
		if same(name, e.Set[i].Name) {
			return false
		}
	}
	return f.id != Other || !h.namesOthers || !named(h, buf, name)
}

// named says whether Connection names a field.
func named[T []byte | string](h *Head, buf []byte, name T) bool {
	for i := range h.fields {
		if f := &h.fields[i]; f.id == Connection && lists(f.value.of(buf), name) {
			return true
		}
	}
	return false
}

// appendConnection appends what we say of the connection, if there is something to say.
func (h *Head) appendConnection(dst []byte, e *Edits) []byte {
	separator := "Connection: "
	option := func(name string) {
		dst = append(append(dst, separator...), name...)
		separator = ", "
	}
	switch {
	case e.Close:
		option("close")
	case e.KeepAlive:
		option("keep-alive")
	}
	if e.Upgrade && h.hasUpgrade {
		option("Upgrade")
	}
	if h.trailers {
		option("TE")
	}
	if separator == ", " { // there was an option
		dst = append(dst, "\r\n"...)
	}
	return dst
}

func appendEdits(dst []byte, fields []Field) []byte {
	for i := range fields {
		dst = appendField(dst, fields[i].Name, fields[i].Value)
	}
	return dst
}

func appendField[T []byte | string](dst []byte, name string, value T) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}
