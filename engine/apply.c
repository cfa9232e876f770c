// Records on their way to their entities: in stages over a batch, so that each stage's cache misses overlap. Every record that
// enters leaves by exactly one of applied, coalesced, refused(reason), dropped(reason) — here, or on the worker that
// it is handed to, or when what it waits for has happened.
#include "internal.h"

static struct pe_record *record_of(struct pe_worker *w, uint32_t handle)
{
	return &w->engine->table.records[handle];
}

static struct pe_wire_ack_record *ack_of(struct pe_worker *w, const struct pe_change *c)
{
	return c->ack == PE_ACK_NONE ? NULL : &w->acks[c->ack];
}

static void acknowledge(struct pe_worker *w, const struct pe_change *c, enum pe_ack_status status)
{
	struct pe_wire_ack_record *a = ack_of(w, c);

	if (a)
		*a = pe_wire_ack_record(status, PE_REASON_none);
}

static void refuse(struct pe_worker *w, const struct pe_change *c, enum pe_reason reason,
	const struct pe_record *known)
{
	struct pe_wire_ack_record *a = ack_of(w, c);

#ifdef PE_PLANT_MISCOUNTED_DROP // tests only: the fault that a test must find
	if (reason != PE_REASON_ring_full)
#endif
		pe_count_reason(&w->counters, reason, 1);
	if (!a)
		return;
	*a = pe_wire_ack_record(PE_ACK_REFUSED, reason);
	if (known) {
		a->known_incarnation = known->incarnation;
		a->known_sequence = known->sequence;
	}
}

static void applied(struct pe_worker *w, const struct pe_change *c)
{
	pe_count(&w->counters, PE_COUNTER_records_applied, 1);
	acknowledge(w, c, PE_ACK_APPLIED);
}

static void coalesced(struct pe_worker *w, const struct pe_change *c)
{
	pe_count(&w->counters, PE_COUNTER_records_coalesced, 1);
	acknowledge(w, c, PE_ACK_COALESCED);
}

// Hands a change to another worker, as `kind`.
static void hand_over(struct pe_worker *w, const struct pe_change *c, unsigned to, uint32_t handle)
{
	struct pe_ring_spsc *ring = pe_ring_between(w->engine, w->index, to);
	enum pe_reason reason = PE_REASON_none;
	struct pe_change *copy;

	if (c->hops >= PE_CHANGE_HOPS_MAX)
		reason = PE_REASON_reroute;
	else if (pe_ring_spsc_room(ring, 1) < 1)
		reason = PE_REASON_ring_full;
	if (reason) {
		refuse(w, c, reason, NULL);
		return;
	}
	copy = pe_ring_spsc_put(ring);
	*copy = *c;
	copy->handle = handle;
	copy->hops++;
	copy->ack = PE_ACK_NONE;
	pe_count(&w->counters, PE_COUNTER_records_forwarded, 1);
	acknowledge(w, c, PE_ACK_ACCEPTED);
}

// This worker's partition: makes the entity, owned by `owner`. PE_HANDLE_NONE: refused or dropped, and counted.
static uint32_t make_entity(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	bool foreign = c->owner != w->index;
	uint32_t handle;
	struct pe_record *r;

	// Whoever shall own it must hear of it, or nobody would ever take it away.
	if (foreign && pe_ring_spsc_room(pe_ring_between(w->engine, w->index, c->owner), 1) < 1) {
		refuse(w, c, PE_REASON_ring_full, NULL);
		return PE_HANDLE_NONE;
	}
	handle = pe_handles_take(t, &w->handles);
	if (handle == PE_HANDLE_NONE) {
		refuse(w, c, PE_REASON_table_full, NULL);
		return PE_HANDLE_NONE;
	}
	r = &t->records[handle];
	memcpy(r->id, c->update.entity_id, 16);
	r->incarnation = r->sequence = r->time_low = 0;
	r->slot = PE_SLOT_NONE;
	r->key = 0;
	r->pending = PE_HANDLE_NONE;
	pe_wheel_link_init(&r->wheel);
	// LIFE: release, after line 0 was filled in for the owner
	atomic_store_explicit(&r->status, pe_status_make(PE_LIFE_EMPTY, c->owner, c->space, 0),
		memory_order_release);
	if (!pe_index_add(&t->index, c->hash, handle)) {
		atomic_store_explicit(
			&r->status, pe_status_make(PE_LIFE_FREE, 0, 0, 0), memory_order_relaxed);
		pe_handles_give(t, &w->handles, handle);
		refuse(w, c, PE_REASON_table_full, NULL);
		return PE_HANDLE_NONE;
	}
	if (foreign) {
		struct pe_change *copy =
			pe_ring_spsc_put(pe_ring_between(w->engine, w->index, c->owner));

		*copy = *c;
		copy->kind = PE_CHANGE_ADOPT;
		copy->handle = handle;
		copy->hops = 0;
		copy->ack = PE_ACK_NONE;
		pe_count(&w->counters, PE_COUNTER_records_forwarded, 1);
		acknowledge(w, c, PE_ACK_ACCEPTED);
		return PE_HANDLE_NONE;
	}
	// Until its first state is published the next tick takes it away again.
	pe_wheel_add(&w->wheel, handle, w->tick + 1);
	return handle;
}

// Type, state and attributes as they are published, from the last word of the record on the wire.
static inline uint32_t published_tail(uint64_t tail)
{
	return (uint32_t)(tail >> 32) & ~((uint32_t)PE_ATTRIBUTE_RELOCATION << 16);
}

// The words of struct pe_published, put together from those of the record on the wire.
static inline void published_words(const struct pe_change *c, uint64_t word, uint32_t expiry_tick,
	uint64_t to[PE_PUBLISHED_WORDS])
{
	const struct pe_wire_update *u = &c->update;
	uint64_t velocity = pe_wire_word(u->velocity), tail = pe_wire_word(&u->update_frequency);

	to[0] = pe_wire_word(&u->position[0]);
	to[1] = pe_wire_word(&u->position[1]);
	to[2] = pe_wire_word(&u->position[2]);
	to[3] = word;
	to[4] = c->time_ms;
	to[5] = pe_wire_word(&u->radius_m); // and precision_m
	to[6] = (velocity & 0x0000FFFFFFFFFFFFull) | (tail & 0xFFFF0000ull) << 32; // confidences
	to[7] = published_tail(tail) | (uint64_t)expiry_tick << 32;
}
static_assert(offsetof(struct pe_wire_update, precision_m) == 60 &&
		offsetof(struct pe_wire_update, radius_m) == 56 &&
		offsetof(struct pe_wire_update, velocity) == 64 &&
		offsetof(struct pe_wire_update, update_frequency) == 72 &&
		offsetof(struct pe_wire_update, position_confidence) == 74 &&
		offsetof(struct pe_wire_update, attributes) == 78 &&
		offsetof(struct pe_published, radius_m) == 40 &&
		offsetof(struct pe_published, velocity) == 48 &&
		offsetof(struct pe_published, position_confidence) == 54 &&
		offsetof(struct pe_published, entity_type) == 56 &&
		offsetof(struct pe_published, attributes) == 58 &&
		offsetof(struct pe_published, expiry_tick) == 60,
	"the words of published_words");

static inline uint32_t expiry_of(const struct pe_worker *w, const struct pe_change *c)
{
#ifdef PE_PLANT_EXPIRY_LATE // tests only
	return w->tick + c->update.ttl_ms + 1;
#endif
	return w->tick + c->update.ttl_ms;
}

// (incarnation, sequence) and event time against what is known.
static enum pe_reason check_order(const struct pe_record *r, const struct pe_change *c)
{
	if (c->incarnation < r->incarnation ||
		(c->incarnation == r->incarnation && c->update.sequence <= r->sequence))
		return PE_REASON_stale;
	// A new incarnation also resets the event time: its clock may have stepped back.
	if (c->incarnation == r->incarnation && (int32_t)((uint32_t)c->time_ms - r->time_low) < 0)
		return PE_REASON_late;
	return PE_REASON_none;
}

// What passed check_order is what the next one is checked against, whatever becomes of its state.
static void remember(struct pe_record *r, const struct pe_change *c)
{
	r->incarnation = c->incarnation;
	r->sequence = c->update.sequence;
	r->time_low = (uint32_t)c->time_ms;
}

// The least move that counts for a STATIC entity that stated no precision.
#define STATIC_SLACK_M 1.0

static enum pe_reason check_static(struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place)
{
	const struct pe_published *own = pe_record_own(r);
	double allowed = own->precision_m > 0 ? (double)own->precision_m : STATIC_SLACK_M;

	if (own->entity_type != PE_ENTITY_STATIC ||
		(c->update.attributes & PE_ATTRIBUTE_RELOCATION))
		return PE_REASON_none;
	if (pe_coalesce_moved_square(&w->engine->spaces[c->space].space, r, own, place,
		    c->update.position) > allowed * allowed)
		return PE_REASON_relocation;
	return PE_REASON_none;
}

// An update of an entity that this worker owns.
static void update_own(struct pe_worker *w, const struct pe_change *c, const struct pe_place *place,
	uint32_t handle, bool superseded)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	struct pe_record *r = record_of(w, handle);
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	bool there = PE_STATUS_LIFE(status) == PE_LIFE_THERE;
	uint32_t frequency =
		c->update.frequency ? c->update.frequency : s->policy.frequency_default;
	uint32_t cap_ms = frequency ? 60000u / frequency : 0;
	uint32_t interval_ms =
		s->policy.coalesce_interval_ms * pe_coalesce_factor(c->update.attributes);
	enum pe_reason reason = PE_REASON_none;
	uint64_t words[PE_PUBLISHED_WORDS];
	struct pe_published p;

	// A first state that still waits for its cell is known already.
	if (PE_STATUS_LIFE(status) != PE_LIFE_EMPTY || r->pending != PE_HANDLE_NONE)
		reason = check_order(r, c);
	if (!reason && there && PE_STATUS_SPACE(status) != c->space)
		reason = PE_REASON_space_differs;
	if (!reason && there && c->update.entity_type == PE_ENTITY_STATIC)
		reason = check_static(w, r, c, place);
	if (reason) {
		refuse(w, c, reason, r);
		return;
	}
	if (superseded) {
		remember(r, c);
		coalesced(w, c);
		return;
	}
	published_words(c, place->word, expiry_of(w, c), words);
	memcpy(&p, words, sizeof p);
	if (there && (cap_ms || s->thresholds)) {
		struct pe_pending *node = pe_own_node(w, handle, false);
		bool capped = cap_ms && node && (node->flags & PE_PENDING_CAP) &&
			(int32_t)(node->cap_until - w->tick) > 0;

		bool below = s->thresholds && pe_coalesce_below(w, s, r, node, &p, place);

		if ((capped || below) &&
			pe_coalesce_hold_back(
				w, handle, c, &p, place, capped && !below, cap_ms, interval_ms)) {
			remember(r, c);
			coalesced(w, c);
			return;
		}
	}
	switch (pe_own_publish(w, handle, &p, place->key, true)) {
	case PE_PUBLISH_FULL:
		refuse(w, c, PE_REASON_grid_full, NULL);
		return;
	case PE_PUBLISHED:
		applied(w, c);
		pe_own_duration(
			w, handle, c->update.duration_ms != 0, w->tick + c->update.duration_ms);
		pe_own_begin_holds(w, handle, cap_ms, interval_ms);
		break;
	case PE_PUBLISH_WAITS:
		acknowledge(w, c, PE_ACK_ACCEPTED);
		pe_own_wait_times(w, pe_own_node(w, handle, false), c->update.duration_ms, cap_ms,
			interval_ms);
		break;
	}
	remember(r, c);
	if (!there) {
		status = atomic_load_explicit(&r->status, memory_order_relaxed);
		status = pe_status_make(PE_STATUS_LIFE(status), w->index, c->space, 0);
		// LIFE: release, as in set_life: the space is the new life's
		atomic_store_explicit(&r->status, status, memory_order_release);
	}
}

// Where a change belongs that no record here answers for: to its partition's worker; on it, to a new entity.
static uint32_t place_unknown(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	unsigned partition = pe_index_partition(&t->index, c->hash);
	uint32_t handle;

	if (partition != w->index) {
		hand_over(w, c, partition, PE_HANDLE_NONE);
		return PE_HANDLE_NONE;
	}
	handle = pe_index_find(&t->index, t->records, c->hash, c->update.entity_id);
	if (handle != PE_HANDLE_NONE)
		return handle;
	if (c->kind == PE_CHANGE_WITHDRAW) {
		refuse(w, c, PE_REASON_unknown_entity, NULL);
		return PE_HANDLE_NONE;
	}
	return make_entity(w, c);
}

// Finds whose business a change is. The handle when it is this worker's; PE_HANDLE_NONE when it has been seen to.
static uint32_t route(struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	uint32_t status;
	enum pe_life life;

	if (handle == PE_HANDLE_NONE)
		handle = place_unknown(w, c);
	if (handle == PE_HANDLE_NONE)
		return PE_HANDLE_NONE;
	// LIFE: acquire, before the owner's fields
	status = atomic_load_explicit(&record_of(w, handle)->status, memory_order_acquire);
	life = PE_STATUS_LIFE(status);
	if (life == PE_LIFE_REMOVING || life == PE_LIFE_FREE) {
		// Its removal from the index is on the way to the partition's worker; behind it the id is new again.
		unsigned partition = pe_index_partition(&w->engine->table.index, c->hash);

		if (partition == w->index)
			refuse(w, c, PE_REASON_reroute, NULL);
		else
			hand_over(w, c, partition, PE_HANDLE_NONE);
		return PE_HANDLE_NONE;
	}
	if (PE_STATUS_OWNER(status) != w->index) {
		hand_over(w, c, PE_STATUS_OWNER(status), handle);
		return PE_HANDLE_NONE;
	}
	return handle;
}

// Stage 1: index buckets are asked for, in one go. A prefetch waits for the translation of its address, and only what stands
// close together waits together: so the loops that ask are kept short, here and below.
static void stage_hash(struct pe_worker *w, struct pe_batch *b)
{
	const struct pe_index *index = &w->engine->table.index;

	for (unsigned i = 0; i < b->count; i++) {
		b->home[i] = pe_index_home(index, b->change[i].hash);
		pe_index_prefetch(index, b->home[i]);
	}
}

// Stage 2: cells, while the buckets are on their way.
static void stage_locate(struct pe_worker *w, struct pe_batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		struct pe_change *c = &b->change[i];
		enum pe_reason reason = pe_space_locate(
			&w->engine->spaces[c->space].space, c->update.position, &b->place[i]);

		if (reason) {
			refuse(w, c, reason, NULL);
			c->kind = 0;
			c->way = PE_WAY_GENERAL;
		}
	}
}

// Stage 3: tags; the records of the candidates are asked for.
__attribute__((always_inline)) static inline void stage_probe(
	struct pe_worker *w, struct pe_batch *b, const bool covers)
{
	const struct pe_table *t = &w->engine->table;

	for (unsigned i = 0; i < b->count; i++) {
		uint32_t handle =
			pe_index_candidate(&t->index, t->records, b->home[i], b->change[i].hash);

		b->handle[i] = handle;
		// What may be covered is compared with what is published, and put into the other copy.
		if (covers && b->change[i].way == PE_WAY_COVERED && handle != PE_HANDLE_NONE) {
			__builtin_prefetch(&t->records[handle].copy[0], 1);
			__builtin_prefetch(&t->records[handle].copy[1], 1);
		}
	}
}

// A later record of the same entity covers an earlier one if it would pass wherever that one does: same sender's life,
// newer in both orders, and no harder to place (known_key: where the entity is).
static bool covers(const struct pe_batch *b, unsigned later, unsigned earlier, uint64_t known_key)
{
	const struct pe_change *l = &b->change[later], *e = &b->change[earlier];

	return l->incarnation == e->incarnation && l->update.sequence > e->update.sequence &&
		l->time_ms >= e->time_ms && l->space == e->space &&
		l->update.entity_type != PE_ENTITY_STATIC &&
		e->update.entity_type != PE_ENTITY_STATIC &&
		(b->place[later].key == b->place[earlier].key || b->place[later].key == known_key);
}

// The second of two records of one entity in a batch: is the first one covered?
static void supersede(struct pe_worker *w, struct pe_batch *b, unsigned later, unsigned earlier)
{
	const struct pe_record *r = record_of(w, b->handle[later]);
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	uint64_t known_key = UINT64_MAX;

	// Where another worker's entity is, is that worker's own.
	if (PE_STATUS_LIFE(status) == PE_LIFE_THERE && PE_STATUS_OWNER(status) == w->index)
		known_key = r->key;
	if (!covers(b, later, earlier, known_key))
		return;
	b->superseded[earlier] = true;
	b->change[earlier].way = PE_WAY_GENERAL;
}

// Stage 4: ids compared, duplicates within the batch found; copies and slots are asked for.
__attribute__((always_inline)) static inline void stage_verify(
	struct pe_worker *w, struct pe_batch *b, const bool covers)
{
	const struct pe_table *t = &w->engine->table;

	for (unsigned i = 0; i < b->count; i++) {
		const struct pe_change *c = &b->change[i];
		uint32_t handle = b->handle[i], status;
		const struct pe_record *r;
		unsigned earlier;

		b->superseded[i] = false;
		if (handle == PE_HANDLE_NONE ||
			!pe_id_equal(t->records[handle].id, c->update.entity_id))
			handle = b->handle[i] =
				pe_index_find(&t->index, t->records, c->hash, c->update.entity_id);
		if (handle == PE_HANDLE_NONE) {
			b->insert[b->insert_count++] = (uint8_t)i;
			continue;
		}
		r = &t->records[handle];
		status = atomic_load_explicit(&r->status, memory_order_relaxed);
		if ((status & 0xFFFFu) == pe_status_make(PE_LIFE_THERE, w->index, 0, 0)) {
			bool stays = r->key == b->place[i].key;

			// What is covered leaves its slot alone.
			if (!(covers && c->way == PE_WAY_COVERED && stays))
				pe_grid_prefetch_slot(w->engine->grid, r->slot);
			b->insert[b->insert_count] = (uint8_t)i;
			b->insert_count += !stays;
		}
		__builtin_prefetch(pe_record_held(r), 1);
		earlier = w->newest[handle & 255];
		w->newest[handle & 255] = (uint8_t)i;
		if ((earlier < i) & (b->handle[earlier] == handle) && c->kind &&
			b->change[earlier].kind)
			supersede(w, b, i, earlier);
	}
}

// Stage 5: what will be put into a cell where it is not yet. Step by step, so that the misses of all of them overlap.
static void stage_insert(const struct pe_worker *w, const struct pe_batch *b)
{
	const struct pe_grid *grid = w->engine->grid;

	for (unsigned i = 0; i < b->insert_count; i++)
		pe_grid_prefetch_bucket(grid, b->place[b->insert[i]].key);
	for (unsigned i = 0; i < b->insert_count; i++)
		pe_grid_prefetch_leaf(grid, b->place[b->insert[i]].key);
	for (unsigned i = 0; i < b->insert_count; i++)
		pe_grid_prefetch_chunk(grid, b->place[b->insert[i]].key);
	for (unsigned i = 0; i < b->insert_count; i++)
		pe_grid_prefetch_room(grid, b->place[b->insert[i]].key);
}

// Of this worker, in the cell where it is, and waiting for nothing but what its record may hold.
static inline bool stays(const struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place)
{
	// First whose it is: the rest of line 0 is the owner's alone.
	return (atomic_load_explicit(&r->status, memory_order_relaxed) & ~PE_STATUS_HELD) ==
		pe_status_make(PE_LIFE_THERE, w->index, c->space, 0) &&
		r->key == place->key && r->pending == PE_HANDLE_NONE;
}

enum judgement { COVERED, FAR, UNDECIDED };

// A change of an entity that stays against the spatial threshold. Covered is what is the same but for its place, velocity and
// time; undecided, what the attribute threshold has a say in.
static inline enum judgement judge(const struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	const struct pe_published *own = pe_record_own(r);
	uint64_t tail = pe_wire_word(&c->update.update_frequency), known[PE_PUBLISHED_WORDS];

	memcpy(known, own, sizeof known);
	if ((known[5] != pe_wire_word(&c->update.radius_m)) |
		(known[6] >> 48 != (tail >> 16 & 0xFFFF)) |
		((uint32_t)known[7] != published_tail(tail)))
		return s->policy.coalesce_attribute > 0 ? UNDECIDED : FAR;
	return pe_coalesce_in_cell(&s->space, own->word, place->word,
		       c->update.position[2] - own->position[2]) <=
			s->covered_square[PE_ATTRIBUTE_POWER_MODE(c->update.attributes)] ?
		COVERED :
		FAR;
}

enum spared { SPARED_NOT, SPARED_APPLIED, SPARED_COVERED };

// What nearly every update is: a newer state, in order, of an entity of this worker that stays in its cell and waits for nothing.
// SPARED_NOT: it is something else, and nothing was done.
__attribute__((always_inline)) static inline enum spared update_plain(struct pe_worker *w,
	const struct pe_change *c, const struct pe_place *place, uint32_t handle, const bool covers)
{
	struct pe_record *r = record_of(w, handle);
	uint64_t words[PE_PUBLISHED_WORDS];
	uint32_t expiry_tick = expiry_of(w, c);

	if (!stays(w, r, c, place))
		return SPARED_NOT;
	if (c->incarnation != r->incarnation || check_order(r, c) ||
		r->wheel.prev == PE_WHEEL_NONE || (int32_t)(expiry_tick - r->wheel.tick) < 0)
		return SPARED_NOT;
	published_words(c, place->word, expiry_tick, words);
	if (covers && c->way == PE_WAY_COVERED) {
		enum judgement judgement = judge(w, r, c, place);

		if (judgement == UNDECIDED ||
			(judgement == COVERED && !pe_coalesce_hold(w, handle, words)))
			return SPARED_NOT;
		if (judgement == COVERED) {
			pe_record_extend(r, expiry_tick);
			remember(r, c);
			return SPARED_COVERED;
		}
		pe_own_forget_held(w, handle);
	}
	pe_grid_store_settled(w->engine->grid, r->slot, place->word);
	pe_record_publish_words(r, words);
	remember(r, c);
	return SPARED_APPLIED;
}

__attribute__((always_inline)) static inline void stage_write(
	struct pe_worker *w, struct pe_batch *b, const bool covers)
{
	uint64_t done[3] = {0};

	for (unsigned i = 0; i < b->count; i++) {
		struct pe_change *c = &b->change[i];
		uint32_t handle = b->handle[i];

		if (c->way != PE_WAY_GENERAL && handle != PE_HANDLE_NONE) {
			enum spared spared = update_plain(w, c, &b->place[i], handle, covers);

			done[spared]++;
			if (spared)
				continue;
		}
		if (!c->kind)
			continue;
		handle = route(w, c, handle);
		if (handle != PE_HANDLE_NONE)
			update_own(w, c, &b->place[i], handle, b->superseded[i]);
	}
	pe_count(&w->counters, PE_COUNTER_records_applied, done[SPARED_APPLIED]);
	pe_count(&w->counters, PE_COUNTER_records_coalesced, done[SPARED_COVERED]);
}

__attribute__((always_inline)) static inline void work(
	struct pe_worker *w, struct pe_batch *b, const bool covers)
{
	stage_hash(w, b);
	stage_locate(w, b);
	stage_probe(w, b, covers);
	stage_verify(w, b, covers);
	if (b->insert_count)
		stage_insert(w, b);
	stage_write(w, b, covers);
}

void pe_apply_flush(struct pe_worker *w)
{
	struct pe_batch *b = &w->batch;

	if (!b->count)
		return;
	// Twice from one text: where no space has a threshold, nothing asks for one.
	if (w->engine->covers)
		work(w, b, true);
	else
		work(w, b, false);
	b->count = b->insert_count = 0;
}

void pe_apply_withdraw(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	uint32_t handle = pe_index_find(&t->index, t->records, c->hash, c->update.entity_id);
	struct pe_record *r;
	uint32_t status;
	enum pe_life life;
	enum pe_reason reason;

	handle = route(w, c, handle);
	if (handle == PE_HANDLE_NONE)
		return;
	r = record_of(w, handle);
	status = atomic_load_explicit(&r->status, memory_order_relaxed);
	life = PE_STATUS_LIFE(status);
	if (life == PE_LIFE_EMPTY && r->pending == PE_HANDLE_NONE) {
		refuse(w, c, PE_REASON_unknown_entity, NULL);
		return;
	}
	reason = check_order(r, c);
	if (!reason && life == PE_LIFE_THERE && PE_STATUS_SPACE(status) != c->space)
		reason = PE_REASON_space_differs;
	if (reason) {
		refuse(w, c, reason, r);
		return;
	}
	remember(r, c);
	// A state that still waits for its cell goes with it, a gone entity's too: it would come back behind this.
	pe_own_take_away(w, handle);
	if (life == PE_LIFE_THERE)
		pe_count(&w->counters, PE_COUNTER_withdrawn, 1);
	applied(w, c);
}

// The owner takes over what the partition's worker made for it.
static void adopt(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;

	// An update that overtook this on another ring may have let it live and go meanwhile.
	// LIFE: acquire, before its timer
	if (pe_index_find(&t->index, t->records, c->hash, c->update.entity_id) != c->handle ||
		atomic_load_explicit(&record_of(w, c->handle)->status, memory_order_acquire) !=
			pe_status_make(PE_LIFE_EMPTY, w->index, c->space, 0))
		return;
	if (!pe_wheel_holds(&w->wheel, c->handle))
		pe_wheel_add(&w->wheel, c->handle, w->tick + 1);
}

unsigned pe_apply_rings(struct pe_worker *w)
{
	struct pe_engine *e = w->engine;
	unsigned taken = 0;

	for (unsigned from = 0; from < e->config.worker_count; from++) {
		struct pe_ring_spsc *ring;
		unsigned n = 0;

		if (from == w->index)
			continue;
		ring = pe_ring_between(e, from, w->index);
		for (const struct pe_change *c;
			n < PE_BATCH_MAX && (c = pe_ring_spsc_peek(ring, n)); n++) {
			switch (c->kind) {
			case PE_CHANGE_ADOPT:
			case PE_CHANGE_UPDATE: {
				struct pe_change *copy = pe_apply_next(w);

				if (c->kind == PE_CHANGE_ADOPT)
					adopt(w, c);
				*copy = *c;
				copy->kind = PE_CHANGE_UPDATE; // wherever it goes from here
				pe_apply_add(w);
				break;
			}
			case PE_CHANGE_WITHDRAW:
				pe_apply_flush(w);
				pe_apply_withdraw(w, c);
				break;
			case PE_CHANGE_REMOVE:
				pe_apply_flush(w);
				pe_own_unindex(w, c->handle, c->hash);
				break;
			}
		}
		pe_apply_flush(w);
		if (n)
			pe_ring_spsc_release(ring, n);
		taken += n;
	}
	return taken;
}

void pe_apply_flush_rings(struct pe_worker *w)
{
	for (unsigned to = 0; to < w->engine->config.worker_count; to++)
		if (to != w->index)
			pe_ring_spsc_flush(pe_ring_between(w->engine, w->index, to));
}
