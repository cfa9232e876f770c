// ERASE: an entity and what is remembered of it, taken away for good. What is left is a tombstone
// that tells nothing but that lives up to an incarnation are over, and whose the id is, for as long
// as tombstones and owners are remembered.
#include "apply.h"
#include "own.h"

#include "wire/erase.h"

enum pe_reason pe_erase_unknown(const struct pe_change *c)
{
	// Who may erase it only if it is theirs does not learn whether there is one.
	return c->powers & PE_POWER_ERASE ? PE_REASON_unknown_entity : PE_REASON_owner;
}

// Where there is something of it.
static uint32_t traces(struct pe_worker *w, uint32_t handle, uint32_t status)
{
	const struct pe_pending *node = pe_own_node(w, handle, false);
	uint32_t where = 0;

	if (PE_STATUS_LIFE(status) == PE_LIFE_THERE)
		where |= PE_ERASED_RECORD;
	if (PE_STATUS_LIFE(status) == PE_LIFE_GONE)
		where |= PE_ERASED_TOMBSTONE;
	if (pe_details_get(&w->engine->table.details, handle))
		where |= PE_ERASED_DETAILS;
	if ((status & PE_STATUS_HELD) || (node && (node->flags & PE_PENDING_STATE)))
		where |= PE_ERASED_WAITING;
	if (status & PE_STATUS_FRAMES)
		where |= PE_ERASED_FRAMES;
	if (w->watching && pe_watch_inside_any(w, handle))
		where |= PE_ERASED_FENCES;
	return where;
}

// Nothing of what was published, nor of what was held back, stays behind. Nobody finds the record
// any more but who met it before: to them it has been gone for long.
static void wipe(struct pe_worker *w, uint32_t handle)
{
	struct pe_record *r = pe_apply_record(w, handle);
	const struct pe_published nothing = {.expiry_tick = w->tick - (1u << 30)};

	pe_record_publish(r, pe_own_draft(w), &nothing);
	memset(pe_record_held(r), 0, sizeof(struct pe_held_state));
	*pe_record_older(r) = 0;
}

static void remember(struct pe_record *r, uint32_t incarnation)
{
	if (incarnation > r->incarnation)
		r->incarnation = incarnation;
	// No later update of that life is newer.
	r->sequence = UINT32_MAX;
	r->time_low = 0;
}

void pe_apply_erase(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;
	uint32_t handle = pe_index_find(&t->index, t->records, c->hash, c->update.entity_id);
	struct pe_record *r;
	uint32_t status, where;
	enum pe_life life;

	handle = pe_apply_route(w, c, handle);
	if (handle == PE_HANDLE_NONE)
		return;
	r = pe_apply_record(w, handle);
	status = atomic_load_explicit(&r->status, memory_order_relaxed);
	life = PE_STATUS_LIFE(status);
	if (life == PE_LIFE_EMPTY && r->pending == PE_HANDLE_NONE) {
		pe_apply_refuse(w, c, pe_erase_unknown(c), NULL);
		return;
	}
	// Before anything is told of it.
	if (!pe_authorize_may_erase(w, c, handle)) {
		pe_apply_refuse(w, c, PE_REASON_owner, NULL);
		return;
	}
	if (PE_STATUS_SPACE(status) != c->space) {
		pe_apply_refuse(w, c, PE_REASON_space_differs, NULL);
		return;
	}
	where = traces(w, handle, status);
	pe_own_take_away(w, handle);
	wipe(w, handle);
	remember(r, c->incarnation);
	if (pe_plausible_forget(w, handle))
		where |= PE_ERASED_QUARANTINE;
	pe_count(&w->counters, PE_COUNTER_erased, life == PE_LIFE_THERE);
	pe_apply_applied(w, c);
	if (c->ack != PE_ACK_NONE)
		w->acks[c->ack].known_sequence = where;
}
