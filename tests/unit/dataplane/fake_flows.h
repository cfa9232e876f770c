// A card that takes flow rules, for tests: stands in for rte_flow_validate, _create and _destroy
// and for the table of rte_eth_dev_rss_reta_update, which no software port that can be had here
// implements, keeps copies of the rules, and sorts frames by them. One card, one thread.
#pragma once

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_RULES_MAX 160
#define FAKE_ITEMS_MAX 8

struct fake_rule {
	bool live;
	uint32_t priority;
	unsigned item_count; // without END
	enum rte_flow_item_type types[FAKE_ITEMS_MAX];
	bool has_mask[FAKE_ITEMS_MAX];
	uint8_t spec[FAKE_ITEMS_MAX][64], mask[FAKE_ITEMS_MAX][64];
	enum rte_flow_action_type action;
	uint64_t rss_types;
	unsigned queue_count;
	uint16_t queues[64];
};

struct fake_card {
	// what it won't take
	bool no_rules, no_rss, no_priority, no_arp, no_create, no_reta, no_destroy;
	unsigned longest_v4; // prefixes of IPv4 longer than this; 0: it takes them all
	// what it was asked
	unsigned validated, rule_count, live;
	struct fake_rule rules[FAKE_RULES_MAX]; // in the order of their making
	unsigned reta_size;
	uint16_t reta[4096];
};

extern struct fake_card card;

void fake_forget(void);
// The queue of a frame; those that no rule matches have queue 0. A rule that spreads: by the
// frame's UDP source port.
unsigned fake_queue(const uint8_t *frame, unsigned bytes);
