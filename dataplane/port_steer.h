// Which of its queues a DPDK port gives a packet to: flow rules (rte_flow) that the driver, or the
// card below it, runs for each one. So a worker has a queue for those that are known and one for
// everybody else, and what strangers send beyond what the workers take is lost from the strangers'
// queue alone. The counterpart for sockets is socket_steer.h; decided by what is seen before
// anything is received:
//   known      the source address lies under a prefix that is trusted and admitted; where there is
//              none, under one that is admitted
//   neighbours ARP and neighbour discovery, where the driver can: a flood must not make known hosts
//              lose the way here
//   the rest   the queue that packets go to without a rule
// Sessions can't be told: rules compare bits, and a session's number may be any but 0.
//
// Queue w is worker w's for the rest, queue `lanes` + w the one for the known. Start and end only,
// main thread; pe_port_steer_plan is pure.
#pragma once

#include "config.h"

#define PE_PORT_RULES_MAX (4 * PE_PREFIXES_MAX + 4) // each prefix once a family, and the others

enum pe_port_rule_kind {
	PE_PORT_RULE_V4,  // UDP over IPv4 to our port, from the prefix
	PE_PORT_RULE_V6,  // the same over IPv6
	PE_PORT_RULE_ARP, // every ARP frame
	PE_PORT_RULE_ND,  // ICMPv6 that no router has passed on (hop limit 255)
	PE_PORT_RULE_REST // everything, below all others: for ports that spread by themselves what
	                  // no rule names
};

struct rte_flow;

struct pe_port_rule {
	enum pe_port_rule_kind kind;
	bool needed; // without it somebody known stays among the strangers, or strangers among the
	             // known
	bool taken;  // by the driver, so far
	struct pe_prefix prefix; // V4, V6; the mapped form
	struct rte_flow *flow;   // NULL: none is made
};

struct pe_port_steer {
	uint16_t port_id, udp_port, vlan; // vlan 0: untagged
	uint16_t lanes;                   // workers with queues of their own, from 1 on
	uint64_t rss;                     // RTE_ETH_RSS_… that the port can hash by
	uint16_t reta_size; // of the table that spreads what no rule names; 0: it has none
	bool by_prefix;     // the driver spreads no rule over queues: each prefix has one worker
	char why[200]; // the port's word on the first rule that was needed and isn't taken; "":
	               // none is missing
	unsigned rule_count;
	struct pe_port_rule rules[PE_PORT_RULES_MAX];
};

// Fills rules and rule_count from the configuration, and reads lanes, rss and reta_size, of which
// the rest's rule depends. False: whoever may be heard at all is known, or nobody is; there is
// nothing to keep apart.
bool pe_port_steer_plan(const struct pe_config *config, const struct pe_source_config *own,
	struct pe_port_steer *steer);

// Asks the driver for each rule; the port has its queues and isn't started. Returns how many needed
// ones it won't take, and why the first of them. *none: what it takes keeps nobody apart.
unsigned pe_port_steer_validate(struct pe_port_steer *steer, bool *none);

// Makes those rules that were taken, and has the rest spread over the rest's queues. The port is
// started. As above.
unsigned pe_port_steer_create(struct pe_port_steer *steer, bool *none);

// Takes back what was made; before the port stops.
void pe_port_steer_destroy(struct pe_port_steer *steer);

// How many rules are made.
unsigned pe_port_steer_made(const struct pe_port_steer *steer);
