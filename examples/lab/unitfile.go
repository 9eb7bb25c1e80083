package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// UnitHelp says which part of systemd's unit files a lab understands.
const UnitHelp = `A unit file may have:

  [Service] ExecStart=, Environment=, User=, RuntimeDirectory=,
            Type=simple, exec or notify
  [X-Lab]   Listen=PORT, may be repeated: the start waits until it listens there

[Unit] and [Install] are skipped, any other key is an error. Restart= is not
imitated: a unit that ends stays dead until it is started again. A start fails
when the unit ends at once, or is not ready after 30 seconds.`

// errNotUnderstood is about a key or a value of a unit file.
var errNotUnderstood = errors.New("a lab does not understand it: see meshlab start -h")

// unitFile is what a unit file says about its process.
type unitFile struct {
	Name    string
	Path    string // of the program
	Argv    []string
	Env     []string
	User    string   // empty: root
	Runtime []string // folders below /run
	Notify  bool     // ready when it says so
	Store   bool     // what it hands to the manager waits for its next start
	Listen  []uint16 // ready when it listens on these ports
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
	u := &unitFile{Name: filepath.Base(path)}
	for _, option := range options {
		if option.Section == "Unit" || option.Section == "Install" {
			continue
		}
		if err := u.set(option); err != nil {
			return nil, fmt.Errorf("read unit %s: %s=%s: %w", path, option.Name, option.Value, err)
		}
	}
	if u.Argv == nil {
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
		if u.Argv != nil || len(words) == 0 || !filepath.IsAbs(words[0]) {
			return fmt.Errorf("write one ExecStart= that begins with an absolute path")
		}
		u.Path, u.Argv = words[0], words
	case "Service.Environment":
		u.Env = append(u.Env, words...)
	case "Service.User":
		u.User = option.Value
	case "Service.RuntimeDirectory":
		u.Runtime = append(u.Runtime, words...)
	case "Service.Type":
		if option.Value != "simple" && option.Value != "exec" && option.Value != "notify" {
			return errNotUnderstood
		}
		u.Notify = option.Value == "notify"
	case "X-Lab.Listen":
		port, err := strconv.ParseUint(option.Value, 10, 16)
		if err != nil {
			return errors.New("not a port: write a line Listen= for each")
		}
		u.Listen = append(u.Listen, uint16(port))
	default:
		return errNotUnderstood
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
