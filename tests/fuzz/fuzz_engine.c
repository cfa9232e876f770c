// libFuzzer target of the whole packet path through the façade: an input is a little program of
// messages, turns, clock steps and grace periods for a small engine. Messages are exact-size heap
// copies, so that a sanitizer sees a read past the end. The harness aborts when a reply is not
// sound, when a peer that is not trusted got more bytes than it sent, when a buffer is not given
// back, and at the end when an identity does not hold or an emptied engine is not empty. An input
// that begins with the protocol's version is one datagram.
#include "fuzz/grid_in_use.h"
#include "fuzz/input.h"
#include "internal.h"
#include "policy/principals.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

static struct harness *h;
static uint64_t last_cursor[2];

static void put_raw(struct fuzz_input *in)
{
	uint32_t bytes = (uint32_t)fuzz_take(in, 2) % 2048;

	if (bytes > in->left)
		bytes = (uint32_t)in->left;
	harness_queue(h, in->at, bytes);
	in->at += bytes;
	in->left -= bytes;
}

static void put_small(struct fuzz_input *in)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, 0, 0);
	struct pe_wire_ping ping = {{1, 2}};
	struct pe_wire_state_request state = {
		.selector = PE_STATE_COUNTERS, .first = (uint16_t)fuzz_take(in, 1)};

	harness_queue(h, buffer,
		state.first & 1 ?
			pe_wire_put_ping(buffer, sizeof buffer, &header, &ping) :
			pe_wire_put_state_request(buffer, sizeof buffer, &header, &state));
}

static void turn(void)
{
	harness_turn(h);
	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;
		struct pe_wire_answer answer;
		const uint8_t *results;
		uint32_t offset = 0;

		if (pe_wire_check_reply(h->replies[i].data, h->replies[i].bytes, &v) !=
				PE_REASON_none ||
			v.header.type != PE_TYPE_SPATIAL_RESPONSE)
			continue;
		while (pe_wire_next_answer(&v, &offset, &answer, &results))
			if (answer.flags & PE_ANSWER_TRUNCATED)
				memcpy(last_cursor, answer.cursor, sizeof last_cursor);
	}
}

static void step(struct fuzz_input *in)
{
	// The longest is beyond all lives and caps; the wall clock's, beyond what is a day old.
	static const uint64_t mono_steps[] = {1, 10, 100, 1000, 30000, 65535, 70000, 10000000};
	static const uint64_t wall_steps[] = {1, 10, 100, 1000, 30000, 65535, 3000000, 100000000};
	uint8_t op = (uint8_t)fuzz_take(in, 1);
	unsigned space = op >> 3 & 1;

	if (h->queue_count == PE_BURST_MAX)
		turn();
	h->port = (uint16_t)(1 + (op >> 4 & 3));
	h->untrusted = op >> 6 & 1;
	h->principal = op >> 4 & 3;
	switch (op & 7) {
	case 0:
		if (op & 128)
			fuzz_put_subscribe(h, in, space);
		else
			put_raw(in);
		return;
	case 1:
		fuzz_put_updates(h, in, space);
		return;
	case 2:
		if (op & 128)
			fuzz_put_detailed(h, in, space);
		else
			fuzz_put_updates(h, in, space);
		return;
	case 3:
		if (op & 128)
			fuzz_put_erase(h, in, space);
		else
			fuzz_put_withdraws(h, in, space);
		return;
	case 4:
		fuzz_put_queries(h, in, space, last_cursor);
		return;
	case 5:
		put_small(in);
		return;
	case 6: // the clocks, each for itself; the wall's goes back too
		if (op & 8)
			h->now.mono_ms += mono_steps[op >> 4 & 7];
		else
			h->now.wall_ms +=
				op & 128 ? -wall_steps[op >> 4 & 7] : wall_steps[op >> 4 & 7];
		turn();
		return;
	default:
		h->buffers_refused = (op & 0xF0) == 0xF0;
		turn();
		if (op & 8)
			harness_control(h);
		return;
	}
}

#define TTL_MAX_MS   65535u
#define TOMBSTONE_MS 1000u

static struct pe_engine_config small(uint8_t kind)
{
	struct pe_engine_config c = harness_config();

	c.entity_count_max = kind & 1 ? 64 : 300; // numbers of entities are bytes
	// Emptying looks at every cell and node that was ever in use.
	c.cell_count_max = kind & 1 ? 20 : 200;
	c.node_count_max = kind & 1 ? 50 : 400;
	c.query_results_max = kind & 2 ? 5 : 200;
	c.query_cells_max = kind & 2 ? 3 : 0;
	c.pending_count_max = kind & 1 ? 3 : 100;
	c.details_bytes = kind & 2 ? 4096 : 65536;
	c.tombstone_ms = TOMBSTONE_MS;
	c.fence_count_max = kind & 1 ? 8 : 64;
	c.member_count_max = kind & 2 ? 20 : 2000;
	c.subscription_count_max = 6;
	c.event_count_max = 32;
	c.spaces[0].ttl_max_ms = c.spaces[1].ttl_max_ms = TTL_MAX_MS;
	if (kind & 4) {
		c.spaces[0].coalesce_distance_m = 5;
		c.spaces[0].coalesce_interval_ms = 200;
		c.spaces[1].coalesce_distance_m = 5;
		c.spaces[1].frequency_default = 600;
	}
	if (kind & 2) {
		c.spaces[0].predict_distance_m = c.spaces[1].predict_distance_m = 5;
		c.spaces[0].predict_horizon_ms = 5000;
	}
	if (kind & 8) {
		c.spaces[0].authorization = PE_AUTHORIZATION_FIRST;
		c.spaces[0].owner_memory_ms = TOMBSTONE_MS * 3 / 2;
		c.spaces[0].speed_max_mps[PE_ENTITY_MOBILE] = 100;
		c.spaces[1].authorization =
			kind & 1 ? PE_AUTHORIZATION_OPEN : PE_AUTHORIZATION_KEYRING;
		c.spaces[1].speed_max_mps[PE_ENTITY_MOBILE] = kind & 4 ? 100 : 0;
	}
	return c;
}

// Principal 1 may everything, 2 within areas, 3 is an administrator; a few entities are 1's and
// 2's.
static void know(struct harness *e)
{
	const struct pe_directory_grant grants[] = {
		{1, 7, PE_DIRECTORY_EVERY_SPACE, {0}},
		{2, 7, 0, {2, {-1000, -1000}, {1000, 1000}}},
		{2, 15, 1, {3, {-45, 170, -100}, {80, -10, 1000}}},
		{3, 8, PE_DIRECTORY_EVERY_SPACE, {0}},
	};
	struct pe_directory_owned owned[16];
	struct pe_principals *directory;
	struct pe_error error;

	for (unsigned i = 0; i < 16; i++) {
		owned[i] = (struct pe_directory_owned){.bits = 128, .principal = 1 + (i & 1)};
		harness_id(owned[i].prefix, 1 + i);
	}
	HARNESS_CHECK(pe_principals_create(grants, 4, owned, 16, &directory, &error) == PE_OK);
	HARNESS_CHECK(pe_engine_principals(e->engine, directory) == PE_OK);
}

// Making an engine takes far longer than running an input, so that there is one of each kind, which
// is emptied after each input.
static struct harness engines[16];
static uint64_t records_seen[16]; // when it was emptied: without a record there is nothing to empty

static struct harness *engine_of(uint8_t kind)
{
	struct harness *e = &engines[kind & 15];

	if (e->engine) {
		pe_worker_attach(pe_engine_worker(e->engine, 0));
	} else {
		struct pe_engine_config config = small(kind);

		harness_start(e, &config);
		know(e);
	}
	e->principal = 0;
	e->now.wall_ms = (uint64_t)HARNESS_INCARNATION * 1000 + 500000;
	// Raw messages carry records that the harness does not know of.
	e->sent_records = e->sent_queries = 1ull << 60;
	return e;
}

static void check_empty(void)
{
	const struct pe_table *t = &h->engine->table;
	const struct pe_worker *w = pe_engine_worker(h->engine, 0);

	for (uint32_t i = 0; i < t->entity_count_max; i++)
		HARNESS_CHECK(
			PE_STATUS_LIFE(atomic_load_explicit(&t->records[pe_handle_nth(i)].status,
				memory_order_relaxed)) == PE_LIFE_FREE);
	HARNESS_CHECK(w->pending.used == 0 && w->pending.owed == 0);
	HARNESS_CHECK(w->handles.retired_count == 0);
	for (uint32_t i = 0; i < w->suspects.set_count * PE_SUSPECT_WAYS; i++)
		HARNESS_CHECK(w->suspects.suspects[i].handle == PE_HANDLE_NONE);
	HARNESS_CHECK(w->arena.used == 0 && w->arena.retired_count == 0);
	HARNESS_CHECK(pe_grid_deferred(h->engine->grid, 0) == 0);
	HARNESS_CHECK(fuzz_grid_in_use(h->engine->grid) == 0);
}

static void end_subscriptions(void)
{
	struct pe_watch *x = pe_engine_worker(h->engine, 0)->watch;

	if (!x->kept)
		return;
	h->now.mono_ms += PE_SUBSCRIPTION_LEASE_MAX_MS;
	for (unsigned i = 0; i < 10000 && x->kept; i++) {
		harness_turn(h);
		h->now.mono_ms++;
	}
	HARNESS_CHECK(!x->kept && !x->number_count && !x->jobs_first && !x->orders_first);
	HARNESS_CHECK(pe_member_use(x->members).members == 0);
	HARNESS_CHECK(pe_fence_use(x->index).fences == 0 && pe_fence_use(x->index).placements == 0);
	HARNESS_CHECK(atomic_load(&h->engine->watch->fence_count) == 0 &&
		atomic_load(&h->engine->watch->fence_bytes) == 0);
	harness_check(h);
}

// Everything expires and is forgotten; nothing may be left of it, or the engines would fill up
// unnoticed.
static void empty(void)
{
	uint64_t carried = HARNESS_COUNTER(h, records_carried);

	h->buffers_refused = false;
	harness_check(h);
	if (carried != records_seen[h - engines]) {
		records_seen[h - engines] = carried;
		h->now.mono_ms += TTL_MAX_MS;
		harness_settle(h);
		HARNESS_CHECK(pe_engine_entity_count(h->engine) == 0);
		h->now.mono_ms += 2 * TOMBSTONE_MS;
		harness_settle(h);
		h->now.mono_ms += TOMBSTONE_MS; // owners are remembered longer
		harness_settle(h);
		check_empty();
	}
	end_subscriptions();
	pe_worker_detach(pe_engine_worker(h->engine, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct fuzz_input in = {input, size};
	uint8_t kind = size ? input[0] : 0;

	memset(last_cursor, 0, sizeof last_cursor);
	h = engine_of(kind == PE_WIRE_VERSION ? 0 : kind >> 4);
	if (kind == PE_WIRE_VERSION) {
		h->untrusted = size & 1;
		harness_queue(h, input, (uint32_t)size);
		turn();
	} else {
		(void)fuzz_take(&in, 1);
		while (in.left)
			step(&in);
		turn();
	}
	empty();
	return 0;
}
