// Guarded updates twice: once one by one, by the general way, as everything goes that asks for an
// acknowledgement, and once as they come, most of them spared it. The same random stream of the
// same senders must be refused for the same reasons, leave the same of every entity, and show the
// same to everybody, at every step: owners of both kinds, areas, speeds about the limit,
// relocations, tags, precision levels, withdrawals, erasures, other directories. Seeds are printed;
// PE_TEST_SEED is added to each.
#include "detailed.h"
#include "draw.h"
#include "harness.h"
#include "internal.h"
#include "policy/principals.h"
#include "policy/views.h"
#include "watching.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

#define ENTITIES 24u
#define SPACES   4u
#define FIRST    0u // and slow
#define EARTH    1u // first, and slow
#define KEYRING  2u
#define SLOW     3u // open, and slow
#define SPEED    20.0
#define STEPS    3000u
#define ASKERS   5u

static struct harness h;

// ---- who is known ----

static const uint32_t insiders[] = {1}, friends[] = {1, 2};

static const struct pe_policy policies[] = {
	{.name = "tagged",
		.space = PE_POLICY_EVERY_SPACE,
		.tags = {{6, "secret"}},
		.tag_count = 1,
		.allow = insiders,
		.allow_count = 1},
	{.name = "coarse where tagged",
		.space = SLOW,
		.tags = {{5, "cloak"}},
		.tag_count = 1,
		.everyone = true,
		.cloak_m = 50},
	{.name = "yard where tagged",
		.space = SLOW,
		.tags = {{5, "plain"}},
		.tag_count = 1,
		.area = true,
		.low = {32, -1e6, -1e6},
		.high = {1e6, 1e6, 1e6},
		.allow = insiders,
		.allow_count = 1},
	{.name = "yard",
		.space = FIRST,
		.area = true,
		.low = {0, -1e6, -1e6},
		.high = {300, 1e6, 1e6},
		.allow = friends,
		.allow_count = 2,
		.ttl_max_ms = 400000},
	{.name = "restricted",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = friends,
		.allow_count = 2,
		.no_velocity = true},
	{.name = "blurred",
		.space = KEYRING,
		.visibility = 1u << PE_ANONYMOUS,
		.everyone = true,
		.laplace_m = 20},
	{.name = "crowds",
		.space = FIRST,
		.visibility = 1u << PE_ANONYMOUS,
		.everyone = true,
		.k = 2,
		.area_m = 400},
};

// 1 and 2 publish everywhere, 3 in a part of the first space, 4 is an administrator who publishes,
// 0 is nobody. another: 2 has lost his role, and what was his is 1's.
static void know(bool another)
{
	const struct pe_directory_grant grants[] = {
		{1, PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, PE_DIRECTORY_EVERY_SPACE,
			{0}},
		{2, PE_ROLE_QUERY | (another ? 0 : PE_ROLE_PUBLISH), PE_DIRECTORY_EVERY_SPACE, {0}},
		{3, PE_ROLE_PUBLISH, FIRST, {2, {-500, -500}, {500, 500}}},
		{3, PE_ROLE_QUERY, PE_DIRECTORY_EVERY_SPACE, {0}},
		{4, PE_ROLE_ADMIN | PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE,
			PE_DIRECTORY_EVERY_SPACE, {0}},
	};
	struct pe_directory_owned owned[6];
	struct pe_principals *directory;
	enum pe_status status;
	struct pe_error error;

	for (unsigned n = 1; n <= 6; n++) {
		owned[n - 1] = (struct pe_directory_owned){
			.bits = 128, .principal = n <= 3 || another ? 1 : 2};
		harness_id(owned[n - 1].prefix, n);
	}
	CU_ASSERT_EQUAL_FATAL(pe_principals_create(grants, 5, owned, 6, &directory, &error), PE_OK);
	status = pe_engine_principals(h.engine, directory);
	for (unsigned i = 0; status == PE_BUSY && i < 100; i++) {
		harness_settle(&h);
		status = pe_engine_principals(h.engine, directory);
	}
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
}

// ---- the stream ----

struct track {
	unsigned space;
	uint32_t who, incarnation, sequence;
	uint64_t ms;
	double at[3], home[3];
};

static struct track tracks[1 + ENTITIES];

static void begin_tracks(void)
{
	for (unsigned n = 1; n <= ENTITIES; n++) {
		struct track *t = &tracks[n];

		*t = (struct track){.space = n % SPACES,
			.who = n <= 3  ? 1 :
				n <= 6 ? 2 :
				n == 8 ? 3 : // see queue_one
					 1 + below(4),
			.incarnation = HARNESS_INCARNATION,
			.ms = h.now.wall_ms,
			.at = {between(-600, 600), between(-600, 600), between(0, 50)}};
		if (t->space == EARTH) {
			static const double places[4][2] = {
				{60.17, 24.94}, {-10, 179.9999}, {89.9999, 10}, {0.00001, -70}};

			memcpy(t->at, places[n / SPACES % 4], sizeof places[0]);
		}
		memcpy(t->home, t->at, sizeof t->home);
	}
}

// So many metres on, in a direction of its own.
static void move(struct track *t, double way)
{
	double angle = between(0, 2 * M_PI), d[3] = {way * cos(angle), way * sin(angle), 0};

	if (below(4) == 0) {
		d[2] = d[1];
		d[1] = 0;
	}
	if (t->space == EARTH) {
		double parallel = fmax(1e-7, cos(t->at[0] * M_PI / 180));

		d[0] /= 111320;
		d[1] /= 111320 * parallel;
	}
	for (unsigned i = 0; i < 3; i++)
		t->at[i] += d[i];
	if (t->space != EARTH)
		return;
	t->at[0] = fmax(-90, fmin(90, t->at[0]));
	t->at[1] = remainder(t->at[1], 360);
}

static struct pe_wire_update next_update(uint64_t n)
{
	struct track *t = &tracks[n];
	uint64_t elapsed_ms = h.now.wall_ms - t->ms;
	struct pe_wire_update u;
	// Mostly within what is possible, often at its edge; sometimes far away, and from there on.
	double most = SPEED * (double)elapsed_ms / 1000, way = between(0, most);
	bool stands = below(25) == 0;
	double before[3];

	memcpy(before, t->at, sizeof before);
	if (below(4) == 0)
		way = most * between(0.98, 1.02);
	else if (below(12) == 0 && !stands) {
		way = between(0, 1000);
		memcpy(t->at, t->home, sizeof t->at);
	}
	if (stands)
		way = 0;
	move(t, way);
	t->ms = h.now.wall_ms;
	t->sequence += 1 + (below(50) == 0);
	u = harness_update(n, t->sequence, t->at[0], t->at[1], t->at[2]);
	if (way > 2 * most && below(2)) // a glitch: the next goes on from before it
		memcpy(t->at, before, sizeof before);
	if (below(20) == 0)
		u.sequence -= below(3);
	if (below(20) == 0)
		u.time_offset_ms = -(int32_t)below(2000);
	if (below(20) == 0)
		u.attributes |= PE_ATTRIBUTE_RELOCATION;
	if (n % 7 == 0 && n % 6 != 2)
		u.attributes |= PE_RESTRICTED << 3;
	if (n % 5 == 0)
		u.attributes |= 2u << 7;
	if (n % 6 == 2)
		u.attributes |= PE_ANONYMOUS << 3;
	if (n % 11 == 0 && below(4) == 0)
		u.attributes = (uint16_t)((u.attributes & ~(3u << 3)) | PE_HIDDEN << 3);
	if (below(30) == 0)
		u.attributes ^= 1; // another state
	if (t->space == EARTH && n % 8 == 1) {
		u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
		u.position[2] = 0;
	}
	for (unsigned i = 0; i < 3; i++)
		u.velocity[i] = stands ? 0 : pe_half_from_float((float)between(-12, 12));
	if (below(10) == 0)
		u.precision_m = (float)below(30);
	if (stands)
		u.entity_type = PE_ENTITY_STATIC;
	if (below(60) == 0)
		u.duration_ms = 500;
	u.ttl_ms = below(60) ? 300000 : 3000;
	return u;
}

static void queue_detailed(uint64_t n, bool ack)
{
	static const char *const tags[] = {"", "secret", "cloak", "plain", "secret cloak"};
	struct pe_wire_update u = next_update(n);
	struct detailed d;

	u.entity_type = PE_ENTITY_MOBILE;
	detailed_begin(&d, &u);
	if (below(3))
		detailed_context(&d, "busy", tags[below(5)]);
	else
		detailed_number(&d, "load", below(9));
	(void)harness_queue_detailed(&h, tracks[n].space, tracks[n].incarnation, d.bytes,
		pe_wire_detailed_next(d.bytes), 1, ack);
}

static void queue_one(uint64_t n, bool ack)
{
	struct pe_wire_update u[4];
	unsigned count = 1 + below(4);
	struct track *t = &tracks[n];

	// Mostly its own sender, else anybody.
	h.principal = below(15) ? t->who : below(ASKERS);
	if (below(200) == 0)
		t->incarnation++;
	if (below(150) == 0)
		t->space = below(SPACES);
	// One of 3's is by the edge of what is his, again and again, so that every seed has some
	// refused for their area.
	if (n == 8 && below(5) == 0) {
		t->space = FIRST;
		t->at[0] = 490;
	}
	if (t->space == EARTH && (fabs(t->at[0]) > 90 || fabs(t->at[1]) > 180))
		t->at[0] = t->at[1] = 0;
	if (t->space == EARTH && (fabs(t->home[0]) > 90 || fabs(t->home[1]) > 180))
		t->home[0] = t->home[1] = 0;
	if (below(25) == 0) {
		queue_detailed(n, ack);
		return;
	}
	if (below(100) == 0) {
		struct pe_wire_withdraw x = {.sequence = ++t->sequence};

		harness_id(x.entity_id, n);
		(void)harness_queue_withdraws(&h, t->space, t->incarnation, &x, 1, ack);
		return;
	}
	if (below(400) == 0) {
		(void)harness_queue_erase(&h, t->space, n, 0);
		return;
	}
	// Some of the same entity, one behind the other, and of others that are in the same space.
	u[0] = next_update(n);
	for (unsigned i = 1; i < count; i++) {
		uint64_t other = below(2) ? n : 1 + below(ENTITIES);

		if (tracks[other].space != t->space || tracks[other].incarnation != t->incarnation)
			other = n;
		u[i] = next_update(other);
	}
	(void)harness_queue_updates(&h, t->space, t->incarnation, u, count, ack);
}

// ---- what is left of it ----

struct outcome {
	uint64_t counted[PE_COUNTER_COUNT];
	uint64_t seen[ASKERS][SPACES], known;
};
static struct outcome outcomes[2][STEPS];

static uint64_t digest(uint64_t sum, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < count; i++)
		sum = (sum ^ at[i]) * 0x100000001B3u;
	return sum;
}

// What each asker is shown of each space, whatever its order.
static uint64_t shown(uint32_t who, unsigned space)
{
	static struct harness_answer a;
	struct pe_wire_query q = space == EARTH ? harness_sphere(60.17, 24.94, 0, 40000) :
						  harness_sphere(0, 0, 0, 1e7);
	uint64_t sum = 0;

	h.principal = who;
	harness_ask(&h, 0, space, &q, &a);
	CU_ASSERT(a.whole);
	for (unsigned i = 0; i < a.count; i++)
		sum += digest(0xCBF29CE484222325u, &a.results[i], sizeof a.results[i]);
	return sum;
}

// What its owner knows of each entity.
static uint64_t known(void)
{
	const struct pe_table *t = &h.engine->table;
	uint64_t sum = 0;

	for (unsigned n = 1; n <= ENTITIES; n++) {
		uint8_t id[16];
		uint32_t handle;

		harness_id(id, n);
		handle = pe_index_find(&t->index, t->records, pe_hash_id(&t->index.key, id), id);
		if (handle == PE_HANDLE_NONE)
			continue;
		const struct pe_record *r = &t->records[handle];
		uint32_t status = atomic_load(&r->status);
		uint32_t words[6] = {n, status & 0xFF, PE_STATUS_SPACE(status), r->sequence,
			r->incarnation, r->time_low};

		sum += digest(0xCBF29CE484222325u, words, sizeof words);
		if (PE_STATUS_LIFE(status) == PE_LIFE_THERE)
			sum += digest(n, &r->shown, sizeof r->shown);
		if (h.engine->owners.of)
			sum += digest(n, &h.engine->owners.of[pe_handle_number(handle)], 4);
	}
	// What bounds the walks of queries.
	for (unsigned i = 0; i < SPACES; i++) {
		struct pe_space_entry *s = &h.engine->spaces[i];
		uint64_t bounds[2] = {atomic_load(&s->speed_seen), atomic_load(&s->precision_seen)};

		sum += digest(i, bounds, sizeof bounds);
		sum += digest(i, s->audience, PE_AUDIENCES_MAX * sizeof *s->audience);
	}
	return sum;
}

static void note(struct outcome *o)
{
	for (unsigned c = 0; c < PE_COUNTER_COUNT; c++)
		o->counted[c] = harness_counter(&h, c);
	for (uint32_t who = 0; who < ASKERS; who++)
		for (unsigned space = 0; space < SPACES; space++)
			o->seen[who][space] = shown(who, space);
	o->known = known();
}

#define WATCHERS (2 * SPACES)

// Who may see all of it, and who little, watch the middle of each space.
static void watch(struct watching watchers[WATCHERS])
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned space = 0; space < SPACES; space++) {
			struct watching *s = &watchers[i * SPACES + space];
			struct pe_wire_fence f = space == EARTH ?
				watching_sphere(7, 60.17, 24.94, 0, 150) :
				watching_sphere(7, 0, 0, 0, 700);

			watching_init(s, &h, space, 1 + i * SPACES + space);
			s->subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
			h.principal = i ? 4 : 1;
			watching_send(s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
			harness_turn(&h);
			watching_take(s);
			harness_settle(&h);
		}
}

// Turns and grace periods, in which all of them hear what is told, and say so.
static void settle(struct watching watchers[WATCHERS], bool watched)
{
	harness_settle(&h);
	for (unsigned turn = 0; turn < 4 && watched; turn++) {
		for (unsigned i = 0; i < WATCHERS; i++) {
			watching_take(&watchers[i]);
			h.principal = i < SPACES ? 1 : 4;
			watching_sequence(&watchers[i], PE_SUBSCRIBE_ACKNOWLEDGE, watchers[i].next);
			watching_clear(&watchers[i]);
		}
		harness_turn(&h);
		harness_control(&h);
	}
}

static void run(const struct pe_engine_config *config, unsigned seed, bool general, bool watched)
{
	struct watching watchers[WATCHERS] = {0};

	state = seed;
	harness_failed = testing_failed;
	harness_start(&h, config);
	// The same names, noise and ways between workers each time.
	memset(&h.engine->table.index.key, 0x5A, sizeof h.engine->table.index.key);
	memset(h.engine->views.key, 0x5A, sizeof h.engine->views.key);
	know(false);
	if (watched)
		watch(watchers);
	begin_tracks();
	for (uint64_t i = 0; i < testing_amount(STEPS) && i < STEPS; i++) {
		unsigned messages = 1 + below(12);

		if (below(80) == 0)
			know(below(2));
		for (unsigned m = 0; m < messages; m++) {
			h.untrusted = below(8) == 0;
			queue_one(1 + below(ENTITIES), general);
		}
		harness_turn_worker(&h, below(config->worker_count));
		h.untrusted = false;
		if (watched)
			for (unsigned k = 0; k < WATCHERS; k++)
				watching_take(&watchers[k]);
		settle(watchers, watched);
		note(&outcomes[general][i]);
		harness_advance(&h, below(10) ? 1 + below(900) : 1 + below(20000));
		settle(watchers, watched);
	}
	harness_stop(&h);
	for (unsigned i = 0; i < WATCHERS; i++)
		watching_free(&watchers[i]);
}

// What counts records is the same whichever way they went.
static bool compared(unsigned counter)
{
	return counter >= PE_COUNTER_REASON(1) || counter == PE_COUNTER_records_applied ||
		counter == PE_COUNTER_records_coalesced || counter == PE_COUNTER_believed ||
		counter == PE_COUNTER_crossings || counter == PE_COUNTER_withdrawn ||
		counter == PE_COUNTER_erased || counter == PE_COUNTER_expired ||
		counter == PE_COUNTER_trailing || counter == PE_COUNTER_details_changed ||
		counter == PE_COUNTER_events_enter || counter == PE_COUNTER_events_move ||
		counter == PE_COUNTER_events_leave || counter == PE_COUNTER_events_gap;
}

static bool same(const struct outcome *a, const struct outcome *b, uint64_t step)
{
	bool good = true;

	for (unsigned c = 0; c < PE_COUNTER_COUNT; c++)
		if (compared(c) && a->counted[c] != b->counted[c]) {
			printf("\nstep %llu: %s: %llu, and %llu one by one",
				(unsigned long long)step, pe_counter_name(c),
				(unsigned long long)a->counted[c],
				(unsigned long long)b->counted[c]);
			good = false;
		}
	for (uint32_t who = 0; who < ASKERS; who++)
		for (unsigned space = 0; space < SPACES; space++)
			if (a->seen[who][space] != b->seen[who][space]) {
				printf("\nstep %llu: principal %u sees something else of space %u",
					(unsigned long long)step, who, space);
				good = false;
			}
	if (a->known != b->known) {
		printf("\nstep %llu: what is known differs", (unsigned long long)step);
		good = false;
	}
	return good;
}

enum held { NOTHING, DISTANCE, COURSE };

static void twice(unsigned workers, enum held held, bool watched, unsigned seed)
{
	struct pe_engine_config config = harness_config();
	const struct outcome *last =
		&outcomes[0][testing_amount(STEPS) < STEPS ? testing_amount(STEPS) - 1 : STEPS - 1];
	const char *more = getenv("PE_TEST_SEED");

	seed += more ? (unsigned)strtoull(more, NULL, 0) : 0;
	config.worker_count = workers;
	config.space_count = SPACES;
	config.details_bytes = 1 << 20;
	config.views = (struct pe_views_config){.policies = policies,
		.policy_count = sizeof policies / sizeof *policies,
		.epoch_ms = PE_EPOCH_MIN_MS};
	config.spaces[KEYRING] = config.spaces[SLOW] = config.spaces[FIRST];
	memset(config.spaces[KEYRING].space.id, 0xC2, 16);
	memset(config.spaces[SLOW].space.id, 0xD3, 16);
	config.spaces[FIRST].authorization = config.spaces[EARTH].authorization =
		PE_AUTHORIZATION_FIRST;
	config.spaces[KEYRING].authorization = PE_AUTHORIZATION_KEYRING;
	for (unsigned i = 0; i < SPACES; i++) {
		if (i != KEYRING)
			config.spaces[i].speed_max_mps[PE_ENTITY_MOBILE] = (float)SPEED;
		config.spaces[i].coalesce_distance_m = held == DISTANCE ? 4 : 0;
		config.spaces[i].predict_distance_m = held == COURSE ? 4 : 0;
	}
	config.spaces[SLOW].speed_max_mps[PE_ENTITY_STATIC] = 1;
	printf("seed %u ", seed);
	if (watched) {
		config.fence_count_max = 64;
		config.member_count_max = 4096;
		config.subscription_count_max = 16;
	}
	run(&config, seed, true, watched);
	run(&config, seed, false, watched);
	for (uint64_t i = 0; i < testing_amount(STEPS) && i < STEPS; i++)
		if (!same(&outcomes[0][i], &outcomes[1][i], i)) {
			CU_FAIL("two ways, and two outcomes");
			return;
		}
	// All of it has happened.
	printf("(%llu taken, %llu implausible, %llu an other's, %llu believed) ",
		(unsigned long long)last->counted[PE_COUNTER_records_applied],
		(unsigned long long)last->counted[PE_COUNTER_REASON(PE_REASON_implausible)],
		(unsigned long long)last->counted[PE_COUNTER_REASON(PE_REASON_owner)],
		(unsigned long long)last->counted[PE_COUNTER_believed]);
	if (watched)
		printf("(%llu came, %llu began anew) ",
			(unsigned long long)last->counted[PE_COUNTER_events_enter],
			(unsigned long long)last->counted[PE_COUNTER_events_gap]);
	CU_ASSERT(last->counted[PE_COUNTER_records_applied] > 500);
	CU_ASSERT(last->counted[PE_COUNTER_REASON(PE_REASON_implausible)] > 50);
	CU_ASSERT(last->counted[PE_COUNTER_REASON(PE_REASON_owner)] > 50);
	CU_ASSERT(last->counted[PE_COUNTER_REASON(PE_REASON_area)] > 5);
	CU_ASSERT(last->counted[PE_COUNTER_believed] > 5);
	CU_ASSERT(held == NOTHING || last->counted[PE_COUNTER_records_coalesced] > 50);
	CU_ASSERT(!watched || last->counted[PE_COUNTER_events_enter] > 50);
}

static void plain(void)
{
	twice(1, NOTHING, false, 20261126);
	twice(1, NOTHING, false, 20261127);
}

static void covered(void)
{
	twice(1, DISTANCE, false, 20261128);
}

static void on_course(void)
{
	twice(1, COURSE, false, 20261129);
}

static void watched(void)
{
	twice(1, NOTHING, true, 20261201);
	twice(1, DISTANCE, true, 20261202);
}

static void two_workers(void)
{
	twice(2, NOTHING, false, 20261130);
}

TESTING_MAIN("model: guarded", {"plain", plain}, {"covered", covered}, {"on course", on_course},
	{"watched", watched}, {"two workers", two_workers})
