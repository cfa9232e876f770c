// Entities that may be counted only, against brute force: what every answer says is made of one
// number a cell, which is that of all who are in it, or that they are few; and no volume, size,
// page, cursor or bound of work gives any other. And two worlds in which, in every cell, others are
// elsewhere, and where they are few there are more or fewer of them: byte for byte the same
// answers. Seeded; PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it ten times as long.
#include "draw.h"
#include "harness.h"
#include "wire/extension.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define PLANE      0u
#define ENTITIES   600u
#define PRINCIPALS 40u
#define K          4u
#define EDGE       512.0 // of the policy's cells; they are 1024 m high
#define ACROSS     12    // cells, of each axis
#define ROUNDS     60u
#define QUERIES    60u

static struct harness h;
static struct harness_answer a;
static uint64_t seed, unseen;
static unsigned wrong;
static uint64_t pages, numbers, fews, untold, sums, digests[1 << 20], digest_count, compared;

static struct {
	bool there;
	int cell[3];
	uint32_t principal;
} world[1 + ENTITIES];
static uint32_t sequence[1 + ENTITIES];

static double unit_of(uint64_t *from)
{
	return (double)(testing_random(from) >> 11) * 0x1p-53;
}

static void failed(const char *what, const char *file, int line)
{
	if (wrong++ < 20)
		printf("\n%s:%d: %s", file, line, what);
}
#define EXPECT(condition) ((condition) ? (void)0 : failed(#condition, __FILE__, __LINE__))

static const struct pe_policy policy = {.name = "counted",
	.space = PE_POLICY_EVERY_SPACE,
	.everyone = true,
	.counts_below = K,
	.counts_cell_m = 1000};

static void start(uint32_t cells_max, uint32_t candidates_max)
{
	struct pe_engine_config c = harness_config();

	c.views = (struct pe_views_config){.policies = &policy, .policy_count = 1};
	if (cells_max) {
		c.query_cells_max = cells_max;
		c.query_candidates_max = candidates_max;
	}
	harness_failed = failed;
	memset(world, 0, sizeof world);
	memset(sequence, 0, sizeof sequence);
	harness_start(&h, &c);
}

// Where in its cell it is comes from `within`.
static void place_in(const int cell[3], uint64_t *within, double p[3])
{
	for (unsigned i = 0; i < 3; i++)
		p[i] = (cell[i] + 0.001 + 0.998 * unit_of(within)) * (i == 2 ? 1024.0 : EDGE);
}

static void put(unsigned n, const double p[3])
{
	struct pe_wire_update u = harness_update(n, ++sequence[n], p[0], p[1], p[2]);

	u.ttl_ms = 3600000;
	h.principal = world[n].principal;
	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	h.principal = 0;
}

// Most are in a few cells.
static void random_cell(int cell[3])
{
	bool crowd = below(3) > 0;

	for (unsigned i = 0; i < 2; i++)
		cell[i] = (int)below(crowd ? 3 : ACROSS) - (crowd ? 1 : ACROSS / 2);
	cell[2] = below(4) ? 0 : (int)below(3) - 1;
}

// Then all have settled, or each that moved stands in two cells, and not since before that in a
// third.
static void move_some(unsigned count, bool settle)
{
	static unsigned moved[1 + ENTITIES], when;

	when++;
	for (unsigned i = 0; i < count; i++) {
		unsigned n = 1 + below(ENTITIES);
		double p[3];

		if (!settle && moved[n] == when)
			continue;
		moved[n] = when;
		if (world[n].there && below(12) == 0) {
			struct pe_wire_withdraw gone = {.sequence = ++sequence[n]};

			harness_id(gone.entity_id, n);
			harness_queue_withdraws(&h, PLANE, HARNESS_INCARNATION, &gone, 1, false);
			harness_turn(&h);
			world[n].there = false;
			continue;
		}
		// Whose it is stays: who made it.
		world[n].principal = n % 7 ? 1 + n % PRINCIPALS : 0;
		world[n].there = true;
		random_cell(world[n].cell);
		place_in(world[n].cell, &state, p);
		put(n, p);
	}
	if (settle)
		harness_settle(&h);
}

// ---- brute force ----

struct tally {
	unsigned entities, principals;
};

static struct tally count_of(const int cell[3])
{
	bool seen[1 + PRINCIPALS] = {false};
	struct tally t = {0};

	for (unsigned n = 1; n <= ENTITIES; n++) {
		if (!world[n].there || memcmp(world[n].cell, cell, sizeof world[n].cell) != 0)
			continue;
		t.entities++;
		if (world[n].principal && !seen[world[n].principal]) {
			seen[world[n].principal] = true;
			t.principals++;
		}
	}
	return t;
}

// What is to be told of all cells of a larger one (or of itself) that the box touches; box NULL: of
// all that are in it.
static void expect_of(
	const int low[3], const int size[3], const double box[2][3], uint64_t *count, uint64_t *few)
{
	*count = *few = 0;
	for (unsigned n = 1; n <= ENTITIES; n++) {
		const int *c = world[n].cell;
		bool first = world[n].there, inside = true;
		struct tally t;

		// each cell once: at its first entity
		for (unsigned k = 1; first && k < n; k++)
			first = !(world[k].there &&
				memcmp(world[k].cell, c, sizeof world[k].cell) == 0);
		for (unsigned i = 0; i < 3; i++) {
			double edge = i == 2 ? 1024.0 : EDGE;

			inside &= c[i] >= low[i] && c[i] < low[i] + size[i];
			inside &=
				!box || (box[0][i] < (c[i] + 1) * edge && box[1][i] >= c[i] * edge);
		}
		if (!first || !inside)
			continue;
		t = count_of(c);
		if (t.principals >= K)
			*count += t.entities;
		else
			*few += 1;
	}
}

// ---- what is asked ----

static struct pe_wire_query random_query(double box[2][3])
{
	double at[3] = {between(-3000, 3000), between(-3000, 3000), between(-900, 1900)};
	double reach = pow(10, between(-1, 3.6));
	struct pe_wire_query q;

	if (below(2)) {
		q = harness_sphere(at[0], at[1], at[2], reach);
		for (unsigned i = 0; i < 3; i++) {
			box[0][i] = at[i] - reach;
			box[1][i] = at[i] + reach;
		}
		return q;
	}
	for (unsigned i = 0; i < 3; i++) {
		box[0][i] = at[i] - reach * unit_of(&state);
		box[1][i] = at[i] + reach * unit_of(&state);
	}
	return harness_box(box[0], box[1]);
}

// Too close to a cell's edge to say whether it touches the next one.
static bool close_to_edge(const double box[2][3])
{
	for (unsigned i = 0; i < 6; i++) {
		double edge = i % 3 == 2 ? 1024.0 : EDGE, v = box[i / 3][i % 3] / edge;

		if (fabs(v - nearbyint(v)) * edge < 0.01)
			return true;
	}
	return false;
}

#define GOT_MAX 4096
static struct got {
	double centre[3];
	uint64_t count, few;
	bool more, untold;
} got[GOT_MAX];
static unsigned got_count;

static void gather(const struct pe_wire_cell *c)
{
	struct got *g = NULL;

	EXPECT(pe_wire_check_cell(c) == PE_REASON_none);
	EXPECT(!(c->flags & PE_CELL_BELOW) || c->below == K || (c->below == 0 && c->count == 0));
	EXPECT(c->newest_age_ms == 0);
	if ((c->flags & PE_CELL_BELOW) && !c->below) {
		untold += c->below_cells;
		return;
	}
	for (unsigned i = got_count; i-- && got_count - i < 3 && !g;)
		if (memcmp(got[i].centre, c->centre, sizeof c->centre) == 0)
			g = &got[i];
	EXPECT(!g || g->more);
	if (!g) {
		if (got_count == GOT_MAX)
			abort();
		g = &got[got_count++];
		*g = (struct got){0};
		memcpy(g->centre, c->centre, sizeof g->centre);
	}
	g->count += c->count;
	g->few += c->below_cells;
	g->more = c->flags & PE_CELL_MORE;
}

static uint32_t put_resolution(uint8_t extension[64], double spatial_m)
{
	struct pe_wire_resolution r = {.spatial_m = (float)spatial_m, .attribute = 0.5f};

	return pe_wire_put_block(extension, 0, 64, PE_BLOCK_RESOLUTION, &r, sizeof r);
}

// All pages. False: it did not come to an end.
static bool ask_all(struct pe_wire_query q, double spatial_m)
{
	_Alignas(8) uint8_t extension[64];
	uint32_t bytes = put_resolution(extension, spatial_m);

	got_count = 0;
	untold = 0;
	for (unsigned page = 0; page < 4000; page++) {
		harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
		EXPECT(a.whole && a.code == PE_CODE_SUCCESS);
		pages++;
		for (unsigned i = 0; i < a.count; i++)
			gather(&a.cells[i]);
		if (!a.truncated)
			return true;
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	}
	return false;
}

// spatial_m from a part of a leaf to 4096 m: of their own size, or of 8 × 8 × 1 of them.
static void check_one(bool bounded)
{
	double box[2][3], spatial_m = below(3) ? pow(10, between(0, 3.6)) : 4096;
	struct pe_wire_query q = random_query(box);
	int across = spatial_m >= 4096 ? 8 : 1, size[3] = {across, across, 1}, low[3];
	uint64_t all_count = 0, all_few = 0, count, few;

	if (close_to_edge(box))
		return;
	if (below(3) == 0)
		q.max_results = (uint16_t)(1 + below(5));
	EXPECT(ask_all(q, spatial_m));
	for (unsigned i = 0; i < got_count; i++) {
		for (unsigned k = 0; k < 3; k++)
			low[k] = (int)floor(got[i].centre[k] / (k == 2 ? 1024 : EDGE * across)) *
				(k == 2 ? 1 : across);
		expect_of(low, size, box, &count, &few);
		// Where something is not told there may be less, and never anything else.
		if (untold && across > 1) {
			EXPECT(got[i].count <= count && got[i].few <= few);
		} else {
			EXPECT(got[i].count == count);
			EXPECT(got[i].few == few);
		}
		all_count += got[i].count;
		all_few += got[i].few;
		numbers += got[i].count > 0;
		fews += got[i].few > 0;
		sums += across > 1;
	}
	EXPECT(bounded || !untold);
	expect_of((int[3]){-1000, -1000, -1000}, (int[3]){2000, 2000, 2000}, box, &count, &few);
	if (!untold) {
		EXPECT(all_count == count);
		EXPECT(all_few == few);
	}
}

static void begin(void)
{
	const char *text = getenv("PE_TEST_SEED");

	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	state = seed;
	wrong = 0;
	pages = numbers = fews = sums = 0;
}

static void against_brute_force(void)
{
	begin();
	start(0, 0);
	for (uint64_t round = 0; round < testing_amount(ROUNDS); round++) {
		move_some(round ? 30 : 700, true);
		move_some(60, false);
		for (unsigned i = 0; i < QUERIES; i++)
			check_one(false);
		harness_settle(&h);
	}
	printf("\n    seed %" PRIu64 ": %" PRIu64 " pages, %" PRIu64 " numbers, %" PRIu64
	       " with few, %" PRIu64 " of larger cells ",
		seed, pages, numbers, fews, sums);
	CU_ASSERT(numbers > testing_amount(500) && fews > testing_amount(500) &&
		sums > testing_amount(500));
	CU_ASSERT_EQUAL(wrong, 0);
	harness_stop(&h);
}

// Bounds of work that end within cells: what is told is that of whole cells, all the same.
static void cut_by_bounds(void)
{
	uint64_t all_untold = 0;

	begin();
	for (unsigned bounds = 0; bounds < 3; bounds++) {
		start(bounds == 0 ? 3 : bounds == 1 ? 12 : 60, bounds == 0 ? 16 : 90);
		for (uint64_t round = 0; round < testing_amount(ROUNDS) / 3; round++) {
			move_some(round ? 30 : 700, true);
			move_some(below(2) ? 60 : 0, false);
			for (unsigned i = 0; i < QUERIES; i++) {
				check_one(true);
				all_untold += untold;
			}
			harness_settle(&h);
		}
		harness_stop(&h);
	}
	printf("\n    seed %" PRIu64 ": %" PRIu64 " pages, %" PRIu64 " numbers, %" PRIu64
	       " with few, %" PRIu64 " not told ",
		seed, pages, numbers, fews, all_untold);
	CU_ASSERT(numbers > testing_amount(100) && fews > testing_amount(100) &&
		all_untold > testing_amount(100));
	CU_ASSERT_EQUAL(wrong, 0);
}

// A cursor that leads into a cell gives no part of it.
static void cursors_of_ones_own(void)
{
	_Alignas(8) uint8_t extension[64];
	uint32_t bytes = put_resolution(extension, 64);
	struct pe_wire_query q = harness_sphere(0, 0, 0, 3000);
	uint64_t cursors[64][2], told = 0;
	unsigned count = 0;

	begin();
	start(3, 16);
	move_some(700, true);
	for (unsigned page = 0; page < 64; page++) {
		harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
		if (!a.truncated)
			break;
		memcpy(cursors[count++], a.cursor, sizeof cursors[0]);
		q.flags = PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	}
	CU_ASSERT_FATAL(count > 20);
	harness_stop(&h);
	start(0, 0);
	state = seed;
	move_some(700, true);
	q.flags = PE_QUERY_HAS_CURSOR;
	for (unsigned i = 0; i < testing_amount(20000); i++) {
		memcpy(q.cursor, cursors[below(count)], sizeof q.cursor);
		// within the cell, anywhere, or within a leaf
		if (below(2))
			q.cursor[0] ^= next() & 0x7E;
		else
			q.cursor[0] ^= next() & 0xFFFFFF;
		if (below(4) == 0)
			q.cursor[0] ^= 1ull << below(64);
		if (below(3) == 0)
			q.cursor[1] ^= next() & 0xFFFF;
		harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
		for (unsigned k = 0; a.code == PE_CODE_SUCCESS && k < a.count; k++) {
			const struct pe_wire_cell *c = &a.cells[k];
			int cell[3];
			struct tally t;

			for (unsigned n = 0; n < 3; n++)
				cell[n] = (int)floor(c->centre[n] / (n == 2 ? 1024 : EDGE));
			t = count_of(cell);
			if (t.principals >= K)
				EXPECT(c->count == t.entities && !c->flags);
			else
				EXPECT(c->count == 0 && c->below == K && c->below_cells == 1);
			told++;
		}
	}
	printf("\n    seed %" PRIu64 ": %" PRIu64 " cells told ", seed, told);
	CU_ASSERT(told > 1000);
	CU_ASSERT_EQUAL(wrong, 0);
	harness_stop(&h);
}

// ---- two worlds ----

static void note_replies(bool comparing)
{
	for (unsigned i = 0; i < h.reply_count; i++) {
		const struct harness_reply *r = &h.replies[i];
		uint64_t d = 0xcbf29ce484222325ull ^ r->bytes;

		for (uint32_t k = 0; k < r->bytes; k++)
			d = (d ^ r->data[k]) * 0x100000001b3ull;
		if (!comparing && digest_count < sizeof digests / sizeof digests[0])
			digests[digest_count++] = d;
		else if (comparing)
			EXPECT(compared < digest_count && digests[compared++] == d);
	}
}

// In the second world all are elsewhere in their cells, and where they are few others of the same
// few principals are there, too.
static void run_world(bool second)
{
	_Alignas(8) uint8_t extension[64];

	state = seed;
	unseen = second ? seed + 99 : seed + 7;
	start(0, 0);
	for (unsigned round = 0; round < 30; round++) {
		uint64_t sent = h.sequence;

		for (unsigned i = 0; i < (round ? 20 : 500); i++) {
			unsigned n = 1 + below(ENTITIES / 2);
			double p[3];

			world[n].principal = 1 + n % PRINCIPALS;
			world[n].there = true;
			random_cell(world[n].cell);
			place_in(world[n].cell, &unseen, p);
			put(n, p);
		}
		sent = h.sequence;
		// More of them where they are few: of a principal that is there already.
		for (unsigned n = 1; second && n <= ENTITIES / 2; n++) {
			unsigned other = ENTITIES / 2 + n;
			double p[3];

			if (!world[n].there || count_of(world[n].cell).principals >= K) {
				struct pe_wire_withdraw gone = {.sequence = ++sequence[other]};

				harness_id(gone.entity_id, other);
				if (!world[other].there)
					continue;
				world[other].there = false;
				harness_queue_withdraws(
					&h, PLANE, HARNESS_INCARNATION, &gone, 1, false);
				harness_turn(&h);
				continue;
			}
			world[other] = world[n];
			place_in(world[n].cell, &unseen, p);
			put(other, p);
		}
		h.sequence = sent;
		harness_settle(&h);
		for (unsigned i = 0; i < 200; i++) {
			double box[2][3];
			struct pe_wire_query q = random_query(box);
			uint32_t bytes =
				put_resolution(extension, below(2) ? pow(10, between(0, 4)) : 4096);

			if (close_to_edge(box))
				continue;
			if (below(3) == 0)
				q.max_results = (uint16_t)(1 + below(8));
			harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
			note_replies(second);
			numbers += a.count;
			if (!a.truncated)
				continue;
			q.flags = PE_QUERY_HAS_CURSOR;
			memcpy(q.cursor, a.cursor, sizeof q.cursor);
			harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
			note_replies(second);
		}
	}
	harness_stop(&h);
}

static void two_worlds(void)
{
	begin();
	digest_count = compared = 0;
	run_world(false);
	run_world(true);
	printf("\n    seed %" PRIu64 ": %" PRIu64 " replies, %" PRIu64 " cells ", seed, compared,
		numbers);
	CU_ASSERT(compared > 3000 && compared == digest_count && numbers > 1000);
	CU_ASSERT_EQUAL(wrong, 0);
}

TESTING_MAIN("model/counted", {"against brute force", against_brute_force},
	{"cut by bounds", cut_by_bounds}, {"cursors of one's own", cursors_of_ones_own},
	{"two worlds", two_worlds})
