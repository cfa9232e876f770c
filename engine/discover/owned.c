#include "discover/owned.h"

#include "policy/principals.h"

#define LATCH_TRIES 1000u

bool pe_query_owns_by_keyring(const struct pe_asker *a, const uint8_t id[16])
{
	return a->directory && a->principal &&
		pe_principals_owner(a->directory, id) == a->principal;
}

bool pe_query_owns(const struct pe_asker *a, unsigned space, const uint8_t id[16])
{
	return pe_query_owns_by_keyring(a, id) ||
		(a->directory && a->principal &&
			(pe_principals_roles_everywhere(a->directory, a->principal, space) &
				PE_ROLE_ADMIN));
}

// The ids of the program's tests, one after the other. NULL behind the last.
static const uint8_t *next_id(const struct pe_filter *f, unsigned *test, unsigned *index)
{
	for (; *test < f->test_count; ++*test, *index = 0)
		if (f->tests[*test].op == PE_FILTER_ID && *index < f->tests[*test].argument)
			return &f->constants[8u * f->tests[*test].constant_word + 16u * (*index)++];
	return NULL;
}

// The asker that the query came with, whoever its views are built for.
static bool may_want(const struct pe_query_slot *s)
{
	return s->test.filter && s->asker.directory && s->asker.principal &&
		s->query.kind != PE_QUERY_NEAREST && !s->test.ways.timed &&
		(s->form == PE_QUERY_WHOLE || s->form == PE_QUERY_SHORT ||
			s->form == PE_QUERY_DETAILED);
}

bool pe_query_wants_owned(const struct pe_query_slot *s)
{
	unsigned test = 0, index = 0;
	const uint8_t *id;

	if (!may_want(s))
		return false;
	for (unsigned n = 0; n < PE_QUERY_OWNED_MAX; n++) {
		id = next_id(s->test.filter, &test, &index);
		if (!id)
			return false;
		if (pe_query_owns(&s->asker, s->test.space_index, id))
			return true;
	}
	return false;
}

bool pe_query_names(const struct pe_query_slot *s, const uint8_t id[16])
{
	unsigned test = 0, index = 0;
	const uint8_t *named;

	if (!may_want(s))
		return false;
	for (unsigned n = 0; n < PE_QUERY_OWNED_MAX; n++) {
		named = next_id(s->test.filter, &test, &index);
		if (!named)
			return false;
		if (pe_id_equal(named, id))
			return true;
	}
	return false;
}

// Is it there, in this space, and not shown to the asker otherwise?
static bool is_veiled(const struct pe_query_slot *s, uint32_t handle)
{
	const struct pe_table *t = s->test.table;
	const struct pe_record *r = &t->records[handle];
	// LIFE: acquire: whoever sees that it is there sees what was published of it.
	uint32_t status = atomic_load_explicit(&r->status, memory_order_acquire);
	struct pe_published p;

	return PE_STATUS_LIFE(status) == PE_LIFE_THERE &&
		PE_STATUS_SPACE(status) == s->test.space_index &&
		pe_record_read(r, t->drafts, &p, LATCH_TRIES) &&
		(p.attributes & PE_PUBLISHED_VEILED) &&
		!(pe_view_shown(&s->asker, p.attributes) &&
			pe_view_near(&s->asker, s->test.rules, &p));
}

unsigned pe_query_gather_owned(const struct pe_query_slot *s, struct pe_hit *hits)
{
	const struct pe_index *x = &s->test.table->index;
	unsigned test = 0, index = 0, count = 0;

	for (unsigned n = 0; n < PE_QUERY_OWNED_MAX; n++) {
		const uint8_t *id = next_id(s->test.filter, &test, &index);
		bool twice = false;
		uint32_t handle;

		if (!id)
			break;
		if (!pe_query_owns(&s->asker, s->test.space_index, id))
			continue;
		handle = pe_index_find(x, s->test.table->records, pe_hash_id(&x->key, id), id);
		for (unsigned i = 0; i < count; i++)
			twice |= hits[i].handle == handle;
		if (handle == PE_HANDLE_NONE || twice || !is_veiled(s, handle))
			continue;
		// Of no place: the record decides.
		hits[count++] = (struct pe_hit){.handle = handle, .word = PE_SLOT_MOVED};
	}
	return count;
}
