// The grid against a model that is an array: random inserts, moves, crossings, removals and walks,
// with grace periods and the control thread's steps between them, all on one thread. After each
// walk the hits must be exactly the entities that the array says are inside. PE_TEST_SEED repeats a
// run; PE_TEST_LONG=1 lengthens it.
#include "base/rcu.h"
#include "grid/grid_internal.h"
#include "testing.h"

#include <string.h>
#include <time.h>

#define ENTITIES 6000
#define HITS     512

struct record {
	bool there;
	uint64_t key, word; // as a reader would be told
	uint32_t slot, old_slot;
	bool arriving, shortly;
	uint32_t crossing;  // shortly: its name
	unsigned tombstone; // polls to wait before the handle is used again
};

struct world {
	struct pe_grid *grid;
	struct record record[ENTITIES];
	uint32_t seen[ENTITIES];
	uint64_t rng;
	unsigned z_shift;
	uint64_t settled_shortly, operations, inserts, stores, crossings, removals, walks, pages,
		hits, busy, full, flagged;
};

static uint64_t next(struct world *w)
{
	// xorshift64*
	w->rng ^= w->rng >> 12;
	w->rng ^= w->rng << 25;
	w->rng ^= w->rng >> 27;
	return w->rng * 0x2545F4914F6CDD1Dull;
}

static uint64_t below(struct world *w, uint64_t n)
{
	return next(w) % n;
}

static int64_t limit_of(unsigned axis)
{
	return (int64_t)(axis < 2 ? PE_KEY_X_OFFSET : PE_KEY_Z_OFFSET) << PE_CELL_BITS;
}

// A coordinate near one of a few attractions, at one of several scales; often right at a cell's
// edge.
static int64_t coordinate(struct world *w, unsigned axis)
{
	static const int64_t attraction[4] = {0, 5, -70000, 200000};
	int64_t limit = limit_of(axis), v;
	uint64_t scale = below(w, 4);

	if (scale == 3 && below(w, 4) == 0)
		v = (int64_t)(next(w) % (uint64_t)(2 * limit)) - limit;
	else {
		int64_t spread = (int64_t)1 << (18 + 3 * scale);

		v = attraction[below(w, axis < 2 ? 4 : 2)] * (1 << PE_CELL_BITS) +
			(int64_t)below(w, 2 * spread) - spread;
	}
	if (below(w, 8) == 0)
		v = (v & ~(((int64_t)1 << PE_CELL_BITS) - 1)) - (int64_t)below(w, 2);
	if (below(w, 200) == 0)
		v = below(w, 2) ? limit - 1 : -limit;
	return v < -limit ? -limit : v >= limit ? limit - 1 : v;
}

static void locate(
	const int64_t v[3], unsigned space, unsigned frame, uint64_t *key, uint64_t *word)
{
	uint32_t cell[3], in[3];

	for (unsigned i = 0; i < 3; i++) {
		uint64_t u = (uint64_t)(v[i] + limit_of(i));

		cell[i] = (uint32_t)(u >> PE_CELL_BITS);
		in[i] = (uint32_t)(u & 0xFFFFF);
	}
	*key = pe_key_make(space, frame, cell[0], cell[1], cell[2]);
	*word = pe_word_make(in[0], in[1], in[2]);
}

static void somewhere(struct world *w, uint64_t *key, uint64_t *word)
{
	int64_t v[3] = {coordinate(w, 0), coordinate(w, 1), coordinate(w, 2)};
	bool main_space = below(w, 10) < 8;

	locate(v, main_space ? 3 : (unsigned)below(w, 2) * 255,
		main_space ? 0 : (unsigned)below(w, 6), key, word);
}

static void a_step_away(struct world *w, const struct record *r, uint64_t *key, uint64_t *word)
{
	struct pe_units u = pe_place_units(r->key, r->word);
	int64_t reach = (int64_t)1 << (12 + below(w, 12));

	for (unsigned i = 0; i < 3; i++) {
		u.v[i] += (int64_t)below(w, 2 * (uint64_t)reach) - reach;
		if (u.v[i] < -limit_of(i))
			u.v[i] = -limit_of(i);
		if (u.v[i] >= limit_of(i))
			u.v[i] = limit_of(i) - 1;
	}
	locate(u.v, PE_KEY_SPACE(r->key), PE_KEY_FRAME(r->key), key, word);
}

static bool inside(const struct pe_region *r, uint64_t key, uint64_t word)
{
	struct pe_units u = pe_place_units(key, word);
	__int128 sum = 0;

	if (PE_KEY_SPACE(key) != r->space || PE_KEY_FRAME(key) != r->frame)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		__int128 d = u.v[i] - (__int128)r->centre[i];

		if (u.v[i] < r->lo[i] || u.v[i] > r->hi[i])
			return false;
		if (i == 2)
			d *= 1 << r->z_shift;
		sum += d * d;
	}
	return r->test == PE_REGION_ALL || (long double)sum <= (long double)r->square;
}

// Doubles decide beyond 1.8e9 units; what is within their rounding of the edge may go either way.
static bool undecided(const struct pe_region *r, uint64_t key, uint64_t word)
{
	struct pe_region wide = *r, narrow = *r;

	if (r->test != PE_REGION_SPHERE || r->square <= 1.8e9 * 1.8e9)
		return false;
	wide.square *= 1 + 1e-14;
	narrow.square *= 1 - 1e-14;
	return inside(&wide, key, word) && !inside(&narrow, key, word);
}

static struct pe_region some_region(struct world *w)
{
	struct pe_region r = {.space = 3,
		.z_shift = w->z_shift,
		.test = below(w, 2) ? PE_REGION_SPHERE : PE_REGION_ALL};
	const struct record *near = &w->record[below(w, ENTITIES)];
	int64_t radius = (int64_t)1 << (10 + below(w, 28)), v;

	radius += (int64_t)below(w, (uint64_t)radius);
	if (near->there && below(w, 4)) {
		struct pe_units u = pe_place_units(near->key, near->word);

		r.space = PE_KEY_SPACE(near->key);
		r.frame = PE_KEY_FRAME(near->key);
		memcpy(r.centre, u.v, sizeof r.centre);
		// Exactly at the edge, at times.
		if (below(w, 4) == 0)
			r.centre[0] += radius;
	} else
		for (unsigned i = 0; i < 3; i++)
			r.centre[i] = coordinate(w, i);
	for (unsigned i = 0; i < 3; i++) {
		v = i < 2 ? radius : (radius >> r.z_shift) + 1;
		if (r.test == PE_REGION_ALL)
			v = (int64_t)below(w, 2 * (uint64_t)v);
		r.lo[i] = r.centre[i] - v;
		r.hi[i] = r.centre[i] + v;
	}
	r.square = (double)radius * (double)radius;
	if (below(w, 16) == 0)
		r.lo[below(w, 3)] += radius / 2;
	if (below(w, 100) == 0)
		for (unsigned i = 0; i < 3; i++) {
			r.lo[i] = INT64_MIN;
			r.hi[i] = INT64_MAX;
		}
	return r;
}

static void fail(struct world *w, const char *what, uint32_t handle)
{
	fprintf(stderr, "%s: handle %u at operation %llu\n", what, handle,
		(unsigned long long)w->operations);
	CU_FAIL("see above");
}

static void walk_and_compare(struct world *w)
{
	struct pe_region region = some_region(w);
	struct pe_walk walk = {.region = region};
	static struct pe_hit hits[HITS];
	uint32_t stamp = (uint32_t)++w->walks;
	uint64_t bound = 0;

	do {
		unsigned hit_max = 64 + (unsigned)below(w, HITS - 63), n;

		walk.cells = walk.candidates = 0;
		walk.cells_max = below(w, 4) ? 65536 : 1 + (uint32_t)below(w, 20);
		walk.candidates_max = below(w, 4) ? 1 << 20 : 1 + (uint32_t)below(w, 100);
		n = pe_grid_walk(w->grid, &walk, hits, hit_max);
		w->pages++;
		w->hits += n;
		CU_ASSERT(n <= hit_max);
		CU_ASSERT(walk.cells <= walk.cells_max);
		for (unsigned i = 0; i < n; i++) {
			struct record *r;

			if (hits[i].handle >= ENTITIES) {
				fail(w, "no such handle", hits[i].handle);
				return;
			}
			r = &w->record[hits[i].handle];
			if (!r->there) {
				fail(w, "not there", hits[i].handle);
				return;
			}
			if (hits[i].word & (PE_SLOT_MOVED | PE_SLOT_ARRIVING))
				CU_ASSERT(walk.flagged);
			if (hits[i].word & PE_SLOT_MOVED) {
				w->flagged++;
				if (!inside(&region, r->key, r->word))
					continue;
				w->seen[hits[i].handle] |= 1u << 31;
			} else if (hits[i].key != r->key ||
				(hits[i].word & PE_WORD_POSITION) != r->word) {
				fail(w, "a position it does not have", hits[i].handle);
				return;
			}
			if (!inside(&region, r->key, r->word) &&
				!undecided(&region, r->key, r->word))
				fail(w, "not inside", hits[i].handle);
			if (!(hits[i].word & PE_SLOT_MOVED)) {
				if ((w->seen[hits[i].handle] & ~(1u << 31)) == stamp)
					fail(w, "twice", hits[i].handle);
				w->seen[hits[i].handle] = stamp;
			}
		}
		if (++bound > 1000000) {
			fail(w, "no end", 0);
			return;
		}
	} while (!pe_walk_ended(&walk));
	for (uint32_t h = 0; h < ENTITIES; h++) {
		const struct record *r = &w->record[h];

		if (r->there && inside(&region, r->key, r->word) &&
			!undecided(&region, r->key, r->word) && (w->seen[h] & ~(1u << 31)) != stamp)
			fail(w, "missed", h);
	}
}

// Those of the short way are handed out only as long as they are what the record says.
static void poll_crossed(struct world *w, unsigned max)
{
	struct pe_departure done[64];
	bool more;
	unsigned n = pe_grid_crossed(w->grid, 0, done, max, &more);

	for (unsigned i = 0; i < n; i++) {
		struct record *r = &w->record[done[i].handle];

		if (!r->there || !r->arriving || !r->shortly || r->slot != done[i].new_slot ||
			r->old_slot != done[i].old_slot) {
			fail(w, "settled what is not crossing", done[i].handle);
			return;
		}
		r->arriving = r->shortly = false;
		r->old_slot = PE_SLOT_NONE;
	}
	pe_grid_settle_crossed(w->grid, 0, done, n);
	w->settled_shortly += n;
}

static void poll(struct world *w, unsigned max)
{
	struct pe_departure done[64];
	unsigned n;

	poll_crossed(w, max);
	n = pe_grid_poll(w->grid, 0, done, max);

	for (unsigned i = 0; i < n; i++) {
		struct record *r = &w->record[done[i].handle];

		if (!r->there || r->slot != done[i].new_slot || r->old_slot != done[i].old_slot ||
			!r->arriving || r->shortly)
			continue;
		pe_grid_settle(w->grid, 0, r->old_slot, r->slot);
		r->arriving = false;
		r->old_slot = PE_SLOT_NONE;
	}
}

static void grace(struct world *w)
{
	pe_rcu_synchronize();
	pe_grid_control(w->grid);
}

static void take_away(struct world *w, uint32_t h)
{
	struct record *r = &w->record[h];

	if (r->shortly)
		CU_ASSERT_EQUAL(pe_grid_call_off(w->grid, r->crossing), r->old_slot);
	pe_grid_remove(w->grid, 0, r->slot, r->old_slot);
	r->there = r->shortly = false;
}

static void change(struct world *w, uint32_t h)
{
	struct record *r = &w->record[h];
	enum pe_status status;
	uint64_t key, word;
	uint32_t slot;

	if (!r->there) {
		bool arriving = below(w, 4) == 0;

		somewhere(w, &key, &word);
		status = pe_grid_insert(w->grid, 0, key, word, h, arriving, &slot);
		w->busy += status == PE_BUSY;
		w->full += status == PE_FULL;
		if (status != PE_OK)
			return;
		*r = (struct record){.there = true,
			.key = key,
			.word = word,
			.slot = slot,
			.old_slot = PE_SLOT_NONE,
			.arriving = arriving};
		if (arriving)
			CU_ASSERT_EQUAL(pe_grid_depart(w->grid, 0, h, PE_SLOT_NONE, slot), PE_OK);
		w->inserts++;
		return;
	}
	if (below(w, 12) == 0) {
		take_away(w, h);
		w->removals++;
		return;
	}
	if (below(w, 20) == 0)
		somewhere(w, &key, &word);
	else
		a_step_away(w, r, &key, &word);
	if (key == r->key) {
		pe_grid_store(w->grid, r->slot, word);
		r->word = word;
		w->stores++;
		return;
	}
	if (r->arriving) {
		// It comes to wait for more, and so for its crossing otherwise.
		if (r->shortly && pe_grid_depart(w->grid, 0, h, r->old_slot, r->slot) == PE_OK) {
			CU_ASSERT_EQUAL(pe_grid_crossing_from(w->grid, r->crossing), r->old_slot);
			CU_ASSERT_EQUAL(pe_grid_call_off(w->grid, r->crossing), r->old_slot);
			r->shortly = false;
		}
		return;
	}
	r->shortly = below(w, 2);
	if (r->shortly) {
		uint32_t leaf[PE_BATCH_MAX] = {PE_SLOT_NONE};

		if (below(w, 4))
			pe_grid_prefetch_inserts(w->grid, &key, 1, leaf);
		status = pe_grid_insert_at(w->grid, 0, leaf[0], key, word, h, &slot);
	} else {
		status = pe_grid_insert(w->grid, 0, key, word, h, true, &slot);
	}
	w->busy += status == PE_BUSY;
	w->full += status == PE_FULL;
	if (status != PE_OK) {
		r->shortly = false;
		return;
	}
	if (r->shortly) {
		r->crossing = pe_grid_cross(w->grid, 0, h, r->slot, slot);
		CU_ASSERT_EQUAL(pe_grid_crossing_from(w->grid, r->crossing), r->slot);
		if (below(w, 3) == 0)
			pe_grid_stamp(w->grid, 0);
	} else {
		CU_ASSERT_EQUAL(pe_grid_depart(w->grid, 0, h, r->slot, slot), PE_OK);
	}
	r->old_slot = r->slot;
	r->slot = slot;
	r->key = key;
	r->word = word;
	r->arriving = true;
	w->crossings++;
}

static uint64_t seed_of_run(void)
{
	const char *given = getenv("PE_TEST_SEED");

	return given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 0x9E3779B97F4A7C15ull | 1;
}

static void run(struct pe_grid_config config, unsigned z_shift, uint64_t operations, uint64_t seed)
{
	static struct world world;
	struct world *w = &world;
	struct pe_error error;
	unsigned left = 0;

	memset(w, 0, sizeof *w);
	w->rng = seed | 1;
	w->z_shift = z_shift;
	config.worker_count = 1;
	CU_ASSERT_EQUAL_FATAL(pe_grid_create(&config, &w->grid, &error), PE_OK);
	while (w->operations < operations && CU_get_number_of_failures() == 0) {
		w->operations++;
		switch (below(w, 64)) {
		case 0:
			poll(w, 1 + (unsigned)below(w, 64));
			break;
		case 1:
			grace(w);
			break;
		case 2:
			walk_and_compare(w);
			break;
		default:
			change(w, (uint32_t)below(w, ENTITIES));
		}
	}
	printf("\n    %llu operations: %llu inserts, %llu stores, %llu crossings, %llu removals, "
	       "%llu walks of %llu pages, "
	       "%llu hits (%llu moved), %llu busy, %llu full ",
		(unsigned long long)w->operations, (unsigned long long)w->inserts,
		(unsigned long long)w->stores, (unsigned long long)w->crossings,
		(unsigned long long)w->removals, (unsigned long long)w->walks,
		(unsigned long long)w->pages, (unsigned long long)w->hits,
		(unsigned long long)w->flagged, (unsigned long long)w->busy,
		(unsigned long long)w->full);
	printf("%llu settled the short way ", (unsigned long long)w->settled_shortly);
	for (uint32_t h = 0; h < ENTITIES; h++)
		if (w->record[h].there)
			take_away(w, h);
	while (pe_grid_deferred(w->grid, 0) && left++ < 100000) {
		pe_rcu_synchronize();
		poll(w, 64);
	}
	CU_ASSERT_EQUAL(pe_grid_deferred(w->grid, 0), 0);
	for (left = 0; pe_grid_control(w->grid) && left < 100000; left++)
		pe_rcu_synchronize();
	CU_ASSERT_EQUAL(pe_grid_control(w->grid), 0);
	// All is given back: nothing leaks, whatever was refused on the way.
	for (unsigned kind = 0; kind < PE_KIND_COUNT; kind++)
		CU_ASSERT_EQUAL(pe_pool_in_use(&w->grid->pool[kind]), 0);
	pe_grid_destroy(w->grid);
}

static uint64_t factor(void)
{
	return getenv("PE_TEST_LONG") ? 10 : 1;
}

static void ample_pools(void)
{
	uint64_t seed = seed_of_run();

	printf("\n    seed %#llx ", (unsigned long long)seed);
	run((struct pe_grid_config){.entity_count_max = ENTITIES}, 4, factor() * 600000, seed);
	run((struct pe_grid_config){.entity_count_max = ENTITIES}, 0, factor() * 200000,
		seed ^ 0x5555);
	run((struct pe_grid_config){.entity_count_max = ENTITIES}, 8, factor() * 200000,
		seed ^ 0x7777);
}

// Pools so small that each of them is empty at times: refused, and nothing known is lost.
static void scarce_pools(void)
{
	uint64_t seed = seed_of_run() ^ 0xAAAA;

	printf("\n    seed %#llx ", (unsigned long long)seed);
	run((struct pe_grid_config){.entity_count_max = ENTITIES, .leaf_count_max = 200}, 4,
		factor() * 100000, seed);
	run((struct pe_grid_config){.entity_count_max = ENTITIES, .node_count_max = 400}, 4,
		factor() * 100000, seed);
	run((struct pe_grid_config){.entity_count_max = ENTITIES, .chunk_count_max = 100}, 4,
		factor() * 100000, seed);
	run((struct pe_grid_config){.entity_count_max = 300}, 4, factor() * 100000, seed);
}

TESTING_MAIN("model/grid", {"ample pools", ample_pools}, {"scarce pools", scarce_pools})
