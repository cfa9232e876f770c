// Which rules a port is given, to the bit; that a card that follows them keeps the known apart from
// everybody else, against a plain comparison of addresses; and what is done without where it
// refuses. No EAL.
#include "dataplane/port_steer.h"
#include "fake_flows.h"
#include "steer_frame.h"
#include "tests/testing.h"

#include <string.h>

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
	steer = (struct pe_port_steer){.udp_port = STEER_PORT,
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
		struct rte_flow_item_udp udp = {.hdr.dst_port = htons(STEER_PORT)},
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

// ---- against addresses ----

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
		// somebody is trusted and admitted, if anybody: the shorter prefix holds the
		// other's first address
		for (unsigned i = 0; i < config.trusted_count; i++)
			for (unsigned j = 0; j < config.admitted_count; j++)
				keyed = keyed || pe_prefix_holds(&t[i], a[j].address) ||
					pe_prefix_holds(&a[j], t[i].address);
		if (!pe_port_steer_plan(&config, &config.sources[0], &steer))
			continue;
		planned++;
		CU_ASSERT_EQUAL(make_all(), 0);
		for (unsigned i = 0; i < 40; i++) {
			uint8_t address[16], frame[STEER_FRAME_MAX];
			bool ours = testing_random(&seed) % 8 != 0, known;
			unsigned bytes;

			draw_address(&seed, address);
			bytes = steer_frame(frame, address, steer.vlan, 4000,
				ours ? STEER_PORT : STEER_PORT + 1);
			known = ours && pe_prefixes_hold(a, config.admitted_count, address) &&
				(!keyed || pe_prefixes_hold(t, config.trusted_count, address));
			CU_ASSERT_EQUAL(fake_queue(frame, bytes), known);
			known_frames += known;
			other_frames += !known;
			// in another VLAN it is nobody's
			bytes = steer_frame(frame, address, 43, 4000, STEER_PORT);
			CU_ASSERT_EQUAL(fake_queue(frame, bytes), 0);
		}
		pe_port_steer_destroy(&steer);
	}
	CU_ASSERT(planned * 20 > testing_amount(2000));
	CU_ASSERT(known_frames > planned / 4 && other_frames > planned);
}

TESTING_MAIN("dataplane: a port's rules", {"what is planned", test_plan},
	{"the most prefixes", test_most}, {"patterns", test_patterns}, {"workers", test_workers},
	{"refusals", test_refusals}, {"random prefixes and senders", test_model})
