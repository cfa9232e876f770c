// The configuration: what is taken, and that every refusal names file, line, key and what is wrong.
#include "dataplane/config.h"
#include "policy/methods.h"
#include "dataplane/guard/listed.h"
#include "tests/testing.h"

#include <string.h>
#include <unistd.h>

static enum pe_status load(const char *text, struct pe_config *c, struct pe_error *error)
{
	return pe_config_load_text("t.yaml", text, strlen(text), c, error);
}

// The message must start with `where` ("t.yaml:3: workers.count: ") and hold `what`.
static void expect_error(const char *text, const char *where, const char *what)
{
	static struct pe_config c;
	struct pe_error error = {0};
	enum pe_status status = load(text, &c, &error);

	if (status != PE_INVALID || strncmp(error.text, where, strlen(where)) != 0 ||
		!strstr(error.text, what))
		printf("\n    got \"%s\", expected \"%s…%s\"", error.text, where, what);
	CU_ASSERT_EQUAL(status, PE_INVALID);
	CU_ASSERT(strncmp(error.text, where, strlen(where)) == 0);
	CU_ASSERT(strstr(error.text, what) != NULL);
	pe_config_free(&c);
}

static void test_default(void)
{
	static struct pe_config c;
	struct pe_error error = {0};

	CU_ASSERT_EQUAL_FATAL(pe_config_load(NULL, &c, &error), PE_OK);
	CU_ASSERT_EQUAL(c.worker_count, 1);
	CU_ASSERT_EQUAL(c.idle, PE_IDLE_SLEEP);
	CU_ASSERT(c.no_huge && !c.engine.huge_pages && !c.telemetry);
	CU_ASSERT_EQUAL(c.engine.entity_count_max, 200000);
	CU_ASSERT_EQUAL(c.source_count, 1);
	CU_ASSERT_EQUAL(c.sources[0].port, 10202);
	CU_ASSERT(pe_address_is_loopback(c.sources[0].bind.address));
	CU_ASSERT_EQUAL(c.engine.space_count, 2);
	CU_ASSERT_EQUAL(c.engine.spaces[0].space.kind, PE_SPACE_CARTESIAN);
	CU_ASSERT(c.engine.spaces[1].space.worldwide);
	CU_ASSERT_EQUAL(c.trusted_count, 2);
	pe_config_free(&c);
	CU_ASSERT_EQUAL(load("# nothing\n", &c, &error), PE_OK);
	CU_ASSERT_EQUAL(c.engine.space_count, 2);
	pe_config_free(&c);
	CU_ASSERT_EQUAL(load("trusted: []\n", &c, &error), PE_OK); // none, not the default
	CU_ASSERT_EQUAL(c.trusted_count, 0);
	CU_ASSERT_EQUAL(c.admitted_count, 2);
	pe_config_free(&c);
}

// The lists of policies that a name, or a free role, stands in.
static void expect_name(
	const struct pe_config *c, const char *text, bool role, uint32_t allow, uint32_t deny)
{
	unsigned count, found = 0;
	const struct pe_listed_name *names = pe_config_names(c, &count);

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(names[i].text, text) != 0 || names[i].role != role)
			continue;
		CU_ASSERT_EQUAL(names[i].allow, allow);
		CU_ASSERT_EQUAL(names[i].deny, deny);
		found++;
	}
	CU_ASSERT_EQUAL(found, 1);
}

static void test_views(void)
{
	static const char text[] =
		"views:\n"
		"  epoch_ms: 120000\n"
		"  cohort_epochs: 48\n"
		"  policies:\n"
		"  - {name: friends, space: world, visibility: [restricted, hidden], types: [mobile, custom], id_prefix: a1b, "
		"area: {low: [-10, 170, 0], high: [10, -170, 0]}, allow: [alice, bob], deny: [bob], from: \"22:00\", "
		"until: \"06:30\", anonymous: true, details: false, velocity: false, grid_m: 500, ttl_max_ms: 60000}\n"
		"  - {name: noise, everyone: true, planar_laplace_m: 200, deny_roles: [guest]}\n"
		"  - {name: crowd, everyone: true, k_anonymity: 5, area_m: 250}\n"
		"  - {name: ward, visibility: [restricted], tags: [ward, \"caf\u00e9\"], allow: [alice], "
		"allow_roles: [admin, nurse, guest], deny_roles: [subscribe]}\n"
		"  - {name: own, everyone: true, method: {name: scatter, first: 500, second: 0.5}}\n"
		"  - {name: few, everyone: true, counts_below: 5, counts_cell_m: 512}\n";
	static struct pe_config c;
	struct pe_error error = {0};
	const struct pe_policy *p;

	CU_ASSERT_EQUAL_FATAL(load(text, &c, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(c.engine.views.policy_count, 6);
	CU_ASSERT(c.engine.views.policies[5].counts_below == 5 &&
		c.engine.views.policies[5].counts_cell_m == 512);
	CU_ASSERT_EQUAL(c.engine.views.policies[4].counts_below, 0);
	CU_ASSERT_PTR_EQUAL(c.engine.views.policies[4].method, &pe_method_scatter);
	CU_ASSERT_EQUAL(c.engine.views.policies[4].method_first, 500);
	CU_ASSERT_EQUAL(c.engine.views.policies[4].method_second, 0.5);
	CU_ASSERT_PTR_NULL(c.engine.views.policies[2].method);
	CU_ASSERT_EQUAL(c.engine.views.policies[2].k, 5);
	CU_ASSERT_EQUAL(c.engine.views.policies[2].area_m, 250);
	CU_ASSERT_EQUAL(c.engine.views.epoch_ms, 120000);
	CU_ASSERT_EQUAL(c.engine.views.cohort_epochs, 48);
	p = &c.engine.views.policies[0];
	CU_ASSERT_STRING_EQUAL(p->name, "friends");
	CU_ASSERT_EQUAL(p->space, 1);
	CU_ASSERT_EQUAL(p->visibility, 1u << PE_RESTRICTED | 1u << PE_HIDDEN);
	CU_ASSERT_EQUAL(p->type_mask, 1u << PE_ENTITY_MOBILE | 1u << 4);
	CU_ASSERT(p->prefix[0] == 0xA1 && p->prefix[1] == 0xB0 && p->prefix_bits == 12);
	CU_ASSERT(p->area && p->low[1] == 170 && p->high[1] == -170);
	CU_ASSERT(p->allow_count == 0 && p->deny_count == 0 && p->denies);
	expect_name(&c, "alice", false, 1u | 8u, 0);
	expect_name(&c, "bob", false, 1, 1);
	expect_name(&c, "nurse", true, 8, 0);
	expect_name(&c, "guest", true, 8, 2);
	CU_ASSERT(p->from_minute == 22 * 60 && p->until_minute == 6 * 60 + 30);
	CU_ASSERT(p->anonymous && p->no_details && p->no_velocity && !p->everyone);
	CU_ASSERT(p->cloak_m == 500 && p->ttl_max_ms == 60000);
	p = &c.engine.views.policies[1];
	CU_ASSERT(p->space == PE_POLICY_EVERY_SPACE && p->everyone && p->laplace_m == 200);
	CU_ASSERT(p->denies && p->deny_roles == 0);
	CU_ASSERT(!c.engine.views.policies[2].denies);
	p = &c.engine.views.policies[3];
	CU_ASSERT_EQUAL(p->allow_roles, PE_ROLE_ADMIN);
	CU_ASSERT_EQUAL(p->deny_roles, PE_ROLE_SUBSCRIBE);
	CU_ASSERT_EQUAL_FATAL(p->tag_count, 2);
	CU_ASSERT(p->tags[0].bytes == 4 && memcmp(p->tags[0].text, "ward", 4) == 0);
	CU_ASSERT(p->tags[1].bytes == 5 && memcmp(p->tags[1].text, "caf\xc3\xa9", 5) == 0);
	CU_ASSERT_EQUAL(pe_config_check_unkeyed(&c, &error), PE_INVALID);
	CU_ASSERT_STRING_EQUAL(error.text,
		"t.yaml:5: views.policies[0].allow: there is no principal \"alice\": there is no keyring");
	pe_config_free(&c);
}

static void test_wrong_views(void)
{
#define POLICY(rest) "views:\n  policies:\n  - {name: n, " rest "}\n"
#define EXPECT(rest, key, what) \
	expect_error(POLICY(rest), "t.yaml:3: views.policies[0]" key ": ", what)
	expect_error("views: {epoch_ms: 59999}\n", "t.yaml:1: views.epoch_ms: ", "from 60000");
	expect_error("views: {cohort_epochs: 1}\n", "t.yaml:1: views.cohort_epochs: ", "from 2");
	expect_error("views: {policies: [{everyone: true}]}\n",
		"t.yaml:1: views.policies[0]: ", "needs a name");
	expect_error("views: {epochs: 1}\n", "t.yaml:1: ", "epochs");
	EXPECT("space: nowhere", ".space", "name of a space");
	EXPECT("visibility: [secret]", ".visibility[0]", "must be public or");
	EXPECT("types: [ship]", ".types[0]", "must be static or");
	EXPECT("id_prefix: xy", ".id_prefix", "hexadecimal");
	EXPECT("id_prefix: \"000000000000000000000000000000000\"", ".id_prefix", "hexadecimal");
	EXPECT("area: {low: [1, 2, 3], high: [1, 2, 3]}", ".area", "name it");
	EXPECT("space: world, area: {low: [1, 2], high: [1, 2, 3]}", ".area", "three numbers");
	EXPECT("space: world, area: {low: [1, 2, x], high: [1, 2, 3]}", ".area.low[2]", "a number");
	EXPECT("everyone: maybe", ".everyone", "true or false");
	EXPECT("everyone: true, allow: [alice]", "", "either everyone");
	EXPECT("everyone: true, visibility: [hidden]", "", "not for everyone");
	EXPECT("from: \"24:00\", until: \"01:00\"", ".from", "time of day");
	EXPECT("from: \"7:00\", until: \"01:00\"", ".from", "time of day");
	EXPECT("from: \"07:00\"", "", "both of from and until");
	EXPECT("grid_m: 0.5", ".grid_m", "from 1");
	EXPECT("planar_laplace_m: 1e9", ".planar_laplace_m", "from 1");
	EXPECT("space: world, planar_laplace_m: 10, area: {low: [1, 2, 0], high: [1, 2, 3]}", "",
		"on which side");
	EXPECT("k_anonymity: 1, area_m: 100", ".k_anonymity", "from 2");
	EXPECT("k_anonymity: 5, area_m: 1", ".area_m", "from 10");
	EXPECT("k_anonymity: 5", "", "both of");
	EXPECT("k_anonymity: 5, area_m: 100, grid_m: 100", "", "one of");
	EXPECT("ttl_max_ms: 0", ".ttl_max_ms", "from 1");
	EXPECT("counts_below: 2, counts_cell_m: 512", ".counts_below", "from 3");
	EXPECT("counts_below: 65, counts_cell_m: 512", ".counts_below", "from 3");
	EXPECT("counts_below: 5, counts_cell_m: 0", ".counts_cell_m", "from 1");
	EXPECT("counts_below: few, counts_cell_m: 1", ".counts_below", "number");
	EXPECT("counts_below: 5", "", "both of counts_below");
	EXPECT("counts_cell_m: 5", "", "both of counts_below");
	EXPECT("method: {name: teleport, first: 5}", ".method.name",
		"must be a method that is registered (scatter)");
	EXPECT("method: {first: 5}", ".method", "needs a name");
	EXPECT("method: {name: scatter}", ".method", "first is its cell_m, a number from 1");
	EXPECT("method: {name: scatter, first: x}", ".method.first", "a number");
	EXPECT("method: {name: scatter, first: 5, second: 2}", ".method",
		"second is its share, a number from 0 to 1");
	EXPECT("method: {name: scatter, first: 5, third: 2}", ".method.third", "no such key");
	EXPECT("method: {name: scatter, first: 5}, grid_m: 100", "", "one of");
	EXPECT("space: world, method: {name: scatter, first: 5}, area: {low: [1, 2, 0], high: [1, 2, 3]}",
		"", "on which side");
	EXPECT("tags: [\"\"]", ".tags[0]", "must be a tag");
	EXPECT("tags: [a, \"a\\x01\"]", ".tags[1]", "must be a tag");
	EXPECT("tags: [a23456789012345678901234567890123]", ".tags[0]", "must be a tag");
	EXPECT("tags: [a, b, c, d, e, f, g, h, i]", ".tags[7]", "too many");
	expect_error(POLICY("tags: [a]") "memory: {details_mb: 0}\n",
		"t.yaml:3: views.policies[0].tags: ", "details_mb");
	EXPECT("within_m: 100", ".within_m", "is open");
	expect_error(
		"spaces: [{name: s, id: 00000000-0000-0000-0000-000000000001, kind: cartesian, "
		"authorization: first}]\n" POLICY("space: s, within_m: 2049"),
		"t.yaml:4: views.policies[0].within_m: ", "from 1 to 2048");
	EXPECT("allow_roles: [\"\"]", ".allow_roles[0]", "must be a role");
	EXPECT("deny_roles: [a2345678901234567890123456789012]", ".deny_roles[0]",
		"must be a role");
	EXPECT("everyone: true, allow_roles: [admin]", "", "either everyone");
	EXPECT("everyone: true, allow_roles: [nurse]", "", "either everyone");
	EXPECT("colour: red", ".colour", "no such key");
#undef EXPECT
#undef POLICY
}

static void test_all_keys(void)
{
	static const char text[] =
		"workers: {count: 2, cores: [3, 4], control_core: 0, idle: pause, pause_after_turns: 1, "
		"sleep_after_turns: 2, sleep_us_max: 3}\n"
		"memory: {entities: 1000, pending: 10, cells: 20, nodes: 30, chunks: 40, details_mb: 50, fences: 50, memberships: 60, subscriptions: 70, huge_pages: true, no_huge: false, socket_mem_mb: 128}\n"
		"limits: {tombstone_ms: 5, clock_ahead_ms: 6, ring_records: 128, query_results: 7, query_cells: 8, "
		"query_candidates: 64}\n"
		"eal: {arguments: [--single-file-segments]}\n"
		"telemetry: true\nlog: debug\n"
		"trusted: [10.0.0.0/8]\nadmitted: [10.0.0.0/8, \"2001:db8::/32\"]\n"
		"sources:\n"
		"  - socket: {address: \"::1\", port: 1}\n"
		"  - ethdev: {device: \"net_null0\", addresses: [192.0.2.1/24, \"2001:db8::1/64\"], port: 2, "
		"queues: 2, descriptors: 256, mtu: 1500, vlan: 9, steer: off}\n"
		"spaces:\n"
		"  - {id: 00000000-0000-0000-0000-0000000000Ff, name: a, kind: geodetic, home: [60.1, 24.9], "
		"extent_m: 100000, leaf_edge_m: 32, leaf_height_m: 512, ttl_default_ms: 1, ttl_max_ms: 2, "
		"frequency_default: 3, coalesce_distance_m: 1.5, coalesce_interval_ms: 4, coalesce_attribute: 0.5, "
		"predict_distance_m: 2.5, predict_horizon_ms: 1001, precision_max_m: 10, stale_after_intervals: 5, "
		"decay_mobile_ms: 11, decay_temporary_ms: 12, decay_recurring_ms: 13, decay_custom_ms: 14, "
		"authorization: first, owner_memory_ms: 15, speed_max_mobile_mps: 16.5, speed_max_temporary_mps: 17, "
		"speed_max_recurring_mps: 18, speed_max_custom_mps: 19, plausible_fixes: 3}\n";
	static struct pe_config c;
	struct pe_error error = {0};
	enum pe_status status = load(text, &c, &error);
	const struct pe_space_policy *p = &c.engine.spaces[0];

	if (status != PE_OK)
		printf("\n    %s", error.text);
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
	CU_ASSERT(
		c.worker_count == 2 && c.core_count == 2 && c.cores[1] == 4 && c.control_core == 0);
	CU_ASSERT(c.idle == PE_IDLE_PAUSE && c.pause_after_turns == 1 && c.sleep_after_turns == 2);
	CU_ASSERT(c.sleep_us_max == 3 && c.dpdk_mb == 128 && !c.no_huge && c.telemetry);
	CU_ASSERT(c.engine.worker_count == 2 && c.engine.entity_count_max == 1000 &&
		c.engine.huge_pages);
	CU_ASSERT(c.engine.pending_count_max == 10 && c.engine.tombstone_ms == 5 &&
		c.engine.clock_ahead_ms == 6);
	CU_ASSERT(c.engine.cell_count_max == 20 && c.engine.node_count_max == 30 &&
		c.engine.chunk_count_max == 40 && c.engine.details_bytes == 50 << 20);
	CU_ASSERT(c.engine.fence_count_max == 50 && c.engine.member_count_max == 60 &&
		c.engine.subscription_count_max == 70);
	CU_ASSERT(c.engine.ring_records == 128 && c.engine.query_results_max == 7);
	CU_ASSERT(c.engine.query_cells_max == 8 && c.engine.query_candidates_max == 64);
	CU_ASSERT(c.eal_argument_count == 1 &&
		strcmp(c.eal_arguments[0], "--single-file-segments") == 0);
	CU_ASSERT(c.trusted_count == 1 && c.trusted[0].bits == 104 && c.admitted_count == 2);
	CU_ASSERT(c.source_count == 2 && c.sources[0].port == 1 && c.sources[1].port == 2);
	CU_ASSERT(c.sources[1].address_count == 2 && c.sources[1].addresses[0].bits == 120);
	CU_ASSERT(c.sources[1].queues == 2 && c.sources[1].descriptors == 256 &&
		c.sources[1].vlan == 9);
	CU_ASSERT(c.engine.space_count == 1 && p->space.id[15] == 0xFF &&
		p->space.kind == PE_SPACE_GEODETIC);
	CU_ASSERT(p->space.home[0] > 60 && p->space.home[1] > 24 && p->space.leaf_height_m > 511);
	CU_ASSERT(p->ttl_default_ms == 1 && p->ttl_max_ms == 2 && p->frequency_default == 3);
	CU_ASSERT(p->coalesce_interval_ms == 4 && p->coalesce_distance_m > 1.4f &&
		p->precision_max_m > 9.9f);
	CU_ASSERT(p->predict_distance_m > 2.4f && p->predict_horizon_ms == 1001);
	CU_ASSERT(p->stale_intervals == 5 && p->decay_ms[1] == 11 && p->decay_ms[2] == 12 &&
		p->decay_ms[3] == 13 && p->decay_ms[4] == 14);
	CU_ASSERT(p->authorization == PE_AUTHORIZATION_FIRST && p->owner_memory_ms == 15 &&
		p->plausible_fixes == 3);
	CU_ASSERT(p->speed_max_mps[0] == 0 && p->speed_max_mps[1] == 16.5f &&
		p->speed_max_mps[2] == 17 && p->speed_max_mps[3] == 18 &&
		p->speed_max_mps[4] == 19);
	pe_config_free(&c);
}

static void test_budgets(void)
{
	static const char text[] =
		"memory: {when_full: lowest_priority}\n"
		"limits:\n"
		"  network: {updates: 10, queries: 20.5, bytes_out: 30000, entities: 40}\n"
		"  principal: {updates: 11, queries: 21, bytes_out: 31000, entities: 41, subscriptions: 5}\n"
		"  total: {updates: 12, queries: 22, bytes_out: 32000}\n"
		"  burst_ms: 250\n"
		"load: {coarser_percent: 40, shedding_percent: 70, factor: 3}\n"
		"security: {sandbox: off}\n";
	static struct pe_config c;
	struct pe_error error = {0};

	CU_ASSERT_EQUAL_FATAL(load("# the default\n", &c, &error), PE_OK);
	CU_ASSERT_FALSE(pe_door_wanted(&c.door) || pe_load_wanted(&c.load));
	CU_ASSERT(c.sandbox && c.engine.when_full == PE_FULL_REFUSE && c.engine.coarse_max == 1);
	pe_config_free(&c);
	CU_ASSERT_EQUAL_FATAL(load(text, &c, &error), PE_OK);
	CU_ASSERT(c.door.source.updates == 10 && c.door.source.queries == 20.5 &&
		c.door.source.bytes_out == 30000 && c.engine.network_entity_max == 40);
	CU_ASSERT(c.door.principal.updates == 11 && c.door.principal.queries == 21 &&
		c.door.principal.bytes_out == 31000 && c.engine.principal_entity_max == 41 &&
		c.engine.principal_subscription_max == 5);
	CU_ASSERT(c.door.total.updates == 12 && c.door.total.queries == 22 &&
		c.door.total.bytes_out == 32000 && c.door.burst_s == 0.25 && c.door.sheds);
	CU_ASSERT(c.load.coarser_percent == 40 && c.load.shedding_percent == 70 &&
		c.load.factor == 3 && c.engine.coarse_max == 3);
	CU_ASSERT(c.engine.when_full == PE_FULL_LOWEST_PRIORITY && !c.sandbox);
	pe_config_free(&c);
	expect_error("limits: {network: {updates: -1}}\n",
		"t.yaml:1: limits.network.updates: ", "from 0");
	expect_error("limits: {total: {bytes_out: 0.001}}\n",
		"t.yaml:1: limits.total.bytes_out: ", "0.01");
	expect_error("limits: {total: {entities: 5}}\n",
		"t.yaml:1: limits.total.entities: ", "no such key");
	expect_error("limits: {network: {queries: lots}}\n",
		"t.yaml:1: limits.network.queries: ", "a number");
	expect_error("limits:\n  burst_ms: 5\n", "t.yaml:2: limits.burst_ms: ", "from 10");
	expect_error("memory: {when_full: lru}\n",
		"t.yaml:1: memory.when_full: ", "least_recently_seen");
	expect_error(
		"load: {coarser_percent: 101}\n", "t.yaml:1: load.coarser_percent: ", "from 0");
	expect_error("load: {factor: 17}\n", "t.yaml:1: load.factor: ", "from 1");
	expect_error("load: {coarser_percent: 50, shedding_percent: 40}\n",
		"t.yaml:1: load.shedding_percent: ", "below");
	expect_error("security: {sandbox: true}\n", "t.yaml:1: security.sandbox: ", "off or on");
}

// Of as many brackets as fit, which take libyaml hours.
static void expect_deep(void)
{
	static char text[1u << 20];

	memset(text, '[', sizeof text - 1);
	memcpy(text, "log: ", 5);
	expect_error(text, "t.yaml:1: ", "nested deeper than 32 times");
	for (unsigned i = 5; i < sizeof text - 4; i += 4)
		memcpy(text + i, "{a: ", 4);
	expect_error(text, "t.yaml:1: ", "nested deeper than 32 times");
	for (unsigned i = 0; i < sizeof text - 2; i += 2)
		memcpy(text + i, "- ", 2);
	expect_error(text, "t.yaml:1: ", "nested deeper than 32 times");
}

// What else would take long to read, or would not be read.
static void expect_odd_texts(void)
{
	static char text[1u << 20];
	size_t used = (size_t)snprintf(text, sizeof text, "log: [");

	expect_error("log: \"info\\0debug\"\n", "t.yaml:1: ", "a text with a NUL in it");
	expect_error("trusted: []\n\"l\\0\": info\n", "t.yaml:2: ", "a text with a NUL in it");
	for (unsigned i = 0; i < 1000; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "&a%u 1,", i);
	expect_error(text, "t.yaml:", "not YAML"); // it has no end, but no more anchors either
	while (used < sizeof text - 10)
		used += (size_t)snprintf(text + used, sizeof text - used, "&b%zu 1,", used);
	expect_error(text, "t.yaml:1: ", "more than 1000 anchors");
	used = 0;
	for (unsigned i = 0; i < 16; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%%TAG !%u! tag:x:\n", i);
	snprintf(text + used, sizeof text - used, "---\nlog: info\nlgo: debug\n");
	expect_error(text, "t.yaml:19: lgo: ", "no such key");
	snprintf(text + used, sizeof text - used, "%%TAG !16! tag:x:\n---\nlog: info\n");
	expect_error(text, "t.yaml:17: ", "more than 16 lines of %TAG");
	expect_error("\xFF\xFEl", "t.yaml:1: ", "UTF-16");
	expect_error("\xFE\xFF", "t.yaml:1: ", "UTF-16");
}

// An option that presenced sets itself, in every way in which EAL would read it.
static void test_eal_options(void)
{
	static const char *const ours[] = {"-l0", "-l", "-m512", "--lcores=0", "--lcor=0",
		"--proc-t=secondary", "--file-pre=x", "--in-mem", "--no-telem"};
	static const char *const others[] = {"--no-pci", "-a0000:01:00.0", "--vdev=net_null9",
		"--log-level=8", "-v", "--single-file-segments", "--socket-limit=1"};
	static const char *const help[] = {"-h", "--help", "--he", "-vh", "-vl0",
		"--log-level=help", "--log-l=help", "--log-level\", \"help"};
	static struct pe_config c;
	struct pe_error error = {0};
	char text[100];

	for (unsigned i = 0; i < sizeof help / sizeof help[0]; i++) {
		snprintf(text, sizeof text, "eal: {arguments: [\"%s\"]}\n", help[i]);
		expect_error(text, "t.yaml:1: eal.arguments[0]: ", "asks for help");
	}
	for (unsigned i = 0; i < sizeof ours / sizeof ours[0]; i++) {
		snprintf(text, sizeof text, "eal: {arguments: [\"%s\"]}\n", ours[i]);
		expect_error(text, "t.yaml:1: eal.arguments[0]: ", "presenced sets itself");
	}
	for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
		snprintf(text, sizeof text, "eal: {arguments: [\"%s\"]}\n", others[i]);
		CU_ASSERT_EQUAL(load(text, &c, &error), PE_OK);
		pe_config_free(&c);
	}
}

static void test_keys(void)
{
	expect_error("workers: {count: 1}\nworkres: 1\n", "t.yaml:2: workres: ", "no such key");
	expect_error("workers:\n  count: 1\n\n  # hm\n  ilde: sleep\n",
		"t.yaml:5: workers.ilde: ", "no such key");
	expect_error("log: info\nlog: debug\n", "t.yaml:2: log: ", "twice");
	expect_error(
		"spaces:\n  - id: 00000000-0000-0000-0000-000000000001\n    kind: cartesian\n    leaf: 3\n",
		"t.yaml:4: spaces[0].leaf: ", "no such key");
	expect_error("workers: 3\n", "t.yaml:1: workers: ", "MAPPING");
	expect_error("log: [a]\n", "t.yaml:1: log: ", "STRING");
	expect_error("a\n", "t.yaml:1: ", "keys and values");
	expect_error("workers: {count: 1\nlog: info\n", "t.yaml:", "not YAML");
	expect_error("log: \"info\n", "t.yaml:", "not YAML");
	expect_error("trusted: &a [10.0.0.0/8]\nadmitted: *a\n", "t.yaml:", "");
	expect_error("log: info\n---\nlgo: debug\n", "t.yaml:2: ", "second document");
	expect_error("---\n---\nlog: debug\n", "t.yaml:", "second document");
	expect_error("log: info\n---\nlog: [\n", "t.yaml:", "not YAML");
	expect_deep();
	expect_odd_texts();
}

static void test_values(void)
{
	expect_error("workers:\n  count: two\n", "t.yaml:2: workers.count: ", "whole number");
	expect_error("workers:\n  count: 1_0\n", "t.yaml:2: workers.count: ", "whole number");
	expect_error("workers:\n  count: -1\n", "t.yaml:2: workers.count: ", "whole number");
	expect_error("workers:\n  count: 1.5\n", "t.yaml:2: workers.count: ", "whole number");
	expect_error("workers:\n  count:\n", "t.yaml:2: workers.count: ", "whole number");
	expect_error("workers:\n  count: 0\n", "t.yaml:2: workers.count: ", "from 1 to 32");
	expect_error("workers:\n  count: 33\n", "t.yaml:2: workers.count: ", "from 1 to 32");
	expect_error("memory:\n  entities: 99999999999999999999999\n",
		"t.yaml:2: memory.entities: ", "whole");
	expect_error("workers: {count: 2, cores: [1]}\n",
		"t.yaml:1: workers.cores: ", "one core for each");
	expect_error("workers:\n  count: 2\n  cores:\n    - 1\n    - 1\n",
		"t.yaml:5: workers.cores[1]: ", "no other worker");
	expect_error(
		"workers: {idle: nap}\n", "t.yaml:1: workers.idle: ", "spin or pause or sleep");
	expect_error("telemetry: maybe\n", "t.yaml:1: telemetry: ", "true or false");
	expect_error("log: loud\n", "t.yaml:1: log: ", "error or warning");
	expect_error(
		"limits: {ring_records: 100}\n", "t.yaml:1: limits.ring_records: ", "power of two");
	expect_error("eal:\n  arguments:\n    - --no-huge\n",
		"t.yaml:3: eal.arguments[0]: ", "sets itself");
}

static void test_addresses(void)
{
	expect_error(
		"trusted:\n  - 10.0.0.0/8\n  - 10.0.0.0/33\n", "t.yaml:3: trusted[1]: ", "prefix");
	expect_error("trusted: [10.0.0.1/8]\n", "t.yaml:1: trusted[0]: ", "no bits behind");
	expect_error("admitted: [localhost]\n", "t.yaml:1: admitted[0]: ", "address");
	expect_error("sources:\n  - socket:\n      address: 1.2.3\n",
		"t.yaml:3: sources[0].socket.address: ", "IPv4");
	expect_error("sources:\n  - socket: {port: 0}\n",
		"t.yaml:2: sources[0].socket.port: ", "from 1 to 65535");
	expect_error("sources:\n  - socket: {port: 70000}\n",
		"t.yaml:2: sources[0].socket.port: ", "65535");
	expect_error("sources: []\n", "t.yaml:1: sources: ", "from 1 to 8");
	expect_error("sources:\n  - {}\n",
		"t.yaml:2: sources[0]: ", "either a socket, an ethdev or a ring");
	expect_error("sources:\n  - socket: {port: 1}\n  - socket: {port: 1}\n",
		"t.yaml:3: sources[1]: ", "same as sources[0]");
	expect_error("admitted: [10.0.0.0/8]\nsources:\n  - ethdev: {addresses: [1.2.3.4]}\n",
		"t.yaml:3: sources[0].ethdev.device: ", "vdev");
	expect_error("admitted: [10.0.0.0/8]\nsources:\n  - ethdev: {device: net_null0}\n",
		"t.yaml:3: sources[0].ethdev.addresses: ", "at least one");
	expect_error("sources:\n  - ethdev: {device: net_null0, addresses: [192.0.2.1/24]}\n",
		"t.yaml:2: sources[0].ethdev: ", "admitted");
	expect_error(
		"admitted: [10.0.0.0/8]\nsources:\n  - ethdev: {device: net_null0, addresses: [1.2.3.4], mtu: 9001}\n",
		"t.yaml:3: sources[0].ethdev.mtu: ", "from 1500 to 9000");
	expect_error(
		"admitted: [10.0.0.0/8]\nsources:\n  - ethdev: {device: net_null0, addresses: [1.2.3.4], steer: maybe}\n",
		"t.yaml:3: sources[0].ethdev.steer: ", "auto or on or off");
}

#define ID1 "00000000-0000-0000-0000-000000000001"

static void test_spaces(void)
{
	expect_error("spaces: []\n", "t.yaml:1: spaces: ", "from 1 to 64");
	expect_error("spaces:\n  - kind: cartesian\n", "t.yaml:2: spaces[0]: ", "key id");
	expect_error("spaces:\n  - id: " ID1 "\n", "t.yaml:2: spaces[0]: ", "key kind");
	expect_error("spaces:\n  - id: 12345\n    kind: cartesian\n",
		"t.yaml:2: spaces[0].id: ", "uuid");
	expect_error("spaces:\n  - id: " ID1 "0\n    kind: cartesian\n",
		"t.yaml:2: spaces[0].id: ", "uuid");
	expect_error("spaces:\n  - id: 0000000g-0000-0000-0000-000000000001\n    kind: cartesian\n",
		"t.yaml:2: spaces[0].id: ", "uuid");
	expect_error("spaces:\n  - id: 00000000-0000-0000-0000-000000000000\n    kind: cartesian\n",
		"t.yaml:2: spaces[0].id: ", "nil");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian}\n  - {id: " ID1
		     ", kind: cartesian}\n",
		"t.yaml:3: spaces[1].id: ", "spaces[0]");
	expect_error("spaces:\n  - {id: " ID1 ", kind: round}\n",
		"t.yaml:2: spaces[0].kind: ", "cartesian or geodetic");
	expect_error(
		"spaces:\n  - {id: " ID1 ", kind: geodetic}\n", "t.yaml:2: spaces[0]: ", "home");
	expect_error("spaces:\n  - {id: " ID1 ", kind: geodetic, home: [91, 0]}\n",
		"t.yaml:2: spaces[0].home[0]: ", "90");
	expect_error("spaces:\n  - {id: " ID1 ", kind: geodetic, home: [nan, 0]}\n",
		"t.yaml:2: spaces[0].home[0]: ", "number");
	expect_error("spaces:\n  - id: " ID1 "\n    kind: cartesian\n    worldwide: true\n",
		"t.yaml:4: spaces[0].worldwide: ", "geodetic");
	expect_error("spaces:\n  - {id: " ID1
		     ", kind: cartesian, ttl_default_ms: 10, ttl_max_ms: 5}\n",
		"t.yaml:2: spaces[0].ttl_default_ms: ", "above");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, predict_distance_m: 10001}\n",
		"t.yaml:2: spaces[0].predict_distance_m: ", "from 0 to 10000");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, predict_horizon_ms: 999}\n",
		"t.yaml:2: spaces[0].predict_horizon_ms: ", "from 1000 to 600000");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, authorization: closed}\n",
		"t.yaml:2: spaces[0].authorization: ", "open or first or keyring");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, owner_memory_ms: 86400001}\n",
		"t.yaml:2: spaces[0].owner_memory_ms: ", "from 1 to 86400000");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, speed_max_mobile_mps: -1}\n",
		"t.yaml:2: spaces[0].speed_max_mobile_mps: ", "from 0 to 1e+09");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, plausible_fixes: 1}\n",
		"t.yaml:2: spaces[0].plausible_fixes: ", "from 2 to 16");
	expect_error("spaces:\n  - {id: " ID1 ", kind: cartesian, coalesce_attribute: 2}\n",
		"t.yaml:2: spaces[0].coalesce_attribute: ", "from 0 to 1");
	expect_error("spaces:\n  - {id: " ID1
		     ", kind: cartesian, leaf_edge_m: 64, leaf_height_m: 100}\n",
		"t.yaml:2: spaces[0]: ", "");
}

static void test_files(void)
{
	static struct pe_config c;
	struct pe_error error = {0};

	CU_ASSERT_EQUAL(pe_config_load("/nonexistent/x.yaml", &c, &error), PE_IO);
	CU_ASSERT(strstr(error.text, "/nonexistent/x.yaml") != NULL);
	CU_ASSERT_EQUAL(pe_config_load("/", &c, &error), PE_IO);
	CU_ASSERT_STRING_EQUAL(error.text, "/: cannot be read: Is a directory");
	pe_config_free(&c);
}

// Half of a file, at every length: refused or taken, and never a crash or a leak.
static void test_every_truncation(void)
{
	static const char text[] =
		"workers: {count: 2, cores: [3, 4]}\ntrusted: [10.0.0.0/8]\nsources:\n"
		"  - socket: {address: \"::1\", port: 1}\nspaces:\n"
		"  - {id: " ID1 ", name: a, kind: geodetic, home: [60.1, 24.9]}\n";
	static struct pe_config c;

	for (size_t bytes = 0; bytes <= sizeof text - 1; bytes++) {
		struct pe_error error = {0};
		char *copy = malloc(bytes + 1);

		memcpy(copy, text, bytes);
		if (pe_config_load_text("t", copy, bytes, &c, &error) != PE_OK)
			CU_ASSERT(strncmp(error.text, "t:", 2) == 0);
		pe_config_free(&c);
		free(copy);
	}
}

static const char *reference; // configs/reference.yaml

// What a zero stands for, so that a default that is written out equals one that is left out.
static void spell_out(struct pe_engine_config *c)
{
#define ZERO(field, value) c->field = c->field ? c->field : (value)
	ZERO(ring_records, PE_RING_RECORDS_MAX);
	ZERO(tombstone_ms, PE_TOMBSTONE_MS);
	ZERO(clock_ahead_ms, PE_CLOCK_AHEAD_MS);
	ZERO(query_results_max, PE_QUERY_RESULTS_MAX);
	ZERO(query_cells_max, PE_QUERY_CELLS_MAX);
	ZERO(query_candidates_max, PE_QUERY_CANDIDATES_MAX);
	for (unsigned i = 0; i < c->space_count; i++) {
		ZERO(spaces[i].ttl_default_ms, PE_TTL_DEFAULT_MS);
		ZERO(spaces[i].predict_horizon_ms, PE_PREDICT_HORIZON_MS);
		ZERO(spaces[i].ttl_max_ms, PE_TTL_MAX_MS);
		if (!(c->spaces[i].precision_max_m > 0))
			c->spaces[i].precision_max_m = PE_PRECISION_MAX_M;
	}
#undef ZERO
}

// The reference says that it shows the defaults: loading it changes nothing, to the byte.
static void test_reference(void)
{
	static struct pe_config shown, built_in;
	struct pe_error error = {0};
	enum pe_status status = pe_config_load(reference, &shown, &error);

	if (status != PE_OK)
		printf("\n    %s", error.text);
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_config_load(NULL, &built_in, &error), PE_OK);
	spell_out(&shown.engine);
	spell_out(&built_in.engine);
	// First what has a name, so that a failure tells which.
#define SAME(field) CU_ASSERT(memcmp(&shown.field, &built_in.field, sizeof shown.field) == 0)
	SAME(worker_count);
	SAME(core_count);
	SAME(control_core);
	SAME(idle);
	SAME(pause_after_turns);
	SAME(sleep_after_turns);
	SAME(sleep_us_max);
	SAME(no_huge);
	SAME(dpdk_mb);
	SAME(eal_argument_count);
	SAME(source_count);
	SAME(sources);
	SAME(trusted_count);
	SAME(trusted);
	SAME(admitted_count);
	SAME(admitted);
	SAME(telemetry);
	SAME(log_level);
	SAME(engine.entity_count_max);
	SAME(engine.pending_count_max);
	SAME(engine.cell_count_max);
	SAME(engine.node_count_max);
	SAME(engine.chunk_count_max);
	SAME(engine.fence_count_max);
	SAME(engine.member_count_max);
	SAME(engine.subscription_count_max);
	SAME(engine.ring_records);
	SAME(engine.tombstone_ms);
	SAME(engine.clock_ahead_ms);
	SAME(engine.query_results_max);
	SAME(engine.query_cells_max);
	SAME(engine.query_candidates_max);
	SAME(engine.space_count);
	SAME(engine.spaces[0]);
	SAME(engine.spaces[1]);
	SAME(engine);
#undef SAME
	memset(shown.file, 0, sizeof shown.file);
	memset(built_in.file, 0, sizeof built_in.file);
	CU_ASSERT(memcmp(&shown, &built_in, sizeof shown) == 0);
	pe_config_free(&shown);
	pe_config_free(&built_in);
}

// Some sources in it stand in comments: without its signs each says what one with nothing but what
// it must have is.
static void load_from_comment(const char *begin, struct pe_config *shown)
{
	char line[256], text[4096] = "admitted: [10.0.0.0/8]\nsources:\n";
	FILE *in = fopen(reference, "re");
	struct pe_error error = {0};
	enum pe_status status;
	bool inside = false;
	unsigned lines = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	while (fgets(line, sizeof line, in)) {
		inside = inside ? strncmp(line, "  #     ", 8) == 0 :
				  strncmp(line, begin, strlen(begin)) == 0;
		if (inside) {
			memcpy(line + 2, "  ", 2);
			lines++;
			strncat(text, line + 2, sizeof text - strlen(text) - 1);
		}
	}
	fclose(in);
	CU_ASSERT(lines > 10);
	status = load(text, shown, &error);
	if (status != PE_OK)
		printf("\n    %s\n%s", error.text, text);
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
	CU_ASSERT_EQUAL(shown->source_count, 1);
}

static void test_reference_ethdev(void)
{
	static struct pe_config shown, least;
	struct pe_error error = {0};

	load_from_comment("  # - ethdev:", &shown);
	CU_ASSERT_EQUAL(
		load("admitted: [10.0.0.0/8]\nsources:\n  - ethdev: {device: \"0000:01:00.0\", "
		     "addresses: [192.0.2.1/24, \"2001:db8::1/64\"]}\n",
			&least, &error),
		PE_OK);
	CU_ASSERT(memcmp(&shown.sources[0], &least.sources[0], sizeof least.sources[0]) == 0);
	pe_config_free(&shown);
	pe_config_free(&least);
}

static void test_reference_ring(void)
{
	static struct pe_config shown, least;
	struct pe_error error = {0};

	load_from_comment("  # - ring:", &shown);
	CU_ASSERT_EQUAL(
		load("sources:\n  - ring: {path: /run/presence/presence.sock, allow_uids: [1000]}\n",
			&least, &error),
		PE_OK);
	CU_ASSERT(memcmp(&shown.sources[0], &least.sources[0], sizeof least.sources[0]) == 0);
	pe_config_free(&shown);
	pe_config_free(&least);
}

static void test_ring(void)
{
	static struct pe_config c;
	struct pe_error error = {0};
	char longer[200] = "sources:\n  - ring: {path: /";

	CU_ASSERT_EQUAL_FATAL(
		load("sources:\n  - ring: {path: /a, clients: 64, ring_kb: 16, trusted: false, "
		     "allow_uids: [0, 7], allow_gids: [8, 9, 10]}\n  - ring: {path: /b}\n",
			&c, &error),
		PE_OK);
	CU_ASSERT_EQUAL(c.sources[0].kind, PE_SOURCE_RING);
	CU_ASSERT_STRING_EQUAL(c.sources[0].path, "/a");
	CU_ASSERT(c.sources[0].client_count == 64 && c.sources[0].ring_bytes == 16384);
	CU_ASSERT(!c.sources[0].trusted && c.sources[0].uid_count == 2 &&
		c.sources[0].gid_count == 3);
	CU_ASSERT(c.sources[0].uids[1] == 7 && c.sources[0].gids[2] == 10);
	// Nobody is named: who runs the engine.
	CU_ASSERT(c.sources[1].uid_count == 1 && c.sources[1].uids[0] == geteuid() &&
		c.sources[1].gid_count == 0 && c.sources[1].trusted);
	CU_ASSERT(!c.sources[1].known_only && c.sources[1].level == 0);
	pe_config_free(&c);
	CU_ASSERT_EQUAL_FATAL(load("security: {keyring: k, level: encrypt}\nsources:\n"
				   "  - ring: {path: /a, known_only: true, level: none}\n"
				   "  - ring: {path: /b}\n",
				      &c, &error),
		PE_OK);
	CU_ASSERT(c.sources[0].known_only && c.sources[0].level == 0 && c.sources[1].level == 2);
	pe_config_free(&c);
	expect_error("sources:\n  - ring: {path: /a, known_only: true}\n",
		"t.yaml:2: sources[0].ring: ", "known_only needs security.keyring");
	expect_error("sources:\n  - ring: {path: /a, level: sign}\n",
		"t.yaml:2: sources[0].ring: ", "its level needs security.keyring");
	expect_error("sources:\n  - ring: {path: /a, known_only: perhaps}\n",
		"t.yaml:2: sources[0].ring.known_only: ", "true or false");
	// Groups alone: no user by itself.
	CU_ASSERT_EQUAL_FATAL(
		load("sources:\n  - ring: {path: /a, allow_gids: [8]}\n", &c, &error), PE_OK);
	CU_ASSERT(c.sources[0].uid_count == 0 && c.sources[0].gid_count == 1);
	pe_config_free(&c);
	expect_error("sources:\n  - ring: {clients: 1}\n",
		"t.yaml:2: sources[0].ring.path: ", "whole path");
	expect_error("sources:\n  - ring: {path: run/x}\n",
		"t.yaml:2: sources[0].ring.path: ", "whole path");
	memset(longer + strlen(longer), 'x', 120);
	snprintf(longer + strlen(longer), 8, "}\n");
	expect_error(longer, "t.yaml:2: sources[0].ring.path: ", "at most 107 bytes");
	expect_error("sources:\n  - ring: {path: /a, clients: 65}\n",
		"t.yaml:2: sources[0].ring.clients: ", "from 1 to 64");
	expect_error("sources:\n  - ring: {path: /a, ring_kb: 48}\n",
		"t.yaml:2: sources[0].ring.ring_kb: ", "power of two");
	expect_error("sources:\n  - ring: {path: /a, ring_kb: 8}\n",
		"t.yaml:2: sources[0].ring.ring_kb: ", "from 16 to 65536");
	expect_error("sources:\n  - ring: {path: /a, trusted: maybe}\n",
		"t.yaml:2: sources[0].ring.trusted: ", "true or false");
	expect_error("sources:\n  - ring: {path: /a, allow_uids: [root]}\n",
		"t.yaml:2: sources[0].ring.allow_uids[0]: ", "whole number");
	expect_error(
		"sources:\n  - ring: {path: /a, allow_gids: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}\n",
		"t.yaml:2: sources[0].ring.allow_gids: ", "at most 16");
	expect_error("sources:\n  - ring: {path: /a}\n    socket: {port: 1}\n",
		"t.yaml:2: sources[0]: ", "either a socket, an ethdev or a ring");
	expect_error("sources:\n  - ring: {path: /a}\n  - ring: {path: /a}\n",
		"t.yaml:3: sources[1]: ", "same as sources[0]");
}

int main(int argc, char **argv)
{
	static const struct testing_case cases[] = {
		{"the embedded default", test_default},
		{"every key", test_all_keys},
		{"budgets, load and rights", test_budgets},
		{"views", test_views},
		{"wrong views", test_wrong_views},
		{"options of EAL", test_eal_options},
		{"keys that are not", test_keys},
		{"values", test_values},
		{"addresses and sources", test_addresses},
		{"spaces", test_spaces},
		{"files", test_files},
		{"every truncation", test_every_truncation},
		{"the reference shows the defaults", test_reference},
		{"the reference's ethdev", test_reference_ethdev},
		{"the reference's ring", test_reference_ring},
		{"rings", test_ring},
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s configs/reference.yaml\n", argv[0]);
		return EXIT_FAILURE;
	}
	reference = argv[1];
	if (pe_method_register(&pe_method_scatter, &(struct pe_error){0}) != PE_OK)
		return EXIT_FAILURE;
	return testing_main("dataplane-config", cases, sizeof cases / sizeof cases[0]);
}
