// A burst's messages are taken: checked, counted, sorted by kind, updates before withdrawals before
// queries — (incarnation, sequence) decides between the first two whatever their order, and a query
// may as well see what came beside it. Their records become changes in the worker's batch. The
// ordinary packet's way is compiled by itself; whatever is rare about a record is looked at apart.
#include "answer.h"
#include "veil.h"

#include "base/stages.h"

// The space a message names; PE_SPACES_MAX: not held here. Nil is the first.
static unsigned space_of(const struct pe_engine *e, const uint8_t id[16])
{
	if (pe_wire_id_nil(id))
		return 0;
	for (unsigned i = 0; i < e->config.space_count; i++)
		if (memcmp(e->spaces[i].space.config.id, id, 16) == 0)
			return i;
	return PE_SPACES_MAX;
}

static enum pe_reason check_message(
	struct pe_worker *w, const struct pe_message *m, struct pe_wire_view *view, unsigned *space)
{
	enum pe_reason reason = pe_wire_check(m->data, m->bytes, view);

	*space = 0;
	if (reason)
		return reason;
	switch (view->header.type) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		// A sender that started in our future would lock its entities against its own next
		// life.
		if (view->body.update.incarnation * 1000ull > w->newest_ms)
			return PE_REASON_incarnation_future;
		break;
	case PE_TYPE_ERASE:
		// It would lock them as well.
		if (view->body.erase.incarnation * 1000ull > w->newest_ms)
			return PE_REASON_incarnation_future;
		break;
	case PE_TYPE_SPATIAL_QUERY:
		break;
	case PE_TYPE_EXPLAIN:
		if (view->body.explain.selector == PE_EXPLAIN_FENCE && !m->peer.trusted)
			return PE_REASON_not_trusted;
		break;
	case PE_TYPE_STATE_REQUEST:
		return pe_authorize_counters(w, &m->peer) ? PE_REASON_none : PE_REASON_not_trusted;
	case PE_TYPE_REGION_SUBSCRIBE:
		// A subscription sends more than it was asked for.
		if (!m->peer.trusted)
			return PE_REASON_not_trusted;
		break;
	default:
		return PE_REASON_none;
	}
	*space = space_of(w->engine, view->header.space_id);
	return *space == PE_SPACES_MAX ? PE_REASON_space_unknown : PE_REASON_none;
}

// What is said of a change by the packet that it is of: in registers, from where it is stored with
// each of its records as it is.
struct about {
	__m128i first; // `about`'s first two words
	uint64_t third;
};

static inline struct about about(const struct pe_worker *w, enum pe_change_kind kind,
	unsigned space, uint32_t incarnation, uint32_t ack, uint16_t publisher)
{
	uint64_t who = incarnation | (uint64_t)PE_HANDLE_NONE << 32,
		 what = ack | (uint64_t)kind << 32 | (uint64_t)space << 40 |
		(uint64_t)w->index << 56;

	return (struct about){.first = _mm_set_epi64x((int64_t)what, (int64_t)who),
		.third = PE_WAY_GENERAL | (uint64_t)publisher << 16};
}
static_assert(offsetof(struct pe_change, handle) == offsetof(struct pe_change, about) + 4 &&
		offsetof(struct pe_change, ack) == offsetof(struct pe_change, about) + 8 &&
		offsetof(struct pe_change, kind) == offsetof(struct pe_change, about) + 12 &&
		offsetof(struct pe_change, space) == offsetof(struct pe_change, about) + 13 &&
		offsetof(struct pe_change, owner) == offsetof(struct pe_change, about) + 15 &&
		offsetof(struct pe_change, way) == offsetof(struct pe_change, about) + 16 &&
		offsetof(struct pe_change, publisher) == offsetof(struct pe_change, about) + 18,
	"where about's words have what they say");

static inline void say(struct pe_change *c, struct about a)
{
	_mm_storeu_si128((__m128i *)(void *)c->about, a.first);
	c->about[2] = a.third;
}

// One that is taken by itself.
static inline struct pe_change said(struct about a)
{
	struct pe_change c = {.record = NULL};

	say(&c, a);
	return c;
}

static inline void describe(const struct pe_worker *w, struct pe_change *c, uint64_t time_ms)
{
	c->time_ms = time_ms;
	c->hash = pe_hash_id(&w->engine->table.index.key, c->update.entity_id);
}

// Event time against our clock, both ways: what is a day old cannot be told from what comes next in
// 32 bits, and is late.
static enum pe_reason check_time(const struct pe_worker *w, uint64_t time_ms)
{
	if (time_ms > w->newest_ms)
		return PE_REASON_future;
	if (time_ms + PE_TTL_MAX_MS < w->wall_ms)
		return PE_REASON_late;
	return PE_REASON_none;
}

static void refuse_record(struct pe_worker *w, uint32_t ack, enum pe_reason reason)
{
	pe_count_reason(&w->counters, reason, 1);
	if (ack != PE_ACK_NONE)
		w->acks[ack] = pe_wire_ack_record(PE_ACK_REFUSED, reason);
}

void pe_note_precision(struct pe_space_entry *s, float precision_m)
{
	uint32_t bits, seen = atomic_load_explicit(&s->precision_seen, memory_order_relaxed);

	precision_m += 0.0f;                      // −0 becomes 0
	memcpy(&bits, &precision_m, sizeof bits); // ≥ 0: orders like its bits
	while (bits > seen &&
		!atomic_compare_exchange_weak_explicit(&s->precision_seen, &seen, bits,
			memory_order_relaxed, memory_order_relaxed))
		;
}

// The velocities in the space bound the walk of queries about a later moment. Only ever grow, an
// axis at a time.
__attribute__((noinline, cold)) void pe_note_speed(struct pe_space_entry *s, uint64_t lanes)
{
	uint64_t seen = atomic_load_explicit(&s->speed_seen, memory_order_relaxed), wider;

	do {
		wider = 0;
		for (unsigned shift = 0; shift < 48; shift += 16) {
			uint64_t a = seen >> shift & 0x7FFF, b = lanes >> shift & 0x7FFF;

			wider |= (a > b ? a : b) << shift;
		}
		wider |= PE_WIRE_SPEED_LANES;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->speed_seen, &seen, wider, memory_order_relaxed, memory_order_relaxed));
}

// What bounds walks of who is told as much as was said.
static void note_bounds(struct pe_space_entry *s, const struct pe_change *c, uint64_t lanes)
{
	pe_note_precision(s, c->update.precision_m);
	if (pe_wire_speed_above(lanes, atomic_load_explicit(&s->speed_seen, memory_order_relaxed)))
		pe_note_speed(s, lanes);
}

static inline struct pe_wire_seen seen_in(const struct pe_space_entry *s)
{
	return (struct pe_wire_seen){
		.speed_lanes = atomic_load_explicit(&s->speed_seen, memory_order_relaxed),
		.precision_bits = atomic_load_explicit(&s->precision_seen, memory_order_relaxed)};
}

// What the records of a packet have in common.
struct packet {
	uint64_t sent_ms; // header timestamp
	uint32_t incarnation;
	unsigned space;
	uint32_t ack; // of the first record; or PE_ACK_NONE
	const struct pe_peer *peer;
	uint16_t publisher;
};

// Sound as an ordinary record is, but for who may see it and how fast it is. False:
// pe_wire_check_update decides.
static inline bool is_sound(const struct pe_space_entry *s, struct pe_wire_update *u)
{
	const uint16_t wish = u->attributes & PE_ATTRIBUTES_VEIL;
	bool sound;

	u->attributes ^= wish;
	sound = pe_wire_ordinary_record(u, &s->ordinary, PE_WIRE_SPEED_LANES_ANY);
	u->attributes ^= wish;
	return sound && PE_ATTRIBUTE_PRECISION_LEVEL(wish) <= PE_PRECISION_LEVEL_MAX;
}

// Nothing but a newer state, which its space's way is for?
static inline bool is_plain(const struct pe_space_entry *s, const struct pe_wire_update *u)
{
	return (u->entity_type == PE_ENTITY_MOBILE) &
		!((pe_wire_frequencies(u) & s->frequencies) | u->duration_ms);
}

// A record that is not ordinary: is it sound, may its sender say it, who may see it, how fast is
// it? In a space that is guarded none is ordinary; what is judged there is what was said, before
// anything of it is veiled. True: it has been seen to, since it was refused, or veiled, or is to
// be: what is known of such a one bounds only the walks of those who may see it.
__attribute__((noinline)) static bool take_rare(struct pe_worker *w, struct pe_space_entry *s,
	const struct pe_peer *peer, struct pe_change *c, uint32_t ack)
{
	uint64_t lanes = pe_wire_speed_lanes(c->update.velocity);
	enum pe_reason reason = PE_REASON_none;
	bool plain = false;

	if (!is_sound(s, &c->update))
		reason = pe_wire_check_update(&c->update, &s->limits);
	if (!reason && s->guarded)
		reason = pe_authorize_change(w, s, peer, c, false);
	if (!reason)
		reason = check_time(w, c->time_ms);
	if (!reason && (s->veils | (c->update.attributes & PE_ATTRIBUTES_VEIL)))
		reason = pe_veil_update(w, s, c, peer->principal, false, &plain);
	if (reason) {
		refuse_record(w, ack, reason);
		return true;
	}
	if (!(c->update.attributes & (PE_PUBLISHED_VEILED | PE_CHANGE_OPEN))) {
		note_bounds(s, c, lanes);
		return false;
	}
	if (!c->update.ttl_ms)
		c->update.ttl_ms = s->policy.ttl_default_ms;
	if (plain && ack == PE_ACK_NONE && is_plain(s, &c->update))
		c->way = s->way;
	w->batch.veiled |= !!(c->update.attributes & PE_PUBLISHED_VEILED);
	pe_apply_add(w);
	return true;
}

static inline uint16_t publisher_of(const struct pe_worker *w, const struct pe_message *m)
{
	const struct pe_places *places = &w->engine->places;

	return __builtin_expect(places->of != NULL, 0) ? pe_places_publisher(places, &m->peer) :
							 PE_PUBLISHER_NONE;
}

// Of a space in which no record is ordinary.
static void take_looked(
	struct pe_worker *w, struct packet packet, const uint8_t *records, unsigned count);

// Inlined where it is called: the ordinary packet's acknowledgement that is not asked for then
// costs nothing.
__attribute__((always_inline)) static inline void take_updates(struct pe_worker *w,
	struct packet packet, const uint8_t *records, unsigned count, const bool looked)
{
	struct pe_space_entry *s = &w->engine->spaces[packet.space];

	if (!looked && __builtin_expect(s->looked, 0)) {
		take_looked(w, packet, records, count);
		return;
	}

	const uint64_t wall_ms = w->wall_ms;
	const uint8_t way = packet.ack == PE_ACK_NONE ? s->way : PE_WAY_GENERAL;
	const struct about common = about(w, PE_CHANGE_UPDATE, packet.space, packet.incarnation,
		packet.ack, packet.publisher);
	struct pe_wire_seen seen = seen_in(s);
	uint32_t ack = packet.ack;

	pe_count(&w->counters, PE_COUNTER_records_carried, count);
	for (unsigned i = 0; i < count;
		i++, records += sizeof(struct pe_wire_update), ack += ack != PE_ACK_NONE) {
		struct pe_change *c = pe_apply_next(w);
		struct pe_wire_lanes lanes = pe_wire_load_record(records);
		enum pe_reason reason;

		pe_wire_store_record(&c->update, &lanes);
		describe(w, c, pe_wire_event_ms(packet.sent_ms, c->update.time_offset_ms, wall_ms));
		say(c, common);
		c->ack = ack;
		if (looked || !pe_wire_ordinary_lanes(&lanes, &c->update, &s->ordinary, seen)) {
			if (take_rare(w, s, packet.peer, c, ack))
				continue;
			seen = seen_in(s);
		}
		reason = check_time(w, c->time_ms);
		if (reason) {
			refuse_record(w, ack, reason);
			continue;
		}
		if (is_plain(s, &c->update))
			c->way = way;
		if (!c->update.ttl_ms)
			c->update.ttl_ms = s->policy.ttl_default_ms;
		pe_apply_add(w);
	}
}

static void take_looked(
	struct pe_worker *w, struct packet packet, const uint8_t *records, unsigned count)
{
	take_updates(w, packet, records, count, true);
}

// An ordinary packet, without a view of it. False: it is not ordinary, and nothing was done.
static inline bool take_ordinary(struct pe_worker *w, const struct pe_message *m)
{
	const uint8_t *data = m->data;
	unsigned count = pe_wire_ordinary_packet(data, m->bytes);
	struct packet packet;

	if (!count)
		return false;
	packet = (struct packet){
		.sent_ms = pe_wire_word(data + offsetof(struct pe_wire_header, timestamp_ms)),
		.incarnation = (uint32_t)pe_wire_word(data + sizeof(struct pe_wire_header) +
			offsetof(struct pe_wire_update_preamble, incarnation)),
		.space = space_of(w->engine, data + offsetof(struct pe_wire_header, space_id)),
		.ack = PE_ACK_NONE,
		.peer = &m->peer,
		.publisher = publisher_of(w, m),
	};
	if (packet.space == PE_SPACES_MAX || packet.incarnation * 1000ull > w->newest_ms)
		return false;
	data += sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble);
	take_updates(w, packet, data, count, false);
	return true;
}

// One by one: each is in order behind what came before it, and none covers another.
static void take_detailed(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned space, uint32_t ack)
{
	struct pe_space_entry *s = &w->engine->spaces[space];
	const uint8_t *record = view->records;

	pe_count(&w->counters, PE_COUNTER_records_carried, view->count);
	pe_apply_flush(w);
	for (unsigned i = 0; i < view->count; i++, record += pe_wire_detailed_next(record)) {
		uint32_t at = ack == PE_ACK_NONE ? ack : ack + i;
		struct pe_wire_limits limits = s->limits;
		struct pe_change c = said(about(w, PE_CHANGE_DETAILED, space,
			view->body.update.incarnation, at, publisher_of(w, m)));
		struct pe_details_blocks blocks;
		enum pe_reason reason;
		uint64_t lanes;
		bool plain;

		memcpy(&c.update, record + sizeof(struct pe_wire_details), sizeof c.update);
		lanes = pe_wire_speed_lanes(c.update.velocity);
		c.record = record;
		describe(w, &c,
			pe_wire_event_ms(
				view->header.timestamp_ms, c.update.time_offset_ms, w->wall_ms));
		reason = pe_wire_check_detailed(record, &blocks);
		// Metres in a parent's frame, on Earth too.
		limits.geodetic &= !blocks.bytes[PE_DETAILS_FRAME];
		if (!reason)
			reason = pe_wire_check_update(&c.update, &limits);
		if (!reason && s->guarded)
			reason = pe_authorize_change(
				w, s, &m->peer, &c, blocks.bytes[PE_DETAILS_FRAME] != 0);
		if (!reason)
			reason = check_time(w, c.time_ms);
		if (!reason && (s->veils | (c.update.attributes & PE_ATTRIBUTES_VEIL)))
			reason = pe_veil_update(w, s, &c, m->peer.principal,
				blocks.bytes[PE_DETAILS_FRAME] != 0, &plain);
		if (reason) {
			refuse_record(w, at, reason);
			continue;
		}
		if (!c.update.ttl_ms)
			c.update.ttl_ms = s->policy.ttl_default_ms;
		if (c.update.attributes & (PE_PUBLISHED_VEILED | PE_CHANGE_OPEN)) {
			pe_apply_detailed(w, &c);
			continue;
		}
		note_bounds(s, &c, lanes);
		pe_apply_detailed(w, &c);
	}
}

static void take_withdrawals(struct pe_worker *w, const struct pe_peer *peer,
	const struct pe_wire_view *view, unsigned space, uint32_t ack)
{
	const struct pe_space_entry *s = &w->engine->spaces[space];

	pe_count(&w->counters, PE_COUNTER_records_carried, view->count);
	for (unsigned i = 0; i < view->count; i++) {
		uint32_t at = ack == PE_ACK_NONE ? ack : ack + i;
		struct pe_change c = said(about(w, PE_CHANGE_WITHDRAW, space,
			view->body.update.incarnation, at, PE_PUBLISHER_NONE));
		struct pe_wire_withdraw x;
		enum pe_reason reason;

		pe_wire_get_withdraw(view, i, &x);
		reason = pe_wire_check_withdraw(&x);
		memcpy(c.update.entity_id, x.entity_id, sizeof x.entity_id);
		c.update.sequence = x.sequence;
		describe(w, &c,
			pe_wire_event_ms(view->header.timestamp_ms, x.time_offset_ms, w->wall_ms));
		if (!reason && s->authorizes)
			reason = pe_authorize_change(w, s, peer, &c, false);
		if (!reason)
			reason = check_time(w, c.time_ms);
		if (reason)
			refuse_record(w, at, reason);
		else
			pe_apply_withdraw(w, &c);
	}
}

static void take_erase(struct pe_worker *w, const struct pe_peer *peer,
	const struct pe_wire_view *view, unsigned space, uint32_t ack)
{
	const struct pe_wire_erase *erase = &view->body.erase;
	struct pe_change c =
		said(about(w, PE_CHANGE_ERASE, space, erase->incarnation, ack, PE_PUBLISHER_NONE));
	enum pe_reason reason;

	pe_count(&w->counters, PE_COUNTER_records_carried, 1);
	memcpy(c.update.entity_id, erase->entity_id, sizeof c.update.entity_id);
	describe(w, &c, w->wall_ms);
	reason = pe_wire_id_nil(erase->entity_id) ?
		PE_REASON_id_nil :
		pe_authorize_erase(w, &w->engine->spaces[space], peer, &c);
	if (reason)
		refuse_record(w, ack, reason);
	else
		pe_apply_erase(w, &c);
}

static void count_carried(struct pe_worker *w, uint8_t type)
{
	switch (type) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
		pe_count(&w->counters, PE_COUNTER_carried_update, 1);
		break;
	case PE_TYPE_WITHDRAW:
		pe_count(&w->counters, PE_COUNTER_carried_withdraw, 1);
		break;
	case PE_TYPE_SPATIAL_QUERY:
		pe_count(&w->counters, PE_COUNTER_carried_query, 1);
		break;
	case PE_TYPE_EXPLAIN:
		pe_count(&w->counters, PE_COUNTER_carried_explain, 1);
		break;
	case PE_TYPE_ERASE:
		pe_count(&w->counters, PE_COUNTER_carried_erase, 1);
		break;
	case PE_TYPE_PING:
		pe_count(&w->counters, PE_COUNTER_carried_ping, 1);
		break;
	case PE_TYPE_REGION_SUBSCRIBE:
		pe_count(&w->counters, PE_COUNTER_carried_subscribe, 1);
		break;
	default:
		pe_count(&w->counters, PE_COUNTER_carried_state, 1);
		break;
	}
}

// A message's queries are carried on. What they have in their priority, joined by or: 0 = all are
// NORMAL.
static unsigned note_queries(struct pe_worker *w, const struct pe_wire_view *view)
{
	const uint8_t *at = view->records + offsetof(struct pe_wire_query, priority);
	unsigned any = 0;

	for (unsigned i = 0; i < view->count; i++, at += sizeof(struct pe_wire_query))
		any |= *at;
	pe_count(&w->counters, PE_COUNTER_queries_carried, view->count);
	return any;
}

void pe_take_messages(struct pe_worker *w, const struct pe_message *messages, unsigned count)
{
	uint8_t space[PE_BURST_MAX], kind[PE_BURST_MAX];
	unsigned ordinary = 0, classes = 0;
	uint32_t acks = 0;

	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_view *v = &w->views[i];
		enum pe_reason reason;
		unsigned s;

		kind[i] = 0;
		w->view_acks[i] = PE_ACK_NONE;
		if (take_ordinary(w, &messages[i])) {
			ordinary++;
			continue;
		}
		reason = check_message(w, &messages[i], v, &s);
		space[i] = (uint8_t)s;
		if (reason) {
			pe_count_reason(&w->counters, reason, 1);
			pe_answer_refusal(w, &messages[i], v, reason);
			continue;
		}
		kind[i] = v->header.type;
		count_carried(w, kind[i]);
		if (kind[i] == PE_TYPE_SPATIAL_QUERY)
			classes |= note_queries(w, v);
		if ((v->header.flags & PE_FLAG_ACK) || kind[i] == PE_TYPE_ERASE) {
			w->view_acks[i] = acks;
			acks += v->count;
		}
		if (kind[i] == PE_TYPE_SPATIAL_UPDATE)
			take_updates(w,
				(struct packet){v->header.timestamp_ms, v->body.update.incarnation,
					s, w->view_acks[i], &messages[i].peer,
					publisher_of(w, &messages[i])},
				v->records, v->count, false);
		else if (kind[i] == PE_TYPE_DETAILED_UPDATE)
			take_detailed(w, &messages[i], v, s, w->view_acks[i]);
	}
	pe_count(&w->counters, PE_COUNTER_carried_update, ordinary);
	pe_apply_flush(w);
	if (ordinary == count)
		return;
	for (unsigned i = 0; i < count; i++)
		if (kind[i] == PE_TYPE_WITHDRAW)
			take_withdrawals(
				w, &messages[i].peer, &w->views[i], space[i], w->view_acks[i]);
	for (unsigned i = 0; i < count; i++)
		if (kind[i] == PE_TYPE_ERASE)
			take_erase(w, &messages[i].peer, &w->views[i], space[i], w->view_acks[i]);
	if (classes)
		pe_priority_answer(w, messages, kind, space, count);
	for (unsigned i = 0; i < count; i++) {
		if (kind[i] == PE_TYPE_ERASE)
			pe_answer_erased(w, &messages[i], &w->views[i], &w->acks[w->view_acks[i]]);
		else if (w->view_acks[i] != PE_ACK_NONE)
			pe_answer_ack(w, &messages[i], &w->views[i], &w->acks[w->view_acks[i]]);
		else if (kind[i] == PE_TYPE_SPATIAL_QUERY && !classes) {
			unsigned first = i;

			while (i + 1 < count && kind[i + 1] == PE_TYPE_SPATIAL_QUERY)
				i++;
			pe_answer_queries(w, &messages[first], &w->views[first], &space[first],
				NULL, i + 1 - first);
		} else if (kind[i] == PE_TYPE_PING)
			pe_answer_pong(w, &messages[i], &w->views[i]);
		else if (kind[i] == PE_TYPE_EXPLAIN)
			pe_answer_explain(w, &messages[i], &w->views[i], space[i]);
		else if (kind[i] == PE_TYPE_STATE_REQUEST)
			pe_answer_state(w, &messages[i], &w->views[i]);
		else if (kind[i] == PE_TYPE_REGION_SUBSCRIBE)
			pe_watch_subscribe(w, &messages[i], &w->views[i], space[i]);
	}
}
