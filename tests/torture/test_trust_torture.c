// Two workers that publish, withdraw, erase, ask and subscribe for principals who are refused now
// and then, while the directory of principals is swapped as fast as its grace periods let it. What
// must hold all the while: in the space of first broadcasts nobody but who came first is ever seen
// to have published an entity; who may ask about an area only sees nothing beyond it. At the end
// the identities hold exactly and agree with what was sent. Under AddressSanitizer a directory that
// is destroyed too early is met, under ThreadSanitizer one that is not whole yet.
#include "driving.h"
#include "policy/principals.h"
#include "wire/subscribe.h"

#define IDS        400u
#define FIRST      0u
#define KEYRING    1u
#define PRINCIPALS 2u // who publish: 1 and 2. 3 asks about an area, 4 is an administrator
#define AREA_M     200.0

static _Atomic uint32_t incarnation = HARNESS_INCARNATION;
// of FIRST: who was seen to have published it
static _Atomic uint8_t publisher[1 + IDS];

struct driver {
	struct driving d;
	uint64_t results, erased;
	bool within; // the answers of this turn are of who may ask about an area only
	unsigned space;
};

// ---- what comes back ----

static void take_result(struct driver *d, const struct pe_wire_result *r)
{
	uint64_t n = harness_id_number(r->entity_id);
	uint8_t nobody = 0;

	EXPECT(n >= 1 && n <= IDS && r->status_confidence >= 1 &&
		r->status_confidence <= PRINCIPALS);
	d->results++;
	if (d->within)
		EXPECT(r->position[0] >= 0 && r->position[0] <= AREA_M);
	if (d->space != FIRST || n < 1 || n > IDS)
		return;
	if (!atomic_compare_exchange_strong(&publisher[n], &nobody, r->status_confidence))
		EXPECT(nobody == r->status_confidence);
}

static void driving_takes(
	struct driving *driving, const uint8_t *data, const struct pe_wire_view *v)
{
	struct driver *d = (struct driver *)driving;
	struct pe_wire_answer a;
	struct pe_wire_erased e;
	const uint8_t *results;
	uint32_t offset = 0;

	(void)data;
	if (v->header.type == PE_TYPE_ERASED) {
		pe_wire_get_erased(v, &e);
		d->erased += e.status == PE_ACK_APPLIED;
	}
	if (v->header.type != PE_TYPE_SPATIAL_RESPONSE)
		return;
	while (pe_wire_next_answer(v, &offset, &a, &results))
		for (unsigned i = 0; i < a.result_count; i++) {
			struct pe_wire_result r;

			pe_wire_get_result(results, i, &r);
			take_result(d, &r);
		}
}

// ---- messages ----

static struct pe_wire_header header_of(struct driver *d, unsigned space)
{
	struct pe_wire_header header = {
		.stream_id = d->d.index, .sequence = ++d->d.header_sequence};

	memset(header.space_id, space == FIRST ? 0xA0 : 0xB1, sizeof header.space_id);
	return header;
}

static void publish(struct driver *d)
{
	unsigned space = below(&d->d, 2), count = 1 + below(&d->d, PE_UPDATE_COUNT_MAX);
	uint32_t who = 1 + below(&d->d, PRINCIPALS);
	struct pe_wire_header header = header_of(d, space);
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, atomic_load(&incarnation));
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];

	for (unsigned i = 0; i < count; i++) {
		// Each id in one space, or all of them would be there in the first one.
		u[i] = harness_update(1 + below(&d->d, IDS / 2) * 2 + space,
			atomic_fetch_add(&shared_sequence, 1), below(&d->d, 400), below(&d->d, 400),
			0);
		u[i].ttl_ms = 1 + below(&d->d, 2000);
		u[i].status_confidence = (uint8_t)who;
	}
	header.flags = below(&d->d, 2) ? PE_FLAG_ACK : 0;
	driving_add(&d->d,
		pe_wire_put_update(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &preamble, u, count),
		who);
	d->d.records += count;
}

static void withdraw(struct driver *d)
{
	unsigned space = below(&d->d, 2);
	struct pe_wire_header header = header_of(d, space);
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, atomic_load(&incarnation));
	struct pe_wire_withdraw x = {.sequence = atomic_fetch_add(&shared_sequence, 1)};

	harness_id(x.entity_id, 1 + below(&d->d, IDS / 2) * 2 + space);
	driving_add(&d->d,
		pe_wire_put_withdraw(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &preamble, &x, 1),
		1 + below(&d->d, PRINCIPALS));
	d->d.records++;
}

static void erase(struct driver *d)
{
	unsigned space = below(&d->d, 2);
	struct pe_wire_header header = header_of(d, space);
	struct pe_wire_erase e = {.incarnation = 0};

	harness_id(e.entity_id, 1 + below(&d->d, IDS / 2) * 2 + space);
	driving_add(&d->d, pe_wire_put_erase(driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &e),
		below(&d->d, 2) ? 4 : 1 + below(&d->d, PRINCIPALS));
	d->d.records++;
	// So that what was erased may come back some time.
	if (below(&d->d, 16) == 0)
		atomic_fetch_add(&incarnation, 1);
}

static void ask(struct driver *d, unsigned space, uint32_t who)
{
	struct pe_wire_header header = header_of(d, space);
	const double low[3] = {0, -10, -10}, high[3] = {who == 3 ? AREA_M : 400, 410, 10};
	struct pe_wire_query q = harness_box(low, high);

	d->space = space;
	d->within = who == 3;
	driving_add(&d->d,
		pe_wire_put_query(driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &q, 1), who);
	d->d.queries++;
}

static void subscribe(struct driver *d)
{
	struct pe_wire_header header = header_of(d, KEYRING);
	const struct pe_wire_subscribe s = {
		.subscription_id = 1, .epoch = 1 + below(&d->d, 1000), .op = PE_SUBSCRIBE_OPEN};
	const double low[3] = {0, 0, -10}, high[3] = {50, 50, 10};
	const struct pe_wire_fence f = {.fence_id = 1, .query = harness_box(low, high)};

	driving_add(&d->d,
		pe_wire_put_subscribe(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &s, &f, 1, NULL, 0),
		1 + below(&d->d, 4));
}

// ---- threads ----

static void *run_worker(void *context)
{
	struct driver *d = context;
	struct pe_worker *w = pe_engine_worker(engine, d->d.index);

	pe_worker_attach(w);
	while (!atomic_load(&draining)) {
		for (unsigned i = 1 + below(&d->d, 8); i; i--)
			publish(d);
		if (below(&d->d, 4) == 0)
			withdraw(d);
		if (below(&d->d, 8) == 0)
			erase(d);
		if (below(&d->d, 64) == 0)
			subscribe(d);
		driving_turn(&d->d);
		ask(d, below(&d->d, 2), 1 + below(&d->d, 4));
		driving_turn(&d->d);
	}
	while (!atomic_load(&stop_workers))
		driving_turn(&d->d);
	pe_worker_detach(w);
	return NULL;
}

// Everyone may something else each time; in KEYRING ids go from one to the other.
static struct pe_principals *some_directory(unsigned round)
{
	struct pe_directory_owned owned[IDS / 2];
	const struct pe_directory_grant all[] = {
		{1, PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, PE_DIRECTORY_EVERY_SPACE,
			{0}},
		{2, PE_ROLE_PUBLISH | PE_ROLE_QUERY, PE_DIRECTORY_EVERY_SPACE, {0}},
		{3, PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, PE_DIRECTORY_EVERY_SPACE,
			{2, {0, -100}, {AREA_M, 500}}},
		{4, PE_ROLE_ADMIN, PE_DIRECTORY_EVERY_SPACE, {0}},
	};
	struct pe_principals *directory = NULL;
	struct pe_error error;

	for (unsigned i = 0; i < IDS / 2; i++) {
		owned[i] = (struct pe_directory_owned){
			.bits = 128, .principal = 1 + ((i ^ round) & 1)};
		harness_id(owned[i].prefix, 2 + 2 * i);
	}
	EXPECT(pe_principals_create(all + (round % 5 == 4), 4 - (round % 5 == 4), owned,
		       round % 7 ? IDS / 2 : 10, &directory, &error) == PE_OK);
	return directory;
}

// Has what this is about happened?
static bool enough(void)
{
	uint64_t v[PE_COUNTER_COUNT];

	pe_engine_counters(engine, v);
	return v[PE_COUNTER_query_results] > 100 && v[PE_COUNTER_erased] > 5 &&
		v[PE_COUNTER_records_applied] > 100 && v[PE_COUNTER_records_forwarded] > 20 &&
		v[PE_COUNTER_REASON(PE_REASON_owner)] > 50 &&
		v[PE_COUNTER_REASON(PE_REASON_role)] > 0 &&
		v[PE_COUNTER_REASON(PE_REASON_query_role)] > 0;
}

static void another_directory_all_the_while(void)
{
	static struct driver drivers[DRIVERS];
	struct pe_engine_config config = harness_config();
	uint64_t v[PE_COUNTER_COUNT], swapped = 0, busy = 0, end_ms, seed = driving_seed();
	struct pe_principals *next;
	struct pe_identity i;
	pthread_t control;

	config.worker_count = 2;
	config.entity_count_max = 4000;
	config.fence_count_max = 64;
	config.tombstone_ms = 50;
	config.spaces[1] = config.spaces[0];
	memset(config.spaces[1].space.id, 0xB1, 16);
	config.spaces[FIRST].authorization = PE_AUTHORIZATION_FIRST;
	config.spaces[FIRST].owner_memory_ms = PE_OWNER_MEMORY_MAX_MS;
	config.spaces[FIRST].speed_max_mps[PE_ENTITY_MOBILE] = 1e6f;
	config.spaces[KEYRING].authorization = PE_AUTHORIZATION_KEYRING;
	// Room for what is newer and newer.
	wall_ahead_ms = 86400000;
	driving_begin(&config, &control);
	for (unsigned k = 0; k < DRIVERS; k++)
		driving_start(&drivers[k].d, k, seed, run_worker);
	end_ms = driving_now().mono_ms + testing_amount(10000);
	next = some_directory(0);
	// A busy machine may need longer.
	while (driving_now().mono_ms < end_ms ||
		((swapped < 12 || !enough()) && driving_now().mono_ms < end_ms + 100000)) {
		if (pe_engine_principals(engine, next) == PE_OK)
			next = ++swapped % 11 ? some_directory((unsigned)swapped) : NULL;
		else
			busy++;
		usleep(300);
	}
	pe_principals_destroy(next);
	driving_end((struct driving *[]){&drivers[0].d, &drivers[1].d}, control, v);
	i = pe_identity_check(v);
	CU_ASSERT(swapped > 10 && enough());
	CU_ASSERT(drivers[0].results + drivers[1].results > 100);
	printf("%" PRIu64 " directories (%" PRIu64 " waited), %" PRIu64 " records: %" PRIu64
	       " applied, %" PRIu64 " refused; %" PRIu64 " erased, %" PRIu64 " results, %" PRIu64
	       " subscriptions ended ",
		swapped, busy, i.records_carried, i.records_applied, i.records_refused,
		v[PE_COUNTER_erased], drivers[0].results + drivers[1].results,
		v[PE_COUNTER_subscriptions_ended]);
	pe_engine_destroy(engine);
}

TESTING_MAIN("trust: torture", {"another directory all the while", another_directory_all_the_while})
