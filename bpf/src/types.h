/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every structure that the kernel programs share with the daemon. bpf2go turns them into Go, so this is their one source.
 *
 * Addresses are always 16 bytes, IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2), so that one code path serves both.
 * Ports are in network byte order, as the hooks give them.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#define MAX_BACKENDS 64 /* of one service, for connections that the kernel makes without meshd */
#define MAX_CGROUP_DEPTH 12
#define META_LEVELS 8
#define ABI_VERSION 1

union addr {
	__u8 bytes[16];
	__be32 words[4];
};

enum mode {
	MODE_MESH = 0, /* connections to mesh services go through meshd */
	MODE_OFF = 1,  /* virtual addresses are connected straight by the kernel */
};

enum fail {
	FAIL_OPEN = 0,	 /* meshd dead: the kernel connects to an endpoint itself */
	FAIL_CLOSED = 1, /* meshd dead: connection refused */
};

/* Which tables of rules have entries, so that a host without such rules does not look into them. */
enum rule {
	RULE_ENDPOINTS = 1 << 0,
	RULE_INCLUDE = 1 << 1, /* only cgroups marked CGROUP_INCLUDED are captured */
	RULE_CGROUPS = 1 << 2,
	RULE_USERS = 1 << 3,
	RULE_PORTS = 1 << 4,
	RULE_CIDRS = 1 << 5,
};

struct config {
	__u32 enabled; /* written last; 0: every program lets everything pass */
	enum mode mode;
	enum fail fail;
	enum rule rules; /* a set */
	__be16 outbound_port;
	__u16 names_port; /* host order: resolver N is served at names_port + N */
	__u32 switched_off; /* a person has set mode to MODE_OFF, until he takes it back; only meshd reads this */
	__u64 dead_after_ns; /* a heartbeat older than this means that meshd is dead or hung */
	__u8 reserved[16];
};

struct heartbeat {
	__u64 at_ns;	  /* CLOCK_MONOTONIC; 0: meshd is about to end and beats no more */
	__u64 generation; /* of the meshd that beats; each start takes the next one */
};

struct virtual_key {
	union addr addr;
	__be16 port; /* 0 with proto 0: the address as such */
	__u8 proto;
	__u8 pad;
};

enum target_flag {
	TARGET_PROBE = 1 << 0, /* captured even when meshd itself dials it: its proof that capture works */
};

/* What a destination belongs to. */
struct target {
	__u64 service;
	enum target_flag flags;
	__u32 pad;
};

struct endpoint_key {
	__u64 netns; /* cookie, or 0 for every network namespace; the exact one is looked up first */
	union addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad[5];
};

struct backend {
	union addr addr;
	__be16 port;
	__u16 pad;
};

/* The endpoints of a service, for the time that meshd cannot answer. IPv4 ones stand first.
 * One value holds them all, because a hash map replaces a value atomically.
 */
struct service {
	__u32 ipv4;  /* how many are IPv4 */
	__u32 total;
	struct backend backends[MAX_BACKENDS];
};

struct listener_key {
	__u64 netns;
	__u32 family; /* AF_INET or AF_INET6 */
	__u32 pad;
};

struct cidr_key {
	__u32 prefix_len; /* of the 16 bytes */
	union addr addr;
};

enum cgroup_flag {
	CGROUP_INCLUDED = 1 << 0,
	CGROUP_EXCLUDED = 1 << 1,
};

/* Which of its resolvers a host asked. Each has a DNS port of meshd of its own. */
enum resolver_slot {
	RESOLVER_SLOTS = 8, /* how many there are */
};

struct resolver_key {
	__u64 netns;
	union addr addr;
};

struct resolver_slot_key {
	__u64 netns;
	enum resolver_slot slot;
	__u32 pad;
};

struct port_key {
	__u64 netns;
	__be16 port;
	__u8 proto;
	__u8 pad[5];
};

enum meta_flag {
	META_PROXIED = 1 << 0, /* goes to meshd */
	META_DIRECT = 1 << 1,  /* goes straight to an endpoint */
	META_NAMES = 1 << 2,   /* goes to meshd's DNS */
};

/* What a program dialled and who it is. Lives in the storage of its socket and, for a connection to meshd, in flow_orig
 * until meshd accepts it. The layout is an interface between versions: it grows into `reserved` and is never reordered.
 */
struct meta {
	__u8 version;
	__u8 flags;
	__u8 proto;
	__u8 pad;
	__be16 port;
	__u16 pad2;
	union addr addr;
	__u64 cgroup;
	/* The cgroups around it from the top, its own included when it is not deeper: the caller may have removed its own by
	 * the time that somebody asks.
	 */
	__u64 levels[META_LEVELS];
	__u64 netns;
	__u32 tgid;
	__u32 uid;
	__u8 reserved[16];
};
_Static_assert(sizeof(struct meta) == 128, "struct meta is an interface between versions");

struct flow_key {
	__u64 netns;
	union addr addr; /* the client's side of the connection to meshd */
	__be16 port;
	__be16 listener_port;
	__u8 proto;
	__u8 pad;
	__u16 listener_host; /* the last two bytes of its address, see source_pool() */
};

struct whoami {
	__u64 tgid;
	__u64 cgroup;
};

/* What happens, by number of the counter. */
enum event {
	EVENT_PROXIED,
	EVENT_DIRECT_MODE,     /* straight because of mode or an exclusion */
	EVENT_DIRECT_FAILOPEN, /* straight because meshd does not answer */
	EVENT_REFUSED_PORT,    /* a port that the service does not declare */
	EVENT_REFUSED_UDP,     /* UDP to a virtual address; also how getaddrinfo tries addresses out */
	EVENT_REFUSED_EMPTY,   /* no endpoint */
	EVENT_REFUSED_DEAD,    /* meshd does not answer and fail is closed */
	EVENT_NAMES,	       /* a DNS query to meshd */
	EVENT_BIND_DENIED,     /* somebody else bound a port of meshd */
	EVENT_FLOW_LOST,       /* a flow could not be recorded: the connection is reset */
	EVENT_COUNT,
};

/* A connection that was refused in connect(), so that nobody but the kernel knows of it. */
struct refusal {
	union addr addr;
	__be16 port;
	__u16 pad;
	enum event why;
};
