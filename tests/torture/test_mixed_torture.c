// Everything at once: two workers that are told and asked whatever there is, at random, of the same
// few entities, in spaces of every kind, beside the control thread and a directory that is swapped.
// Handles are few, so that they go from entity to entity and worker to worker all the time. What
// must hold: replies are sound; who is on no list is shown nothing of what is for those on a list;
// no entity is twice in an answer; the identities are exact at the end and agree with what was
// sent. What this is for above all is ThreadSanitizer, which sees a read that somebody else's write
// is not in order with. The seed is printed; PE_TEST_SEED sets it, but not what the threads make of
// it.
#include "detailed.h"
#include "driving.h"
#include "filter_tree.h"
#include "policy/principals.h"
#include "wire/extension.h"
#include "wire/subscribe.h"

#define IDS 192u
#define PRINCIPALS \
	4u // 1 and 2 may do everything, 3 may publish and is on no list, 4 is an administrator
#define STRANGER 3u
#define SIDE_M   400u

enum space { PLANE, EARTH, FIRST, HELD, COURSE, KEYS, SPACES };

struct driver {
	struct driving d;
	uint32_t asker; // of this turn's queries
	uint32_t epoch;
	uint64_t answers, results, told, events;
	uint16_t times[1 + IDS]; // of each id in the query that is answered
	uint32_t answered_query;
};

static uint8_t space_of(uint64_t n)
{
	return (uint8_t)(n % SPACES);
}

// ---- what comes back ----

static void take_result(struct driver *d, uint32_t query_id, const struct pe_wire_result *r)
{
	uint64_t n = harness_id_number(r->entity_id);

	d->results++;
	// Its sender said for whom it is. (Of his own, who asks by its id is told whatever it is; a
	// stranger has none.)
	if (d->asker == STRANGER || !d->asker) {
		EXPECT(r->status_confidence != 1 + PE_RESTRICTED ||
			r->entity_type != PE_ENTITY_MOBILE);
		EXPECT(r->status_confidence != 1 + PE_HIDDEN);
	}
	if (query_id != d->answered_query) {
		d->answered_query = query_id;
		memset(d->times, 0, sizeof d->times);
	}
	// Anonymous ones have other names.
	if (n >= 1 && n <= IDS)
		EXPECT(d->times[n]++ == 0);
}

static void driving_takes(
	struct driving *driving, const uint8_t *data, const struct pe_wire_view *v)
{
	struct driver *d = (struct driver *)driving;
	struct pe_wire_answer a;
	const uint8_t *results;
	uint32_t offset = 0;

	(void)data;
	d->told += v->header.type == PE_TYPE_EXPLAIN;
	d->events += v->header.type == PE_TYPE_NOTICE ? v->count : 0;
	if (v->header.type != PE_TYPE_SPATIAL_RESPONSE)
		return;
	while (pe_wire_next_answer(v, &offset, &a, &results)) {
		const uint8_t *at = results;

		d->answers++;
		if (a.flags & (PE_ANSWER_CELLS | PE_ANSWER_SHORT))
			continue;
		for (unsigned i = 0; i < a.result_count; i++) {
			struct pe_wire_result r;

			memcpy(&r, at, sizeof r);
			take_result(d, a.query_id, &r);
			at += pe_wire_result_bytes(at, a.flags & PE_ANSWER_DETAILED);
		}
	}
}

// ---- messages ----

static struct pe_wire_header header_of(struct driver *d, unsigned space)
{
	struct pe_wire_header header = {.stream_id = d->d.index,
		.sequence = ++d->d.header_sequence,
		.timestamp_ms = driving_now().wall_ms};

	memset(header.space_id, 0xA0 + (int)space, sizeof header.space_id);
	return header;
}

static void locate(unsigned space, double x, double y, double z, double position[3])
{
	position[0] = space == EARTH ? 50 + x / 111000 : x;
	position[1] = space == EARTH ? 8 + y / 71000 : y;
	position[2] = z;
}

static void place(struct driver *d, unsigned space, double position[3])
{
	locate(space, below(&d->d, SIDE_M), below(&d->d, SIDE_M), below(&d->d, 20), position);
}

// Most stay where they live, more or less, so that thresholds hold some of it back.
static void place_of(struct driver *d, unsigned space, uint64_t n, double position[3])
{
	if (below(&d->d, 4) == 0)
		place(d, space, position);
	else
		locate(space, (double)(n * 37 % SIDE_M) + below(&d->d, 4),
			(double)(n * 101 % SIDE_M) + below(&d->d, 4), 0, position);
}

// Tagged with what its sender says of who may see it.
static struct pe_wire_update update(struct driver *d, unsigned space, uint64_t n)
{
	static const uint8_t types[] = {PE_ENTITY_MOBILE, PE_ENTITY_MOBILE, PE_ENTITY_MOBILE,
		PE_ENTITY_STATIC, PE_ENTITY_TEMPORARY, PE_ENTITY_CUSTOM + 1};
	struct pe_wire_update u = harness_update(n, atomic_fetch_add(&shared_sequence, 1), 0, 0, 0);
	unsigned visibility = below(&d->d, 4) ? (n % 3 ? PE_PUBLIC : n / 3 % 4) : below(&d->d, 4);

	place_of(d, space, n, u.position);
	u.entity_type = below(&d->d, 4) ? PE_ENTITY_MOBILE : types[below(&d->d, sizeof types)];
	u.attributes = (uint16_t)(visibility << 3);
	if (below(&d->d, 4) == 0)
		u.attributes |= (uint16_t)(below(&d->d, 4) | below(&d->d, 4) << 5);
	if (below(&d->d, 16) == 0)
		u.attributes |= (uint16_t)(below(&d->d, 4) << 7);
	if (below(&d->d, 8) == 0)
		u.attributes |= PE_ATTRIBUTE_RELOCATION;
	u.status_confidence = (uint8_t)(1 + visibility);
	u.ttl_ms = 1 + below(&d->d, below(&d->d, 3) ? 100 : 3000);
	if (below(&d->d, 8) == 0)
		u.duration_ms = 1 + below(&d->d, 50);
	if (below(&d->d, 8) == 0)
		u.update_frequency = (uint16_t)(1 + below(&d->d, 20000));
	if (below(&d->d, 16) == 0)
		u.radius_m = (float)below(&d->d, 500);
	if (below(&d->d, 4) == 0)
		u.velocity[below(&d->d, 2)] = 0x4900; // 10 m/s
	return u;
}

static unsigned a_space(struct driver *d, uint64_t n)
{
	return below(&d->d, 64) ? space_of(n) : below(&d->d, SPACES);
}

static uint32_t publisher(struct driver *d)
{
	return below(&d->d, 8) ? 1 + below(&d->d, 3) : below(&d->d, 1 + PRINCIPALS);
}

static void publish(struct driver *d)
{
	unsigned count = 1 + below(&d->d, PE_UPDATE_COUNT_MAX), space = below(&d->d, SPACES);
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	struct pe_wire_header header;
	struct pe_wire_update_preamble preamble;
	uint8_t *to = driving_next(&d->d);
	uint32_t who = publisher(d);

	for (unsigned i = 0; i < count; i++) {
		uint64_t n = space + SPACES * below(&d->d, IDS / SPACES);

		// Which of two owns it goes by this (some_directory).
		if (space == KEYS && (n / SPACES & 1) != (who - 1) % 2)
			n = n > IDS / 2 ? n - SPACES : n + SPACES;
		u[i] = update(d, space, n ? n : SPACES);
	}
	header = header_of(d, space);
	header.flags = below(&d->d, 3) ? 0 : PE_FLAG_ACK;
	preamble = harness_preamble(header.sequence, HARNESS_INCARNATION);
	driving_add(&d->d, pe_wire_put_update(to, PE_WIRE_BYTES_MAX, &header, &preamble, u, count),
		who);
	d->d.records += count;
}

static uint64_t an_id(struct driver *d)
{
	return 1 + below(&d->d, IDS);
}

static void add_details(struct driver *d, struct detailed *record, unsigned space, uint64_t n)
{
	static const char *const tags[] = {"", "vip", "ferry", "vip ice"};
	uint8_t id[16], payload[64] = {0};

	if (below(&d->d, 2))
		detailed_orientation(record, 0, 0, below(&d->d, 2) ? 1 : -1, 0);
	if (below(&d->d, 2))
		detailed_context(record, "a", tags[below(&d->d, 4)]);
	if (below(&d->d, 2))
		detailed_number(record, below(&d->d, 2) ? "a" : "ab", below(&d->d, 4));
	if (below(&d->d, 8) == 0)
		detailed_schedule(record, 0, 1 + below(&d->d, 300), 1);
	if (below(&d->d, 4) == 0) {
		uint64_t parent = n % SPACES + SPACES * below(&d->d, IDS / SPACES);

		harness_id(id, parent && parent != n ? parent : n == SPACES ? 2 * SPACES : SPACES);
		detailed_put(record, PE_DETAILS_FRAME, id, sizeof id);
	}
	if (below(&d->d, 4) == 0)
		detailed_put(record, PE_DETAILS_PAYLOAD, payload, below(&d->d, sizeof payload));
	if (below(&d->d, 8) == 0) {
		struct pe_wire_scope scope = {.resolution_m = (float)below(&d->d, 50)};

		if (below(&d->d, 2) && space != EARTH) {
			scope.bounds = PE_QUERY_SPHERE;
			scope.b[0] = 1 + below(&d->d, 300);
		}
		detailed_put(record, PE_DETAILS_SCOPE, &scope, sizeof scope);
	}
}

static void publish_detailed(struct driver *d)
{
	uint64_t n = an_id(d);
	unsigned space = a_space(d, n);
	struct pe_wire_update u = update(d, space, n);
	struct pe_wire_header header = header_of(d, space);
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, HARNESS_INCARNATION);
	uint8_t *to = driving_next(&d->d);
	struct detailed record;

	if (below(&d->d, 16) == 0)
		u.entity_type = PE_ENTITY_RECURRING;
	detailed_begin(&record, &u);
	add_details(d, &record, space, n);
	header.flags = below(&d->d, 3) ? 0 : PE_FLAG_ACK;
	driving_add(&d->d,
		pe_wire_put_detailed(to, PE_WIRE_BYTES_MAX, &header, &preamble, record.bytes,
			pe_wire_detailed_next(record.bytes), 1),
		publisher(d));
	d->d.records++;
}

static void withdraw(struct driver *d)
{
	uint64_t n = an_id(d);
	struct pe_wire_header header = header_of(d, a_space(d, n));
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, HARNESS_INCARNATION);
	struct pe_wire_withdraw x = {.sequence = atomic_fetch_add(&shared_sequence, 1)};
	uint8_t *to = driving_next(&d->d);

	harness_id(x.entity_id, n);
	driving_add(&d->d, pe_wire_put_withdraw(to, PE_WIRE_BYTES_MAX, &header, &preamble, &x, 1),
		publisher(d));
	d->d.records++;
}

static void erase(struct driver *d)
{
	uint64_t n = an_id(d);
	struct pe_wire_header header = header_of(d, a_space(d, n));
	struct pe_wire_erase e = {.incarnation = 0};
	uint8_t *to = driving_next(&d->d);

	harness_id(e.entity_id, n);
	driving_add(&d->d, pe_wire_put_erase(to, PE_WIRE_BYTES_MAX, &header, &e),
		below(&d->d, 2) ? 4 : publisher(d));
	d->d.records++;
}

// ---- questions ----

static struct pe_wire_query query(struct driver *d, unsigned space)
{
	double centre[3], high[3];
	struct pe_wire_query q;

	place(d, space, centre);
	switch (below(&d->d, 4)) {
	case 0:
		q = harness_point(centre[0], centre[1], centre[2]);
		break;
	case 1:
		place(d, space, high);
		for (unsigned i = 0; i < 3; i++) {
			double lower = centre[i] < high[i] ? centre[i] : high[i];

			high[i] = centre[i] < high[i] ? high[i] : centre[i];
			centre[i] = space == EARTH && i == 2 ? 0 : lower;
		}
		if (space == EARTH)
			high[2] = 0;
		q = harness_box(centre, high);
		break;
	default:
		q = harness_sphere(centre[0], centre[1], centre[2], 10 + below(&d->d, 1000));
		break;
	}
	q.query_id = 1 + below(&d->d, 1u << 30);
	if (below(&d->d, 4) == 0)
		q.flags |= PE_QUERY_WITH_DETAILS;
	if (below(&d->d, 4) == 0)
		q.priority = (uint8_t)below(&d->d, 4);
	if (below(&d->d, 8) == 0)
		q.max_results = (uint16_t)(1 + below(&d->d, 20));
	return q;
}

static uint32_t filter(struct driver *d, uint8_t *program)
{
	struct tree tree;

	tree_random(&tree, 1 + below(&d->d, 5), &d->d.random);
	for (unsigned i = 0; i < tree.count; i++)
		for (unsigned k = 0; tree.nodes[i].op == PE_FILTER_ID && k < tree.nodes[i].argument;
			k++)
			harness_id(tree.nodes[i].ids[k], 1 + 3 * (i + k));
	return tree_write(&tree, program);
}

static uint32_t extend(struct driver *d, struct pe_wire_query *q, uint8_t *extension, uint32_t size)
{
	uint8_t program[PE_FILTER_BYTES_MAX];
	uint32_t used = 0, bytes;

	if (below(&d->d, 2) && (bytes = filter(d, program)))
		used = pe_wire_put_block(extension, used, size, PE_BLOCK_FILTER, program, bytes);
	if (below(&d->d, 4) == 0) {
		const struct pe_wire_time time = {.offset_ms = (int32_t)below(&d->d, 5000)};

		used = pe_wire_put_block(extension, used, size, PE_BLOCK_TIME, &time, sizeof time);
	}
	if (below(&d->d, 3) == 0) {
		const struct pe_wire_resolution r = {
			.spatial_m = below(&d->d, 2) ? (float)(4u << below(&d->d, 10)) : 0,
			.temporal_ms = below(&d->d, 2) * 5000,
			.attribute = (float)below(&d->d, 2)};

		used = pe_wire_put_block(extension, used, size, PE_BLOCK_RESOLUTION, &r, sizeof r);
	}
	if (used) {
		q->flags |= PE_QUERY_HAS_EXTENSION;
		q->extension_bytes = (uint16_t)used;
	}
	return used;
}

static void ask(struct driver *d)
{
	unsigned space = below(&d->d, SPACES), count = 1 + below(&d->d, 3);
	struct pe_wire_header header = header_of(d, space);
	struct pe_wire_query q[3];
	uint8_t extensions[PE_WIRE_BYTES_MAX], *to = driving_next(&d->d);
	uint32_t used = 0;

	for (unsigned i = 0; i < count; i++) {
		q[i] = query(d, space);
		if (below(&d->d, 2))
			used += extend(d, &q[i], extensions + used, 256);
	}
	driving_add(&d->d,
		pe_wire_put_query_extended(
			to, PE_WIRE_BYTES_MAX, &header, q, count, extensions, used),
		d->asker);
	d->d.queries += count;
}

static void explain(struct driver *d)
{
	static const struct pe_wire_query none = {0};
	// Of some there never is anything.
	uint64_t n = 1 + below(&d->d, IDS + IDS / 4);
	unsigned space = a_space(d, n);
	struct pe_wire_header header = header_of(d, space);
	bool fence = below(&d->d, 3) == 0;
	struct pe_wire_explain about = {.selector = fence ? PE_EXPLAIN_FENCE : PE_EXPLAIN_QUERY,
		.subject = fence ? (uint64_t)below(&d->d, 3) << 32 | 1 : 0};
	struct pe_wire_query q = query(d, space);
	uint8_t extension[256], *to = driving_next(&d->d);

	q.priority = 0;
	harness_id(about.entity_id, n);
	if (!fence && below(&d->d, 2))
		(void)extend(d, &q, extension, sizeof extension);
	driving_add(&d->d,
		pe_wire_put_explain(
			to, PE_WIRE_BYTES_MAX, &header, &about, fence ? &none : &q, extension),
		d->asker);
	d->d.queries++;
}

// A new life of the subscription of whoever asks, of three fences, one of which follows; or its
// end.
static void subscribe(struct driver *d)
{
	unsigned space =
		below(&d->d, 2) ? PLANE : (unsigned[]){FIRST, HELD, COURSE}[below(&d->d, 3)];
	struct pe_wire_header header = header_of(d, space);
	struct pe_wire_subscribe s = {.subscription_id = 1,
		.epoch = ++d->epoch,
		.op = PE_SUBSCRIBE_OPEN,
		.flags = (uint16_t)((below(&d->d, 2) ? PE_SUBSCRIBE_MOVES : 0) |
			(below(&d->d, 2) ? PE_SUBSCRIBE_PAYLOADS : 0))};
	struct pe_wire_fence f[3] = {{.query = harness_sphere(200, 200, 0, 150)},
		{.fence_id = 1, .flags = PE_FENCE_FOLLOW, .query = harness_sphere(0, 0, 0, 100)},
		{.fence_id = 2,
			.margin_m = 5,
			.enter_ms = below(&d->d, 10),
			.leave_ms = below(&d->d, 10),
			.query = harness_sphere(100, 100, 0, 100)}};
	uint8_t extension[256], *to = driving_next(&d->d);
	uint8_t program[PE_FILTER_BYTES_MAX];
	uint32_t used = 0, bytes;

	harness_id(f[1].follow_id, 1 + space + SPACES * below(&d->d, IDS / SPACES - 1));
	if (below(&d->d, 2) && (bytes = filter(d, program))) {
		used = pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_FILTER, program, bytes);
		if (used) {
			f[2].query.flags |= PE_QUERY_HAS_EXTENSION;
			f[2].query.extension_bytes = (uint16_t)used;
		}
	}
	driving_add(&d->d,
		pe_wire_put_subscribe(to, PE_WIRE_BYTES_MAX, &header, &s, f, 3, extension, used),
		1 + below(&d->d, PRINCIPALS));
}

static void other(struct driver *d)
{
	struct pe_wire_header header = header_of(d, PLANE);
	uint8_t *to = driving_next(&d->d);
	const struct pe_wire_ping ping = {0};
	const struct pe_wire_state_request request = {.selector = PE_STATE_COUNTERS};

	driving_add(&d->d,
		below(&d->d, 2) ?
			pe_wire_put_ping(to, PE_WIRE_BYTES_MAX, &header, &ping) :
			pe_wire_put_state_request(to, PE_WIRE_BYTES_MAX, &header, &request),
		d->asker);
}

// ---- threads ----

// What its thread does beside its turns.
static void between_turns(struct driver *d)
{
	struct pe_worker *w = pe_engine_worker(engine, d->d.index);
	struct pe_peer peer = {.trusted = true};

	switch (below(&d->d, 64)) {
	case 0:
		pe_worker_offline(w);
		usleep(200);
		pe_worker_online(w);
		break;
	case 1:
		pe_worker_set_load(w, 1 + below(&d->d, 3), below(&d->d, 16) == 0);
		break;
	case 2:
		EXPECT(pe_worker_idle_ms(w, driving_now()) <= 1000);
		break;
	case 3:
		peer.principal = 1 + below(&d->d, PRINCIPALS);
		peer.port = (uint16_t)(1 + peer.principal);
		pe_worker_depart(w, &peer);
		break;
	default:
		break;
	}
}

static void *run_worker(void *context)
{
	struct driver *d = context;
	struct pe_worker *w = pe_engine_worker(engine, d->d.index);

	pe_worker_attach(w);
	while (!atomic_load(&draining)) {
		d->asker = below(&d->d, 1 + PRINCIPALS);
		for (unsigned i = 1 + below(&d->d, 6); i; i--)
			publish(d);
		for (unsigned i = below(&d->d, 6); i; i--)
			publish_detailed(d);
		for (unsigned i = below(&d->d, 3); i; i--)
			withdraw(d);
		if (below(&d->d, 4) == 0)
			erase(d);
		for (unsigned i = below(&d->d, 4); i; i--)
			ask(d);
		for (unsigned i = below(&d->d, 4); i; i--)
			explain(d);
		if (below(&d->d, 32) == 0)
			subscribe(d);
		if (below(&d->d, 16) == 0)
			other(d);
		driving_turn(&d->d);
		between_turns(d);
	}
	while (!atomic_load(&stop_workers))
		driving_turn(&d->d);
	pe_worker_detach(w);
	return NULL;
}

static struct pe_principals *some_directory(unsigned round)
{
	struct pe_directory_owned owned[IDS];
	const struct pe_directory_grant grants[] = {
		{1, PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, PE_DIRECTORY_EVERY_SPACE,
			{0}},
		{2, PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, PE_DIRECTORY_EVERY_SPACE,
			{0}},
		{STRANGER, PE_ROLE_PUBLISH, PE_DIRECTORY_EVERY_SPACE, {0}},
		{4, PE_ROLE_ADMIN | PE_ROLE_QUERY, PE_DIRECTORY_EVERY_SPACE, {0}},
	};
	struct pe_directory_listed listed[2] = {{.principal = 1}, {.principal = 2}};
	struct pe_principals *directory = NULL;
	struct pe_error error;
	unsigned count = 0;

	for (unsigned n = 1; n <= IDS; n++) {
		if (space_of(n) != KEYS && space_of(n) != FIRST)
			continue;
		owned[count] = (struct pe_directory_owned){
			.bits = 128, .principal = 1 + ((n / SPACES ^ round) & 1)};
		if (space_of(n) == FIRST && n % 4)
			continue;
		harness_id(owned[count].prefix, n);
		if (space_of(n) == KEYS && !listed[owned[count].principal - 1].stands[15])
			memcpy(listed[owned[count].principal - 1].stands, owned[count].prefix, 16);
		count++;
	}
	EXPECT(pe_principals_create(grants, 4, owned, count, &directory, &error) == PE_OK);
	EXPECT(pe_principals_list(directory, listed, 2, &error) == PE_OK);
	return directory;
}

// For each kind of policy there is some entity that it concerns.
static struct pe_policy policies[] = {
	{.name = "listed",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.type_mask = 1u << PE_ENTITY_MOBILE,
		.allow_roles = PE_ROLE_QUERY},
	{.name = "near",
		.space = KEYS,
		.visibility = 1u << PE_RESTRICTED,
		.type_mask = 1u << 4,
		.allow_roles = PE_ROLE_QUERY,
		.within_m = 100},
	{.name = "counted",
		.space = PLANE,
		.visibility = 1u << PE_PUBLIC,
		.type_mask = 1u << PE_ENTITY_TEMPORARY,
		.everyone = true,
		.counts_below = 3,
		.counts_cell_m = 512},
	{.name = "crowd",
		.space = HELD,
		.visibility = 1u << PE_PUBLIC,
		.type_mask = 1u << PE_ENTITY_STATIC,
		.everyone = true,
		.k = 2,
		.area_m = 64},
	{.name = "tagged",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_PUBLIC,
		.tags = {{3, "vip"}},
		.tag_count = 1,
		.allow_roles = PE_ROLE_QUERY,
		.no_details = true},
	{.name = "blurred",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_PUBLIC,
		.type_mask = 1u << 4,
		.everyone = true,
		.laplace_m = 10,
		.ttl_max_ms = 1000},
};

static struct pe_engine_config config(void)
{
	struct pe_engine_config c = harness_config();
	unsigned count = sizeof policies / sizeof *policies;

#ifndef PE_HAVE_SODIUM
	count--; // what draws
#endif
	c.worker_count = DRIVERS;
	// Fewer than there are ids: some have to go.
	c.entity_count_max = IDS * 5 / 6;
	c.when_full = PE_FULL_LOWEST_PRIORITY;
	c.principal_entity_max = IDS;
	c.pending_count_max = 200;
	c.ring_records = 128;
	c.cell_count_max = c.node_count_max = c.chunk_count_max = 4096;
	c.tombstone_ms = 20;
	c.details_bytes = 1 << 17;
	c.fence_count_max = 64;
	c.member_count_max = 2048;
	c.event_count_max = 64;
	c.coarse_max = 4;
	c.views = (struct pe_views_config){
		.policies = policies, .policy_count = count, .epoch_ms = 60000};
	c.space_count = SPACES;
	for (unsigned i = FIRST; i < SPACES; i++)
		c.spaces[i] = c.spaces[PLANE];
	for (unsigned i = 0; i < SPACES; i++) {
		memset(c.spaces[i].space.id, 0xA0 + (int)i, 16);
		snprintf(c.spaces[i].space.name, sizeof c.spaces[i].space.name, "s%u", i);
	}
	c.spaces[FIRST].authorization = PE_AUTHORIZATION_FIRST;
	c.spaces[FIRST].owner_memory_ms = 100;
	c.spaces[FIRST].speed_max_mps[PE_ENTITY_MOBILE] = 1e4f;
	c.spaces[HELD].coalesce_distance_m = 30;
	c.spaces[COURSE].predict_distance_m = 40;
	c.spaces[COURSE].decay_ms[PE_ENTITY_MOBILE] = 10000;
	c.spaces[KEYS].authorization = PE_AUTHORIZATION_KEYRING;
	c.spaces[KEYS].coalesce_interval_ms = 5;
	c.spaces[KEYS].coalesce_distance_m = 5;
	c.spaces[KEYS].coalesce_attribute = 0.1f;
	return c;
}

// Has what this is about happened?
static bool enough(void)
{
	uint64_t v[PE_COUNTER_COUNT];

	pe_engine_counters(engine, v);
	return v[PE_COUNTER_records_applied] > 500 && v[PE_COUNTER_records_coalesced] > 50 &&
		v[PE_COUNTER_records_forwarded] > 500 && v[PE_COUNTER_crossings] > 50 &&
		v[PE_COUNTER_created] > 500 && v[PE_COUNTER_evicted] > 50 &&
		v[PE_COUNTER_expired] > 50 && v[PE_COUNTER_withdrawn] > 10 &&
		v[PE_COUNTER_erased] > 0 && v[PE_COUNTER_details_changed] > 100 &&
		v[PE_COUNTER_payloads] > 10 && v[PE_COUNTER_trailing] > 5 &&
		v[PE_COUNTER_queries_answered] > 500;
}

static void whatever_comes(void)
{
	static struct driver drivers[DRIVERS];
	struct driving *const driving[DRIVERS] = {&drivers[0].d, &drivers[1].d};
	struct pe_engine_config c = config();
	uint64_t v[PE_COUNTER_COUNT], seed = driving_seed(), swapped = 0, end_ms;
	struct pe_principals *next;
	pthread_t control;

	wall_speed = 100; // so that epochs begin and schedules open
	driving_begin(&c, &control);
	for (unsigned k = 0; k < DRIVERS; k++)
		driving_start(driving[k], k, seed, run_worker);
	end_ms = driving_now().mono_ms + testing_amount(20000);
	next = some_directory(0);
	// A busy machine may need longer.
	while (driving_now().mono_ms < end_ms ||
		((swapped < 10 || !enough()) && driving_now().mono_ms < end_ms + 120000)) {
		if (pe_engine_principals(engine, next) == PE_OK)
			next = some_directory((unsigned)++swapped / 8);
		EXPECT(pe_engine_heap_use(engine).taken_bytes < UINT32_MAX);
		EXPECT(pe_engine_entity_count(engine) <= UINT32_MAX);
		usleep(2000);
	}
	pe_principals_destroy(next);
	driving_end(driving, control, v);
	printf("%" PRIu64 " records: %" PRIu64 " applied, %" PRIu64 " coalesced, %" PRIu64
	       " forwarded; %" PRIu64 " created, %" PRIu64 " expired, %" PRIu64 " evicted, %" PRIu64
	       " erased; %" PRIu64 " results, %" PRIu64 " explanations, %" PRIu64
	       " events, %" PRIu64 " trailing ",
		v[PE_COUNTER_records_carried], v[PE_COUNTER_records_applied],
		v[PE_COUNTER_records_coalesced], v[PE_COUNTER_records_forwarded],
		v[PE_COUNTER_created], v[PE_COUNTER_expired], v[PE_COUNTER_evicted],
		v[PE_COUNTER_erased], drivers[0].results + drivers[1].results,
		drivers[0].told + drivers[1].told, drivers[0].events + drivers[1].events,
		v[PE_COUNTER_trailing]);
	CU_ASSERT(enough());
	CU_ASSERT(drivers[0].results + drivers[1].results > 100);
	CU_ASSERT(drivers[0].told + drivers[1].told > 100);
	CU_ASSERT(drivers[0].events + drivers[1].events > 10 && swapped > 5);
	pe_engine_destroy(engine);
}

TESTING_MAIN("mixed: torture", {"whatever comes", whatever_comes})
