// Records on their way to their entities, one by one: whose they are, whether they are in order,
// what becomes of them, and who else they are handed to (apply_rings.c takes them there). Every
// record that enters leaves by exactly one of applied, coalesced, refused(reason), dropped(reason)
// — here, in batch.c, on the worker that it is handed to, or when what it waits for has happened.
#include "apply.h"
#include "own.h"
#include "veil.h"

static struct pe_wire_ack_record *ack_of(struct pe_worker *w, const struct pe_change *c)
{
	return c->ack == PE_ACK_NONE ? NULL : &w->acks[c->ack];
}

// x: what is known of the entity's course, or NULL.
static void acknowledge(struct pe_worker *w, const struct pe_change *c, enum pe_ack_status status,
	const struct pe_prediction *x)
{
	struct pe_wire_ack_record *a = ack_of(w, c);

	if (!a)
		return;
	*a = pe_wire_ack_record(status, PE_REASON_none);
	if (c->kind != PE_CHANGE_WITHDRAW && c->kind != PE_CHANGE_ERASE)
		a->silence_ms = pe_predict_silence_ms(c, x);
}

void pe_apply_refuse(struct pe_worker *w, const struct pe_change *c, enum pe_reason reason,
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

static void applied(struct pe_worker *w, const struct pe_change *c, const struct pe_prediction *x)
{
	pe_count(&w->counters, PE_COUNTER_records_applied, 1);
	acknowledge(w, c, PE_ACK_APPLIED, x);
}

void pe_apply_applied(struct pe_worker *w, const struct pe_change *c)
{
	applied(w, c, NULL);
}

static void coalesced(struct pe_worker *w, const struct pe_change *c, const struct pe_prediction *x)
{
	pe_count(&w->counters, PE_COUNTER_records_coalesced, 1);
	acknowledge(w, c, PE_ACK_COALESCED, x);
}

// The details of a change that is to cross to another worker, where they can: in a parcel. False:
// there is none.
static bool pack(struct pe_worker *w, const struct pe_change *c, const uint8_t **record)
{
	struct pe_parcel *parcel;

	*record = NULL;
	if (c->kind != PE_CHANGE_DETAILED)
		return true;
	*record = c->record;
	if (!c->parcelled) {
		parcel = pe_parcel_take(&w->parcels, c->record);
		if (!parcel)
			return false;
		*record = parcel->record;
	}
	// Whoever takes the change off the ring gives it back.
	w->parcel_passed = true;
	return true;
}

// It does not cross after all.
static void unpack_refused(struct pe_worker *w, const struct pe_change *c, const uint8_t *record)
{
	if (record && !c->parcelled)
		pe_parcel_give(record);
	w->parcel_passed = false;
}

static void unpack(struct pe_change *copy, const uint8_t *record)
{
	copy->record = record;
	copy->parcelled = record != NULL;
}

// Hands a change to another worker.
static void hand_over(struct pe_worker *w, const struct pe_change *c, unsigned to, uint32_t handle)
{
	struct pe_ring_spsc *ring = pe_ring_between(w->engine, w->index, to);
	enum pe_reason reason = PE_REASON_none;
	const uint8_t *record = NULL;
	struct pe_change *copy;

	if (c->hops >= PE_CHANGE_HOPS_MAX)
		reason = PE_REASON_reroute;
	else if (pe_ring_spsc_room(ring, 1) < 1)
		reason = PE_REASON_ring_full;
	else if (!pack(w, c, &record))
		reason = PE_REASON_ring_full;
	if (reason) {
		pe_apply_refuse(w, c, reason, NULL);
		return;
	}
	copy = pe_ring_spsc_put(ring);
	*copy = *c;
	copy->handle = handle;
	copy->hops++;
	copy->ack = PE_ACK_NONE;
	unpack(copy, record);
	pe_count(&w->counters, PE_COUNTER_records_forwarded, 1);
	acknowledge(w, c, PE_ACK_ACCEPTED, NULL);
}

// This worker's partition: makes the entity, owned by `owner`. PE_HANDLE_NONE: refused or dropped,
// and counted.
static uint32_t make_entity(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	bool foreign = c->owner != w->index;
	const uint8_t *record = NULL;
	uint32_t handle;
	struct pe_record *r;

	// Whoever shall own it must hear of it, or nobody would ever take it away.
	if (foreign && pe_ring_spsc_room(pe_ring_between(w->engine, w->index, c->owner), 1) < 1) {
		pe_apply_refuse(w, c, PE_REASON_ring_full, NULL);
		return PE_HANDLE_NONE;
	}
	if (w->refuse_new) {
		pe_apply_refuse(w, c, PE_REASON_shed_new, NULL);
		return PE_HANDLE_NONE;
	}
	if (w->engine->config.when_full != PE_FULL_REFUSE)
		pe_places_evict(w);
	handle = pe_handles_take(t, &w->handles);
	if (foreign && handle != PE_HANDLE_NONE && !pack(w, c, &record)) {
		pe_handles_give(t, &w->handles, handle);
		pe_apply_refuse(w, c, PE_REASON_ring_full, NULL);
		return PE_HANDLE_NONE;
	}
	if (handle == PE_HANDLE_NONE) {
		pe_apply_refuse(w, c, PE_REASON_table_full, NULL);
		return PE_HANDLE_NONE;
	}
	if (w->engine->places.of && !pe_places_take(&w->engine->places, handle, c->publisher)) {
		pe_handles_give(t, &w->handles, handle);
		if (foreign)
			unpack_refused(w, c, record);
		pe_apply_refuse(w, c, PE_REASON_entity_budget, NULL);
		return PE_HANDLE_NONE;
	}
	r = &t->records[handle];
	pe_record_name(r, c->update.entity_id);
	r->incarnation = r->sequence = r->time_low = 0;
	r->slot = PE_SLOT_NONE;
	r->key = 0;
	r->pending = PE_HANDLE_NONE;
	pe_wheel_link_init(&r->wheel);
	if (w->engine->owners.of)
		w->engine->owners.of[pe_handle_number(handle)] = 0;
	// LIFE: release, after line 0 was filled in for the owner
	atomic_store_explicit(&r->status, pe_status_make(PE_LIFE_EMPTY, c->owner, c->space, 0),
		memory_order_release);
	if (!pe_index_add(&t->index, c->hash, handle)) {
		atomic_store_explicit(
			&r->status, pe_status_make(PE_LIFE_FREE, 0, 0, 0), memory_order_relaxed);
		if (w->engine->places.of)
			pe_places_give(&w->engine->places, handle);
		pe_handles_give(t, &w->handles, handle);
		if (foreign)
			unpack_refused(w, c, record);
		pe_apply_refuse(w, c, PE_REASON_table_full, NULL);
		return PE_HANDLE_NONE;
	}
	if (foreign) {
		struct pe_change *copy =
			pe_ring_spsc_put(pe_ring_between(w->engine, w->index, c->owner));

		*copy = *c;
		copy->kind =
			c->kind == PE_CHANGE_DETAILED ? PE_CHANGE_ADOPT_DETAILED : PE_CHANGE_ADOPT;
		unpack(copy, record);
		copy->handle = handle;
		copy->hops = 0;
		copy->ack = PE_ACK_NONE;
		pe_count(&w->counters, PE_COUNTER_records_forwarded, 1);
		acknowledge(w, c, PE_ACK_ACCEPTED, NULL);
		return PE_HANDLE_NONE;
	}
	// Until its first state is published the next tick takes it away again.
	pe_wheel_add(&w->wheel, handle, w->tick + 1);
	return handle;
}

// The least move that counts for a STATIC entity that stated no precision.
#define STATIC_SLACK_M 1.0

static enum pe_reason check_static(struct pe_worker *w, const struct pe_record *r,
	const struct pe_change *c, const struct pe_place *place)
{
	const struct pe_space *space = &w->engine->spaces[c->space].space;
	const struct pe_pending *node = pe_pending_node(&w->pending, r->pending);
	struct pe_published known = r->shown;
	struct pe_place at = {.key = r->key};
	double allowed;

	// The newest accepted state, which may be held back.
	if (node && (node->flags & PE_PENDING_STATE)) {
		known = node->state;
		at.key = node->key;
	} else if (atomic_load_explicit(&r->status, memory_order_relaxed) & PE_STATUS_HELD) {
		known = pe_own_held_state(r);
		if (pe_space_locate(space, known.position, &at) != PE_REASON_none)
			return PE_REASON_none; // it was found when it was held
		known.word = at.word;
	}
	allowed = known.precision_m > 0 ? (double)known.precision_m : STATIC_SLACK_M;
	if (known.entity_type != PE_ENTITY_STATIC ||
		(c->update.attributes & PE_ATTRIBUTE_RELOCATION))
		return PE_REASON_none;
	if (pe_coalesce_moved_square(space, at.key, &known, place, c->update.position) >
		allowed * allowed)
		return PE_REASON_relocation;
	return PE_REASON_none;
}

// The newest accepted time moves on from that of the state held back. Same incarnation, so it does
// not go back.
static void held_ages(struct pe_record *r, uint32_t status, const struct pe_change *c)
{
	uint32_t older = (uint32_t)c->time_ms - r->time_low;
	uint16_t *at = pe_record_older(r);

	older += status & PE_STATUS_OLDER ? *at : 0u;
	*at = (uint16_t)(older < UINT16_MAX ? older : UINT16_MAX);
	atomic_store_explicit(&r->status, status | PE_STATUS_OLDER, memory_order_relaxed);
}

// No move, but another word for where it was: a STATIC entity relocated, or a new life of the
// sender whose clock is behind.
static bool corrects(const struct pe_record *r, const struct pe_change *c)
{
	return (c->update.entity_type == PE_ENTITY_STATIC &&
		       (c->update.attributes & PE_ATTRIBUTE_RELOCATION)) ||
		(c->incarnation != r->incarnation &&
			(int32_t)((uint32_t)c->time_ms - r->time_low) < 0);
}

// Of an owned space, or beside one: an update was taken.
__attribute__((noinline)) static void taken_owned(
	struct pe_worker *w, const struct pe_change *c, uint32_t handle, bool believed)
{
	pe_authorize_taken(w, c, handle);
	(void)pe_plausible_forget(w, handle);
	pe_count(&w->counters, PE_COUNTER_believed, believed);
}

// Is what the low bits of the newest accepted time say is late, of an entity that is there, later
// by more than they can tell? A clock was set by weeks.
static bool leaps(const struct pe_record *r, const struct pe_change *c)
{
	uint32_t known_low = (uint32_t)r->shown.time_ms;
	uint64_t known_ms = r->shown.time_ms + (uint64_t)(int32_t)(r->time_low - known_low);

	return (int64_t)(c->time_ms - known_ms) > INT32_MAX;
}

// The order of a change to what is known; *leapt: it comes behind only by low bits.
static enum pe_reason check_order(
	const struct pe_record *r, const struct pe_change *c, bool there, bool *leapt)
{
	enum pe_reason reason = pe_apply_check_order(r, c);

	*leapt = reason == PE_REASON_late && there && leaps(r, c);
	return *leapt ? PE_REASON_none : reason;
}

// stands: its place is that of an epoch of noise.
static void own(struct pe_worker *w, const struct pe_change *c, const struct pe_place *place,
	uint32_t handle, bool superseded, bool stands)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	struct pe_record *r = pe_apply_record(w, handle);
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	bool there = PE_STATUS_LIFE(status) == PE_LIFE_THERE;
	uint32_t frequency =
		c->update.frequency ? c->update.frequency : s->policy.frequency_default;
	uint32_t cap_ms = frequency ? 60000u / frequency : 0;
	uint32_t interval_ms = pe_coalesce_interval_ms(w, s, c->update.attributes);
	enum pe_reason reason = PE_REASON_none;
	bool leapt = false;
	struct pe_record_words words;
	struct pe_prediction x = {0};
	const bool keeps = w->engine->table.details.entries != NULL;
	struct pe_next_details next = {0};
	const bool owned = s->owned || w->engine->owners.of;
	bool believed = false;
	struct pe_published p;
	enum pe_publish published;

	// Before what is known of it is told to anyone.
	if (owned)
		reason = pe_authorize_owner(w, c, handle);
	if (reason) {
		pe_apply_refuse(w, c, reason, NULL);
		return;
	}
	// A first state that still waits for its cell is known already.
	if ((PE_STATUS_LIFE(status) != PE_LIFE_EMPTY || r->pending != PE_HANDLE_NONE) &&
		!(status & PE_STATUS_FORGOTTEN))
		reason = check_order(r, c, there, &leapt);
	if (!reason && there && PE_STATUS_SPACE(status) != c->space)
		reason = PE_REASON_space_differs;
	if (!reason && there && c->update.entity_type == PE_ENTITY_STATIC)
		reason = check_static(w, r, c, place);
	if (!reason && s->limits_speed)
		reason = pe_plausible_check(w, c, handle, &believed);
	if (reason) {
		pe_apply_refuse(w, c, reason, r);
		return;
	}
	if (superseded) {
		// What is held back is published yet if the later one should be refused: with its
		// own time.
		if (status & PE_STATUS_HELD)
			held_ages(r, status, c);
		pe_apply_remember(r, c);
		coalesced(w, c, NULL);
		return;
	}
	// A state that would not fall back is not taken.
	if (c->update.duration_ms && !pe_own_may_end(w, handle)) {
		pe_count(&w->counters, PE_COUNTER_pending_exhausted, 1);
		pe_apply_refuse(w, c, PE_REASON_grid_full, NULL);
		return;
	}
	if (there && s->policy.predict_distance_m > 0)
		x = pe_predict(w, handle, c);
	if (c->kind == PE_CHANGE_DETAILED || c->update.entity_type == PE_ENTITY_RECURRING ||
		(status & PE_STATUS_FRAMED)) {
		reason = pe_details_prepare(w, c, handle, &next);
		if (reason) {
			pe_apply_refuse(w, c, reason, NULL);
			return;
		}
	}
	words = pe_apply_words(c, place->word, pe_apply_expiry(w, c));
	memcpy(&p, &words, sizeof p);
	if (keeps)
		p.attributes |= pe_details_bits(w, c, handle, &next);
	if (stands)
		p.time_ms = pe_veil_epoch_ms(w);
	// Who sees it is never held back; nor what its time could not be told of.
	if (there && !stands && !leapt && !pe_audience_differs(p.attributes, r->shown.attributes) &&
		(cap_ms || s->thresholds)) {
		struct pe_pending *node = pe_own_node(w, handle, false);
		bool capped = cap_ms && node && (node->flags & PE_PENDING_CAP) &&
			(int32_t)(node->cap_until - w->tick) > 0;

		bool below = s->thresholds && pe_coalesce_below(w, s, r, node, &p, place, &x);

		if ((capped || below) &&
			pe_coalesce_hold_back(w, handle, c, &p, place, &x, capped && !below, cap_ms,
				interval_ms)) {
			pe_apply_remember(r, c);
			coalesced(w, c, &x);
			if (owned)
				taken_owned(w, c, handle, believed);
			if (keeps || c->kind == PE_CHANGE_DETAILED)
				pe_details_settle(w, c, handle, &next, p.attributes);
			return;
		}
	}
	if (!there && next.changes)
		pe_details_before(w, handle, &next, p.attributes);
	w->correcting = w->watching && there && corrects(r, c);
	published = pe_own_publish(w, handle, &p, place->key, true);
	w->correcting = false;
	switch (published) {
	case PE_PUBLISH_FULL:
		if (next.changes)
			pe_details_undo(w, handle, &next);
		pe_apply_refuse(w, c, PE_REASON_grid_full, NULL);
		return;
	case PE_PUBLISHED:
		applied(w, c, &x);
		pe_own_duration(
			w, handle, c->update.duration_ms != 0, w->tick + c->update.duration_ms);
		pe_own_begin_holds(w, handle, cap_ms, interval_ms);
		break;
	case PE_PUBLISH_WAITS:
		// Those who see it no more are told nothing of what is new, nor of its details,
		// until they know.
		if (there && pe_audience_differs(p.attributes, r->shown.attributes))
			pe_own_hide(w, handle);
		acknowledge(w, c, PE_ACK_ACCEPTED, &x);
		pe_own_wait_times(w, pe_own_node(w, handle, false), c->update.duration_ms, cap_ms,
			interval_ms);
		break;
	}
	pe_apply_remember(r, c);
	if (owned)
		taken_owned(w, c, handle, believed);
	if (!there) {
		status = atomic_load_explicit(&r->status, memory_order_relaxed);
		status = pe_status_make(PE_STATUS_LIFE(status), w->index, c->space,
			status & (PE_STATUS_FRAMES | PE_STATUS_QUEUED));
		// LIFE: release, as in set_life: the space is the new life's
		atomic_store_explicit(&r->status, status, memory_order_release);
	}
	if (keeps || c->kind == PE_CHANGE_DETAILED)
		pe_details_settle(w, c, handle, &next, p.attributes);
}

// Its scope may round the place, before anything looks at it.
__attribute__((noinline)) static void own_scoped(struct pe_worker *w, const struct pe_change *c,
	const struct pe_place *place, uint32_t handle, bool superseded)
{
	struct pe_change copy = *c;
	struct pe_place at = *place;
	bool rounded;
	enum pe_reason reason = pe_scope_round(w, &copy, &at, handle, &rounded);

	// What was superseded is known to be of no account.
	if (reason && !superseded)
		pe_apply_refuse(w, c, reason, NULL);
	else if (rounded && !reason)
		own(w, &copy, &at, handle, superseded, false);
	else
		own(w, c, place, handle, superseded, false);
}

static bool detailed(const struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	uint32_t status =
		atomic_load_explicit(&pe_apply_record(w, handle)->status, memory_order_relaxed);

	return (c->kind == PE_CHANGE_DETAILED) | !!(status & PE_STATUS_DETAILS);
}

// First what its audience may know of the place, then its scope.
__attribute__((noinline)) static void own_veiled(struct pe_worker *w, const struct pe_change *c,
	const struct pe_place *place, uint32_t handle, bool superseded)
{
	struct pe_change veiled = *c;
	struct pe_place at = *place;
	bool rounded, stands;
	enum pe_reason reason;

	stands = pe_veil_own(w, handle, &veiled, &at, &reason);
	if (!reason && detailed(w, c, handle))
		reason = pe_scope_round(w, &veiled, &at, handle, &rounded);
	if (!reason)
		pe_veil_note(&w->engine->spaces[c->space], pe_audience_of(c->update.attributes),
			&veiled.update);
	// The place that a scope has found is one of the space's own layer.
	at.key = pe_views_key(&w->engine->views, c->space, c->update.attributes, at.key);
	if (reason)
		pe_apply_refuse(w, c, reason, NULL);
	else
		own(w, &veiled, &at, handle, superseded, stands);
}

// Here its tags are known, and with them who sees it.
__attribute__((noinline)) static void own_open(
	struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	struct pe_change decided = *c;
	struct pe_place place;
	enum pe_reason reason = pe_veil_open(w, handle, &decided);

	if (!reason)
		reason = pe_space_locate(
			&w->engine->spaces[c->space].space, decided.update.position, &place);
	if (reason)
		pe_apply_refuse(w, c, reason, NULL);
	else
		pe_apply_own(w, &decided, &place, handle, false);
}

void pe_apply_own(struct pe_worker *w, const struct pe_change *c, const struct pe_place *place,
	uint32_t handle, bool superseded)
{
	if (__builtin_expect(c->update.attributes & (PE_PUBLISHED_VEILED | PE_CHANGE_OPEN), 0)) {
		if (c->update.attributes & PE_CHANGE_OPEN)
			own_open(w, c, handle);
		else
			own_veiled(w, c, place, handle, superseded);
	} else if (__builtin_expect(detailed(w, c, handle), 0))
		own_scoped(w, c, place, handle, superseded);
	else
		own(w, c, place, handle, superseded, false);
}

// Where a change belongs that no record here answers for: to its partition's worker; on it, to a
// new entity.
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
	if (c->kind == PE_CHANGE_WITHDRAW || c->kind == PE_CHANGE_ERASE) {
		pe_apply_refuse(w, c,
			c->kind == PE_CHANGE_ERASE ? pe_erase_unknown(c) : PE_REASON_unknown_entity,
			NULL);
		return PE_HANDLE_NONE;
	}
	return make_entity(w, c);
}

uint32_t pe_apply_route(struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	uint32_t status;
	enum pe_life life;

	if (handle == PE_HANDLE_NONE)
		handle = place_unknown(w, c);
	if (handle == PE_HANDLE_NONE)
		return PE_HANDLE_NONE;
	// LIFE: acquire, before the owner's fields
	status = atomic_load_explicit(&pe_apply_record(w, handle)->status, memory_order_acquire);
	life = PE_STATUS_LIFE(status);
	if (life == PE_LIFE_REMOVING || life == PE_LIFE_FREE) {
		// Its removal from the index is on the way to the partition's worker; behind it the
		// id is new again.
		unsigned partition = pe_index_partition(&w->engine->table.index, c->hash);

		if (partition == w->index)
			pe_apply_refuse(w, c, PE_REASON_reroute, NULL);
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

void pe_apply_withdraw(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	uint32_t handle = pe_index_find(&t->index, t->records, c->hash, c->update.entity_id);
	struct pe_record *r;
	uint32_t status;
	enum pe_life life;
	enum pe_reason reason;
	bool leapt;

	handle = pe_apply_route(w, c, handle);
	if (handle == PE_HANDLE_NONE)
		return;
	r = pe_apply_record(w, handle);
	status = atomic_load_explicit(&r->status, memory_order_relaxed);
	life = PE_STATUS_LIFE(status);
	if ((life == PE_LIFE_EMPTY && r->pending == PE_HANDLE_NONE) ||
		(status & PE_STATUS_FORGOTTEN)) {
		pe_apply_refuse(w, c, PE_REASON_unknown_entity, NULL);
		return;
	}
	reason = pe_authorize_owner(w, c, handle);
	if (reason) {
		pe_apply_refuse(w, c, reason, NULL);
		return;
	}
	reason = check_order(r, c, life == PE_LIFE_THERE, &leapt);
	if (!reason && life == PE_LIFE_THERE && PE_STATUS_SPACE(status) != c->space)
		reason = PE_REASON_space_differs;
	if (reason) {
		pe_apply_refuse(w, c, reason, r);
		return;
	}
	pe_apply_remember(r, c);
	// A state that still waits for its cell goes with it, a gone entity's too: it would come
	// back behind this.
	pe_own_take_away(w, handle);
	if (life == PE_LIFE_THERE)
		pe_count(&w->counters, PE_COUNTER_withdrawn, 1);
	applied(w, c, NULL);
}
