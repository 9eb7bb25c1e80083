/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

#include <bpf/bpf_helpers.h>

#include "types.h"

#define HASH(name_, key_, value_, max_)                                                                                \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                       \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                                  \
		__uint(max_entries, max_);                                                                             \
		__type(key, key_);                                                                                     \
		__type(value, value_);                                                                                 \
	} name_ SEC(".maps")

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} cfg SEC(".maps");

/* meshd's last sign of life. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct heartbeat);
} beat SEC(".maps");

/* meshd's own processes: thread group id in the first pid namespace -> id of their cgroup. Both must match. */
HASH(own, __u32, __u64, 8);

/* The outbound listener of each network namespace. An entry disappears when the listener closes, so this is also the
 * fastest sign that meshd is gone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4096);
	__type(key, struct listener_key);
	__type(value, __u64);
} listeners SEC(".maps");

HASH(virtuals, struct virtual_key, struct target, 16384);
HASH(endpoints, struct endpoint_key, struct target, 16384);
HASH(services, __u64, struct service, 8192);
HASH(cgroups, __u64, enum cgroup_flag, 16384);
HASH(excluded_users, __u32, __u8, 1024);
HASH(excluded_ports, __be16, __u8, 1024);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct cidr_key);
	__type(value, __u8);
} excluded_cidrs SEC(".maps");

HASH(resolvers, struct resolver_key, enum resolver_slot, 4096);
HASH(resolver_slots, struct resolver_slot_key, union addr, 4096);

/* Ports that only meshd may bind, so that nobody takes its place while it is down. */
HASH(reserved_ports, struct port_key, __u8, 4096);

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct meta);
} sk_meta SEC(".maps");

/* Connections to meshd that it has not accepted yet. Least recently used ones go first: those whose client gave up. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow_key);
	__type(value, struct meta);
} flow_orig SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENT_COUNT);
	__type(key, enum event);
	__type(value, __u64);
} events SEC(".maps");

/* How often connections to each destination were refused. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct refusal);
	__type(value, __u64);
} refusals SEC(".maps");
