package bpf

// The object is compiled once for both architectures: the programs use only stable context, and both are little endian.

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel -no-global-types -type addr -type config -type heartbeat -type target -type service -type backend -type meta -type flow_key -type virtual_key -type endpoint_key -type listener_key -type cidr_key -type resolver_key -type resolver_slot_key -type port_key -type whoami -type event -type refusal -type mode -type fail -type rule -type target_flag -type cgroup_flag -type resolver_slot mesh src/meshd.c -- -O2 -g -Wall -Werror -mcpu=v3 -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
