// Updates a batch at a time, in stages over arrays, so that each stage's cache misses overlap; and
// the short way of those that are nothing but a newer state. What is more goes one by one
// (apply.c).
#include "apply.h"
#include "base/stages.h"
#include "own.h"
#include "surely.h"
#include "veil.h"

// PE_PUBLISHED_DETAILS in the word that it is published in.
#define DETAILS_BIT ((uint32_t)PE_PUBLISHED_DETAILS << 16)
static_assert(offsetof(struct pe_published, attributes) % 8 == 2, "DETAILS_BIT");

// What is veiled lies in its audience's layer. Where the place is another one yet (veil.h), its
// owner finds it.
__attribute__((noinline)) static void locate_veiled(struct pe_worker *w, struct pe_batch *b)
{
	for (unsigned i = 0; i < b->count; i++)
		if (b->change[i].update.attributes & PE_PUBLISHED_VEILED)
			b->place[i].key = pe_views_key(&w->engine->views, b->change[i].space,
				b->change[i].update.attributes, b->place[i].key);
	b->veiled = false;
}

// The cell that a change goes to.
static inline void locate(struct pe_worker *w, struct pe_batch *b, unsigned i)
{
	struct pe_change *c = &b->change[i];
	enum pe_reason reason = pe_space_locate(
		&w->engine->spaces[c->space].space, c->update.position, &b->place[i]);

	if (__builtin_expect(reason, 0)) {
		pe_apply_refuse(w, c, reason, NULL);
		c->kind = 0;
		c->way = PE_WAY_GENERAL;
	}
}

// Those few that live in the bucket behind their own: it was asked for.
static void probe_next(const struct pe_table *t, struct pe_batch *b, const uint8_t *which,
	const uint32_t *next, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		unsigned i = which[n];

		b->handle[i] =
			pe_index_candidate(&t->index, t->records, next[n], b->change[i].hash);
		if (b->handle[i] != PE_HANDLE_NONE)
			pe_prefetch(&t->records[b->handle[i]].key);
	}
}

// Stage 1: tags; the records of the candidates are asked for. Buckets were, when the changes were
// added. Cells are found in between, so that there is work to do while addresses are translated.
__attribute__((always_inline)) static inline void stage_probe(
	struct pe_worker *w, struct pe_batch *b, const bool covers, const bool guards)
{
	const struct pe_table *t = &w->engine->table;
	const uint32_t *owners = w->engine->owners.of;
	uint32_t next[PE_BATCH_MAX];
	uint8_t which[PE_BATCH_MAX];
	unsigned away = 0;

	for (unsigned i = 0; i < b->count; i++) {
		uint32_t handle =
			pe_index_candidate(&t->index, t->records, b->home[i], b->change[i].hash);

		b->handle[i] = handle;
		locate(w, b, i);
		if (handle == PE_HANDLE_NONE) {
			which[away] = (uint8_t)i;
			away += pe_index_prefetch_next(&t->index, b->home[i], &next[away]);
			continue;
		}
		// The other line of the record; its page is known by now.
		pe_prefetch(&t->records[handle].key);
		if (covers && b->change[i].way > PE_WAY_COVERED)
			pe_prefetch(pe_record_held(&t->records[handle]));
		if (guards && owners)
			pe_prefetch(&owners[pe_handle_number(handle)]);
	}
	if (away)
		probe_next(t, b, which, next, away);
}

// A later record of the same entity covers an earlier one if it would pass wherever that one does:
// same sender's life, newer in both orders, and no harder to place (known_key: where the entity
// is).
static bool covers(const struct pe_batch *b, unsigned later, unsigned earlier, uint64_t known_key)
{
	const struct pe_change *l = &b->change[later], *e = &b->change[earlier];

	return l->incarnation == e->incarnation && l->update.sequence > e->update.sequence &&
		l->time_ms >= e->time_ms && l->space == e->space &&
		!pe_audience_differs(l->update.attributes, e->update.attributes) &&
		l->update.entity_type != PE_ENTITY_STATIC &&
		l->update.entity_type != PE_ENTITY_RECURRING &&
		e->update.entity_type != PE_ENTITY_STATIC &&
		(b->place[later].key == b->place[earlier].key || b->place[later].key == known_key);
}

// The second of two records of one entity in a batch: is the first one covered?
__attribute__((noinline)) static void supersede(
	struct pe_worker *w, struct pe_batch *b, unsigned later, unsigned earlier)
{
	const struct pe_record *r = pe_apply_record(w, b->handle[later]);
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	uint64_t known_key = UINT64_MAX;

	// Where they go is not known before their tags are.
	if ((b->change[later].update.attributes | b->change[earlier].update.attributes) &
		PE_CHANGE_OPEN)
		return;
	// Where another worker's entity is, is that worker's own.
	if (PE_STATUS_LIFE(status) == PE_LIFE_THERE && PE_STATUS_OWNER(status) == w->index) {
		known_key = r->key;
		if (r->shown.attributes & PE_PUBLISHED_ROUNDED)
			return; // where they go is not known yet
	}
	// The earlier one stands where the later one may find no entry for its duration.
	if ((status & PE_STATUS_FRAMES) || w->engine->spaces[b->change[earlier].space].owned ||
		!covers(b, later, earlier, known_key) ||
		(b->change[later].update.duration_ms &&
			(!pe_pending_spare(&w->pending, PE_BATCH_MAX) ||
				(known_key != UINT64_MAX && pe_crosses(r->pending) &&
					!pe_own_may_end(w, b->handle[later])))))
		return;
	b->superseded[earlier] = true;
	b->change[earlier].way = PE_WAY_GENERAL;
}

// A change of an entity that stays, against the spatial threshold of its space.
static inline bool near(const struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place)
{
	double square;

	if (w->straight >> c->space & 1)
		square = pe_coalesce_straight(r->shown.position, c->update.position);
	else
		square = pe_coalesce_in_cell(&w->engine->spaces[c->space].space, r->shown.word,
			place->word, c->update.position[2] - r->shown.position[2]);
	return square <= w->covered_square[c->space][PE_ATTRIBUTE_POWER_MODE(c->update.attributes)];
}

// Whether it is 0 or 1 is chance: no branch shall hang on it, so the compiler is not told that it
// is one of them.
static inline void chance(uint32_t *bit)
{
	__asm__("" : "+r"(*bit));
}

// Likewise of a pointer, which is then kept in a register instead of being made again of where it
// points into.
#define KEPT(pointer) __asm__("" : "+r"(pointer))

static_assert(PE_COVERED_UNKNOWN == 0 && PE_COVERED_NO == 1, "stage_verify");
// Of the status, what it may have beside to be held back without a closer look.
#define HOLDS (PE_STATUS_HELD | PE_STATUS_OLDER | PE_STATUS_QUEUED)

// Stage 2: ids compared, duplicates within the batch found; slots are asked for. covers: and who is
// covered is told from who is not, without a branch that chance decides.
__attribute__((always_inline)) static inline void stage_verify(
	struct pe_worker *w, struct pe_batch *b, const bool covers)
{
	const struct pe_index *index = &w->engine->table.index;
	const struct pe_record *const records = w->engine->table.records;
	const struct pe_grid *const grid = w->engine->grid;
	const uint32_t mine = pe_status_make(PE_LIFE_THERE, w->index, 0, 0);
	const unsigned count = b->count, low = covers ? PE_NEWEST : PE_NEWEST_FEW;
	unsigned insert_count = 0, hold_count = 0;

	memset(b->superseded, 0, sizeof b->superseded);
	for (unsigned i = 0; i < count; i++) {
		const struct pe_change *c = &b->change[i];
		uint32_t handle = b->handle[i], covered = 0, judged = 0, alone = 0;

		if (handle == PE_HANDLE_NONE ||
			!pe_id_equal(records[handle].id, c->update.entity_id))
			handle = b->handle[i] =
				pe_index_find(index, records, c->hash, c->update.entity_id);
		if (handle == PE_HANDLE_NONE) {
			b->insert[insert_count++] = (uint8_t)i;
		} else {
			const struct pe_record *r = &records[handle];
			uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
			uint32_t earlier, again;

			if ((status & PE_STATUS_WHOSE & 0xFFFFu) == mine) {
				const uint32_t stays = r->key == b->place[i].key;
				uintptr_t line;

				b->insert[insert_count] = (uint8_t)i;
				insert_count += !stays;
				if (covers && c->way == PE_WAY_COVERED &&
					(status & ~HOLDS) == (mine | (uint32_t)c->space << 16)) {
					covered = stays & near(w, r, c, &b->place[i]);
					chance(&covered);
					judged = 1;
				}
				line = (uintptr_t)pe_grid_slot_line(grid, r->slot);
				if (covers) // What is covered leaves its slot alone.
					line ^= (line ^ (uintptr_t)pe_record_held(r)) &
						-(uintptr_t)covered;
				pe_prefetch((const void *)line);
			}
			earlier = w->newest[handle % low];
			w->newest[handle % low] = (uint8_t)i;
			again = (earlier < i) & (b->handle[earlier] == handle);
			if (covers) {
				// What is published may be another state when this one's turn
				// comes: where a handle with the same low bits came before, one of
				// the same entity may have, too, with another or with a refused one
				// in between.
				alone = (earlier >= i) | ((b->handle[earlier] ^ handle) % low != 0);
				chance(&again);
			}
			if (again && c->kind && b->change[earlier].kind)
				supersede(w, b, i, earlier);
		}
		if (covers) {
			chance(&alone);
			// Of what is not held back: it was too far, or nothing is known.
			b->covered[i] = (uint8_t)(alone & judged);
			b->hold[hold_count] = b->rest[PE_BATCH_MAX + i - hold_count] = (uint8_t)i;
			hold_count += covered & alone;
		}
	}
	b->insert_count = insert_count;
	b->hold_count = hold_count;
}

__attribute__((noinline)) static void verify_covers(struct pe_worker *w, struct pe_batch *b)
{
	stage_verify(w, b, true);
}

// Stage 3: what will be put into a cell where it is not yet.
static void stage_insert(const struct pe_worker *w, struct pe_batch *b)
{
	uint64_t keys[PE_BATCH_MAX];

	for (unsigned i = 0; i < b->insert_count; i++)
		keys[i] = b->place[b->insert[i]].key;
	pe_grid_prefetch_inserts(w->engine->grid, keys, b->insert_count, b->leaf);
}

// Of this worker, in the cell where it is, and waiting for nothing but what its record may hold.
static inline bool stays(const struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place, const bool detailed)
{
	const uint32_t flags =
		PE_STATUS_FLAGS | PE_STATUS_QUEUED | (detailed ? PE_STATUS_DETAILS : 0);

	// First whose it is: the rest of line 0 is the owner's alone.
	return (atomic_load_explicit(&r->status, memory_order_relaxed) & ~flags) ==
		pe_status_make(PE_LIFE_THERE, w->index, c->space, 0) &&
		r->key == place->key && r->pending == PE_HANDLE_NONE;
}

// The next of the same life, in order, whose timer may stay where it is.
static inline bool goes_on(
	const struct pe_record *r, const struct pe_change *c, uint32_t expiry_tick)
{
	return c->incarnation == r->incarnation && !pe_apply_check_order(r, c) &&
		r->wheel.prev != PE_WHEEL_NONE && (int32_t)(expiry_tick - r->wheel.tick) >= 0;
}

// A change that goes on, of a guarded space or one whose audience tags decide: is it in order
// without a closer look? open: of whom it is shown to its tags have a say.
static inline bool in_order(const struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, uint32_t handle, const bool detailed, const bool open)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];

	if ((s->checks & PE_SPACE_OWNER) && !pe_authorize_owns(w, c, handle))
		return false;
	if ((s->checks & PE_SPACE_SPEED) && !pe_plausible_surely(s, r, c))
		return false;
	// Without details it has no tags; and what is seen of it now must be known to who looks for
	// it.
	return !open || (!detailed && pe_veil_noted(s, &c->update));
}

enum judgement { COVERED, FAR, UNDECIDED };

// Is a change the same as what is published but for its place, velocity and time?
static inline bool same(const struct pe_record *r, const struct pe_change *c, const bool detailed)
{
	const uint64_t tail = pe_wire_word(&c->update.update_frequency),
		       known_tail = pe_wire_word(&r->shown.entity_type);

	return pe_wire_word(&r->shown.radius_m) == pe_wire_word(&c->update.radius_m) &&
		pe_wire_word(r->shown.velocity) >> 48 == (tail >> 16 & 0xFFFF) &&
		((uint32_t)known_tail & ~(detailed ? DETAILS_BIT : 0)) == pe_apply_tail(tail);
}

// A change of an entity that stays against the spatial threshold. Covered is what is the same but
// for its place, velocity and time; undecided, what the attribute threshold has a say in.
static inline enum judgement judge(const struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place, enum pe_covered covered,
	const bool detailed)
{
	if (!same(r, c, detailed))
		return w->engine->spaces[c->space].policy.coalesce_attribute > 0 ? UNDECIDED : FAR;
	if (covered == PE_COVERED_UNKNOWN)
		covered = near(w, r, c, place) ? PE_COVERED_YES : PE_COVERED_NO;
	return covered == PE_COVERED_YES ? COVERED : FAR;
}

enum spared { SPARED_NOT, SPARED_APPLIED, SPARED_COVERED };

// A change of an entity that stays against its course. SPARED_APPLIED: it is to be published;
// SPARED_COVERED: it is held back.
__attribute__((noinline)) static enum spared follow(struct pe_worker *w, const struct pe_change *c,
	const struct pe_place *place, uint32_t handle, uint32_t expiry_tick, bool detailed)
{
	struct pe_record *r = pe_apply_record(w, handle);
	struct pe_prediction x = pe_predict(w, handle, c);

	switch (judge(w, r, c, place, x.covers ? PE_COVERED_YES : PE_COVERED_NO, detailed)) {
	case COVERED:
		pe_coalesce_hold_course(
			w, handle, c->update.position, c->update.velocity, w->tick + x.trailing_ms);
		pe_record_extend(r, expiry_tick);
		pe_apply_remember(r, c);
		return SPARED_COVERED;
	case FAR:
		pe_own_forget_held(w, handle);
		return SPARED_APPLIED;
	default:
		return SPARED_NOT;
	}
}

// What nearly every update is: a newer state, in order, of an entity of this worker that stays in
// its cell and waits for nothing. SPARED_NOT: it is something else, and nothing was done.
__attribute__((always_inline)) static inline enum spared update_plain(struct pe_worker *w,
	const struct pe_change *c, const struct pe_place *place, uint32_t handle,
	enum pe_covered covered, const bool covers, const bool detailed, const bool guards,
	const bool open)
{
	struct pe_record *r = pe_apply_record(w, handle);
	struct pe_record_words words;
	uint32_t expiry_tick = pe_apply_expiry(w, c);

	if (!stays(w, r, c, place, detailed))
		return SPARED_NOT;
	if (!goes_on(r, c, expiry_tick))
		return SPARED_NOT;
	if (guards && !in_order(w, r, c, handle, detailed, open))
		return SPARED_NOT;
	if (covers && c->way == PE_WAY_COVERED) {
		enum judgement judgement = judge(w, r, c, place, covered, detailed);

		if (judgement == UNDECIDED ||
			(judgement == COVERED &&
				!pe_coalesce_hold(
					w, handle, c->update.position, c->update.velocity)))
			return SPARED_NOT;
		if (judgement == COVERED) {
			pe_record_extend(r, expiry_tick);
			pe_apply_remember(r, c);
			return SPARED_COVERED;
		}
		pe_own_forget_held(w, handle);
	}
	if (covers && c->way == PE_WAY_COURSE) {
		enum spared spared = follow(w, c, place, handle, expiry_tick, detailed);

		if (spared != SPARED_APPLIED)
			return spared;
	}
	pe_grid_store_settled(w->engine->grid, r->slot, place->word);
	words = pe_apply_words(c, place->word, expiry_tick);
	if (detailed)
		words.rest[0] |= DETAILS_BIT;
	pe_record_publish_words(r, pe_own_draft(w), &words);
	pe_apply_remember(r, c);
	return SPARED_APPLIED;
}

// The same of an entity that has details. What has none is seen by its flag, so that it costs
// nothing.
__attribute__((noinline)) static enum spared update_detailed(struct pe_worker *w,
	const struct pe_change *c, const struct pe_place *place, uint32_t handle,
	enum pe_covered covered, bool covers, bool guards, bool open)
{
	const struct pe_record *r = pe_apply_record(w, handle);
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	// What another worker publishes is only read whole.
	if (!(status & PE_STATUS_DETAILS) || PE_STATUS_OWNER(status) != w->index ||
		(r->shown.attributes & PE_PUBLISHED_ROUNDED))
		return SPARED_NOT;
	return update_plain(w, c, place, handle, covered, covers, true, guards, open);
}

// The leaf of the cell that a change goes to, if that was asked for. Each is asked once, in order.
static inline uint32_t leaf_of(struct pe_batch *b, unsigned i)
{
	while (b->insert[b->inserted] < i)
		b->inserted++;
	return b->insert[b->inserted] == i ? b->leaf[b->inserted] : PE_SLOT_NONE;
}

// The same of an entity that goes to another cell, or that has just come to its own and waits for
// nothing but to be settled there. Where fences look at it, more is to be considered.
__attribute__((noinline)) static enum spared update_crossing(
	struct pe_worker *w, struct pe_batch *b, unsigned i, bool guards, bool open)
{
	const struct pe_change *c = &b->change[i];
	const struct pe_place *place = &b->place[i];
	uint32_t handle = b->handle[i];
	struct pe_record *r = pe_apply_record(w, handle);
	bool moves_within;
	uint32_t expiry_tick = pe_apply_expiry(w, c);
	struct pe_record_words words;

	// First whose it is, as in stays.
	if (atomic_load_explicit(&r->status, memory_order_relaxed) !=
		pe_status_make(PE_LIFE_THERE, w->index, c->space, 0))
		return SPARED_NOT;
	moves_within = r->key == place->key;
	if ((moves_within ? !pe_crosses(r->pending) : r->pending != PE_HANDLE_NONE) ||
		pe_audience_differs(r->shown.attributes, c->update.attributes) || w->watching)
		return SPARED_NOT;
	if (!goes_on(r, c, expiry_tick))
		return SPARED_NOT;
	if (guards && !in_order(w, r, c, handle, false, open))
		return SPARED_NOT;
	words = pe_apply_words(c, place->word, expiry_tick);
	if (moves_within) {
		pe_grid_store(w->engine->grid, r->slot, place->word);
		pe_record_publish_words(r, pe_own_draft(w), &words);
	} else if (!pe_own_cross(w, handle, &words, place->word, place->key, leaf_of(b, i))) {
		return SPARED_NOT;
	}
	b->crossed += !moves_within;
	pe_apply_remember(r, c);
	return SPARED_APPLIED;
}

// Stage 4, where there are thresholds: those that are covered, each of another entity and none that
// came before in the batch, are held back where nothing else has to be seen to; the others join
// the rest, before it. What chance decides takes no branch: most hold back something already, and
// some begin to.
__attribute__((always_inline)) static inline void stage_hold(
	struct pe_worker *w, struct pe_batch *b, const bool guards)
{
	struct pe_record *const records = w->engine->table.records;
	const unsigned count = b->hold_count, room = pe_held_room(&w->held);
	const uint32_t due = w->tick + PE_TRAILING_MS;
	uint32_t queue[PE_BATCH_MAX];
	unsigned queued = 0, first = PE_BATCH_MAX;
	uint16_t nowhere;

	for (unsigned k = 0; k < count; k++) {
		const size_t i = b->hold[k];
		const struct pe_change *c = &b->change[i];
		const uint32_t handle = b->handle[i], expiry_tick = pe_apply_expiry(w, c);
		struct pe_record *r = &records[handle];
		struct pe_held_state *held = pe_record_held(r);
		uintptr_t at = (uintptr_t)&nowhere;
		uint32_t status, already, half;

		KEPT(c);
		// What stage_verify saw of it is so still.
		if (c->way != PE_WAY_COVERED || queued == room || r->pending != PE_HANDLE_NONE ||
			!goes_on(r, c, expiry_tick) || !same(r, c, false) ||
			(guards &&
				((c->update.attributes & PE_CHANGE_OPEN) ||
					!in_order(w, r, c, handle, false, false)))) {
			b->covered[i] = PE_COVERED_YES;
			b->rest[--first] = (uint8_t)i;
			continue;
		}
		half = pe_apply_tail(pe_wire_word(&c->update.update_frequency));
		r->sequence = c->update.sequence;
		r->time_low = (uint32_t)c->time_ms;
		pe_record_extend_same(r, half, expiry_tick);
		status = atomic_load_explicit(&r->status, memory_order_relaxed);
		queue[queued] = handle;
		queued += !(status & PE_STATUS_QUEUED);
		already = status / PE_STATUS_HELD & 1;
		chance(&already);
		atomic_store_explicit(&r->status,
			(status & ~PE_STATUS_OLDER) | PE_STATUS_HELD | PE_STATUS_QUEUED,
			memory_order_relaxed);
		// Nothing of the held line is read. When it is due is written where it begins to
		// hold something back, and nowhere where it goes on.
		memcpy(held->position, c->update.position, sizeof held->position);
		memcpy(held->velocity, c->update.velocity, sizeof held->velocity);
		at ^= (at ^ (uintptr_t)&held->due) & ((uintptr_t)already - 1);
		*(uint16_t *)at = (uint16_t)due;
	}
#ifndef PE_PLANT_TRAILING_LOST // tests only
	pe_held_push_all(&w->held, queue, queued, due);
#endif
	pe_count(&w->counters, PE_COUNTER_records_coalesced, count - (PE_BATCH_MAX - first));
	b->rest_first = first;
}

__attribute__((noinline)) static void hold(struct pe_worker *w, struct pe_batch *b)
{
	stage_hold(w, b, false);
}

__attribute__((noinline)) static void hold_guarded(struct pe_worker *w, struct pe_batch *b)
{
	stage_hold(w, b, true);
}

__attribute__((always_inline)) static inline void stage_write(
	struct pe_worker *w, struct pe_batch *b, const bool covers, const bool guards)
{
	const unsigned from = covers ? b->rest_first : 0,
		       to = covers ? PE_BATCH_MAX + b->count - b->hold_count : b->count;
	uint64_t done[3] = {0};

	for (unsigned k = from; k < to; k++) {
		const unsigned i = covers ? b->rest[k] : k;
		struct pe_change *c = &b->change[i];
		uint32_t handle = b->handle[i];

		if (covers)
			KEPT(c);
		if (c->way != PE_WAY_GENERAL && handle != PE_HANDLE_NONE) {
			const uint16_t mark = guards ? c->update.attributes & PE_CHANGE_OPEN : 0;
			enum spared spared;

			c->update.attributes ^= mark;
			spared = update_plain(w, c, &b->place[i], handle,
				covers ? b->covered[i] : PE_COVERED_UNKNOWN, covers, false, guards,
				mark);
			if (!spared && c->way == PE_WAY_PLAIN)
				spared = update_crossing(w, b, i, guards, mark);
			if (!spared)
				spared = update_detailed(w, c, &b->place[i], handle,
					covers ? b->covered[i] : PE_COVERED_UNKNOWN, covers, guards,
					mark);
			done[spared]++;
			if (spared)
				continue;
			c->update.attributes ^= mark;
		}
		if (!c->kind)
			continue;
		handle = pe_apply_route(w, c, handle);
		if (handle != PE_HANDLE_NONE)
			pe_apply_own(w, c, &b->place[i], handle, b->superseded[i]);
	}
	pe_count(&w->counters, PE_COUNTER_records_applied, done[SPARED_APPLIED]);
	pe_count(&w->counters, PE_COUNTER_records_coalesced, done[SPARED_COVERED]);
	if (b->crossed) {
		pe_count(&w->counters, PE_COUNTER_crossings, b->crossed);
		pe_grid_stamp(w->engine->grid, w->index);
		b->crossed = 0;
	}
}

__attribute__((always_inline)) static inline void work(
	struct pe_worker *w, struct pe_batch *b, const bool covers, const bool guards)
{
	pe_stage_end(PE_STAGE_decode);
	stage_probe(w, b, covers, guards);
	if (__builtin_expect(b->veiled, 0))
		locate_veiled(w, b);
	pe_stage_end(PE_STAGE_probe);
	if (covers)
		verify_covers(w, b);
	else
		stage_verify(w, b, false);
	pe_stage_end(PE_STAGE_verify);
	b->insert[b->insert_count] = UINT8_MAX;
	b->inserted = 0;
	if (b->insert_count)
		stage_insert(w, b);
	pe_stage_end(PE_STAGE_insert);
	if (__builtin_expect(w->watching, 0))
		pe_watch_prefetch_batch(w);
	if (covers && guards)
		hold_guarded(w, b);
	else if (covers)
		hold(w, b);
	stage_write(w, b, covers, guards);
	pe_stage_end(PE_STAGE_write);
}

__attribute__((noinline)) static void flush_guarded(struct pe_worker *w, struct pe_batch *b)
{
	if (w->engine->covers)
		work(w, b, true, true);
	else
		work(w, b, false, true);
}

void pe_apply_flush(struct pe_worker *w)
{
	struct pe_batch *b = &w->batch;

	if (!b->count)
		return;
	// Four times from one text: where no space has a threshold, or none is guarded, nothing
	// asks for one.
	if (w->engine->guards)
		flush_guarded(w, b);
	else if (w->engine->covers)
		work(w, b, true, false);
	else
		work(w, b, false, false);
	if (__builtin_expect(w->watching, 0)) {
		pe_watch_batch(w);
		pe_watch_look(w);
	}
	b->count = b->insert_count = 0;
}
