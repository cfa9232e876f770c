#include "door.h"

#include "guard/bucket.h"

#include <stdlib.h>
#include <sys/random.h>

#define NETWORK_SETS 4096
#define PRINCIPALS   16385 // the numbers that a keyring gives, and 0

enum kind { UPDATES, QUERIES, BYTES_OUT, KINDS };

struct lane { // a worker's
	struct pe_bucket_table networks[KINDS];
	uint64_t replies; // bucket
	unsigned shed;
} __attribute__((aligned(64)));

struct pe_door {
	struct pe_rate source[KINDS], principal[KINDS], total[KINDS], replies;
	// the total for strangers: not as deep, so that what they leave is the others'
	struct pe_rate total_low[KINDS];
	bool by_principal;
	unsigned lane_count;
	struct lane *lanes;
	// written and read: all workers, relaxed
	_Atomic uint64_t *principals; // [principal × KINDS + kind]; NULL = they have no budget
	_Alignas(64) _Atomic uint64_t all[KINDS];
};

static bool limits(const struct pe_door_budget *b)
{
	return b->updates > 0 || b->queries > 0 || b->bytes_out > 0;
}

bool pe_door_wanted(const struct pe_door_config *config)
{
	return limits(&config->source) || limits(&config->principal) || limits(&config->total) ||
		config->sheds;
}

static enum pe_status make_rates(const struct pe_door_budget *b, double burst_s, double least_times,
	struct pe_rate rates[KINDS])
{
	const double per_second[KINDS] = {b->updates, b->queries, b->bytes_out};

	for (unsigned k = 0; k < KINDS; k++) {
		double least =
			least_times * (k == BYTES_OUT ? PE_DOOR_BYTES_MIN : PE_DOOR_RECORDS_MIN);
		double burst = per_second[k] * burst_s;

		if (pe_rate_make(per_second[k], burst > least ? burst : least, &rates[k]) != PE_OK)
			return PE_RANGE;
	}
	return PE_OK;
}

static enum pe_status make_lanes(struct pe_door *d, const struct pe_door_config *config)
{
	uint32_t sets = config->network_sets ? config->network_sets : NETWORK_SETS;
	uint8_t key[64];

	if (getrandom(key, sizeof key, 0) != sizeof key)
		return PE_IO;
	d->lanes = aligned_alloc(64, d->lane_count * sizeof *d->lanes); // cold: start
	if (!d->lanes)
		return PE_NO_MEMORY;
	memset(d->lanes, 0, d->lane_count * sizeof *d->lanes);
	for (unsigned w = 0; w < d->lane_count; w++)
		for (unsigned k = 0; k < KINDS; k++) {
			struct pe_bucket_table *t = &d->lanes[w].networks[k];
			enum pe_status status;

			if (!d->source[k].period)
				continue;
			status = pe_bucket_table_create(t, sets, &d->source[k], key);
			if (status != PE_OK)
				return status;
		}
	return PE_OK;
}

enum pe_status pe_door_create(
	const struct pe_door_config *config, unsigned worker_count, struct pe_door **door)
{
	struct pe_door *d = aligned_alloc(64, sizeof *d); // cold: start
	double burst_s = config->burst_s > 0 ? config->burst_s : 1;
	enum pe_status status = PE_NO_MEMORY;

	*door = NULL;
	if (!d)
		return PE_NO_MEMORY;
	memset(d, 0, sizeof *d);
	d->lane_count = worker_count;
	d->by_principal = limits(&config->principal);
	if (make_rates(&config->source, burst_s, 1, d->source) != PE_OK ||
		make_rates(&config->principal, burst_s, 1, d->principal) != PE_OK ||
		make_rates(&config->total, burst_s, 2, d->total) != PE_OK ||
		pe_rate_make(PE_DOOR_REPLIES, PE_DOOR_REPLIES / 10, &d->replies) != PE_OK) {
		status = PE_RANGE;
		goto fail;
	}
	for (unsigned k = 0; k < KINDS; k++)
		// Bytes may go into debt by as much again.
		d->total_low[k] = (struct pe_rate){
			d->total[k].period, d->total[k].depth / (k == BYTES_OUT ? 4 : 2)};
	if (d->by_principal) {
		// cold: start
		d->principals = calloc((size_t)PRINCIPALS * KINDS, sizeof *d->principals);
		if (!d->principals)
			goto fail;
	}
	status = make_lanes(d, config);
	if (status != PE_OK)
		goto fail;
	*door = d;
	return PE_OK;
fail:
	pe_door_destroy(d);
	return status;
}

void pe_door_destroy(struct pe_door *door)
{
	if (!door)
		return;
	for (unsigned w = 0; door->lanes && w < door->lane_count; w++)
		for (unsigned k = 0; k < KINDS; k++)
			if (door->lanes[w].networks[k].sets)
				pe_bucket_table_destroy(&door->lanes[w].networks[k]);
	free(door->lanes);      // cold: end
	free(door->principals); // cold: end
	free(door);             // cold: end
}

void pe_door_shed(struct pe_door *door, unsigned worker, unsigned classes)
{
	door->lanes[worker].shed = classes;
}

// ---- whose bucket ----

static _Atomic uint64_t *of_principal(
	const struct pe_door *d, const struct pe_peer *peer, enum kind kind)
{
	return d->principals && peer->principal && d->principal[kind].period ?
		&d->principals[peer->principal % PRINCIPALS * KINDS + kind] :
		NULL;
}

// Who is known, or trusted by configuration, has nothing to do with the network that it writes
// from.
static uint64_t *of_network(struct pe_door *d, unsigned worker, const struct pe_peer *peer,
	enum kind kind, uint64_t now_ns)
{
	if (peer->principal || peer->trusted || !d->source[kind].period)
		return NULL;
	return pe_bucket_table_find(&d->lanes[worker].networks[kind], peer->address, now_ns);
}

static const struct pe_rate *of_all(
	const struct pe_door *d, const struct pe_peer *peer, enum kind kind)
{
	return peer->trusted || peer->principal ? &d->total[kind] : &d->total_low[kind];
}

static enum pe_reason take(struct pe_door *d, unsigned worker, const struct pe_peer *peer,
	enum kind kind, uint32_t cost, uint64_t now_ns)
{
	uint64_t *network = of_network(d, worker, peer, kind, now_ns);
	_Atomic uint64_t *principal = of_principal(d, peer, kind);

	if (network && !pe_bucket_take(network, &d->source[kind], now_ns, cost))
		return PE_REASON_rate_source;
	if (principal && !pe_bucket_take_shared(principal, &d->principal[kind], now_ns, cost))
		return PE_REASON_rate_principal;
	if (d->total[kind].period &&
		!pe_bucket_take_shared(&d->all[kind], of_all(d, peer, kind), now_ns, cost))
		return PE_REASON_rate_total;
	return PE_REASON_none;
}

static bool owes(struct pe_door *d, unsigned worker, const struct pe_peer *peer, uint64_t now_ns,
	unsigned debts)
{
	uint64_t *network = of_network(d, worker, peer, BYTES_OUT, now_ns);
	_Atomic uint64_t *principal = of_principal(d, peer, BYTES_OUT);

	return (network && pe_bucket_owes(*network, &d->source[BYTES_OUT], now_ns, debts)) ||
		(principal &&
			pe_bucket_owes(atomic_load_explicit(principal, memory_order_relaxed),
				&d->principal[BYTES_OUT], now_ns, debts)) ||
		(d->total[BYTES_OUT].period &&
			pe_bucket_owes(
				atomic_load_explicit(&d->all[BYTES_OUT], memory_order_relaxed),
				of_all(d, peer, BYTES_OUT), now_ns, debts));
}

bool pe_door_may_send(
	struct pe_door *door, unsigned worker, const struct pe_peer *peer, uint64_t mono_ms)
{
	return !owes(door, worker, peer, mono_ms * 1000000, 1);
}

void pe_door_sent(struct pe_door *door, unsigned worker, const struct pe_peer *peer, uint32_t bytes,
	uint64_t mono_ms)
{
	uint64_t now_ns = mono_ms * 1000000;
	uint64_t *network = of_network(door, worker, peer, BYTES_OUT, now_ns);
	_Atomic uint64_t *principal = of_principal(door, peer, BYTES_OUT);

	if (network)
		pe_bucket_draw(network, &door->source[BYTES_OUT], now_ns, bytes);
	if (principal)
		pe_bucket_draw_shared(principal, &door->principal[BYTES_OUT], now_ns, bytes);
	if (door->total[BYTES_OUT].period)
		pe_bucket_draw_shared(
			&door->all[BYTES_OUT], &door->total[BYTES_OUT], now_ns, bytes);
}

// ---- what a message is ----

struct errand {
	enum kind kind; // KINDS: not the door's business
	uint32_t cost;
	bool sheddable;
};

static uint16_t count_of(const struct pe_message *m)
{
	uint16_t count;

	memcpy(&count, m->data + offsetof(struct pe_wire_header, count), sizeof count);
	return count;
}

static struct errand errand_of(const struct pe_message *m)
{
	struct errand e = {.kind = KINDS, .cost = 1};

	if (m->bytes < sizeof(struct pe_wire_header) || m->data[0] != PE_WIRE_VERSION)
		return e;
	switch (m->data[offsetof(struct pe_wire_header, type)]) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		e.kind = UPDATES;
		e.cost = count_of(m);
		break;
	case PE_TYPE_SPATIAL_QUERY:
		e.sheddable = true;
		e.kind = QUERIES;
		e.cost = count_of(m);
		break;
	case PE_TYPE_EXPLAIN:
	case PE_TYPE_REGION_SUBSCRIBE:
		e.sheddable = true;
		e.kind = QUERIES;
		break;
	case PE_TYPE_PING:
	case PE_TYPE_STATE_REQUEST:
		e.kind = QUERIES;
		break;
	default:
		break;
	}
	// A count that is no message's is refused behind the door, and pays for itself only.
	if (e.cost == 0 || e.cost > PE_DOOR_RECORDS_MIN)
		e.cost = 1;
	return e;
}

// Does whoever sent it wait for a word?
static bool waits(const struct pe_message *m)
{
	if (m->data[offsetof(struct pe_wire_header, type)] == PE_TYPE_PING)
		return false;
	return errand_of(m).kind != UPDATES ||
		(m->data[offsetof(struct pe_wire_header, flags)] & PE_FLAG_ACK);
}

// Its rank among the classes: that of its highest question, and of a stranger NORMAL at most.
static unsigned rank_of(const struct pe_message *m)
{
	static const uint8_t rank_of_class[4] = {[PE_PRIORITY_LOW] = 0,
		[PE_PRIORITY_NORMAL] = 1,
		[PE_PRIORITY_HIGH] = 2,
		[PE_PRIORITY_CRITICAL] = 3};
	uint32_t at = sizeof(struct pe_wire_header) + offsetof(struct pe_wire_query, priority);
	unsigned rank = 0, count = count_of(m);

	if (m->data[offsetof(struct pe_wire_header, type)] != PE_TYPE_SPATIAL_QUERY)
		return 1;
	for (unsigned i = 0; i < count && at < m->bytes; i++, at += sizeof(struct pe_wire_query)) {
		unsigned of_this = rank_of_class[m->data[at] & 3];

		rank = of_this > rank ? of_this : rank;
	}
	return rank > 1 && !m->peer.trusted && !m->peer.principal ? 1 : rank;
}

static enum pe_reason judge(
	struct pe_door *d, unsigned worker, const struct pe_message *m, uint64_t now_ns)
{
	struct errand e = errand_of(m);
	enum pe_reason reason;

	if (e.kind == KINDS)
		return PE_REASON_none;
	reason = take(d, worker, &m->peer, e.kind, e.cost, now_ns);
	if (!reason && e.kind == QUERIES && owes(d, worker, &m->peer, now_ns, 0))
		reason = PE_REASON_bandwidth;
	if (!reason && e.sheddable && rank_of(m) < d->lanes[worker].shed)
		reason = PE_REASON_shed_query;
	return reason;
}

unsigned pe_door_admit(struct pe_door *door, unsigned worker, struct pe_message *messages,
	unsigned count, uint64_t mono_ms, struct pe_door_refused *refused, unsigned *refused_count)
{
	struct lane *lane = &door->lanes[worker];
	uint64_t now_ns = mono_ms * 1000000;
	unsigned kept = 0, out = 0;

	for (unsigned i = 0; i < count; i++) {
		enum pe_reason reason = judge(door, worker, &messages[i], now_ns);

		if (!reason) {
			if (kept != i)
				messages[kept] = messages[i];
			kept++;
			continue;
		}
		refused[out++] = (struct pe_door_refused){messages[i], reason,
			reason != PE_REASON_bandwidth && waits(&messages[i]) &&
				pe_bucket_take(&lane->replies, &door->replies, now_ns, 1)};
	}
	*refused_count = out;
	return kept;
}
