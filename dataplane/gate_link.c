// What goes: answers find their session by the turn's table, notices by what was kept for their
// subscription.
#include "gate_internal.h"

#define NUMBER_MASK (PE_GATE_KEPT - 1)

static struct gate_turn *turn_of(struct pe_gate *g, const struct pe_peer *peer)
{
	uint32_t n = peer->link & NUMBER_MASK;

	assert(n < g->turn_count); // an answer leaves in its request's turn
	return &g->turn[n];
}

static struct gate_kept *kept_of(struct pe_gate *g, uint32_t link)
{
	uint32_t n = link & NUMBER_MASK;

	assert(n < g->config.link_count_max && g->kept[n].session_id);
	return &g->kept[n];
}

static uint8_t *reserve(void *context, const struct pe_peer *peer)
{
	struct pe_gate *g = context;

	if (!(peer->link & PE_GATE_LINK))
		return g->below->reserve(g->below->context, peer);
	return g->below->reserve(g->below->context,
		peer->link & PE_GATE_KEPT ? &kept_of(g, peer->link)->at : &turn_of(g, peer)->at);
}

// False: its epoch may not send any more.
static bool close_message(
	struct pe_gate *g, struct pe_session *s, uint8_t *data, uint32_t bytes, bool unproved)
{
	struct pe_seal_job job = {.data = data, .bytes = bytes, .level = s->level};
	uint64_t id, sequence;

	if (!pe_session_answer(s, g->now, &id, &sequence, &job.key))
		return false;
	// Whose address has changed does not know it by itself.
	if (unproved) {
		uint16_t flags;

		memcpy(&flags, data + offsetof(struct pe_wire_header, flags), sizeof flags);
		flags |= PE_FLAG_UNPROVED;
		memcpy(data + offsetof(struct pe_wire_header, flags), &flags, sizeof flags);
	}
	memcpy(data + offsetof(struct pe_wire_header, session_id), &id, sizeof id);
	memcpy(data + offsetof(struct pe_wire_header, sequence), &sequence, sizeof sequence);
	pe_seal_close(g->seal, &job, 1);
	pe_count(g->counters, PE_COUNTER_messages_sealed, 1);
	return true;
}

static void commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct pe_gate *g = context;
	struct pe_session *s;
	struct pe_peer at;
	bool unproved = false;

	if (!(peer->link & PE_GATE_LINK)) {
		g->below->commit(g->below->context, peer, data, bytes);
		return;
	}
	if (peer->link & PE_GATE_KEPT) {
		const struct gate_kept *k = kept_of(g, peer->link);

		at = k->at;
		s = pe_session_alive(g->table, k->session_id, g->now);
		// Nothing that was not asked for goes to where nobody has shown that he receives
		// it.
		if (s &&
			!(s->proved && gate_principal(s) == k->principal &&
				gate_same_place(&s->peer, &at)))
			s = NULL;
	} else {
		const struct gate_turn *t = turn_of(g, peer);

		at = t->at;
		s = t->session;
		unproved = t->unproved;
	}
	if (bytes && !(s && close_message(g, s, data, bytes, unproved))) {
		pe_count(g->counters, PE_COUNTER_tx_dropped, 1);
		bytes = 0;
	}
	g->below->commit(g->below->context, &at, data, bytes);
}

static uint32_t below_keep(struct pe_gate *g, const struct pe_peer *at, uint32_t kept)
{
	return g->below->keep ? g->below->keep(g->below->context, at, kept) : at->link;
}

static void below_drop(struct pe_gate *g, const struct pe_peer *at)
{
	if (g->below->drop)
		g->below->drop(g->below->context, at);
}

static void free_kept(struct pe_gate *g, struct gate_kept *k)
{
	struct pe_session *s = pe_session_find(g->table, k->session_id);

	if (s && s->links)
		s->links--;
	*k = (struct gate_kept){.next_free = g->kept_free};
	g->kept_free = (uint32_t)(k - g->kept) + 1;
}

static uint32_t keep(void *context, const struct pe_peer *peer, uint32_t kept)
{
	struct pe_gate *g = context;
	const struct gate_turn *t;
	struct gate_kept *k;
	uint32_t link;

	if (!(peer->link & PE_GATE_LINK))
		return below_keep(g, peer, kept);
	t = turn_of(g, peer);
	if (kept != PE_LINK_NONE) {
		k = kept_of(g, kept);
		if (k->at.source != t->at.source)
			return kept;
		link = below_keep(g, &t->at, k->at.link);
	} else {
		if (!g->kept_free)
			return PE_LINK_NONE;
		k = &g->kept[g->kept_free - 1];
		link = below_keep(g, &t->at, PE_LINK_NONE);
	}
	if (link == PE_LINK_NONE)
		return kept;
	if (kept == PE_LINK_NONE)
		g->kept_free = k->next_free;
	if (k->session_id != t->session->id) {
		struct pe_session *before = pe_session_find(g->table, k->session_id);

		if (before && before->links)
			before->links--;
		t->session->links++;
	}
	k->session_id = t->session->id;
	k->principal = peer->principal;
	k->at = t->at;
	k->at.link = link;
	t->session->links_moves = t->session->moves;
	return PE_GATE_LINK | PE_GATE_KEPT | (uint32_t)(k - g->kept);
}

static void drop(void *context, const struct pe_peer *peer)
{
	struct pe_gate *g = context;
	struct gate_kept *k;

	if (!(peer->link & PE_GATE_LINK)) {
		below_drop(g, peer);
		return;
	}
	if (!(peer->link & PE_GATE_KEPT))
		return;
	k = kept_of(g, peer->link);
	below_drop(g, &k->at);
	free_kept(g, k);
}

void gate_links_init(struct pe_gate *g)
{
	g->kept_free = 0;
	for (uint32_t i = g->config.link_count_max; i-- > 0;) {
		g->kept[i] = (struct gate_kept){.next_free = g->kept_free};
		g->kept_free = i + 1;
	}
}

void gate_links_sink(struct pe_gate *g)
{
	g->sink = (struct pe_sink){
		.context = g, .reserve = reserve, .commit = commit, .keep = keep, .drop = drop};
}

void gate_links_follow(struct pe_gate *g, struct pe_session *s, const struct pe_peer *at)
{
	for (uint32_t i = 0; i < g->config.link_count_max; i++) {
		struct gate_kept *k = &g->kept[i];
		uint32_t link;

		if (k->session_id != s->id)
			continue;
		// At another source it begins anew there; where there is no room, the old place
		// stays, and hears nothing.
		link = below_keep(g, at, k->at.source == at->source ? k->at.link : PE_LINK_NONE);
		if (link == PE_LINK_NONE)
			continue;
		if (k->at.source != at->source)
			below_drop(g, &k->at);
		k->at = *at;
		k->at.link = link;
	}
	s->links_moves = s->moves;
}

void gate_links_sweep(struct pe_gate *g, unsigned count)
{
	for (; count-- > 0 && g->config.link_count_max; g->kept_at++) {
		struct gate_kept *k;
		struct pe_session *s;

		if (g->kept_at >= g->config.link_count_max)
			g->kept_at = 0;
		k = &g->kept[g->kept_at];
		if (!k->session_id)
			continue;
		s = pe_session_alive(g->table, k->session_id, g->now);
		if (!s || gate_principal(s) != k->principal)
			pe_worker_end_link(
				g->config.worker, PE_GATE_LINK | PE_GATE_KEPT | g->kept_at);
	}
}
