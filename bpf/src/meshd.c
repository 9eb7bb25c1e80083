// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The kernel programs of meshd, one per hook. What each decides stands in the header that it names. */

#include <stddef.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

#include "connect.h"

char __license[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, false);
}

/* Also runs, alone, when an AF_INET6 socket dials an IPv4-mapped address. */
SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return on_connect(ctx, true);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return on_sendmsg(ctx, false);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return on_sendmsg(ctx, true);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	return on_recvmsg(ctx, false);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	return on_recvmsg(ctx, true);
}

/* A program that asks whom it is connected to is told what it dialled. */
static __always_inline int on_getpeername(struct bpf_sock_addr *ctx, bool v6)
{
	struct bpf_sock *sk = ctx->sk;
	struct meta *m;

	if (!enabled_config() || !sk)
		return ALLOW;
	m = bpf_sk_storage_get(&sk_meta, sk, NULL, 0);
	if (m && m->port)
		write_addr(ctx, v6, &m->addr, m->port);
	return ALLOW;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return on_getpeername(ctx, false);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return on_getpeername(ctx, true);
}

/* Nobody else binds a port of ours where we serve, or a program could take meshd's place while it is down. */
static __always_inline int on_bind(struct bpf_sock_addr *ctx)
{
	struct port_key key = {.port = ctx->user_port, .proto = ctx->protocol};

	if (!enabled_config() || !key.port)
		return ALLOW;
	key.netns = bpf_get_netns_cookie(ctx);
	if (!bpf_map_lookup_elem(&reserved_ports, &key) || is_own() || is_kernel_thread())
		return ALLOW;
	count(EVENT_BIND_DENIED);
	return DENY;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	return on_bind(ctx);
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	return on_bind(ctx);
}

static __always_inline void read_local(const struct bpf_sock_ops *ctx, union addr *a)
{
	__be32 last;

	if (ctx->family == AF_INET) {
		a->words[2] = mapped_prefix;
		last = ctx->local_ip4;
		barrier_var(last); /* or both branches share one load through a moved ctx, which the verifier refuses */
	} else {
		a->words[0] = ctx->local_ip6[0];
		a->words[1] = ctx->local_ip6[1];
		a->words[2] = ctx->local_ip6[2];
		last = ctx->local_ip6[3];
	}
	a->words[3] = last;
}

static __always_inline __u16 remote_host(const struct bpf_sock_ops *ctx)
{
	__be32 last;

	if (ctx->family == AF_INET) {
		last = ctx->remote_ip4;
		barrier_var(last);
	} else {
		last = ctx->remote_ip6[3];
	}
	return bpf_ntohl(last);
}

/* The storage of a client's socket cannot be read from meshd's side, so what it holds is copied to a map that is keyed
 * by the connection. This runs before the last packet of the handshake is sent: meshd cannot accept any earlier.
 *
 * Whoever connects to meshd's port without having been redirected finds no flow, not even one that an earlier connection
 * between the same addresses has left because it was never accepted.
 */
SEC("sockops")
int established(struct bpf_sock_ops *ctx)
{
	struct flow_key key = {.proto = IPPROTO_TCP};
	const struct config *c;
	struct bpf_sock *sk;
	struct meta *m;

	if (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) /* some ten other moments of every connection of the host */
		return 1;
	c = enabled_config();
	sk = ctx->sk;
	if (!c || !sk)
		return 1;
	key.listener_port = ctx->remote_port >> 16; /* the kernel keeps it in the upper half */
	if (key.listener_port != c->outbound_port)
		return 1;
	key.netns = bpf_get_netns_cookie(ctx);
	read_local(ctx, &key.addr);
	key.port = bpf_htons(ctx->local_port);
	key.listener_host = remote_host(ctx);
	m = bpf_sk_storage_get(&sk_meta, sk, NULL, 0);
	if (!m || !(m->flags & META_PROXIED))
		bpf_map_delete_elem(&flow_orig, &key);
	else if (bpf_map_update_elem(&flow_orig, &key, m, BPF_ANY))
		count(EVENT_FLOW_LOST);
	return 1;
}

/* Run once by meshd: the kernel's own view of who it is, which getpid does not give inside a pid namespace. */
SEC("syscall")
int ask_whoami(struct whoami *out)
{
	out->tgid = bpf_get_current_pid_tgid() >> 32;
	out->cgroup = bpf_get_current_cgroup_id();
	return 0;
}
