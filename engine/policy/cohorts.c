#include "policy/cohorts.h"

#include "base/rcu.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

// An entity that was published in the epoch before and is in no cohort.
struct pe_crowd_item {
	struct pe_crowd_cell cell;
	uint64_t path; // the cell's bits, alternately, so that what is in one cell of a level
	               // stands together
	uint32_t set, principal;
	uint32_t number; // of the principal, among these
	uint32_t entity;
};

static_assert(PE_CROWD_COHORTS * 2 >= PE_CROWD_ENTITIES, "every cohort has two members");

enum pe_status pe_crowd_make(struct pe_crowd *crowd, uint32_t period_epochs, struct pe_error *error)
{
	size_t bytes[] = {PE_CROWD_ENTITIES * sizeof *crowd->table[0].entities,
		PE_CROWD_ENTITIES * sizeof *crowd->table[1].entities,
		PE_CROWD_ENTITIES * sizeof *crowd->seats, PE_CROWD_COHORTS * sizeof *crowd->cohorts,
		PE_CROWD_ENTITIES * sizeof *crowd->items, PE_CROWD_ENTITIES * sizeof *crowd->met};
	uint8_t *base[sizeof bytes / sizeof *bytes];
	size_t sum = 0;

	for (unsigned i = 0; i < sizeof bytes / sizeof *bytes; i++)
		sum += bytes[i];
	if (pe_memory_map(sum, false, &crowd->memory) != PE_OK ||
		getrandom(&crowd->key, sizeof crowd->key, 0) != (ssize_t)sizeof crowd->key) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text,
			"no memory or randomness for k_anonymity (%zu bytes)", sum);
		return PE_NO_MEMORY;
	}
	base[0] = crowd->memory.base;
	for (unsigned i = 1; i < sizeof bytes / sizeof *bytes; i++)
		base[i] = base[i - 1] + bytes[i - 1];
	crowd->table[0].entities = (struct pe_crowd_entity *)base[0];
	crowd->table[1].entities = (struct pe_crowd_entity *)base[1];
	crowd->seats = (struct pe_crowd_seat *)base[2];
	crowd->cohorts = (struct pe_crowd_cohort *)base[3];
	crowd->items = (struct pe_crowd_item *)base[4];
	crowd->met = (uint64_t *)base[5];
	crowd->period_epochs = period_epochs ? period_epochs : PE_CROWD_PERIOD;
	return PE_OK;
}

void pe_crowd_unmake(struct pe_crowd *crowd)
{
	if (crowd->memory.base)
		pe_memory_unmap(&crowd->memory);
	memset(crowd, 0, sizeof *crowd);
}

// ---- areas ----

static void show(
	struct pe_crowd_cohort *c, uint64_t epoch, unsigned level, struct pe_crowd_cell first)
{
	// CROWD: no area while its cell is another; release, so that who sees the new cell sees
	// that
	atomic_store_explicit(&c->epoch_level, 0, memory_order_relaxed);
	atomic_store_explicit(&c->first, (uint64_t)first.x << 32 | first.y, memory_order_release);
	// CROWD: release: of this epoch, with this cell
	atomic_store_explicit(
		&c->epoch_level, epoch << PE_COHORT_LEVEL_BITS | level, memory_order_release);
}

static void hide(struct pe_crowd_cohort *c)
{
	atomic_store_explicit(&c->epoch_level, 0, memory_order_release);
}

// Was it in its cohort's area in the epoch before? Also who was there only while there was no area
// yet, and still is.
static bool was_inside(const struct pe_crowd_cohort *c, uint64_t epoch, uint64_t place)
{
	uint64_t seen = atomic_load_explicit(&c->epoch_level, memory_order_relaxed);
	uint64_t first = atomic_load_explicit(&c->first, memory_order_relaxed);
	struct pe_crowd_cell cell = pe_cohort_place_cell(place);
	unsigned level = seen & PE_COHORT_LEVEL;

	if (place & PE_COHORT_INSIDE)
		return true;
	if (seen >> PE_COHORT_LEVEL_BITS != epoch - 1)
		return false;
	return level >= PE_CROWD_LEVELS ||
		(cell.x >> level == (uint32_t)(first >> 32) >> level &&
			cell.y >> level == (uint32_t)first >> level);
}

static void stay(struct pe_crowd *crowd, struct pe_crowd_seat *s, uint64_t epoch, uint64_t place)
{
	uint32_t number = atomic_load_explicit(&s->cohort, memory_order_relaxed);
	struct pe_crowd_cell cell = pe_cohort_place_cell(place);
	struct pe_crowd_cohort *c;

	if (number == PE_CROWD_LEFT)
		return;
	c = &crowd->cohorts[number];
	if (!was_inside(c, epoch, place))
		return;
	if (s->live != epoch) {
		s->live = epoch;
		c->members++;
	}
	c->low.x = cell.x < c->low.x ? cell.x : c->low.x;
	c->low.y = cell.y < c->low.y ? cell.y : c->low.y;
	c->high.x = cell.x > c->high.x ? cell.x : c->high.x;
	c->high.y = cell.y > c->high.y ? cell.y : c->high.y;
}

static void show_all(struct pe_crowd *crowd, uint64_t epoch)
{
	for (uint32_t i = 0; i < crowd->seat_count; i++)
		if (crowd->seats[i].live != epoch)
			atomic_store_explicit(
				&crowd->seats[i].cohort, PE_CROWD_LEFT, memory_order_relaxed);
	for (uint32_t i = 0; i < crowd->cohort_count; i++) {
		struct pe_crowd_cohort *c = &crowd->cohorts[i];
		unsigned level = 0;

		// Without an area nobody is in it, and all have left: they never are k again.
		if (c->members < c->k) {
			hide(c);
			continue;
		}
		while (c->low.x >> level != c->high.x >> level ||
			c->low.y >> level != c->high.y >> level)
			level++;
		show(c, epoch, level, c->low);
	}
}

// ---- cohorts ----

static uint64_t path_of(struct pe_crowd_cell cell)
{
	uint64_t path = 0;

	for (unsigned i = 0; i < 29; i++)
		path |= (uint64_t)(cell.x >> i & 1) << 2 * i |
			(uint64_t)(cell.y >> i & 1) << (2 * i + 1);
	return path;
}

static int by_principal(const void *a, const void *b)
{
	const struct pe_crowd_item *x = a, *y = b;

	return (x->principal > y->principal) - (x->principal < y->principal);
}

static int by_path(const void *a, const void *b)
{
	const struct pe_crowd_item *x = a, *y = b;

	if (x->set != y->set)
		return x->set > y->set ? 1 : -1;
	return (x->path > y->path) - (x->path < y->path);
}

static uint32_t principals_of(
	struct pe_crowd *crowd, const struct pe_crowd_item *items, uint32_t count)
{
	uint32_t n = 0;

	crowd->marks++;
	for (uint32_t i = 0; i < count; i++) {
		n += crowd->met[items[i].number] != crowd->marks;
		crowd->met[items[i].number] = crowd->marks;
	}
	return n;
}

// So many of them, from the first, are in its cell of the level.
static uint32_t together(const struct pe_crowd_item *items, uint32_t count, unsigned level)
{
	uint32_t n = 0;

	while (n < count && items[n].set == items[0].set &&
		items[n].path >> 2 * level == items[0].path >> 2 * level)
		n++;
	return n;
}

// Their cohort, and its area: the cell of a level that they are in.
static void found(struct pe_crowd *crowd, struct pe_crowd_table *t, uint64_t epoch, uint32_t k,
	struct pe_crowd_item *items, uint32_t count, unsigned level)
{
	uint32_t members = principals_of(crowd, items, count), number = crowd->cohort_count;
	struct pe_crowd_cohort *c = &crowd->cohorts[number];

	if (crowd->cohort_count == PE_CROWD_COHORTS ||
		members > PE_CROWD_ENTITIES - crowd->seat_count)
		return;
	crowd->cohort_count++;
	c->k = k;
	c->members = members;
	atomic_store_explicit(&c->there, 0, memory_order_relaxed);
	show(c, epoch, level, items[0].cell);
	qsort(items, count, sizeof *items, by_principal); // cold: once an epoch, the control thread
	for (uint32_t i = 0; i < count; i++) {
		if (i == 0 || items[i].number != items[i - 1].number) {
			struct pe_crowd_seat *s = &crowd->seats[crowd->seat_count++];

			s->live = epoch;
			atomic_store_explicit(&s->there, (uint32_t)epoch - 1, memory_order_relaxed);
			// CROWD: release, after the cohort has an area of this epoch or none
			atomic_store_explicit(&s->cohort, number, memory_order_release);
		}
		// CROWD: release, after the seat
		atomic_store_explicit(&t->entities[items[i].entity].seat, crowd->seat_count,
			memory_order_release);
	}
}

static void divide(struct pe_crowd *crowd, struct pe_crowd_table *t, uint64_t epoch, uint32_t k,
	struct pe_crowd_item *items, uint32_t count, unsigned level)
{
	bool whole = level == 0;

	for (uint32_t i = 0, n; i < count && !whole; i += n) {
		n = together(items + i, count - i, level - 1);
		whole = principals_of(crowd, items + i, n) < k;
	}
	if (whole) {
		found(crowd, t, epoch, k, items, count, level);
		return;
	}
	for (uint32_t i = 0, n; i < count; i += n) {
		n = together(items + i, count - i, level - 1);
		divide(crowd, t, epoch, k, items + i, n, level - 1); // at most PE_CROWD_LEVELS deep
	}
}

static void found_all(
	struct pe_crowd *crowd, struct pe_crowd_table *t, uint64_t epoch, uint32_t count)
{
	struct pe_crowd_item *items = crowd->items;

	qsort(items, count, sizeof *items, by_principal); // cold: once an epoch, the control thread
	for (uint32_t i = 0; i < count; i++)
		items[i].number = i == 0 ?
			0 :
			items[i - 1].number + (items[i].principal != items[i - 1].principal);
	qsort(items, count, sizeof *items, by_path);
	for (uint32_t i = 0, n; i < count; i += n) {
		uint32_t k = crowd->k[items[i].set >> 8];

		n = together(items + i, count - i, PE_CROWD_LEVELS - 1);
		if (principals_of(crowd, items + i, n) >= k)
			divide(crowd, t, epoch, k, items + i, n, PE_CROWD_LEVELS - 1);
	}
}

// ---- epochs ----

static void clear(struct pe_crowd_table *t, uint64_t period)
{
	// CROWD: once a grace period is over nobody counts in it any more
	atomic_store_explicit(&t->period, 0, memory_order_relaxed);
	pe_rcu_synchronize(); // cold: the control thread
	for (uint32_t i = 0; i < PE_CROWD_ENTITIES; i++) {
		struct pe_crowd_entity *e = &t->entities[i];

		atomic_store_explicit(&e->who, 0, memory_order_relaxed);
		atomic_store_explicit(&e->owner, 0, memory_order_relaxed);
		atomic_store_explicit(&e->place[0], 0, memory_order_relaxed);
		atomic_store_explicit(&e->place[1], 0, memory_order_relaxed);
		atomic_store_explicit(&e->seat, 0, memory_order_relaxed);
	}
	// CROWD: release: whoever sees the period sees an empty table
	atomic_store_explicit(&t->period, period + 1, memory_order_release);
}

// So that no word is taken for one of a later epoch, whose lowest bits are the same.
static void forget(struct pe_crowd_table *t, unsigned parity)
{
	for (uint32_t i = 0; i < PE_CROWD_ENTITIES; i++)
		atomic_store_explicit(&t->entities[i].place[parity], 0, memory_order_relaxed);
}

static void begin(struct pe_crowd *crowd, uint64_t epoch)
{
	struct pe_crowd_table *t = &crowd->table[epoch / crowd->period_epochs & 1];
	uint32_t count = 0;

	for (uint32_t i = 0; i < crowd->cohort_count; i++) {
		struct pe_crowd_cohort *c = &crowd->cohorts[i];

		c->members = 0;
		c->low = (struct pe_crowd_cell){UINT32_MAX, UINT32_MAX};
		c->high = (struct pe_crowd_cell){0, 0};
	}
	for (uint32_t i = 0; i < PE_CROWD_ENTITIES; i++) {
		struct pe_crowd_entity *e = &t->entities[i];
		// CROWD: acquire: of this period
		uint64_t owner = atomic_load_explicit(&e->owner, memory_order_acquire), place;
		uint32_t seat = atomic_load_explicit(&e->seat, memory_order_relaxed);

		if (!owner)
			continue;
		place = atomic_load_explicit(&e->place[(epoch - 1) & 1], memory_order_relaxed);
		if (!pe_cohort_place_epoch(place, epoch - 1))
			continue;
		if (seat)
			stay(crowd, &crowd->seats[seat - 1], epoch, place);
		else
			crowd->items[count++] =
				(struct pe_crowd_item){.cell = pe_cohort_place_cell(place),
					.path = path_of(pe_cohort_place_cell(place)),
					.set = (uint32_t)(owner >> 32),
					.principal = (uint32_t)owner,
					.entity = i};
	}
	show_all(crowd, epoch);
	found_all(crowd, t, epoch, count);
	forget(t, (epoch - 1) & 1);
}

// All cohorts end.
static void end_period(struct pe_crowd *crowd, uint64_t period)
{
	for (uint32_t i = 0; i < crowd->cohort_count; i++)
		hide(&crowd->cohorts[i]);
	crowd->seat_count = crowd->cohort_count = 0;
	crowd->period = period;
}

void pe_crowd_prepare(struct pe_crowd *crowd, uint32_t epoch_ms)
{
	uint64_t now_ms = atomic_load_explicit(&crowd->wall_ms, memory_order_relaxed);
	uint64_t epoch = now_ms / epoch_ms, period = epoch / crowd->period_epochs;
	uint64_t period_ms = (uint64_t)epoch_ms * crowd->period_epochs;
	struct pe_crowd_table *t = &crowd->table[period & 1],
			      *next = &crowd->table[(period + 1) & 1];
	bool back = epoch + 1 < crowd->epoch;

	if (!now_ms || epoch + 1 == crowd->epoch) // a worker's clock is behind
		return;
	if (period != crowd->period || back)
		end_period(crowd, period);
	// Only after a silence, at the start, or when the clock was set back: it begins in the
	// midst of the period.
	if (atomic_load_explicit(&t->period, memory_order_relaxed) != period + 1 || back) {
		clear(t, period);
		crowd->epoch = epoch;
		// Of a period that had begun already its table has seats that will be others': it
		// is emptied before it comes again.
		atomic_store_explicit(&next->period, 0, memory_order_relaxed);
	}
	if (epoch > crowd->epoch + 1) {
		// Epochs were missed: of what is noted nobody knows when it was.
		forget(t, 0);
		forget(t, 1);
	}
	if (epoch != crowd->epoch && epoch % crowd->period_epochs != 0)
		begin(crowd, epoch);
	crowd->epoch = epoch;
	// No worker's clock is half a period behind.
	if (now_ms % period_ms >= period_ms / 2 &&
		atomic_load_explicit(&next->period, memory_order_relaxed) != period + 2)
		clear(next, period + 1);
}
