package http2

import "encoding/binary"

// kind is the type of a frame (RFC 9113, 6).
type kind uint8

const (
	kindData kind = iota
	kindHeaders
	kindPriority
	kindReset
	kindSettings
	kindPush
	kindPing
	kindGoAway
	kindWindow
	kindContinuation
	kindUnknown // this and all above
)

const (
	flagAck        = 0x1 // of SETTINGS and PING
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

const (
	settingTableSize    = 1
	settingPush         = 2
	settingMostStreams  = 3
	settingWindow       = 4
	settingFrameSize    = 5
	settingMostOfFields = 6
)

const (
	headerSize = 9
	// frameSize is how long the payload of a frame may be, to us and from us. It is the least that everybody must accept.
	frameSize = 16 << 10
	maxWindow = 1<<31 - 1
	maxID     = 1<<31 - 1
)

// frame is the header of a frame.
type frame struct {
	kind   kind
	flags  uint8
	id     uint32
	length int
}

func readFrame(b []byte) frame {
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   min(kind(b[3]), kindUnknown),
		flags:  b[4],
		id:     binary.BigEndian.Uint32(b[5:]) & maxID,
	}
}

func (f *frame) has(flag uint8) bool { return f.flags&flag != 0 }

func appendFrame(dst []byte, length int, k kind, flags uint8, id uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(k), flags)
	return binary.BigEndian.AppendUint32(dst, id)
}

// setLength changes how long a frame says that it is.
func setLength(header []byte, length int) {
	header[0], header[1], header[2] = byte(length>>16), byte(length>>8), byte(length)
}

func appendSetting(dst []byte, name uint16, value uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, name)
	return binary.BigEndian.AppendUint32(dst, value)
}
