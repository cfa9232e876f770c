// EXPLAIN of a fence: which one is meant, on any worker, and what the worker that is asked knows of
// it. Every worker has all fences; who is in them is known where an entity is owned, and what waits
// to be told where the subscription is kept.
#include "watch.h"

#include "discover/explain.h"

static struct pe_watch_fence **part_bucket(
	const struct pe_watch *x, uint32_t subscription_id, uint32_t fence_id)
{
	return &x->part_names[(uint32_t)pe_watch_mix(subscription_id, fence_id) & x->name_mask];
}

// The subscription's name, address and principal don't change while it has fences, on whatever
// worker.
static struct pe_watch_fence **bucket_of(const struct pe_watch *x, const struct pe_watch_fence *f)
{
	return part_bucket(x, f->subscription->subscription_id, f->fence_id);
}

void pe_watch_name_part(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_watch_fence **bucket = bucket_of(w->watch, f);

	pe_watch_part(w, f)->next_named = *bucket;
	*bucket = f;
}

void pe_watch_unname_part(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_watch_fence **at = bucket_of(w->watch, f);

	while (*at != f)
		at = &pe_watch_part(w, *at)->next_named;
	*at = pe_watch_part(w, f)->next_named;
}

// Whoever asks need not be the program that subscribed: another one of the same principal at the
// same address may, on another port, as long as only one subscription there has that name.
static struct pe_watch_fence *find(
	struct pe_worker *w, const struct pe_peer *peer, uint64_t subject, unsigned space)
{
	uint32_t subscription_id = (uint32_t)subject, fence_id = (uint32_t)(subject >> 32);
	struct pe_watch_fence *f = *part_bucket(w->watch, subscription_id, fence_id), *found = NULL;
	unsigned count = 0;

	for (; f; f = pe_watch_part(w, f)->next_named) {
		const struct pe_subscription *s = f->subscription;

		if (s->subscription_id != subscription_id || f->fence_id != fence_id ||
			s->peer.principal != peer->principal || s->space != space ||
			memcmp(s->peer.address, peer->address, sizeof peer->address) != 0 ||
			pe_watch_part(w, f)->ending)
			continue;
		if (pe_peer_same(&s->peer, peer))
			return f;
		found = f;
		count++;
	}
	return count == 1 ? found : NULL;
}

enum pe_reason pe_watch_explain(struct pe_worker *w, const struct pe_peer *peer, uint64_t subject,
	unsigned space, struct pe_explain_subject *about, struct pe_wire_explanation *e)
{
	struct pe_asker asker;
	const struct pe_space_entry *entry = &w->engine->spaces[space];
	struct pe_explain_standing standing;
	struct pe_query_known known = {0}; // no point, no later moment
	struct pe_watch_fence *f;
	struct pe_watch_part *part;
	struct pe_wire_query *q;

	f = w->watch ? find(w, peer, subject, space) : NULL;
	if (!f)
		return PE_REASON_explain_fence;
	asker = pe_watch_asker(f);
	part = pe_watch_part(w, f);
	standing = (struct pe_explain_standing){.index = w->watch->index,
		.members = w->watch->members,
		.fence = part->number,
		.nowhere = f->follows && !part->somewhere,
		.itself = f->follows && memcmp(f->follow_id, about->id, 16) == 0,
		.kept = f->keeper == w->index};
	standing.waits = standing.kept && pe_watch_waits(w, f, about->id);
	about->standing = &standing;
	q = pe_query_next(&w->query);
	*q = f->stand.query;
	if (f->follows)
		memcpy(q->a, part->centre, sizeof q->a);
	e->query_id = q->query_id;
	return pe_explain(&w->query, &entry->space, &entry->rules, &asker,
		(struct pe_instant){w->tick, w->wall_ms}, &known, f->stand.extension, about, e);
}
