#include "fake_flows.h"

#include <errno.h>
#include <rte_errno.h>
#include <string.h>

struct fake_card card;

void fake_forget(void)
{
	memset(&card, 0, sizeof card);
}

static unsigned size_of(enum rte_flow_item_type type)
{
	switch (type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		return sizeof(struct rte_flow_item_eth);
	case RTE_FLOW_ITEM_TYPE_VLAN:
		return sizeof(struct rte_flow_item_vlan);
	case RTE_FLOW_ITEM_TYPE_IPV4:
		return sizeof(struct rte_flow_item_ipv4);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return sizeof(struct rte_flow_item_ipv6);
	case RTE_FLOW_ITEM_TYPE_UDP:
		return sizeof(struct rte_flow_item_udp);
	default:
		return 0;
	}
}

static int refuse(struct rte_flow_error *error, int code, const char *message)
{
	*error = (struct rte_flow_error){RTE_FLOW_ERROR_TYPE_UNSPECIFIED, NULL, message};
	rte_errno = code;
	return -code;
}

static int read_action(
	const struct rte_flow_action *action, struct fake_rule *rule, struct rte_flow_error *error)
{
	const struct rte_flow_action_queue *queue = action->conf;
	const struct rte_flow_action_rss *rss = action->conf;

	rule->action = action->type;
	if (action[1].type != RTE_FLOW_ACTION_TYPE_END)
		return refuse(error, ENOTSUP, "one action");
	if (action->type == RTE_FLOW_ACTION_TYPE_QUEUE) {
		rule->queue_count = 1;
		rule->queues[0] = queue->index;
		return 0;
	}
	if (action->type != RTE_FLOW_ACTION_TYPE_RSS || card.no_rss || rss->queue_num > 64)
		return refuse(error, ENOTSUP, "no such action");
	rule->rss_types = rss->types;
	rule->queue_count = rss->queue_num;
	memcpy(rule->queues, rss->queue, rss->queue_num * sizeof rule->queues[0]);
	return 0;
}

static int read_rule(const struct rte_flow_attr *attr, const struct rte_flow_item *pattern,
	const struct rte_flow_action *actions, struct fake_rule *rule, struct rte_flow_error *error)
{
	*rule = (struct fake_rule){.priority = attr->priority};
	if (card.no_rules)
		return refuse(error, ENOSYS, NULL);
	if (!attr->ingress || attr->egress || attr->transfer || attr->group)
		return refuse(error, EINVAL, "ingress of group 0");
	if (attr->priority && card.no_priority)
		return refuse(error, ENOTSUP, "no priorities");
	for (; pattern->type != RTE_FLOW_ITEM_TYPE_END; pattern++) {
		unsigned n = rule->item_count++, size = size_of(pattern->type);

		if (n >= FAKE_ITEMS_MAX || !size || pattern->last ||
			(pattern->spec != NULL) != (pattern->mask != NULL))
			return refuse(error, EINVAL, "no such item");
		rule->types[n] = pattern->type;
		rule->has_mask[n] = pattern->mask != NULL;
		if (!pattern->mask)
			continue;
		memcpy(rule->spec[n], pattern->spec, size);
		memcpy(rule->mask[n], pattern->mask, size);
		// What is compared must be within the mask, as cards have it.
		for (unsigned b = 0; b < size; b++)
			if (rule->spec[n][b] & ~rule->mask[n][b])
				return refuse(error, EINVAL, "bits outside of the mask");
		if (pattern->type == RTE_FLOW_ITEM_TYPE_ETH && card.no_arp)
			return refuse(error, ENOTSUP, "no types of frames");
		if (pattern->type == RTE_FLOW_ITEM_TYPE_IPV4 && card.longest_v4) {
			const struct rte_flow_item_ipv4 *v4 = pattern->mask;

			if ((unsigned)__builtin_popcount(v4->hdr.src_addr) > card.longest_v4)
				return refuse(error, ENOTSUP, "the prefix is too long");
		}
	}
	return read_action(actions, rule, error);
}

int rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	struct fake_rule rule;

	card.validated++;
	return read_rule(attr, pattern, actions, &rule, error);
}

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	struct fake_rule *rule = &card.rules[card.rule_count];

	if (card.no_create || card.rule_count == FAKE_RULES_MAX) {
		refuse(error, ENOSPC, "no room for rules");
		return NULL;
	}
	if (read_rule(attr, pattern, actions, rule, error) != 0)
		return NULL;
	rule->live = true;
	card.rule_count++;
	card.live++;
	return (struct rte_flow *)rule;
}

int rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
	struct fake_rule *rule = (struct fake_rule *)flow;

	if (card.no_destroy)
		return refuse(error, EPERM, "not now");
	if (!rule->live)
		return refuse(error, ENOENT, "twice");
	rule->live = false;
	card.live--;
	return 0;
}

int rte_eth_dev_rss_reta_update(
	uint16_t port_id, struct rte_eth_rss_reta_entry64 *table, uint16_t size)
{
	if (card.no_reta)
		return -ENOTSUP;
	card.reta_size = size;
	for (unsigned i = 0; i < size; i++) {
		if (!(table[i / 64].mask >> i % 64 & 1))
			return -EINVAL;
		card.reta[i] = table[i / 64].reta[i % 64];
	}
	return 0;
}

static bool equal(
	const struct fake_rule *r, unsigned n, unsigned at, const uint8_t *data, unsigned bytes)
{
	for (unsigned b = 0; r->has_mask[n] && b < bytes; b++)
		if ((data[b] ^ r->spec[n][at + b]) & r->mask[n][at + b])
			return false;
	return true;
}

// Ethernet, a tag, IPv4 without options or IPv6 without extensions, UDP.
static bool matches(const struct fake_rule *r, const uint8_t *frame, unsigned bytes)
{
	unsigned at = 14, type = (unsigned)frame[12] << 8 | frame[13], protocol = 256;

	for (unsigned n = 0; n < r->item_count; n++) {
		switch (r->types[n]) {
		case RTE_FLOW_ITEM_TYPE_ETH:
			if (!equal(r, n, 0, frame, 14))
				return false;
			break;
		case RTE_FLOW_ITEM_TYPE_VLAN: // tci, inner type
			if (type != 0x8100 || !equal(r, n, 0, frame + at, 4))
				return false;
			type = (unsigned)frame[at + 2] << 8 | frame[at + 3];
			at += 4;
			break;
		case RTE_FLOW_ITEM_TYPE_IPV4:
			if (type != 0x0800 || !equal(r, n, 0, frame + at, 20))
				return false;
			protocol = frame[at + 9];
			at += 20;
			break;
		case RTE_FLOW_ITEM_TYPE_IPV6:
			if (type != 0x86DD || !equal(r, n, 0, frame + at, 40))
				return false;
			protocol = frame[at + 6];
			at += 40;
			break;
		case RTE_FLOW_ITEM_TYPE_UDP:
			if (protocol != 17 || !equal(r, n, 0, frame + at, 8))
				return false;
			break;
		default:
			return false;
		}
		if (at > bytes)
			return false;
	}
	return true;
}

unsigned fake_queue(const uint8_t *frame, unsigned bytes)
{
	const struct fake_rule *best = NULL;

	for (unsigned n = 0; n < card.rule_count; n++) {
		const struct fake_rule *r = &card.rules[n];

		if (r->live && (!best || r->priority < best->priority) && matches(r, frame, bytes))
			best = r;
	}
	return best ? best->queues[best->queue_count > 1 ? frame[35] % best->queue_count : 0] : 0;
}
