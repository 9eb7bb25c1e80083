// Command man writes the manual pages beside it: the templates, filled with what the programs say about themselves.
//
// The text about a command or a flag is that of its help, and the text about a block or an argument of the configuration is
// the comment on its declaration in engine/config.
package main

//go:generate go run . -root ../..

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/meshd/meshd/cmd/ctl"
	"github.com/meshd/meshd/cmd/daemon"
)

func main() {
	root := flag.String("root", ".", "`FOLDER` of the repository")
	flag.Parse()
	pages, err := write(*root)
	for name, text := range pages {
		if err == nil {
			err = os.WriteFile(filepath.Join(*root, folder, name), text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

const folder = "packaging/man"

// write returns the manual pages by their names.
func write(root string) (map[string][]byte, error) {
	schema, err := readSchema(filepath.Join(root, "engine/config"))
	if err != nil {
		return nil, err
	}
	if err := checkSpellings(schema); err != nil {
		return nil, err
	}
	example, err := os.ReadFile(filepath.Join(root, "packaging/etc/mesh.hcl"))
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"commands":  ctl.Manuals(),
		"flags":     daemonFlags(),
		"blocks":    schema,
		"example":   uncommented(string(example)),
		"spellings": consulSpellings,
	}
	pages := map[string][]byte{}
	for _, name := range []string{"meshd.8", "meshctl.1", "meshd.hcl.5"} {
		t, err := template.New(name + ".tmpl").Funcs(functions).ParseFiles(filepath.Join(root, folder, name+".tmpl"))
		if err != nil {
			return nil, err
		}
		var page bytes.Buffer
		if err := t.Execute(&page, data); err != nil {
			return nil, err
		}
		pages[name] = page.Bytes()
	}
	return pages, nil
}

// daemonFlags returns the flags of meshd as meshctl shows those of its commands.
func daemonFlags() []ctl.FlagManual {
	var all []ctl.FlagManual
	daemon.Flags().VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		usage := strings.TrimSpace("-" + f.Name + " " + value)
		if f.DefValue != "" && f.DefValue != "false" {
			text += " (default " + f.DefValue + ")"
		}
		all = append(all, ctl.FlagManual{Usage: usage, Text: text})
	})
	return all
}

// uncommented returns the blocks that the shipped file has in comments.
func uncommented(text string) string {
	_, text, _ = strings.Cut(text, "#\n# mesh ")
	var lines []string
	for line := range strings.Lines("# mesh " + text) {
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
	}
	return strings.Join(lines, "")
}
