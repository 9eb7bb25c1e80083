package bpf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Feature is something of the kernel that meshd uses, and whether this kernel has it.
type Feature struct {
	Name     string
	Required bool
	Without  string // what a host lacks without it; empty when it is required
	Err      error  // nil: present; errors.Is(Err, ebpf.ErrNotSupported): absent; else it could not be asked
}

// Features probes this kernel, without looking at its version. It needs the capabilities that meshd needs.
func Features() []Feature {
	const addr, ops = ebpf.CGroupSockAddr, ebpf.SockOps
	need := func(name string, err error) Feature { return Feature{Name: name, Required: true, Err: err} }
	_, btfErr := btf.LoadKernelSpec()
	return []Feature{
		need("BTF of the kernel", btfErr),
		need("cgroup socket address programs", features.HaveProgramType(addr)),
		need("sockops programs", features.HaveProgramType(ops)),
		need("syscall programs", features.HaveProgramType(ebpf.Syscall)),
		need("socket storage", errors.Join(features.HaveMapType(ebpf.SkStorage),
			features.HaveProgramHelper(addr, asm.FnSkStorageGet), features.HaveProgramHelper(ops, asm.FnSkStorageGet))),
		need("socket hash", features.HaveMapType(ebpf.SockHash)),
		need("network namespace cookies", features.HaveProgramHelper(addr, asm.FnGetNetnsCookie)),
		need("cgroup ids", errors.Join(features.HaveProgramHelper(addr, asm.FnGetCurrentCgroupId),
			features.HaveProgramHelper(addr, asm.FnGetCurrentAncestorCgroupId))),
		need("current task", features.HaveProgramHelper(addr, asm.FnGetCurrentTaskBtf)),
		{
			Name:    "return value of hooks",
			Without: "a refused connection fails with EPERM instead of ECONNREFUSED",
			Err:     features.HaveProgramHelper(addr, asm.FnSetRetval),
		},
		{
			Name:    "MPTCP sockets",
			Without: "a program that connects by MPTCP and asks for its peer is told 127.0.0.1",
			Err:     probeMPTCP(),
		},
	}
}

// haveSetRetval says whether a hook can choose the error that the program sees.
var haveSetRetval = sync.OnceValue(func() bool {
	return features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnSetRetval) == nil
})

// haveMPTCP says whether a hook can get from a subflow to its MPTCP socket.
var haveMPTCP = sync.OnceValue(func() bool { return probeMPTCP() == nil })

// probeMPTCP loads a program that calls the helper: a kernel that was built without MPTCP knows the helper, too, but not
// what it returns.
func probeMPTCP() error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:       ebpf.CGroupSockAddr,
		AttachType: ebpf.AttachCGroupInet4Connect,
		License:    "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R1, asm.R1, 64, asm.DWord), // struct bpf_sock_addr, sk
			asm.JNE.Imm(asm.R1, 0, "socket"),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return(),
			asm.FnSkcToMptcpSock.Call().WithSymbol("socket"),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return(),
		},
	})
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	if err != nil {
		return err
	}
	return program.Close()
}
