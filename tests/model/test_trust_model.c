// Who may say what and what is believed, against plain models: random updates, withdrawals,
// erasures and steps of time by random principals in spaces of all rules; random tracks with
// teleports; and queries by who may ask about an area only, none of whose results may lie outside
// of it. Seeds are printed.
#include "draw.h"
#include "harness.h"
#include "policy/principals.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

static struct harness h;

static void start(const struct pe_engine_config *config, unsigned seed)
{
	const char *more = getenv("PE_TEST_SEED");

	seed += more ? (unsigned)strtoull(more, NULL, 0) : 0;
	printf("seed %u ", seed);
	state = seed;
	harness_failed = testing_failed;
	harness_start(&h, config);
}

static void know(const struct pe_directory_grant *grants, size_t grant_count,
	const struct pe_directory_owned *owned, size_t owned_count)
{
	struct pe_principals *directory;
	struct pe_error error;

	CU_ASSERT_EQUAL_FATAL(
		pe_principals_create(grants, grant_count, owned, owned_count, &directory, &error),
		PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_engine_principals(h.engine, directory), PE_OK);
}

// ---- owners ----

#define ENTITIES     12u
#define FIRST        0u
#define KEYRING      1u
#define OPEN         2u
#define TOMBSTONE_MS 10000u
#define MEMORY_MS    60000u

// 1–3 are principal 1's by the directory, 4–6 principal 2's. Principal 3 is an administrator of
// FIRST and KEYRING, 4 is known and may nothing.
static uint32_t by_directory(uint64_t n)
{
	return n <= 3 ? 1 : n <= 6 ? 2 : 0;
}

struct known {
	bool there, gone; // gone: remembered
	bool forgotten;   // gone, but for its owner
	unsigned space;
	uint32_t owner, incarnation;
	bool locked; // no sequence is newer
	uint64_t gone_ms;
	double x;
};

static struct known world[1 + ENTITIES];

static void age(void)
{
	for (unsigned n = 1; n <= ENTITIES; n++) {
		struct known *k = &world[n];
		uint64_t ms = h.now.mono_ms - k->gone_ms;
		bool owned = k->owner && k->space == FIRST;

		if (!k->gone || ms < TOMBSTONE_MS)
			continue;
		k->forgotten = true;
		if (!owned || ms >= MEMORY_MS)
			*k = (struct known){0};
	}
}

// What the door says of an update or a withdrawal.
static enum pe_reason door(unsigned space, uint32_t who, uint64_t n)
{
	uint32_t owner = by_directory(n);

	if (space == OPEN)
		return PE_REASON_none;
	if (who != 1 && who != 2)
		return PE_REASON_role;
	if (owner ? owner != who : space == KEYRING)
		return PE_REASON_owner;
	return PE_REASON_none;
}

static bool anothers(const struct known *k, unsigned space, uint32_t who)
{
	return k->owner && !(space == FIRST && k->owner == who);
}

static bool stale(const struct known *k, uint32_t incarnation)
{
	return (k->there || (k->gone && !k->forgotten)) &&
		(incarnation < k->incarnation || (incarnation == k->incarnation && k->locked));
}

static enum pe_reason expect_update(
	struct known *k, unsigned space, uint32_t who, uint64_t n, uint32_t incarnation, double x)
{
	enum pe_reason reason = door(space, who, n);

	if (reason)
		return reason;
	if (anothers(k, space, who))
		return PE_REASON_owner;
	if (stale(k, incarnation))
		return PE_REASON_stale;
	if (k->there && k->space != space)
		return PE_REASON_space_differs;
	*k = (struct known){.there = true,
		.space = space,
		.owner = space == FIRST ? who : 0,
		.incarnation = incarnation,
		.x = x};
	return PE_REASON_none;
}

static enum pe_reason expect_withdraw(
	struct known *k, unsigned space, uint32_t who, uint64_t n, uint32_t incarnation)
{
	enum pe_reason reason = door(space, who, n);

	if (reason)
		return reason;
	if (!k->there && (!k->gone || k->forgotten))
		return PE_REASON_unknown_entity;
	if (anothers(k, space, who))
		return PE_REASON_owner;
	if (stale(k, incarnation))
		return PE_REASON_stale;
	if (k->there && k->space != space)
		return PE_REASON_space_differs;
	k->there = false;
	k->gone = true;
	k->locked = false;
	k->incarnation = incarnation;
	k->gone_ms = h.now.mono_ms;
	return PE_REASON_none;
}

static enum pe_reason expect_erase(struct known *k, unsigned space, uint32_t who, bool trusted,
	uint64_t n, uint32_t incarnation)
{
	uint32_t owner = by_directory(n);
	bool any = (owner && owner == who) || (space == OPEN && trusted) ||
		(who == 3 && space != OPEN);

	if (!any && (space != FIRST || !who || owner))
		return who == 1 || who == 2 ? PE_REASON_owner : PE_REASON_role;
	if (!k->there && !k->gone)
		return any ? PE_REASON_unknown_entity : PE_REASON_owner;
	if (!any && k->owner != who)
		return PE_REASON_owner;
	if (k->space != space)
		return PE_REASON_space_differs;
	if (k->forgotten)
		k->incarnation = 0;
	if (incarnation > k->incarnation)
		k->incarnation = incarnation;
	k->locked = true;
	k->there = k->forgotten = false;
	k->gone = true;
	k->gone_ms = h.now.mono_ms;
	return PE_REASON_none;
}

static void check_seen(void)
{
	static struct harness_answer a;
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

	for (unsigned space = 0; space < 3; space++) {
		unsigned count = 0;

		h.principal = 3;
		harness_ask(&h, 0, space, &q, &a);
		CU_ASSERT(a.whole && !a.reason);
		for (unsigned n = 1; n <= ENTITIES; n++)
			count += world[n].there && world[n].space == space;
		CU_ASSERT_EQUAL(a.count, count);
		for (unsigned i = 0; i < a.count; i++) {
			uint64_t n = harness_id_number(a.results[i].entity_id);

			CU_ASSERT(n >= 1 && n <= ENTITIES && world[n].there &&
				world[n].x == a.results[i].position[0]);
		}
	}
}

static void owners(void)
{
	struct pe_engine_config config = harness_config();
	const struct pe_directory_grant grants[] = {
		{1, PE_ROLE_PUBLISH, PE_DIRECTORY_EVERY_SPACE, {0}},
		{2, PE_ROLE_PUBLISH, PE_DIRECTORY_EVERY_SPACE, {0}},
		{3, PE_ROLE_ADMIN | PE_ROLE_QUERY, FIRST, {0}},
		{3, PE_ROLE_ADMIN | PE_ROLE_QUERY, KEYRING, {0}},
	};
	struct pe_directory_owned owned[6];
	unsigned seen[PE_REASON_COUNT] = {0};
	uint32_t sequence = 0;

	config.space_count = 3;
	config.spaces[1] = config.spaces[2] = config.spaces[0];
	memset(config.spaces[1].space.id, 0xB1, 16);
	memset(config.spaces[2].space.id, 0xC2, 16);
	config.spaces[FIRST].authorization = PE_AUTHORIZATION_FIRST;
	config.spaces[FIRST].owner_memory_ms = MEMORY_MS;
	config.spaces[KEYRING].authorization = PE_AUTHORIZATION_KEYRING;
	start(&config, 20260713);
	memset(world, 0, sizeof world);
	for (unsigned n = 1; n <= 6; n++) {
		owned[n - 1] =
			(struct pe_directory_owned){.bits = 128, .principal = by_directory(n)};
		harness_id(owned[n - 1].prefix, n);
	}
	know(grants, 4, owned, 6);
	for (uint64_t i = 0; i < testing_amount(40000); i++) {
		uint64_t n = 1 + below(ENTITIES);
		unsigned space = below(3), what = below(100);
		uint32_t who = below(5), incarnation = HARNESS_INCARNATION + below(4);
		enum pe_reason want, got;

		h.principal = who;
		h.untrusted = below(2);
		sequence++;
		if (what < 60) {
			struct pe_wire_update u = harness_update(n, sequence, below(1000), 0, 0);

			u.ttl_ms = 86400000;
			want = expect_update(&world[n], space, who, n, incarnation, u.position[0]);
			got = harness_send(&h, space, incarnation, &u).reason;
		} else if (what < 75) {
			want = expect_withdraw(&world[n], space, who, n, incarnation);
			got = harness_withdraw(&h, space, incarnation, n, sequence).reason;
		} else if (what < 90) {
			uint32_t lives = below(2) ? incarnation : 0;

			want = expect_erase(&world[n], space, who, !h.untrusted, n, lives);
			got = harness_erase(&h, space, n, lives).reason;
		} else {
			harness_settle(&h);
			harness_advance(&h, 1 + below(20000));
			age();
			continue;
		}
		harness_settle(&h);
		CU_ASSERT_EQUAL(got, want);
		if (got != want) {
			printf("\nstep %llu: entity %llu, space %u, principal %u, %u: %s instead of %s",
				(unsigned long long)i, (unsigned long long)n, space, who, what,
				pe_reason_info[got].name, pe_reason_info[want].name);
			break;
		}
		seen[got]++;
		h.untrusted = false;
		if (i % 16 == 0)
			check_seen();
	}
	// All of it has happened.
	CU_ASSERT(seen[PE_REASON_none] > 100 && seen[PE_REASON_owner] > 100 &&
		seen[PE_REASON_role] > 100 && seen[PE_REASON_stale] > 20 &&
		seen[PE_REASON_space_differs] > 20 && seen[PE_REASON_unknown_entity] > 20);
	h.untrusted = false;
	harness_stop(&h);
}

// ---- tracks ----

#define TRACKS 6u
#define SPEED  20.0 // m/s

struct fix {
	double at[3];
	uint64_t ms;
	uint32_t incarnation, sequence;
};

struct track {
	bool known;
	struct fix accepted, suspect;
	unsigned agreed; // fixes; 0: no suspect
};

static bool possible(const struct fix *from, const struct fix *to)
{
	double d = hypot(
		hypot(to->at[0] - from->at[0], to->at[1] - from->at[1]), to->at[2] - from->at[2]);
	double seconds = to->ms > from->ms ? (double)(to->ms - from->ms) / 1000 : 0;

	return d <= SPEED * seconds + 1e-3;
}

static enum pe_reason expect_fix(struct track *t, const struct fix *f, unsigned fixes)
{
	bool newer = f->incarnation > t->accepted.incarnation ||
		(f->incarnation == t->accepted.incarnation && f->sequence > t->accepted.sequence);

	if (t->known && !newer)
		return PE_REASON_stale;
	if (t->known && f->incarnation == t->accepted.incarnation && f->ms < t->accepted.ms)
		return PE_REASON_late;
	if (t->known && !possible(&t->accepted, f)) {
		bool later = t->agreed && f->ms > t->suspect.ms &&
			(f->incarnation > t->suspect.incarnation ||
				(f->incarnation == t->suspect.incarnation &&
					f->sequence > t->suspect.sequence));
		bool repeat = t->agreed && f->ms == t->suspect.ms &&
			f->incarnation == t->suspect.incarnation &&
			f->sequence <= t->suspect.sequence;

		if (repeat)
			return PE_REASON_implausible;
		t->agreed = later && possible(&t->suspect, f) ? t->agreed + 1 : 1;
		t->suspect = *f;
		if (t->agreed < fixes)
			return PE_REASON_implausible;
	}
	t->known = true;
	t->accepted = *f;
	t->agreed = 0;
	return PE_REASON_none;
}

// held: what keeps states back that are accepted all the same: a threshold of distance, a course, a
// frequency, an interval.
enum held { NOTHING, DISTANCE, COURSE, FREQUENCY, INTERVAL };

static void tracks_with(unsigned fixes, enum held held, unsigned seed)
{
	struct pe_engine_config config = harness_config();
	struct track tracks[1 + TRACKS] = {0};
	unsigned seen[PE_REASON_COUNT] = {0}, believed;
	struct fix last[1 + TRACKS] = {0};
	uint64_t zero_ms;

	config.spaces[0].speed_max_mps[PE_ENTITY_MOBILE] = (float)SPEED;
	config.spaces[0].plausible_fixes = fixes;
	config.spaces[0].coalesce_distance_m = held == DISTANCE || held == INTERVAL ? 15 : 0;
	config.spaces[0].predict_distance_m = held == COURSE ? 15 : 0;
	config.spaces[0].frequency_default = held == FREQUENCY ? 10 : 0;
	config.spaces[0].coalesce_interval_ms = held == INTERVAL ? 5000 : 0;
	start(&config, seed);
	zero_ms = h.now.wall_ms;
	for (uint64_t i = 0; i < testing_amount(30000); i++) {
		uint64_t n = 1 + below(TRACKS);
		struct fix *f = &last[n];
		struct pe_wire_update u = harness_update(n, 0, 0, 0, 0);
		enum pe_reason want, got;
		// Where it last said to be or where it is believed to be, and how far on.
		const double *from = below(3) ? f->at : tracks[n].accepted.at;
		double way = below(8) ? between(0, 1.2 * SPEED) : between(0, 5000), angle;

		harness_advance(&h, 1 + below(1000));
		h.now.wall_ms = zero_ms + (h.now.mono_ms - 0x1FFFFF800u);
		angle = between(0, 2 * M_PI);
		if (below(20) || !f->sequence) {
			struct fix next = {.at = {from[0] + way * cos(angle),
						   from[1] + way * sin(angle), from[2]},
				.ms = h.now.wall_ms - below(300),
				.incarnation =
					f->incarnation ? f->incarnation : HARNESS_INCARNATION,
				.sequence = f->sequence + 1 + below(2)};

			if (below(100) == 0)
				next.incarnation++;
			if (below(30) == 0)
				next.ms -= below(5000);
			*f = next;
		} // else the same once more
		memcpy(u.position, f->at, sizeof u.position);
		u.sequence = f->sequence;
		u.time_offset_ms = (int32_t)((int64_t)f->ms - (int64_t)h.now.wall_ms);
		u.ttl_ms = 86400000;
		want = expect_fix(&tracks[n], f, fixes);
		got = harness_send(&h, 0, f->incarnation, &u).reason;
		CU_ASSERT_EQUAL(got, want);
		if (got != want) {
			printf("\nstep %llu: entity %llu: %s instead of %s", (unsigned long long)i,
				(unsigned long long)n, pe_reason_info[got].name,
				pe_reason_info[want].name);
			break;
		}
		seen[got]++;
		harness_settle(&h);
		if (held == NOTHING && tracks[n].known) {
			struct pe_wire_query q = harness_sphere(0, 0, 0, 1e7);
			struct pe_wire_result r = {0};

			CU_ASSERT_EQUAL(harness_sees(&h, 0, 0, n, &q, &r), 1);
			CU_ASSERT(r.position[0] == tracks[n].accepted.at[0] &&
				r.position[1] == tracks[n].accepted.at[1]);
		}
	}
	believed = (unsigned)HARNESS_COUNTER(&h, believed);
	CU_ASSERT((HARNESS_COUNTER(&h, records_coalesced) > 100) == (held != NOTHING));
	printf("(%u taken, %u quarantined, %u believed) ", seen[PE_REASON_none],
		seen[PE_REASON_implausible], believed);
	CU_ASSERT(seen[PE_REASON_none] > 100 && seen[PE_REASON_implausible] > 100);
	CU_ASSERT(seen[PE_REASON_stale] > 20 && seen[PE_REASON_late] > 5 && believed > 10);
	harness_stop(&h);
}

static void tracks(void)
{
	tracks_with(2, NOTHING, 20260714);
	tracks_with(3, NOTHING, 20260715);
	tracks_with(2, DISTANCE, 20260716);
	tracks_with(2, COURSE, 20260718);
	tracks_with(2, FREQUENCY, 20260719);
	tracks_with(2, INTERVAL, 20260720);
}

// ---- areas ----

static uint32_t put_volume(struct pe_wire_query *q, bool earth, double size, uint8_t *extension)
{
	double box[7] = {
		between(0.1, size), between(0.1, size), between(0.1, size), 0, 0, 0.6, 0.8};
	double frustum[8] = {0, 0, 0.6, 0.8, between(1, 120), between(1, 120), 0, size};
	double vertices[6][2];
	unsigned ring = 3 + below(4);
	double degree = earth ? size / 111000 : size;

	if (q->kind == PE_QUERY_ORIENTED_BOX)
		return pe_wire_put_block(extension, 0, 256, PE_BLOCK_VOLUME, box, sizeof box);
	if (q->kind == PE_QUERY_FRUSTUM)
		return pe_wire_put_block(
			extension, 0, 256, PE_BLOCK_VOLUME, frustum, sizeof frustum);
	for (unsigned i = 0; i < ring; i++) {
		vertices[i][0] = q->a[0] + degree * cos(2 * M_PI * i / ring);
		vertices[i][1] = q->a[1] + degree * sin(2 * M_PI * i / ring);
	}
	return pe_wire_put_polygon(extension, 0, 256, PE_VERTICES_F64, (const double(*)[2])vertices,
		&ring, 1, -INFINITY, INFINITY);
}

// Queries of every kind by who may ask about an area only.
static void areas(void)
{
	struct pe_engine_config config = harness_config();
	static struct harness_answer a;
	unsigned taken[8] = {0}, refused[8] = {0}, results = 0;

	config.entity_count_max = 2000;
	config.spaces[0].authorization = config.spaces[1].authorization = PE_AUTHORIZATION_FIRST;
	config.spaces[0].precision_max_m = config.spaces[1].precision_max_m = 20;
	start(&config, 20260717);
	know((const struct pe_directory_grant[]){{1, PE_ROLE_PUBLISH, PE_DIRECTORY_EVERY_SPACE,
		     {0}}},
		1, NULL, 0);
	h.principal = 1;
	for (unsigned n = 1; n <= 1000; n++) {
		unsigned space = n & 1;
		struct pe_wire_update u = harness_update(
			n, 1, between(-1000, 1000), between(-1000, 1000), between(-20, 20));

		if (space) {
			u.position[0] = 60 + u.position[0] / 50000;
			u.position[1] = 179.99 + u.position[1] / 50000;
			u.position[1] -= u.position[1] > 180 ? 360 : 0;
		}
		u.precision_m = (float)between(0, 20);
		u.ttl_ms = 86400000;
		(void)harness_send(&h, space, HARNESS_INCARNATION, &u);
		harness_settle(&h);
	}
	for (uint64_t i = 0; i < testing_amount(4000); i++) {
		unsigned space = below(2);
		double size = pow(10, between(0.5, 3.3)), half = size * between(0.5, 4);
		double at[3] = {between(-1000, 1000), between(-1000, 1000), between(-20, 20)};
		struct pe_wire_query q = {
			.query_id = 1, .kind = (uint8_t)(1 + below(7)), .max_results = 50};
		struct pe_directory_grant grant = {
			2, PE_ROLE_QUERY, (uint8_t)space, {(uint8_t)(2 + below(2)), {0}, {0}}};
		uint8_t extension[256];
		uint32_t bytes = 0;

		if (space) {
			at[0] = 60 + at[0] / 50000;
			at[1] = 179.99 + at[1] / 50000;
		}
		for (unsigned k = 0; k < 3; k++) {
			double way = !space || k == 2 ? half : half / 111000 * (1 + k);

			grant.area.low[k] = at[k] - way;
			grant.area.high[k] = at[k] + way;
		}
		grant.area.high[1] -= space && grant.area.high[1] > 180 ? 360 : 0;
		at[1] -= space && at[1] > 180 ? 360 : 0;
		grant.area.low[1] -= space && grant.area.low[1] > 180 ? 360 : 0;
		memcpy(q.a, at, sizeof q.a);
		if (q.kind == PE_QUERY_SPHERE || q.kind == PE_QUERY_NEAREST)
			q.b[0] = size;
		if (q.kind == PE_QUERY_BOX)
			for (unsigned k = 0; k < 3; k++) {
				double way = !space ? size : k == 2 ? 0 : size / 111000;

				q.a[k] = (space && k == 2 ? 0 : at[k]) - way;
				q.b[k] = (space && k == 2 ? 0 : at[k]) + way;
			}
		if (space && q.kind == PE_QUERY_BOX) {
			q.b[1] -= q.b[1] > 180 ? 360 : 0;
			q.a[1] += q.a[1] < -180 ? 360 : 0;
		}
		if (q.kind >= PE_QUERY_POLYGON && q.kind <= PE_QUERY_FRUSTUM) {
			if (q.kind == PE_QUERY_POLYGON && space)
				q.a[1] = at[1] < 0 ? -179.99 : 179.97; // no vertex beyond 180
			bytes = put_volume(&q, space, space ? fmin(size, 500) : size, extension);
			CU_ASSERT(bytes > 0);
		}
		if (below(2)) {
			q.flags |= PE_QUERY_HEIGHT_RANGE;
			q.height_min = (float)(at[2] - half / 2);
			q.height_max = (float)(at[2] + half / 2);
		}
		while (pe_engine_principals(h.engine, NULL) == PE_BUSY)
			harness_settle(&h);
		harness_settle(&h);
		know(&grant, 1, NULL, 0);
		h.principal = 2;
		harness_ask_extended(&h, 0, space, &q, extension, bytes, &a);
		CU_ASSERT(a.whole);
		if (a.reason == PE_REASON_query_area) {
			refused[q.kind]++;
			continue;
		}
		CU_ASSERT_EQUAL(a.reason, 0);
		taken[q.kind] += a.count > 0;
		results += a.count;
		for (unsigned k = 0; k < a.count; k++)
			CU_ASSERT(pe_area_holds(&grant.area, space, a.results[k].position));
	}
	for (unsigned kind = 1; kind <= 7; kind++) {
		printf("%u/%u ", taken[kind], refused[kind]);
		CU_ASSERT(refused[kind] > 2 && (taken[kind] > 2 || kind == PE_QUERY_POINT));
	}
	printf("%u results ", results);
	harness_stop(&h);
}

TESTING_MAIN("model: trust", {"owners", owners}, {"tracks", tracks}, {"areas", areas})
