#include "port_steer.h"

#include <arpa/inet.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdio.h>
#include <string.h>

#define V4_BITS      96u // of a mapped IPv4 address, in front of its own
#define ITEMS_MAX    5
#define RETA_MAX     4096u
#define ICMPV6       58
#define ONE_LINK     255 // a hop limit that no router has touched
#define VLAN_ID_MASK 0xFFF

static bool within(const struct pe_prefix *inner, const struct pe_prefix *outer)
{
	return outer->bits <= inner->bits && pe_prefix_holds(outer, inner->address);
}

// Keeps the list free of what another one in it holds already.
static void add_prefix(struct pe_prefix *list, unsigned *count, const struct pe_prefix *more)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < *count; i++)
		if (within(more, &list[i]))
			return;
	for (unsigned i = 0; i < *count; i++)
		if (!within(&list[i], more))
			list[kept++] = list[i];
	list[kept++] = *more;
	*count = kept;
}

// Of two prefixes that share an address one holds the other.
static unsigned known_prefixes(
	const struct pe_config *config, struct pe_prefix list[2 * PE_PREFIXES_MAX])
{
	unsigned count = 0;

	for (unsigned i = 0; i < config->trusted_count; i++)
		for (unsigned j = 0; j < config->admitted_count; j++) {
			const struct pe_prefix *t = &config->trusted[i], *a = &config->admitted[j];

			if (within(t, a))
				add_prefix(list, &count, t);
			else if (within(a, t))
				add_prefix(list, &count, a);
		}
	if (count)
		return count;
	for (unsigned j = 0; j < config->admitted_count; j++)
		add_prefix(list, &count, &config->admitted[j]);
	return count;
}

static void add_rule(struct pe_port_steer *s, enum pe_port_rule_kind kind, bool needed,
	const struct pe_prefix *prefix)
{
	struct pe_port_rule *r = &s->rules[s->rule_count++];

	assert(s->rule_count <= PE_PORT_RULES_MAX);
	*r = (struct pe_port_rule){.kind = kind, .needed = needed};
	if (prefix)
		r->prefix = *prefix;
}

bool pe_port_steer_plan(
	const struct pe_config *config, const struct pe_source_config *own, struct pe_port_steer *s)
{
	static const uint8_t mapped[16] = {[10] = 0xFF, [11] = 0xFF};
	struct pe_prefix list[2 * PE_PREFIXES_MAX];
	unsigned count = known_prefixes(config, list);
	bool speaks_v4 = false, speaks_v6 = false, apart_v4 = true, apart_v6 = true;

	s->rule_count = 0;
	for (unsigned i = 0; i < own->address_count; i++)
		*(pe_address_is_v4(own->addresses[i].address) ? &speaks_v4 : &speaks_v6) = true;
	for (unsigned i = 0; i < count; i++) {
		const struct pe_prefix *p = &list[i];
		bool v4 = p->bits >= V4_BITS ? pe_address_is_v4(p->address) :
					       pe_prefix_holds(p, mapped);
		bool v6 = p->bits < V4_BITS || !v4;

		if (speaks_v4 && v4) {
			add_rule(s, PE_PORT_RULE_V4, true, p);
			apart_v4 = apart_v4 && p->bits > V4_BITS;
		}
		if (speaks_v6 && v6) {
			add_rule(s, PE_PORT_RULE_V6, true, p);
			apart_v6 = apart_v6 && p->bits > 0;
		}
	}
	if (!s->rule_count || ((!speaks_v4 || !apart_v4) && (!speaks_v6 || !apart_v6))) {
		s->rule_count = 0;
		return false;
	}
	if (speaks_v4)
		add_rule(s, PE_PORT_RULE_ARP, false, NULL);
	if (speaks_v6)
		add_rule(s, PE_PORT_RULE_ND, false, NULL);
	// With several workers the rest would be spread over the queues of the known as well.
	if (!s->reta_size)
		add_rule(s, PE_PORT_RULE_REST, s->lanes > 1, NULL);
	return true;
}

// What rte_flow is asked with; it points into itself.
struct request {
	struct rte_flow_attr attr;
	struct rte_flow_item_eth eth, eth_mask;
	struct rte_flow_item_vlan vlan, vlan_mask;
	struct rte_flow_item_ipv4 v4, v4_mask;
	struct rte_flow_item_ipv6 v6, v6_mask;
	struct rte_flow_item_udp udp, udp_mask;
	struct rte_flow_item items[ITEMS_MAX];
	unsigned item_count;
	struct rte_flow_action_queue queue;
	struct rte_flow_action_rss rss;
	uint16_t queues[PE_WORKERS_MAX];
	struct rte_flow_action actions[2];
};

static void add_item(
	struct request *q, enum rte_flow_item_type type, const void *spec, const void *mask)
{
	assert(q->item_count < ITEMS_MAX);
	q->items[q->item_count++] =
		(struct rte_flow_item){.type = type, .spec = spec, .mask = mask};
}

// The frame down to its network header. `type`: of what lies in it, where nothing behind says so.
static void add_link(struct request *q, const struct pe_port_steer *s, uint16_t type)
{
	bool tagged = s->vlan != 0, typed = type != 0;

	if (typed && !tagged) {
		q->eth.type = htons(type);
		q->eth_mask.type = UINT16_MAX;
		add_item(q, RTE_FLOW_ITEM_TYPE_ETH, &q->eth, &q->eth_mask);
	} else {
		add_item(q, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL);
	}
	if (!tagged)
		return;
	q->vlan.tci = htons(s->vlan);
	q->vlan_mask.tci = htons(VLAN_ID_MASK);
	if (typed) {
		q->vlan.inner_type = htons(type);
		q->vlan_mask.inner_type = UINT16_MAX;
	}
	add_item(q, RTE_FLOW_ITEM_TYPE_VLAN, &q->vlan, &q->vlan_mask);
}

static void add_udp(struct request *q, const struct pe_port_steer *s)
{
	q->udp.hdr.dst_port = htons(s->udp_port);
	q->udp_mask.hdr.dst_port = UINT16_MAX;
	add_item(q, RTE_FLOW_ITEM_TYPE_UDP, &q->udp, &q->udp_mask);
}

static void add_v4(struct request *q, const struct pe_port_steer *s, const struct pe_prefix *p)
{
	unsigned bits = p->bits > V4_BITS ? p->bits - V4_BITS : 0;

	add_link(q, s, 0);
	// Nothing to compare is said by nothing, which drivers know better than a mask of zeros.
	if (bits) {
		q->v4_mask.hdr.src_addr = htonl(UINT32_MAX << (32 - bits));
		memcpy(&q->v4.hdr.src_addr, p->address + 12, 4);
		q->v4.hdr.src_addr &= q->v4_mask.hdr.src_addr;
		add_item(q, RTE_FLOW_ITEM_TYPE_IPV4, &q->v4, &q->v4_mask);
	} else {
		add_item(q, RTE_FLOW_ITEM_TYPE_IPV4, NULL, NULL);
	}
	add_udp(q, s);
}

static void add_v6(struct request *q, const struct pe_port_steer *s, const struct pe_prefix *p)
{
	add_link(q, s, 0);
	for (unsigned i = 0; i < 16; i++) {
		unsigned bits = p->bits > 8 * i ? RTE_MIN(p->bits - 8 * i, 8u) : 0;

		q->v6_mask.hdr.src_addr[i] = (uint8_t)(0xFF00u >> bits);
		q->v6.hdr.src_addr[i] = p->address[i] & q->v6_mask.hdr.src_addr[i];
	}
	if (p->bits)
		add_item(q, RTE_FLOW_ITEM_TYPE_IPV6, &q->v6, &q->v6_mask);
	else
		add_item(q, RTE_FLOW_ITEM_TYPE_IPV6, NULL, NULL);
	add_udp(q, s);
}

// To which of the queues from `first` on, one a worker. With by_prefix, number n of the rules has
// one of them.
static void add_target(struct request *q, const struct pe_port_steer *s, unsigned first, unsigned n,
	uint64_t types)
{
	if (s->lanes > 1 && !s->by_prefix) {
		for (unsigned w = 0; w < s->lanes; w++)
			q->queues[w] = (uint16_t)(first + w);
		q->rss = (struct rte_flow_action_rss){.func = RTE_ETH_HASH_FUNCTION_DEFAULT,
			.types = types & s->rss,
			.queue_num = s->lanes,
			.queue = q->queues};
		q->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_RSS, &q->rss};
	} else {
		q->queue.index = (uint16_t)(first + n % s->lanes);
		q->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_QUEUE, &q->queue};
	}
	q->actions[1] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
}

static void build(const struct pe_port_steer *s, unsigned n, struct request *q)
{
	const struct pe_port_rule *r = &s->rules[n];
	bool rest = r->kind == PE_PORT_RULE_REST;

	*q = (struct request){.attr = {.ingress = 1, .priority = rest ? 1 : 0}};
	add_target(q, s, rest ? 0 : s->lanes, n,
		r->kind == PE_PORT_RULE_V4         ? RTE_ETH_RSS_NONFRAG_IPV4_UDP :
			r->kind == PE_PORT_RULE_V6 ? RTE_ETH_RSS_NONFRAG_IPV6_UDP :
						     RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
	switch (r->kind) {
	case PE_PORT_RULE_V4:
		add_v4(q, s, &r->prefix);
		break;
	case PE_PORT_RULE_V6:
		add_v6(q, s, &r->prefix);
		break;
	case PE_PORT_RULE_ARP:
	case PE_PORT_RULE_ND:
		// Few as they are, they need not be spread.
		q->queue.index = s->lanes;
		q->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_QUEUE, &q->queue};
		if (r->kind == PE_PORT_RULE_ARP) {
			add_link(q, s, RTE_ETHER_TYPE_ARP);
			break;
		}
		add_link(q, s, 0);
		q->v6.hdr.proto = ICMPV6;
		q->v6.hdr.hop_limits = ONE_LINK;
		q->v6_mask.hdr.proto = q->v6_mask.hdr.hop_limits = UINT8_MAX;
		add_item(q, RTE_FLOW_ITEM_TYPE_IPV6, &q->v6, &q->v6_mask);
		break;
	case PE_PORT_RULE_REST:
		add_link(q, s, 0);
		break;
	}
	add_item(q, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
}

static bool is_known(const struct pe_port_rule *r)
{
	return r->kind == PE_PORT_RULE_V4 || r->kind == PE_PORT_RULE_V6;
}

// The first word is kept.
static void explain(struct pe_port_steer *s, const struct pe_port_rule *r, int failed,
	const struct rte_flow_error *error)
{
	char prefix[PE_ADDRESS_TEXT] = "";
	const char *of = r->kind == PE_PORT_RULE_REST ? "a rule for all others" : prefix;

	if (!r->needed || s->why[0])
		return;
	if (is_known(r)) {
		bool v4 = r->kind == PE_PORT_RULE_V4;
		char text[INET6_ADDRSTRLEN] = "";
		unsigned bits = r->prefix.bits;

		inet_ntop(v4 ? AF_INET : AF_INET6, r->prefix.address + (v4 ? 12 : 0), text,
			sizeof text);
		snprintf(prefix, sizeof prefix, "%s/%u", text,
			v4 ? bits - RTE_MIN(bits, V4_BITS) : bits);
	}
	snprintf(s->why, sizeof s->why, "its driver refuses %s (%s)", of,
		error->message ? error->message : rte_strerror(failed));
}

// How many needed rules are not taken; whether those that are keep nobody apart.
static unsigned weigh(const struct pe_port_steer *s, bool *none)
{
	unsigned missing = 0, known = 0;
	bool mixed = false;

	for (unsigned n = 0; n < s->rule_count; n++) {
		const struct pe_port_rule *r = &s->rules[n];

		missing += r->needed && !r->taken;
		known += is_known(r) && r->taken;
		mixed = mixed || (r->kind == PE_PORT_RULE_REST && r->needed && !r->taken);
	}
	*none = known == 0 || mixed;
	return missing;
}

static unsigned validate_all(struct pe_port_steer *s, bool *none)
{
	s->why[0] = '\0';
	for (unsigned n = 0; n < s->rule_count; n++) {
		struct pe_port_rule *r = &s->rules[n];
		struct rte_flow_error error = {0};
		struct request q;
		int failed;

		build(s, n, &q);
		failed = rte_flow_validate(s->port_id, &q.attr, q.items, q.actions, &error);
		r->taken = failed == 0;
		if (failed)
			explain(s, r, -failed, &error);
	}
	return weigh(s, none);
}

unsigned pe_port_steer_validate(struct pe_port_steer *s, bool *none)
{
	unsigned missing;

	s->by_prefix = false;
	missing = validate_all(s, none);
	if (*none && s->lanes > 1) {
		s->by_prefix = true;
		missing = validate_all(s, none);
	}
	return missing;
}

// What no rule names goes to the rest's queues.
static int spread_rest(const struct pe_port_steer *s)
{
	struct rte_eth_rss_reta_entry64 table[RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};

	if (s->reta_size > RETA_MAX)
		return -ENOTSUP;
	for (unsigned i = 0; i < s->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *e = &table[i / RTE_ETH_RETA_GROUP_SIZE];

		e->mask |= UINT64_C(1) << i % RTE_ETH_RETA_GROUP_SIZE;
		e->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % s->lanes);
	}
	return rte_eth_dev_rss_reta_update(s->port_id, table, s->reta_size);
}

unsigned pe_port_steer_create(struct pe_port_steer *s, bool *none)
{
	int failed = s->reta_size ? spread_rest(s) : 0;

	if (failed) { // strangers would be in all queues
		*none = true;
		snprintf(s->why, sizeof s->why, "it cannot keep strangers out of a queue (%s)",
			rte_strerror(-failed));
		return s->rule_count;
	}
	for (unsigned n = 0; n < s->rule_count; n++) {
		struct pe_port_rule *r = &s->rules[n];
		struct rte_flow_error error = {0};
		struct request q;

		if (!r->taken)
			continue;
		build(s, n, &q);
		r->flow = rte_flow_create(s->port_id, &q.attr, q.items, q.actions, &error);
		r->taken = r->flow != NULL;
		if (!r->flow)
			explain(s, r, rte_errno, &error);
	}
	return weigh(s, none);
}

void pe_port_steer_destroy(struct pe_port_steer *s)
{
	for (unsigned n = s->rule_count; n-- > 0;) {
		struct rte_flow_error error = {0};

		if (!s->rules[n].flow)
			continue;
		if (rte_flow_destroy(s->port_id, s->rules[n].flow, &error) != 0)
			pe_log(PE_LOG_DEBUG, "port %u keeps a flow rule until it is closed: %s",
				s->port_id, error.message ? error.message : "no word why");
		s->rules[n].flow = NULL;
	}
}

unsigned pe_port_steer_made(const struct pe_port_steer *s)
{
	unsigned made = 0;

	for (unsigned n = 0; n < s->rule_count; n++)
		made += s->rules[n].flow != NULL;
	return made;
}
