/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading and rewriting the address of a socket call, and saying no to it. */
#pragma once

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define AF_INET 2
#define AF_INET6 10
#define ECONNREFUSED 111

/* What a hook returns: the call goes on, or fails. */
#define ALLOW 1
#define DENY 0

/* Set by the loader from probes, never from a version (bpf_set_retval in these hooks: about 6.1). */
const volatile bool have_set_retval = false;

static const __be32 mapped_prefix = bpf_htonl(0xffff);
static const __be32 loopback4 = bpf_htonl(0x7f000001);

static __always_inline void count(enum event event)
{
	__u64 *n = bpf_map_lookup_elem(&events, &event);

	if (n)
		*n += 1;
}

static __always_inline const struct config *enabled_config(void)
{
	__u32 zero = 0;
	const struct config *c = bpf_map_lookup_elem(&cfg, &zero);

	return c && c->enabled ? c : NULL;
}

/* refuse makes the call fail as if nobody listened there; EPERM on kernels that cannot say so. */
static __always_inline int refuse(enum event event)
{
	count(event);
	if (have_set_retval)
		bpf_set_retval(-ECONNREFUSED);
	return DENY;
}

static __always_inline bool is_mapped(const union addr *a)
{
	return a->words[0] == 0 && a->words[1] == 0 && a->words[2] == mapped_prefix;
}

static __always_inline void read_addr(const struct bpf_sock_addr *ctx, bool v6, union addr *a)
{
	if (v6) {
		a->words[0] = ctx->user_ip6[0];
		a->words[1] = ctx->user_ip6[1];
		a->words[2] = ctx->user_ip6[2];
		a->words[3] = ctx->user_ip6[3];
	} else {
		a->words[0] = 0;
		a->words[1] = 0;
		a->words[2] = mapped_prefix;
		a->words[3] = ctx->user_ip4;
	}
}

static __always_inline void write_addr(struct bpf_sock_addr *ctx, bool v6, const union addr *a, __be16 port)
{
	if (v6) {
		ctx->user_ip6[0] = a->words[0];
		ctx->user_ip6[1] = a->words[1];
		ctx->user_ip6[2] = a->words[2];
		ctx->user_ip6[3] = a->words[3];
	} else {
		ctx->user_ip4 = a->words[3];
	}
	ctx->user_port = port;
}

static __always_inline bool is_loopback(const union addr *a)
{
	if (is_mapped(a))
		return a->words[3] == loopback4;
	return a->words[0] == 0 && a->words[1] == 0 && a->words[2] == 0 && a->words[3] == bpf_htonl(1);
}

/* loopback returns ::1, or 127.0.0.1 for callers that speak IPv4 to us (through either kind of socket). */
static __always_inline void loopback(bool ipv4, union addr *a)
{
	a->words[0] = 0;
	a->words[1] = 0;
	a->words[2] = ipv4 ? mapped_prefix : 0;
	a->words[3] = ipv4 ? loopback4 : bpf_htonl(1);
}
