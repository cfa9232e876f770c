// Queries with extensions, and the nearest, against brute force: seeded random polygons with holes,
// oriented boxes, frusta, spheres and nearest-k, half of them with a random filter, through the
// façade, while entities move. What is expected is worked out by other means than the engine's:
// polygons by counting crossings in the plane (GEODETIC: of the gnomonic projection, where edges
// are straight), boxes and frusta in their own axes, filters on trees, the nearest by sorting all
// distances. What is within a small distance of an edge may be in or out. A third of the queries is
// about a later moment: entities are then expected where PROJ's geodesic, or a straight line,
// leads. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it ten times as long.
#include "base/limits.h"
#include "detailed.h"
#include "draw.h"
#include "expect.h"
#include "filter_tree.h"
#include "harness.h"
#include "model/random_volume.h"
#include "wire/extension.h"
#include "wire/half.h"

#include <geodesic.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define ENTITIES 900u
#define QUERIES  24000u

static struct harness h;
static struct pe_space space[2];
static struct {
	struct pe_wire_update u;
	struct tree_entity tree;
	unsigned space;
	uint64_t time_ms; // of the event
	bool met;
} entity[1 + ENTITIES];
// Where they are at the moment that is asked about, and what results say of that.
static struct {
	double position[3], precision_m;
	float velocity[3];
	struct tree_entity tree;
} at[1 + ENTITIES];
static bool timed;
static uint32_t ahead_ms;
static struct geod_geodesic geodesic;
static struct harness_answer answer;
static uint8_t extension[PE_WIRE_BYTES_MAX];
static uint64_t seed, results_seen, edge_cases, asked[8], filtered, moments;

// ---- entities ----

static const double sites[][2] = {{48.85, 2.35}, {90, 0}, {-12, 180}, {35.3, 45}, {0, -45}};
#define SITES (sizeof sites / sizeof sites[0])

static void place(unsigned s, double p[3])
{
	double reach = pow(10, between(0, 4));
	double base[3] = {0, 0, 0};

	if (s == EARTH)
		memcpy(base, sites[below(SITES)], sizeof sites[0]);
	offset(s, base, between(-reach, reach), between(-reach, reach), p);
	p[2] = below(4) ? between(-100, 100) : between(-1000, 5000);
}

static bool height_unknown(unsigned n)
{
	return entity[n].u.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN;
}

// The update with the details that make its context and metadata the tree's; some names were known
// before.
static struct pe_wire_ack_record send_with_details(unsigned in, const struct pe_wire_update *u,
	const struct tree_entity *before, const struct tree_entity *t)
{
	static struct tree_blocks blocks;
	static struct detailed d;
	struct pe_facts facts;
	uint32_t bytes;

	tree_facts(t, &blocks, &facts);
	// A block is a change that sets all of its names.
	for (unsigned i = 0; i < before->value_count; i++) {
		struct pe_entry e = {.name = (const uint8_t *)before->names[i],
			.name_bytes = (uint8_t)strlen(before->names[i]),
			.value = {.type = PE_VALUE_REMOVE}};
		struct pe_value v;

		if (!pe_metadata_find(blocks.metadata,
			    pe_block_bytes(blocks.metadata, sizeof blocks.metadata), e.name,
			    e.name_bytes, &v))
			EXPECT(pe_metadata_set_change(blocks.metadata, &e) == PE_BLOCK_SOUND,
				"a removal of %s", before->names[i]);
	}
	bytes = pe_block_bytes(blocks.metadata, sizeof blocks.metadata);
	detailed_begin(&d, u);
	detailed_put(&d, PE_DETAILS_CONTEXT, blocks.context,
		pe_block_bytes(blocks.context, sizeof blocks.context));
	detailed_put(&d, PE_DETAILS_METADATA, blocks.metadata, bytes);
	return harness_send_detailed(&h, in, HARNESS_INCARNATION, d.bytes);
}

static void make_entity(unsigned n)
{
	struct tree_entity *t = &entity[n].tree;
	const struct tree_entity before = *t;
	unsigned s = n % 3 ? EARTH : PLANE;
	struct pe_wire_ack_record ack;
	struct pe_wire_update u;
	double p[3];

	place(s, p);
	if (below(5) == 0) { // where another one is: as far away as that from everywhere
		unsigned other = 1 + below(ENTITIES);

		if (entity[other].u.sequence && entity[other].space == s && !height_unknown(other))
			memcpy(p, entity[other].u.position, sizeof p);
	}
	tree_random_entity(t, &state);
	harness_id(t->id, n);
	t->id_told = true;
	t->stale = false; // nothing is announced
	if (t->type == PE_ENTITY_RECURRING)
		t->type = PE_ENTITY_MOBILE;
	if (t->age_ms < 0)
		t->age_ms = 0;
	if (below(2))
		t->radius_m = 0;
	u = harness_update(n, entity[n].u.sequence + 1, p[0], p[1], p[2]);
	u.ttl_ms = PE_TTL_MAX_MS;
	u.radius_m = t->radius_m;
	for (unsigned i = 0; i < 3; i++)
		u.velocity[i] = pe_half_from_float(t->velocity[i]);
	u.entity_type = t->type;
	u.attributes = (uint16_t)(t->state | PE_ATTRIBUTE_RELOCATION);
	u.custom_state = t->custom_state;
	u.position_confidence = t->position_confidence;
	u.status_confidence = t->status_confidence;
	// Ages grow, since time does not: a newer update's event may not be older.
	u.time_offset_ms = -(int32_t)t->age_ms;
	if (entity[n].time_ms > h.now.wall_ms - (uint64_t)t->age_ms) {
		t->age_ms = (int64_t)(h.now.wall_ms - entity[n].time_ms);
		u.time_offset_ms = -(int32_t)t->age_ms;
	}
	entity[n].time_ms = h.now.wall_ms - (uint64_t)t->age_ms;
	if (s == EARTH && below(4) == 0) {
		u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
		u.position[2] = 0;
	}
	entity[n].u = u;
	entity[n].space = s;
	ack = send_with_details(s, &u, &before, t);
	if (ack.status == PE_ACK_ACCEPTED) // behind a move of its own
		harness_settle(&h);
	EXPECT(ack.status <= PE_ACK_ACCEPTED, "entity %u: status %u", n, ack.status);
}

// ---- what is expected ----

// As long a way from a place, by the geodesic in the direction of the velocity; at a height that
// way is longer than its footprint's.
static void go(unsigned s, const double from[3], const float v[3], bool height, double seconds,
	double to[3])
{
	double azimuth = atan2((double)v[0], (double)v[1]), sine = sin(from[0] * DEGREE);
	double n = WGS84_A / sqrt(1 - WGS84_E2 * sine * sine),
	       m = n * (1 - WGS84_E2) / (1 - WGS84_E2 * sine * sine);
	double radius = 1 / (pow(cos(azimuth), 2) / m + pow(sin(azimuth), 2) / n);

	memcpy(to, from, 3 * sizeof to[0]);
	if (s == PLANE) {
		for (unsigned i = 0; i < 3; i++)
			to[i] += (double)v[i] * seconds;
		return;
	}
	if (v[0] != 0 || v[1] != 0)
		geod_direct(&geodesic, from[0], from[1], azimuth / DEGREE,
			hypot((double)v[0], (double)v[1]) * seconds * radius /
				(radius + (height ? from[2] : 0)),
			&to[0], &to[1], NULL);
	if (height)
		to[2] += (double)v[2] * seconds;
}

static void see(unsigned n)
{
	const struct pe_wire_update *u = &entity[n].u;
	const float *v = entity[n].tree.velocity;
	double ms = (double)(int64_t)(h.now.wall_ms + ahead_ms - entity[n].time_ms);
	double speed = sqrt(pow((double)v[0], 2) + pow((double)v[1], 2) + pow((double)v[2], 2));
	bool moves = timed && u->entity_type != PE_ENTITY_STATIC;

	ms = fmin(fmax(ms, 0), PE_PREDICT_HORIZON_MS);
	at[n].tree = entity[n].tree;
	at[n].precision_m = 0;
	memcpy(at[n].position, u->position, sizeof at[n].position);
	if (!moves)
		return;
	go(entity[n].space, u->position, v, !height_unknown(n), ms / 1000, at[n].position);
	at[n].precision_m = 2 * speed * ms / 1000;
	if (u->position_confidence)
		at[n].tree.position_confidence =
			pe_confidence_from_float(pe_confidence_to_float(u->position_confidence) *
				expf(-(float)ms / (float)PE_PREDICT_HORIZON_MS));
}

static enum verdict in_volume(
	unsigned s, const struct pe_wire_query *q, const struct volume *v, unsigned n)
{
	const double *p = at[n].position;
	bool straight = s == EARTH && (q->flags & PE_QUERY_DISTANCE_3D);
	double m[3], own[3], limit;
	enum verdict in;

	switch (q->kind) {
	case PE_QUERY_POLYGON:
		if (height_unknown(n) ? isfinite(v->height_min) || isfinite(v->height_max) :
					p[2] < v->height_min || p[2] > v->height_max)
			return OUT;
		if (s == EARTH && pe_space_distance(&space[s], q->a, p, true) > 100000)
			return OUT; // the other side of the Earth is projected too
		flatten(s, v, p, m);
		return in_rings((const double(*)[2])v->flat, v->ring_vertices, v->ring_count, m);
	case PE_QUERY_ORIENTED_BOX:
	case PE_QUERY_FRUSTUM:
		if (height_unknown(n))
			return OUT;
		metres_of(s, p, m);
		for (unsigned i = 0; i < 3; i++)
			m[i] -= v->at[i];
		for (unsigned i = 0; i < 3; i++)
			own[i] = dot(m, v->own[i]);
		if (q->kind == PE_QUERY_ORIENTED_BOX) {
			in = IN;
			for (unsigned i = 0; i < 3; i++)
				in = both(in, below_limit(fabs(own[i]), v->box.half[i], EDGE_M));
			return in;
		}
		in = both(below_limit(own[0], v->frustum.far_m, EDGE_M),
			below_limit(v->frustum.near_m, own[0], EDGE_M));
		limit = own[0] * tan(v->frustum.horizontal_deg / 2 * DEGREE);
		in = both(
			in, below_limit(fabs(own[1]), limit, EDGE_M * (2 + fabs(limit / own[0]))));
		limit = own[0] * tan(v->frustum.vertical_deg / 2 * DEGREE);
		return both(
			in, below_limit(fabs(own[2]), limit, EDGE_M * (2 + fabs(limit / own[0]))));
	default: // a sphere; of the nearest all that may be
		if (straight && height_unknown(n))
			return OUT;
		limit = q->kind == PE_QUERY_SPHERE || q->b[0] > 0 ? q->b[0] :
			s == EARTH                                ? PE_QUERY_RADIUS_MAX_M :
								    INFINITY;
		return below_limit(pe_space_distance(&space[s], q->a, p, straight), limit,
			isfinite(limit) ? 0.001 + 1e-6 * limit : 0);
	}
}

static enum verdict expect(unsigned s, const struct pe_wire_query *q, const struct volume *v,
	const struct tree *tree, const double origin[3], unsigned n)
{
	const struct pe_wire_update *u = &entity[n].u;
	bool straight = s == EARTH && (q->flags & PE_QUERY_DISTANCE_3D);
	unsigned type = u->entity_type >= 128 ? 4 : u->entity_type;
	enum verdict in;

	if (entity[n].space != s || (q->type_mask && !(q->type_mask >> type & 1)) ||
		(q->state_mask && !(q->state_mask >> PE_ATTRIBUTE_STATE(u->attributes) & 1)))
		return OUT;
	if ((q->flags & PE_QUERY_HEIGHT_RANGE) &&
		(height_unknown(n) || at[n].position[2] < (double)q->height_min ||
			at[n].position[2] > (double)q->height_max))
		return OUT;
	if (tree && tree_evaluate(tree, &at[n].tree, true) != PE_FILTER_YES)
		return OUT;
	in = in_volume(s, q, v, n);
	if (in != OUT && u->radius_m > 0)
		in = both(in,
			below_limit(pe_space_distance(&space[s], origin, at[n].position, straight),
				(double)u->radius_m, 0.001 + 1e-6 * (double)u->radius_m));
	return in;
}

// ---- queries ----

static void make_options(unsigned s, struct pe_wire_query *q, double origin[3])
{
	memcpy(origin, q->a, sizeof q->a);
	if (below(4) == 0) {
		q->flags |= PE_QUERY_HAS_ORIGIN;
		offset(s, q->a, between(-100, 100), between(-100, 100), q->origin);
		q->origin[2] = q->a[2];
		memcpy(origin, q->origin, sizeof q->origin);
	}
	if (below(6) == 0) {
		q->flags |= PE_QUERY_HEIGHT_RANGE;
		q->height_min = (float)between(-200, 0);
		q->height_max = (float)between(0, 200);
	}
	if (below(3) == 0)
		q->flags |= PE_QUERY_DISTANCE_3D;
	if (below(5) == 0)
		q->type_mask = (uint16_t)(1 + below(31));
	if (below(5) == 0)
		q->state_mask = (uint16_t)(1 + below(31));
}

static uint32_t add_filter(uint32_t used, struct tree *tree)
{
	uint8_t program[PE_FILTER_BYTES_MAX];
	uint32_t bytes, with;

	do {
		tree_random(tree, 1 + below(6), &state);
		for (unsigned i = 0; i < tree->count; i++) // ids that there are
			if (tree->nodes[i].op == PE_FILTER_ID) {
				unsigned n = 1 + below(ENTITIES);

				tree->nodes[i].argument = 1;
				harness_id(tree->nodes[i].ids[0], n);
			}
		bytes = tree_write(tree, program);
	} while (!bytes);
	with = pe_wire_put_block(
		extension, used, PE_WIRE_BYTES_MAX - 80 - 128, PE_BLOCK_FILTER, program, bytes);
	return with ? with : used;
}

static void check_result(unsigned s, const struct pe_wire_query *q, const double origin[3],
	const struct pe_wire_result *r)
{
	uint64_t n = harness_id_number(r->entity_id);
	bool straight = s == EARTH && (q->flags & PE_QUERY_DISTANCE_3D);
	double d;

	if (n < 1 || n > ENTITIES || entity[n].met) {
		EXPECT(false, "id %" PRIu64 " twice or never sent", n);
		return;
	}
	entity[n].met = true;
	results_seen++;
	if (timed) {
		double precision_m = (double)pe_half_to_float(r->precision);

		EXPECT(pe_space_distance(&space[s], r->position, at[n].position, s == EARTH) < 1e-5,
			"%" PRIu64 " at %.12g %.12g %.6g, not %.12g %.12g %.6g", n, r->position[0],
			r->position[1], r->position[2], at[n].position[0], at[n].position[1],
			at[n].position[2]);
		EXPECT(precision_m >= at[n].precision_m - 1e-9 &&
				precision_m <= at[n].precision_m * 1.001 + 1e-7,
			"%" PRIu64 " within %g, not %g", n, precision_m, at[n].precision_m);
		EXPECT(r->position_confidence == at[n].tree.position_confidence,
			"%" PRIu64 ": confidence %u, not %u", n, r->position_confidence,
			at[n].tree.position_confidence);
	} else {
		EXPECT(memcmp(r->position, entity[n].u.position, sizeof r->position) == 0,
			"%" PRIu64 " is elsewhere", n);
	}
	EXPECT(r->age_ms == entity[n].tree.age_ms, "%" PRIu64 ": age %d", n, r->age_ms);
	d = pe_space_distance(&space[s], origin, at[n].position, straight);
	EXPECT(fabs((double)r->distance_m - d) <=
			0.0035 + 1.1e-6 * d + (s && d > 1e5 ? pe_surface_band(d) : 0),
		"%" PRIu64 ": %.4f m, not %.4f", n, (double)r->distance_m, d);
}

static bool comes_before(double d, unsigned n, double than_d, unsigned than)
{
	if (timed && fabs(d - than_d) < 1e-4) // worked out in two ways
		return true;
	return d != than_d ? d < than_d :
			     memcmp(entity[n].u.entity_id, entity[than].u.entity_id, 16) < 0;
}

// Those that there are, in order: ascending, and nothing left out that comes before the last one.
static void check_nearest(unsigned s, const struct pe_wire_query *q, const enum verdict *verdicts)
{
	bool straight = s == EARTH && (q->flags & PE_QUERY_DISTANCE_3D);
	double last_d = -1, d;
	unsigned last = 0;

	for (unsigned i = 0; i < answer.count; i++) {
		unsigned n = (unsigned)harness_id_number(answer.results[i].entity_id);

		d = pe_space_distance(&space[s], q->a, at[n].position, straight);
		EXPECT(i == 0 || comes_before(last_d, last, d, n),
			"entity %u at %.17g m comes behind %u at %.17g m", n, d, last, last_d);
		EXPECT(verdicts[n] != OUT, "entity %u should not be met", n);
		last_d = d;
		last = n;
	}
	EXPECT(answer.count <= q->max_results, "%u results", answer.count);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		if (verdicts[n] != IN || entity[n].met)
			continue;
		d = pe_space_distance(&space[s], q->a, at[n].position, straight);
		EXPECT(answer.count == q->max_results && comes_before(last_d, last, d, n),
			"entity %u at %.17g m is missing: %u of %u, the last at %.17g m", n, d,
			answer.count, q->max_results, last_d);
	}
}

// The same volume and filter, counted by cell and told in short: neither more nor fewer than came
// whole.
static void check_resolutions(unsigned s, struct pe_wire_query q, uint32_t bytes)
{
	struct pe_wire_resolution r = {
		.spatial_m = (float)pow(10, between(0, 5)), .attribute = 0.5f};
	unsigned met = 0, sum = 0, pages = 0;
	uint32_t with;

	for (unsigned n = 1; n <= ENTITIES; n++)
		met += entity[n].met;
	q.flags &= (uint16_t)~PE_QUERY_HAS_CURSOR;
	memset(q.cursor, 0, sizeof q.cursor);
	q.max_results = (uint16_t)(below(2) ? 0 : 1 + below(100));
	with = pe_wire_put_block(
		extension, bytes, PE_WIRE_BYTES_MAX - 80 - 128, PE_BLOCK_RESOLUTION, &r, sizeof r);
	if (!with)
		return;
	if (timed) { // cells hold who is there now
		harness_ask_extended(&h, 0, s, &q, extension, with, &answer);
		EXPECT(answer.whole && answer.reason == PE_REASON_query_resolution,
			"cells of a later moment: reason %u", answer.reason);
	}
	while (!timed) {
		harness_ask_extended(&h, 0, s, &q, extension, with, &answer);
		EXPECT(answer.whole && !answer.reason && answer.form == PE_ANSWER_CELLS,
			"kind %u: reason %u", q.kind, answer.reason);
		for (unsigned i = 0; i < answer.count; i++)
			sum += answer.cells[i].count;
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
		if (!answer.truncated || ++pages == 2000)
			break;
	}
	EXPECT(timed || sum == met, "kind %u: %u counted in cells of %g m, %u met", q.kind, sum,
		(double)r.spatial_m, met);
	q.flags &= (uint16_t)~PE_QUERY_HAS_CURSOR;
	memset(q.cursor, 0, sizeof q.cursor);
	q.max_results = 0;
	r = (struct pe_wire_resolution){.attribute = 0.25f};
	with = pe_wire_put_block(
		extension, bytes, PE_WIRE_BYTES_MAX - 80 - 128, PE_BLOCK_RESOLUTION, &r, sizeof r);
	harness_ask_extended(&h, 0, s, &q, extension, with, &answer);
	EXPECT(answer.whole && answer.form == PE_ANSWER_SHORT && answer.count == met,
		"kind %u: %u in short, %u met", q.kind, answer.count, met);
	for (unsigned i = 0; i < answer.count; i++) {
		const struct pe_wire_result *result = &answer.results[i];
		uint64_t n = harness_id_number(result->entity_id);

		EXPECT(n >= 1 && n <= ENTITIES && entity[n].met &&
				(timed ? pe_space_distance(&space[s], result->position,
						 at[n].position, s == EARTH) < 1e-5 :
					 memcmp(result->position, entity[n].u.position,
						 sizeof result->position) == 0) &&
				!!(result->state & PE_RESULT_HEIGHT_UNKNOWN) ==
					height_unknown((unsigned)n),
			"%" PRIu64 " in short", n);
	}
}

static void query(void)
{
	static const uint8_t kinds[] = {PE_QUERY_POLYGON, PE_QUERY_POLYGON, PE_QUERY_ORIENTED_BOX,
		PE_QUERY_FRUSTUM, PE_QUERY_NEAREST, PE_QUERY_NEAREST, PE_QUERY_SPHERE};
	static enum verdict verdicts[1 + ENTITIES];
	static struct volume v;
	struct tree tree, *filter = NULL;
	unsigned s = below(3) ? EARTH : PLANE, pages = 0;
	struct pe_wire_query q = {.query_id = 1, .kind = kinds[below(sizeof kinds)]};
	double origin[3];
	uint32_t bytes, volume_bytes;

	place(s, q.a);
	if (below(2) && entity[1 + below(ENTITIES)].space == s) { // about somebody
		unsigned n;

		do
			n = 1 + below(ENTITIES);
		while (entity[n].space != s);
		memcpy(q.a, entity[n].u.position, sizeof q.a);
	}
	timed = below(3) == 0;
	ahead_ms = !timed || below(4) == 0 ? 0 : below(PE_PREDICT_HORIZON_MS + 1);
	for (unsigned n = 1; n <= ENTITIES; n++)
		see(n);
	bytes = volume_bytes = make_volume(s, &q, &v, extension);
	if (pe_query_kind_extended(q.kind) && !bytes)
		return;
	make_options(s, &q, origin);
	// On Earth the velocity is told along other axes, and so rounded otherwise.
	if (below(2) && !(timed && s == EARTH)) {
		bytes = add_filter(bytes, &tree);
		filter = bytes > volume_bytes ? &tree : NULL;
		filtered += filter != NULL;
	}
	if (timed) {
		const struct pe_wire_time t = {.offset_ms = (int32_t)ahead_ms};
		uint32_t with = pe_wire_put_block(extension, bytes, PE_WIRE_BYTES_MAX - 80 - 128,
			PE_BLOCK_TIME, &t, sizeof t);

		if (!with)
			return;
		bytes = with;
		moments++;
	}
	if (q.kind != PE_QUERY_NEAREST && below(3) == 0) {
		q.max_results = (uint16_t)(1 + below(60));
		harness_settle(&h); // one that is on its way may be in two pages
	}
	asked[q.kind]++;
	for (unsigned n = 1; n <= ENTITIES; n++) {
		entity[n].met = false;
		verdicts[n] = expect(s, &q, &v, filter, origin, n);
		edge_cases += verdicts[n] == MAY;
	}
	do {
		harness_ask_extended(&h, 0, s, &q, extension, bytes, &answer);
		EXPECT(answer.whole && !answer.reason, "kind %u: %s", q.kind,
			pe_reason_info[answer.reason].name);
		if (!answer.whole || answer.reason)
			return;
		for (unsigned i = 0; i < answer.count; i++)
			check_result(s, &q, origin, &answer.results[i]);
		q.flags |= q.kind == PE_QUERY_NEAREST ? 0 : PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
	} while (answer.truncated && q.kind != PE_QUERY_NEAREST && ++pages < 1000);
	EXPECT(!answer.truncated, "kind %u is truncated", q.kind);
	if (q.kind == PE_QUERY_NEAREST) {
		check_nearest(s, &q, verdicts);
		return;
	}
	for (unsigned n = 1; n <= ENTITIES; n++)
		EXPECT(verdicts[n] == MAY || entity[n].met == (verdicts[n] == IN),
			"entity %u at %.12g %.12g %.12g of space %u %s: kind %u flags %x a %.12g %.12g %.12g",
			n, at[n].position[0], at[n].position[1], at[n].position[2], s,
			entity[n].met ? "should not be met" : "is missing", q.kind, q.flags, q.a[0],
			q.a[1], q.a[2]);
	if (below(4) == 0)
		check_resolutions(s, q, bytes);
}

static void volumes_as_brute_force(void)
{
	struct pe_engine_config config = harness_config();
	uint64_t goal = testing_amount(QUERIES), queries = 0;
	struct pe_error error;

	config.entity_count_max = 4 * ENTITIES;
	config.details_bytes = 16 << 20;
	config.pending_count_max = 4 * ENTITIES;
	for (unsigned s = 0; s < 2; s++)
		if (pe_space_prepare(&space[s], &config.spaces[s].space, s, &error) != PE_OK)
			abort();
	geod_init(&geodesic, WGS84_A, 1 / 298.257223563);
	harness_failed = failed;
	harness_start(&h, &config);
	for (unsigned n = 1; n <= ENTITIES; n++)
		make_entity(n);
	for (; queries < goal && !wrong; queries++) {
		if (queries % 4 == 0)
			make_entity(1 + below(ENTITIES));
		if (queries % 64 == 0)
			harness_settle(&h);
		query();
	}
	CU_ASSERT(wrong || results_seen > goal);
	harness_stop(&h);
	printf("%" PRIu64 " polygons, %" PRIu64 " oriented boxes, %" PRIu64 " frusta, %" PRIu64
	       " nearest, %" PRIu64 " spheres, %" PRIu64 " with a filter, %" PRIu64
	       " of a later moment, %" PRIu64 " results, %" PRIu64 " at an edge ",
		asked[PE_QUERY_POLYGON], asked[PE_QUERY_ORIENTED_BOX], asked[PE_QUERY_FRUSTUM],
		asked[PE_QUERY_NEAREST], asked[PE_QUERY_SPHERE], filtered, moments, results_seen,
		edge_cases);
	CU_ASSERT(wrong || moments > goal / 8);
	CU_ASSERT_EQUAL(wrong, 0);
}

int main(void)
{
	static const struct testing_case cases[] = {{"random volumes", volumes_as_brute_force}};
	const char *text = getenv("PE_TEST_SEED");

	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", seed);
	return testing_main("discover: model", cases, 1);
}
