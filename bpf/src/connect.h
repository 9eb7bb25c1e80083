/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decision of connect(): pass, refuse, to meshd, or straight to an endpoint. bpf/model_test.go has the same in Go.
 *
 * The destination is looked at first and the caller only when it is ours: nearly every connect of a host is not.
 */
#pragma once

#include "caller.h"
#include "mptcp.h"
#include "names.h"

struct dialled {
	union addr addr;
	__be16 port;
	__u8 proto;
	bool v6;   /* the socket is AF_INET6 */
	bool ipv4; /* the address is IPv4, maybe on an AF_INET6 socket */
	bool is_virtual;
};

/* remember keeps what was dialled, and by whom, with the socket. */
static __always_inline struct meta *remember(struct bpf_sock_addr *ctx, const struct dialled *d, __u8 flags)
{
	struct bpf_sock *sk = ctx->sk;
	struct meta *m;

	if (!sk)
		return NULL;
	m = bpf_sk_storage_get(&sk_meta, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!m)
		return NULL;
	m->version = ABI_VERSION;
	m->flags = flags;
	m->proto = d->proto;
	m->port = d->port;
	m->addr = d->addr;
	m->cgroup = bpf_get_current_cgroup_id();
	for (int i = 0; i < META_LEVELS; i++)
		m->levels[i] = bpf_get_current_ancestor_cgroup_id(i + 1);
	m->netns = bpf_get_netns_cookie(ctx);
	m->tgid = bpf_get_current_pid_tgid() >> 32;
	m->uid = (__u32)bpf_get_current_uid_gid();
	keep_above(sk, m);
	return m;
}

/* refuse_service refuses a connection to a service, and keeps which: the program is told no more than any program whose
 * connection is refused, and meshd never hears of it.
 */
static __always_inline int refuse_service(const struct dialled *d, enum event why)
{
	struct refusal key = {.addr = d->addr, .port = d->port, .why = why};
	__u64 one = 1, *times = bpf_map_lookup_elem(&refusals, &key);

	if (times)
		__sync_fetch_and_add(times, 1);
	else
		bpf_map_update_elem(&refusals, &key, &one, BPF_ANY);
	return refuse(why);
}

/* straight connects to a random endpoint of the service without meshd. */
static __always_inline int straight(struct bpf_sock_addr *ctx, const struct dialled *d, const struct service *s,
				    enum event event)
{
	__u32 first = 0, n = s->ipv4, i;
	const struct backend *b;

	/* An IPv6 caller gets an IPv6 endpoint if there is one, else an IPv4 one by its mapped address. */
	if (!d->ipv4 && s->total > s->ipv4) {
		first = s->ipv4;
		n = s->total - s->ipv4;
	}
	if (n == 0)
		return refuse_service(d, EVENT_REFUSED_EMPTY);
	i = first + bpf_get_prandom_u32() % n;
	barrier_var(i); /* or the compiler, which knows that i < 64, drops the mask that the verifier wants to see */
	b = &s->backends[i & (MAX_BACKENDS - 1)];
	if (!remember(ctx, d, META_DIRECT))
		return refuse(EVENT_FLOW_LOST);
	write_addr(ctx, d->v6, &b->addr, b->port);
	count(event);
	return ALLOW;
}

/* source_pool returns the address of meshd's listener for the callers of a cgroup, all of which are one listener on lo.
 *
 * A source port is taken only towards one address. So a unit that uses up those towards its own, some 28 000, leaves the
 * others theirs. There is no such choice of addresses for IPv6, which has only ::1.
 */
static __always_inline __be32 source_pool(__u64 cgroup)
{
	return bpf_htonl(0x7f4d0000 | (__u32)(cgroup * 0x9e3779b97f4a7c15ULL >> 48)); /* 127.77.x.y */
}

static __always_inline int to_meshd(struct bpf_sock_addr *ctx, const struct config *cfg, const struct dialled *d,
				    bool ipv4)
{
	struct meta *m = remember(ctx, d, META_PROXIED);
	union addr lo;

	if (!m)
		return refuse(EVENT_FLOW_LOST);
	loopback(ipv4, &lo);
	if (ipv4)
		lo.words[3] = source_pool(m->cgroup);
	write_addr(ctx, d->v6, &lo, cfg->outbound_port);
	count(EVENT_PROXIED);
	return ALLOW;
}

/* find_target returns what the destination belongs to; NULL, with d->is_virtual set for a port that is not declared. */
static __always_inline struct target *find_target(struct bpf_sock_addr *ctx, const struct config *cfg,
						  struct dialled *d)
{
	struct virtual_key vkey = {.addr = d->addr};
	struct endpoint_key ekey = {.addr = d->addr, .port = d->port, .proto = d->proto};
	struct target *t;

	if (bpf_map_lookup_elem(&virtuals, &vkey)) {
		d->is_virtual = true;
		vkey.port = d->port;
		vkey.proto = d->proto;
		return bpf_map_lookup_elem(&virtuals, &vkey);
	}
	if (!(cfg->rules & RULE_ENDPOINTS))
		return NULL;
	ekey.netns = bpf_get_netns_cookie(ctx);
	t = bpf_map_lookup_elem(&endpoints, &ekey);
	if (t)
		return t;
	ekey.netns = 0;
	return bpf_map_lookup_elem(&endpoints, &ekey);
}

/* can_answer says whether meshd lives and listens where the caller is; *ipv4 becomes true when it can only be reached
 * that way, as in a namespace without ::1.
 */
static __always_inline bool can_answer(struct bpf_sock_addr *ctx, const struct config *cfg, bool *ipv4)
{
	__u64 netns = bpf_get_netns_cookie(ctx);

	if (!beats(cfg))
		return false;
	if (!*ipv4 && listens(netns, AF_INET6))
		return true;
	*ipv4 = true;
	return listens(netns, AF_INET);
}

static __always_inline int connect_tcp(struct bpf_sock_addr *ctx, const struct config *cfg, struct dialled *d)
{
	struct target *t = find_target(ctx, cfg, d);
	bool ipv4 = d->ipv4;
	struct service *s;

	if (!t) {
		if (!d->is_virtual || is_beyond_us(ctx))
			return ALLOW;
		return refuse_service(d, EVENT_REFUSED_PORT);
	}
	if (is_beyond_us(ctx))
		return ALLOW;
	if (t->flags & TARGET_PROBE) /* no rule stands in its way, and nothing but meshd may answer it */
		return can_answer(ctx, cfg, &ipv4) ? to_meshd(ctx, cfg, d, ipv4) : refuse(EVENT_REFUSED_DEAD);
	if (is_own())
		return ALLOW;

	s = bpf_map_lookup_elem(&services, &t->service);
	if (d->is_virtual && (!s || s->total == 0))
		return refuse_service(d, EVENT_REFUSED_EMPTY);
	if (cfg->mode == MODE_OFF || is_excluded(cfg, &d->addr, d->port)) {
		if (!d->is_virtual || !s)
			return ALLOW;
		return straight(ctx, d, s, EVENT_DIRECT_MODE);
	}
	if (can_answer(ctx, cfg, &ipv4))
		return to_meshd(ctx, cfg, d, ipv4);
	if (cfg->fail == FAIL_CLOSED)
		return refuse_service(d, EVENT_REFUSED_DEAD);
	if (!d->is_virtual || !s)
		return ALLOW;
	return straight(ctx, d, s, EVENT_DIRECT_FAILOPEN);
}

static __always_inline int on_connect(struct bpf_sock_addr *ctx, bool v6)
{
	const struct config *cfg = enabled_config();
	struct dialled d = {.port = ctx->user_port, .proto = ctx->protocol, .v6 = v6};
	bool names;
	__u32 slot;

	if (!cfg)
		return ALLOW;
	if (d.proto != IPPROTO_TCP && d.proto != IPPROTO_UDP)
		return ALLOW;
	read_addr(ctx, v6, &d.addr);
	d.ipv4 = !v6 || is_mapped(&d.addr);

	names = d.port == bpf_htons(53) && find_resolver(ctx, cfg, &d.addr, &slot);
	if (d.proto == IPPROTO_UDP && !names && refuse_virtual_udp(&d.addr) == DENY)
		return DENY; /* and the socket stays connected to what it was */
	forget(ctx->sk);
	if (names) {
		if (!remember(ctx, &d, META_NAMES))
			return ALLOW;
		to_names(ctx, cfg, v6, d.ipv4, slot);
		return ALLOW;
	}
	return d.proto == IPPROTO_UDP ? ALLOW : connect_tcp(ctx, cfg, &d);
}
