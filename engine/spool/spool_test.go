package spool

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (l *Lane) add(record string) bool {
	b := l.Begin()
	if b == nil {
		return false
	}
	b.Bytes = append(b.Bytes, record...)
	b.Records++
	l.End(b)
	return true
}

func taken(s *Spool) (text string, records int) {
	s.Take(func(b *Buffer) {
		text += string(b.Bytes)
		records += b.Records
	})
	return text, records
}

func TestTake(t *testing.T) {
	s := New(100)
	one, two := s.Lane(), s.Lane()
	one.add("a")
	two.add("b")
	one.add("c")
	if text, records := taken(s); text != "acb" || records != 3 {
		t.Errorf("took %q, %d records; want acb, 3", text, records)
	}
	if text, records := taken(s); text != "" || records != 0 {
		t.Errorf("took %q, %d records, of an empty spool", text, records)
	}
	one.add("d")
	if text, _ := taken(s); text != "d" {
		t.Errorf("took %q, want d", text)
	}
}

// TestTakeMeanwhile takes while a record is being written: it comes with the next take.
func TestTakeMeanwhile(t *testing.T) {
	s := New(100)
	l := s.Lane()
	b := l.Begin()
	if text, _ := taken(s); text != "" {
		t.Errorf("took %q, which is not complete", text)
	}
	b.Bytes = append(b.Bytes, "whole"...)
	l.End(b)
	if text, _ := taken(s); text != "whole" {
		t.Errorf("took %q, want whole", text)
	}
}

func TestLanesAreBounded(t *testing.T) {
	s := New(3)
	l, other := s.Lane(), s.Lane()
	for i, want := range []bool{true, true, false, false} {
		if got := l.add("xx"); got != want {
			t.Errorf("record %d: there is room: %v, want %v", i, got, want)
		}
	}
	if !other.add("y") {
		t.Error("a full lane has filled another")
	}
	if s.Lost() != 2 {
		t.Errorf("%d records lost, want 2", s.Lost())
	}
	if text, _ := taken(s); text != "xxxxy" {
		t.Errorf("took %q, want xxxxy", text)
	}
	if !l.add("zz") {
		t.Error("there is no room after a take")
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, done := New(100), make(chan struct{})
		l := s.Lane()
		begun := time.Now()
		l.add("one")
		if !s.Wait(time.Minute, done) || time.Since(begun) != time.Minute {
			t.Errorf("a record was waited for %v, want the time to gather more", time.Since(begun))
		}
		taken(s)
		begun = time.Now()
		for range 25 {
			l.add("many")
		}
		if !s.Wait(time.Minute, done) || time.Since(begun) != 0 {
			t.Errorf("many records were waited for %v", time.Since(begun))
		}
		close(done)
		if s.Wait(time.Minute, done) {
			t.Error("waited for records when there are none to come")
		}
	})
}

// TestNothingIsLost has lanes filled as fast as it goes: all records arrive, whole and in their order, but for those that
// are counted as lost.
func TestNothingIsLost(t *testing.T) {
	const lanes, each = 3, 20_000
	s, done := New(4096), make(chan struct{})
	var writers, taker sync.WaitGroup
	seen, got := [lanes]uint32{}, 0
	take := func(b *Buffer) {
		for p := b.Bytes; len(p) > 0; p = p[8:] {
			lane, n := binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:])
			if n <= seen[lane] {
				t.Errorf("lane %d: record %d came after %d", lane, n, seen[lane])
			}
			seen[lane] = n
			got++
		}
		if len(b.Bytes) != 8*b.Records {
			t.Errorf("%d bytes, but %d records", len(b.Bytes), b.Records)
		}
	}
	taker.Go(func() {
		for s.Wait(time.Microsecond, done) {
			s.Take(take)
		}
		s.Take(take)
	})
	for i := range lanes {
		l := s.Lane()
		writers.Go(func() {
			for n := range each {
				l.add(string(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(i)), uint32(n+1))))
			}
		})
	}
	writers.Wait()
	close(done)
	taker.Wait()
	if got+int(s.Lost()) != lanes*each {
		t.Errorf("%d records came and %d were lost, of %d", got, s.Lost(), lanes*each)
	}
	if got == 0 {
		t.Error("all were lost")
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	s := New(1 << 20)
	l, record := s.Lane(), bytes.Repeat([]byte("x"), 300)
	add := func() {
		b := l.Begin()
		b.Bytes = append(b.Bytes, record...)
		b.Records++
		l.End(b)
	}
	turn := func() {
		for range 100 {
			add()
		}
		s.Take(func(*Buffer) {})
	}
	turn()
	turn()
	if allocs := testing.AllocsPerRun(10, turn); allocs > 1 { // of Take: the list of the lanes
		t.Errorf("%v allocations for 100 records and a take, want 1", allocs)
	}
}
