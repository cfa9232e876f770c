#include "policy/crowd.h"

#include "base/hash.h"
#include "policy/cohorts.h"

#include <math.h>
#include <string.h>

#define PROBES 32u
// Of cells of a plane. Its middle, where most is, then lies a third away from the nearest line of
// every level.
#define OFFSET   ((1 << 28) + 683)
#define CELLS    (1u << 29)
#define RADIUS_M 6371007.2 // of the sphere of the same area
// The ellipsoid's zones have other areas than the sphere's by less.
#define AREA_SLACK 1.01

// ---- cells ----

// Columns and rows of the Earth, in each of which cells are as long along a parallel of the
// sphere's cylinder as they are high on it.
static void earth(double edge_m, double *columns, double *rows)
{
	edge_m *= AREA_SLACK;
	*columns = floor(2 * M_PI * RADIUS_M / edge_m);
	*rows = floor(2 * RADIUS_M / edge_m);
}

static uint32_t part(double share, double parts)
{
	double n = floor(share * parts);

	return (uint32_t)fmin(fmax(n, 0), parts - 1);
}

// Of a plane; those furthest out are the last ones.
static uint32_t along(double cells)
{
	return (uint32_t)fmin(fmax(floor(cells) + OFFSET, 0), CELLS - 1);
}

struct pe_crowd_cell pe_crowd_cell_of(
	const struct pe_space *space, double edge_m, const double position[3])
{
	double columns, rows;

	if (space->config.kind == PE_SPACE_CARTESIAN)
		return (struct pe_crowd_cell){
			along(position[0] / edge_m), along(position[1] / edge_m)};
	earth(edge_m, &columns, &rows);
	return (struct pe_crowd_cell){
		part((position[1] >= 180 ? 0 : position[1] + 180) / 360, columns),
		part((sin(position[0] * M_PI / 180) + 1) / 2, rows)};
}

double pe_crowd_centre(const struct pe_space *space, double edge_m, struct pe_crowd_cell cell,
	unsigned level, double centre[2])
{
	double x = (double)(cell.x >> level << level), y = (double)(cell.y >> level << level);
	double parts = (double)(1u << level), columns, rows, south, north, wide;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		centre[0] = (x - OFFSET + parts / 2) * edge_m;
		centre[1] = (y - OFFSET + parts / 2) * edge_m;
		for (unsigned i = 0; i < 2; i++)
			centre[i] = fmin(fmax(centre[i], -space->extent_m), space->extent_m);
		return parts * edge_m * M_SQRT1_2;
	}
	earth(edge_m, &columns, &rows);
	// The last ones are cut.
	wide = fmin(parts, columns - x);
	south = asin(fmax(y / rows * 2 - 1, -1)) * 180 / M_PI;
	north = asin(fmin((y + parts) / rows * 2 - 1, 1)) * 180 / M_PI;
	centre[0] = (south + north) / 2;
	centre[1] = (x + wide / 2) / columns * 360 - 180;
	return (north - south) / 2 * 111700 +
		wide / columns * 180 * 111700 *
		cos(fmin(fabs(south), fabs(north)) * (south * north > 0) * M_PI / 180);
}

// ---- places ----

static struct pe_crowd_entity *entity_of(const struct pe_crowd *crowd,
	const struct pe_crowd_table *t, uint64_t owner, const uint8_t id[16])
{
	uint64_t both[2] = {pe_hash_id(&crowd->key, id), owner}, who;
	uint8_t text[sizeof both];

	memcpy(text, both, sizeof text);
	who = pe_hash_id(&crowd->key, text) | 1;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct pe_crowd_entity *at =
			&t->entities[((who >> 20) + i) & (PE_CROWD_ENTITIES - 1)];
		uint64_t there = atomic_load_explicit(&at->who, memory_order_relaxed);

		if (there == 0 &&
			atomic_compare_exchange_strong_explicit(&at->who, &there, who,
				memory_order_relaxed, memory_order_relaxed)) {
			// CROWD: release: whoever sees whose it is sees an entity of that period
			atomic_store_explicit(&at->owner, owner, memory_order_release);
			return at;
		}
		if (there == who)
			return at;
	}
	return NULL; // no room: not counted
}

// The level of its cohort's area in the epoch; PE_CROWD_NOWHERE: it is not in it, or there is none.
static int area_of(const struct pe_crowd_cohort *c, uint64_t epoch, struct pe_crowd_cell cell)
{
	// CROWD: acquire, before the cell; and once more behind it
	uint64_t seen = atomic_load_explicit(&c->epoch_level, memory_order_acquire), first;
	unsigned level = seen & PE_COHORT_LEVEL;

	if (seen >> PE_COHORT_LEVEL_BITS != epoch)
		return PE_CROWD_NOWHERE;
	first = atomic_load_explicit(&c->first, memory_order_acquire);
	PE_COHORT_STEP();
	if (atomic_load_explicit(&c->epoch_level, memory_order_relaxed) != seen)
		return PE_CROWD_NOWHERE;
	// Spread too far for an area, it is everywhere.
	if (level < PE_CROWD_LEVELS &&
		(cell.x >> level != (uint32_t)(first >> 32) >> level ||
			cell.y >> level != (uint32_t)first >> level))
		return PE_CROWD_NOWHERE;
	return (int)level;
}

static bool note(struct pe_crowd_entity *e, uint64_t epoch, struct pe_crowd_cell cell, bool inside)
{
	_Atomic uint64_t *place = &e->place[epoch & 1];
	uint64_t there = atomic_load_explicit(place, memory_order_relaxed);

	// Only others that publish the same entity at the same time are in the way.
	for (unsigned i = 0; i < PROBES; i++) {
		bool before = pe_cohort_place_epoch(there, epoch) && (there & PE_COHORT_INSIDE);

		if (atomic_compare_exchange_weak_explicit(place, &there,
			    pe_cohort_place(cell, epoch, inside || before), memory_order_relaxed,
			    memory_order_relaxed))
			return true;
	}
	return false;
}

// How many of the cohort are or were in its area in the epoch, now that this one is; 0: that epoch
// is over.
static uint32_t come(struct pe_crowd_seat *s, struct pe_crowd_cohort *c, uint64_t epoch)
{
	uint32_t last = atomic_load_explicit(&s->there, memory_order_relaxed);
	uint64_t there = atomic_load_explicit(&c->there, memory_order_relaxed), next;
	bool first = false;

	while ((int32_t)((uint32_t)epoch - last) > 0 && !first)
		first = atomic_compare_exchange_weak_explicit(&s->there, &last, (uint32_t)epoch,
			memory_order_relaxed, memory_order_relaxed);
	if (!first)
		return there >> 32 == (uint32_t)epoch ? (uint32_t)there : 0;
	do {
		if ((int32_t)((uint32_t)epoch - (uint32_t)(there >> 32)) < 0)
			return 0;
		next = there >> 32 == (uint32_t)epoch ? there + 1 : epoch << 32 | 1;
	} while (!atomic_compare_exchange_weak_explicit(
		&c->there, &there, next, memory_order_relaxed, memory_order_relaxed));
	return (uint32_t)next;
}

int pe_crowd_place(struct pe_crowd *crowd, uint64_t epoch, unsigned policy, unsigned space,
	const uint8_t id[16], uint32_t principal, struct pe_crowd_cell cell)
{
	uint64_t period = epoch / crowd->period_epochs;
	struct pe_crowd_table *t = &crowd->table[period & 1];
	uint64_t owner = (uint64_t)(policy << 8 | space) << 32 | principal;
	int level = PE_CROWD_NOWHERE;
	struct pe_crowd_cohort *cohort = NULL;
	struct pe_crowd_seat *seat = NULL;
	struct pe_crowd_entity *e;
	uint32_t number;

	// CROWD: acquire, before what was cleared
	if (atomic_load_explicit(&t->period, memory_order_acquire) != period + 1)
		return PE_CROWD_NOWHERE;
	e = entity_of(crowd, t, owner, id);
	if (!e)
		return PE_CROWD_NOWHERE;
	// CROWD: acquire: seat, cohort, and area last. Of a seat or a cohort that is another's by
	// now the area is seen to be none, or of another epoch
	number = atomic_load_explicit(&e->seat, memory_order_acquire);
	if (number) {
		seat = &crowd->seats[number - 1];
		number = atomic_load_explicit(&seat->cohort, memory_order_acquire);
		PE_COHORT_STEP();
		if (number != PE_CROWD_LEFT) {
			cohort = &crowd->cohorts[number];
			level = area_of(cohort, epoch, cell);
			// CROWD: whoever sees the epoch's area sees who had left when it was made:
			// who was asked before that counts nowhere
			if (atomic_load_explicit(&seat->cohort, memory_order_relaxed) != number)
				level = PE_CROWD_NOWHERE;
		}
	}
	PE_COHORT_STEP();
	if (!note(e, epoch, cell, level != PE_CROWD_NOWHERE) || level == PE_CROWD_NOWHERE)
		return PE_CROWD_NOWHERE;
	PE_COHORT_STEP();
	if (come(seat, cohort, epoch) < crowd->k[policy] || level >= (int)PE_CROWD_LEVELS)
		return PE_CROWD_NOWHERE;
	return level;
}
