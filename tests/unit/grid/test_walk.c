// Walks: bounds, pages, cursors, edges of cells, levels, spaces and frames.
#include "grid_testing.h"

#include "grid/walker.h"
#include "space/side.h"
#include "space/sieve.h"

#include <math.h>
#include <string.h>

#define CELL (1ll << PE_CELL_BITS)

static struct pe_hit hits[4096];

static uint32_t fill(struct pe_grid *grid)
{
	uint32_t n = 0;

	// A plain of 20 × 20 cells with 5 each, one crowded cell, and lone ones far away.
	for (int32_t y = -10; y < 10; y++)
		for (int32_t x = -10; x < 10; x++)
			for (uint32_t i = 0; i < 5; i++, n++)
				testing_insert(
					grid, testing_key(x, y, 0), pe_word_make(i, i, i), n);
	for (uint32_t i = 0; i < 300; i++, n++)
		testing_insert(grid, testing_key(3, -4, 0), pe_word_make(i, 100, 0), n);
	for (int32_t i = 0; i < 40; i++, n++)
		testing_insert(grid, testing_key(100000 - 5000 * i, 17 * i, i - 20), 0, n);
	return n;
}

// However many nodes lead to nothing, opening a walk goes no further than a few hundred: that is
// work before its bounds are known. The scan goes on from there.
static void opening_meets_few_nodes(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX));
	struct pe_walker walker;

	for (int32_t i = 0; i < 2000; i++)
		testing_insert(grid, testing_key(0, 8 * i, 0), 0, (uint32_t)i);
	testing_insert(grid, testing_key(4, 8 * 1999, 0), 0, 2000);
	// The fifth column of cells, where there is only the last one.
	walk.region.lo[0] = 4 * CELL;
	walk.region.hi[0] = 5 * CELL - 1;
	walk.cells_max = 1000;
	pe_walker_open(&walker, grid, &walk);
	CU_ASSERT(walker.nodes_met <= 256 && walker.batch_count == 0);
	pe_walker_fetch_leaves(&walker);
	pe_walker_fetch_chunks(&walker);
	CU_ASSERT_EQUAL(pe_walker_scan(&walker, NULL, hits, NULL, 64), 1);
	CU_ASSERT_EQUAL(hits[0].handle, 2000);
	CU_ASSERT(walker.nodes_met > 2000 && pe_walk_ended(&walk));
	pe_grid_destroy(grid);
}

// Pages of any size and bound have the whole together, each once, in one order.
static void pages_add_up_to_the_whole(void)
{
	static const uint32_t bounds[][3] = {{4096, 100000, 1000000}, {64, 100000, 1000000},
		{100, 1, 1000000}, {4096, 7, 1000000}, {4096, 100000, 1}, {4096, 100000, 50},
		{64, 3, 40}};
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	uint32_t n = fill(grid);
	static uint32_t order[2][4000];

	for (unsigned b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
		struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX));
		uint32_t *seen = order[b != 0], met = 0, pages = 0;

		while (!pe_walk_ended(&walk) && pages++ < 100000) {
			unsigned count;

			walk.cells = walk.candidates = 0;
			walk.cells_max = bounds[b][1];
			walk.candidates_max = bounds[b][2];
			count = pe_grid_walk(grid, &walk, hits, bounds[b][0]);
			CU_ASSERT(count <= bounds[b][0]);
			CU_ASSERT(walk.cells <= walk.cells_max);
			CU_ASSERT(walk.candidates < walk.candidates_max + PE_BIG_SLOTS);
			CU_ASSERT_EQUAL(walk.cursor.word[0] >> 57, pe_walk_ended(&walk) ? 0x7F : 0);
			for (unsigned i = 0; i < count && met < 4000; i++)
				seen[met++] = hits[i].handle;
		}
		CU_ASSERT_EQUAL(met, n);
		if (met != n)
			printf("bounds %u: %u of %u in %u pages ", b, met, n, pages);
		if (b)
			CU_ASSERT_EQUAL(memcmp(order[0], order[1], n * sizeof order[0][0]), 0);
	}
	pe_grid_destroy(grid);
}

static void bounds_are_shared_between_walks(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX));

	fill(grid);
	walk.cells_max = 10;
	CU_ASSERT_EQUAL(pe_grid_walk(grid, &walk, hits, 4096) > 0, 1);
	CU_ASSERT_EQUAL(walk.cells, 10);
	CU_ASSERT_EQUAL(pe_grid_walk(grid, &walk, hits, 4096), 0);
	CU_ASSERT_FALSE(pe_walk_ended(&walk));
	pe_grid_destroy(grid);
}

// Page after page of one crowded cell, in one read-side section: the chain is gone down once. With
// nothing but the cursor the same comes, at the price of the way back.
static void pages_of_a_long_chain(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 5000});
	struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX));
	struct pe_walk fresh;
	unsigned met = 0;

	for (uint32_t i = 0; i < 3200; i++)
		(void)testing_insert(grid, testing_key(0, 0, 0), i, i);
	while (!pe_walk_ended(&walk)) {
		static struct pe_hit again[64];
		unsigned n;

		fresh = testing_walk(walk.region);
		fresh.cursor = walk.cursor;
		n = pe_grid_walk(grid, &walk, hits, 64);
		CU_ASSERT_EQUAL_FATAL(pe_grid_walk(grid, &fresh, again, 64), n);
		CU_ASSERT_EQUAL(memcmp(hits, again, n * sizeof hits[0]), 0);
		CU_ASSERT_EQUAL(memcmp(&walk.cursor, &fresh.cursor, sizeof walk.cursor), 0);
		met += n;
	}
	CU_ASSERT_EQUAL(met, 3200);
	CU_ASSERT_EQUAL(walk.passed, 0);
	CU_ASSERT(fresh.passed > 90);
	pe_grid_destroy(grid);
}

// Going on behind one that was met: what comes is what comes behind it, whoever else has gone; and
// whoever is not met where the walk has been is looked for no further.
static void a_walk_goes_on_behind_a_slot(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 5000});
	struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX)), piece, rest;
	static struct pe_hit all[4096];
	static uint32_t slots[4096];
	struct pe_cursor before;
	unsigned count, of;

	// Cells with one chunk, with many, and with one entity.
	for (uint32_t i = 0; i < 700; i++)
		slots[i] = testing_insert(grid,
			testing_key(i < 300     ? 0 :
					i < 500 ? 1 :
						  (int32_t)i,
				0, 0),
			i, i);
	count = pe_grid_walk(grid, &walk, all, 4096);
	CU_ASSERT_EQUAL_FATAL(count, 700);
	for (unsigned from = 0; from < count; from += of) {
		piece = testing_walk(walk.region);
		if (from)
			piece.cursor = before;
		before = piece.cursor;
		of = pe_grid_walk(grid, &piece, hits, 64);
		CU_ASSERT_FATAL(of > 0 && of <= 64);
		for (unsigned i = 0; i < of; i++) {
			unsigned n;

			rest = testing_walk(walk.region);
			rest.cursor = before;
			CU_ASSERT_FATAL(pe_grid_walk_behind(
				grid, &rest, all[from + i].handle, &piece.cursor));
			n = pe_grid_walk(grid, &rest, hits, 4096);
			CU_ASSERT_EQUAL(n, count - from - i - 1);
			CU_ASSERT_EQUAL(memcmp(hits, &all[from + i + 1], n * sizeof hits[0]), 0);
		}
		// Those before the piece, and behind it, are not in it.
		for (unsigned i = 0; i < count; i++) {
			if (i >= from && i < from + of)
				continue;
			rest = testing_walk(walk.region);
			rest.cursor = before;
			CU_ASSERT_FALSE(
				pe_grid_walk_behind(grid, &rest, all[i].handle, &piece.cursor));
			CU_ASSERT_EQUAL(memcmp(&rest.cursor, &before, sizeof before), 0);
		}
		before = piece.cursor;
	}
	// One that crosses is in two cells.
	(void)pe_grid_cross(
		grid, 0, 5, slots[5], testing_insert(grid, testing_key(2000, 0, 0), 5, 5));
	rest = testing_walk(walk.region);
	CU_ASSERT_FALSE(pe_grid_walk_behind(grid, &rest, 5, &walk.cursor));
	CU_ASSERT_EQUAL(rest.cursor.word[0], 0);
	pe_grid_destroy(grid);
}

// Any cursor: no reading out of bounds, and an end.
static void hostile_cursors_end(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	uint32_t n = fill(grid);
	uint64_t r = 88172645463325252ull;

	for (unsigned i = 0; i < 3000; i++) {
		struct pe_walk walk = testing_walk(
			testing_box(i % 2 ? -3 * CELL : INT64_MIN, i % 3 ? 5 * CELL : INT64_MAX));
		uint32_t met = 0, pages = 0;

		for (unsigned j = 0; j < 2; j++) {
			r ^= r << 13;
			r ^= r >> 7;
			r ^= r << 17;
			walk.cursor.word[j] = i % 5 ? r >> (i % 64) : r | 1ull << 56;
		}
		while (!pe_walk_ended(&walk) && pages++ < 1000)
			met += pe_grid_walk(grid, &walk, hits, 64);
		CU_ASSERT(pe_walk_ended(&walk));
		CU_ASSERT(met <= n);
	}
	pe_grid_destroy(grid);
}

static void hostile_regions_end(void)
{
	static const int64_t extreme[] = {
		INT64_MIN, INT64_MIN + 1, -(1ll << 39), -1, 0, 1, 1ll << 39, INT64_MAX};
	static const double squares[] = {
		0, -1, 1, 1e18, 1e19, 1e300, __builtin_inf(), -__builtin_inf(), __builtin_nan("")};
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	uint32_t n = fill(grid);

	for (unsigned a = 0; a < 8; a++)
		for (unsigned b = 0; b < 8; b++)
			for (unsigned s = 0; s < 9; s++) {
				struct pe_region r = testing_box(extreme[a], extreme[b]);
				struct pe_walk walk;
				uint32_t met = 0, pages = 0;

				r.test = PE_REGION_SPHERE;
				r.square = squares[s];
				r.z_shift = 4 * s;
				for (unsigned i = 0; i < 3; i++)
					r.centre[i] = extreme[(a + s + i) % 8];
				r.space = 1 + 256 * s;
				r.frame = 8 * s;
				walk = testing_walk(r);
				while (!pe_walk_ended(&walk) && pages++ < 1000)
					met += pe_grid_walk(grid, &walk, hits, 4096);
				CU_ASSERT(pe_walk_ended(&walk));
				CU_ASSERT(met <= n);
			}
	pe_grid_destroy(grid);
}

// A region that ends at a cell's edge has this side of it and not the other, over the origin too.
static void edges_of_cells_are_exact(void)
{
	static const int32_t cells[] = {
		0, 1, 8, 64, 256, -1, -8, -64, 5000, PE_KEY_X_OFFSET - 1, -PE_KEY_X_OFFSET + 1};
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});

	for (uint32_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
		struct pe_region r = testing_box(0, 0);
		int64_t edge = cells[i] * CELL;
		uint32_t before = testing_insert(
			grid, testing_key(cells[i] - 1, 0, 0), pe_word_make(0xFFFFF, 0, 0), 2 * i);
		uint32_t after = testing_insert(grid, testing_key(cells[i], 0, 0), 0, 2 * i + 1);

		r.lo[0] = r.hi[0] = edge;
		CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 1);
		CU_ASSERT_EQUAL(hits[0].handle, 2 * i + 1);
		r.lo[0] = r.hi[0] = edge - 1;
		CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 1);
		CU_ASSERT_EQUAL(hits[0].handle, 2 * i);
		r.hi[0] = edge;
		CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 2);
		// The sphere about one that just reaches the other.
		r = (struct pe_region){.space = 1,
			.test = PE_REGION_SPHERE,
			.centre = {edge, 0, 0},
			.square = 1,
			.lo = {edge - 1, -1, -1},
			.hi = {edge + 1, 1, 1}};
		CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 2);
		r.square = 0.999;
		CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 1);
		pe_grid_remove(grid, 0, before, after);
		testing_all_given_back(grid);
	}
	pe_grid_destroy(grid);
}

static void spaces_and_frames_are_apart(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	uint32_t handle = 0, slot;

	for (unsigned space = 0; space < 256; space += 15)
		for (unsigned frame = 0; frame < 6; frame++)
			CU_ASSERT_EQUAL(pe_grid_insert(grid, 0,
						pe_key_make(space, frame, PE_KEY_X_OFFSET,
							PE_KEY_X_OFFSET, PE_KEY_Z_OFFSET),
						0, handle++, false, &slot),
				PE_OK);
	handle = 0;
	for (unsigned space = 0; space < 256; space += 15)
		for (unsigned frame = 0; frame < 6; frame++, handle++) {
			struct pe_region r = testing_box(INT64_MIN, INT64_MAX);

			r.space = space;
			r.frame = frame;
			CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 1);
			CU_ASSERT_EQUAL(hits[0].handle, handle);
		}
	pe_grid_destroy(grid);
}

// Regions of every size around one entity find it; of every size beside it, not.
static void every_level_finds_what_is_there(void)
{
	static const int64_t at[][3] = {{0, 0, 0}, {-1, -1, -1},
		{123456789012, -98765432109, 12345678901},
		{-(1ll << 38), (1ll << 38) - 1, -(1ll << 34)}};

	for (unsigned a = 0; a < 4; a++) {
		struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
		uint64_t u[3];

		for (unsigned i = 0; i < 3; i++)
			u[i] = (uint64_t)(at[a][i] +
				((int64_t)(i < 2 ? PE_KEY_X_OFFSET : PE_KEY_Z_OFFSET)
					<< PE_CELL_BITS));
		testing_insert(grid,
			pe_key_make(1, 0, (uint32_t)(u[0] >> 20), (uint32_t)(u[1] >> 20),
				(uint32_t)(u[2] >> 20)),
			pe_word_make(u[0] & 0xFFFFF, u[1] & 0xFFFFF, u[2] & 0xFFFFF), 5);
		for (unsigned bits = 0; bits < 41; bits++) {
			struct pe_region r = {.space = 1};

			for (unsigned i = 0; i < 3; i++) {
				r.lo[i] = at[a][i] - (1ll << bits);
				r.hi[i] = at[a][i] + (1ll << bits);
				r.centre[i] = at[a][i];
			}
			CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 1);
			r.test = PE_REGION_SPHERE;
			r.square = (double)(1ll << bits) * (double)(1ll << bits);
			CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 1);
			r.centre[1] += (1ll << bits) + 1;
			r.lo[1] += (1ll << bits) + 1;
			r.hi[1] += (1ll << bits) + 1;
			CU_ASSERT_EQUAL(testing_walk_all(grid, r, hits, 64), 0);
		}
		pe_grid_destroy(grid);
	}
}

// A small sphere goes straight at its cells: what it meets, and in which order, is what the general
// way does, which is that of `boxed` walks; and where handles alone are wanted they are those of
// the hits, in order, and few more.
static void small_spheres_go_straight(void)
{
	static struct pe_hit others[4096];
	static uint32_t handles[2 * 4096 + PE_FIND_SLACK];
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 20000});
	uint64_t random = 0x9E3779B97F4A7C15ull;
	uint32_t near = 0, met = 0, more = 0, n = 0;

	for (int32_t y = -20; y < 20; y++)
		for (int32_t x = -20; x < 20; x++)
			for (unsigned i = 0; (x + y) % 7 && i < 9; i++) {
				random = random * 6364136223846793005ull + 1442695040888963407ull;
				testing_insert(grid, testing_key(x, y, 0),
					random >> 4 & PE_WORD_POSITION & ~(0xC0000ull << 40), n++);
			}
	for (unsigned round = 0; round < 20000; round++) {
		struct pe_region r = {.space = 1, .test = PE_REGION_SPHERE, .z_shift = round % 5};
		struct pe_walk straight, general, brief, next;
		struct pe_walker walker, later;
		int64_t reach;
		uint32_t count, at = 0;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		reach = (int64_t)(random >> 40) % (2 * CELL);
		for (unsigned i = 0; i < 2; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			r.centre[i] = (int64_t)(random >> 20) % (40 * CELL) - 20 * CELL;
		}
		r.centre[2] = (int64_t)(random >> 9) % CELL;
		r.square = (double)reach * (double)reach;
		for (unsigned i = 0; i < 3; i++) {
			r.lo[i] = r.centre[i] - reach + (round % 11 == 0 ? reach / 2 : 0);
			r.hi[i] = r.centre[i] + reach;
		}
		straight = general = brief = next = testing_walk(r);
		general.boxed = brief.handles = next.handles = true;
		pe_walker_begin(&walker, grid, &straight);
		near += pe_walk_open_near(&walker);
		count = pe_grid_walk(grid, &straight, hits, 4096);
		CU_ASSERT_EQUAL_FATAL(pe_grid_walk(grid, &general, others, 4096), count);
		CU_ASSERT(pe_walk_ended(&straight) && pe_walk_ended(&general));
		CU_ASSERT_EQUAL(straight.cells, general.cells);
		for (uint32_t i = 0; i < count; i++)
			CU_ASSERT(
				hits[i].handle == others[i].handle && hits[i].key == others[i].key);
		met += count;
		pe_walker_open(&walker, grid, &brief);
		pe_walker_fetch_leaves(&walker);
		pe_walker_fetch_chunks(&walker);
		pe_walker_open(&later, grid, &next);
		pe_walker_fetch_leaves(&later);
		n = pe_walker_scan(&walker, &later, others, handles, 4096);
		for (uint32_t i = 0; i < n; i++)
			at += at < count && handles[i] == hits[at].handle;
		CU_ASSERT_EQUAL(at, count);
		// The other one's chunks were asked for meanwhile, and it meets the same.
		CU_ASSERT(later.looked == later.batch_count &&
			(later.found == later.looked || later.found >= 12));
		CU_ASSERT_EQUAL(pe_walker_scan(&later, NULL, others, handles + 4096, 4096), n);
		CU_ASSERT_EQUAL(memcmp(handles, handles + 4096, n * sizeof handles[0]), 0);
		CU_ASSERT_EQUAL(brief.candidates, straight.candidates);
		more += n - count;
	}
	printf("\n    %u straight, %u met, %u handles more ", near, met, more);
	CU_ASSERT(near > 10000 && met > 100000 && more < 1000);
	pe_grid_destroy(grid);
}

// ---- sieves ----

#define SIEVED 3000u
static double place[SIEVED][3];
static bool crossing[SIEVED];
static uint64_t random_state = 0x5EED77;

static double between(double lo, double hi)
{
	return lo + (hi - lo) * (double)(testing_random(&random_state) >> 11) * 0x1p-53;
}

// Crowded cells and such with a few, in one to three nodes an axis; of each thirtieth entity an old
// slot and a new one.
static void fill_places(struct pe_grid *grid, const struct pe_space *space)
{
	for (uint32_t i = 0; i < SIEVED; i++) {
		double far = i % 3 ? 300.0 : 1400.0;
		struct pe_place at;
		uint32_t slot, old;

		for (unsigned k = 0; k < 3; k++)
			place[i][k] = between(-1, 1) * (k < 2 ? far : 50.0);
		CU_ASSERT_EQUAL_FATAL(pe_space_locate(space, place[i], &at), PE_REASON_none);
		crossing[i] = i % 30 == 0;
		if (!crossing[i]) {
			testing_insert(grid, at.key, at.word, i);
			continue;
		}
		old = testing_insert(grid, at.key + (9ull << 34), at.word, i);
		CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, at.key, at.word, i, true, &slot), PE_OK);
		CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, i, old, slot), PE_OK);
	}
}

// All of what the polygon holds and nothing that is far from it, once by where it is now; what is
// sure is inside.
static void check_sieved(const struct pe_hit *met, unsigned count, const struct pe_polygon *p)
{
	static uint8_t seen[SIEVED];
	unsigned wrong = 0, sure = 0, inside = 0, astray = 0;

	memset(seen, 0, sizeof seen);
	for (unsigned i = 0; i < count; i++) {
		uint32_t n = met[i].handle;

		sure += met[i].sure;
		wrong += met[i].sure && (crossing[n] || !pe_polygon_covers(p, place[n]));
		if (met[i].word & PE_SLOT_MOVED)
			continue;
		wrong += seen[n]++;
		// One that is on an edge's line may be far from the edge.
		astray += !crossing[n] && !met[i].sure &&
			pe_polygon_edge_distance(p, place[n]) > 2e-3;
	}
	for (unsigned n = 0; n < SIEVED; n++) {
		bool in = pe_polygon_holds(p, place[n]);

		inside += in;
		wrong += in && !seen[n];
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(sure >= inside * 8 / 10 && astray <= 1 + inside / 50);
}

static void a_sieve_lets_through_what_may_be_inside(void)
{
	static struct pe_polygon polygon;
	static struct pe_sieve sieve;
	const struct pe_space_config config = {
		.kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 1024};
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	struct pe_error error = {0};
	struct pe_space space;
	unsigned flagged = 0, pages = 0;

	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&space, &config, 1, &error), PE_OK);
	printf("[seed %#llx] ", (unsigned long long)random_state);
	fill_places(grid, &space);
	for (unsigned n = 0; n < 300; n++) {
		double vertices[80][2], radius = 20.0 + 2.0 * n,
					tall = n % 2 ? 20.0 : (double)INFINITY;
		double x = between(-300, 300), y = between(-300, 300);
		unsigned size = 3 + n % 78, count = 0;
		struct pe_region region[PE_FRAMES_MAX];
		struct pe_walk walk;

		for (unsigned i = 0; i < size; i++) {
			double r = radius * (i % 2 ? 1.0 : 0.7), angle = 2 * M_PI * i / size;

			vertices[i][0] = x + r * cos(angle);
			vertices[i][1] = y + r * sin(angle);
		}
		CU_ASSERT_EQUAL_FATAL(pe_polygon_outline(&space, (const double(*)[2])vertices,
					      &size, 1, -tall, tall, &polygon),
			PE_VOLUME_ok);
		pe_sieve_make(&space, &polygon, &sieve);
		CU_ASSERT_EQUAL_FATAL(pe_polygon_regions(&space, &polygon, region), 1);
		walk = testing_walk(region[0]);
		walk.sieve = &sieve;
		// By the page, too.
		while (!pe_walk_ended(&walk) && count <= 4096 - 64) {
			unsigned room = n % 3 ? 4096 - count : 64;

			count += pe_grid_walk(grid, &walk, &hits[count], room);
			pages++;
		}
		CU_ASSERT(pe_walk_ended(&walk));
		flagged += walk.flagged;
		check_sieved(hits, count, &polygon);
	}
	CU_ASSERT(flagged > 20 && pages > 400);
	pe_grid_destroy(grid);
}

// Where an entity was that moves says nothing of where it is.
static void a_sieve_lets_through_what_moves(void)
{
	static struct pe_polygon polygon;
	static struct pe_sieve sieve;
	const struct pe_space_config config = {
		.kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 1024};
	const double vertices[3][2] = {{30, 30}, {40, 30}, {30, 40}};
	const unsigned size = 3;
	// A crowded cell has its slots read where they are, and one with a few is copied first.
	for (uint32_t crowd = 1; crowd <= 20; crowd += 19) {
		struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
		struct pe_region region[PE_FRAMES_MAX];
		struct pe_error error = {0};
		struct pe_space space;
		struct pe_walk walk;
		struct pe_place at;
		uint32_t slot = 0, elsewhere;

		CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&space, &config, 1, &error), PE_OK);
		CU_ASSERT_EQUAL_FATAL(
			pe_space_locate(&space, (double[]){10, 10, 0}, &at), PE_REASON_none);
		for (uint32_t i = 0; i < crowd; i++)
			slot = testing_insert(grid, at.key, at.word, i);
		CU_ASSERT_EQUAL_FATAL(pe_polygon_outline(&space, vertices, &size, 1, -INFINITY,
					      INFINITY, &polygon),
			PE_VOLUME_ok);
		pe_sieve_make(&space, &polygon, &sieve);
		CU_ASSERT_EQUAL_FATAL(pe_polygon_regions(&space, &polygon, region), 1);
		for (unsigned moves = 0; moves < 2; moves++) {
			walk = testing_walk(region[0]);
			walk.sieve = &sieve;
			CU_ASSERT_EQUAL_FATAL(pe_grid_walk(grid, &walk, hits, 64), moves);
			CU_ASSERT_EQUAL(walk.flagged, moves == 1);
			if (moves)
				break;
			CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, at.key + (2ull << 34), at.word,
						crowd - 1, true, &elsewhere),
				PE_OK);
			CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, crowd - 1, slot, elsewhere), PE_OK);
		}
		CU_ASSERT(hits[0].handle == crowd - 1 && !hits[0].sure &&
			(hits[0].word & PE_SLOT_MOVED));
		pe_grid_destroy(grid);
	}
}

TESTING_MAIN("grid/walk", {"pages add up to the whole", pages_add_up_to_the_whole},
	{"bounds are shared between walks", bounds_are_shared_between_walks},
	{"pages of a long chain", pages_of_a_long_chain},
	{"a walk goes on behind a slot", a_walk_goes_on_behind_a_slot},
	{"opening meets few nodes", opening_meets_few_nodes},
	{"small spheres go straight", small_spheres_go_straight},
	{"hostile cursors end", hostile_cursors_end}, {"hostile regions end", hostile_regions_end},
	{"edges of cells are exact", edges_of_cells_are_exact},
	{"spaces and frames are apart", spaces_and_frames_are_apart},
	{"every level finds what is there", every_level_finds_what_is_there},
	{"a sieve lets through what may be inside", a_sieve_lets_through_what_may_be_inside},
	{"a sieve lets through what moves", a_sieve_lets_through_what_moves})
