#include "veil.h"

#include <math.h>

bool pe_suspects_create(struct pe_suspects *x, uint32_t entities)
{
	uint32_t sets = 64, most = PE_SUSPECTS_MAX / PE_SUSPECT_WAYS;

	// Room for one of 16 entities at one time.
	while (sets < most && sets * PE_SUSPECT_WAYS < entities / 16)
		sets *= 2;
	if (pe_memory_map((size_t)sets * PE_SUSPECT_WAYS * sizeof(struct pe_suspect), false,
		    &x->memory) != PE_OK)
		return false;
	x->suspects = x->memory.base;
	x->set_count = sets;
	for (uint32_t i = 0; i < sets * PE_SUSPECT_WAYS; i++)
		x->suspects[i].handle = PE_HANDLE_NONE;
	return true;
}

void pe_suspects_destroy(struct pe_suspects *x)
{
	pe_memory_unmap(&x->memory);
	x->set_count = 0;
}

// ---- remembered ----

static struct pe_suspect *set_of(const struct pe_suspects *x, uint32_t handle)
{
	uint32_t set = handle * 2654435761u >> 8 & (x->set_count - 1);

	return &x->suspects[set * PE_SUSPECT_WAYS];
}

static struct pe_suspect *find(const struct pe_suspects *x, uint32_t handle)
{
	struct pe_suspect *s;

	if (!x->set_count)
		return NULL;
	s = set_of(x, handle);
	for (unsigned i = 0; i < PE_SUSPECT_WAYS; i++)
		if (s[i].handle == handle)
			return &s[i];
	return NULL;
}

// A free one, or that of whom was heard longest ago.
static struct pe_suspect *take(const struct pe_worker *w, uint32_t handle)
{
	struct pe_suspect *s = set_of(&w->suspects, handle), *oldest = s;

	for (unsigned i = 0; i < PE_SUSPECT_WAYS; i++) {
		if (s[i].handle == PE_HANDLE_NONE)
			return &s[i];
		if ((int32_t)(s[i].tick - oldest->tick) < 0)
			oldest = &s[i];
	}
	return oldest;
}

// Whether the entity's updates are to be looked at here. Owner's thread.
static void mark(struct pe_worker *w, uint32_t handle, bool suspect)
{
	_Atomic uint32_t *at = &w->engine->table.records[handle].status;
	uint32_t status = atomic_load_explicit(at, memory_order_relaxed);

	if (suspect != !!(status & PE_STATUS_SUSPECT))
		atomic_store_explicit(at, status ^ PE_STATUS_SUSPECT, memory_order_relaxed);
}

bool pe_plausible_forget(struct pe_worker *w, uint32_t handle)
{
	struct pe_suspect *suspect = find(&w->suspects, handle);

	mark(w, handle, false);
	if (!suspect)
		return false;
	suspect->handle = PE_HANDLE_NONE;
	return true;
}

// ---- how fast ----

struct fix {
	const double *position;
	uint8_t type;
	bool height_unknown;
	float slack_m;
};

static float limit_of(const struct pe_space_entry *s, uint8_t type)
{
	return s->policy.speed_max_mps[type < PE_ENTITY_CUSTOM ? type : 4];
}

enum pe_reason pe_plausible_velocity(const struct pe_space_entry *s, const struct pe_wire_update *u)
{
	float limit = limit_of(s, u->entity_type), square = 0;
	__m128 v = _mm_cvtph_ps(
		_mm_cvtsi64_si128((int64_t)(pe_wire_word(u->velocity) & 0x0000FFFFFFFFFFFFull)));

	v = _mm_mul_ps(v, v);
	square = v[0] + v[1] + v[2];
	// Halves are exact to a thousandth.
	return limit > 0 && square > limit * limit * 1.002f ? PE_REASON_implausible :
							      PE_REASON_none;
}

// From one fix to the next within the time: nothing that either of the types cannot do. A pure
// function of what was said.
static bool possible(
	const struct pe_space_entry *s, struct fix from, struct fix to, int64_t elapsed_ms)
{
	float limit = limit_of(s, from.type), other = limit_of(s, to.type);
	double way_m;

	if (!(limit > 0) || (other > 0 && other < limit))
		limit = other;
	if (!(limit > 0))
		return true;
	way_m = (double)limit * (double)(elapsed_ms > 0 ? elapsed_ms : 0) / 1000 +
		PE_PLAUSIBLE_ROUNDING_M + (double)(from.slack_m + to.slack_m);
	return pe_space_distance(&s->space, from.position, to.position,
		       !from.height_unknown && !to.height_unknown) <= way_m;
}

// By how much a place that was published, or is about to be, may lie beside the true one: precision
// has it in it. What is above what a result can say is not known.
static float veil_slack(uint16_t attributes, float precision_m)
{
	if (!(attributes & (PE_PUBLISHED_ROUNDED | PE_PUBLISHED_VEILED)))
		return 0;
	return precision_m < PE_VEIL_PRECISION_MOST_M ? precision_m : INFINITY;
}

static bool unknown_height(uint16_t attributes)
{
	return attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN;
}

// Where the entity was accepted to be last, and how long before the change.
static struct fix newest(
	const struct pe_worker *w, const struct pe_change *c, uint32_t handle, int64_t *elapsed_ms)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	const struct pe_pending *node = pe_pending_node(&w->pending, r->pending);
	const struct pe_published *p = &r->shown;
	struct fix fix;

	// The time of a withdrawal is not that of a fix.
	*elapsed_ms = PE_STATUS_LIFE(status) == PE_LIFE_THERE ?
		(int32_t)((uint32_t)c->time_ms - r->time_low) :
		(int64_t)(c->time_ms - p->time_ms);
	if (node && (node->flags & PE_PENDING_STATE))
		p = &node->state;
	fix = (struct fix){p->position, p->entity_type, unknown_height(p->attributes),
		veil_slack(p->attributes, p->precision_m)};
	if (status & PE_STATUS_HELD)
		fix.position = pe_record_held(r)->position;
	return fix;
}

// Is something known of where it was, in this space?
static bool known(const struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	enum pe_life life = PE_STATUS_LIFE(status);

	// What was erased has no time. A first state that waits for its cell has none that could be
	// told from another's.
	return PE_STATUS_SPACE(status) == c->space && !(status & PE_STATUS_FORGOTTEN) &&
		(life == PE_LIFE_THERE || (life == PE_LIFE_GONE && r->shown.time_ms));
}

static void quarantine(struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	float slack_m, struct pe_suspect *suspect, bool agrees)
{
	uint32_t fixes = agrees ? suspect->fixes + 1 : 1;

	if (!suspect)
		suspect = take(w, handle);
	*suspect = (struct pe_suspect){.time_ms = c->time_ms,
		.incarnation = c->incarnation,
		.sequence = c->update.sequence,
		.handle = handle,
		.tick = w->tick,
		.fixes = fixes,
		.slack_m = slack_m,
		.type = c->update.entity_type,
		.height_unknown = unknown_height(c->update.attributes)};
	memcpy(suspect->position, c->update.position, sizeof suspect->position);
	mark(w, handle, true);
}

enum pe_reason pe_plausible_check(
	struct pe_worker *w, const struct pe_change *c, uint32_t handle, bool *believed)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	struct fix to = {
		c->update.position, c->update.entity_type, unknown_height(c->update.attributes)};
	struct pe_suspect *suspect;
	int64_t elapsed_ms;
	bool agrees = false;
	struct fix from;

	*believed = false;
	if (!s->limits_speed || !known(w, c, handle))
		return PE_REASON_none;
	if ((c->update.attributes & PE_ATTRIBUTE_RELOCATION) && (c->powers & PE_POWER_RELOCATE))
		return PE_REASON_none;
	from = newest(w, c, handle, &elapsed_ms);
	// A scope that rounded what is published rounded this, too.
	to.slack_m = veil_slack(c->update.attributes |
			(w->engine->table.records[handle].shown.attributes & PE_PUBLISHED_ROUNDED),
		c->update.precision_m);
	if (possible(s, from, to, elapsed_ms))
		return PE_REASON_none;
	suspect = find(&w->suspects, handle);
	if (suspect) {
		struct fix last = {suspect->position, suspect->type, suspect->height_unknown,
			suspect->slack_m};
		bool later = c->time_ms > suspect->time_ms &&
			(c->incarnation > suspect->incarnation ||
				(c->incarnation == suspect->incarnation &&
					c->update.sequence > suspect->sequence));

		// The same once more, or an earlier one, says nothing new.
		if (c->time_ms == suspect->time_ms && c->incarnation == suspect->incarnation &&
			c->update.sequence <= suspect->sequence)
			return PE_REASON_implausible;
		agrees = later && possible(s, last, to, (int64_t)(c->time_ms - suspect->time_ms));
		if (agrees && suspect->fixes + 1 >= s->policy.plausible_fixes) {
			*believed = true;
			return PE_REASON_none;
		}
	}
	quarantine(w, c, handle, to.slack_m, suspect, agrees);
	return PE_REASON_implausible;
}
