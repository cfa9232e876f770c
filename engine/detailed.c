// What an owner does with details: an update that carries some, one by one and in order; what an
// update makes of those that are kept; announcements of updates. A change is worked out in a new
// block, which is published when the update is taken and given back when it is refused, so that a
// refusal changes nothing.
#include "apply.h"
#include "own.h"

#include "wire/metadata.h"

void pe_details_payload(
	struct pe_worker *w, uint32_t handle, const uint8_t *payload, uint32_t bytes)
{
	pe_count(&w->counters, PE_COUNTER_payloads, 1);
	if (w->watching)
		pe_watch_payload(w, handle, payload, bytes);
}

static void own_detailed(struct pe_worker *w, struct pe_change *c, uint32_t handle)
{
	struct pe_details_blocks blocks;
	struct pe_place place;
	enum pe_reason reason;

	pe_wire_get_detailed(c->record, &blocks);
	w->parent = PE_FRAME_NONE;
	reason = blocks.bytes[PE_DETAILS_FRAME] ?
		pe_frame_place(w, c, blocks.content[PE_DETAILS_FRAME], &w->placed, &w->parent) :
		PE_REASON_none;
	if (!reason && blocks.bytes[PE_DETAILS_FRAME] && w->engine->spaces[c->space].guarded)
		reason = pe_authorize_placed(w, &w->engine->spaces[c->space], c);
	if (!reason)
		reason = pe_space_locate(
			&w->engine->spaces[c->space].space, c->update.position, &place);
	if (reason)
		pe_apply_refuse(w, c, reason, NULL);
	else
		pe_apply_own(w, c, &place, handle, false);
}

void pe_apply_detailed(struct pe_worker *w, struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	uint32_t handle = pe_index_find(&t->index, t->records, c->hash, c->update.entity_id);

	w->parcel_passed = false;
	handle = pe_apply_route(w, c, handle);
	if (handle != PE_HANDLE_NONE)
		own_detailed(w, c, handle);
	if (c->parcelled && !w->parcel_passed)
		pe_parcel_give(c->record);
}

// ---- what becomes of details ----

// A block's content now: what the update says, or else what is kept. False: there is none.
static bool content_of(const struct pe_details_blocks *update, const struct pe_details_blocks *kept,
	unsigned type, const uint8_t **content, uint32_t *bytes)
{
	const struct pe_details_blocks *from = update->content[type] ? update : kept;

	*content = from->content[type];
	*bytes = from->bytes[type];
	return *content && *bytes;
}

// An empty context or no metadata at all is none.
static bool empty(unsigned type, const uint8_t *content)
{
	return type == PE_DETAILS_CONTEXT   ? !content[2] && !content[3] :
		type == PE_DETAILS_METADATA ? !content[2] :
					      false;
}

static enum pe_reason change_metadata(const struct pe_details_blocks *update,
	const struct pe_details_blocks *kept, uint8_t metadata[PE_METADATA_BYTES_MAX])
{
	if (kept->content[PE_DETAILS_METADATA])
		memcpy(metadata, kept->content[PE_DETAILS_METADATA],
			kept->bytes[PE_DETAILS_METADATA]);
	else
		pe_metadata_begin(metadata);
	return pe_metadata_apply(metadata, update->content[PE_DETAILS_METADATA],
		       update->bytes[PE_DETAILS_METADATA]) == PE_BLOCK_SOUND ?
		PE_REASON_none :
		PE_REASON_details_large;
}

// Writes the details that the update makes of those that are kept into room for
// PE_DETAILS_BYTES_MAX; *bytes of them.
static enum pe_reason compose(const struct pe_details_blocks *update,
	const struct pe_details_blocks *kept, uint8_t *details, uint32_t *bytes)
{
	_Alignas(8) uint8_t metadata[PE_METADATA_BYTES_MAX];
	enum pe_reason reason;

	*bytes = pe_wire_begin_details(details, PE_DETAILS_BYTES_MAX, NULL);
	for (unsigned type = 1; type <= PE_DETAILS_TYPES; type++) {
		const uint8_t *content;
		uint32_t content_bytes;

		if (!(PE_DETAILS_KEPT & PE_DETAILS_BIT(type)))
			continue;
		if (!content_of(update, kept, type, &content, &content_bytes))
			continue;
		if (type == PE_DETAILS_METADATA && update->content[type]) {
			reason = change_metadata(update, kept, metadata);
			if (reason)
				return reason;
			content = metadata;
			content_bytes = pe_block_bytes(metadata, sizeof metadata);
		}
		if (empty(type, content))
			continue;
		*bytes = pe_wire_put_details(
			details, PE_DETAILS_BYTES_MAX, type, content, content_bytes);
		if (!*bytes)
			return PE_REASON_details_large;
	}
	return PE_REASON_none;
}

static uint16_t blocks_of(const uint8_t *details)
{
	struct pe_wire_details head;

	memcpy(&head, details, sizeof head);
	return head.blocks;
}

enum pe_reason pe_details_prepare(struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	struct pe_next_details *next)
{
	const struct pe_details_store *store = &w->engine->table.details;
	const struct pe_details_block *known = pe_details_get(store, handle);
	struct pe_details_blocks update = {0}, kept = {0};
	_Alignas(8) uint8_t details[PE_DETAILS_BYTES_MAX];
	enum pe_reason reason;
	uint32_t bytes;

	if (c->kind == PE_CHANGE_DETAILED)
		pe_wire_get_detailed(c->record, &update);
	if (update.bytes[PE_DETAILS_FRAME]) {
		if (!pe_frame_fits(w, handle, w->parent))
			return store->entries ? PE_REASON_frame_full : PE_REASON_details_full;
		update.content[PE_DETAILS_FRAME] = (const uint8_t *)&w->placed;
		update.bytes[PE_DETAILS_FRAME] = sizeof w->placed;
	}
	if (known)
		pe_wire_get_details((const uint8_t *)&known->head, &kept);
	// Where a position is in the space it is in no frame.
	kept.content[PE_DETAILS_FRAME] = NULL;
	kept.bytes[PE_DETAILS_FRAME] = 0;
	reason = compose(&update, &kept, details, &bytes);
	if (reason)
		return reason;
	if (c->update.entity_type == PE_ENTITY_RECURRING &&
		!(blocks_of(details) & PE_DETAILS_BIT(PE_DETAILS_SCHEDULE)))
		return PE_REASON_schedule_missing;
	reason = pe_scope_check(&w->engine->spaces[c->space].space, details);
	if (reason)
		return reason;
	if (!blocks_of(details)) {
		next->changes = known != NULL;
		return PE_REASON_none;
	}
	if (known && known->head.bytes == bytes && memcmp(&known->head, details, bytes) == 0)
		return PE_REASON_none;
	next->block = store->entries ? pe_details_take(&w->arena, bytes) : PE_DETAILS_NONE;
	if (next->block == PE_DETAILS_NONE)
		return PE_REASON_details_full;
	next->changes = true;
	memcpy(&pe_details_at(store, next->block)->head, details, bytes);
	return PE_REASON_none;
}

// What is published of an entity that has a block.
#define DETAILED_BITS (PE_PUBLISHED_DETAILS | PE_PUBLISHED_ROUNDED)
static uint16_t detailed_bits(const struct pe_details_block *block)
{
	return pe_scope_rounds((const uint8_t *)&block->head) ? DETAILED_BITS :
								PE_PUBLISHED_DETAILS;
}

uint16_t pe_details_bits(const struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	const struct pe_next_details *next)
{
	const struct pe_record *r = pe_apply_record(w, handle);
	const struct pe_details_store *store = &w->engine->table.details;
	const struct pe_details_block *block;
	uint16_t bits = 0;

	if (c->update.update_frequency)
		bits |= PE_PUBLISHED_ANNOUNCED;
	if (next->changes) {
		if (next->block == PE_DETAILS_NONE)
			return bits;
		return bits | detailed_bits(pe_details_at(store, next->block));
	}
	if (PE_STATUS_LIFE(atomic_load_explicit(&r->status, memory_order_relaxed)) == PE_LIFE_THERE)
		return bits | (r->shown.attributes & DETAILED_BITS);
	// A first state with details may wait for its cell.
	block = pe_details_get(store, handle);
	return block ? bits | detailed_bits(block) : bits;
}

// Of a block that is the entity's, or is about to be: who sees it by the published attributes
// `bits`.
static void set_audience(struct pe_worker *w, uint32_t number, uint16_t bits)
{
	if (number != PE_DETAILS_NONE)
		// DETAILS-AUDIENCE: relaxed: until it is as the record's, the details are shown to
		// nobody
		atomic_store_explicit(&pe_details_at(&w->engine->table.details, number)->audience,
			pe_audience_bits(bits), memory_order_relaxed);
}

static void publish_block(
	struct pe_worker *w, uint32_t handle, struct pe_next_details *next, uint16_t bits)
{
	if (!next->changes || next->published)
		return;
	set_audience(w, next->block, bits);
	pe_details_publish(&w->arena, handle, next->block);
	next->published = true;
}

void pe_details_before(
	struct pe_worker *w, uint32_t handle, struct pe_next_details *next, uint16_t bits)
{
	publish_block(w, handle, next, bits);
}

void pe_details_undo(struct pe_worker *w, uint32_t handle, struct pe_next_details *next)
{
	// An entity that was not there had none.
	if (next->published)
		pe_details_publish(&w->arena, handle, PE_DETAILS_NONE);
	else if (next->changes && next->block != PE_DETAILS_NONE)
		pe_details_give(&w->arena, next->block);
}

// Stale so long before its ttl ends, and three intervals for its confidence.
static void announce(struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	struct pe_details_entry *entry = pe_details_entry(&w->engine->table.details, handle);
	uint64_t missed_ms = 60000ull * w->engine->spaces[c->space].policy.stale_intervals /
		c->update.update_frequency;
	uint32_t lead_ms =
		missed_ms < c->update.ttl_ms ? c->update.ttl_ms - (uint32_t)missed_ms : 0;

	atomic_store_explicit(&entry->lead_ms, lead_ms, memory_order_relaxed);
	atomic_store_explicit(&entry->announced_ms, 3u * 60000u / c->update.update_frequency,
		memory_order_relaxed);
}

// What a threshold or a crossing holds back is not the details.
static void mark(struct pe_worker *w, uint32_t handle, uint16_t bits)
{
	struct pe_record *r = pe_apply_record(w, handle);
	struct pe_published p = r->shown;
	const uint16_t mask = PE_PUBLISHED_MORE | PE_PUBLISHED_ROUNDED;

	if (PE_STATUS_LIFE(atomic_load_explicit(&r->status, memory_order_relaxed)) !=
			PE_LIFE_THERE ||
		!((p.attributes ^ bits) & mask))
		return;
	p.attributes = (uint16_t)((p.attributes & ~mask) | (bits & mask));
	pe_record_publish(r, pe_own_draft(w), &p);
}

// So that updates that are spared something know of them.
static void flag(struct pe_worker *w, uint32_t handle, bool detailed)
{
	_Atomic uint32_t *at = &pe_apply_record(w, handle)->status;
	uint32_t status = atomic_load_explicit(at, memory_order_relaxed);

	if (detailed == !!(status & PE_STATUS_DETAILS))
		return;
	atomic_store_explicit(at, status ^ PE_STATUS_DETAILS, memory_order_relaxed);
}

// Whom it follows, and those who follow it: it may have turned.
static void frames(struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	const struct pe_next_details *next)
{
	uint32_t status =
		atomic_load_explicit(&pe_apply_record(w, handle)->status, memory_order_relaxed);
	uint32_t parent = c->kind == PE_CHANGE_DETAILED ? w->parent : PE_FRAME_NONE;

	if (parent != PE_FRAME_NONE || (status & PE_STATUS_FRAMED))
		pe_frame_link(w, handle, parent);
	if ((status & PE_STATUS_PARENT) && next->changes)
		pe_frame_follow(w, handle);
}

void pe_details_settle(struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	struct pe_next_details *next, uint16_t bits)
{
	const struct pe_details_store *store = &w->engine->table.details;
	struct pe_details_blocks update;

	if (store->entries) {
		pe_count(&w->counters, PE_COUNTER_details_changed, next->changes);
		publish_block(w, handle, next, bits);
		// What stays is theirs who see the entity from now on.
		set_audience(w,
			atomic_load_explicit(
				&pe_details_entry(store, handle)->block, memory_order_relaxed),
			bits);
		if (bits & PE_PUBLISHED_ANNOUNCED)
			announce(w, c, handle);
		mark(w, handle, bits);
		flag(w, handle, bits & PE_PUBLISHED_DETAILS);
		frames(w, c, handle, next);
		pe_own_clock(w, handle);
		if (next->changes)
			pe_watch_changed(w, handle); // a filter may ask for them
	}
	if (c->kind != PE_CHANGE_DETAILED)
		return;
	pe_wire_get_detailed(c->record, &update);
	if (update.content[PE_DETAILS_PAYLOAD])
		pe_details_payload(w, handle, update.content[PE_DETAILS_PAYLOAD],
			update.bytes[PE_DETAILS_PAYLOAD]);
}

void pe_details_drop(struct pe_worker *w, uint32_t handle)
{
	struct pe_details_store *store = &w->engine->table.details;
	struct pe_details_entry *entry;

	if (!store->entries)
		return;
	entry = pe_details_entry(store, handle);
	if (atomic_load_explicit(&entry->block, memory_order_relaxed) != PE_DETAILS_NONE)
		pe_details_publish(&w->arena, handle, PE_DETAILS_NONE);
	atomic_store_explicit(&entry->lead_ms, 0, memory_order_relaxed);
	pe_frame_forget(w, handle);
	flag(w, handle, false);
}
