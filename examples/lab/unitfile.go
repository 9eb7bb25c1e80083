package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// unitSubset says which part of systemd's unit files a lab understands.
const unitSubset = "[Service] ExecStart= Environment= User= RuntimeDirectory= Type=simple|exec|notify, " +
	"[X-Lab] Listen=PORT; [Unit] and [Install] are skipped"

// unitFile is what a unit file says about its process.
type unitFile struct {
	name    string
	path    string // of the program
	argv    []string
	env     []string
	user    string   // empty: root
	runtime []string // folders below /run
	notify  bool     // ready when it says so
	listen  []uint16 // ready when it listens on these ports
}

// readUnit reads a unit file.
//
// Type=simple, exec and notify are known. What systemd ignores, a section whose name begins with X-, is where a unit
// may say by which ports the lab recognises that it is ready.
func readUnit(path string) (*unitFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read unit: %w", err)
	}
	defer f.Close()
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		return nil, fmt.Errorf("read unit %s: %w", path, err)
	}
	u := &unitFile{name: filepath.Base(path)}
	for _, option := range options {
		if option.Section == "Unit" || option.Section == "Install" {
			continue
		}
		if err := u.set(option); err != nil {
			return nil, fmt.Errorf("read unit %s: %s=%s: %w", path, option.Name, option.Value, err)
		}
	}
	if u.argv == nil {
		return nil, fmt.Errorf("read unit %s: it has no ExecStart=", path)
	}
	return u, nil
}

func (u *unitFile) set(option *unit.UnitOption) error {
	words, err := splitWords(option.Value)
	if err != nil {
		return err
	}
	switch option.Section + "." + option.Name {
	case "Service.ExecStart":
		if u.argv != nil || len(words) == 0 || !filepath.IsAbs(words[0]) {
			return fmt.Errorf("write one ExecStart= that begins with an absolute path")
		}
		u.path, u.argv = words[0], words
	case "Service.Environment":
		u.env = append(u.env, words...)
	case "Service.User":
		u.user = option.Value
	case "Service.RuntimeDirectory":
		u.runtime = append(u.runtime, words...)
	case "Service.Type":
		if option.Value != "simple" && option.Value != "exec" && option.Value != "notify" {
			return fmt.Errorf("a lab understands only %s", unitSubset)
		}
		u.notify = option.Value == "notify"
	case "X-Lab.Listen":
		port, err := strconv.ParseUint(option.Value, 10, 16)
		if err != nil {
			return fmt.Errorf("not a port: %w", err)
		}
		u.listen = append(u.listen, uint16(port))
	default:
		return fmt.Errorf("a lab understands only %s", unitSubset)
	}
	return nil
}

// splitWords splits a value at spaces as systemd does. Quotes keep a word together, a backslash keeps the next
// character; $$ and %% stand for $ and %, because variables and specifiers are not replaced.
func splitWords(value string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	runes := []rune(value)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == 0 && (r == ' ' || r == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
			continue
		case r == quote:
			quote = 0
			continue
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
			continue
		case r == '\\' || r == '$' || r == '%':
			i++
			if i == len(runes) || r != '\\' && runes[i] != r {
				return nil, fmt.Errorf("%c stands alone: write %c%c", r, r, r)
			}
		}
		inWord = true
		word.WriteRune(runes[i])
	}
	if quote != 0 {
		return nil, fmt.Errorf("quote %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
