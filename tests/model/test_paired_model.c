// Two worlds, one with entities that the askers may not see and one without: byte for byte the same
// answers, counts, orders, cursors, explanations and notices. And two worlds in which rounded
// entities are at other true places in the same cells, of every precision level and of GRID: no
// combination of what is asked can tell them apart, so that nothing finer than the cell is to be
// had. Seeded: what everybody sees and what is asked comes from one row of random numbers, what is
// hidden does and says from another, of which the second world knows nothing. And two worlds with
// and without those who are kept from the askers by a tag, by a role that they have not, and by
// being too far from where they stand, however little. Bounds of work are low, so that truncation
// and cursors depend on everything that a walk meets. Hidden ones come close, claim wide
// precisions, run, change their policies, and go. The worlds are run one after the other, and the
// digests of all replies of the first are kept. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it
// ten times as long.
#include "detailed.h"
#include "draw.h"
#include "harness.h"
#include "internal.h"
#include "policy/methods.h"
#include "policy/near.h"
#include "policy/principals.h"
#include "space/coarse.h"
#include "watching.h"
#include "wire/extension.h"
#include "wire/filter.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define ENTITIES      240u
#define HIDDEN        160u
#define HIDDEN_FIRST  100000u // their numbers
#define ROUND_QUERIES 256u
#define QUERIES       110000u
#define PLANE         0u
#define EARTH         1u
#define ALICE         1u // sees the secret ones
#define BOB           2u // does not, but others that are restricted
#define CAROL         3u // asks, and stands nowhere
#define DAVE          4u // stands on Earth, as Bob does on the plane
#define SENDER        5u // of all that is said, where that counts
#define WITHIN_M      90.0
#define STANDS        3u // places

static struct harness h;
static struct watching watcher[2];
static uint64_t seed, seed_again, hidden_state;
static bool with_hidden, coarse, elsewhere, comparing, conditions;
static struct pe_space spaces[2];
static uint64_t *digests, digest_count, digest_max, compared;
static uint64_t moved_within, kept_away, truncated, results, notices, alice_saw,
	entity_sequence[1 + ENTITIES];
static uint32_t hidden_sequence, stand_sequence;
static uint64_t tagged_until_ms[HIDDEN]; // so long its tags are known to be kept
static unsigned wrong;
static char doing[160];

static double unit(uint64_t *from)
{
	return (double)(testing_random(from) >> 11) * 0x1p-53;
}

static void failed(const char *what, const char *file, int line)
{
	if (wrong++ < 20)
		printf("\n%s:%d: %s (%s)", file, line, what, doing);
}

// ---- what is compared ----

static uint64_t digest(const struct harness_reply *r)
{
	uint64_t d = 0xcbf29ce484222325ull ^ r->bytes ^ (uint64_t)r->peer.port << 32;

	for (uint32_t i = 0; i < r->bytes; i++)
		d = (d ^ r->data[i]) * 0x100000001b3ull;
	return d;
}

// All replies of the last turn.
static void gather(void)
{
	for (unsigned i = 0; i < h.reply_count; i++) {
		uint64_t d = digest(&h.replies[i]);

		notices += h.replies[i].data[1] == PE_TYPE_NOTICE;

		if (!comparing) {
			if (digest_count == digest_max) {
				digest_max = digest_max ? 2 * digest_max : 1 << 16;
				digests = realloc(digests, digest_max * sizeof *digests);
				if (!digests)
					abort();
			}
			digests[digest_count++] = d;
			continue;
		}
		compared++;
		if (compared > digest_count || digests[compared - 1] != d) {
			if (wrong++ < 20)
				printf("\nreply %" PRIu64 " differs: type %02x, %u bytes (%s)",
					compared, h.replies[i].data[1], h.replies[i].bytes, doing);
		}
	}
}

static void turn(void)
{
	harness_turn(&h);
	gather();
}

// ---- the worlds ----

static void place(uint64_t *from, unsigned space, double p[3])
{
	double reach = unit(from) < 0.7 ? 300 : 3000;

	p[0] = (unit(from) - 0.5) * reach;
	p[1] = (unit(from) - 0.5) * reach;
	p[2] = unit(from) < 0.5 ? 0 : unit(from) * 100;
	if (space == EARTH) {
		p[0] = 10 + p[0] / 111000;
		p[1] = 45 + p[1] / 111000; // where two frames meet
	}
}

static struct pe_wire_update make(
	uint64_t *from, uint64_t n, uint32_t sequence, unsigned space, uint16_t attributes)
{
	struct pe_wire_update u = harness_update(n, sequence, 0, 0, 0);

	place(from, space, u.position);
	u.attributes |= attributes;
	u.precision_m = unit(from) < 0.3 ? (float)(unit(from) * 50) : 0;
	u.radius_m = unit(from) < 0.2 ? (float)(unit(from) * 500) : 0;
	if (unit(from) < 0.3)
		u.velocity[0] = u.velocity[1] = 0x4500; // 5 m/s
	u.ttl_ms = 5000 + (uint32_t)(unit(from) * 60000);
	return u;
}

static void queue(struct pe_wire_update *u, unsigned space)
{
	h.principal = conditions ? SENDER : 0;
	harness_queue_updates(&h, space, HARNESS_INCARNATION, u, 1, false);
	h.principal = 0;
}

static void queue_tags(struct pe_wire_update *u, unsigned space, const char *tags)
{
	struct detailed d;

	detailed_begin(&d, u);
	detailed_context(&d, NULL, tags);
	h.principal = SENDER;
	harness_queue_detailed(
		&h, space, HARNESS_INCARNATION, d.bytes, pe_wire_detailed_next(d.bytes), 1, false);
	h.principal = 0;
}

// ---- where Bob and Dave stand ----

static const double stands[2][STANDS][3] = {
	[PLANE] = {{0, 0, 0}, {70, -40, 0}, {-130, 60, 0}},
	[EARTH] = {{10, 45, 0}, {10.0006, 45.0003, 0}, {9.9985, 44.9994, 0}},
};

static void stand_somewhere(void)
{
	unsigned space = below(2), at = below(STANDS);
	struct pe_wire_update u = harness_update(1 + space, ++stand_sequence, 0, 0, 0);

	memcpy(u.position, stands[space][at], sizeof u.position);
	u.entity_id[0] = 0xD0;
	u.attributes |= PE_HIDDEN << 3;
	h.principal = space == EARTH ? DAVE : BOB;
	harness_queue_updates(&h, space, HARNESS_INCARNATION, &u, 1, false);
	h.principal = 0;
}

// Near none of the places where somebody may stand.
static bool far(unsigned space, const double position[3])
{
	for (unsigned i = 0; i < STANDS; i++)
		if (pe_near_holds(&spaces[space], pe_near_place(&spaces[space], stands[space][i]),
			    WITHIN_M, position))
			return false;
	return true;
}

// By its number: open, rounded, restricted to who asks, restricted and rounded, anonymous.
static uint16_t attributes_of(unsigned n)
{
	static const uint16_t of[8] = {0, 0, 0, 3u << 7, PE_RESTRICTED << 3,
		PE_RESTRICTED << 3 | 2u << 7, PE_ANONYMOUS << 3, PE_ANONYMOUS << 3 | 3u << 7};

	return of[n % 8];
}

// Another true place in the same cell.
static void move_within(struct pe_wire_update *u, unsigned space, double edge_m)
{
	double cell[3], other[3], at[3];

	(void)pe_space_coarse(&spaces[space], edge_m, u->position, true, cell);
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 3; k++) {
			double metres = (unit(&hidden_state) - 0.5) * edge_m;

			if (space == EARTH && k < 2)
				metres /= 111000 * (k ? 0.7 : 1);
			at[k] = cell[k] + metres;
		}
		(void)pe_space_coarse(&spaces[space], edge_m, at, true, other);
		if (memcmp(cell, other, sizeof cell) == 0) {
			memcpy(u->position, at, sizeof at);
			moved_within++;
			return;
		}
	}
}

static void move_visible(void)
{
	static const double edges[] = {0, 1, 10, 100, 1000, 10000};
	unsigned n = 1 + below(ENTITIES), space = n % 3 == 0 ? EARTH : PLANE;
	unsigned level = n % 7 < 6 ? n % 7 : 0;
	uint16_t attributes = coarse ? (uint16_t)(level << 7) : attributes_of(n);
	struct pe_wire_update u =
		make(&state, n, (uint32_t)++entity_sequence[n], space, attributes);

	if (coarse && n % 7 == 6) // of the policy GRID, or of the one with a method
		u.entity_id[0] = n % 2 ? 0xB2 : 0xC3;
	if (coarse && n % 14 > 7)
		u.attributes |= PE_ANONYMOUS << 3;
	if (elsewhere && (level || u.entity_id[0] == 0xB2 || u.entity_id[0] == 0xC3))
		move_within(&u, space,
			u.entity_id[0] == 0xB2         ? fmax(edges[level], 250) :
				u.entity_id[0] == 0xC3 ? 180 :
							 edges[level]);
	if (conditions && n % 5 == 0) { // some of them near
		u.entity_id[0] = 0xC3;
		u.attributes =
			(uint16_t)((u.attributes & ~(3u << 3 | 7u << 7)) | PE_RESTRICTED << 3);
	}
	if (conditions && n % 4 == 0)
		queue_tags(&u, space, n % 8 ? "blue" : "open secrets");
	else
		queue(&u, space);
}

// One that neither Bob, Carol nor Dave may see: tagged, for administrators, or just too far away.
static void move_kept(void)
{
	uint64_t *from = &hidden_state;
	uint64_t which = testing_random(from) % HIDDEN, n = HIDDEN_FIRST + which;
	unsigned space = n % 3 == 0 ? EARTH : PLANE, kind = which % 4;
	struct pe_wire_update u = make(from, n, ++hidden_sequence, space, 0);
	struct pe_wire_withdraw gone = {.sequence = hidden_sequence};

	if (unit(from) < 0.2)
		u.precision_m = 900;
	if (unit(from) < 0.2)
		u.velocity[0] = 0x5c00; // 256 m/s
	u.entity_id[0] = kind == 0 ? 0xC1 : kind == 1 ? 0xC4 : 0xC3;
	if (unit(from) < 0.1) {
		memcpy(gone.entity_id, u.entity_id, 16);
		h.principal = SENDER;
		harness_queue_withdraws(&h, space, HARNESS_INCARNATION, &gone, 1, false);
		h.principal = 0;
		tagged_until_ms[which] = 0;
		return;
	}
	if (kind == 0) {
		// It keeps its tags where it says nothing of them.
		if (h.now.wall_ms < tagged_until_ms[which]) {
			queue(&u, space);
		} else {
			queue_tags(&u, space, unit(from) < 0.5 ? "secret" : "blue secret");
			tagged_until_ms[which] = h.now.wall_ms + 4000;
		}
		if (unit(from) < 0.5)
			tagged_until_ms[which] = 0;
		return;
	}
	u.attributes |= PE_RESTRICTED << 3;
	if (kind > 1) {
		// As close as may be.
		for (unsigned i = 0; i < 1000 && !far(space, u.position); i++)
			place(from, space, u.position);
		if (!far(space, u.position))
			return;
		kept_away++;
	}
	queue(&u, space);
}

// One that Bob and strangers may not see: HIDDEN, or restricted to Alice by the prefix of its id.
static void move_hidden(void)
{
	uint64_t *from = &hidden_state;
	uint64_t n = HIDDEN_FIRST + testing_random(from) % HIDDEN;
	unsigned space = n % 3 == 0 ? EARTH : PLANE;
	bool alone = unit(from) < 0.5;
	uint16_t wish = (uint16_t)((alone ? PE_HIDDEN : PE_RESTRICTED) << 3);
	struct pe_wire_update u = make(from, n, ++hidden_sequence, space, wish);
	struct pe_wire_withdraw gone = {.sequence = hidden_sequence};

	if (unit(from) < 0.2)
		u.attributes |= (uint16_t)(1u + testing_random(from) % 5) << 7;
	if (unit(from) < 0.2)
		u.precision_m = 900;
	if (unit(from) < 0.2)
		u.velocity[0] = 0x5c00; // 256 m/s
	u.entity_id[0] = 0xA1;
	if (unit(from) < 0.1) {
		memcpy(gone.entity_id, u.entity_id, 16);
		harness_queue_withdraws(&h, space, HARNESS_INCARNATION, &gone, 1, false);
	} else {
		queue(&u, space);
	}
}

// The second world's numbers of packets stay those of the first.
static void hidden_moves(unsigned count)
{
	uint64_t sequence = h.sequence;

	for (unsigned i = 0; with_hidden && i < count; i++)
		if (conditions)
			move_kept();
		else
			move_hidden();
	h.sequence = sequence;
}

static void settle(void)
{
	for (unsigned i = 0; i < 6; i++) {
		turn();
		harness_control(&h);
	}
}

// ---- what is asked ----

// By ids: of one that is kept from the asker, and of one that is not.
static uint32_t put_ids(uint8_t *extension)
{
	_Alignas(8) uint8_t program[PE_FILTER_BYTES_MAX], ids[2][16];
	struct pe_filter_writer writer;
	struct pe_filter_error fault;
	uint32_t bytes;

	harness_id(ids[0], HIDDEN_FIRST + below(HIDDEN));
	ids[0][0] = (uint8_t)(0xC1 + below(4));
	harness_id(ids[1], 1 + below(ENTITIES));
	if (memcmp(ids[0], ids[1], 16) > 0)
		memcpy(ids[0], ids[1], 16);
	pe_filter_begin(&writer);
	(void)pe_filter_put_constant(&writer, PE_FILTER_ID, 1, ids, 16);
	if (below(2))
		(void)pe_filter_put(&writer, PE_FILTER_NOT, 0, 0);
	bytes = pe_filter_finish(&writer, program, &fault);
	return pe_wire_put_block(extension, 0, 64, PE_BLOCK_FILTER, program, bytes);
}

static struct pe_wire_query random_query(unsigned *space, uint8_t *extension, uint32_t *bytes)
{
	static const double reaches[] = {20, 100, 400, 2000};
	struct pe_wire_query q = {.query_id = below(1000)};
	double at[3], reach = reaches[below(4)];

	*space = below(3) ? PLANE : EARTH;
	*bytes = 0;
	place(&state, *space, at);
	memcpy(q.a, at, sizeof at);
	switch (below(5)) {
	case 0:
		q.kind = PE_QUERY_POINT;
		break;
	case 1:
		q.kind = PE_QUERY_BOX;
		for (unsigned i = 0; i < 2; i++) {
			double half = *space == EARTH ? reach / 111000 : reach;

			q.a[i] = at[i] - half;
			q.b[i] = at[i] + half;
		}
		q.a[2] = q.b[2] = 0;
		if (*space == PLANE) {
			q.a[2] = -reach;
			q.b[2] = reach;
		}
		break;
	case 2:
		q.kind = PE_QUERY_NEAREST;
		q.max_results = (uint16_t)(1 + below(20));
		q.b[0] = below(2) ? 0 : reach;
		break;
	default:
		q.kind = PE_QUERY_SPHERE;
		q.b[0] = reach;
	}
	if (q.kind != PE_QUERY_NEAREST && below(3) == 0)
		q.max_results = (uint16_t)(1 + below(8));
	if (below(6) == 0)
		q.type_mask = (uint16_t)(1 + below(30));
	if (below(8) == 0 && q.kind != PE_QUERY_NEAREST) {
		struct pe_wire_resolution r = {
			.spatial_m = (float)reaches[below(4)], .attribute = 0.5f};

		*bytes = pe_wire_put_block(extension, 0, 64, PE_BLOCK_RESOLUTION, &r, sizeof r);
	} else if (below(8) == 0) {
		struct pe_wire_time t = {.offset_ms = (int32_t)below(30000)};

		*bytes = pe_wire_put_block(extension, 0, 64, PE_BLOCK_TIME, &t, sizeof t);
	} else if (conditions && below(8) == 0) {
		*bytes = put_ids(extension);
	}
	if (conditions && below(8) == 0)
		q.flags |= PE_QUERY_WITH_DETAILS;
	return q;
}

static struct harness_answer answer;

// One query, and the pages behind it.
static uint64_t ask(void)
{
	_Alignas(8) uint8_t extension[64];
	uint32_t bytes;
	unsigned space;
	struct pe_wire_query q = random_query(&space, extension, &bytes);
	uint64_t asked = 0;

	for (unsigned page = 0; page < 6; page++) {
		snprintf(doing, sizeof doing,
			"query %u kind %u page %u of %u at %g %g for %u, trusted %u, extension %u",
			q.query_id, q.kind, page, space, q.a[0], q.a[1], h.principal, !h.untrusted,
			bytes);
		harness_ask_extended(&h, 0, space, &q, extension, bytes, &answer);
		gather();
		asked++;
		results += answer.count;
		truncated += answer.truncated;
		if (!answer.truncated || q.kind == PE_QUERY_NEAREST)
			break;
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
	}
	return asked;
}

static void explain(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	struct pe_wire_explanation e;
	uint8_t id[16];

	// Of one that may be hidden, or of one that anyone may know.
	harness_id(id, below(2) ? HIDDEN_FIRST + below(HIDDEN) : 1 + below(ENTITIES));
	if (below(2))
		id[0] = conditions ? (uint8_t)(0xC1 + below(4)) : 0xA1;
	snprintf(doing, sizeof doing, "explanation for %u", h.principal);
	(void)harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e);
	gather();
}

static void open_watchers(void)
{
	struct pe_wire_fence f[4];

	for (unsigned i = 0; i < 2; i++) {
		watching_init(&watcher[i], &h, PLANE, 7 + i);
		watcher[i].port = (uint16_t)(6000 + i);
		watcher[i].subscribe.flags = PE_SUBSCRIBE_MOVES;
		watcher[i].subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
		for (unsigned k = 0; k < 4; k++) {
			f[k] = watching_sphere(k + 1, 40.0 * k, -30.0 * k, 0, 60 + 50 * k);
			f[k].leave_ms = k == 2 ? 300 : 0;
			f[k].enter_ms = k == 3 ? 200 : 0;
		}
		h.principal = i ? BOB : conditions ? CAROL : 0;
		watching_send(&watcher[i], PE_SUBSCRIBE_OPEN, f, 4, NULL, 0);
		h.principal = 0;
		for (unsigned t = 0; t < 6; t++) {
			turn();
			watching_take(&watcher[i]);
		}
	}
}

static void alice_asks(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500);
	uint64_t sequence = h.sequence;
	// Her answers have packets' numbers too.
	uint64_t *tx = &pe_engine_worker(h.engine, 0)->tx_sequence, sent = *tx;

	h.principal = ALICE;
	harness_ask(&h, 0, PLANE, &q, &answer);
	h.principal = 0;
	h.sequence = sequence;
	*tx = sent;
	for (unsigned i = 0; i < answer.count; i++)
		alice_saw += (conditions ? answer.results[i].entity_id[0] == 0xC1 ||
						     answer.results[i].entity_id[0] == 0xC4 :
					   answer.results[i].entity_id[0] == 0xA1) &&
			answer.results[i].entity_id[2] == HIDDEN_FIRST >> 16 &&
			answer.results[i].entity_id[7] == 0;
}

// Policies, and who is who.
static unsigned usual(struct pe_policy *policies)
{
	static const uint32_t alice[] = {ALICE}, bob[] = {BOB};

	policies[0] = (struct pe_policy){.name = "secret",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.prefix = {0xA1},
		.prefix_bits = 8,
		.allow = alice,
		.allow_count = 1};
	policies[1] = (struct pe_policy){.name = "known",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = bob,
		.allow_count = 1};
	policies[2] = (struct pe_policy){.name = "grid",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_PUBLIC | 1u << PE_ANONYMOUS,
		.prefix = {0xB2},
		.prefix_bits = 8,
		.everyone = true,
		.cloak_m = 250};
	policies[3] = (struct pe_policy){.name = "method",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_PUBLIC | 1u << PE_ANONYMOUS,
		.prefix = {0xC3},
		.prefix_bits = 8,
		.everyone = true,
		.method = &pe_method_scatter,
		.method_first = 180,
		.method_second = 1};
	return 4;
}

static unsigned conditional(struct pe_policy *policies)
{
	static const uint32_t alice[] = {ALICE};

	policies[0] = (struct pe_policy){.name = "tagged",
		.space = PE_POLICY_EVERY_SPACE,
		.tags = {{6, "secret"}},
		.tag_count = 1,
		.allow = alice,
		.allow_count = 1};
	policies[1] = (struct pe_policy){.name = "nearby",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.prefix = {0xC3},
		.prefix_bits = 8,
		.allow_roles = PE_ROLE_QUERY,
		.within_m = WITHIN_M};
	policies[2] = (struct pe_policy){.name = "staff",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.prefix = {0xC4},
		.prefix_bits = 8,
		.allow_roles = PE_ROLE_ADMIN};
	policies[3] = (struct pe_policy){.name = "known", // Bob, by the directory
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED};
	return 4;
}

static void know(void)
{
	const uint8_t asks = PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE;
	const struct pe_directory_grant grants[] = {
		{ALICE, asks | PE_ROLE_ADMIN, PE_DIRECTORY_EVERY_SPACE, {0}},
		{BOB, asks, PE_DIRECTORY_EVERY_SPACE, {0}},
		{CAROL, asks, PE_DIRECTORY_EVERY_SPACE, {0}},
		{DAVE, asks, PE_DIRECTORY_EVERY_SPACE, {0}},
		{SENDER, PE_ROLE_PUBLISH, PE_DIRECTORY_EVERY_SPACE, {0}},
	};
	struct pe_directory_owned owned[2] = {
		{.bits = 128, .principal = BOB}, {.bits = 128, .principal = DAVE}};
	struct pe_directory_listed listed[2] = {
		{.principal = BOB, .allow = 1u << 3}, {.principal = DAVE}};
	struct pe_principals *directory;
	struct pe_error error;

	for (unsigned i = 0; i < 2; i++) {
		harness_id(owned[i].prefix, 1 + i);
		owned[i].prefix[0] = 0xD0;
		memcpy(listed[i].stands, owned[i].prefix, 16);
	}
	if (pe_principals_create(grants, 5, owned, 2, &directory, &error) != PE_OK ||
		pe_principals_list(directory, listed, 2, &error) != PE_OK ||
		pe_engine_principals(h.engine, directory) != PE_OK)
		abort();
}

static uint32_t who(void)
{
	static const uint32_t askers[] = {BOB, CAROL, DAVE};

	return conditions ? askers[below(3)] : below(2) ? BOB : 0;
}

static void run_world(bool hidden)
{
	struct pe_policy policies[4];
	struct pe_engine_config c = harness_config();
	uint64_t amount = testing_amount(QUERIES), asked = 0;

	c.views = (struct pe_views_config){.policies = policies,
		.policy_count = conditions ? conditional(policies) : usual(policies)};
	if (conditions) {
		c.details_bytes = 1 << 20;
		c.spaces[PLANE].authorization = c.spaces[EARTH].authorization =
			PE_AUTHORIZATION_FIRST;
	}
	// States are held back in one space, by distance, and in the other one by time, every
	// second time.
	c.spaces[EARTH].coalesce_distance_m = seed % 2 ? 3 : 0;
	c.spaces[PLANE].coalesce_interval_ms = seed % 2 ? 0 : 300;
	c.query_cells_max = 24;
	c.query_candidates_max = 160;
	c.fence_count_max = 64;
	c.subscription_count_max = 8;
	state = seed;
	hidden_state = seed + 1;
	hidden_sequence = stand_sequence = 0;
	memset(tagged_until_ms, 0, sizeof tagged_until_ms);
	memset(entity_sequence, 0, sizeof entity_sequence);
	with_hidden = hidden;
	digest_count = comparing ? digest_count : 0;
	harness_start(&h, &c);
	for (unsigned i = 0; i < 2; i++) {
		struct pe_error error;

		if (pe_space_prepare(&spaces[i], &c.spaces[i].space, i, &error) != PE_OK)
			abort();
	}
	// Names are random; here they are the same in both worlds.
	memset(h.engine->views.key, 7, sizeof h.engine->views.key);
	if (conditions)
		know();
	open_watchers();
	while (asked < amount) {
		for (unsigned i = 0; i < 12; i++) {
			snprintf(doing, sizeof doing, "moves");
			move_visible();
			if (conditions && below(12) == 0)
				stand_somewhere();
			hidden_moves(2);
			turn();
		}
		settle();
		for (unsigned i = 0; i < ROUND_QUERIES; i++) {
			h.principal = who();
			h.untrusted = below(8) == 0;
			asked += ask();
			if (below(10) == 0)
				explain();
			h.untrusted = false;
			h.principal = 0;
		}
		// Beside each other in one turn.
		snprintf(doing, sizeof doing, "moves between");
		hidden_moves(4);
		move_visible();
		turn();
		alice_asks();
		h.now.mono_ms += 200;
		h.now.wall_ms += 200;
		settle();
	}
	for (unsigned i = 0; i < 2; i++)
		watching_free(&watcher[i]);
	harness_stop(&h);
}

static void begin(void)
{
	const char *text = getenv("PE_TEST_SEED");

	harness_failed = failed;
	if (!pe_method_find("scatter") &&
		pe_method_register(&pe_method_scatter, &(struct pe_error){0}) != PE_OK)
		abort();
	seed = seed_again ? seed_again : text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	digests = NULL;
	digest_count = digest_max = compared = 0;
	truncated = results = notices = alice_saw = 0;
	wrong = 0;
}

static void paired_worlds(void)
{
	begin();
	comparing = false;
	run_world(true);
	CU_ASSERT(alice_saw > 0);
	CU_ASSERT(notices > 10);
	printf("\n    seed %" PRIu64 ": %" PRIu64 " replies, %" PRIu64 " results, %" PRIu64
	       " truncated, %" PRIu64 " notices; Alice saw %" PRIu64 " of what others may not ",
		seed, digest_count, results, truncated, notices, alice_saw);
	CU_ASSERT(truncated > 100 && results > 1000);
	alice_saw = 0;
	comparing = true;
	run_world(false);
	CU_ASSERT_EQUAL(alice_saw, 0);
	CU_ASSERT_EQUAL(compared, digest_count);
	CU_ASSERT_EQUAL(wrong, 0);
	free(digests);
}

static void conditional_worlds(void)
{
	conditions = true;
	paired_worlds();
	CU_ASSERT(kept_away > 100);
	conditions = false;
}

// With this one two notices came a millisecond later where a cell was being given up for want of
// somebody else.
static void conditional_worlds_again(void)
{
	seed_again = 1795702659;
	conditional_worlds();
	seed_again = 0;
}

static void rounded_worlds(void)
{
	begin();
	coarse = true;
	comparing = false;
	run_world(false);
	printf("\n    seed %" PRIu64 ": %" PRIu64 " replies, %" PRIu64 " results, %" PRIu64
	       " notices ",
		seed, digest_count, results, notices);
	CU_ASSERT(truncated > 100 && results > 1000 && notices > 10);
	comparing = elsewhere = true;
	run_world(false);
	CU_ASSERT(moved_within > 100);
	CU_ASSERT_EQUAL(compared, digest_count);
	CU_ASSERT_EQUAL(wrong, 0);
	coarse = elsewhere = false;
	free(digests);
}

TESTING_MAIN("model/paired", {"with and without what is hidden", paired_worlds},
	{"elsewhere in the same cell", rounded_worlds},
	{"with and without who is tagged, of a role, or far", conditional_worlds},
	{"… with the seed that once told of them", conditional_worlds_again})
