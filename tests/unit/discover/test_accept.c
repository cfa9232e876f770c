// The short way of an ordinary query's hits takes them as the general one does: the same results to
// the bit, the same handles, and the same place to go on from, whatever is among them.
#include "discover/accept.h"
#include "space/space.h"
#include "testing.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define RECORDS     100u
#define HITS_MAX    70u
#define RESULTS_MAX 80u
#define TICK        5000u
#define WALL_MS     1700000000000ull
#define SPACE       3u

static struct {
	_Alignas(PE_PAGE_BYTES) uint8_t pages[(RECORDS / PE_PAGE_RECORDS + 1) * PE_PAGE_BYTES];
	struct pe_table table;
	struct pe_space space;
	struct pe_counters counters;
	struct pe_wire_query query;
	struct pe_asker asker;
	struct pe_view_rules rules;
	struct pe_views views;
	struct pe_hit hit[HITS_MAX];
	uint32_t handle[HITS_MAX + 8];
	uint64_t random;
	unsigned odds; // of a record that is not ordinary, of 1,000
	unsigned long taken;
} t;

static uint64_t below(uint64_t n)
{
	return testing_random(&t.random) % n;
}

static struct pe_record *record(uint32_t n)
{
	return &t.table.records[pe_handle_nth(n)];
}

static bool odd(void)
{
	return below(1000) < t.odds;
}

static double coordinate(void)
{
	return (double)below(1u << 20) * 0x1p-20 * 12 - 6;
}

static float precision(void)
{
	static const float some[] = {0, 0.5f, 1.0f, 65504.0f, 65519.9f, 1e6f, FLT_MAX, 6e-8f};

	return below(4) ? (float)below(100000) / 128 : some[below(8)];
}

static uint64_t time_ms(void)
{
	static const int64_t away[] = {0, 1, -1, INT32_MAX, INT32_MIN, (int64_t)INT32_MAX + 1,
		(int64_t)INT32_MIN - 1, INT64_C(1) << 40, -(INT64_C(1) << 40)};

	return WALL_MS - (uint64_t)(below(4) ? (int64_t)below(100000) : away[below(9)]);
}

static uint32_t expiry(void)
{
	static const uint32_t left[] = {1, 99, 100, 101, 6553500, 6553501, INT32_MAX};
	static const uint32_t gone[] = {0, UINT32_MAX, 0u - 1000, 0x80000001u};

	if (odd())
		return TICK + gone[below(4)];
	return TICK + (below(4) ? 1 + (uint32_t)below(100000) : left[below(7)]);
}

static void fill(uint32_t n)
{
	struct pe_record *r = record(n);
	uint64_t noise = testing_random(&t.random);
	struct pe_published p = {.position = {coordinate(), coordinate(), coordinate()},
		.word = noise & PE_WORD_POSITION,
		.entity_type = (uint8_t)(noise & 1 ? PE_ENTITY_CUSTOM + below(128) : below(4)),
		.custom_state = (uint8_t)(noise >> 16),
		.attributes = (uint16_t)(noise >> 24) & 0x0FFF,
		.expiry_tick = expiry(),
		.time_ms = time_ms(),
		.precision_m = precision(),
		.velocity = {(uint16_t)noise, (uint16_t)(noise >> 5), (uint16_t)(noise >> 11)},
		.position_confidence = (uint8_t)(noise >> 40),
		.status_confidence = (uint8_t)(noise >> 48)};
	uint8_t id[16];

	for (unsigned i = 0; i < 16; i++)
		id[i] = (uint8_t)below(256);
	if (odd())
		p.radius_m = (float[]){5, -0.0f, 1e-30f, 100}[below(4)];
	if (odd()) {
		p.radius_m = 0;
		p.attributes |= PE_PUBLISHED_ANNOUNCED; // its view has to be completed
	}
	pe_record_name(r, id);
	atomic_store(&r->version, 2 * (uint32_t)below(1000));
	atomic_store(&r->status,
		pe_status_make(PE_LIFE_THERE, 1, odd() ? SPACE + 1 : SPACE,
			below(2) ? PE_STATUS_HELD : 0));
	memcpy(&r->shown, &p, sizeof p);
	if (odd()) { // its owner is writing
		memcpy(t.table.drafts[1].words, &p, sizeof p);
		r->shown.position[0] = NAN;
		atomic_fetch_add(&r->version, 1);
	}
}

static void begin(unsigned odds)
{
	memset(&t, 0, sizeof t);
	t.random = 20261127;
	t.odds = odds;
	t.table.records = (struct pe_record *)(void *)t.pages;
	t.rules.views = &t.views;
	t.rules.space = &t.space;
	t.space.config.kind = PE_SPACE_CARTESIAN;
}

static struct pe_test test_of(bool general)
{
	return (struct pe_test){.space = &t.space,
		.query = &t.query,
		.asker = &t.asker,
		.table = &t.table,
		.counters = &t.counters,
		.now = {.tick = TICK, .wall_ms = WALL_MS},
		// Filters without any: the general way, one by one.
		.ways = {.sphere = true, .centred = true, .filtered = general},
		.rules = &t.rules,
		.space_index = SPACE,
		.radius_m = t.query.b[0],
		.centre = {t.query.a[0], t.query.a[1], t.query.a[2]},
		.origin = {t.query.a[0], t.query.a[1], t.query.a[2]},
		.region_count = 1,
		.region_total = 1};
}

struct outcome {
	unsigned count, at;
	uint32_t handles[RESULTS_MAX];
	uint8_t results[RESULTS_MAX * sizeof(struct pe_wire_result) + 64];
};

// In one go, or in two with so much room first.
static void take(struct outcome *o, bool general, unsigned hits, unsigned first, unsigned room,
	unsigned shift)
{
	struct pe_test test = test_of(general);
	struct pe_hits all = {.hit = t.hit, .handle = t.handle, .end = hits, .ahead = HITS_MAX};

	memset(o, 0xA5, sizeof *o);
	o->count = pe_accept(&test, &all, (void *)(o->results + shift), o->handles, first);
	if (o->count == first)
		o->count += pe_accept(&test, &all,
			(void *)(o->results + shift + first * sizeof(struct pe_wire_result)),
			&o->handles[first], room - first);
	o->at = all.at;
	CU_ASSERT(all.asked <= all.ahead && (general || all.asked >= all.at));
}

static void compare(unsigned rounds)
{
	static struct outcome expected, met;

	for (unsigned n = 0; n < rounds; n++) {
		unsigned hits = (unsigned)below(HITS_MAX + 1), shift = (unsigned)below(64);
		unsigned room = (unsigned)below(RESULTS_MAX - 8) + 1;
		unsigned first = below(2) ? (unsigned)below(room) + 1 : room;

		if (n % 16 == 0)
			for (uint32_t i = 0; i < RECORDS; i++)
				fill(i);
		for (unsigned i = 0; i < HITS_MAX; i++) {
			t.handle[i] = pe_handle_nth((uint32_t)below(RECORDS));
			t.hit[i] = (struct pe_hit){
				.handle = t.handle[i], .word = below(PE_WORD_POSITION)};
		}
		t.query = (struct pe_wire_query){.kind = PE_QUERY_SPHERE,
			.a = {coordinate() / 8, coordinate() / 8, coordinate() / 8},
			// Of most rounds all are inside.
			.b = {below(4) ? 50 : 7}};
		take(&expected, true, hits, first, room, shift);
		take(&met, false, hits, first, room, shift);
		CU_ASSERT_EQUAL(met.count, expected.count);
		CU_ASSERT_EQUAL(met.at, expected.at);
		CU_ASSERT_EQUAL(memcmp(met.results + shift, expected.results + shift,
					met.count * sizeof(struct pe_wire_result)),
			0);
		// What is beyond the last result is nobody's.
		CU_ASSERT_EQUAL(
			memcmp(met.handles, expected.handles, met.count * sizeof(uint32_t)), 0);
		t.taken += met.count;
	}
	printf("(%lu results) ", t.taken);
	CU_ASSERT(t.taken > rounds);
}

static void all_ordinary(void)
{
	begin(0);
	compare(4000);
}

static void some_otherwise(void)
{
	begin(10);
	compare(4000);
}

static void many_otherwise(void)
{
	begin(200);
	compare(4000);
}

TESTING_MAIN("discover/accept", {"ordinary hits", all_ordinary},
	{"some that are not", some_otherwise}, {"many that are not", many_otherwise})
