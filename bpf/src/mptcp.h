/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that connects an MPTCP socket holds one that no hook sees connecting: what connects is a subflow, a TCP
 * socket of the kernel's. But when the program asks for its peer, the hook sees the one that it holds. So what a subflow
 * dialled is kept with both.
 */
#pragma once

#include "maps.h"

#define TCP_ESTABLISHED 1

/* Set by the loader from a probe (about 5.19, and only in a kernel with MPTCP). */
const volatile bool have_mptcp = false;

struct sock_common {
	unsigned char skc_state;
} __attribute__((preserve_access_index));

/* above returns the MPTCP socket of a subflow, NULL for every other socket. A further subflow, which the kernel adds to
 * a connection that there is, says nothing of what the program dialled.
 */
static __always_inline struct mptcp_sock *above(struct bpf_sock *sk)
{
	struct mptcp_sock *msk = have_mptcp ? bpf_skc_to_mptcp_sock(sk) : NULL;

	return msk && ((struct sock_common *)msk)->skc_state != TCP_ESTABLISHED ? msk : NULL;
}

/* forget takes away what a socket dialled before: it may be used again. */
static __always_inline void forget(struct bpf_sock *sk)
{
	struct mptcp_sock *msk;

	if (!sk)
		return;
	bpf_sk_storage_delete(&sk_meta, sk);
	msk = above(sk);
	if (msk)
		bpf_sk_storage_delete(&sk_meta, msk);
}

static __always_inline void keep_above(struct bpf_sock *sk, struct meta *m)
{
	struct mptcp_sock *msk = above(sk);

	if (msk)
		bpf_sk_storage_get(&sk_meta, msk, m, BPF_SK_STORAGE_GET_F_CREATE);
}
