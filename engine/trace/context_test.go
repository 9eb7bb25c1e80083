package trace

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for value, want := range map[string]bool{
		"00-" + id + "-" + span + "-01":                      true,
		"00-" + id + "-" + span + "-00":                      true,
		"00-" + id + "-" + span + "-ff":                      true,
		"cc-" + id + "-" + span + "-01":                      true, // a later version
		"cc-" + id + "-" + span + "-01-what":                 true,
		"cc-" + id + "-" + span + "-01what":                  false,
		"ff-" + id + "-" + span + "-01":                      false,
		"00-" + id + "-" + span + "-01-what":                 false,
		"00-" + id + "-" + span + "-1":                       false,
		"00-" + id + "-" + span:                              false,
		"00_" + id + "-" + span + "-01":                      false,
		"0x-" + id + "-" + span + "-01":                      false,
		"00-" + strings.ToUpper(id) + "-" + span + "-01":     false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01": false,
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":   false,
		"00-" + strings.Repeat("g", 32) + "-" + span + "-01": false,
		"":   false,
		"00": false,
	} {
		c, ok := Parse([]byte(value))
		if ok != want {
			t.Errorf("%q is taken: %v, want %v", value, ok, want)
		}
		if ok && c.Sampled != (value[54] != '0') {
			t.Errorf("%q is sampled: %v", value, c.Sampled)
		}
		if ok && strings.HasPrefix(value, "00") && !strings.HasSuffix(value, "ff") && string(c.Append(nil)) != value {
			t.Errorf("%q is written %q", value, c.Append(nil))
		}
	}
}

func TestContexts(t *testing.T) {
	one, two := New(), New()
	child := one.Child()
	if one.Trace == two.Trace || one.Span == two.Span || child.Trace != one.Trace || child.Span == one.Span {
		t.Errorf("contexts %v, %v, child %v", one, two, child)
	}
	if got, ok := Parse(one.Append(nil)); !ok || got != one {
		t.Errorf("%v is read as %v, %v", one, got, ok)
	}
	if string(one.AppendTrace(nil)) != string(one.Append(nil)[3:35]) {
		t.Errorf("the trace is %s, of %s", one.AppendTrace(nil), one.Append(nil))
	}
}

func FuzzParse(f *testing.F) {
	c := New()
	f.Add(c.Append(nil))
	for _, value := range []string{
		"00-", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-00", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
	} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c, ok := Parse(value)
		if !ok {
			return
		}
		again, ok := Parse(c.Append(nil))
		if !ok || again != c {
			t.Errorf("%q is read as %v, and that as %v", value, c, again)
		}
	})
}
