package http2

import "time"

// budget bounds what a peer may do that costs it less than us. Time pays some of it back, and useful work does.
type budget struct {
	spent int
	at    time.Time // up to which time has paid
}

const (
	// mostResets is how many streams may be reset, by the peer or for what it has sent, beyond those that are answered, at once
	// and each second.
	mostResets       = 1000
	resetsEachSecond = 200
	// mostGlitches is how much of what is no message may come, beyond what messages account for, at once and each second.
	mostGlitches       = 4000
	glitchesEachSecond = 400

	earnedByAnswer = 8 // glitches: settings, priorities, windows come along with it
	earnedByFrame  = 2
	bytesForGlitch = 1 << 10 // of data, in either direction: they make for windows and pings
)

// spend takes cost from a budget, and says whether there was as much.
func (b *budget) spend(cost, most, eachSecond int, now time.Time) bool {
	if b.spent == 0 {
		b.at = now
	} else if back := int(now.Sub(b.at).Milliseconds()) * eachSecond / 1000; back > 0 {
		b.spent, b.at = max(0, b.spent-back), now
	}
	b.spent += cost
	return b.spent <= most
}

// earn gives back.
func (b *budget) earn(n int) { b.spent = max(0, b.spent-n) }

// glitch takes note of something that is no message, and is of use only now and then.
func (s *Session) glitch(cost int) error {
	if !s.glitches.spend(cost, mostGlitches, glitchesEachSecond, s.now) {
		return s.fail(CodeCalm, "too much that is no message")
	}
	return nil
}

// resets takes note of a stream that has been reset before its messages were complete.
func (s *Session) reset() error {
	if !s.resets.spend(1, mostResets, resetsEachSecond, s.now) {
		return s.fail(CodeCalm, "too many streams were reset")
	}
	return nil
}
