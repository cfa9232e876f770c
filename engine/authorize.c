#include "internal.h"

#include "base/rcu.h"

static const struct pe_principals *directory_of(const struct pe_worker *w)
{
	// PRINCIPALS: acquire pairs with pe_engine_principals: the directory was written before it
	// could be found.
	return atomic_load_explicit(&w->engine->directory.current, memory_order_acquire);
}

static bool geodetic(const struct pe_space_entry *s)
{
	return s->limits.geodetic;
}

static bool may_publish_at(const struct pe_principals *d, const struct pe_space_entry *s,
	uint32_t principal, const double position[3])
{
	return pe_principals_may_at(
		d, principal, s->space.index, PE_ROLE_PUBLISH, geodetic(s), position);
}

static const struct pe_authorized *authorized(
	struct pe_worker *w, const struct pe_space_entry *s, uint32_t principal)
{
	const struct pe_principals *d = directory_of(w);
	struct pe_authorized *a = &w->authorized;

	if (__builtin_expect((a->directory == d) & (a->principal == principal) &
			    (a->space == s->space.index),
		    1))
		return a;
	*a = (struct pe_authorized){.directory = d,
		.principal = principal,
		.space = (uint8_t)s->space.index,
		.roles = (uint8_t)pe_principals_roles(d, principal, s->space.index),
		.everywhere =
			(uint8_t)pe_principals_roles_everywhere(d, principal, s->space.index)};
	return a;
}

enum pe_reason pe_authorize_change(struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_peer *peer, struct pe_change *c, bool framed)
{
	const struct pe_authorized *a = authorized(w, s, peer->principal);
	const struct pe_principals *d = a->directory;
	unsigned roles = a->roles;
	uint32_t owner = pe_principals_owner_from(d, c->update.entity_id, &w->authorized.owned);

	c->principal = peer->principal;
	c->powers = 0;
	if (s->authorizes) {
		if (!(roles & PE_ROLE_PUBLISH))
			return PE_REASON_role;
		if (owner ? owner != peer->principal :
			    s->policy.authorization == PE_AUTHORIZATION_KEYRING)
			return PE_REASON_owner;
		if (!(a->everywhere & PE_ROLE_PUBLISH) && !framed &&
			c->kind != PE_CHANGE_WITHDRAW &&
			!may_publish_at(d, s, peer->principal, c->update.position))
			return PE_REASON_area;
	}
	// Elsewhere than in an OPEN space an update that is taken is its owner's.
	if (s->authorizes || peer->trusted || (roles & PE_ROLE_ADMIN) ||
		(owner && owner == peer->principal))
		c->powers |= PE_POWER_RELOCATE;
	if (s->limits_speed && c->kind != PE_CHANGE_WITHDRAW)
		return pe_plausible_velocity(s, &c->update);
	return PE_REASON_none;
}

enum pe_reason pe_authorize_placed(
	const struct pe_worker *w, const struct pe_space_entry *s, const struct pe_change *c)
{
	return !s->authorizes ||
			may_publish_at(directory_of(w), s, c->principal, c->update.position) ?
		PE_REASON_none :
		PE_REASON_area;
}

enum pe_reason pe_authorize_erase(const struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_peer *peer, struct pe_change *c)
{
	const struct pe_principals *d = directory_of(w);
	unsigned roles = pe_principals_roles(d, peer->principal, s->space.index);
	uint32_t owner = pe_principals_owner(d, c->update.entity_id);
	bool first = s->policy.authorization == PE_AUTHORIZATION_FIRST && peer->principal;

	c->principal = peer->principal;
	c->powers = 0;
	if ((owner && owner == peer->principal) || (!s->authorizes && peer->trusted) ||
		(pe_principals_roles_everywhere(d, peer->principal, s->space.index) &
			PE_ROLE_ADMIN))
		c->powers |= PE_POWER_ERASE;
	// An administrator of an area, or who broadcast it first: known where the entity is.
	else if (!(roles & PE_ROLE_ADMIN) && (owner || !first))
		return roles & PE_ROLE_PUBLISH ? PE_REASON_owner : PE_REASON_role;
	return PE_REASON_none;
}

static uint32_t *owner_at(const struct pe_worker *w, uint32_t handle)
{
	uint32_t *of = w->engine->owners.of;

	return of ? &of[pe_handle_number(handle)] : NULL;
}

bool pe_authorize_owned(const struct pe_worker *w, uint32_t handle)
{
	const uint32_t *owner = owner_at(w, handle);

	// What the keyring gives nobody else can have.
	return owner && *owner &&
		pe_principals_owner(directory_of(w), w->engine->table.records[handle].id) != *owner;
}

enum pe_reason pe_authorize_owner(
	const struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	const uint32_t *owner = owner_at(w, handle);

	// Whose it is in a space of first broadcasts it is in that space: nobody may take it to
	// another one meanwhile.
	if (!owner || !*owner)
		return PE_REASON_none;
	return s->policy.authorization == PE_AUTHORIZATION_FIRST && *owner == c->principal ?
		PE_REASON_none :
		PE_REASON_owner;
}

void pe_authorize_taken(struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	uint32_t *owner = owner_at(w, handle);

	if (owner && w->engine->spaces[c->space].policy.authorization == PE_AUTHORIZATION_FIRST)
		*owner = c->principal;
}

bool pe_authorize_may_erase(const struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	const struct pe_record *r = &w->engine->table.records[handle];
	const uint32_t *owner = owner_at(w, handle);

	if (c->powers & PE_POWER_ERASE)
		return true;
	if (owner && *owner && *owner == c->principal)
		return true;
	// Where it was, if it is not there any more, is nothing that an area could hold.
	return PE_STATUS_LIFE(atomic_load_explicit(&r->status, memory_order_relaxed)) ==
		PE_LIFE_THERE &&
		pe_principals_may_at(directory_of(w), c->principal, s->space.index, PE_ROLE_ADMIN,
			geodetic(s), r->shown.position);
}

// ---- who asks ----

static enum pe_reason check_volume(const struct pe_worker *w, const struct pe_space_entry *s,
	uint32_t principal, enum pe_role role, const struct pe_wire_query *query,
	const uint8_t *extension, double margin_m, enum pe_reason otherwise)
{
	struct pe_bounds bounds;

	pe_area_bounds(&s->space, query, query->flags & PE_QUERY_HAS_EXTENSION ? extension : NULL,
		margin_m, (double)s->policy.precision_max_m, &bounds);
	return pe_principals_may_within(
		       directory_of(w), principal, s->space.index, role, geodetic(s), &bounds) ?
		PE_REASON_none :
		otherwise;
}

enum pe_reason pe_authorize_query(const struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_peer *peer, const struct pe_wire_query *query, const uint8_t *extension,
	bool explained)
{
	const struct pe_principals *d = directory_of(w);

	if (pe_principals_roles_everywhere(d, peer->principal, s->space.index) & PE_ROLE_QUERY)
		return PE_REASON_none;
	if (!(pe_principals_roles(d, peer->principal, s->space.index) & PE_ROLE_QUERY))
		return PE_REASON_query_role;
	if (explained)
		return PE_REASON_query_area;
	return check_volume(
		w, s, peer->principal, PE_ROLE_QUERY, query, extension, 0, PE_REASON_query_area);
}

enum pe_reason pe_authorize_subscription(
	const struct pe_worker *w, const struct pe_space_entry *s, const struct pe_peer *peer)
{
	return pe_principals_roles(directory_of(w), peer->principal, s->space.index) &
			PE_ROLE_SUBSCRIBE ?
		PE_REASON_none :
		PE_REASON_subscribe_role;
}

enum pe_reason pe_authorize_fence(const struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_peer *peer, const struct pe_wire_fence *fence, const uint8_t *extension)
{
	if (pe_authorize_keeps(w, s, peer->principal))
		return PE_REASON_none;
	if (fence->flags & PE_FENCE_FOLLOW)
		return PE_REASON_subscribe_area;
	return check_volume(w, s, peer->principal, PE_ROLE_SUBSCRIBE, &fence->query, extension,
		(double)fence->margin_m, PE_REASON_subscribe_area);
}

uint64_t pe_authorize_spaces(const struct pe_worker *w, const struct pe_peer *peer)
{
	const struct pe_principals *d = directory_of(w);
	const struct pe_engine *e = w->engine;
	uint64_t spaces = 0;

	for (unsigned i = 0; i < e->config.space_count; i++)
		if (!e->spaces[i].authorizes ||
			(pe_principals_roles_everywhere(d, peer->principal, i) & PE_ROLE_QUERY))
			spaces |= UINT64_C(1) << i;
	return spaces;
}

bool pe_authorize_counters(const struct pe_worker *w, const struct pe_peer *peer)
{
	const struct pe_principals *d = directory_of(w);

	if (!peer->trusted || !peer->principal)
		return peer->trusted;
	for (unsigned i = 0; i < w->engine->config.space_count; i++)
		if (!(pe_principals_roles_everywhere(d, peer->principal, i) & PE_ROLE_ADMIN))
			return false;
	return true;
}

bool pe_authorize_keeps(
	const struct pe_worker *w, const struct pe_space_entry *s, uint32_t principal)
{
	return pe_principals_roles_everywhere(directory_of(w), principal, s->space.index) &
		PE_ROLE_SUBSCRIBE;
}

// ---- the directory ----

enum pe_status pe_engine_principals(struct pe_engine *engine, struct pe_principals *directory)
{
	struct pe_directory *d = &engine->directory;
	struct pe_principals *before;

	// RETIRED: acquire pairs with pe_authorize_control: the one before the last is destroyed.
	if (atomic_load_explicit(&d->retired, memory_order_acquire))
		return PE_BUSY;
	// PRINCIPALS: release, after the directory was written; a worker that finds it finds it
	// whole.
	before = atomic_exchange_explicit(&d->current, directory, memory_order_acq_rel);
	// PRINCIPALS: release: who sees the number sees the directory that it belongs to.
	atomic_fetch_add_explicit(&d->generation, 1, memory_order_release);
	if (!before)
		return PE_OK;
	d->retired_stamp = pe_rcu_stamp();
	// RETIRED: release: the stamp is there before what it is about.
	atomic_store_explicit(&d->retired, before, memory_order_release);
	return PE_OK;
}

bool pe_authorize_control(struct pe_directory *d)
{
	// RETIRED: acquire, before the stamp
	struct pe_principals *retired = atomic_load_explicit(&d->retired, memory_order_acquire);

	if (!retired)
		return false;
	if (!pe_rcu_passed(d->retired_stamp))
		return true;
	pe_principals_destroy(retired);
	// RETIRED: release: it is destroyed, and another one may retire.
	atomic_store_explicit(&d->retired, NULL, memory_order_release);
	return false;
}
