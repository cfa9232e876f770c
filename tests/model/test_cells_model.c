// Counts by cell against brute force: seeded random worlds in metres and on Earth, spheres and
// boxes of every size, cells from an eighth of a leaf to a continent, with masks, heights, reach,
// ages and ends of life, while entities move and crossings stay unsettled; pages of few cells, and
// engines whose bounds of work are so small that most cells come in pieces. What is expected is
// worked out from the positions that were sent: in metres by division, on Earth with the space's
// own place of a position. What is within a small distance of a volume's edge may be counted or
// not. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it ten times as long.
#include "draw.h"
#include "expect.h"
#include "harness.h"
#include "model/plain_geometry.h"
#include "wire/extension.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define ENTITIES 500u
#define QUERIES  6000u
#define PLANE    0u
#define EARTH    1u
#define CUBES    2u
#define SPACES   3u
#define PAGES    20000u

static struct harness h;
static struct pe_space space[SPACES];
static struct {
	struct pe_wire_update u;
	unsigned space;
	uint64_t time_ms, end_ms; // of the event; of its life, monotonic
	bool there;
} entity[1 + ENTITIES];

// One that is expected or was answered.
static struct cell {
	double centre[3];
	double size, height;
	uint32_t least, most, got;
	int64_t newest_least_ms; // of those that are counted for certain, and of all that may be
	int64_t newest_most_ms;
	int32_t newest_got_ms;
	unsigned page; // in which it came
	bool more;
} cells[1 + ENTITIES];
static unsigned cell_count;
static struct harness_answer answer;
static uint64_t seed, asked[8], counted, parts, levels[16], pages_seen;

// ---- entities ----

static const double sites[][2] = {{48.85, 2.35}, {90, 0}, {-12, 180}, {35.3, 45}, {0, -45}};
#define SITES (sizeof sites / sizeof sites[0])

static void place(unsigned s, double p[3])
{
	double reach = pow(10, between(0, 5)), x = between(-reach, reach),
	       y = between(-reach, reach);

	if (s == EARTH) {
		double base[3] = {0, 0, 0};

		memcpy(base, sites[below(SITES)], sizeof sites[0]);
		earth_offset(base, x, y, p);
	} else {
		p[0] = x;
		p[1] = y;
	}
	p[2] = below(4) ? between(-100, 100) : between(-3000, 5000);
}

static void send_entity(unsigned n)
{
	static const uint8_t types[] = {PE_ENTITY_STATIC, PE_ENTITY_MOBILE, 130};
	unsigned s = n % SPACES;
	uint32_t sequence = entity[n].u.sequence + 1;
	struct pe_wire_ack_record ack;
	struct pe_wire_update u;
	uint64_t time_ms;
	double p[3];

	if (entity[n].there && below(2)) { // a little further, often into the next cell
		memcpy(p, entity[n].u.position, sizeof p);
		if (s == EARTH)
			earth_offset(entity[n].u.position, between(-90, 90), between(-90, 90), p);
		else
			p[0] += between(-90, 90);
		p[2] += s == CUBES ? between(-20, 20) : 0;
	} else {
		place(s, p);
	}
	u = harness_update(n, sequence, p[0], p[1], p[2]);
	u.ttl_ms = below(4) ? 0 : 1 + below(3000);
	u.radius_m = below(3) ? 0 : (float)pow(10, between(0, 4));
	u.entity_type = types[below(3)];
	u.attributes = (uint16_t)(below(4) | PE_ATTRIBUTE_RELOCATION);
	time_ms = h.now.wall_ms - below(2000);
	if (time_ms < entity[n].time_ms)
		time_ms = entity[n].time_ms;
	u.time_offset_ms = (int32_t)((int64_t)time_ms - (int64_t)h.now.wall_ms);
	if (s == EARTH && below(4) == 0) {
		u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
		u.position[2] = 0;
	}
	ack = harness_send(&h, s, HARNESS_INCARNATION, &u);
	if (ack.status == PE_ACK_ACCEPTED) // behind a crossing of its own
		harness_settle(&h);
	EXPECT(ack.status <= PE_ACK_ACCEPTED, "entity %u: status %u reason %u", n, ack.status,
		ack.reason);
	entity[n].u = u;
	entity[n].space = s;
	entity[n].time_ms = time_ms;
	entity[n].end_ms = h.now.mono_ms + (u.ttl_ms ? u.ttl_ms : PE_TTL_DEFAULT_MS);
	entity[n].there = true;
}

// ---- what is expected ----

static enum verdict in_volume(unsigned s, const struct pe_wire_query *q, const double p[3])
{
	enum verdict in = IN;
	double width, east;

	if (q->kind == PE_QUERY_SPHERE)
		return below_limit(pe_space_distance(&space[s], q->a, p, false), q->b[0],
			0.001 + 1e-6 * q->b[0]);
	if (s != EARTH) {
		for (unsigned i = 0; i < 3; i++)
			in = both(in,
				both(below_limit(q->a[i], p[i], EDGE_M),
					below_limit(p[i], q->b[i], EDGE_M)));
		return in;
	}
	in = both(below_limit(q->a[0], p[0], 1e-8), below_limit(p[0], q->b[0], 1e-8));
	width = fmod(q->b[1] - q->a[1] + 720, 360);
	east = fmod(p[1] - q->a[1] + 720, 360);
	if (east > 359.9999)
		east -= 360;
	return both(in, both(below_limit(0, east, 1e-8), below_limit(east, width, 1e-8)));
}

static enum verdict expect(
	unsigned s, const struct pe_wire_query *q, const struct pe_wire_resolution *r, unsigned n)
{
	const struct pe_wire_update *u = &entity[n].u;
	unsigned type = u->entity_type >= 128 ? 4 : u->entity_type;
	enum verdict in;
	double middle[3];

	if (!entity[n].there || entity[n].space != s || h.now.mono_ms >= entity[n].end_ms)
		return OUT;
	if ((q->type_mask && !(q->type_mask >> type & 1)) ||
		(q->state_mask && !(q->state_mask >> PE_ATTRIBUTE_STATE(u->attributes) & 1)))
		return OUT;
	if ((q->flags & PE_QUERY_HEIGHT_RANGE) &&
		((u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN) ||
			u->position[2] < (double)q->height_min ||
			u->position[2] > (double)q->height_max))
		return OUT;
	if (r->temporal_ms && h.now.wall_ms - entity[n].time_ms > r->temporal_ms)
		return OUT;
	in = in_volume(s, q, u->position);
	if (in == OUT || !(u->radius_m > 0))
		return in;
	if (q->kind == PE_QUERY_BOX)
		pe_space_box_centre(&space[s], q->a, q->b, middle);
	else
		memcpy(middle, q->a, sizeof middle);
	return both(in,
		below_limit(pe_space_distance(&space[s], middle, u->position, false),
			(double)u->radius_m, 0.001 + 1e-6 * (double)u->radius_m));
}

// Edges and heights of cells in leaves, from the smallest level up.
static const double edges[] = {
	0.125, 0.25, 0.5, 1, 8, 64, 256, 1024, 4096, 16384, 65536, 262144, 524288};
static const double heights[] = {1, 1, 1, 1, 1, 1, 4, 16, 64, 256, 1024, 4096, 16384};
#define LEVELS (sizeof edges / sizeof edges[0])

static unsigned level_for(unsigned s, double size_m, unsigned max_results)
{
	unsigned level = max_results && max_results < 64 ? 3 : 0;
	double leaf_m = space[s].config.leaf_edge_m;

	size_m *= 1 + 1e-6; // as docs/protocol.md has it: a float says the edge of a leaf no better
	if (s == EARTH && size_m > 0x1p20)
		size_m = 0x1p20;
	while (level + 1 < LEVELS && edges[level + 1] * leaf_m <= size_m)
		level++;
	return level;
}

static void centre_of(unsigned s, unsigned level, const double p[3], double centre[3])
{
	double size = edges[level] * space[s].config.leaf_edge_m,
	       height = heights[level] * space[s].config.leaf_height_m;
	double per_unit[3] = {size, size, height};
	int64_t lo[3], hi[3];
	struct pe_place at;

	if (s != EARTH) {
		// Counted from the least that a key says, which is a whole number of cells but for
		// the largest.
		for (unsigned i = 0; i < 3; i++) {
			double base = i < 2 ? -0x1p18 * space[s].config.leaf_edge_m :
					      -0x1p14 * space[s].config.leaf_height_m;

			centre[i] = base + (floor((p[i] - base) / per_unit[i]) + 0.5) * per_unit[i];
		}
		return;
	}
	(void)pe_space_locate(&space[s], p, &at);
	struct pe_units u = pe_place_units(at.key, at.word);

	for (unsigned i = 0; i < 3; i++) {
		int64_t base = -((int64_t)(i < 2 ? 1 << 18 : 1 << 14) << PE_CELL_BITS);
		int64_t units = (int64_t)((i < 2 ? edges : heights)[level] * 0x1p20);

		lo[i] = base + (u.v[i] - base) / units * units;
		hi[i] = lo[i] + units - 1;
	}
	pe_space_cell_centre(&space[s], u.frame, lo, hi, centre);
	// The middle is on Earth, and near.
	EXPECT(pe_space_distance(&space[s], centre, p, false) <= 1.5 * (size + height) &&
			fabs(centre[0]) <= 90 && fabs(centre[1]) <= 180 && centre[2] == 0,
		"centre %.9f, %.9f of %.9f, %.9f", centre[0], centre[1], p[0], p[1]);
}

static struct cell *cell_at(const double centre[3])
{
	for (unsigned i = 0; i < cell_count; i++)
		if (memcmp(cells[i].centre, centre, sizeof cells[i].centre) == 0)
			return &cells[i];
	return NULL;
}

static void make_expected(unsigned s, const struct pe_wire_query *q,
	const struct pe_wire_resolution *r, unsigned level)
{
	cell_count = 0;
	for (unsigned n = 1; n <= ENTITIES; n++) {
		enum verdict in = expect(s, q, r, n);
		int64_t age_ms = (int64_t)(h.now.wall_ms - entity[n].time_ms);
		double centre[3];
		struct cell *c;

		if (in == OUT)
			continue;
		centre_of(s, level, entity[n].u.position, centre);
		c = cell_at(centre);
		if (!c) {
			c = &cells[cell_count++];
			*c = (struct cell){
				.newest_least_ms = INT64_MAX, .newest_most_ms = INT64_MAX};
			memcpy(c->centre, centre, sizeof centre);
		}
		c->most++;
		if (age_ms < c->newest_most_ms)
			c->newest_most_ms = age_ms;
		if (in == IN) {
			c->least++;
			if (age_ms < c->newest_least_ms)
				c->newest_least_ms = age_ms;
		}
	}
}

// ---- queries ----

static void make_query(unsigned s, struct pe_wire_query *q)
{
	double reach = pow(10, between(0, 5.5)), other[3];
	unsigned near = 1 + below(ENTITIES);

	*q = (struct pe_wire_query){
		.query_id = 1, .kind = below(3) ? PE_QUERY_SPHERE : PE_QUERY_BOX};
	if (below(2) && entity[near].there && entity[near].space == s)
		memcpy(q->a, entity[near].u.position, sizeof q->a);
	else
		place(s, q->a);
	if (q->kind == PE_QUERY_SPHERE) {
		q->b[0] = reach;
	} else if (s == EARTH) {
		earth_offset(q->a, -reach, -reach, q->b);
		memcpy(other, q->b, sizeof other);
		earth_offset(q->a, reach, reach, q->b);
		memcpy(q->a, other, sizeof q->a);
		q->a[2] = q->b[2] = 0;
		if (q->a[0] > q->b[0]) { // over a pole
			q->a[0] = 89;
			q->b[0] = 90;
			q->a[1] = -180;
			q->b[1] = 180;
		}
	} else {
		for (unsigned i = 0; i < 3; i++) {
			q->a[i] -= between(0, reach);
			q->b[i] = q->a[i] + between(0, 2 * reach);
		}
	}
	if (below(6) == 0) {
		q->flags |= PE_QUERY_HEIGHT_RANGE;
		q->height_min = (float)between(-200, 0);
		q->height_max = (float)between(0, 200);
	}
	if (below(5) == 0)
		q->type_mask = (uint16_t)(1 + below(31));
	if (below(5) == 0)
		q->state_mask = (uint16_t)(1 + below(31));
	q->max_results = (uint16_t)(below(3) == 0 ? 0 : below(2) ? 1 + below(20) : 64 + below(200));
	asked[q->kind]++;
}

static void take_cell(unsigned s, unsigned level, unsigned page, const struct pe_wire_cell *w)
{
	static const struct cell *last;
	struct cell *c = cell_at(w->centre);

	if (!c) {
		EXPECT(false, "a cell at %.9f, %.9f, %.3f that nobody is in", w->centre[0],
			w->centre[1], w->centre[2]);
		return;
	}
	EXPECT(w->level == (int)level - 3, "level %d", w->level);
	EXPECT((double)w->size_m == edges[level] * space[s].config.leaf_edge_m &&
			(double)w->height_m == heights[level] * space[s].config.leaf_height_m,
		"size %g, height %g", (double)w->size_m, (double)w->height_m);
	// Once, unless it said that more of it comes: on a later page, before any other cell.
	// (Parts of a leaf come together.)
	if (c->got)
		EXPECT(c->more && c->page < page && (c == last || level < 3),
			"cell %.3f, %.3f again: pages %u and %u", w->centre[0], w->centre[1],
			c->page, page);
	last = c;
	if (w->flags & PE_CELL_MORE) {
		EXPECT(answer.truncated, "more of a cell, and no more pages");
		parts++;
	}
	c->more = w->flags & PE_CELL_MORE;
	c->page = page;
	if (!c->got || w->newest_age_ms < c->newest_got_ms)
		c->newest_got_ms = w->newest_age_ms;
	c->got += w->count;
	counted += w->count;
}

static void ask(unsigned round)
{
	struct pe_wire_resolution r = {.spatial_m = (float)pow(10, between(0, below(4) ? 6 : 8)),
		.temporal_ms = below(4) ? 0 : 1 + below(2500),
		.attribute = (float)below(5) / 4};
	unsigned s = below(SPACES), level, page = 0;
	uint8_t extension[64];
	uint32_t bytes;
	struct pe_wire_query q;

	if (round < LEVELS) // each level at least once, whatever the seed
		s = PLANE;
	make_query(s, &q);
	if (round < LEVELS) {
		r.spatial_m = (float)(1.5 * edges[round] * space[s].config.leaf_edge_m);
		q.max_results = 0;
	}
	bytes = pe_wire_put_block(
		extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);
	level = level_for(s, (double)r.spatial_m, q.max_results);
	levels[level]++;
	make_expected(s, &q, &r, level);
	do {
		harness_ask_extended(&h, 0, s, &q, extension, bytes, &answer);
		if (answer.reason == PE_REASON_query_bounds && s == EARTH)
			return;
		EXPECT(answer.whole && !answer.reason && answer.form == PE_ANSWER_CELLS,
			"round %u: reason %u", round, answer.reason);
		EXPECT(!q.max_results || answer.count <= q.max_results, "%u cells", answer.count);
		for (unsigned i = 0; i < answer.count; i++)
			take_cell(s, level, page, &answer.cells[i]);
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
		page++;
	} while (answer.truncated && page < PAGES && wrong < 20);
	pages_seen += page;
	EXPECT(!answer.truncated, "round %u: no end after %u pages", round, page);
	for (unsigned i = 0; i < cell_count; i++) {
		const struct cell *c = &cells[i];

		EXPECT(c->got >= c->least && c->got <= c->most,
			"round %u, space %u, level %u, cell %.9f, %.9f, %.3f: %u, not %u to %u",
			round, s, level, c->centre[0], c->centre[1], c->centre[2], c->got, c->least,
			c->most);
		if (c->got && c->least)
			EXPECT(c->newest_got_ms <= c->newest_least_ms &&
					c->newest_got_ms >= c->newest_most_ms,
				"round %u: newest %d", round, c->newest_got_ms);
	}
}

static void run(uint32_t cells_max, uint32_t candidates_max, unsigned queries)
{
	struct pe_engine_config config = harness_config();
	struct pe_error error;

	config.space_count = SPACES;
	config.spaces[CUBES].space = config.spaces[PLANE].space;
	memset(config.spaces[CUBES].space.id, 0xC2, 16);
	strcpy(config.spaces[CUBES].space.name, "cubes");
	config.spaces[CUBES].space.leaf_edge_m = config.spaces[CUBES].space.leaf_height_m = 16;
	config.query_cells_max = cells_max;
	config.query_candidates_max = candidates_max;
	memset(entity, 0, sizeof entity);
	harness_start(&h, &config);
	for (unsigned s = 0; s < SPACES; s++)
		EXPECT(pe_space_prepare(&space[s], &config.spaces[s].space, s, &error) == PE_OK,
			"space");
	for (unsigned n = 1; n <= ENTITIES; n++)
		send_entity(n);
	for (unsigned round = 0; round < queries && wrong < 20; round++) {
		for (unsigned moves = below(12); moves; moves--)
			send_entity(1 + below(ENTITIES));
		if (below(8) == 0)
			harness_settle(&h);
		if (below(4) == 0)
			harness_advance(&h, below(400));
		ask(round);
	}
	harness_stop(&h);
}

int main(void)
{
	const char *text = getenv("PE_TEST_SEED");
	unsigned queries = (unsigned)testing_amount(QUERIES);

	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	state = seed;
	harness_failed = failed;
	printf("PE_TEST_SEED=%" PRIu64 "\n", seed);
	run(0, 0, queries);
	run(3, 64, queries / 20);
	run(40, 100, queries / 10);
	printf("%" PRIu64 " spheres, %" PRIu64 " boxes, %" PRIu64 " pages, %" PRIu64
	       " entities counted, %" PRIu64 " cells in parts\n",
		asked[PE_QUERY_SPHERE], asked[PE_QUERY_BOX], pages_seen, counted, parts);
	for (unsigned i = 0; i < LEVELS; i++)
		EXPECT(levels[i] > 0, "level %d asked for %" PRIu64 " times", (int)i - 3,
			levels[i]);
	EXPECT(parts > testing_amount(50) && counted > queries, "too little was seen");
	printf("%s\n", wrong ? "FAILED" : "ok");
	return wrong != 0;
}
