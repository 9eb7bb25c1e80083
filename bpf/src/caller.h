/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is calling, and whether meshd is there to answer. */
#pragma once

#include "socket.h"

#define PF_KTHREAD 0x00200000
#define IFINDEX_LO 1

struct task_struct {
	unsigned int flags;
} __attribute__((preserve_access_index));

/* is_own says whether meshd itself is calling. A tgid alone could be reused after meshd died, a mark could be set by
 * any process with CAP_NET_ADMIN over its own network namespace, so both the tgid and the cgroup must be ours.
 */
static __always_inline bool is_own(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 *cgroup = bpf_map_lookup_elem(&own, &tgid);

	return cgroup && *cgroup == bpf_get_current_cgroup_id();
}

/* Kernel sockets (NFS, iSCSI, …) must never be rewritten, because their owner keeps the address, nor denied, because
 * some of them then spin.
 */
static __always_inline bool is_kernel_thread(void)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->flags & PF_KTHREAD;
}

/* A socket bound to another device than loopback would hang when it is sent to loopback. */
static __always_inline bool is_bound_elsewhere(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk && sk->bound_dev_if != 0 && sk->bound_dev_if != IFINDEX_LO;
}

/* Sockets that are neither redirected nor refused, whatever they dial. */
static __always_inline bool is_beyond_us(struct bpf_sock_addr *ctx)
{
	return is_kernel_thread() || is_bound_elsewhere(ctx);
}

/* cgroup_flags collects the marks of the caller's cgroup and of those above it. */
static __always_inline __u32 cgroup_flags(void)
{
	__u32 flags = 0;

	for (int level = 1; level <= MAX_CGROUP_DEPTH; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);
		__u32 *mark;

		if (!id)
			break;
		mark = bpf_map_lookup_elem(&cgroups, &id);
		if (mark)
			flags |= *mark;
	}
	return flags;
}

static __always_inline bool is_excluded(const struct config *cfg, const union addr *dst, __be16 port)
{
	if (cfg->rules & RULE_PORTS && bpf_map_lookup_elem(&excluded_ports, &port))
		return true;
	if (cfg->rules & RULE_CIDRS) {
		struct cidr_key key = {.prefix_len = 128, .addr = *dst};

		if (bpf_map_lookup_elem(&excluded_cidrs, &key))
			return true;
	}
	if (cfg->rules & RULE_USERS) {
		__u32 uid = (__u32)bpf_get_current_uid_gid();

		if (bpf_map_lookup_elem(&excluded_users, &uid))
			return true;
	}
	if (cfg->rules & (RULE_CGROUPS | RULE_INCLUDE)) {
		__u32 flags = cgroup_flags();

		if (flags & CGROUP_EXCLUDED)
			return true;
		if (cfg->rules & RULE_INCLUDE && !(flags & CGROUP_INCLUDED))
			return true;
	}
	return false;
}

static __always_inline bool beats(const struct config *cfg)
{
	__u32 zero = 0;
	struct heartbeat *last = bpf_map_lookup_elem(&beat, &zero);
	__u64 now = bpf_ktime_get_ns();

	/* A beat may be written between our reading of the clock and of the map: then it is younger than "now". */
	return last && last->at_ns && (last->at_ns >= now || now - last->at_ns <= cfg->dead_after_ns);
}

static __always_inline bool listens(__u64 netns, __u32 family)
{
	struct listener_key key = {.netns = netns, .family = family};
	struct bpf_sock *sk = bpf_map_lookup_elem(&listeners, &key);

	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}
