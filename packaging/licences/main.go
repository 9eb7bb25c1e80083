// Command licences writes the copyright file of the packages: the licence of meshd and those of all modules linked into it.
//
// Its input is what go list -deps -json says about cmd/meshd, its argument the file of the licence of Go.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	text, err := collect(os.Stdin, append(os.Args, "")[1])
	if err == nil {
		_, err = os.Stdout.WriteString(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}

// module is a module as go list describes it.
type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *module
}

const head = `meshd is a service mesh for plain Linux hosts: https://github.com/meshd/meshd

Copyright: The meshd authors
License: Apache-2.0

Licensed under the Apache License, Version 2.0. You may not use this software
except in compliance with the License. Unless required by applicable law or
agreed to in writing, software distributed under the License is distributed on
an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
or implied. The License is in /usr/share/common-licenses/Apache-2.0 on Debian,
and in /usr/share/licenses/meshd/LICENSE elsewhere.

The kernel programs, in the folder bpf/src of the source, are licensed under
GPL-2.0-only or BSD-2-Clause, as you choose. The first is in
/usr/share/common-licenses/GPL-2.

The program is linked statically with the modules below, each under its own
licence. The name of a module is the address of its source.
`

// collect returns the copyright file. Modules of the same licence, word for word, share its text.
func collect(list io.Reader, goLicence string) (string, error) {
	modules, err := linked(list)
	if err != nil {
		return "", err
	}
	licence, err := os.ReadFile(goLicence)
	if err != nil {
		return "", fmt.Errorf("read the licence of Go: %w", err)
	}
	texts := []string{strings.TrimSpace(string(licence))}
	names := map[string][]string{texts[0]: {"the standard library of Go"}}
	for _, m := range modules {
		text, err := m.licence()
		if err != nil {
			return "", err
		}
		if names[text] == nil {
			texts = append(texts, text)
		}
		names[text] = append(names[text], m.Path+" "+m.Version)
	}
	var b strings.Builder
	b.WriteString(head)
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n\n%s\n\n%s\n", strings.Repeat("-", 78), strings.Join(names[text], "\n"), text)
	}
	return b.String(), nil
}

// linked returns the modules of others in a list of packages, sorted by path.
func linked(list io.Reader) ([]module, error) {
	found := map[string]module{}
	for d := json.NewDecoder(list); ; {
		var p struct{ Module *module }
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read list of packages: %w", err)
		}
		if p.Module != nil && !p.Module.Main {
			found[p.Module.Path] = *p.Module
		}
	}
	if len(found) == 0 {
		return nil, errors.New("the list of packages names no modules: pipe go list -deps -json ./cmd/meshd into this program")
	}
	var all []module
	for _, m := range found {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// licence returns the texts that a module must be passed on with.
func (m module) licence() (string, error) {
	dir := m.Dir
	if m.Replace != nil {
		dir = m.Replace.Dir
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("read licence of module %s: %w: go mod download fetches it", m.Path, err)
	}
	var texts []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("read licence of module %s: %w", m.Path, err)
		}
		texts = append(texts, shortened(strings.TrimSpace(string(text))))
	}
	if len(texts) == 0 {
		return "", fmt.Errorf("module %s has no licence at its root in %s: it cannot be passed on", m.Path, dir)
	}
	return strings.Join(texts, "\n\n"), nil
}

// shortened names the Apache License, which the host has, where a module holds it whole.
func shortened(text string) string {
	if !strings.Contains(text, "Apache License") || !strings.Contains(text, "END OF TERMS AND CONDITIONS") {
		return text
	}
	short := "Apache License, Version 2.0, as above."
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Copyright ") && !strings.Contains(line, "[") && !strings.Contains(line, "{") {
			short = line + "\n" + short
		}
	}
	return short
}
