// Which rules a port is given, to the bit; that a card that follows them keeps the known apart from everybody else, against a plain comparison of
// addresses; what is done without where it refuses; and that a flood of strangers takes nothing from the known, and does where steering is off.
#include "dataplane/eal.h"
#include "dataplane/ethdev.h"
#include "fake_flows.h"
#include "tests/testing.h"

#include <arpa/inet.h>
#include <rte_eth_ring.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <string.h>

#define PORT       10202
#define FRAME_MAX  128
#define QUEUE_ROOM 256

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};

static struct pe_config config;
static struct pe_port_steer steer;

static void prefixes(struct pe_prefix *list, unsigned *count, const char *const *texts)
{
	for (*count = 0; texts[*count]; ++*count)
		CU_ASSERT_FATAL(pe_prefix_parse(texts[*count], true, &list[*count]));
}

static bool plan(const char *const *trusted, const char *const *admitted,
	const char *const *addresses, uint16_t lanes, uint16_t reta_size)
{
	struct pe_source_config *own = &config.sources[0];

	memset(&config, 0, sizeof config);
	prefixes(config.trusted, &config.trusted_count, trusted);
	prefixes(config.admitted, &config.admitted_count, admitted);
	for (own->address_count = 0; addresses[own->address_count]; own->address_count++)
		CU_ASSERT_FATAL(pe_prefix_parse(
			addresses[own->address_count], false, &own->addresses[own->address_count]));
	steer = (struct pe_port_steer){.udp_port = PORT,
		.lanes = lanes,
		.rss = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_IPV4,
		.reta_size = reta_size};
	return pe_port_steer_plan(&config, own, &steer);
}

static const char *const both[] = {"192.0.2.1/24", "2001:db8::1/64", NULL},
			 *const four[] = {"192.0.2.1/24", NULL},
			 *const six[] = {"2001:db8::1/64", NULL}, *const nobody[] = {NULL},
			 *const everybody[] = {"0.0.0.0/0", "::/0", NULL},
			 *const some[] = {"10.1.0.0/16", "2001:db8:1::/48", NULL};

// The address of the rule's prefix; "" where it has none.
static const char *shown(unsigned n)
{
	static char text[INET6_ADDRSTRLEN];
	const struct pe_prefix *p = &steer.rules[n].prefix;
	bool v4 = steer.rules[n].kind == PE_PORT_RULE_V4;

	inet_ntop(v4 ? AF_INET : AF_INET6, p->address + (v4 ? 12 : 0), text, sizeof text);
	return steer.rules[n].kind <= PE_PORT_RULE_V6 ? text : "";
}

static void test_plan(void)
{
	static const char *const nested[] = {"10.1.2.0/24", "10.1.0.0/16", "10.1.3.0/24", NULL},
				 *const part[] = {"10.1.3.0/24", "10.9.0.0/16", NULL},
				 *const v4_all[] = {"0.0.0.0/0", NULL},
				 *const mapped_all[] = {"::/0", NULL};

	CU_ASSERT_TRUE(plan(some, everybody, both, 1, 0));
	CU_ASSERT_EQUAL(steer.rule_count, 5);
	CU_ASSERT_EQUAL(steer.rules[0].kind, PE_PORT_RULE_V4);
	CU_ASSERT_STRING_EQUAL(shown(0), "10.1.0.0");
	CU_ASSERT_EQUAL(steer.rules[1].kind, PE_PORT_RULE_V6);
	CU_ASSERT_STRING_EQUAL(shown(1), "2001:db8:1::");
	CU_ASSERT_EQUAL(steer.rules[2].kind, PE_PORT_RULE_ARP);
	CU_ASSERT_EQUAL(steer.rules[3].kind, PE_PORT_RULE_ND);
	CU_ASSERT_EQUAL(steer.rules[4].kind, PE_PORT_RULE_REST);
	CU_ASSERT_FALSE(steer.rules[4].needed);
	// of families that the port does not speak there is nothing to say
	CU_ASSERT_TRUE(plan(some, everybody, four, 2, 0));
	CU_ASSERT_EQUAL(steer.rule_count, 3);
	CU_ASSERT_TRUE(steer.rules[2].needed); // the rest, of two workers
	CU_ASSERT_TRUE(plan(some, everybody, six, 2, 128));
	CU_ASSERT_EQUAL(steer.rule_count, 2); // a table spreads the rest
	// what another prefix holds, and what is trusted but not admitted, need none
	CU_ASSERT_TRUE(plan(nested, everybody, four, 1, 128));
	CU_ASSERT_EQUAL(steer.rule_count, 2);
	CU_ASSERT_STRING_EQUAL(shown(0), "10.1.0.0");
	CU_ASSERT_TRUE(plan(nested, part, four, 1, 128));
	CU_ASSERT_EQUAL(steer.rule_count, 2);
	CU_ASSERT_STRING_EQUAL(shown(0), "10.1.3.0");
	// nobody is trusted: who is admitted is known
	CU_ASSERT_TRUE(plan(nobody, part, four, 1, 128));
	CU_ASSERT_EQUAL(steer.rule_count, 3);
	// nobody to keep apart
	CU_ASSERT_FALSE(plan(nobody, everybody, both, 1, 0));
	CU_ASSERT_FALSE(plan(v4_all, everybody, four, 1, 0));
	CU_ASSERT_FALSE(plan(mapped_all, everybody, both, 1, 0));
	CU_ASSERT_FALSE(plan(some, nobody, both, 1, 0));
	CU_ASSERT_EQUAL(steer.rule_count, 0);
	// all of one family, and of the other one nobody
	CU_ASSERT_TRUE(plan(v4_all, everybody, both, 1, 128));
	CU_ASSERT_EQUAL(steer.rule_count, 3);
	// an IPv6 prefix that holds the mapped addresses holds all of IPv4
	CU_ASSERT_TRUE(plan(mapped_all, some, both, 1, 128));
	CU_ASSERT_EQUAL(steer.rule_count, 4);
}

// Every prefix that there may be, none within another.
static void test_most(void)
{
	memset(&config, 0, sizeof config);
	config.trusted_count = config.admitted_count = PE_PREFIXES_MAX;
	for (unsigned i = 0; i < PE_PREFIXES_MAX; i++) {
		char text[64];

		// each trusted one lies in one admitted or holds one
		snprintf(text, sizeof text, "10.%u.0.0/16", i);
		CU_ASSERT_FATAL(pe_prefix_parse(text, true, &config.trusted[i]));
		snprintf(text, sizeof text, i % 2 ? "10.%u.0.0/24" : "10.%u.0.0/15", i);
		CU_ASSERT_FATAL(pe_prefix_parse(text, true, &config.admitted[i]));
	}
	CU_ASSERT_FATAL(pe_prefix_parse("192.0.2.1/24", false, &config.sources[0].addresses[0]));
	config.sources[0].address_count = 1;
	steer = (struct pe_port_steer){.lanes = 1};
	CU_ASSERT_TRUE(pe_port_steer_plan(&config, &config.sources[0], &steer));
	CU_ASSERT_EQUAL(steer.rule_count, PE_PREFIXES_MAX + 2);
	// ::/3 and its like beside mapped ones: no list is longer than the room for it
	for (unsigned i = 0; i < PE_PREFIXES_MAX; i++)
		config.admitted[i] = config.trusted[i];
	CU_ASSERT_FATAL(pe_prefix_parse("::/0", true, &config.trusted[0]));
	CU_ASSERT_TRUE(pe_port_steer_plan(&config, &config.sources[0], &steer));
	CU_ASSERT_EQUAL(steer.rule_count, PE_PREFIXES_MAX + 2);
}

static unsigned make_all(void)
{
	bool none;
	unsigned missing;

	fake_forget();
	missing = pe_port_steer_validate(&steer, &none);
	CU_ASSERT_FALSE(none);
	CU_ASSERT_EQUAL(missing, 0);
	CU_ASSERT_EQUAL(card.rule_count, 0); // asked, not made
	missing = pe_port_steer_create(&steer, &none);
	CU_ASSERT_FALSE(none);
	CU_ASSERT_STRING_EQUAL(steer.why, "");
	CU_ASSERT_EQUAL(pe_port_steer_made(&steer), card.live);
	return missing;
}

static void expect_item(const struct fake_rule *r, unsigned n, enum rte_flow_item_type type,
	const void *spec, const void *mask, size_t bytes)
{
	CU_ASSERT_EQUAL(r->types[n], type);
	CU_ASSERT_EQUAL(r->has_mask[n], mask != NULL);
	if (mask && r->has_mask[n]) {
		CU_ASSERT_EQUAL(memcmp(r->spec[n], spec, bytes), 0);
		CU_ASSERT_EQUAL(memcmp(r->mask[n], mask, bytes), 0);
	}
}

static void test_patterns(void)
{
	static const char *const odd[] = {"10.1.2.128/25", "2001:db8:1:8000::/49", NULL};

	for (unsigned tagged = 0; tagged < 2; tagged++) {
		struct rte_flow_item_ipv4 v4 = {.hdr.src_addr = htonl(0x0A010280)},
					  v4_mask = {.hdr.src_addr = htonl(0xFFFFFF80)};
		struct rte_flow_item_ipv6 v6 = {.hdr.src_addr = {0x20, 1, 0x0D, 0xB8, 0, 1, 0x80}},
					  v6_mask = {.hdr.src_addr = {
							     255, 255, 255, 255, 255, 255, 128}};
		struct rte_flow_item_udp udp = {.hdr.dst_port = htons(PORT)},
					 udp_mask = {.hdr.dst_port = 0xFFFF};
		struct rte_flow_item_vlan vlan = {.tci = htons(42)},
					  vlan_mask = {.tci = htons(0xFFF)};
		struct rte_flow_item_eth arp = {.type = htons(0x0806)}, arp_mask = {.type = 0xFFFF};
		const struct fake_rule *r = card.rules;
		unsigned at = 1 + tagged;

		CU_ASSERT_TRUE(plan(odd, everybody, both, 1, 0));
		steer.vlan = tagged ? 42 : 0;
		CU_ASSERT_EQUAL(make_all(), 0);
		CU_ASSERT_EQUAL_FATAL(card.rule_count, 5);
		for (unsigned n = 0; n < 5; n++) {
			CU_ASSERT_EQUAL(r[n].action, RTE_FLOW_ACTION_TYPE_QUEUE);
			CU_ASSERT_EQUAL(r[n].queues[0], n < 4); // queue 0 is the rest's
			CU_ASSERT_EQUAL(r[n].priority, n == 4);
			if (n == 2 && !tagged)
				continue;
			expect_item(&r[n], 0, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL, 0);
			if (tagged && n != 2)
				expect_item(&r[n], 1, RTE_FLOW_ITEM_TYPE_VLAN, &vlan, &vlan_mask,
					sizeof vlan);
		}
		CU_ASSERT_EQUAL(r[0].item_count, at + 2);
		expect_item(&r[0], at, RTE_FLOW_ITEM_TYPE_IPV4, &v4, &v4_mask, sizeof v4);
		expect_item(&r[0], at + 1, RTE_FLOW_ITEM_TYPE_UDP, &udp, &udp_mask, sizeof udp);
		CU_ASSERT_EQUAL(r[1].item_count, at + 2);
		expect_item(&r[1], at, RTE_FLOW_ITEM_TYPE_IPV6, &v6, &v6_mask, sizeof v6);
		expect_item(&r[1], at + 1, RTE_FLOW_ITEM_TYPE_UDP, &udp, &udp_mask, sizeof udp);
		CU_ASSERT_EQUAL(r[2].item_count, at);
		if (tagged) {
			vlan.inner_type = htons(0x0806);
			vlan_mask.inner_type = 0xFFFF;
			expect_item(
				&r[2], 1, RTE_FLOW_ITEM_TYPE_VLAN, &vlan, &vlan_mask, sizeof vlan);
		} else {
			expect_item(&r[2], 0, RTE_FLOW_ITEM_TYPE_ETH, &arp, &arp_mask, sizeof arp);
		}
		v6 = (struct rte_flow_item_ipv6){.hdr = {.proto = 58, .hop_limits = 255}};
		v6_mask = (struct rte_flow_item_ipv6){.hdr = {.proto = 255, .hop_limits = 255}};
		CU_ASSERT_EQUAL(r[3].item_count, at + 1);
		expect_item(&r[3], at, RTE_FLOW_ITEM_TYPE_IPV6, &v6, &v6_mask, sizeof v6);
		CU_ASSERT_EQUAL(r[4].item_count, at);
		pe_port_steer_destroy(&steer);
		CU_ASSERT_EQUAL(card.live, 0);
		CU_ASSERT_EQUAL(pe_port_steer_made(&steer), 0);
	}
}

static void test_workers(void)
{
	CU_ASSERT_TRUE(plan(some, everybody, both, 3, 128));
	CU_ASSERT_EQUAL(make_all(), 0);
	CU_ASSERT_EQUAL(card.rule_count, 4); // the table is the rest's rule
	CU_ASSERT_EQUAL(card.reta_size, 128);
	for (unsigned i = 0; i < 128; i++)
		CU_ASSERT_EQUAL(card.reta[i], i % 3);
	for (unsigned n = 0; n < 2; n++) {
		CU_ASSERT_EQUAL(card.rules[n].action, RTE_FLOW_ACTION_TYPE_RSS);
		CU_ASSERT_EQUAL_FATAL(card.rules[n].queue_count, 3);
		for (unsigned w = 0; w < 3; w++)
			CU_ASSERT_EQUAL(card.rules[n].queues[w], 3 + w);
		// of what the port can hash by, what is in such packets
		CU_ASSERT_EQUAL(card.rules[n].rss_types, n ? 0 : RTE_ETH_RSS_NONFRAG_IPV4_UDP);
	}
	CU_ASSERT_EQUAL(card.rules[2].queues[0], 3);
	// without a table a rule below the others spreads the rest
	CU_ASSERT_TRUE(plan(some, everybody, four, 3, 0));
	CU_ASSERT_EQUAL(make_all(), 0);
	CU_ASSERT_EQUAL_FATAL(card.rule_count, 3);
	CU_ASSERT_EQUAL(card.rules[2].priority, 1);
	CU_ASSERT_EQUAL_FATAL(card.rules[2].queue_count, 3);
	for (unsigned w = 0; w < 3; w++)
		CU_ASSERT_EQUAL(card.rules[2].queues[w], w);
}

static void test_refusals(void)
{
	static const char *const two[] = {"10.1.0.0/16", "10.2.3.0/24", NULL};
	bool none;

	// no rule at all
	CU_ASSERT_TRUE(plan(two, everybody, four, 1, 0));
	fake_forget();
	card.no_rules = true;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 2);
	CU_ASSERT_TRUE(none);
	CU_ASSERT_STRING_EQUAL(
		steer.why, "its driver refuses 10.1.0.0/16 (Function not implemented)");
	// one of two
	fake_forget();
	card.longest_v4 = 16;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 1);
	CU_ASSERT_FALSE(none);
	CU_ASSERT_STRING_EQUAL(
		steer.why, "its driver refuses 10.2.3.0/24 (the prefix is too long)");
	CU_ASSERT_EQUAL(pe_port_steer_create(&steer, &none), 1);
	CU_ASSERT_FALSE(none);
	CU_ASSERT_EQUAL(card.live, 3); // ARP and the rest
	pe_port_steer_destroy(&steer);
	// neither neighbours nor a rest: one worker does without
	fake_forget();
	card.no_arp = card.no_priority = true;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 0);
	CU_ASSERT_FALSE(none);
	CU_ASSERT_EQUAL(pe_port_steer_create(&steer, &none), 0);
	CU_ASSERT_EQUAL(card.live, 2);
	// several don't
	CU_ASSERT_TRUE(plan(two, everybody, four, 2, 0));
	fake_forget();
	card.no_priority = true;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 1);
	CU_ASSERT_TRUE(none);
	CU_ASSERT_PTR_NOT_NULL(strstr(steer.why, "a rule for all others (no priorities)"));
	// it took them, and has no room for them
	CU_ASSERT_TRUE(plan(two, everybody, four, 1, 0));
	fake_forget();
	card.no_create = true;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 0);
	CU_ASSERT_EQUAL(pe_port_steer_create(&steer, &none), 2);
	CU_ASSERT_TRUE(none);
	CU_ASSERT_PTR_NOT_NULL(strstr(steer.why, "10.1.0.0/16 (no room for rules)"));
	CU_ASSERT_EQUAL(pe_port_steer_made(&steer), 0);
	// no rule spreads: each prefix has a worker
	CU_ASSERT_TRUE(plan(two, everybody, four, 2, 128));
	fake_forget();
	card.no_rss = true;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 0);
	CU_ASSERT_FALSE(none);
	CU_ASSERT_TRUE(steer.by_prefix);
	CU_ASSERT_EQUAL(pe_port_steer_create(&steer, &none), 0);
	CU_ASSERT_EQUAL(card.rules[0].queues[0], 2);
	CU_ASSERT_EQUAL(card.rules[1].queues[0], 3);
	// no table: strangers would be everywhere
	CU_ASSERT_TRUE(plan(two, everybody, four, 2, 128));
	fake_forget();
	card.no_reta = true;
	CU_ASSERT_EQUAL(pe_port_steer_validate(&steer, &none), 0);
	(void)pe_port_steer_create(&steer, &none);
	CU_ASSERT_TRUE(none);
	CU_ASSERT_EQUAL(card.live, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(steer.why, "strangers"));
	// and more of it than there is room for
	CU_ASSERT_TRUE(plan(two, everybody, four, 2, 65535));
	fake_forget();
	(void)pe_port_steer_create(&steer, &none);
	CU_ASSERT_TRUE(none);
	CU_ASSERT_EQUAL(card.reta_size, 0);
}

// ---- frames ----

static unsigned put_frame(
	uint8_t *frame, const uint8_t from[16], uint16_t tag, uint16_t from_port, uint16_t to_port)
{
	struct rte_udp_hdr udp = {.src_port = htons(from_port),
		.dst_port = htons(to_port),
		.dgram_len = htons(8 + 16)};
	bool v4 = pe_address_is_v4(from);
	unsigned at = 12;

	memcpy(frame, own_mac, 6);
	memcpy(frame + 6, "\2\0\0\0\0\2", 6);
	if (tag) {
		frame[at++] = 0x81;
		frame[at++] = 0;
		frame[at++] = (uint8_t)(tag >> 8);
		frame[at++] = (uint8_t)tag;
	}
	frame[at++] = v4 ? 0x08 : 0x86;
	frame[at++] = v4 ? 0x00 : 0xDD;
	if (v4) {
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
			.total_length = htons(20 + 8 + 16),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_UDP,
			.dst_addr = htonl(0xC0000201)};

		memcpy(&ip.src_addr, from + 12, 4);
		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		memcpy(frame + at, &ip, sizeof ip);
		at += sizeof ip;
	} else {
		struct rte_ipv6_hdr ip = {.vtc_flow = htonl(6u << 28),
			.payload_len = htons(8 + 16),
			.proto = IPPROTO_UDP,
			.hop_limits = 64};

		memcpy(ip.src_addr, from, 16);
		memcpy(frame + at, &ip, sizeof ip);
		at += sizeof ip;
	}
	memcpy(frame + at, &udp, sizeof udp);
	memset(frame + at + sizeof udp, 0, 16);
	return at + (unsigned)sizeof udp + 16;
}

// Few different bits, so that prefixes meet; the mapped form or not.
static void draw_address(uint64_t *random, uint8_t address[16])
{
	bool v4 = testing_random(random) % 2;

	memset(address, 0, 16);
	memcpy(address, v4 ? "\0\0\0\0\0\0\0\0\0\0\xFF\xFF" : "\x20\1\x0D\xB8\0\0\0\0\0\0\0\0", 12);
	for (unsigned i = v4 ? 12 : 4; i < 16; i += v4 ? 1 : 2)
		address[i] = (uint8_t)(testing_random(random) & 0x81);
}

static void draw_prefix(uint64_t *random, struct pe_prefix *p)
{
	static const uint8_t v4_bits[] = {0, 1, 8, 9, 15, 16, 17, 24, 25, 31, 32},
			     v6_bits[] = {0, 1, 31, 32, 33, 40, 64, 90, 96, 97, 127, 128};
	uint8_t address[16];
	char text[INET6_ADDRSTRLEN], whole[64];
	bool v4;

	for (;;) {
		draw_address(random, address);
		v4 = pe_address_is_v4(address);
		inet_ntop(v4 ? AF_INET : AF_INET6, address + (v4 ? 12 : 0), text, sizeof text);
		snprintf(whole, sizeof whole, "%s/%u", text,
			v4 ? v4_bits[testing_random(random) % sizeof v4_bits] :
			     v6_bits[testing_random(random) % sizeof v6_bits]);
		if (pe_prefix_parse(whole, true, p))
			return;
	}
}

// Random prefixes and senders: the card's queue against the definition.
static void test_model(void)
{
	uint64_t seed = 0x57EE4, planned = 0, known_frames = 0, other_frames = 0;

	printf("seed %#llx ", (unsigned long long)seed);
	for (uint64_t round = 0; round < testing_amount(2000); round++) {
		bool keyed = false;
		struct pe_prefix *t = config.trusted, *a = config.admitted;

		CU_ASSERT_FALSE(plan(nobody, nobody, both, 1, 0));
		steer.vlan = testing_random(&seed) % 2 ? 42 : 0;
		config.trusted_count = (unsigned)(testing_random(&seed) % 6);
		config.admitted_count = 1 + (unsigned)(testing_random(&seed) % 6);
		for (unsigned i = 0; i < config.trusted_count; i++)
			draw_prefix(&seed, &t[i]);
		for (unsigned i = 0; i < config.admitted_count; i++)
			draw_prefix(&seed, &a[i]);
		// somebody is trusted and admitted, if anybody: the shorter prefix holds the other's first address
		for (unsigned i = 0; i < config.trusted_count; i++)
			for (unsigned j = 0; j < config.admitted_count; j++)
				keyed = keyed || pe_prefix_holds(&t[i], a[j].address) ||
					pe_prefix_holds(&a[j], t[i].address);
		if (!pe_port_steer_plan(&config, &config.sources[0], &steer))
			continue;
		planned++;
		CU_ASSERT_EQUAL(make_all(), 0);
		for (unsigned i = 0; i < 40; i++) {
			uint8_t address[16], frame[FRAME_MAX];
			bool ours = testing_random(&seed) % 8 != 0, known;
			unsigned bytes;

			draw_address(&seed, address);
			bytes = put_frame(frame, address, steer.vlan, 4000, ours ? PORT : PORT + 1);
			known = ours && pe_prefixes_hold(a, config.admitted_count, address) &&
				(!keyed || pe_prefixes_hold(t, config.trusted_count, address));
			CU_ASSERT_EQUAL(fake_queue(frame, bytes), known);
			known_frames += known;
			other_frames += !known;
			// in another VLAN it is nobody's
			bytes = put_frame(frame, address, 43, 4000, PORT);
			CU_ASSERT_EQUAL(fake_queue(frame, bytes), 0);
		}
		pe_port_steer_destroy(&steer);
	}
	CU_ASSERT(planned * 20 > testing_amount(2000));
	CU_ASSERT(known_frames > planned / 4 && other_frames > planned);
}

// ---- a port ----

static struct rte_ring *wires[2], *wire_out;
static struct rte_mempool *wire_pool;
static struct pe_source *source;
static unsigned serial;

static enum pe_status open_port(unsigned queues, const char *steering, unsigned workers,
	const char *more, struct pe_error *error)
{
	char name[32], text[512];

	serial++;
	for (unsigned q = 0; q < queues; q++) {
		snprintf(name, sizeof name, "card%u-%u", serial, q);
		wires[q] = rte_ring_create(
			name, QUEUE_ROOM, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	}
	snprintf(name, sizeof name, "card%u-out", serial);
	wire_out = rte_ring_create(name, QUEUE_ROOM, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!wire_pool)
		wire_pool = rte_pktmbuf_pool_create("wire", 4 * QUEUE_ROOM, 0, PE_ETHDEV_PRIVATE,
			RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	CU_ASSERT_FATAL(wire_out && wire_pool);
	snprintf(name, sizeof name, "card%u", serial);
	CU_ASSERT_FATAL(rte_eth_from_rings(name, wires, queues, &wire_out, 1, 0) >= 0);
	snprintf(text, sizeof text,
		"workers: {count: %u}\nadmitted: [0.0.0.0/0]\n%s"
		"sources:\n  - ethdev: {device: net_ring_card%u, addresses: [192.0.2.1/24], steer: %s}\n",
		workers, more, serial, steering);
	CU_ASSERT_EQUAL_FATAL(
		pe_config_load_text("test", text, strlen(text), &config, error), PE_OK);
	if (pe_ethdev_open(&config, 0, &source, error) != PE_OK)
		return error->status;
	memcpy(((struct pe_ethdev *)source)->local.mac, own_mac, sizeof own_mac);
	return PE_OK;
}

static void close_port(bool opened)
{
	if (opened)
		source->ops->close(source);
	CU_ASSERT_EQUAL(card.live, 0);
	for (unsigned q = 0; q < 2; q++) {
		rte_ring_free(wires[q]);
		wires[q] = NULL;
	}
	rte_ring_free(wire_out);
	pe_config_free(&config);
}

struct report {
	uint64_t known, other, rules;
};

static void take_report(void *context, const char *name, uint64_t value)
{
	struct report *r = context;

	if (strcmp(name, "rx_known") == 0)
		r->known = value;
	else if (strcmp(name, "rx_other") == 0)
		r->other = value;
	else if (strcmp(name, "steer_rules") == 0)
		r->rules = value;
}

static struct report report(void)
{
	struct report r = {0};

	source->ops->report(source, take_report, &r);
	return r;
}

// Onto the wire, and by the card into its queue. False: that is full.
static bool send_from(uint32_t address, uint16_t port)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);
	uint8_t from[16] = {[10] = 0xFF, [11] = 0xFF};
	uint8_t *frame;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	address = htonl(address);
	memcpy(from + 12, &address, 4);
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = (uint16_t)put_frame(frame, from, 0, port, PORT);
	m->pkt_len = m->data_len;
	if (rte_ring_sp_enqueue(wires[fake_queue(frame, m->data_len)], m) == 0)
		return true;
	rte_pktmbuf_free(m);
	return false;
}

static struct pe_counters counters;

// A worker's turn; how many of its messages come from the known.
static unsigned turn(unsigned worker, unsigned max, unsigned *seen)
{
	struct pe_message messages[PE_BURST_MAX];
	unsigned known = 0,
		 count = source->ops->receive(source, worker, true, messages, max, seen, &counters);

	CU_ASSERT(*seen <= max);
	for (unsigned i = 0; i < count; i++)
		known += messages[i].peer.trusted;
	source->ops->release(source, worker);
	return known;
}

#define KNOWN    0x0A010005u // 10.1.0.5
#define STRANGER 0x0A020005u

// Ten times of what the worker takes, for hundreds of turns. Returns what is lost of the known's.
static unsigned flood(const char *steering, struct report *reported, unsigned *strangers_lost)
{
	unsigned sent = 0, lost = 0, got = 0, seen, all = 0, total = 0;
	struct pe_error error = {0};
	uint64_t seed = 0xF100D;

	memset(&counters, 0, sizeof counters);
	CU_ASSERT_EQUAL_FATAL(open_port(2, steering, 1, "trusted: [10.1.0.0/16]\n", &error), PE_OK);
	*strangers_lost = 0;
	for (unsigned n = 0; n < 400; n++) {
		// from 300 on nobody floods; what waits is worked off
		for (unsigned i = 0; n < 300 && i < 640; i++) {
			bool known = testing_random(&seed) % 40 == 0;
			bool there = send_from(known ? KNOWN : STRANGER, (uint16_t)(4000 + i));

			sent += known;
			lost += known && !there;
			*strangers_lost += !known && !there;
			total += there;
		}
		got += turn(0, PE_BURST_MAX, &seen);
		all += seen;
		CU_ASSERT(n >= 300 || seen == PE_BURST_MAX);
	}
	*reported = report();
	CU_ASSERT(sent > 4000);
	CU_ASSERT_EQUAL(got, sent - lost);
	CU_ASSERT_EQUAL(all, total);
	// each frame is counted, once
	CU_ASSERT_EQUAL(pe_counted(&counters, PE_COUNTER_rx_packets), total);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(wire_pool), 0);
	close_port(true);
	return lost;
}

static void test_flood(void)
{
	unsigned strangers_lost;
	struct report r;

	fake_forget();
	CU_ASSERT_EQUAL(flood("auto", &r, &strangers_lost), 0);
	CU_ASSERT(strangers_lost > 100000);
	CU_ASSERT_EQUAL(r.rules, 3); // the prefix, ARP, the rest
	CU_ASSERT(r.known > 4000 && r.other > 4000);
	CU_ASSERT_EQUAL(r.known + r.other, pe_counted(&counters, PE_COUNTER_rx_packets));
	// in one queue with everybody they lose as much as everybody
	fake_forget();
	CU_ASSERT(flood("off", &r, &strangers_lost) > 2000);
	CU_ASSERT_EQUAL(card.validated, 0);
	CU_ASSERT_EQUAL(r.rules + r.known + r.other, 0);
	// and where the card refuses, the same
	fake_forget();
	card.no_rules = true;
	CU_ASSERT(flood("auto", &r, &strangers_lost) > 2000);
	CU_ASSERT_EQUAL(r.rules, 0);
	// What it takes first and refuses then leaves two queues that are looked at.
	fake_forget();
	card.no_create = true;
	CU_ASSERT(flood("auto", &r, &strangers_lost) > 2000);
	CU_ASSERT_EQUAL(r.rules, 0);
	CU_ASSERT_EQUAL(r.known + r.other, 0); // which tell nothing then
}

// Either has its part of every burst, and what the other leaves.
static void test_shares(void)
{
	static const unsigned waiting[][2] = {
		{200, 200}, {200, 0}, {0, 200}, {10, 200}, {200, 3}, {3, 5}, {0, 0}};
	static const unsigned bursts[] = {64, 32, 21, 16, 8, 5, 1};
	struct pe_error error = {0};

	fake_forget();
	CU_ASSERT_EQUAL_FATAL(open_port(2, "on", 1, "trusted: [10.1.0.0/16]\n", &error), PE_OK);
	for (unsigned b = 0; b < sizeof bursts / sizeof bursts[0]; b++)
		for (unsigned n = 0; n < sizeof waiting / sizeof waiting[0]; n++) {
			unsigned max = bursts[b], known = waiting[n][0], other = waiting[n][1];
			unsigned turns = 0;

			for (unsigned i = 0; i < known; i++)
				CU_ASSERT_TRUE(send_from(KNOWN, (uint16_t)(4000 + i)));
			for (unsigned i = 0; i < other; i++)
				CU_ASSERT_TRUE(send_from(STRANGER, (uint16_t)(4000 + i)));
			while (known + other && turns++ < 1000) {
				unsigned seen, of_known = turn(0, max, &seen);
				unsigned part = max >= 16 ? max / 4 & ~3u : max / 4;

				CU_ASSERT_EQUAL(seen, RTE_MIN(max, known + other));
				CU_ASSERT(of_known >= RTE_MIN(known, max - part));
				CU_ASSERT(seen - of_known >= RTE_MIN(other, part));
				known -= of_known;
				other -= seen - of_known;
			}
			CU_ASSERT_EQUAL(known + other, 0);
		}
	close_port(true);
}

// What is asked for and cannot be ends the start, with the reason.
static void expect_refused(unsigned queues, unsigned workers, const char *more, const char *text)
{
	struct pe_error error = {0};

	CU_ASSERT_EQUAL(open_port(queues, "on", workers, more, &error), PE_IO);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "steer is on, but the port cannot: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, text));
	if (!strstr(error.text, text))
		printf("\n    %s", error.text);
	close_port(false);
}

static void test_on(void)
{
	static const char one[] = "trusted: [10.1.0.0/16]\n",
			  two[] = "trusted: [10.1.0.0/16, 10.2.3.0/24]\n";
	struct pe_error error = {0};

	fake_forget();
	expect_refused(1, 1, one, "it has 1 receive queues");
	expect_refused(2, 1, "trusted: [0.0.0.0/0]\n", "nobody to keep apart");
	card.no_rules = true;
	expect_refused(2, 1, one, "Function not implemented");
	fake_forget();
	card.longest_v4 = 16;
	expect_refused(2, 1, two, "10.2.3.0/24 (the prefix is too long)");
	fake_forget();
	card.no_create = true;
	expect_refused(2, 1, one, "no room for rules");
	// with auto those that it takes are made
	fake_forget();
	card.longest_v4 = 16;
	CU_ASSERT_EQUAL_FATAL(open_port(2, "auto", 1, two, &error), PE_OK);
	CU_ASSERT_EQUAL(card.live, 3);
	close_port(true);
	// rules that can't be taken back are the port's to forget
	fake_forget();
	CU_ASSERT_EQUAL_FATAL(open_port(2, "on", 1, one, &error), PE_OK);
	card.no_destroy = true;
	source->ops->close(source);
	CU_ASSERT_EQUAL(card.live, 3);
	card.live = 0;
	close_port(false);
}

// One worker receives for two, from two queues; what is handed on is as before.
static void test_handed_on(void)
{
	struct pe_error error = {0};
	unsigned seen, known = 0, all = 0;

	fake_forget();
	memset(&counters, 0, sizeof counters);
	CU_ASSERT_EQUAL_FATAL(open_port(2, "on", 2, "trusted: [10.1.0.0/16]\n", &error), PE_OK);
	for (uint16_t i = 0; i < 200; i++) {
		CU_ASSERT_TRUE(send_from(KNOWN, (uint16_t)(4000 + i)));
		CU_ASSERT_TRUE(send_from(STRANGER, (uint16_t)(4000 + i)));
	}
	for (unsigned n = 0; n < 40; n++) {
		known += turn(0, PE_BURST_MAX, &seen);
		known += turn(1, PE_BURST_MAX, &seen);
		all += seen;
	}
	CU_ASSERT_EQUAL(known, 200);
	CU_ASSERT(all > 50); // worker 1 had its part
	CU_ASSERT_EQUAL(pe_counted(&counters, PE_COUNTER_rx_packets), 400);
	CU_ASSERT_EQUAL(report().known, 200);
	CU_ASSERT_EQUAL(report().other, 200);
	close_port(true);
}

int main(int argc, char **argv)
{
	static const struct testing_case rules[] = {
		{"what is planned", test_plan},
		{"the most prefixes", test_most},
		{"patterns", test_patterns},
		{"workers", test_workers},
		{"refusals", test_refusals},
		{"random prefixes and senders", test_model},
	};
	static const struct testing_case ports[] = {
		{"a flood of strangers", test_flood},
		{"shares of a burst", test_shares},
		{"on", test_on},
		{"handed on", test_handed_on},
	};
	static struct pe_config first;
	struct pe_error error = {0};
	int failed =
		testing_main("dataplane: a port's rules", rules, sizeof rules / sizeof rules[0]);

	if (argc > 1 && strcmp(argv[1], "rules") == 0)
		return failed;
	if (pe_config_load_text("test", "workers: {count: 2}\n", 20, &first, &error) != PE_OK ||
		pe_eal_start(&first, &error) != PE_OK) {
		fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	failed |= testing_main("dataplane: a steered port", ports, sizeof ports / sizeof ports[0]);
	pe_eal_stop();
	pe_config_free(&first);
	return failed;
}
