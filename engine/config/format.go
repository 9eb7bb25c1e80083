package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns HCL text in canonical layout. The file name is only for diagnostics.
//
// It changes white space alone, asks for nothing but correct syntax, and returns no text when that is missing.
func Format(filename string, src []byte) ([]byte, *Diagnostics) {
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	d := &Diagnostics{list: diags, files: map[string]*hcl.File{filename: file}}
	if d.HasErrors() {
		return nil, d
	}
	return hclwrite.Format(src), d
}
