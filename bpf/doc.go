// Package bpf loads meshd's kernel programs, tells them what to capture, and reads what they captured.
//
// The programs and their maps are pinned, so that they decide also while no meshd runs. src/ has the C, types.h the
// structures that both sides share.
package bpf
