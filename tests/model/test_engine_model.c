// The engine against a brute-force model: seeded random updates, withdrawals, jumps of the clock
// and queries through the façade, with the expected outcome of every record and the expected answer
// to every query worked out with arrays and plain loops (distances by PROJ's geodesic). Three
// spaces at once, with positions at poles, the antimeridian, borders of frames and edges of cells.
// A result within 1 mm + 1e-6 of the distance from an edge may be in or out; everything else is
// compared exactly. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it ten times as long.
#include "draw.h"
#include "expect.h"
#include "harness.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define ENTITIES   1500u
#define SPACES     3u
#define OPERATIONS 1000000u
#define TOMBSTONE  PE_TOMBSTONE_MS

struct entity {
	enum { UNKNOWN, THERE, GONE } life;
	uint32_t incarnation, sequence;
	uint64_t time_ms;
	unsigned space;
	struct pe_wire_update u;
	uint64_t expiry, gone_at, state_until; // mono ms; state_until 0 = until changed
	uint32_t turn;                         // of its last update
	uint8_t met;
};

static struct harness h;
static struct pe_space space[SPACES];
static struct entity entity[1 + ENTITIES];
static struct harness_answer answer;
static uint64_t seed, operations, results_seen, edge_cases;
static uint32_t turn_number;

// ---- places ----

static void wrap(double p[3])
{
	if (p[0] > 90)
		p[0] = 90;
	if (p[0] < -90)
		p[0] = -90;
	if (p[1] > 180)
		p[1] -= 360;
	if (p[1] < -180)
		p[1] += 360;
}

static void place(unsigned s, double p[3])
{
	double near = pow(10, between(-7, -1)), far = between(-1, 1);

	if (s == 0) {
		for (unsigned i = 0; i < 3; i++)
			switch (below(4)) {
			case 0: // an edge of a cell, and just beside it
				p[i] = ((int)below(21) - 10) * (i == 2 ? 1024.0 : 64.0) +
					(int)(below(3) - 1) * 0.0005;
				break;
			case 1:
				p[i] = between(-1e6, 1e6);
				break;
			default:
				p[i] = between(-300, 300);
			}
		return;
	}
	p[2] = below(3) ? between(-100, 9000) : 0;
	if (s == 2) { // its extent is 50 km: some are out of bounds
		p[0] = 52.5 + between(-0.5, 0.5) * (below(2) ? 0.1 : 1);
		p[1] = 13.4 + between(-0.8, 0.8) * (below(2) ? 0.1 : 1);
		return;
	}
	switch (below(7)) {
	case 0: // a pole
		p[0] = (below(2) ? 1 : -1) * (90 - (below(8) ? near : 0));
		p[1] = between(-180, 180);
		break;
	case 1: // the antimeridian
		p[0] = between(-2, 2);
		p[1] = 180 + (below(8) ? near * far : 0);
		break;
	case 2: // meridians on which frames meet
		p[0] = between(-1, 1);
		p[1] = 45 + 90.0 * below(4) + near * far;
		break;
	case 3: // where three of them meet
		p[0] = (below(2) ? 35.3 : -35.3) + far * 0.3;
		p[1] = 45 + 90.0 * below(4) + far * 0.3;
		break;
	case 4:
		p[0] = between(-90, 90);
		p[1] = between(-180, 180);
		break;
	default: // a town
		p[0] = 48.85 + far * 0.01;
		p[1] = 2.35 + between(-0.01, 0.01);
	}
	if (p[1] > 180)
		p[1] -= 360;
	wrap(p);
}

// ---- time ----

static void pass(void)
{
	unsigned kind = below(1000);
	uint64_t ms = kind < 900 ? below(40) :
		kind < 990       ? below(6000) :
		kind < 999       ? below(60000) :
				   below(4000000);

	h.now.mono_ms += ms;
	h.now.wall_ms += ms;
	if (below(500) == 0) // a step of the wall clock alone
		h.now.wall_ms += below(2) ? below(4000) : -(uint64_t)below(4000);
	harness_settle(&h);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		struct entity *e = &entity[n];

		if (e->life == THERE && h.now.mono_ms >= e->expiry) {
			e->life = GONE;
			e->gone_at = h.now.mono_ms;
		} else if (e->life == GONE && h.now.mono_ms >= e->gone_at + TOMBSTONE) {
			e->life = UNKNOWN;
		}
	}
}

// ---- records ----

static enum pe_reason expect_order(
	const struct entity *e, uint32_t incarnation, uint32_t sequence, uint64_t time_ms)
{
	if (time_ms > h.now.wall_ms + PE_CLOCK_AHEAD_MS)
		return PE_REASON_future;
	if (time_ms + PE_TTL_MAX_MS < h.now.wall_ms)
		return PE_REASON_late;
	if (e->life == UNKNOWN)
		return PE_REASON_none;
	if (incarnation < e->incarnation ||
		(incarnation == e->incarnation && sequence <= e->sequence))
		return PE_REASON_stale;
	if (incarnation == e->incarnation && time_ms < e->time_ms)
		return PE_REASON_late;
	return PE_REASON_none;
}

static int32_t offset(void)
{
	unsigned kind = below(100);

	return kind < 80  ? 0 :
		kind < 95 ? -(int32_t)below(3000) :
		kind < 98 ? (int32_t)below(4000) :
			    -(int32_t)below(90000000);
}

// Fills an update and says what should become of it; false: too near an edge of a rule to be said.
static bool make_update(unsigned n, unsigned s, uint32_t incarnation, struct pe_wire_update *u,
	enum pe_reason *reason)
{
	struct entity *e = &entity[n];
	struct pe_place at;
	double p[3];
	bool fixed = e->life == THERE && e->u.entity_type == PE_ENTITY_STATIC;

	if (fixed && e->turn == turn_number)
		return false; // where it is published may be behind within a turn
	place(s, p);
	if (e->life == THERE && e->space == s && below(3)) // mostly they move a little
		for (unsigned i = 0; i < 3; i++)
			p[i] = e->u.position[i] + between(-1, 1) * (s && i < 2 ? 0.0005 : 40);
	if (s)
		wrap(p);
	*u = harness_update(n, below(8) ? e->sequence + 1 + below(3) : e->sequence - below(3), p[0],
		p[1], p[2]);
	u->time_offset_ms = offset();
	u->ttl_ms = below(3) ? 1 + below(20000) : below(2) ? 0 : 1 + below(3000000);
	u->entity_type = below(8) ?
		(uint8_t[]){PE_ENTITY_MOBILE, PE_ENTITY_TEMPORARY, 130, 255}[below(4)] :
		PE_ENTITY_STATIC;
	if (u->entity_type == PE_ENTITY_TEMPORARY && !u->ttl_ms)
		u->ttl_ms = 5000;
	u->attributes = (uint16_t)below(5);
	u->custom_state = u->attributes == PE_STATE_CUSTOM ? (uint8_t)below(256) : 0;
	u->duration_ms = below(4) ? 0 : 1 + below(5000);
	u->precision_m = below(3) ? 0 : (float)between(0, 500);
	u->radius_m = below(4) ? 0 : (float)between(1, 3000);
	if (s && below(4) == 0) {
		u->attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
		u->position[2] = 0;
	}
	if (below(4) == 0)
		u->attributes |= PE_ATTRIBUTE_RELOCATION;
	*reason = PE_REASON_none;
	if (below(50) == 0) {
		u->precision_m = -1;
		*reason = PE_REASON_precision;
	}
	if (*reason == PE_REASON_none) {
		uint64_t time_ms = h.now.wall_ms + (uint64_t)(int64_t)u->time_offset_ms;

		if (time_ms > h.now.wall_ms + PE_CLOCK_AHEAD_MS)
			*reason = PE_REASON_future;
		else if (time_ms + PE_TTL_MAX_MS < h.now.wall_ms)
			*reason = PE_REASON_late;
		else
			*reason = pe_space_locate(&space[s], u->position, &at);
		if (*reason == PE_REASON_none)
			*reason = expect_order(e, incarnation, u->sequence, time_ms);
	}
	if (*reason == PE_REASON_none && e->life == THERE && e->space != s)
		*reason = PE_REASON_space_differs;
	if (*reason == PE_REASON_none && fixed && u->entity_type == PE_ENTITY_STATIC &&
		!(u->attributes & PE_ATTRIBUTE_RELOCATION)) {
		double moved = pe_space_distance(&space[s], e->u.position, u->position, true);
		double allowed = e->u.precision_m > 0 ? (double)e->u.precision_m : 1;

		if (fabs(moved - allowed) < 0.01 + 0.005 * moved)
			return false;
		if (moved > allowed)
			*reason = PE_REASON_relocation;
	}
	return true;
}

static void take_update(
	unsigned n, unsigned s, uint32_t incarnation, const struct pe_wire_update *u)
{
	struct entity *e = &entity[n];

	e->life = THERE;
	e->space = s;
	e->incarnation = incarnation;
	e->sequence = u->sequence;
	e->time_ms = h.now.wall_ms + (uint64_t)(int64_t)u->time_offset_ms;
	e->u = *u;
	e->expiry = h.now.mono_ms + (u->ttl_ms ? u->ttl_ms : PE_TTL_DEFAULT_MS);
	e->state_until = u->duration_ms ? h.now.mono_ms + u->duration_ms : 0;
	e->turn = turn_number;
}

static void compare_acks(uint64_t packet, const enum pe_reason *reasons, unsigned count)
{
	struct pe_wire_ack_record acks[PE_WITHDRAW_COUNT_MAX];
	enum pe_reason refused;
	int got = harness_acks(&h, packet, acks, &refused);

	EXPECT(got == (int)count, "%d acknowledgements, not %u", got, count);
	for (int i = 0; i < got && i < (int)count; i++)
		EXPECT(acks[i].reason == reasons[i], "record %d: %s, expected %s", i,
			pe_reason_info[acks[i].reason].name, pe_reason_info[reasons[i]].name);
	operations += count;
}

static void updates(void)
{
	enum pe_reason reasons[4][PE_UPDATE_COUNT_MAX];
	uint64_t packet[4];
	unsigned count[4], packets = 1 + below(4);

	turn_number++;
	for (unsigned k = 0; k < packets; k++) {
		struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
		uint32_t incarnation = HARNESS_INCARNATION + (below(50) == 0 ? 1 + below(3) : 0);
		unsigned s = below(SPACES), few = below(3) ? ENTITIES : 20;

		count[k] = 0;
		while (count[k] < PE_UPDATE_COUNT_MAX) {
			unsigned n = 1 + below(few), i = count[k];

			// Most of an entity's packets name the space that it is in.
			if (entity[n].life == THERE && entity[n].space != s && below(20))
				continue;
			if (!make_update(n, s, incarnation, &u[i], &reasons[k][i]))
				continue;
			if (reasons[k][i] == PE_REASON_none)
				take_update(n, s, incarnation, &u[i]);
			count[k]++;
		}
		packet[k] = harness_queue_updates(&h, s, incarnation, u, count[k], true);
	}
	harness_turn(&h);
	for (unsigned k = 0; k < packets; k++)
		compare_acks(packet[k], reasons[k], count[k]);
	harness_settle(&h);
}

static void withdrawals(void)
{
	struct pe_wire_withdraw x[PE_WITHDRAW_COUNT_MAX];
	enum pe_reason reasons[PE_WITHDRAW_COUNT_MAX];
	unsigned count = 1 + below(16), named = below(SPACES);
	uint64_t packet;

	for (unsigned i = 0; i < count; i++) {
		unsigned n = 1 + below(ENTITIES);
		struct entity *e = &entity[n];
		uint64_t time_ms;

		x[i] = (struct pe_wire_withdraw){
			.sequence = e->sequence + below(3), .time_offset_ms = offset()};
		time_ms = h.now.wall_ms + (uint64_t)(int64_t)x[i].time_offset_ms;
		harness_id(x[i].entity_id, n);
		reasons[i] = expect_order(e, HARNESS_INCARNATION + 4, x[i].sequence, time_ms);
		if (reasons[i] == PE_REASON_none && e->life == UNKNOWN)
			reasons[i] = PE_REASON_unknown_entity;
		if (reasons[i] == PE_REASON_none && e->life == THERE && e->space != named)
			reasons[i] = PE_REASON_space_differs;
		if (reasons[i] != PE_REASON_none)
			continue;
		e->incarnation = HARNESS_INCARNATION + 4;
		e->sequence = x[i].sequence;
		e->time_ms = time_ms;
		e->life = GONE;
		e->gone_at = h.now.mono_ms; // again, of one that was gone: the newer pair is
		                            // remembered as long
	}
	packet = harness_queue_withdraws(&h, named, HARNESS_INCARNATION + 4, x, count, true);
	harness_turn(&h);
	compare_acks(packet, reasons, count);
	harness_settle(&h);
}

// ---- queries ----

enum verdict { OUT, MAY, IN };

static enum verdict within(double d, double limit)
{
	double doubt = 0.001 + 1e-6 * limit;

	return d < limit - doubt ? IN : d > limit + doubt ? OUT : MAY;
}

static enum verdict both(enum verdict a, enum verdict b)
{
	return a < b ? a : b;
}

static enum verdict in_range(double x, double lo, double hi)
{
	return x >= lo && x <= hi ? IN : OUT;
}

static enum verdict in_box(unsigned s, const struct pe_wire_query *q, const double p[3])
{
	enum verdict v = in_range(p[0], q->a[0], q->b[0]);

	if (s == 0)
		return both(v,
			both(in_range(p[1], q->a[1], q->b[1]), in_range(p[2], q->a[2], q->b[2])));
	if (fabs(p[0]) == 90 || fabs(p[1]) == 180)
		return v == IN ? MAY : OUT; // a pole has every longitude, the antimeridian has two
	if (q->a[1] <= q->b[1])
		return both(v, in_range(p[1], q->a[1], q->b[1]));
	return both(v, p[1] >= q->a[1] || p[1] <= q->b[1] ? IN : OUT);
}

static bool height_unknown(const struct entity *e)
{
	return e->u.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN;
}

static unsigned state_now(const struct entity *e)
{
	return e->state_until && h.now.mono_ms >= e->state_until ?
		PE_STATE_INACTIVE :
		PE_ATTRIBUTE_STATE(e->u.attributes);
}

static enum verdict expect(
	unsigned s, const struct pe_wire_query *q, const double origin[3], const struct entity *e)
{
	const double *p = e->u.position;
	bool straight = s && (q->flags & PE_QUERY_DISTANCE_3D);
	unsigned type = e->u.entity_type >= 128 ? 4 : e->u.entity_type;
	double limit = q->kind == PE_QUERY_POINT ? (double)e->u.precision_m : q->b[0];
	enum verdict v = IN;

	if (e->life != THERE || e->space != s)
		return OUT;
	if (q->type_mask && !(q->type_mask >> type & 1))
		return OUT;
	if (q->state_mask && !(q->state_mask >> state_now(e) & 1))
		return OUT;
	if ((q->flags & PE_QUERY_HEIGHT_RANGE) &&
		((s && height_unknown(e)) || p[2] < (double)q->height_min ||
			p[2] > (double)q->height_max))
		return OUT;
	if (q->kind == PE_QUERY_BOX) {
		v = in_box(s, q, p);
	} else {
		if (straight && height_unknown(e))
			return OUT;
		// A degree of latitude is never shorter than 110.5 km, which spares the geodesic
		// for most.
		if (s && fabs(p[0] - q->a[0]) * 110500 > limit + 20000)
			return OUT;
		v = within(pe_space_distance(&space[s], q->a, p, straight),
			limit + (q->kind == PE_QUERY_POINT ? 0.001 : 0));
	}
	if (v != OUT && e->u.radius_m > 0)
		v = both(v,
			within(pe_space_distance(&space[s], origin, p, straight),
				(double)e->u.radius_m));
	return v;
}

static struct pe_wire_query make_query(unsigned s, double origin[3])
{
	struct pe_wire_query q = {.query_id = 1, .kind = (uint8_t)(1 + below(3))};

	place(s, q.a);
	if (below(2)) // about somebody
		for (unsigned tries = 0; tries < 20; tries++) {
			const struct entity *e = &entity[1 + below(ENTITIES)];

			if (e->life == THERE && e->space == s) {
				memcpy(q.a, e->u.position, sizeof q.a);
				break;
			}
		}
	if (q.kind == PE_QUERY_SPHERE)
		q.b[0] = below(3) ? between(0, 500) : pow(10, between(-3, 6));
	if (q.kind == PE_QUERY_BOX) {
		double w = pow(10, between(-3, 3)) * (s ? 0.0001 : 10);

		for (unsigned i = 0; i < 3; i++) {
			q.a[i] -= w * between(0, 1);
			q.b[i] = q.a[i] + w;
		}
		if (s) {
			wrap(q.a);
			wrap(q.b);
			q.a[2] = q.b[2] = 0;
		}
		for (unsigned i = 0; i < 3; i++)
			origin[i] = (q.a[i] + q.b[i]) / 2;
		if (s)
			pe_space_box_centre(&space[s], q.a, q.b, origin);
	} else {
		memcpy(origin, q.a, sizeof q.a);
	}
	if (below(4) == 0) {
		q.flags |= PE_QUERY_HAS_ORIGIN;
		for (unsigned i = 0; i < 3; i++)
			q.origin[i] = origin[i] + between(-1, 1) * (s && i < 2 ? 0.01 : 1000);
		if (s)
			wrap(q.origin);
		memcpy(origin, q.origin, sizeof q.origin);
	}
	if (below(4) == 0) {
		q.flags |= PE_QUERY_HEIGHT_RANGE;
		q.height_min = (float)between(-200, 100);
		q.height_max = q.height_min + (float)between(0, 3000);
	}
	if (below(5) == 0)
		q.flags |= PE_QUERY_DISTANCE_3D;
	if (below(3) == 0)
		q.type_mask = (uint16_t)below(32);
	if (below(3) == 0)
		q.state_mask = (uint16_t)below(32);
	if (below(3) == 0)
		q.max_results = (uint16_t)(1 + below(60));
	return q;
}

static void check_result(unsigned s, const struct pe_wire_query *q, const double origin[3],
	const struct pe_wire_result *r)
{
	uint64_t n = harness_id_number(r->entity_id);
	struct entity *e = &entity[n <= ENTITIES ? n : 0];
	bool straight = s && (q->flags & PE_QUERY_DISTANCE_3D);
	double d;

	EXPECT(n >= 1 && n <= ENTITIES && e->met == 0, "id %" PRIu64 " twice or never sent", n);
	e->met = 1;
	results_seen++;
	EXPECT(memcmp(r->position, e->u.position, sizeof r->position) == 0,
		"%" PRIu64 " is elsewhere", n);
	EXPECT((r->state & 7u) == state_now(e) && r->entity_type == e->u.entity_type,
		"%" PRIu64 ": state %u, not %u", n, r->state & 7u, state_now(e));
	EXPECT(((r->state & PE_RESULT_HEIGHT_UNKNOWN) != 0) == height_unknown(e), "%" PRIu64, n);
	EXPECT(r->ttl_left == (e->expiry - h.now.mono_ms + 99) / 100, "%" PRIu64 ": ttl %u", n,
		r->ttl_left);
	EXPECT((int64_t)r->age_ms == (int64_t)(h.now.wall_ms - e->time_ms), "%" PRIu64 ": age %d",
		n, r->age_ms);
	// A box's straight distance has no height to start from.
	if (q->kind == PE_QUERY_BOX && straight && !(q->flags & PE_QUERY_HAS_ORIGIN))
		return;
	d = pe_space_distance(&space[s], origin, e->u.position, straight);
	// What is told, as a float, is promised to 1 mm + 1e-6 up to 100 km; beyond that within the
	// band of the surface's approximation (who is in and who is out is exact there too).
	EXPECT(fabs((double)r->distance_m - d) <=
			0.0035 + 1.1e-6 * d + (s && d > 1e5 ? pe_surface_band(d) : 0),
		"%" PRIu64 ": %.4f m, not %.4f", n, (double)r->distance_m, d);
}

static void query(void)
{
	unsigned s = below(SPACES), pages = 0;
	double origin[3];
	struct pe_wire_query q = make_query(s, origin);
	enum pe_reason refused = q.kind == PE_QUERY_BOX ?
		pe_space_check_box(&space[s], q.a, q.b) :
		pe_space_check_sphere(&space[s], q.a, q.b[0]);

	for (unsigned n = 1; n <= ENTITIES; n++)
		entity[n].met = 0;
	do {
		harness_ask(&h, 0, s, &q, &answer);
		operations++;
		EXPECT(answer.whole, "no whole answer");
		if (answer.reason) {
			EXPECT(refused != PE_REASON_none || (q.flags & PE_QUERY_HAS_ORIGIN), "%s",
				pe_reason_info[answer.reason].name);
			return;
		}
		for (unsigned i = 0; i < answer.count; i++)
			check_result(s, &q, origin, &answer.results[i]);
		EXPECT(!q.max_results || answer.count <= q.max_results, "%u results", answer.count);
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
	} while (answer.truncated && ++pages < 5000);
	EXPECT(!answer.truncated, "pages without end");
	for (unsigned n = 1; n <= ENTITIES; n++) {
		enum verdict v = expect(s, &q, origin, &entity[n]);

		edge_cases += v == MAY;
		EXPECT(v == MAY || entity[n].met == (v == IN),
			"entity %u at %.9g %.9g %.9g of space %u %s: kind %u flags %x a %.9g %.9g %.9g b %.9g %.9g %.9g",
			n, entity[n].u.position[0], entity[n].u.position[1],
			entity[n].u.position[2], s,
			entity[n].met ? "should not be met" : "is missing", q.kind, q.flags, q.a[0],
			q.a[1], q.a[2], q.b[0], q.b[1], q.b[2]);
	}
}

static void engine_as_the_model(void)
{
	struct pe_engine_config config = harness_config();
	uint64_t goal = testing_amount(OPERATIONS), queries = 0;
	struct pe_error error;

	config.space_count = SPACES;
	config.entity_count_max = 4 * ENTITIES;
	config.spaces[2] = config.spaces[1];
	memset(config.spaces[2].space.id, 0xC2, 16);
	config.spaces[2].space.worldwide = false;
	config.spaces[2].space.home[0] = 52.5;
	config.spaces[2].space.home[1] = 13.4;
	config.spaces[2].space.extent_m = 50000;
	config.spaces[2].space.leaf_edge_m = config.spaces[2].space.leaf_height_m = 32;
	config.pending_count_max = 4 * ENTITIES;
	for (unsigned s = 0; s < SPACES; s++)
		if (pe_space_prepare(&space[s], &config.spaces[s].space, s, &error) != PE_OK)
			abort();
	harness_failed = failed;
	harness_start(&h, &config);
	while (operations < goal && !wrong) {
		uint64_t there = 0;

		pass();
		for (unsigned i = below(4); i > 0; i--)
			updates();
		if (below(2))
			withdrawals();
		for (unsigned i = below(16); i > 0; i--, queries++)
			query();
		for (unsigned n = 1; n <= ENTITIES; n++)
			there += entity[n].life == THERE;
		EXPECT(pe_engine_entity_count(h.engine) == there,
			"%" PRIu64 " entities, not %" PRIu64, pe_engine_entity_count(h.engine),
			there);
	}
	CU_ASSERT(wrong || results_seen > goal / 100);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, pending_exhausted), 0);
	harness_stop(&h);
	printf("%" PRIu64 " operations, %" PRIu64 " queries, %" PRIu64 " results, %" PRIu64
	       " at an edge ",
		operations, queries, results_seen, edge_cases);
	CU_ASSERT_EQUAL(wrong, 0);
}

int main(void)
{
	static const struct testing_case cases[] = {{"random operations", engine_as_the_model}};
	const char *text = getenv("PE_TEST_SEED");

	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", seed);
	return testing_main("engine: model", cases, 1);
}
