// The grid under fire: an owner moves always-present entities inside and across cells while others
// come and go, a reader walks random regions, and a third thread runs grace periods and frees empty
// cells. All threads are put to sleep at random between the steps of the grid's operations
// (PE_STEP), so that they are preempted in the middle of them far more often than a scheduler would
// do it.
//
// What must hold in each query, which may take several pages but is one read-side section:
// - an always-present entity that cannot leave the region (its roaming box lies inside) is met
//   exactly once
// - any other at most once; more often only when the walk said so by a flag, and then one of the
//   meetings carries a flag (a third meeting is possible: a slot that was settled just after it was
//   read)
// - every position is one that the entity held during the query: cell, word and handle carry a
// check
//   of each other, and the move's number is between what was finished before the query and what was
//   begun by its end
// - an entity that was gone throughout the query is not met
//
// --must-fail: exit 0 when a violation was found, which is how the planted faults are run.
// PE_TEST_SEED, PE_TEST_LONG.
#include "base/rcu.h"
#include "grid/grid.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ALWAYS \
	640 // the first handles; half of them in a crowd, half alone in boxes over the corners of
	    // nodes
#define COMING    384
#define ENTITIES  (ALWAYS + COMING)
#define SPACE     3
#define Z_SHIFT   4
#define SEQUENCES 4096
#define HITS      256

// The reader's side of a record: two copies and a version, as the entity table does it.
struct record {
	_Atomic uint32_t version;
	_Atomic uint64_t key[2], word[2];
	_Atomic uint32_t begun, finished; // moves, the creation included
	_Atomic uint32_t life;            // odd: there, or about to be
};

struct owner_state {
	bool there, arriving, shortly;
	uint32_t crossing; // shortly: its name
	uint64_t key, word,
		pending_key; // pending: a crossing that waits for the grace period of the last; 0 =
	                     // none
	uint32_t slot, old_slot;
	uint64_t removed_stamp;
	int32_t box[2]; // lowest cell of the 2 × 2 cells that it roams in
};

static struct record records[ENTITIES];
static struct owner_state owned[ENTITIES];
static struct pe_grid *grid;
static uint64_t seed;
static uint64_t moves_wanted;
static double seconds_max;
static atomic_bool stop;
static _Atomic uint64_t violations;
static uint64_t moves, crossings, comings, goings, revivals, busy, full, pendings, queries, pages,
	hits_total, moved_total;
static uint64_t doubles_total, must_total;
static _Atomic uint64_t grace_periods;
static _Thread_local uint64_t rng;
static _Thread_local uint32_t step_sleep_bits; // a step sleeps once in 2^bits

static uint64_t next(void)
{
	rng ^= rng >> 12;
	rng ^= rng << 25;
	rng ^= rng >> 27;
	return rng * 0x2545F4914F6CDD1Dull;
}

#ifdef PE_TEST_STEPS
void pe_test_step(void);
void pe_test_step(void)
{
	uint64_t r = next();

	if ((r & 0x1FFF) == 0)
		sched_yield();
	if (step_sleep_bits && (r >> 16 & ((1u << step_sleep_bits) - 1)) == 0) {
		struct timespec t = {.tv_nsec = 1000 + (long)(r >> 48)};

		nanosleep(&t, NULL);
	}
}
#endif

static void violation(const char *what, uint32_t handle, uint64_t a, uint64_t b)
{
	if (atomic_fetch_add_explicit(&violations, 1, memory_order_relaxed) < 10)
		fprintf(stderr, "violation: %s: handle %u, %#llx, %#llx, query %llu\n", what,
			handle, (unsigned long long)a, (unsigned long long)b,
			(unsigned long long)queries);
}

// 24 bits that tie a position to its entity and its cell; they are the low 8 bits of each axis. The
// move's number is the rest of z.
static uint32_t check_of(uint32_t handle, uint64_t key, uint32_t x, uint32_t y, uint32_t sequence)
{
	uint64_t h = key ^ (uint64_t)handle * 0x9E3779B97F4A7C15ull ^
		((uint64_t)x << 40 | (uint64_t)y << 20 | sequence);

	h ^= h >> 31;
	h *= 0xD6E8FEB86659FD93ull;
	h ^= h >> 32;
	return (uint32_t)h & 0xFFFFFF;
}

static uint64_t word_of(uint32_t handle, uint64_t key, uint32_t sequence)
{
	uint64_t r = next();
	uint32_t x = (uint32_t)r & 0xFFF00, y = (uint32_t)(r >> 20) & 0xFFF00, check;

	sequence %= SEQUENCES;
	check = check_of(handle, key, x, y, sequence);
	return pe_word_make(
		x | (check & 0xFF), y | (check >> 8 & 0xFF), sequence << 8 | check >> 16);
}

static bool word_holds(uint32_t handle, uint64_t key, uint64_t word)
{
	uint32_t x = PE_WORD_X(word), y = PE_WORD_Y(word), z = PE_WORD_Z(word);
	uint32_t check = (x & 0xFF) | (y & 0xFF) << 8 | (z & 0xFF) << 16;

	return check_of(handle, key, x & 0xFFF00, y & 0xFFF00, z >> 8) == check;
}

static uint64_t key_at(int32_t x, int32_t y)
{
	return pe_key_make(SPACE, 0, (uint32_t)(x + PE_KEY_X_OFFSET),
		(uint32_t)(y + PE_KEY_X_OFFSET), PE_KEY_Z_OFFSET);
}

static uint64_t somewhere_in_box(const struct owner_state *o)
{
	uint64_t r = next();

	return key_at(o->box[0] + (int32_t)(r & 1), o->box[1] + (int32_t)(r >> 1 & 1));
}

static void record_write(uint32_t handle, uint64_t key, uint64_t word)
{
	struct record *r = &records[handle];
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed),
		 copy = (version + 1) & 1;

	// A reader of the copy that we write looks at the version again; the fence keeps our stores
	// behind the last one.
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&r->key[copy], key, memory_order_relaxed);
	atomic_store_explicit(&r->word[copy], word, memory_order_relaxed);
	atomic_store_explicit(&r->version, version + 1, memory_order_release);
}

static void record_read(uint32_t handle, uint64_t *key, uint64_t *word)
{
	struct record *r = &records[handle];
	uint32_t version, again = atomic_load_explicit(&r->version, memory_order_acquire);

	do {
		version = again;
		*key = atomic_load_explicit(&r->key[version & 1], memory_order_acquire);
		*word = atomic_load_explicit(&r->word[version & 1], memory_order_acquire);
		again = atomic_load_explicit(&r->version, memory_order_acquire);
	} while (again != version);
}

static void begin(uint32_t handle)
{
	atomic_fetch_add_explicit(&records[handle].begun, 1, memory_order_seq_cst);
}

static void finish(uint32_t handle)
{
	atomic_store_explicit(&records[handle].finished,
		atomic_load_explicit(&records[handle].begun, memory_order_relaxed),
		memory_order_seq_cst);
	moves++;
}

static uint32_t sequence_of(uint32_t handle)
{
	return atomic_load_explicit(&records[handle].begun, memory_order_relaxed);
}

static void cross(uint32_t handle, uint64_t key)
{
	struct owner_state *o = &owned[handle];
	enum pe_status status;
	uint64_t word;
	uint32_t slot;

	begin(handle);
	word = word_of(handle, key, sequence_of(handle));
#ifdef PE_PLANT_CLEAR_BEFORE_INSERT
	// Planted: the old slot goes before the new one is there.
	pe_grid_remove(grid, 0, o->slot, PE_SLOT_NONE);
	record_write(handle, key, word);
	while (pe_grid_insert(grid, 0, key, word, handle, false, &slot) != PE_OK) {
		struct pe_departure none[64];

		pe_rcu_quiescent();
		if (atomic_load_explicit(&stop, memory_order_relaxed)) {
			o->there = false;
			return;
		}
		pe_grid_poll(grid, 0, none, 64);
	}
	o->slot = slot;
	(void)status;
#else
	// Half of them the short way, whose stamps come some crossings later.
	o->shortly = next() % 2;
	if (o->shortly) {
		uint32_t leaf[PE_BATCH_MAX];

		pe_grid_prefetch_inserts(grid, &key, 1, leaf);
		status = pe_grid_insert_at(grid, 0, leaf[0], key, word, handle, &slot);
	} else
		status = pe_grid_insert(grid, 0, key, word, handle, true, &slot);
	if (status != PE_OK) {
		// Nothing was shown: the number is used again.
		atomic_fetch_sub_explicit(&records[handle].begun, 1, memory_order_seq_cst);
		busy += status == PE_BUSY;
		full += status == PE_FULL;
		o->pending_key = key;
		return;
	}
	record_write(handle, key, word);
	if (o->shortly) {
		o->crossing = pe_grid_cross(grid, 0, handle, o->slot, slot);
		if (next() % 4 == 0)
			pe_grid_stamp(grid, 0);
	} else if (pe_grid_depart(grid, 0, handle, o->slot, slot) != PE_OK)
		violation("no room for a departure", handle, 0, 0);
	o->old_slot = o->slot;
	o->slot = slot;
	o->arriving = true;
#endif
	o->key = key;
	o->word = word;
	o->pending_key = 0;
	finish(handle);
	crossings++;
}

static void move(uint32_t handle)
{
	struct owner_state *o = &owned[handle];
	uint64_t key = next() % 2 ? o->key : somewhere_in_box(o);

	if (key == o->key) {
		begin(handle);
		o->word = word_of(handle, key, sequence_of(handle));
		pe_grid_store(grid, o->slot, o->word);
		record_write(handle, key, o->word);
		o->pending_key = 0;
		finish(handle);
	} else if (o->arriving) {
		// It waits for more now, and so for its crossing otherwise.
		if (o->shortly && pe_grid_depart(grid, 0, handle, o->old_slot, o->slot) == PE_OK) {
			if (pe_grid_call_off(grid, o->crossing) != o->old_slot)
				violation("another's crossing", handle, 0, 0);
			o->shortly = false;
		}
		if (!o->shortly)
			o->pending_key = key;
		pendings++;
	} else
		cross(handle, key);
}

static void come(uint32_t handle)
{
	struct owner_state *o = &owned[handle];
	// Within the grace period of its removal only the same one may come back, and is arriving.
	bool revived = o->removed_stamp && !pe_rcu_passed(o->removed_stamp - 1);
	uint64_t key = somewhere_in_box(o), word;
	enum pe_status status;

	begin(handle);
	word = word_of(handle, key, sequence_of(handle));
	atomic_fetch_add_explicit(&records[handle].life, 1, memory_order_seq_cst);
	record_write(handle, key, word);
	status = pe_grid_insert(grid, 0, key, word, handle, revived, &o->slot);
	if (status != PE_OK) {
		atomic_fetch_add_explicit(&records[handle].life, 1, memory_order_seq_cst);
		atomic_store_explicit(
			&records[handle].finished, sequence_of(handle), memory_order_seq_cst);
		busy += status == PE_BUSY;
		full += status == PE_FULL;
		return;
	}
	o->key = key;
	o->word = word;
	o->old_slot = PE_SLOT_NONE;
	o->pending_key = 0;
	o->there = true;
	o->arriving = revived;
	if (revived && pe_grid_depart(grid, 0, handle, PE_SLOT_NONE, o->slot) != PE_OK)
		violation("no room for a departure", handle, 0, 0);
	finish(handle);
	comings++;
	revivals += revived;
}

static void go(uint32_t handle)
{
	struct owner_state *o = &owned[handle];

	if (o->arriving && o->shortly)
		(void)pe_grid_call_off(grid, o->crossing);
	pe_grid_remove(grid, 0, o->slot, o->arriving ? o->old_slot : PE_SLOT_NONE);
	o->there = o->shortly = false;
	o->arriving = false;
	o->pending_key = 0;
	o->removed_stamp = pe_rcu_stamp() + 1;
	atomic_fetch_add_explicit(&records[handle].life, 1, memory_order_seq_cst);
	goings++;
}

static void settle_crossed(void)
{
	struct pe_departure done[64];
	bool more;
	unsigned n = pe_grid_crossed(grid, 0, done, 64, &more);

	pe_grid_settle_crossed(grid, 0, done, n);
	for (unsigned i = 0; i < n; i++) {
		struct owner_state *o = &owned[done[i].handle];

		if (!o->there || !o->arriving || !o->shortly || o->slot != done[i].new_slot ||
			o->old_slot != done[i].old_slot)
			violation("settled what is not crossing", done[i].handle, 0, 0);
		o->arriving = o->shortly = false;
		o->old_slot = PE_SLOT_NONE;
	}
}

static void settle(void)
{
	struct pe_departure done[64];
	unsigned n;

	settle_crossed();
	n = pe_grid_poll(grid, 0, done, 64);

	for (unsigned i = 0; i < n; i++) {
		struct owner_state *o = &owned[done[i].handle];

		if (!o->there || !o->arriving || o->shortly || o->slot != done[i].new_slot ||
			o->old_slot != done[i].old_slot)
			continue;
		pe_grid_settle(grid, 0, o->old_slot, o->slot);
		o->arriving = false;
		o->old_slot = PE_SLOT_NONE;
		if (o->pending_key)
			cross(done[i].handle, o->pending_key);
	}
}

static void *owner_main(void *unused)
{
	uint64_t busy_seen = 0;

	(void)unused;
	rng = seed * 3 | 1;
	step_sleep_bits = 16;
	pe_rcu_register();
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < 64; i++) {
			uint64_t r = next();
			uint32_t handle = (uint32_t)(r % ENTITIES);

			if (handle < ALWAYS)
				move(handle);
			else if (!owned[handle].there)
				come(handle);
			else if (r >> 32 & 15)
				move(handle);
			else {
				go(handle);
				if (r >> 40 & 1)
					come(handle);
			}
		}
		settle();
		pe_rcu_quiescent();
		// What waits for a grace period waits for the other threads.
		if (busy != busy_seen) {
			busy_seen = busy;
			sched_yield();
		}
		if (moves >= moves_wanted)
			break;
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	pe_rcu_unregister();
	return NULL;
}

static void *control_main(void *unused)
{
	(void)unused;
	rng = seed * 5 | 1;
	step_sleep_bits = 8;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		pe_grid_control(grid);
		pe_rcu_synchronize();
		atomic_fetch_add_explicit(&grace_periods, 1, memory_order_relaxed);
	}
	return NULL;
}

static struct pe_region some_region(void)
{
	struct pe_region r = {.space = SPACE, .z_shift = Z_SHIFT};
	const struct owner_state *o = &owned[next() % ENTITIES];
	int64_t cell = 1 << PE_CELL_BITS, radius = cell << next() % 9;

	r.test = next() & 1 ? PE_REGION_SPHERE : PE_REGION_ALL;
	radius += (int64_t)(next() % (uint64_t)radius);
	r.centre[0] = o->box[0] * cell + (int64_t)(next() % (uint64_t)(2 * cell));
	r.centre[1] = o->box[1] * cell + (int64_t)(next() % (uint64_t)(2 * cell));
	r.centre[2] = cell / 2;
	for (unsigned i = 0; i < 3; i++) {
		int64_t reach = i < 2 ? radius : (radius >> Z_SHIFT) + 1;

		r.lo[i] = r.centre[i] - reach;
		r.hi[i] = r.centre[i] + reach;
	}
	r.square = (double)radius * (double)radius;
	if (r.test == PE_REGION_ALL) {
		r.lo[2] = -cell;
		r.hi[2] = 2 * cell;
	}
	return r;
}

static bool inside(const struct pe_region *r, const int64_t v[3])
{
	double sum = 0;

	for (unsigned i = 0; i < 3; i++) {
		double d = (double)((v[i] - r->centre[i]) * (i < 2 ? 1 : 1 << r->z_shift));

		if (v[i] < r->lo[i] || v[i] > r->hi[i])
			return false;
		sum += d * d;
	}
	return r->test == PE_REGION_ALL || sum <= r->square;
}

static bool place_inside(const struct pe_region *r, uint64_t key, uint64_t word)
{
	struct pe_units u = pe_place_units(key, word);

	return inside(r, u.v);
}

static bool box_inside(const struct pe_region *r, const int32_t box[2])
{
	int64_t cell = 1 << PE_CELL_BITS;

	for (unsigned corner = 0; corner < 8; corner++) {
		int64_t v[3] = {box[0] * cell + (corner & 1 ? 2 * cell - 1 : 0),
			box[1] * cell + (corner & 2 ? 2 * cell - 1 : 0), corner & 4 ? cell - 1 : 0};

		if (!inside(r, v))
			return false;
	}
	return true;
}

struct meeting {
	uint32_t query, times, flagged;
};

static void meet(struct meeting *meetings, const struct pe_region *region, const struct pe_hit *hit,
	uint32_t query, uint32_t *sequences)
{
	uint64_t key = hit->key, word = hit->word;
	struct meeting *m;

	if (hit->handle >= ENTITIES) {
		violation("no such handle", hit->handle, key, word);
		return;
	}
	m = &meetings[hit->handle];
	if (!word_holds(hit->handle, key, word)) {
		violation("a position it never held", hit->handle, key, word);
		return;
	}
	if (word & PE_SLOT_MOVED) {
		moved_total++;
		record_read(hit->handle, &key, &word);
		if (!word_holds(hit->handle, key, word))
			violation("a torn record", hit->handle, key, word);
		if (!place_inside(region, key, word))
			return;
	} else if (!place_inside(region, key, word))
		violation("not inside", hit->handle, key, word);
	if (m->query != query)
		*m = (struct meeting){.query = query};
	m->times++;
	m->flagged += (hit->word & (PE_SLOT_MOVED | PE_SLOT_ARRIVING)) != 0;
	// Of several meetings all are checked: each must have been held during the query.
	sequences[hit->handle] = PE_WORD_Z(word) >> 8;
	if (hit->handle < ALWAYS) {
		uint32_t before = sequences[ENTITIES + hit->handle];
		uint32_t now =
			atomic_load_explicit(&records[hit->handle].begun, memory_order_seq_cst);

		if (now - before < SEQUENCES &&
			((sequences[hit->handle] - before) & (SEQUENCES - 1)) > now - before)
			violation("a position from before the query", hit->handle, before,
				sequences[hit->handle]);
	}
}

static void query(struct meeting *meetings, uint32_t number, uint32_t *sequences, uint32_t *lives)
{
	static struct pe_hit hits[HITS];
	struct pe_walk walk = {
		.region = some_region(), .cells_max = 100000, .candidates_max = 1000000};
	uint64_t guard = 0;

	for (uint32_t h = 0; h < ENTITIES; h++) {
		sequences[ENTITIES + h] =
			atomic_load_explicit(&records[h].finished, memory_order_seq_cst);
		lives[h] = atomic_load_explicit(&records[h].life, memory_order_seq_cst);
	}
	do {
		unsigned n = pe_grid_walk(grid, &walk, hits, next() & 1 ? HITS : 64);

		pages++;
		hits_total += n;
		for (unsigned i = 0; i < n; i++)
			meet(meetings, &walk.region, &hits[i], number, sequences);
	} while (!pe_walk_ended(&walk) && ++guard < 100000);
	if (!pe_walk_ended(&walk))
		violation("a walk without end", 0, walk.cursor.word[0], walk.cursor.word[1]);
	for (uint32_t h = 0; h < ENTITIES; h++) {
		uint32_t times = meetings[h].query == number ? meetings[h].times : 0;

		if (times > 1) {
			doubles_total++;
			if (!walk.flagged || !meetings[h].flagged)
				violation("twice and no flag", h, times, 0);
		}
		if (h < ALWAYS && box_inside(&walk.region, owned[h].box)) {
			must_total++;
			if (times == 0)
				violation("missed", h, 0, 0);
		}
		if (times && !(lives[h] & 1) &&
			atomic_load_explicit(&records[h].life, memory_order_seq_cst) == lives[h])
			violation("met though gone", h, lives[h], 0);
	}
}

static void *reader_main(void *unused)
{
	static struct meeting meetings[ENTITIES];
	static uint32_t sequences[2 * ENTITIES], lives[ENTITIES];

	(void)unused;
	rng = seed * 7 | 1;
	step_sleep_bits = 14;
	pe_rcu_register();
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		query(meetings, (uint32_t)++queries, sequences, lives);
		pe_rcu_quiescent();
	}
	pe_rcu_unregister();
	return NULL;
}

static void place_boxes(void)
{
	for (uint32_t h = 0; h < ENTITIES; h++) {
		struct owner_state *o = &owned[h];

		o->old_slot = PE_SLOT_NONE;
		if (h < ALWAYS / 2 || (h >= ALWAYS && h % 2)) {
			// A crowd about the origin, over both signs.
			o->box[0] = (int32_t)(next() % 10) - 5;
			o->box[1] = (int32_t)(next() % 10) - 5;
		} else {
			// Alone, over corners where four nodes of levels 1, 2 or more meet.
			o->box[0] = (8 << next() % 4) * ((int32_t)(next() % 64) - 32) - 1;
			o->box[1] = (8 << next() % 4) * ((int32_t)(next() % 64) - 32) - 1;
		}
	}
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// After the threads are done: everything goes, and every pool is full again.
static void drain(void)
{
	unsigned left = 0;

	for (uint32_t h = 0; h < ENTITIES; h++)
		if (owned[h].there)
			go(h);
	while (pe_grid_deferred(grid, 0) && left++ < 10000) {
		pe_rcu_synchronize();
		settle();
	}
	if (pe_grid_deferred(grid, 0))
		violation("deferred work that never ends", 0, pe_grid_deferred(grid, 0), 0);
	while (pe_grid_control(grid) && left++ < 10000)
		pe_rcu_synchronize();
	if (pe_grid_control(grid))
		violation("control work that never ends", 0, 0, 0);
}

int main(int argc, char **argv)
{
	bool must_fail = argc > 1 && strcmp(argv[1], "--must-fail") == 0;
	const char *given = getenv("PE_TEST_SEED"), *wanted = getenv("PE_TEST_MOVES");
	struct pe_grid_config config = {.entity_count_max = ENTITIES, .worker_count = 1};
	struct pe_error error;
	pthread_t owner, reader, control;
	double start;

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 0x9E3779B97F4A7C15ull | 1;
	rng = seed | 1;
	// A planted fault is met by chance: it is looked for until it shows, or the time is over.
	moves_wanted = wanted           ? strtoull(wanted, NULL, 0) :
		must_fail               ? UINT64_MAX :
		getenv("PE_TEST_LONG")  ? 400000000 :
		getenv("PE_TEST_SHORT") ? 2000000 :
					  20000000;
	seconds_max = getenv("PE_TEST_LONG") ? 600 : must_fail ? 200 : 800;
	printf("seed %#llx\n", (unsigned long long)seed);
	if (pe_grid_create(&config, &grid, &error) != PE_OK) {
		fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	place_boxes();
	for (uint32_t h = 0; h < ALWAYS; h++)
		come(h);
	start = now_s();
	pthread_create(&owner, NULL, owner_main, NULL);
	pthread_create(&reader, NULL, reader_main, NULL);
	pthread_create(&control, NULL, control_main, NULL);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		usleep(10000);
		if (now_s() - start > seconds_max ||
			atomic_load_explicit(&violations, memory_order_relaxed) > 0)
			atomic_store_explicit(&stop, true, memory_order_relaxed);
	}
	pthread_join(owner, NULL);
	pthread_join(reader, NULL);
	pthread_join(control, NULL);
	printf("%.1f s: %llu moves, %llu crossings, %llu pending; %llu came (%llu back at once), %llu went; %llu busy, %llu full\n",
		now_s() - start, (unsigned long long)moves, (unsigned long long)crossings,
		(unsigned long long)pendings, (unsigned long long)comings,
		(unsigned long long)revivals, (unsigned long long)goings, (unsigned long long)busy,
		(unsigned long long)full);
	printf("%llu queries of %llu pages, %llu hits (%llu moved, %llu doubles), %llu had to be met; %llu grace periods\n",
		(unsigned long long)queries, (unsigned long long)pages,
		(unsigned long long)hits_total, (unsigned long long)moved_total,
		(unsigned long long)doubles_total, (unsigned long long)must_total,
		(unsigned long long)grace_periods);
	if (!must_fail && !violations) {
		drain();
		if (moves < moves_wanted)
			violation("too few moves in the time given", 0, moves, moves_wanted);
	}
	printf("%llu violations\n", (unsigned long long)violations);
	if (must_fail)
		return violations ? EXIT_SUCCESS : EXIT_FAILURE;
	return violations ? EXIT_FAILURE : EXIT_SUCCESS;
}
