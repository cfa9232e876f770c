// EXPLAIN against answers and brute force: seeded random entities, which come, move, are withdrawn
// and expire while the clock runs, and random queries of every kind, a third of them with a filter.
// After each answer some entities are asked about: the explanation must say "in" exactly when the
// answer has them, and its first cause must be the one that is worked out here by other means
// (model/plain_geometry.h, trees of tests). What is within a small distance of an edge may have
// either. Who isn't trusted must be told the same, but not what is gone. PE_TEST_SEED repeats a
// run, PE_TEST_LONG=1 makes it ten times as long.
#include "draw.h"
#include "expect.h"
#include "filter_tree.h"
#include "harness.h"
#include "model/plain_geometry.h"
#include "wire/extension.h"
#include "wire/half.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define ENTITIES 240u
#define ROUNDS   20000u
#define ASKED    10u // explanations a query
#define PLANE    0u
#define EARTH    1u
#define HALF_MAX 2000.0
// Longer ago, and what was there may be forgotten.
#define REMEMBERED_MS 9000u

static struct harness h;
static struct pe_space space[2];
static struct {
	struct pe_wire_update u;
	struct tree_entity tree;
	unsigned space;
	uint64_t time_ms;            // of the event
	uint64_t expiry_ms, gone_ms; // monotonic; gone_ms 0 = not withdrawn
	bool met;
} entity[1 + ENTITIES];
static struct harness_answer answer;
static uint8_t extension[PE_WIRE_BYTES_MAX];
static uint64_t by_cause[32], verdicts_in, edge_cases;

// ---- entities ----

static void place(unsigned s, double p[3])
{
	static const double site[3] = {48.85, 2.35};
	double x = between(-HALF_MAX, HALF_MAX), y = between(-HALF_MAX, HALF_MAX);

	p[0] = x;
	p[1] = y;
	if (s == EARTH)
		earth_offset(site, x, y, p);
	p[2] = between(-50, 150);
}

static bool there(unsigned n)
{
	return entity[n].u.sequence && !entity[n].gone_ms && h.now.mono_ms < entity[n].expiry_ms;
}

static bool height_unknown(unsigned n)
{
	return entity[n].u.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN;
}

static void make_entity(unsigned n)
{
	struct tree_entity *t = &entity[n].tree;
	struct pe_wire_update u;
	struct pe_wire_ack_record ack;
	uint32_t sequence = entity[n].u.sequence + 1;
	double p[3];

	// One that is there stays in its space.
	if (!there(n))
		entity[n].space = below(2);
	place(entity[n].space, p);
	tree_random_entity(t, &state);
	harness_id(t->id, n);
	t->id_told = true;
	t->tag_count = t->value_count = 0;
	t->stale = false;
	t->activity[0] = 0;
	if (t->type == PE_ENTITY_RECURRING)
		t->type = PE_ENTITY_MOBILE;
	u = harness_update(n, sequence, p[0], p[1], p[2]);
	u.ttl_ms = below(6) == 0 ? 1 + below(6000) : PE_TTL_MAX_MS;
	u.precision_m = below(2) ? (float)between(0, 1000) : 0;
	u.radius_m = t->radius_m = below(3) ? 0 : (float)between(100, 3000);
	for (unsigned i = 0; i < 3; i++)
		u.velocity[i] = pe_half_from_float(t->velocity[i]);
	u.entity_type = t->type;
	u.attributes = (uint16_t)(t->state | PE_ATTRIBUTE_RELOCATION);
	u.custom_state = t->custom_state;
	u.position_confidence = t->position_confidence;
	u.status_confidence = t->status_confidence;
	if (entity[n].space == EARTH && below(4) == 0) {
		u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
		u.position[2] = 0;
	}
	ack = harness_send(&h, entity[n].space, HARNESS_INCARNATION, &u);
	if (ack.status == PE_ACK_ACCEPTED)
		harness_settle(&h);
	EXPECT(ack.status <= PE_ACK_ACCEPTED, "entity %u: status %u reason %u", n, ack.status,
		ack.reason);
	entity[n].u = u;
	entity[n].time_ms = h.now.wall_ms;
	entity[n].expiry_ms = h.now.mono_ms + u.ttl_ms;
	entity[n].gone_ms = 0;
}

static void end_entity(unsigned n)
{
	if (!there(n))
		return;
	entity[n].u.sequence++;
	EXPECT(harness_withdraw(&h, entity[n].space, HARNESS_INCARNATION, n, entity[n].u.sequence)
				.status == PE_ACK_APPLIED,
		"withdraw %u", n);
	entity[n].gone_ms = h.now.mono_ms;
}

// ---- what is expected ----

struct volume {
	unsigned count;
	double vertices[64][2], flat[64][2];
	double height_min, height_max;
	struct pe_wire_oriented_box box;
	double at[3], local[3][3];
	double origin[3];
	struct tree tree;
	bool filtered;
};

static void flatten(unsigned s, const struct volume *v, const double p[2], double to[2])
{
	double ground[3], up;

	if (s == PLANE) {
		memcpy(to, p, 2 * sizeof to[0]);
		return;
	}
	ecef(p[0], p[1], 0, ground);
	up = dot(ground, v->local[2]) / WGS84_A;
	to[0] = dot(ground, v->local[0]) / up;
	to[1] = dot(ground, v->local[1]) / up;
}

static bool straight(unsigned s, const struct pe_wire_query *q)
{
	return s == EARTH && (q->flags & PE_QUERY_DISTANCE_3D);
}

static enum verdict within(
	unsigned s, const struct pe_wire_query *q, const double from[3], unsigned n, double limit)
{
	if (limit == INFINITY)
		return IN;
	return below_limit(pe_space_distance(&space[s], from, entity[n].u.position, straight(s, q)),
		limit, 0.002 + 1e-6 * limit);
}

static enum verdict in_volume(
	unsigned s, const struct pe_wire_query *q, const struct volume *v, unsigned n)
{
	const double *p = entity[n].u.position;
	unsigned count = v->count;
	double m[3];
	enum verdict in = IN;

	switch (q->kind) {
	case PE_QUERY_POLYGON:
		if (height_unknown(n) ? isfinite(v->height_min) :
					p[2] < v->height_min || p[2] > v->height_max)
			return OUT;
		flatten(s, v, p, m);
		return in_rings((const double(*)[2])v->flat, &count, 1, m);
	case PE_QUERY_ORIENTED_BOX:
		if (height_unknown(n))
			return OUT;
		if (s == EARTH)
			ecef(p[0], p[1], p[2], m);
		else
			memcpy(m, p, sizeof m);
		for (unsigned i = 0; i < 3; i++)
			m[i] -= v->at[i];
		for (unsigned i = 0; i < 3; i++)
			in = both(in,
				below_limit(fabs(s == EARTH ? dot(m, v->local[i]) : m[i]),
					v->box.half[i], EDGE_M));
		return in;
	case PE_QUERY_BOX:
		for (unsigned i = 0; i < (s == EARTH ? 2 : 3); i++)
			if (p[i] < q->a[i] || p[i] > q->b[i])
				return OUT;
		return IN;
	default:
		if (straight(s, q) && height_unknown(n))
			return OUT;
		return within(s, q, q->a, n,
			q->kind == PE_QUERY_POINT           ? (double)entity[n].u.precision_m :
				q->b[0] > 0                 ? q->b[0] :
				q->kind != PE_QUERY_NEAREST ? 0 :
				s == EARTH                  ? PE_QUERY_RADIUS_MAX_M :
							      INFINITY);
	}
}

// The verdict by cause; true: the causes behind the third count.
static bool expect(unsigned s, const struct pe_wire_query *q, const struct volume *v, unsigned n,
	enum verdict passes[32])
{
	const struct pe_wire_update *u = &entity[n].u;
	unsigned type = u->entity_type >= 128 ? 4 : u->entity_type;
	uint64_t since = entity[n].gone_ms ? entity[n].gone_ms : entity[n].expiry_ms;

	for (unsigned i = 0; i < 32; i++)
		passes[i] = IN;
	if (!there(n)) {
		bool recent = u->sequence && h.now.mono_ms - since < REMEMBERED_MS;

		passes[PE_WHY_UNKNOWN] = recent ? IN : u->sequence ? MAY : OUT;
		passes[PE_WHY_GONE] = OUT;
		return false;
	}
	if (entity[n].space != s) {
		passes[PE_WHY_SPACE] = OUT;
		return false;
	}
	entity[n].tree.age_ms = (int64_t)(h.now.wall_ms - entity[n].time_ms);
	if (q->type_mask && !(q->type_mask >> type & 1))
		passes[PE_WHY_TYPE] = OUT;
	if (q->state_mask && !(q->state_mask >> PE_ATTRIBUTE_STATE(u->attributes) & 1))
		passes[PE_WHY_STATE] = OUT;
	if ((q->flags & PE_QUERY_HEIGHT_RANGE) &&
		(height_unknown(n) || u->position[2] < (double)q->height_min ||
			u->position[2] > (double)q->height_max))
		passes[PE_WHY_HEIGHT] = OUT;
	if (v->filtered && tree_evaluate(&v->tree, &entity[n].tree, true) != PE_FILTER_YES)
		passes[PE_WHY_FILTER] = OUT;
	passes[PE_WHY_VOLUME] = in_volume(s, q, v, n);
	if (u->radius_m > 0)
		passes[PE_WHY_REACH] = within(s, q, v->origin, n, (double)u->radius_m);
	return true;
}

// ---- queries ----

static uint32_t make_polygon(unsigned s, const double a[3], struct volume *v)
{
	double r = between(50, 1500);
	const unsigned count = v->count = 3 + below(30);

	for (unsigned i = 0; i < count; i++) {
		double angle = 2 * M_PI * (i + between(-0.2, 0.2)) / count,
		       reach = between(0.4, 1) * r, to[3];

		to[0] = a[0] + reach * cos(angle);
		to[1] = a[1] + reach * sin(angle);
		if (s == EARTH)
			earth_offset(a, reach * cos(angle), reach * sin(angle), to);
		memcpy(v->vertices[i], to, sizeof v->vertices[i]);
		flatten(s, v, to, v->flat[i]);
	}
	v->height_min = below(2) ? -INFINITY : 0;
	v->height_max = v->height_min < 0 ? INFINITY : 100;
	return pe_wire_put_polygon(extension, 0, sizeof extension, PE_VERTICES_F64,
		(const double(*)[2])v->vertices, &count, 1, v->height_min, v->height_max);
}

static uint32_t make_volume(unsigned s, struct pe_wire_query *q, struct volume *v)
{
	double r = pow(10, between(1, 3.4));

	memcpy(v->at, q->a, sizeof v->at);
	if (s == EARTH) {
		ecef(q->a[0], q->a[1], q->a[2], v->at);
		local_axes(q->a[0], q->a[1], v->local);
	}
	memcpy(v->origin, q->a, sizeof v->origin);
	switch (q->kind) {
	case PE_QUERY_POLYGON:
		return make_polygon(s, q->a, v);
	case PE_QUERY_ORIENTED_BOX:
		for (unsigned i = 0; i < 3; i++)
			v->box.half[i] = pow(10, between(1, 3.3));
		v->box.orientation[3] = 1;
		return pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_VOLUME, &v->box, sizeof v->box);
	case PE_QUERY_BOX:
		q->b[0] = q->a[0] + r;
		q->b[1] = q->a[1] + r;
		q->b[2] = q->a[2] + 100;
		if (s == EARTH) {
			earth_offset(q->a, r, r, q->b);
			q->a[2] = q->b[2] = 0;
		}
		pe_space_box_centre(&space[s], q->a, q->b, v->origin);
		return 0;
	case PE_QUERY_SPHERE:
		q->b[0] = r;
		return 0;
	case PE_QUERY_NEAREST:
		q->b[0] = below(2) ? r : 0;
		q->max_results = (uint16_t)(1 + below(60));
		return 0;
	default:
		return 0;
	}
}

static uint32_t add_filter(uint32_t used, struct volume *v)
{
	uint8_t program[PE_FILTER_BYTES_MAX];
	uint32_t bytes, with;

	do {
		tree_random(&v->tree, 1 + below(5), &state);
		bytes = tree_write(&v->tree, program);
	} while (!bytes);
	with = pe_wire_put_block(extension, used, PE_WIRE_BYTES_MAX - 80 - 32 - 128,
		PE_BLOCK_FILTER, program, bytes);
	v->filtered = with != 0;
	return with ? with : used;
}

static void make_options(unsigned s, struct pe_wire_query *q, struct volume *v)
{
	if (below(4) == 0) {
		q->flags |= PE_QUERY_HAS_ORIGIN;
		place(s, q->origin);
		memcpy(v->origin, q->origin, sizeof v->origin);
	}
	if (below(6) == 0) {
		q->flags |= PE_QUERY_HEIGHT_RANGE;
		q->height_min = (float)between(-50, 50);
		q->height_max = (float)between(50, 150);
	}
	if (below(3) == 0)
		q->flags |= PE_QUERY_DISTANCE_3D;
	if (below(6) == 0)
		q->type_mask = (uint16_t)(1 + below(31));
	if (below(6) == 0)
		q->state_mask = (uint16_t)(1 + below(31));
}

// ---- comparing ----

static void check_numbers(unsigned s, const struct pe_wire_query *q, const struct volume *v,
	unsigned n, const struct pe_wire_explanation *e)
{
	const struct pe_wire_update *u = &entity[n].u;
	bool sphere = q->kind == PE_QUERY_SPHERE || q->kind == PE_QUERY_NEAREST;
	double d = pe_space_distance(&space[s], q->a, u->position, straight(s, q));

	EXPECT(memcmp(e->position, u->position, sizeof e->position) == 0, "%u is elsewhere", n);
	EXPECT(e->age_ms == (int32_t)(h.now.wall_ms - entity[n].time_ms), "%u: age %d", n,
		e->age_ms);
	EXPECT(e->ttl_left_ms == entity[n].expiry_ms - h.now.mono_ms, "%u: ttl %u", n,
		e->ttl_left_ms);
	EXPECT(e->radius_m == u->radius_m && e->entity_type == u->entity_type, "%u", n);
	EXPECT(fabs(e->asker_m -
		       pe_space_distance(&space[s], v->origin, u->position, straight(s, q))) < 1e-6,
		"%u: asker %.9f", n, e->asker_m);
	EXPECT(!v->filtered == !e->filter_step, "%u: step %u", n, e->filter_step);
	if (sphere && !(straight(s, q) && height_unknown(n)))
		EXPECT(fabs(e->distance_m - d) < 1e-6, "%u: distance %.9f, not %.9f", n,
			e->distance_m, d);
	// Further out than the edge just when it is outside.
	if (e->causes & 1u << PE_WHY_VOLUME)
		EXPECT(e->beyond_m > 0 || (e->beyond_m == -1 && height_unknown(n)) ||
				e->beyond_m < 1e-6,
			"%u of kind %u: beyond %.9g", n, q->kind, e->beyond_m);
	else
		EXPECT(e->beyond_m == 0, "%u of kind %u: beyond %.9g", n, q->kind, e->beyond_m);
	if (q->kind == PE_QUERY_SPHERE && e->distance_m >= 0)
		EXPECT(fabs(e->beyond_m - fmax(0, d - q->b[0])) < 1e-5 + 1e-9 * d &&
				e->edge_m == q->b[0],
			"%u: beyond %.9g", n, e->beyond_m);
	if (q->kind == PE_QUERY_POLYGON && e->beyond_m > 0) // to one of the corners at most
		EXPECT(e->beyond_m <= 200 +
					pe_space_distance(&space[s],
						(double[3]){v->vertices[0][0], v->vertices[0][1]},
						u->position, false),
			"%u: beyond %.9g", n, e->beyond_m);
}

static void check_one(unsigned s, const struct pe_wire_query *q, const struct volume *v,
	uint32_t bytes, unsigned n, bool truncated)
{
	struct pe_wire_explanation e, stranger;
	enum verdict passes[32], all = IN;
	uint8_t id[16];
	unsigned first = 0;
	bool told;

	harness_id(id, n);
	if (!harness_explain(&h, 0, s, id, q, extension, bytes, &e) || e.reason) {
		EXPECT(false, "no explanation of %u", n);
		return;
	}
	told = expect(s, q, v, n, passes);
	for (unsigned c = 1; c < 16; c++) {
		all = both(all, passes[c]);
		if (!first && passes[c] != IN)
			first = c;
		// Behind the first three every cause is told.
		if (told && c <= PE_WHY_REACH && passes[c] != MAY)
			EXPECT(!(e.causes >> c & 1) == (passes[c] == IN), "%u: cause %u: %x", n, c,
				e.causes);
	}
	by_cause[e.first_cause]++;
	verdicts_in += e.verdict == PE_EXPLAIN_IN;
	edge_cases += first && passes[first] == MAY;
	EXPECT(truncated || (e.verdict == PE_EXPLAIN_IN) == entity[n].met,
		"%u of kind %u is %s the answer: verdict %u, causes %x", n, q->kind,
		entity[n].met ? "in" : "not in", e.verdict, e.causes);
	if (first && passes[first] == OUT)
		EXPECT(e.first_cause == first, "%u of kind %u: cause %u, not %u", n, q->kind,
			e.first_cause, first);
	if (all == IN) // others may be nearer, and nothing else
		EXPECT(e.verdict == PE_EXPLAIN_IN ||
				(q->kind == PE_QUERY_NEAREST && e.first_cause >= PE_WHY_RANK),
			"%u of kind %u: cause %u", n, q->kind, e.first_cause);
	if (told)
		check_numbers(s, q, v, n, &e);
	h.untrusted = true;
	if (!harness_explain(&h, 0, s, id, q, extension, bytes, &stranger))
		EXPECT(false, "a stranger is told nothing of %u", n);
	h.untrusted = false;
	if (e.first_cause == PE_WHY_GONE) {
		e.first_cause = PE_WHY_UNKNOWN;
		e.causes = 1u << PE_WHY_UNKNOWN;
	}
	e.request_sequence = stranger.request_sequence;
	EXPECT(memcmp(&e, &stranger, sizeof e) == 0, "%u: a stranger is told otherwise", n);
}

// Half of the time one that a query of the space may have.
static unsigned some(unsigned s)
{
	unsigned n = 1 + below(ENTITIES);

	for (unsigned tries = below(2) * 8; tries && !(there(n) && entity[n].space == s); tries--)
		n = 1 + below(ENTITIES);
	return n;
}

static void round_of(void)
{
	static const uint8_t kinds[] = {PE_QUERY_POINT, PE_QUERY_SPHERE, PE_QUERY_SPHERE,
		PE_QUERY_BOX, PE_QUERY_POLYGON, PE_QUERY_ORIENTED_BOX, PE_QUERY_NEAREST};
	static struct volume v;
	struct pe_wire_query q = {.query_id = 7, .kind = kinds[below(sizeof kinds)]};
	unsigned s = below(2), pages = 0;
	uint32_t bytes;

	v.filtered = false;
	place(s, q.a);
	bytes = make_volume(s, &q, &v);
	make_options(s, &q, &v);
	if (below(3) == 0)
		bytes = add_filter(bytes, &v);
	for (unsigned n = 1; n <= ENTITIES; n++)
		entity[n].met = false;
	if (q.kind != PE_QUERY_NEAREST && below(3) == 0)
		q.max_results = 7;
	do {
		harness_ask_extended(&h, 0, s, &q, extension, bytes, &answer);
		EXPECT(answer.whole && !answer.reason, "kind %u: %s", q.kind,
			pe_reason_info[answer.reason].name);
		for (unsigned i = 0; i < answer.count; i++)
			entity[harness_id_number(answer.results[i].entity_id)].met = true;
		q.flags |= q.kind == PE_QUERY_NEAREST ? 0 : PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
	} while (answer.truncated && q.kind != PE_QUERY_NEAREST && ++pages < 1000);
	q.flags &= (uint16_t)~PE_QUERY_HAS_CURSOR;
	memset(q.cursor, 0, sizeof q.cursor);
	for (unsigned i = 0; i < ASKED && !wrong; i++)
		check_one(s, &q, &v, bytes, some(s), answer.truncated);
}

static void explained_as_answered(void)
{
	struct pe_engine_config config = harness_config();
	uint64_t goal = testing_amount(ROUNDS);
	struct pe_error error;

	config.entity_count_max = 4 * ENTITIES;
	config.pending_count_max = 4 * ENTITIES;
	for (unsigned s = 0; s < 2; s++)
		if (pe_space_prepare(&space[s], &config.spaces[s].space, s, &error) != PE_OK)
			abort();
	harness_failed = failed;
	harness_start(&h, &config);
	for (unsigned n = 1; n <= ENTITIES - 10; n++) // the last ones come later, if at all
		make_entity(n);
	for (uint64_t i = 0; i < goal && !wrong; i++) {
		for (unsigned k = 0; k < 2; k++)
			make_entity(1 + below(i < goal / 2 ? ENTITIES - 10 : ENTITIES));
		if (below(6) == 0)
			end_entity(1 + below(ENTITIES));
		harness_settle(&h); // one that is on its way may be in two pages
		if (below(4) == 0)
			harness_advance(&h, 1 + below(400));
		round_of();
	}
	// Each cause was met, but for a bound of work.
	for (unsigned c = 1; c <= PE_WHY_RANK; c++)
		CU_ASSERT(wrong || by_cause[c] > 0);
	harness_stop(&h);
	printf("%" PRIu64 " in, first causes:", verdicts_in);
	for (unsigned c = 1; c < 16; c++)
		printf(" %" PRIu64, by_cause[c]);
	printf(", %" PRIu64 " at an edge ", edge_cases);
	CU_ASSERT_EQUAL(wrong, 0);
}

int main(void)
{
	static const struct testing_case cases[] = {{"random questions", explained_as_answered}};
	const char *text = getenv("PE_TEST_SEED");

	state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", state);
	return testing_main("explain: model", cases, 1);
}
