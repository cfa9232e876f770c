// Random updates, plain and with details, withdrawals and steps of time against a plain model of
// what is kept: what every query with details shows, and who stands a filter, is compared after
// each step. One worker and two, with and without thresholds. The seed is printed; PE_TEST_SEED is
// added to it.
#include "detailed.h"
#include "draw.h"
#include "harness.h"
#include "wire/filter.h"

#include <string.h>

#define ENTITIES 24u
#define NAMES    4u
#define TAGS     3u

static const char *const names[NAMES] = {"a", "bb", "ccc", "dddd"};
static const char *const tag_names[TAGS] = {"ferry", "ice", "tug"};

struct known {
	bool there;
	unsigned sequence;
	uint64_t expires_ms, stale_ms; // monotonic; stale_ms: 0 = never
	uint8_t type;
	bool has_orientation, has_schedule;
	float w; // of the orientation
	struct pe_wire_schedule schedule;
	unsigned tags; // mask
	bool set[NAMES];
	int64_t value[NAMES];
};

static struct harness h;
static struct known world[1 + ENTITIES];
static struct harness_answer a;
static uint64_t changed;

static void put_random(struct detailed *d, struct known *k)
{
	if (below(3) == 0) {
		k->has_orientation = below(4) != 0;
		k->w = (float)below(2) * 2 - 1;
		if (k->has_orientation)
			detailed_orientation(d, 0, 0, 0, k->w);
		else
			detailed_put(d, PE_DETAILS_ORIENTATION, "", 0);
	}
	if (below(3) == 0) {
		char list[64] = "";

		k->tags = below(1 << TAGS);
		for (unsigned i = 0; i < TAGS; i++)
			if (k->tags >> i & 1) {
				strcat(list, *list ? " " : "");
				strcat(list, tag_names[i]);
			}
		detailed_context(d, NULL, list);
	}
	if (below(2) == 0) {
		unsigned n = below(NAMES);

		k->set[n] = below(3) != 0;
		k->value[n] = (int64_t)below(1000);
		if (k->set[n])
			detailed_number(d, names[n], k->value[n]);
		else
			detailed_remove(d, names[n]);
	}
	if (below(3) == 0) {
		k->has_schedule = below(5) != 0;
		k->schedule = (struct pe_wire_schedule){
			h.now.wall_ms - 50000 + below(100000), 1 + below(20000), 0};
		k->schedule.open_for_ms = 1 + below(k->schedule.period_ms);
		if (k->has_schedule)
			detailed_put(d, PE_DETAILS_SCHEDULE, &k->schedule, sizeof k->schedule);
		else
			detailed_put(d, PE_DETAILS_SCHEDULE, "", 0);
	}
	if (below(4) == 0)
		detailed_put(d, PE_DETAILS_PAYLOAD, "payload", below(8));
}

static void update(unsigned n, bool detailed)
{
	struct known k = world[n].there ? world[n] : (struct known){.sequence = world[n].sequence};
	struct pe_wire_update u;
	struct detailed d;
	unsigned worker = below(h.worker_count);

	u = harness_update(n, ++k.sequence, below(2000), below(100), 0);
	u.entity_type = below(4) ? PE_ENTITY_MOBILE : PE_ENTITY_RECURRING;
	u.ttl_ms = 1000 + below(60000);
	u.update_frequency = below(3) ? 0 : (uint16_t)(1 + below(600));
	k.type = u.entity_type;
	if (detailed) {
		detailed_begin(&d, &u);
		put_random(&d, &k);
		(void)harness_queue_detailed(&h, 0, HARNESS_INCARNATION, d.bytes,
			pe_wire_detailed_next(d.bytes), 1, below(2));
	} else {
		(void)harness_queue_updates(&h, 0, HARNESS_INCARNATION, &u, 1, below(2));
	}
	harness_turn_worker(&h, worker);
	harness_settle(&h);
	if (k.type == PE_ENTITY_RECURRING && !k.has_schedule) {
		// Refused; and the pair is free again.
		return;
	}
	k.there = true;
	k.expires_ms = h.now.mono_ms + u.ttl_ms;
	k.stale_ms = 0;
	if (u.update_frequency && 180000u / u.update_frequency < u.ttl_ms)
		k.stale_ms = h.now.mono_ms + 180000u / u.update_frequency;
	world[n] = k;
	changed++;
}

static bool shown(const struct known *k)
{
	return k->there && h.now.mono_ms < k->expires_ms &&
		(k->type != PE_ENTITY_RECURRING || pe_schedule_open(&k->schedule, h.now.wall_ms));
}

static void compare(const struct known *k, const struct pe_wire_result *r, const uint8_t *details)
{
	struct pe_details_blocks b;
	struct pe_wire_orientation o;
	struct pe_value v;
	bool any = false;

	pe_wire_get_details(details, &b);
	CU_ASSERT_EQUAL(
		!!(r->state & PE_RESULT_STALE), k->stale_ms && h.now.mono_ms >= k->stale_ms);
	CU_ASSERT_EQUAL(r->entity_type, k->type);
	CU_ASSERT_EQUAL(b.content[PE_DETAILS_ORIENTATION] != NULL, k->has_orientation);
	if (b.content[PE_DETAILS_ORIENTATION]) {
		memcpy(&o, b.content[PE_DETAILS_ORIENTATION], sizeof o);
		CU_ASSERT_EQUAL(o.q[3], k->w);
	}
	CU_ASSERT_EQUAL(b.content[PE_DETAILS_SCHEDULE] != NULL, k->has_schedule);
	if (b.content[PE_DETAILS_SCHEDULE])
		CU_ASSERT_EQUAL(memcmp(b.content[PE_DETAILS_SCHEDULE], &k->schedule, 16), 0);
	CU_ASSERT_EQUAL(b.content[PE_DETAILS_CONTEXT] != NULL, k->tags != 0);
	for (unsigned i = 0; i < TAGS; i++)
		CU_ASSERT_EQUAL(pe_context_has_tag(b.content[PE_DETAILS_CONTEXT],
					b.bytes[PE_DETAILS_CONTEXT], (const uint8_t *)tag_names[i],
					(uint32_t)strlen(tag_names[i])),
			k->tags >> i & 1);
	for (unsigned i = 0; i < NAMES; i++) {
		bool there = b.content[PE_DETAILS_METADATA] &&
			pe_metadata_find(b.content[PE_DETAILS_METADATA],
				b.bytes[PE_DETAILS_METADATA], (const uint8_t *)names[i],
				(uint32_t)strlen(names[i]), &v);

		any |= k->set[i];
		CU_ASSERT_EQUAL(there, k->set[i]);
		if (there && k->set[i])
			CU_ASSERT_EQUAL(v.whole, k->value[i]);
	}
	CU_ASSERT_EQUAL(b.content[PE_DETAILS_METADATA] != NULL, any);
}

// Everyone, with and without details; and those with a tag.
static void look(void)
{
	struct pe_wire_query q = harness_sphere(1000, 0, 0, 1e6);
	_Alignas(8) uint8_t program[PE_FILTER_BYTES_MAX], extension[PE_FILTER_BYTES_MAX + 8];
	unsigned wanted = 0, tagged = 0, tag = below(TAGS), worker = below(h.worker_count);
	struct pe_filter_writer w;
	struct pe_filter_error error;
	uint32_t bytes;

	for (unsigned n = 1; n <= ENTITIES; n++) {
		wanted += shown(&world[n]);
		tagged += shown(&world[n]) && world[n].tags >> tag & 1;
	}
	harness_ask(&h, worker, 0, &q, &a);
	CU_ASSERT_EQUAL(a.count, wanted);
	q.flags |= PE_QUERY_WITH_DETAILS;
	harness_ask(&h, worker, 0, &q, &a);
	CU_ASSERT_EQUAL(a.count, wanted);
	for (unsigned i = 0; i < a.count; i++) {
		uint64_t n = harness_id_number(a.results[i].entity_id);

		CU_ASSERT_FATAL(n >= 1 && n <= ENTITIES);
		CU_ASSERT(shown(&world[n]));
		compare(&world[n], &a.results[i], a.details + a.details_at[i]);
	}
	pe_filter_begin(&w);
	pe_filter_put_text(&w, PE_FILTER_TAG, (const uint8_t *)tag_names[tag],
		(uint32_t)strlen(tag_names[tag]));
	bytes = pe_filter_finish(&w, program, &error);
	bytes = pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_FILTER, program, bytes);
	q.flags ^= below(2) ? PE_QUERY_WITH_DETAILS : 0;
	harness_ask_extended(&h, worker, 0, &q, extension, bytes, &a);
	CU_ASSERT_EQUAL(a.count, tagged);
}

static void forget_expired(void)
{
	for (unsigned n = 1; n <= ENTITIES; n++)
		if (world[n].there && h.now.mono_ms >= world[n].expires_ms)
			world[n] = (struct known){.sequence = world[n].sequence};
}

static void run(unsigned workers, float distance_m, uint64_t seed)
{
	struct pe_engine_config config = harness_config();
	const char *more = getenv("PE_TEST_SEED");

	seed += more ? strtoull(more, NULL, 0) : 0;
	printf("seed %llu ", (unsigned long long)seed);
	state = seed;
	changed = 0;
	memset(world, 0, sizeof world);
	config.worker_count = workers;
	config.details_bytes = 1 << 20;
	config.spaces[0].coalesce_distance_m = distance_m;
	harness_failed = testing_failed;
	harness_start(&h, &config);
	for (uint64_t i = 0; i < testing_amount(3000); i++) {
		unsigned n = 1 + below(ENTITIES), what = below(16);

		if (what < 6) {
			update(n, true);
		} else if (what < 11) {
			update(n, false);
		} else if (what < 12 && world[n].there) {
			struct pe_wire_withdraw x = {.sequence = ++world[n].sequence};

			harness_id(x.entity_id, n);
			(void)harness_queue_withdraws(&h, 0, HARNESS_INCARNATION, &x, 1, false);
			harness_turn_worker(&h, below(workers));
			harness_settle(&h);
			world[n] = (struct known){.sequence = world[n].sequence};
		} else {
			harness_advance(&h, 1 + below(what == 15 ? 20000 : 1500));
			harness_settle(&h);
		}
		forget_expired();
		look();
		if (CU_get_number_of_failures() > 20)
			break;
	}
	CU_ASSERT(changed > testing_amount(3000) / 5);
	harness_stop(&h);
}

static void one_worker(void)
{
	run(1, 0, 20261126);
}

static void two_workers(void)
{
	run(2, 0, 20261127);
}

static void with_a_threshold(void)
{
	run(1, 50, 20261128);
}

TESTING_MAIN("details model", {"one worker", one_worker}, {"two workers", two_workers},
	{"with a threshold", with_a_threshold})
