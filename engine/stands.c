// Where an asker stands: at the entity that the directory names for him (policy/principals.h),
// whose place is as published. In an OPEN space anybody might have published it, and nobody stands
// anywhere.
#include "internal.h"

#define LATCH_TRIES 1000u

uint64_t pe_asker_place(
	const struct pe_worker *w, const struct pe_space_entry *s, uint32_t principal)
{
	static const uint8_t nil[16];
	const struct pe_engine *e = w->engine;
	const struct pe_table *t = &e->table;
	// PRINCIPALS: acquire pairs with pe_engine_principals: the directory was written before it
	// could be found.
	const struct pe_principals *directory =
		atomic_load_explicit(&e->directory.current, memory_order_acquire);
	const struct pe_directory_listed *listed =
		s->authorizes ? pe_principals_listed(directory, principal) : NULL;
	const struct pe_record *r;
	struct pe_published p;
	uint32_t handle, status;

	if (!listed || memcmp(listed->stands, nil, 16) == 0)
		return PE_NEAR_NOWHERE;
	handle = pe_index_find(
		&t->index, t->records, pe_hash_id(&t->index.key, listed->stands), listed->stands);
	if (handle == PE_HANDLE_NONE)
		return PE_NEAR_NOWHERE;
	r = &t->records[handle];
	// LIFE: acquire, before what a new life has published
	status = atomic_load_explicit(&r->status, memory_order_acquire);
	if (PE_STATUS_LIFE(status) != PE_LIFE_THERE || PE_STATUS_SPACE(status) != s->space.index ||
		!pe_record_read(r, t->drafts, &p, LATCH_TRIES) ||
		(int32_t)(w->tick - p.expiry_tick) >= 0)
		return PE_NEAR_NOWHERE;
	return pe_near_place(&s->space, p.position);
}
