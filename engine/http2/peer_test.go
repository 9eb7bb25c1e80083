package http2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

// peer writes frames as the other side of a session would, and reads what it answers.
type peer struct {
	t       *testing.T
	session *Session
	encoder *encoder
	decoder *decoder
	out     []byte
	now     time.Time
}

// newPeer returns the peer of a session that has greeted it.
func newPeer(t *testing.T, s *Session) *peer {
	p := &peer{t: t, session: s, now: time.Unix(1000, 0)}
	p.encoder, p.decoder = newCoders()
	if !s.client {
		p.out = append(p.out, Preface...)
	}
	p.frame(kindSettings, 0, 0, nil)
	p.frame(kindSettings, flagAck, 0, nil)
	if err := p.feed(); err != nil {
		t.Fatal(err)
	}
	p.sent()
	return p
}

func (p *peer) frame(k kind, flags uint8, id uint32, payload []byte) {
	p.out = append(appendFrame(p.out, len(payload), k, flags, id), payload...)
}

func (p *peer) word(k kind, id, value uint32) {
	p.frame(k, 0, id, binary.BigEndian.AppendUint32(nil, value))
}

// block encodes fields, each of which is "name: value".
func (p *peer) block(fields ...string) []byte {
	block := p.encoder.begin(nil)
	for _, field := range fields {
		name, value, _ := strings.Cut(field[1:], ": ")
		block = p.encoder.append(block, []byte(field[:1]+name), []byte(value))
	}
	return block
}

func (p *peer) headers(id uint32, flags uint8, fields ...string) {
	p.frame(kindHeaders, flagEndHeaders|flags, id, p.block(fields...))
}

func (p *peer) feed() error {
	err := p.session.Feed(p.out, p.now)
	p.out = nil
	return err
}

// answered is a frame of a session.
type answered struct {
	frame
	payload []byte
}

func (f answered) String() string {
	switch f.kind {
	case kindReset:
		return fmt.Sprintf("reset %d %v", f.id, Code(binary.BigEndian.Uint32(f.payload)))
	case kindGoAway:
		return fmt.Sprintf("leave %d %v", binary.BigEndian.Uint32(f.payload), Code(binary.BigEndian.Uint32(f.payload[4:])))
	case kindWindow:
		return fmt.Sprintf("window %d %d", f.id, binary.BigEndian.Uint32(f.payload))
	case kindPing:
		return fmt.Sprintf("ping %d %q", f.flags, f.payload)
	case kindData:
		return fmt.Sprintf("data %d %d %q", f.id, f.flags, f.payload)
	}
	return fmt.Sprintf("kind %d of %d, flags %d", f.kind, f.id, f.flags)
}

// sent takes what the session has to send.
func (p *peer) sent() (frames []answered) {
	out := bytes.Clone(p.session.Output())
	p.session.Sent(len(out))
	if p.session.client {
		out = bytes.TrimPrefix(out, []byte(Preface))
	}
	for len(out) > 0 {
		f := readFrame(out)
		frames = append(frames, answered{f, out[headerSize:][:f.length]})
		out = out[headerSize+f.length:]
	}
	return frames
}

// texts returns what was sent as text, fields decoded.
func (p *peer) texts() (texts []string) {
	for _, f := range p.sent() {
		if f.kind != kindHeaders {
			texts = append(texts, f.String())
			continue
		}
		var l list
		if err := p.decoder.decode(f.payload, &l); err != nil {
			p.t.Fatal(err)
		}
		text := fmt.Sprintf("fields %d %d", f.id, f.flags)
		for _, field := range fieldsOf(&l) {
			text += "|" + field.Name + ": " + field.Value
		}
		texts = append(texts, text)
	}
	return texts
}
