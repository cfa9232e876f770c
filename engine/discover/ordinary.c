// The ordinary query, straight from its record to its walk: a sphere of a CARTESIAN space that asks
// for nothing else, of who sees nothing but what everybody does. What is written here is what
// pe_query_prepare writes of such a query; tests that compare answers of both ways are those with
// and without an origin that is the centre.
#include "discover/query.h"
#include "discover/slot.h"
#include "space/sphere.h"

// Of a record's first words what is compared: the kind with the flags, and the masks.
#define KIND_AT  offsetof(struct pe_wire_query, kind)
#define MASKS_AT offsetof(struct pe_wire_query, type_mask)
// From b's second number on all of it is zero.
#define ZERO_AT offsetof(struct pe_wire_query, b[1])
static_assert(KIND_AT == 4 && offsetof(struct pe_wire_query, priority) == 5 &&
		offsetof(struct pe_wire_query, flags) == 6 && MASKS_AT == 12 &&
		offsetof(struct pe_wire_query, state_mask) == 14 && ZERO_AT == 48 &&
		offsetof(struct pe_wire_query, b) == offsetof(struct pe_wire_query, a[3]) &&
		sizeof(struct pe_wire_query) == 128 && PE_PRIORITIES == 4,
	"the words that are compared");

static inline __m256i words(const uint8_t *record, size_t at)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)(record + at));
}

static inline void put(struct pe_wire_query *q, size_t at, __m256i v)
{
	_mm256_storeu_si256((__m256i *)(void *)((uint8_t *)q + at), v);
}

bool pe_query_prepare_ordinary(struct pe_query_context *c, const struct pe_space *space,
	const struct pe_view_rules *rules, const struct pe_asker *asker, struct pe_instant now,
	const uint8_t *record)
{
	struct pe_query_slot *s = &c->slots[c->prepared];
	struct pe_test *t = &s->test;
	const __m256d magnitude =
		_mm256_castsi256_pd(_mm256_setr_epi64x(INT64_MAX, INT64_MAX, INT64_MAX, 0));
	struct pe_sphere_lanes lanes;
	uint32_t kind, masks;
	uint64_t radius_bits;
	double radius_m;
	__m256i zero;
	__m256d centre, held;

	if ((space->config.kind != PE_SPACE_CARTESIAN) | (asker->sees != 0) | rules->decays)
		return false;
	memcpy(&kind, record + KIND_AT, sizeof kind);
	memcpy(&masks, record + MASKS_AT, sizeof masks);
	memcpy(&radius_bits, record + offsetof(struct pe_wire_query, b), sizeof radius_bits);
	memcpy(&radius_m, &radius_bits, sizeof radius_m);
	zero = _mm256_or_si256(_mm256_or_si256(words(record, ZERO_AT), words(record, ZERO_AT + 32)),
		words(record, 96));
	// The priority was looked at before. Not negative and finite: as bits.
	if (((kind & ~0x300u) ^ PE_QUERY_SPHERE) | masks | (radius_bits > 0x7FEFFFFFFFFFFFFFull) |
		!_mm256_testz_si256(zero, zero))
		return false;
	centre = _mm256_castsi256_pd(words(record, offsetof(struct pe_wire_query, a)));
	// Ordered: what is not a number is not within.
	held = _mm256_cmp_pd(
		_mm256_and_pd(centre, magnitude), _mm256_load_pd(space->lane_held_m), _CMP_LE_OQ);
	centre = _mm256_blend_pd(centre, _mm256_setzero_pd(), 8);
	if (_mm256_movemask_pd(held) != 15 || !pe_sphere_lanes(space, centre, radius_m, &lanes))
		return false;

	put(&s->query, 0, words(record, 0));
	put(&s->query, 32, words(record, 32));
	put(&s->query, 64, _mm256_setzero_si256());
	put(&s->query, 96, _mm256_setzero_si256());
	s->reason = PE_REASON_none;
	s->region = 0;
	s->skip = 0;
	s->walked = s->over = s->owned = false;
	s->form = PE_QUERY_WHOLE;
	s->opened = s->ordinary = true;
	s->asker = *asker;
	t->space = space;
	t->query = &s->query;
	t->asker = &s->asker;
	t->table = c->table;
	t->counters = c->counters;
	t->now = now;
	t->ways = (struct pe_ways){.sphere = true, .centred = true};
	t->rules = rules;
	t->space_index = space->index;
	t->radius_m = radius_m;
	_mm256_storeu_pd(t->centre, centre);
	_mm256_storeu_pd(t->origin, centre);
	t->region_count = t->region_total = 1;
	t->layer_count = 0;
	t->filter = NULL;
	t->age_max_ms = 0;
	pe_sphere_region(space, &lanes, &s->walk.region);
	s->walk.boxed = s->walk.flagged = false;
	s->walk.handles = true;
	s->walk.sieve = NULL;
	s->walk.cursor = (struct pe_cursor){{0, 0}};
	s->walk.cells = s->walk.candidates = s->walk.passed = s->walk.resume = 0;
	pe_query_set_bounds(c, s);
	pe_walker_open_sphere(&s->walker, c->grid, &s->walk, &lanes);
	c->prepared++;
	return true;
}
