package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Bounds of what is read, far above what people write by hand.
const (
	maxFileSize = 4 << 20 // bytes
	maxFiles    = 1000
)

// reader finds, reads and decodes files.
type reader struct {
	*problems
	blocks
	root       root
	files      map[string]*hcl.File // by path; nil for one that cannot be read
	broken     map[hcl.Range]bool   // headers of blocks that did not decode
	incomplete bool                 // a file, or a block that nobody can name, is missing from blocks
	full       bool                 // maxFiles was reported
}

func newReader(p *problems, at root) *reader {
	return &reader{problems: p, root: at, files: make(map[string]*hcl.File), broken: make(map[hcl.Range]bool)}
}

// readNode reads the files that may hold every block.
func (r *reader) readNode(paths []string) {
	if len(paths) == 0 {
		paths = []string{r.root.find(defaultFile), r.root.find(defaultFolder)}
	}
	for _, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && path == r.root.find(defaultFolder) {
			continue
		}
		if err != nil || !info.IsDir() {
			r.read(path, false)
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			r.unreadable(path, err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".hcl") && !ignored(e.Name()) {
				r.read(filepath.Join(path, e.Name()), false)
			}
		}
	}
}

// pattern is a glob and the argument that names it.
type pattern struct {
	glob string
	at   hcl.Range
}

// readMesh reads the files that hold only what all hosts share.
func (r *reader) readMesh(patterns []pattern) {
	for _, p := range patterns {
		matches, err := filepath.Glob(p.glob)
		if err != nil {
			r.incomplete = true
			r.errorf(p.at, "Invalid pattern of files", "The pattern %q cannot be read: an opening [ needs its closing ].", p.glob)
			continue
		}
		matches = slices.DeleteFunc(matches, func(path string) bool { return ignored(filepath.Base(path)) })
		if len(matches) == 0 {
			r.incomplete = true
			r.errorf(p.at, "No file matches the pattern", "Nothing matches %q; names that begin with . or end with ~ do not "+
				"count. Create the file, or remove the pattern.%s", p.glob, r.copyHint(p))
		}
		for _, path := range matches {
			r.read(path, true)
		}
	}
}

// copyHint is what to do, if anything, when a file elsewhere names /etc/meshd, as a copy of the file of another host does.
func (r *reader) copyHint(p pattern) string {
	below := func(path string) bool { return strings.HasPrefix(path, etc+"/") }
	if r.root != "" || !below(p.glob) || below(p.at.Filename) {
		return ""
	}
	return fmt.Sprintf(" To check a copy of %s, name its folder: meshctl validate -root DIR.", etc)
}

// ignored says whether a file is an editor's or the system's and not a person's.
func ignored(name string) bool { return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") }

// read reads a file, unless it has been read already, and decodes its blocks.
func (r *reader) read(path string, shared bool) {
	if _, done := r.files[path]; done || r.full {
		return
	}
	if len(r.files) == maxFiles {
		r.full, r.incomplete = true, true
		r.fileErrorf(path, fmt.Sprintf("More than %d files", maxFiles), "%s is one file too many. Put more "+
			"blocks into fewer files.", path)
		return
	}
	src, err := readFile(path)
	if err != nil {
		r.files[path] = nil
		r.unreadable(path, err)
		return
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	r.files[path] = file
	if r.check(diags) {
		r.incomplete = true
		return
	}
	r.decode(file.Body.(*hclsyntax.Body), shared)
}

func (r *reader) unreadable(path string, err error) {
	r.incomplete = true
	summary, fix := fmt.Sprintf("Cannot read %s", path), "Run the command as root or as the owner of the file."
	refused, isRefused := errors.AsType[*refusal](err)
	switch {
	case isRefused:
		summary, fix = fmt.Sprintf("%s %s", path, refused.because), refused.fix
	case errors.Is(err, fs.ErrNotExist):
		summary, fix = fmt.Sprintf("%s does not exist", path), fmt.Sprintf("Create it, or name another path. Without "+
			"a path, %s and %s/*.hcl are read.", r.root.find(defaultFile), r.root.find(defaultFolder))
	case !errors.Is(err, fs.ErrPermission):
		fix = fmt.Sprintf("The system says: %v. Check the path and the disk that it is on.", err)
	}
	r.fileErrorf(path, summary, "%s", fix)
}

// digest returns the names of the files and a digest of their contents.
func (r *reader) digest() (names []string, hash string) {
	names = slices.Sorted(maps.Keys(r.files))
	sum := sha256.New()
	for _, name := range names {
		fmt.Fprintf(sum, "%d\n%s", len(r.files[name].Bytes), r.files[name].Bytes)
	}
	return names, hex.EncodeToString(sum.Sum(nil)[:6])
}
