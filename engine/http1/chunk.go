package http1

const (
	maxSizeDigits = 16
	maxExtensions = 256      // bytes, of one chunk
	maxExcess     = 16 << 10 // bytes that are no data, of a body
	maxTrailers   = MaxHead  // bytes
)

// chunkState is what comes next in a body of chunks.
type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkExtensionName
	chunkExtensionValue
	chunkExtensionToken
	chunkQuoted
	chunkEscaped
	chunkQuoteEnd
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	trailerStart
	trailerName
	trailerValue
	trailerLF
	chunkEndLF
	chunkDone
	chunkBroken
)

// chunks follows bytes of chunks.
func (b *Body) chunks(p []byte) (int, error) {
	n := 0
	for n < len(p) && b.state != chunkDone {
		if b.state == chunkData {
			skip := min(b.left, int64(len(p)-n))
			n += int(skip)
			if b.left -= skip; b.left == 0 {
				b.state = chunkDataCR
			}
			continue
		}
		if b.state == chunkBroken {
			return n, b.err
		}
		if err := b.step(p[n]); err != 0 {
			b.state, b.err = chunkBroken, err
			return n, err
		}
		n++
	}
	return n, nil
}

// step follows a byte that is no data. The first line that fits says what that byte is.
func (b *Body) step(c byte) Error {
	if b.line++; b.state >= trailerStart {
		return b.trailer(c)
	}
	if b.line-b.digits > maxExtensions {
		return ErrChunk
	}
	token, text := class[c]&isToken != 0, class[c]&isControl == 0
	switch s := b.state; {
	case s == chunkSize && class[c]&isHex != 0:
		return b.digit(c)
	case s == chunkSize && b.digits == 0:
		return ErrChunk

	case s == chunkDataCR && c == '\r':
		b.state = chunkDataLF
	case s == chunkDataLF && c == '\n':
		b.state, b.line = chunkSize, 0

	case s == chunkSizeLF && c == '\n':
		return b.sized()

	case s == chunkExtension && token:
		b.state = chunkExtensionName
	case s == chunkExtensionName && token, s == chunkExtensionToken && token:
	case s == chunkExtensionName && c == '=':
		b.state = chunkExtensionValue
	case s == chunkExtensionValue && token:
		b.state = chunkExtensionToken
	case s == chunkExtensionValue && c == '"':
		b.state = chunkQuoted

	case s == chunkQuoted && c == '"':
		b.state = chunkQuoteEnd
	case s == chunkQuoted && c == '\\':
		b.state = chunkEscaped
	case s == chunkQuoted && text:
	case s == chunkEscaped && text:
		b.state = chunkQuoted

	case !b.state.endsPart():
		return ErrChunk
	case c == ';':
		b.state = chunkExtension
	case c == '\r':
		b.state = chunkSizeLF
	default:
		return ErrChunk
	}
	return 0
}

// endsPart says whether the size or an extension can end here.
func (s chunkState) endsPart() bool {
	return s == chunkSize || s == chunkExtensionName || s == chunkExtensionToken || s == chunkQuoteEnd
}

// digit follows a digit of a size, which must be one that an int64 has room for.
func (b *Body) digit(c byte) Error {
	if b.digits++; b.digits > maxSizeDigits || b.left>>59 != 0 {
		return ErrChunk
	}
	value := int64(c & 0xf)
	if c > '9' {
		value += 9
	}
	b.left = b.left<<4 | value
	return 0
}

// sized follows the end of the line with a size.
//
// Each chunk may have some bytes that are no data, and more when there are many data. A body that is hardly anything else
// costs everyone on its way more than its sender.
func (b *Body) sized() Error {
	line := int64(b.line)
	b.line, b.digits = 0, 0
	if b.left == 0 {
		b.state = trailerStart
		return 0
	}
	// The bound keeps the sum from overflowing, and is more than can be in excess.
	if b.excess = max(0, b.excess+line-16-2*min(b.left, maxExcess)); b.excess > maxExcess {
		return ErrChunk
	}
	b.state = chunkData
	return 0
}

// trailer follows a byte behind the last chunk.
func (b *Body) trailer(c byte) Error {
	if b.line > maxTrailers {
		return ErrTrailer
	}
	token := class[c]&isToken != 0
	switch s := b.state; {
	case s == trailerStart && c == '\r':
		b.state = chunkEndLF
	case s == chunkEndLF && c == '\n':
		b.state = chunkDone

	case s == trailerStart && token:
		b.state, b.nameLen, b.underscore = trailerName, 0, false
		b.spell(c)
	case s == trailerName && token:
		b.spell(c)
	case s == trailerName && c == ':' && b.stranger && !b.mayFollow():
		return ErrReserved
	case s == trailerName && c == ':' && b.mayTrail():
		b.state = trailerValue
		if b.isStatus = b.isGRPCStatus(); b.isStatus {
			b.status = 0
		}

	case s == trailerValue && c == '\r':
		b.state = trailerLF
	case s == trailerValue && class[c]&isControl == 0:
		if b.isStatus {
			b.readStatus(c)
		}
	case s == trailerLF && c == '\n':
		b.state = trailerStart
	default:
		return ErrTrailer
	}
	return 0
}

// spell follows a letter of the name of a trailer.
func (b *Body) spell(c byte) {
	if b.nameLen < len(b.name) {
		b.name[b.nameLen] = c
	}
	b.nameLen++
	b.underscore = b.underscore || c == '_'
}

// mayTrail says whether a field of that name means what it says behind a body: not when it frames, routes or authorizes
// the message, which has been done by then.
func (b *Body) mayTrail() bool {
	if b.nameLen > len(b.name) {
		return true
	}
	return MayTrail(NameOf(b.name[:b.nameLen]))
}

// isGRPCStatus says whether the trailer is the one that says how a call of gRPC has ended.
func (b *Body) isGRPCStatus() bool {
	return b.nameLen <= len(b.name) && same(b.name[:b.nameLen], "grpc-status")
}

// readStatus follows a letter of that trailer. What is no number is no status, nor is one beyond all that there are.
func (b *Body) readStatus(c byte) {
	const most = 255
	if c == ' ' || c == '\t' {
		b.isStatus = b.status == 0 // behind a number nothing more is to come
		return
	}
	status := max(b.status-1, 0)*10 + int(c) - '0'
	if c < '0' || c > '9' || status > most {
		b.isStatus, b.status = false, 0
		return
	}
	b.status = status + 1
}

// MayTrail says whether a field of that name may stand behind a body.
func MayTrail(id Name) bool { return id == Other || id > Cookie }
