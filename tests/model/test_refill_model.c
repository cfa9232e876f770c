// Every table filled and emptied again and again, at random, over one worker and over two that hand
// over: entities that move, cross, are held back by thresholds, caps and courses, that last, are
// veiled, tagged, placed in others' frames, suspected, withdrawn, erased and evicted, and watched
// by more fences than there is room for. After each round everything is taken away, and then every
// pool is as it was at the start; what went in the first time goes in the last time. PE_TEST_SEED
// repeats a run.
#include "detailed.h"
#include "harness.h"
#include "internal.h"
#include "policy/principals.h"
#include "testing.h"
#include "watch.h"
#include "watching.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define ENTITIES 500u
#define IDS      900u
#define SPACES   4u
#define FIGURES  40u
#define ROUNDS   10u

static struct harness h;
static uint64_t seed;
static uint32_t sequence;
static unsigned wrong, round_number;

struct run {
	unsigned workers;
	enum pe_when_full when_full;
	bool poor; // small tables of all kinds
};

static unsigned below(unsigned n)
{
	return (unsigned)(testing_random(&seed) % n);
}

#define EXPECT(what, ...) \
	do { \
		if (!(what) && wrong++ < 10) { \
			printf("\n%s:%d: %s, round %u: ", __FILE__, __LINE__, #what, \
				round_number); \
			printf(__VA_ARGS__); \
		} \
	} while (0)

static void failed(const char *what, const char *file, int line)
{
	if (wrong++ < 10)
		printf("\n%s:%d: %s, round %u", file, line, what, round_number);
}

// ---- what is in use ----

struct figures {
	const char *name[FIGURES];
	uint64_t value[FIGURES];
	unsigned count;
};

static void note(struct figures *f, const char *name, uint64_t value)
{
	f->name[f->count] = name;
	f->value[f->count++] = value;
}

static uint32_t free_handles(void)
{
	struct pe_table *t = &h.engine->table;
	uint32_t count = 0;
	uint32_t chain = (uint32_t)atomic_load(&t->store);

	while (chain != PE_HANDLE_NONE) {
		for (uint32_t n = chain; n != PE_HANDLE_NONE; n = t->records[n].wheel.next)
			count++;
		chain = (uint32_t)t->records[chain].shown.word;
	}
	for (unsigned i = 0; i < h.worker_count; i++)
		count += h.engine->workers[i]->handles.count;
	return count;
}

static uint32_t free_links(const struct pe_frames *f)
{
	uint32_t count = 0;

	for (uint32_t at = f->free; f->links && at != PE_FRAME_NONE;
		at = f->links[at].next_of_child)
		count++;
	return count;
}

static uint32_t free_waiting(const struct pe_watch *x)
{
	uint32_t count = 0;

	for (uint32_t at = x->waiting_free; at != PE_WATCH_NONE; at = x->waiting[at].chain)
		count++;
	return count;
}

static struct figures figures(void)
{
	const struct pe_engine *e = h.engine;
	struct figures f = {0};
	uint64_t not_free = 0;

	note(&f, "entities", pe_engine_entity_count(e));
	for (uint32_t i = 0; i < e->config.entity_count_max; i++)
		not_free += PE_STATUS_LIFE(atomic_load(
				    &e->table.records[pe_handle_nth(i)].status)) != PE_LIFE_FREE;
	note(&f, "records", not_free);
	note(&f, "free handles", free_handles());
	note(&f, "fences", atomic_load(&e->watch->fence_count));
	note(&f, "fence bytes", atomic_load(&e->watch->fence_bytes));
	note(&f, "subscriptions", atomic_load(&e->watch->subscription_count));
	for (unsigned i = 0; i < h.worker_count; i++) {
		struct pe_worker *w = e->workers[i];
		uint64_t used = 0, suspects = 0;

		note(&f, "pending", w->pending.used);
		note(&f, "owed", w->pending.owed);
		note(&f, "held", w->held.count);
		note(&f, "details", w->arena.used + w->arena.retired_count);
		for (unsigned p = 0; w->parcels.parcels && p < PE_PARCELS; p++)
			used += atomic_load(&w->parcels.parcels[p].used);
		note(&f, "parcels", used);
		note(&f, "free links", free_links(&w->frames));
		for (uint32_t s = 0; s < w->suspects.set_count * PE_SUSPECT_WAYS; s++)
			suspects += w->suspects.suspects[s].handle != PE_HANDLE_NONE;
		note(&f, "suspects", suspects);
		note(&f, "deferred", pe_grid_deferred(e->grid, i));
		note(&f, "members", pe_member_use(w->watch->members).members);
		note(&f, "fences here", pe_fence_use(w->watch->index).fences);
		note(&f, "placements", pe_fence_use(w->watch->index).placements);
		note(&f, "free waiting", free_waiting(w->watch));
		note(&f, "kept", w->watch->kept);
		note(&f, "in flight", pe_worker_in_flight(w));
	}
	if (e->places.of)
		for (unsigned p = 0; p < PE_PUBLISHERS; p++)
			if (atomic_load(&e->places.count[p]))
				note(&f, "places", atomic_load(&e->places.count[p]));
	return f;
}

// ---- what goes in ----

static void fill(struct pe_wire_update *u, unsigned space)
{
	static const uint16_t frequencies[] = {0, 0, 0, 1, 600, 60, 65535};

	*u = harness_update(1 + below(IDS), ++sequence, 0, 0, 0);
	if (space == 1) {
		u->position[0] = 60 + below(1000) * 1e-4;
		u->position[1] = 24 + below(1000) * 1e-4;
	} else {
		u->position[0] = below(4) ? (int)below(300) : (int)below(200000) - 100000;
		u->position[1] = below(4) ? (int)below(300) : (int)below(200000) - 100000;
		u->position[2] = below(10);
	}
	u->ttl_ms = below(5) == 0 ? 1 + below(50) : below(5) ? 5000 + below(60000) : 0;
	u->velocity[0] = below(3) ? 0 : 0x3C00;
	if (below(4) == 0)
		u->duration_ms = 1 + below(3000);
	u->frequency = frequencies[below(7)];
	u->update_frequency = (uint16_t)(below(4) ? 0 : 60);
	u->attributes = (uint16_t)(below(5) ? 0 : PE_STATE_BUSY);
	u->entity_type = (uint8_t)(below(5) ? PE_ENTITY_MOBILE : below(2) ? PE_ENTITY_STATIC : 130);
	if (below(6) == 0)
		u->attributes |= (uint16_t)(below(4) << 3);
	if (below(6) == 0)
		u->attributes |= (uint16_t)(below(5) << 7);
	if (below(10) == 0)
		u->radius_m = 50;
}

static void add_details(struct detailed *d)
{
	static const char *tags[] = {"", "ward", "ward night", "day"};
	static uint8_t payload[512];
	struct pe_wire_schedule schedule = {
		.opening_ms = h.now.wall_ms, .period_ms = 2000, .open_for_ms = 700};
	struct pe_wire_scope scope = {0};
	uint8_t id[16];

	if (below(3) == 0)
		detailed_orientation(d, 0, 0, 0, 1);
	if (below(2) == 0)
		detailed_context(d, "walking", tags[below(4)]);
	if (below(4) == 0)
		detailed_put(d, PE_DETAILS_SCHEDULE, &schedule, below(3) ? sizeof schedule : 0);
	if (below(3) == 0) {
		harness_id(id, 1 + below(IDS));
		detailed_put(d, PE_DETAILS_FRAME, id, below(5) ? sizeof id : 0);
	}
	if (below(3) == 0)
		detailed_put(d, PE_DETAILS_PAYLOAD, payload, below(200));
	if (below(8) == 0) {
		scope.resolution_m = 25;
		detailed_put(d, PE_DETAILS_SCOPE, &scope, below(4) ? sizeof scope : 0);
	}
}

static void queue_some(void)
{
	unsigned messages = 1 + below(20);

	for (unsigned m = 0; m < messages; m++) {
		unsigned space = below(SPACES), count = 1 + below(8);

		h.principal = below(3) ? below(4) : 0;
		h.network = (uint8_t)below(4);
		h.untrusted = below(2);
		h.port = (uint16_t)(1000 + below(5));
		switch (below(10)) {
		case 0: {
			struct pe_wire_withdraw x[PE_UPDATE_COUNT_MAX];

			for (unsigned i = 0; i < count; i++) {
				x[i] = (struct pe_wire_withdraw){.sequence = ++sequence};
				harness_id(x[i].entity_id, 1 + below(IDS));
			}
			harness_queue_withdraws(&h, space, HARNESS_INCARNATION, x, count, below(2));
			break;
		}
		case 1:
			if (below(3) == 0)
				harness_queue_erase(&h, space, 1 + below(IDS), 0);
			break;
		case 2:
		case 3:
		case 4: {
			struct pe_wire_update u;
			struct detailed d;
			uint8_t records[PE_WIRE_BYTES_MAX];
			uint32_t bytes = 0;
			unsigned n = 0;

			while (n < 3) {
				uint32_t length;

				fill(&u, space);
				if (below(8) == 0)
					u.entity_type = PE_ENTITY_RECURRING;
				detailed_begin(&d, &u);
				add_details(&d);
				length = pe_wire_detailed_next(d.bytes);
				if (bytes + length + 104 > PE_WIRE_BYTES_MAX)
					break;
				memcpy(records + bytes, d.bytes, length);
				bytes += length;
				n++;
			}
			harness_queue_detailed(
				&h, space, HARNESS_INCARNATION, records, bytes, n, below(2));
			break;
		}
		default: {
			struct pe_wire_update u[PE_UPDATE_COUNT_MAX];

			for (unsigned i = 0; i < count; i++)
				fill(&u[i], space);
			harness_queue_updates(&h, space, HARNESS_INCARNATION, u, count, below(2));
			break;
		}
		}
	}
	h.principal = 0;
	h.network = 0;
	h.untrusted = false;
	h.port = 40000;
}

static void subscribe(struct watching *s)
{
	struct pe_wire_fence fences[4];

	for (unsigned i = 0; i < 4; i++) {
		fences[i] = watching_sphere(1 + i, below(300), below(300), 0, 20 + below(400));
		fences[i].enter_ms = below(2) ? 0 : below(500);
		fences[i].leave_ms = below(2) ? 0 : below(500);
		if (below(4) == 0) {
			fences[i].flags = PE_FENCE_FOLLOW;
			memset(fences[i].query.a, 0, sizeof fences[i].query.a);
			harness_id(fences[i].follow_id, 1 + below(IDS));
		}
	}
	s->subscribe.epoch++;
	s->subscribe.flags = (uint16_t)(below(2) ? PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_PAYLOADS : 0);
	s->subscribe.window = (uint16_t)(below(2) ? 0 : 16);
	s->subscribe.expiration_ms = 500 + below(20000);
	watching_send(s, PE_SUBSCRIBE_OPEN, fences, 4, NULL, 0);
}

static void turn(void)
{
	harness_turn_worker(&h, below(h.worker_count));
	for (unsigned i = 0; i < h.worker_count; i++)
		if (below(3) == 0)
			harness_turn_worker(&h, i);
	if (below(3))
		harness_control(&h);
	if (below(3) == 0) {
		uint64_t ms = below(20) ? below(5) : below(3000);

		h.now.mono_ms += ms;
		// Clocks are set, too.
		h.now.wall_ms += ms;
		if (below(300) == 0)
			h.now.wall_ms = (uint64_t)(HARNESS_INCARNATION + 2) * 1000 + below(7200000);
	}
}

// Everybody goes: withdrawn, or by time.
static void empty(bool withdraw)
{
	harness_settle(&h);
	for (unsigned n = 1; withdraw && n <= IDS; n++) {
		for (unsigned space = 0; space < SPACES; space++) {
			struct pe_wire_withdraw x = {.sequence = UINT32_MAX - IDS + n};

			harness_id(x.entity_id, n);
			harness_queue_withdraws(&h, space, HARNESS_INCARNATION + 1, &x, 1, false);
		}
		harness_turn(&h);
		if (n % 8 == 0)
			harness_settle(&h);
	}
	harness_settle(&h);
	if (withdraw)
		EXPECT(pe_engine_entity_count(h.engine) == 0, "%" PRIu64,
			pe_engine_entity_count(h.engine));
	for (unsigned i = 0; i < 60; i++) {
		harness_advance(&h, 2000);
		harness_settle(&h);
	}
}

static void compare(const struct figures *before)
{
	struct figures after = figures();

	EXPECT(after.count == before->count, "%u figures, and %u", before->count, after.count);
	for (unsigned i = 0; i < after.count && i < before->count; i++)
		EXPECT(after.value[i] == before->value[i], "%s (%u): %" PRIu64 ", and %" PRIu64,
			after.name[i], i, before->value[i], after.value[i]);
}

// As many as there is room for, side by side.
static unsigned room(void)
{
	unsigned taken = 0;

	for (unsigned n = 1; n <= 2 * ENTITIES; n++) {
		struct pe_wire_update u =
			harness_update(10000 + n, ++sequence, n % 30, n / 30 % 30, 0);
		struct pe_wire_ack_record ack;

		u.ttl_ms = 1000;
		ack = harness_send(&h, 0, HARNESS_INCARNATION, &u);
		taken += ack.status == PE_ACK_APPLIED;
	}
	harness_settle(&h);
	EXPECT(taken > 0 && pe_engine_entity_count(h.engine) <= ENTITIES, "%u", taken);
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 1001);
		harness_settle(&h);
	}
	return taken;
}

static void play(const struct run *r)
{
	static const uint32_t allow[] = {1, 2};
	static const struct pe_policy policies[] = {
		{.name = "area",
			.space = 0,
			.area = true,
			.low = {100, 0, -10},
			.high = {200, 100, 100},
			.everyone = true,
			.cloak_m = 50},
		{.name = "blur",
			.space = PE_POLICY_EVERY_SPACE,
			.visibility = 1u << PE_RESTRICTED,
			.allow = allow,
			.allow_count = 2,
			.laplace_m = 20},
		{.name = "tag",
			.space = 2,
			.everyone = true,
			.no_velocity = true,
			.tag_count = 1,
			.tags = {{4, "ward"}}},
	};
	struct pe_engine_config config = harness_config();
	struct watching watchers[3];
	struct figures before;
	unsigned turns = (unsigned)testing_amount(1500) + 100, taken[ROUNDS];

	harness_failed = failed;
	wrong = 0;
	sequence = 0;
	config.entity_count_max = ENTITIES;
	config.worker_count = r->workers;
	config.when_full = r->when_full;
	config.details_bytes = r->poor ? 64 << 10 : 4 << 20;
	config.pending_count_max = r->poor ? 40 : 0;
	config.cell_count_max = r->poor ? 60 : 0;
	config.node_count_max = r->poor ? 100 : 0;
	config.chunk_count_max = r->poor ? 80 : 0;
	config.ring_records = 64;
	config.tombstone_ms = 900;
	config.fence_count_max = r->poor ? 8 : 16;
	config.member_count_max = r->poor ? 30 : 1000;
	config.subscription_count_max = r->poor ? 2 : 4;
	config.event_count_max = 64;
	config.network_entity_max = 100;
	config.principal_entity_max = 150;
	config.views = (struct pe_views_config){
		.policies = policies, .policy_count = sizeof policies / sizeof *policies};
	config.views.epoch_ms = PE_EPOCH_MIN_MS;
	config.space_count = SPACES;
	for (unsigned i = 2; i < SPACES; i++) {
		config.spaces[i] = config.spaces[0];
		memset(config.spaces[i].space.id, (int)(0xC0 + i), 16);
		snprintf(config.spaces[i].space.name, sizeof config.spaces[i].space.name, "s%u", i);
	}
	for (unsigned i = 0; i < SPACES; i++)
		config.spaces[i].ttl_max_ms = 100000;
	config.spaces[0].coalesce_distance_m = 20;
	config.spaces[1].coalesce_interval_ms = 700;
	config.spaces[1].coalesce_distance_m = 5;
	config.spaces[2].predict_distance_m = 10;
	config.spaces[2].predict_horizon_ms = 3000;
	config.spaces[3].speed_max_mps[1] = 50;
	harness_start(&h, &config);
	for (unsigned i = 0; i < 3; i++) {
		watching_init(&watchers[i], &h, i, 1 + i);
		watchers[i].port = (uint16_t)(2000 + i);
	}
	before = figures();
	for (round_number = 0; round_number < ROUNDS; round_number++) {
		for (unsigned i = 0; i < turns; i++) {
			queue_some();
			if (below(50) == 0)
				subscribe(&watchers[below(3)]);
			turn();
		}
		empty(round_number & 1);
		compare(&before);
		harness_check(&h);
		taken[round_number] = room();
		EXPECT(taken[round_number] == taken[0] || r->workers > 1 || r->when_full,
			"%u went in, and %u", taken[0], taken[round_number]);
		compare(&before);
	}
	harness_stop(&h);
	for (unsigned i = 0; i < 3; i++)
		watching_free(&watchers[i]);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void all(void)
{
	static const struct run runs[] = {
		{1, PE_FULL_REFUSE, false},
		{1, PE_FULL_REFUSE, true},
		{2, PE_FULL_REFUSE, false},
		{2, PE_FULL_REFUSE, true},
		{1, PE_FULL_LEAST_RECENT, false},
		{2, PE_FULL_LOWEST_PRIORITY, true},
	};

	const char *given = getenv("PE_TEST_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 8;

	printf("seed 0x%" PRIX64 " (PE_TEST_SEED) ", first);
	fflush(stdout);
	for (unsigned i = 0; i < sizeof runs / sizeof *runs; i++) {
		seed = first + i;
		play(&runs[i]);
	}
}

TESTING_MAIN("model: refill", {"filled and emptied", all})
