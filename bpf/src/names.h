/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* DNS: a query to a configured resolver goes to meshd, at the port that stands for this resolver.
 *
 * The port carries which resolver was asked, so nothing has to be remembered for a query: one unconnected socket may
 * ask several resolvers at once (musl does), and each answer is shown to come from the right one.
 */
#pragma once

#include "caller.h"

/* find_resolver says whether a query to that address is ours to answer now. Names fail open: without meshd the query
 * goes on to the resolver that was asked for.
 */
static __always_inline bool find_resolver(struct bpf_sock_addr *ctx, const struct config *cfg, const union addr *dst,
					  __u32 *slot)
{
	struct resolver_key key = {.netns = bpf_get_netns_cookie(ctx), .addr = *dst};
	__u32 *found = bpf_map_lookup_elem(&resolvers, &key);

	if (!found || is_own() || is_beyond_us(ctx))
		return false;
	if (!beats(cfg) || !listens(key.netns, is_mapped(dst) ? AF_INET : AF_INET6))
		return false;
	*slot = *found;
	return true;
}

static __always_inline void to_names(struct bpf_sock_addr *ctx, const struct config *cfg, bool v6, bool ipv4,
				     __u32 slot)
{
	union addr lo;

	loopback(ipv4, &lo);
	write_addr(ctx, v6, &lo, bpf_htons(cfg->names_port + slot));
	count(EVENT_NAMES);
}

/* UDP to a virtual address is refused, so that QUIC clients fall back to TCP at once. */
static __always_inline int refuse_virtual_udp(const union addr *dst)
{
	struct virtual_key key = {.addr = *dst};

	if (!bpf_map_lookup_elem(&virtuals, &key) || is_kernel_thread())
		return ALLOW;
	return refuse(EVENT_REFUSED_UDP);
}

static __always_inline int on_sendmsg(struct bpf_sock_addr *ctx, bool v6)
{
	const struct config *cfg = enabled_config();
	struct bpf_sock *sk = ctx->sk;
	struct meta *m;
	union addr dst;
	__u32 slot;

	if (!cfg || ctx->protocol != IPPROTO_UDP)
		return ALLOW;
	read_addr(ctx, v6, &dst);
	if (ctx->user_port != bpf_htons(53) || !find_resolver(ctx, cfg, &dst, &slot))
		return refuse_virtual_udp(&dst);
	if (!sk)
		return ALLOW;
	/* The mark by which on_recvmsg knows that answers to this socket may come from us. */
	m = bpf_sk_storage_get(&sk_meta, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!m)
		return ALLOW;
	m->version = ABI_VERSION;
	m->flags |= META_NAMES;
	to_names(ctx, cfg, v6, is_mapped(&dst), slot);
	return ALLOW;
}

/* on_recvmsg shows an answer of ours as the answer of the resolver that was asked. */
static __always_inline int on_recvmsg(struct bpf_sock_addr *ctx, bool v6)
{
	const struct config *cfg = enabled_config();
	struct bpf_sock *sk = ctx->sk;
	struct resolver_slot_key key = {};
	union addr src, *resolver;
	struct meta *m;
	__u16 port;

	if (!cfg || !sk)
		return ALLOW;
	m = bpf_sk_storage_get(&sk_meta, sk, NULL, 0);
	if (!m || !(m->flags & META_NAMES))
		return ALLOW;
	read_addr(ctx, v6, &src);
	if (!is_loopback(&src))
		return ALLOW;
	port = bpf_ntohs(ctx->user_port);
	if (port < cfg->names_port || port >= cfg->names_port + RESOLVER_SLOTS)
		return ALLOW;
	key.netns = bpf_get_netns_cookie(ctx);
	key.slot = port - cfg->names_port;
	resolver = bpf_map_lookup_elem(&resolver_slots, &key);
	if (!resolver || is_mapped(resolver) != is_mapped(&src))
		return ALLOW;
	write_addr(ctx, v6, resolver, bpf_htons(53));
	return ALLOW;
}
