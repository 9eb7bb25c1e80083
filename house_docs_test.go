package meshd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/meshd/meshd/engine/config"
)

// TestDocumentedConfigurations: what a reader copies from the documentation is valid.
//
// A fenced block "hcl" is the whole configuration of host app-1, or one of its files. A block "hcl fragment" is a part of
// examples/01-two-hosts: it is read together with the blocks of that example which it does not declare itself.
func TestDocumentedConfigurations(t *testing.T) {
	count := map[string]int{}
	for _, path := range sources(t, ".md") {
		for _, block := range hclBlocks(t, path) {
			count[path]++
			t.Run(fmt.Sprintf("%s:%d", path, block.line), func(t *testing.T) { loadBlock(t, block) })
		}
	}
	if count["README.md"] == 0 {
		t.Error("README.md shows no configuration")
	}
}

// hclBlock is a fenced block of configuration in a document.
type hclBlock struct {
	line     int // of the opening fence
	fragment bool
	text     []byte
}

func hclBlocks(t *testing.T, path string) []hclBlock {
	t.Helper()
	var blocks []hclBlock
	var fence string // not empty: inside a block that this line ends
	inHCL := false
	for i, line := range strings.SplitAfter(string(read(t, path)), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence != "" && trimmed == fence:
			fence, inHCL = "", false
		case inHCL:
			last := &blocks[len(blocks)-1]
			last.text = append(last.text, line...)
		case fence == "" && strings.HasPrefix(trimmed, "```"):
			info := strings.TrimLeft(trimmed, "`")
			fence = strings.TrimSuffix(trimmed, info)
			if inHCL = strings.HasPrefix(info, "hcl"); inHCL {
				blocks = append(blocks, hclBlock{line: i + 1, fragment: info == "hcl fragment"})
			}
			if inHCL && info != "hcl" && info != "hcl fragment" {
				t.Errorf("%s:%d: a block is hcl or hcl fragment, not %q", path, i+1, info)
			}
		}
	}
	return blocks
}

// loadBlock loads a block as /etc/meshd/meshd.hcl of host app-1, with /etc/meshd in a folder of the test.
func loadBlock(t *testing.T, block hclBlock) {
	etc := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("mesh.d/empty.hcl", nil) // for a discovery that reads mesh.d
	paths := []string{write("meshd.hcl", bytes.ReplaceAll(block.text, []byte("/etc/meshd/"), []byte(etc+"/")))}
	if block.fragment {
		paths = append(paths, write("conf.d/example.hcl", exampleWithout(t, block.text)))
	}
	_, problems := config.Load(config.Options{Paths: paths, Hostname: "app-1"})
	if problems.Len() == 0 {
		return
	}
	var text strings.Builder
	if err := problems.WriteText(&text, 0, false); err != nil {
		t.Fatal(err)
	}
	t.Errorf("the block is not valid:\n%s", strings.ReplaceAll(text.String(), etc, "/etc/meshd"))
}

// exampleWithout returns the mesh of examples/01-two-hosts without the blocks that a fragment declares itself.
func exampleWithout(t *testing.T, fragment []byte) []byte {
	t.Helper()
	declared := parse(t, fragment).Blocks()
	paths, err := filepath.Glob("examples/01-two-hosts/mesh.d/*.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("examples/01-two-hosts has no mesh: %v", err)
	}
	var example bytes.Buffer
	for _, path := range paths {
		body := parse(t, read(t, path))
		for _, block := range body.Blocks() {
			if slices.ContainsFunc(declared, func(d *hclwrite.Block) bool {
				return d.Type() == block.Type() && slices.Equal(d.Labels(), block.Labels())
			}) {
				body.RemoveBlock(block)
			}
		}
		example.Write(body.BuildTokens(nil).Bytes())
	}
	return example.Bytes()
}

func parse(t *testing.T, source []byte) *hclwrite.Body {
	t.Helper()
	file, problems := hclwrite.ParseConfig(source, "", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return file.Body()
}
