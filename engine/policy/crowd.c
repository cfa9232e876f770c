#include "policy/crowd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PROBES   32u
#define OFFSET   (1 << 28) // of CARTESIAN cells
#define RADIUS_M 6371007.2 // of the sphere of the same area
// The ellipsoid's zones have other areas than the sphere's by less.
#define AREA_SLACK 1.01

enum pe_status pe_crowd_make(struct pe_crowd *crowd, struct pe_error *error)
{
	size_t tuple_bytes = PE_CROWD_TUPLES * sizeof(uint64_t);
	size_t cell_bytes = PE_CROWD_CELLS * sizeof(struct pe_crowd_count);
	uint8_t *base;

	if (pe_memory_map(3 * (tuple_bytes + cell_bytes), false, &crowd->memory) != PE_OK ||
		getrandom(crowd->secret, sizeof crowd->secret, 0) !=
			(ssize_t)sizeof crowd->secret) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text,
			"no memory or randomness for k_anonymity (%zu bytes)",
			3 * (tuple_bytes + cell_bytes));
		return PE_NO_MEMORY;
	}
	base = crowd->memory.base;
	for (unsigned i = 0; i < 3; i++, base += tuple_bytes + cell_bytes) {
		crowd->census[i].tuples = (_Atomic uint64_t *)base;
		crowd->census[i].cells = (struct pe_crowd_count *)(base + tuple_bytes);
	}
	return PE_OK;
}

void pe_crowd_unmake(struct pe_crowd *crowd)
{
	if (crowd->memory.base)
		pe_memory_unmap(&crowd->memory);
	memset(crowd, 0, sizeof *crowd);
}

// ---- cells ----

// Columns and rows of the Earth, in each of which cells are as long along a parallel of the sphere's cylinder as they are high on it.
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

struct pe_crowd_cell pe_crowd_cell_of(
	const struct pe_space *space, double edge_m, const double position[3])
{
	double columns, rows;

	if (space->config.kind == PE_SPACE_CARTESIAN)
		return (struct pe_crowd_cell){
			(uint32_t)((int64_t)floor(position[0] / edge_m) + OFFSET),
			(uint32_t)((int64_t)floor(position[1] / edge_m) + OFFSET)};
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

// ---- counting ----

static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 32) * 0x9E3779B97F4A7C15ull;
	v = (v ^ v >> 29) * 0xBF58476D1CE4E5B9ull;
	v = (v ^ v >> 32) * 0x94D049BB133111EBull;
	return v ^ v >> 29;
}

// What stands for a cell; 64 bits of a secret's, so that nobody can have two cells counted as one.
static uint64_t cell_key(
	const struct pe_crowd *crowd, uint32_t set, unsigned level, uint32_t x, uint32_t y)
{
	uint64_t key = mix(((uint64_t)x << 32 | y) ^ crowd->secret[0]);

	return mix(key ^ crowd->secret[1] ^ ((uint64_t)set << 8 | level)) | 1;
}

static uint64_t tuple_key(const struct pe_crowd *crowd, uint64_t cell, uint32_t principal)
{
	return mix(cell ^ mix(principal ^ crowd->secret[1])) | 1;
}

static const struct pe_census *census_of(const struct pe_crowd *crowd, uint64_t epoch)
{
	const struct pe_census *c = &crowd->census[epoch % 3];

	// CROWD: acquire, before what was cleared
	return atomic_load_explicit(&c->epoch, memory_order_acquire) == epoch ? c : NULL;
}

// True: it is new in the set.
static bool put_tuple(const struct pe_census *c, uint64_t tuple)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		_Atomic uint64_t *at = &c->tuples[((tuple >> 20) + i) & (PE_CROWD_TUPLES - 1)];
		uint64_t there = atomic_load_explicit(at, memory_order_relaxed);

		if (there == 0 &&
			atomic_compare_exchange_strong_explicit(
				at, &there, tuple, memory_order_relaxed, memory_order_relaxed))
			return true;
		if (there == tuple)
			return false;
	}
	return false; // no room: not counted
}

static void count_cell(const struct pe_census *c, uint64_t cell)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		struct pe_crowd_count *at = &c->cells[((cell >> 20) + i) & (PE_CROWD_CELLS - 1)];
		uint64_t there = atomic_load_explicit(&at->cell, memory_order_relaxed);

		if (there == 0 &&
			atomic_compare_exchange_strong_explicit(&at->cell, &there, cell,
				memory_order_relaxed, memory_order_relaxed))
			there = cell;
		if (there == cell) {
			atomic_fetch_add_explicit(&at->principals, 1, memory_order_relaxed);
			return;
		}
	}
}

static uint64_t principals_in(const struct pe_census *c, uint64_t cell)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		const struct pe_crowd_count *at =
			&c->cells[((cell >> 20) + i) & (PE_CROWD_CELLS - 1)];
		uint64_t there = atomic_load_explicit(&at->cell, memory_order_relaxed);

		if (there == cell)
			return atomic_load_explicit(&at->principals, memory_order_relaxed);
		if (there == 0)
			return 0;
	}
	// Where there was no room nobody was counted, but somebody may have been there.
	return 1;
}

void pe_crowd_add(struct pe_crowd *crowd, uint64_t epoch, uint32_t set, struct pe_crowd_cell cell,
	uint32_t principal)
{
	const struct pe_census *c = census_of(crowd, epoch);

	// Where it was counted it was counted in all that is above, too.
	for (unsigned level = 0; c && level < PE_CROWD_LEVELS; level++) {
		uint64_t key = cell_key(crowd, set, level, cell.x >> level, cell.y >> level);

		if (!put_tuple(c, tuple_key(crowd, key, principal)))
			return;
		count_cell(c, key);
	}
}

// Has each quarter k, or none? *own: of the one in which the cell lies.
static bool divides(const struct pe_crowd *crowd, const struct pe_census *c, uint32_t set,
	unsigned level, struct pe_crowd_cell cell, unsigned k, uint64_t *own)
{
	uint32_t x = cell.x >> level << 1, y = cell.y >> level << 1;
	bool whole = true;

	for (unsigned i = 0; i < 4; i++) {
		uint32_t cx = x + (i & 1), cy = y + (i >> 1);
		uint64_t n = principals_in(c, cell_key(crowd, set, level - 1, cx, cy));

		if (cx == cell.x >> (level - 1) && cy == cell.y >> (level - 1))
			*own = n;
		whole &= n == 0 || n >= k;
	}
	return whole;
}

int pe_crowd_area(const struct pe_crowd *crowd, uint64_t epoch, uint32_t set,
	struct pe_crowd_cell cell, unsigned k)
{
	const struct pe_census *c = census_of(crowd, epoch);
	unsigned level = PE_CROWD_LEVELS - 1;
	uint64_t own = 0;

	if (!c ||
		principals_in(c, cell_key(crowd, set, level, cell.x >> level, cell.y >> level)) < k)
		return PE_CROWD_NOWHERE;
	for (; level > 0; level--) {
		if (!divides(crowd, c, set, level, cell, k, &own))
			break;
		if (!own)
			return PE_CROWD_NOWHERE;
	}
	return (int)level;
}

// ---- epochs ----

static void clear(struct pe_census *c, uint64_t epoch)
{
	// CROWD: nobody counts in it, nor looks: its epoch is at least one and a half behind
	atomic_store_explicit(&c->epoch, 0, memory_order_release);
	for (uint32_t i = 0; i < PE_CROWD_TUPLES; i++)
		atomic_store_explicit(&c->tuples[i], 0, memory_order_relaxed);
	for (uint32_t i = 0; i < PE_CROWD_CELLS; i++) {
		atomic_store_explicit(&c->cells[i].cell, 0, memory_order_relaxed);
		atomic_store_explicit(&c->cells[i].principals, 0, memory_order_relaxed);
	}
	// CROWD: release: whoever sees the epoch sees an empty census
	atomic_store_explicit(&c->epoch, epoch, memory_order_release);
}

void pe_crowd_prepare(struct pe_crowd *crowd, uint32_t epoch_ms)
{
	uint64_t now_ms = atomic_load_explicit(&crowd->wall_ms, memory_order_relaxed);
	uint64_t epoch = now_ms / epoch_ms;

	if (!now_ms)
		return;
	// Only after a silence of epochs, or at the start.
	if (atomic_load_explicit(&crowd->census[epoch % 3].epoch, memory_order_relaxed) != epoch)
		clear(&crowd->census[epoch % 3], epoch);
	// No worker's clock is half an epoch behind.
	if (now_ms % epoch_ms >= epoch_ms / 2 &&
		atomic_load_explicit(&crowd->census[(epoch + 1) % 3].epoch, memory_order_relaxed) !=
			epoch + 1)
		clear(&crowd->census[(epoch + 1) % 3], epoch + 1);
}
