#include "discover/accept.h"

#include "base/prefetch.h"
#include "discover/scope.h"
#include "discover/slot.h"
#include "wire/half.h"

#include <float.h>
#include <math.h>

#define LATCH_TRIES 1000u
// So far ahead records are asked for, one a hit: many requests in a row stand in each other's way.
#define RECORDS_AHEAD 48u
// How exact the index is: a unit an axis, the coarser one 1 mm up.
#define INDEX_ERROR_M 0.0025

#define ALWAYS_INLINE __attribute__((always_inline)) static inline

ALWAYS_INLINE double length(double x, double y, double z)
{
	return sqrt(x * x + y * y + z * z);
}

ALWAYS_INLINE double straight(const double p[3], const double q[3])
{
	return length(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

static double frame_distance(
	const struct pe_test *t, const struct pe_hit *hit, const double from[3])
{
	struct pe_units u = pe_place_units(hit->key, hit->word & PE_WORD_POSITION);
	double metres[3] = {(double)u.v[0] * t->space->unit_m, (double)u.v[1] * t->space->unit_m,
		(double)u.v[2] * t->space->unit_m * (double)(1u << t->space->z_shift)};

	return straight(metres, from);
}

// Of a place that is not the hit's, in the frame that is walked.
static double moved_distance(const struct pe_test *t, const struct pe_hit *hit,
	const double position[3], const double from[3])
{
	double metres[3];

	pe_space_frame_metres(t->space, PE_KEY_FRAME(hit->key), position, metres);
	return straight(metres, from);
}

// From a point to a candidate. `met` = the hit's place is the view's, so the frame's metres will
// do.
ALWAYS_INLINE double distance(const struct pe_test *t, struct pe_ways ways,
	const struct pe_hit *hit, bool met, const struct pe_view *view, const double point[3],
	const double metres[3], double edge_m)
{
	double d, doubt;

	if (!ways.geodetic)
		return straight(point, view->shows.position);
	if (ways.straight || (!met && !(ways.timed && hit)))
		return pe_space_distance(t->space, point, view->shows.position, ways.straight);
	d = pe_surface_from_chord(t->space,
		ways.timed ? moved_distance(t, hit, view->shows.position, metres) :
			     frame_distance(t, hit, metres),
		view->shows.position[0]);
	doubt = pe_surface_band(d) + INDEX_ERROR_M;
	if (fabs(d - edge_m) > doubt)
		return d;
	pe_count(t->counters, PE_COUNTER_query_exact, 1);
	return pe_space_distance(t->space, point, view->shows.position, false);
}

ALWAYS_INLINE bool height_known(struct pe_ways ways, const struct pe_published *p)
{
	return !ways.geodetic || !(p->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN);
}

ALWAYS_INLINE bool takes_type(const struct pe_wire_query *q, const struct pe_published *p)
{
	unsigned type = p->entity_type >= PE_ENTITY_CUSTOM ? 4u : p->entity_type;

	return !q->type_mask || q->type_mask >> type & 1;
}

ALWAYS_INLINE bool takes_state(const struct pe_wire_query *q, const struct pe_published *p)
{
	return !q->state_mask || q->state_mask >> PE_ATTRIBUTE_STATE(p->attributes) & 1;
}

ALWAYS_INLINE bool takes_height(
	const struct pe_wire_query *q, struct pe_ways ways, const struct pe_published *p)
{
	return !(q->flags & PE_QUERY_HEIGHT_RANGE) ||
		(height_known(ways, p) && p->position[2] >= (double)q->height_min &&
			p->position[2] <= (double)q->height_max);
}

ALWAYS_INLINE bool takes_age(const struct pe_test *t, const struct pe_published *p)
{
	return !t->age_max_ms || (int64_t)(t->now.wall_ms - p->time_ms) <= (int64_t)t->age_max_ms;
}

static bool passes_filters(const struct pe_test *t, struct pe_ways ways, const struct pe_view *view)
{
	const struct pe_wire_query *q = t->query;
	const struct pe_published *p = &view->shows;

	return takes_type(q, p) && takes_state(q, p) && takes_height(q, ways, p) &&
		takes_age(t, p) && (!t->filter || pe_query_filter_takes(t, view));
}

// Is the view inside the volume? *centre_m: its distance from the volume's centre, where that was
// needed.
ALWAYS_INLINE bool inside(const struct pe_test *t, struct pe_ways ways, const struct pe_hit *hit,
	bool met, const struct pe_view *view, double *centre_m)
{
	const struct pe_wire_query *q = t->query;

	*centre_m = -1;
	if (ways.polygon)
		return pe_query_polygon_holds(t, view->shows.position,
			height_known(ways, &view->shows), met && hit->sure);
	if (!ways.sphere && q->kind == PE_QUERY_BOX)
		return pe_space_box_holds(t->space, q->a, q->b, view->shows.position);
	if (!ways.sphere && q->kind != PE_QUERY_POINT)
		return pe_query_volume_holds(
			t, view->shows.position, height_known(ways, &view->shows));
	// What lies deeper than the walk allows for is found by no straight line, rather than by
	// some.
	if (ways.straight &&
		(!height_known(ways, &view->shows) || view->shows.position[2] < PE_HEIGHT_LOWEST_M))
		return false;
	if (!ways.sphere) {
		double reach = (double)view->shows.precision_m;

		if (ways.timed)
			reach = fmin(reach, t->time.reach_m);
		*centre_m = distance(t, ways, hit, met, view, t->centre, t->centre_metres, reach);
		return *centre_m <= reach + 0.001;
	}
	*centre_m = distance(t, ways, hit, met, view, t->centre, t->centre_metres, t->radius_m);
	return *centre_m <= t->radius_m;
}

ALWAYS_INLINE uint16_t tenths_left(uint32_t expiry_tick, uint32_t tick)
{
	uint32_t tenths = (expiry_tick - tick + 99) / 100;

	return tenths > UINT16_MAX ? UINT16_MAX : (uint16_t)tenths;
}

ALWAYS_INLINE int32_t age_of(uint64_t time_ms, uint64_t wall_ms)
{
	int64_t age = (int64_t)(wall_ms - time_ms);

	if (__builtin_expect(age == (int32_t)age, 1))
		return (int32_t)age;
	return age > 0 ? INT32_MAX : INT32_MIN;
}

// The two last words of a result are put together in registers: what is stored by bytes cannot be
// copied by wide loads right after.
static_assert(offsetof(struct pe_wire_result, velocity) == 48 &&
		offsetof(struct pe_wire_result, precision) == 54 &&
		offsetof(struct pe_wire_result, ttl_left) == 56 &&
		offsetof(struct pe_wire_result, state) == 58 &&
		offsetof(struct pe_wire_result, custom_state) == 59 &&
		offsetof(struct pe_wire_result, entity_type) == 60 &&
		offsetof(struct pe_wire_result, position_confidence) == 61 &&
		offsetof(struct pe_wire_result, status_confidence) == 62 &&
		offsetof(struct pe_published, position_confidence) ==
			offsetof(struct pe_published, velocity) + 6 &&
		offsetof(struct pe_published, status_confidence) ==
			offsetof(struct pe_published, velocity) + 7,
	"put_result's words");

// Results are written where they go out, too.
typedef struct pe_wire_result result_in_place __attribute__((aligned(1)));

ALWAYS_INLINE void put_result(const struct pe_view *view, const struct pe_instant *now,
	double origin_m, struct pe_wire_result *result)
{
	result_in_place *r = (void *)result;
	const struct pe_published *p = &view->shows;
	unsigned state = PE_ATTRIBUTE_STATE(p->attributes) |
		(p->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN ? PE_RESULT_HEIGHT_UNKNOWN : 0) |
		(view->stale ? PE_RESULT_STALE : 0);
	uint64_t motion, rest;

	memcpy(&motion, (const char *)p + offsetof(struct pe_published, velocity), sizeof motion);
	rest = (motion >> 48) << 40 | (uint64_t)p->entity_type << 32 |
		(uint32_t)p->custom_state << 24 | state << 16 |
		tenths_left(p->expiry_tick, now->tick);
	motion = (motion & 0xFFFFFFFFFFFFull) | (uint64_t)pe_half_from_float(p->precision_m) << 48;
	memcpy(r->entity_id, view->id, sizeof r->entity_id);
	r->position[0] = p->position[0];
	r->position[1] = p->position[1];
	r->position[2] = p->position[2];
	r->age_ms = age_of(p->time_ms, now->wall_ms);
	// Of a box without end the centre may be further away than a float can say.
	r->distance_m = (float)(origin_m < (double)FLT_MAX ? origin_m : (double)FLT_MAX);
	memcpy(r->velocity, &motion, sizeof motion);
	memcpy(&r->ttl_left, &rest, sizeof rest);
}

void pe_accept_result(const struct pe_view *view, const struct pe_instant *now, double origin_m,
	struct pe_wire_result *result)
{
	put_result(view, now, origin_m, result);
}

// The view of a whole published copy, tested, and written where it stands the test. complete: there
// is more of it than the record has; *details is then written.
ALWAYS_INLINE bool test_view(const struct pe_test *t, struct pe_ways ways, const struct pe_hit *hit,
	const struct pe_record *record, const struct pe_published *published,
	struct pe_wire_result *result, const bool complete, const uint8_t **details)
{
	struct pe_view view;
	double centre_m, origin_m;
	bool met, centred;

	if (complete) {
		if (!pe_view_build(t->asker, record, published, t->now.tick, &view) ||
			!pe_view_complete(&t->table->details, hit->handle, t->rules, t->asker,
				t->now.tick, t->now.wall_ms, &view))
			return false;
	} else if (!pe_view_build_open(record, published, t->now.tick, &view)) {
		return false;
	}
	if (PE_STATUS_SPACE(atomic_load_explicit(&record->status, memory_order_relaxed)) !=
		t->space_index)
		return false; // it came back in another space meanwhile
	if (complete && !pe_scope_lets(t->space, view.details, t->origin))
		return false;
	if (ways.timed)
		pe_query_predict(t, &view);
	if (ways.filtered && !passes_filters(t, ways, &view))
		return false;
	// The slot was read before the record: beside a move they may differ, and the record is
	// what is shown.
	met = !(hit->word & PE_SLOT_MOVED) && (hit->word & PE_WORD_POSITION) == view.shows.word;
	if (!inside(t, ways, hit, met, &view, &centre_m))
		return false;
	centred = ways.centred && (ways.sphere || centre_m >= 0);
	origin_m = centred ? centre_m :
			     distance(t, ways, hit, met, &view, t->origin, t->origin_metres,
				     (double)view.shows.radius_m);
	if (view.shows.radius_m > 0) {
		// The edge that `distance` was exact at was the volume's, if it came from there.
		if (centred && ways.geodetic)
			origin_m = distance(t, ways, hit, met, &view, t->origin, t->origin_metres,
				(double)view.shows.radius_m);
		if (origin_m > (double)view.shows.radius_m)
			return false;
	}
	put_result(&view, &t->now, origin_m, result);
	if (complete)
		*details = view.details;
	return true;
}

__attribute__((noinline)) static bool take_any(const struct pe_test *t, const struct pe_hit *hit,
	struct pe_wire_result *result, const uint8_t **details)
{
	const struct pe_record *r = &t->table->records[hit->handle];
	struct pe_published p;

	*details = NULL;
	if (!pe_record_read(r, t->table->drafts, &p, LATCH_TRIES)) {
		pe_count(t->counters, PE_COUNTER_latch_retries, LATCH_TRIES);
		return false;
	}
	return test_view(t, t->ways, hit, r, &p, result,
		t->ways.complete || (p.attributes & PE_PUBLISHED_REST), details);
}

bool pe_accept_counted(
	const struct pe_test *t, const struct pe_hit *hit, unsigned audience, double position[3])
{
	const struct pe_record *r = &t->table->records[hit->handle];
	const struct pe_asker asker = {.sees = 1u << audience};
	struct pe_published p;
	struct pe_view view;

	if (!pe_record_read(r, t->table->drafts, &p, LATCH_TRIES)) {
		pe_count(t->counters, PE_COUNTER_latch_retries, LATCH_TRIES);
		return false;
	}
	if (pe_audience_of(p.attributes) != audience || p.radius_m > 0 ||
		!pe_view_build(&asker, r, &p, t->now.tick, &view) ||
		!pe_view_complete(&t->table->details, hit->handle, t->rules, &asker, t->now.tick,
			t->now.wall_ms, &view) ||
		PE_STATUS_SPACE(atomic_load_explicit(&r->status, memory_order_relaxed)) !=
			t->space_index)
		return false;
	memcpy(position, view.shows.position, sizeof view.shows.position);
	return true;
}

#define NO_ROOM 2u
// A hit of which there is more than its record has, or may be; `taken` results were before it. How
// many it adds, or NO_ROOM.
__attribute__((noinline)) static unsigned take_complete(const struct pe_test *t,
	struct pe_hits *hits, const struct pe_hit *hit, struct pe_wire_result *result,
	unsigned taken)
{
	const uint8_t *details;
	uint32_t bytes;

	if (!take_any(t, hit, result, &details))
		return 0;
	if (hits->details) {
		bytes = pe_query_detailed_bytes(details);
		if (bytes > hits->bytes_left)
			return NO_ROOM;
		hits->bytes_left -= bytes;
		hits->details[taken] = details;
	}
	return 1;
}

ALWAYS_INLINE void ask_for_record(const struct pe_record *records, uint32_t handle)
{
	const struct pe_record *r = &records[handle];

	pe_prefetch_two(r, &r->key);
}

ALWAYS_INLINE unsigned take(const struct pe_test *t, struct pe_ways ways, struct pe_hits *all,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room)
{
	const struct pe_record *records = t->table->records;
	struct pe_hits hits = *all;
	unsigned taken = 0;

	while (hits.asked < hits.ahead && hits.asked < hits.at + RECORDS_AHEAD)
		ask_for_record(records, hits.handle[hits.asked++]);
	for (; hits.at < hits.end && taken < room; hits.at++) {
		const struct pe_hit *hit = &hits.hit[hits.at];
		const struct pe_record *r = &records[hit->handle];
		uint64_t words[PE_PUBLISHED_WORDS];
		struct pe_published p;

		if (hits.asked < hits.ahead)
			ask_for_record(records, hits.handle[hits.asked++]);
		handles[taken] = hit->handle;
		if (__builtin_expect(ways.complete || !pe_record_read_once(r, words) ||
				    (words[PE_PUBLISHED_EXPIRY_WORD] & PE_VIEW_REST_IN_TAIL),
			    0)) {
			unsigned n = take_complete(t, all, hit, &results[taken], taken);

			if (n == NO_ROOM)
				break;
			taken += n;
			continue;
		}
		memcpy(&p, words, sizeof p);
		taken += test_view(t, ways, hit, r, &p, &results[taken], false, NULL);
	}
	all->at = hits.at;
	all->asked = hits.asked;
	return taken;
}

static unsigned take_general(const struct pe_test *t, struct pe_hits *hits,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room)
{
	return take(t, t->ways, hits, results, handles, room);
}

// The attributes that a result's state is made of, in the word that they are published in; next to
// each other they are the state.
#define STATE_BITS 0x04070000u
static_assert(PE_ATTRIBUTE_HEIGHT_UNKNOWN << 16 == 0x04000000u && PE_ATTRIBUTE_STATE(0xFFFF) == 7 &&
		PE_RESULT_HEIGHT_UNKNOWN == 8,
	"STATE_BITS");

// As put_result, of a view that stands in lanes; nearer than a float can say. The two last words of
// a result are made of these bytes of the record's: of its tail the custom state and the type, of
// its motion all, with the precision as a half between.
ALWAYS_INLINE void put_plain(const struct pe_view_plain *view, const struct pe_instant *now,
	double distance_m, struct pe_wire_result *result)
{
	result_in_place *r = (void *)result;
	const __m128i of_tail =
		_mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 0, -1, -1, -1);
	const __m128i of_motion =
		_mm_setr_epi8(8, 9, 10, 11, 12, 13, -1, -1, -1, -1, -1, -1, -1, 14, 15, -1);
	const struct pe_record_lanes *l = &view->shows;
	__m128i tail = _mm256_castsi256_si128(l->rest);
	__m128i late = _mm256_extracti128_si256(l->rest, 1);
	// Radius and precision; what else is in there is not looked at.
	__m128i halves = _mm_cvtps_ph(_mm_min_ps(_mm_set1_ps(PE_HALF_MAX), _mm_castsi128_ps(late)),
		_MM_FROUND_TO_NEAREST_INT);
	uint32_t left = _pext_u32((uint32_t)l->tail, STATE_BITS) << 16 |
		tenths_left((uint32_t)(l->tail >> 32), now->tick);
	__m128i words = _mm_insert_epi32(_mm_shuffle_epi8(late, of_motion), (int)left, 2);

	words = _mm_or_si128(words, _mm_shuffle_epi8(tail, of_tail));
	words = _mm_blend_epi16(words, _mm_slli_epi64(halves, 32), 1 << 3);
	memcpy(r->entity_id, view->id, sizeof r->entity_id);
	// With the grid word behind it, over which the age and the distance go.
	_mm256_storeu_pd(r->position, l->place);
	r->age_ms = age_of(l->time_ms, now->wall_ms);
	r->distance_m = (float)distance_m;
	_mm_storeu_si128((__m128i *)(void *)r->velocity, words);
}

// Is a plain view inside of the polygon? Its hit may know it, where that is where the view is.
// any_height: whatever its height.
ALWAYS_INLINE bool plain_inside(const struct pe_test *t, const struct pe_hit *hit,
	const struct pe_view_plain *view, const bool any_height)
{
	_Alignas(32) double place[4];
	__m128d above = _mm256_extractf128_pd(view->shows.place, 1);
	uint64_t word = (uint64_t)_mm_extract_epi64(_mm_castpd_si128(above), 1);
	bool sure = hit->sure && !((hit->word ^ word) & (PE_SLOT_MOVED | PE_WORD_POSITION));

	if (__builtin_expect(sure && any_height, 1))
		return true;
	_mm256_store_pd(place, view->shows.place);
	return pe_query_polygon_holds(t, place, true, sure);
}

// A volume of a CARTESIAN space, no filters, seen from its centre: a sphere, or a polygon from its
// own point.
ALWAYS_INLINE unsigned take_plain(const struct pe_test *t, struct pe_hits *all,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room, const bool polygon)
{
	const struct pe_record *records = t->table->records;
	const __m256d centre = _mm256_setr_pd(t->centre[0], t->centre[1], t->centre[2], 0);
	const struct pe_instant now = t->now;
	const uint32_t space = pe_status_make(0, 0, t->space_index, 0);
	const double radius_m = t->radius_m;
	const uint32_t audiences = pe_view_as_they_are(t->asker, t->rules);
	const uint32_t *handle = &all->handle[all->at], *const end = &all->handle[all->end];
	const uint32_t *asked = &all->handle[all->asked], *const ahead = &all->handle[all->ahead];
	const bool any_height = polygon && t->polygon->height_min == -INFINITY &&
		t->polygon->height_max == INFINITY;
	unsigned taken = 0;

	while (asked < ahead && asked < handle + RECORDS_AHEAD)
		ask_for_record(records, *asked++);
	for (; handle < end && taken < room; handle++) {
		const struct pe_record *r = &records[*handle];
		struct pe_view_plain view;
		enum pe_plain plain;
		__m256d from;
		__m128d across;
		double distance_m;
		int32_t reach_bits;

		if (asked < ahead)
			ask_for_record(records, *asked++);
		handles[taken] = *handle;
		plain = pe_view_build_plain(r, audiences, now.tick, &view);
		reach_bits = (int32_t)view.shows.radius_bits;
		// What limits its reach has an edge of its own.
		if (__builtin_expect(plain == PE_PLAIN_OTHERWISE || reach_bits > 0, 0)) {
			// Of a sphere its record alone decides.
			const struct pe_hit known = {.handle = *handle, .word = PE_SLOT_MOVED};
			unsigned n = take_complete(t, all,
				polygon ? &all->hit[handle - all->handle] : &known, &results[taken],
				taken);

			if (n == NO_ROOM)
				break;
			taken += n;
			continue;
		}
		if (plain == PE_PLAIN_GONE)
			continue;
		if ((atomic_load_explicit(&r->status, memory_order_relaxed) ^ space) & 0xFF0000u)
			continue; // it came back in another space meanwhile
		from = _mm256_sub_pd(view.shows.place, centre);
		across = _mm256_castpd256_pd128(from);
		distance_m = length(_mm_cvtsd_f64(across),
			_mm_cvtsd_f64(_mm_unpackhi_pd(across, across)),
			_mm_cvtsd_f64(_mm256_extractf128_pd(from, 1)));
		if (polygon ? !plain_inside(t, &all->hit[handle - all->handle], &view, any_height) :
			      !(distance_m <= radius_m))
			continue;
		put_plain(&view, &now, distance_m, &results[taken++]);
	}
	all->at = (unsigned)(handle - all->handle);
	all->asked = (unsigned)(asked - all->handle);
	return taken;
}

// The ordinary query.
static unsigned take_ordinary(const struct pe_test *t, struct pe_hits *hits,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room)
{
	return take_plain(t, hits, results, handles, room, false);
}

static unsigned take_geodetic(const struct pe_test *t, struct pe_hits *hits,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room)
{
	return take(t, (struct pe_ways){.geodetic = true, .sphere = true, .centred = true}, hits,
		results, handles, room);
}

// Likewise of a polygon, whose sure hits are read and written alone.
static unsigned take_polygon(const struct pe_test *t, struct pe_hits *hits,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room)
{
	return take_plain(t, hits, results, handles, room, true);
}

static unsigned take_polygon_geodetic(const struct pe_test *t, struct pe_hits *hits,
	struct pe_wire_result *results, uint32_t *handles, uint32_t room)
{
	return take(t, (struct pe_ways){.geodetic = true, .polygon = true, .centred = true}, hits,
		results, handles, room);
}

unsigned pe_accept(const struct pe_test *t, struct pe_hits *hits, struct pe_wire_result *results,
	uint32_t *handles, uint32_t room)
{
	if (!t->ways.centred || t->ways.filtered || t->ways.straight || t->ways.timed ||
		t->ways.complete)
		return take_general(t, hits, results, handles, room);
	if (!t->ways.sphere && t->query->kind == PE_QUERY_POLYGON)
		return t->ways.geodetic ? take_polygon_geodetic(t, hits, results, handles, room) :
					  take_polygon(t, hits, results, handles, room);
	if (!t->ways.sphere)
		return take_general(t, hits, results, handles, room);
	if (t->ways.geodetic)
		return take_geodetic(t, hits, results, handles, room);
	return take_ordinary(t, hits, results, handles, room);
}

void pe_accept_parts(
	const struct pe_test *t, const struct pe_view *view, struct pe_accept_parts *parts)
{
	const struct pe_wire_query *q = t->query;
	const struct pe_published *p = &view->shows;

	*parts = (struct pe_accept_parts){.type = takes_type(q, p),
		.state = takes_state(q, p),
		.height = takes_height(q, t->ways, p),
		.filter = takes_age(t, p) && (!t->filter || pe_query_filter_takes(t, view))};
	// No hit: its place in the index is not looked at, and distances are exact.
	parts->volume = inside(t, t->ways, NULL, false, view, &parts->centre_m);
	parts->asker_m = distance(
		t, t->ways, NULL, false, view, t->origin, t->origin_metres, (double)p->radius_m);
	parts->scope = pe_scope_lets(t->space, view->details, t->origin);
	parts->reach = !(p->radius_m > 0) || parts->asker_m <= (double)p->radius_m;
}
