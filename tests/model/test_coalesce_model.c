// What holds a state back, against a model of it: frequency caps, courses, the three thresholds
// with the factor of the power mode, the trailing edge, crossings that wait for a grace period (the
// test says when one runs, and for long stretches none does), durations, ttl and its refresh by
// what is covered, withdrawal, return and bursts with several records of an entity. Few entities
// that update often, in seven spaces. The model is a plain structure an entity and the rules of
// docs/protocol.md; after every turn the acknowledgements, whatever a query shows, the counters and
// the records in flight must be the model's, exactly. Positions come from tables without a pair
// within 2 cm of a threshold on Earth; on a plane they are halves of a metre, which the grid holds
// exactly, so that a move may be exactly as long as a threshold. PE_TEST_SEED repeats a run.
#include "coalesce_model.h"
#include "harness.h"
#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define GROUP   5u  // places near each other
#define BURST   40u // records, at most: one batch of the engine's
#define RECORDS 1000000u
#define LOG     24u

static struct harness h;
static struct pe_space space[MODEL_SPACES];
static struct wish {
	unsigned place, mode; // an anchor's place; the power mode for now
} wish[1 + MODEL_ENTITIES + MODEL_ANCHORS];
static struct model_record burst[BURST];
static unsigned burst_count;
static struct told {
	uint64_t at_ms;
	struct model_record record;
} history[1 + MODEL_ENTITIES + MODEL_ANCHORS][LOG];
static unsigned history_count[1 + MODEL_ENTITIES + MODEL_ANCHORS];
static struct harness_answer answer;
static uint64_t seed, state, records, anchored, refreshes, deadlines;
static unsigned wrong, grace_mode, anchor; // the next one to be sent
static bool quiet;

static uint64_t next(void)
{
	return testing_random(&state);
}

static unsigned below(unsigned n)
{
	return (unsigned)((next() >> 32) * n >> 32);
}

static void print_log(unsigned n)
{
	static const char *status[] = {"APPLIED", "ACCEPTED", "COALESCED", "REFUSED", "DROPPED"};

	for (unsigned i = history_count[n] > LOG ? history_count[n] - LOG : 0; i < history_count[n];
		i++) {
		const struct model_record *r = &history[n][i % LOG].record;

		printf("\n  %" PRIu64 ": ", history[n][i % LOG].at_ms);
		if (r->withdraw)
			printf("withdrawn from space %u", r->space);
		else
			printf("space %u place %u (cell %" PRIx64
			       ") frequency %u ttl %u duration %u "
			       "attributes %x confidences %u %u%s%s",
				r->space, r->place, model.place[r->space][r->place].key,
				r->u.frequency, r->u.ttl_ms, r->u.duration_ms, r->u.attributes,
				r->u.position_confidence, r->u.status_confidence,
				r->ack ? "" : " unacknowledged", r->covered ? " superseded" : "");
		printf(" #%u -> %s %s", r->u.sequence, status[r->status],
			pe_reason_info[r->reason].name);
	}
}

// n: whose history is told; 0 nobody's.
#define EXPECT(what, n, ...) \
	do { \
		if (!(what) && wrong++ < 5) { \
			printf("\n%s:%d: %s: at %" PRIu64 ", entity %u: ", __FILE__, __LINE__, \
				#what, model.now, n); \
			printf(__VA_ARGS__); \
			print_log(n); \
		} \
	} while (0)

static void failed(const char *what, const char *file, int line)
{
	if (wrong++ < 5)
		printf("\n%s:%d: %s", file, line, what);
}

// ---- places ----

static bool near_a_threshold(unsigned s, double d)
{
	if (s == MODEL_EARTH)
		for (unsigned i = 0; i < 3; i++)
			if (fabs(d - model_policy[s].distance * model_factor[i]) < 0.02)
				return true;
	return false;
}

static double distance(unsigned s, const double a[3], const double b[3])
{
	double along = pe_space_distance(&space[s], a, b, false);

	return s == MODEL_EARTH ? hypot(along, a[2] - b[2]) : along;
}

// Groups of places about some points near the corner of cells — on Earth near where two frames meet
// too; in each group the second is a threshold away from the first, and the third a little more.
static void make_place(unsigned s, unsigned i)
{
	double threshold = model_policy[s].distance > 0 ? model_policy[s].distance : 5, m[3];
	struct pe_place at;

	for (unsigned a = 0; a < 3; a++)
		m[a] = i == 0     ? 0.5 :
			i % GROUP ? ((int)below(33) - 16) / 2.0 :
				    ((int)below(121) - 60) / 2.0;
	if (i % GROUP == 1 || i % GROUP == 2) {
		m[0] = threshold * model_factor[i / GROUP % 3] + (i % GROUP == 2 ? 0.5 : 0);
		m[1] = m[2] = 0;
	}
	for (unsigned a = 0; a < 3; a++) {
		if (s != MODEL_EARTH)
			model.place[s][i].at[a] =
				m[a] + (i % GROUP ? model.place[s][i - i % GROUP].at[a] : 0);
		else if (a < 2)
			model.place[s][i].at[a] =
				(i % GROUP ? model.place[s][i - i % GROUP].at[a] : a * 45.0) +
				m[a] / 111111 + below(1000) * 1e-9;
		else
			model.place[s][i].at[a] = fabs(m[a]);
	}
	if (pe_space_locate(&space[s], model.place[s][i].at, &at) != PE_REASON_none)
		abort();
	model.place[s][i].key = at.key;
}

static void make_places(unsigned s)
{
	for (unsigned i = 0; i < MODEL_PLACES; i++) {
		bool near = false, new = true;

		make_place(s, i);
		for (unsigned k = 0; k < i; k++) {
			model.apart[s][i][k] = model.apart[s][k][i] =
				distance(s, model.place[s][i].at, model.place[s][k].at);
			near |= near_a_threshold(s, model.apart[s][i][k]);
			new &= model.place[s][k].key != model.place[s][i].key;
		}
		if (near) {
			i--;
			continue;
		}
		if (!new)
			continue;
		if (model.entities == MODEL_ENTITIES + MODEL_ANCHORS)
			abort();
		model.entity[++model.entities].space = s;
		wish[model.entities].place = i;
	}
}

// ---- records ----

// Where an entity goes next: mostly near to what is shown.
static unsigned wander(const struct model_entity *e, unsigned s)
{
	unsigned at = e->space == s ? e->shown.place : 0;

	if (below(3) == 0)
		return below(MODEL_PLACES);
	if (below(4) == 0)
		return at;
	return at - at % GROUP + below(GROUP);
}

static void fill_update(struct model_record *r)
{
	static const uint16_t frequencies[] = {600, 1200, 300, 60, 59, 20, 1, 60000, 65535};
	struct model_entity *e = &model.entity[r->n];
	struct pe_wire_update *u = &r->u;
	bool plain = below(3) == 0;

	r->place = r->n > MODEL_ENTITIES ? wish[r->n].place : wander(e, r->space);
	*u = harness_update(r->n, u->sequence, model.place[r->space][r->place].at[0],
		model.place[r->space][r->place].at[1], model.place[r->space][r->place].at[2]);
	if (r->n > MODEL_ENTITIES) {
		u->entity_type = PE_ENTITY_STATIC;
		u->ttl_ms = PE_TTL_MAX_MS;
		return;
	}
	u->velocity[0] = (uint16_t)(below(3) * 0x400);
	if (r->space == MODEL_COURSE) {
		// 0.37, 2 and −3 m/s; mostly as what is shown
		static const uint16_t speeds[] = {0, 0x35EC, 0x4000, 0xC200};

		u->velocity[0] = below(3) && e->space == r->space ? e->shown.u.velocity[0] :
								    speeds[below(4)];
		u->update_frequency = (uint16_t)(below(3) ? 0 : 60);
	}
	u->ttl_ms = below(4) ? 2000 + below(20000) : below(3) ? 0 : 1 + below(500);
	if (below(30) == 0)
		wish[r->n].mode = below(4);
	u->attributes = (uint16_t)(wish[r->n].mode << 5);
	// Only what is the same in all of this can be below a threshold.
	switch (below(24)) {
	case 0:
		u->attributes |=
			(uint16_t[]){PE_STATE_BUSY, PE_STATE_INACTIVE, PE_STATE_AWAY}[below(3)];
		break;
	case 1:
		u->attributes |= PE_STATE_CUSTOM;
		u->custom_state = (uint8_t)below(3);
		break;
	case 2:
		u->radius_m = (float)(5000 + below(2));
		break;
	case 3:
		u->precision_m = (float)(8 * below(3));
		break;
	case 4:
		u->entity_type = below(2) ? 130 : PE_ENTITY_TEMPORARY;
		u->ttl_ms = 3000;
		break;
	case 5:
		u->attributes |= PE_ATTRIBUTE_RELOCATION;
		break;
	case 6:
	case 7: // a quarter of all is 25.4
		u->status_confidence = (uint8_t)(100 + 25 * below(3) + below(2));
		u->position_confidence = (uint8_t)below(2);
		break;
	default:
		break;
	}
	if (!plain && below(2))
		u->frequency = frequencies[below(sizeof frequencies / sizeof frequencies[0])];
	if (!plain && below(4) == 0)
		u->duration_ms = 1 + below(below(2) ? 300 : 3000);
	if (below(60) == 0)
		u->radius_m = -1;
}

static void fill_record(struct model_record *r)
{
	struct model_entity *e = &model.entity[r->n];
	uint32_t highest = e->sequence;
	int32_t offset = below(16) ? 0 : below(8) ? -(int32_t)below(30) : 2001;

	if (below(2000) == 0) // and all that follows within two seconds is late
		offset = PE_CLOCK_AHEAD_MS - (int32_t)below(2);

	for (struct model_record *other = burst; other < r; other++)
		if (other->n == r->n && other->u.sequence > highest &&
			other->incarnation >= r->incarnation)
			highest = other->u.sequence;
	r->u.sequence = r->n <= MODEL_ENTITIES && below(25) == 0 ? highest - below(3) :
								   highest + 1 + below(3);
	if (r->withdraw)
		harness_id(r->u.entity_id, r->n);
	else
		fill_update(r);
	if (r->n > MODEL_ENTITIES)
		offset = 0;
	r->u.time_offset_ms = offset;
	r->time_ms = h.now.wall_ms + (uint64_t)(int64_t)offset;
}

// Somebody in this space, or who may come there, and is not in the burst yet; 0: nobody was found.
static unsigned somebody(unsigned s)
{
	for (unsigned tries = 0; tries < 30; tries++) {
		unsigned n = 1 + below(MODEL_ENTITIES);
		bool sent = false;

		for (unsigned i = 0; i < burst_count; i++)
			sent |= burst[i].n == n;
		if (!sent &&
			(model.entity[n].life != MODEL_THERE || model.entity[n].space == s ||
				below(60) == 0))
			return n;
	}
	return 0;
}

static struct model_record *add_record(unsigned n, unsigned s, uint32_t incarnation, bool ack)
{
	struct model_record *r = &burst[burst_count++];

	*r = (struct model_record){.n = n, .space = s, .incarnation = incarnation, .ack = ack};
	return r;
}

struct packet {
	unsigned first, count;
	uint64_t sequence;
	bool ack;
};

static struct packet queue_updates(unsigned first, unsigned s, uint32_t incarnation, bool ack)
{
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	struct packet p = {.first = first, .count = burst_count - first, .ack = ack};

	for (unsigned i = 0; i < p.count; i++)
		u[i] = burst[first + i].u;
	if (p.count)
		p.sequence = harness_queue_updates(&h, s, incarnation, u, p.count, ack);
	return p;
}

static struct packet make_updates(uint32_t incarnation)
{
	unsigned s = below(MODEL_SPACES), count = 1 + below(below(4) ? 4 : 10), first = burst_count,
		 last = 0;
	bool ack = below(3) != 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned n = last && below(6) == 0 ? last : somebody(s);

		if (n)
			fill_record(add_record(last = n, s, incarnation, ack));
	}
	return queue_updates(first, s, incarnation, ack);
}

static struct packet make_withdrawals(uint32_t incarnation)
{
	struct pe_wire_withdraw x[4];
	unsigned s = below(MODEL_SPACES), count = 1 + below(3), first = burst_count;
	bool ack = below(3) != 0;
	struct packet p = {.first = first, .ack = ack};

	for (unsigned i = 0; i < count; i++) {
		unsigned n = somebody(s);
		struct model_record *r;

		if (!n)
			break;
		r = add_record(n, s, incarnation, ack);
		r->withdraw = true;
		fill_record(r);
		x[p.count] = (struct pe_wire_withdraw){
			.sequence = r->u.sequence, .time_offset_ms = r->u.time_offset_ms};
		memcpy(x[p.count++].entity_id, r->u.entity_id, 16);
	}
	if (p.count)
		p.sequence = harness_queue_withdraws(&h, s, incarnation, x, p.count, ack);
	return p;
}

static void compare_acks(const struct packet *p)
{
	struct pe_wire_ack_record acks[PE_WITHDRAW_COUNT_MAX];
	enum pe_reason refused;
	int got = harness_acks(&h, p->sequence, acks, &refused);

	EXPECT(got == (p->ack && p->count ? (int)p->count : -1), 0u, "%d acknowledgements", got);
	for (int i = 0; i < got && i < (int)p->count; i++) {
		const struct model_record *r = &burst[p->first + (unsigned)i];

		EXPECT(acks[i].status == r->status && acks[i].reason == r->reason, r->n,
			"status %u (%s), expected %u (%s)", acks[i].status,
			pe_reason_info[acks[i].reason].name, r->status,
			pe_reason_info[r->reason].name);
		EXPECT(acks[i].known_incarnation == r->known_incarnation &&
				acks[i].known_sequence == r->known_sequence,
			r->n, "known %u #%u, expected %u #%u", acks[i].known_incarnation,
			acks[i].known_sequence, r->known_incarnation, r->known_sequence);
	}
}

// ---- what is seen ----

static uint64_t ask(unsigned s, bool anchors)
{
	struct pe_wire_query q = harness_sphere(0, s == MODEL_EARTH ? 45 : 0, 0, 3000);

	q.type_mask = anchors ? 0 : 0x1Eu;
	return harness_queue_queries(&h, s, &q, 1);
}

static void compare_result(unsigned s, unsigned n, const struct pe_wire_result *r)
{
	const struct model_entity *e = &model.entity[n];
	const struct pe_wire_update *u = &e->shown.u;
	uint64_t left = (e->expiry - model.now + 99) / 100;

	EXPECT(e->life == MODEL_THERE && e->space == s, n, "shown in space %u: life %u, space %u",
		s, e->life, e->space);
	EXPECT(memcmp(r->position, u->position, sizeof r->position) == 0, n,
		"shown at %.9g %.9g %.9g, not at place %u", r->position[0], r->position[1],
		r->position[2], e->shown.place);
	EXPECT((r->state & 7u) == PE_ATTRIBUTE_STATE(u->attributes) &&
			r->custom_state == u->custom_state && r->entity_type == u->entity_type &&
			r->position_confidence == u->position_confidence &&
			r->status_confidence == u->status_confidence &&
			r->velocity[0] == u->velocity[0],
		n, "state %u, not %u; type %u, not %u", r->state, u->attributes & 7u,
		r->entity_type, u->entity_type);
	EXPECT(r->ttl_left == (left > 65535 ? 65535 : left), n, "ttl %u, not %" PRIu64, r->ttl_left,
		left);
	EXPECT((int64_t)r->age_ms == (int64_t)(h.now.wall_ms - e->shown.time_ms), n, "age %d",
		r->age_ms);
}

static void compare_answer(unsigned s, uint64_t sequence, bool anchors)
{
	bool seen[1 + MODEL_ENTITIES + MODEL_ANCHORS] = {false};

	harness_answer(&h, sequence, 1, &answer);
	EXPECT(answer.whole && !answer.truncated && answer.code == PE_CODE_SUCCESS, 0u,
		"no whole answer");
	for (unsigned i = 0; i < answer.count; i++) {
		uint64_t n = harness_id_number(answer.results[i].entity_id);

		if (n < 1 || n > model.entities || seen[n]) {
			EXPECT(false, 0u, "%" PRIu64 " twice or never sent", n);
			continue;
		}
		seen[n] = true;
		compare_result(s, (unsigned)n, &answer.results[i]);
	}
	for (unsigned n = 1; n <= (anchors ? model.entities : MODEL_ENTITIES); n++)
		EXPECT(seen[n] ==
				(model.entity[n].life == MODEL_THERE && model.entity[n].space == s),
			n, "%s", seen[n] ? "is shown" : "is missing");
}

static void compare_counters(void)
{
	struct pe_worker *worker = pe_engine_worker(h.engine, 0);
	uint32_t owed = 0, idle_ms = pe_worker_idle_ms(worker, h.now);
	uint64_t v[PE_COUNTER_COUNT], there = 0;

	pe_engine_counters(h.engine, v);
#define COMPARE(name) \
	EXPECT(v[PE_COUNTER_##name] == model.told.name, 0u, #name " %" PRIu64 ", not %" PRIu64, \
		v[PE_COUNTER_##name], model.told.name);
	MODEL_TOLD(COMPARE)
	for (unsigned n = 1; n <= model.entities; n++) {
		owed += model.entity[n].owed;
		there += model.entity[n].life == MODEL_THERE;
		EXPECT(model.entity[n].life != MODEL_THERE ||
				model.now + idle_ms <= model_next_due(&model.entity[n]),
			n, "idle for %u ms, but due at %" PRIu64, idle_ms,
			model_next_due(&model.entity[n]));
	}
	EXPECT(pe_worker_in_flight(worker) == owed, 0u, "in flight, not %u", owed);
	EXPECT(pe_engine_entity_count(h.engine) == there, 0u, "not %" PRIu64, there);
}

// ---- steps ----

// To a moment at which something ends, or just before or after it.
static uint64_t to_a_deadline(void)
{
	for (unsigned tries = 0; tries < 10; tries++) {
		const struct model_entity *e = &model.entity[1 + below(MODEL_ENTITIES)];
		uint64_t at[] = {e->cap, e->interval, e->until, e->waits ? e->due : 0,
			e->waits ? e->waiting.until : 0, e->life == MODEL_THERE ? e->expiry : 0,
			e->life == MODEL_GONE ? e->gone_at + MODEL_TOMBSTONE : 0};
		uint64_t to = at[below(sizeof at / sizeof at[0])] + below(3) - 1;

		if (to > model.now && to - model.now <= (below(60) ? 500 : 60000)) {
			deadlines++;
			return to - model.now;
		}
	}
	return below(5);
}

// Who waits for a grace period when the control thread looks gets one.
static void control(void)
{
	if (pe_engine_control(h.engine)) {
		model_grace();
		return;
	}
	for (unsigned n = 1; n <= model.entities; n++) {
		const struct model_entity *e = &model.entity[n];

		EXPECT(e->passed || !e->crossing, n, "nobody asked for its grace period");
		EXPECT(e->passed || e->life != MODEL_GONE ||
				model.timers_ran < e->gone_at + MODEL_TOMBSTONE,
			n, "remembered for longer than its time");
	}
}

static void pass(void)
{
	unsigned kind = below(400);
	uint64_t ms = kind == 0 ? below(70000) :
		kind < 8        ? below(4000) :
		kind < 30       ? below(300) :
		kind < 130      ? 0 :
		kind < 260      ? below(20) :
				  to_a_deadline();

	h.now.mono_ms += ms;
	h.now.wall_ms += ms;
	model.now = h.now.mono_ms;
	model.wall_ms = h.now.wall_ms;
	if (below(64) == 0) {
		grace_mode = below(4);
		quiet = below(12) == 0; // withdrawals alone
	}
	// Long stretches without a grace period, and others with one a turn.
	if (below((unsigned[]){1, 2, 20, 200}[grace_mode]) == 0)
		control();
}

static uint32_t an_incarnation(void)
{
	uint32_t newest = HARNESS_INCARNATION + (uint32_t)(records >> 14);

	return below(60) ? newest : newest - below(2);
}

static void step(void)
{
	struct packet packet[8];
	uint64_t question[MODEL_SPACES];
	unsigned packets = 0;
	bool all = below(200) == 0;

	pass();
	burst_count = 0;
	if (anchor || model.now - anchored > 1000000) {
		// A space's share a turn, while nothing else comes.
		unsigned s = model.entity[MODEL_ENTITIES + 1 + anchor].space;
		uint32_t incarnation = an_incarnation();

		while (MODEL_ENTITIES + 1 + anchor <= model.entities &&
			burst_count < PE_UPDATE_COUNT_MAX &&
			model.entity[MODEL_ENTITIES + 1 + anchor].space == s)
			fill_record(
				add_record(MODEL_ENTITIES + 1 + anchor++, s, incarnation, false));
		packet[packets++] = queue_updates(0, s, incarnation, false);
		if (MODEL_ENTITIES + anchor == model.entities) {
			refreshes += anchored != 0;
			anchored = model.now;
			anchor = 0;
		}
	} else {
		for (unsigned k = quiet ? 0 : below(4); k > 0; k--)
			packet[packets++] = make_updates(an_incarnation());
		if (below(quiet ? 4 : 8) == 0)
			packet[packets++] = make_withdrawals(an_incarnation());
	}
	for (unsigned s = 0; s < MODEL_SPACES; s++)
		question[s] = ask(s, all);
	model_turn(burst, burst_count);
	for (unsigned i = 0; i < burst_count; i++)
		history[burst[i].n][history_count[burst[i].n]++ % LOG] =
			(struct told){model.now, burst[i]};
	harness_turn(&h);
	for (unsigned k = 0; k < packets; k++)
		compare_acks(&packet[k]);
	for (unsigned s = 0; s < MODEL_SPACES; s++)
		compare_answer(s, question[s], all);
	compare_counters();
	records += burst_count;
}

static void held_back_as_the_model(void)
{
	struct pe_engine_config config = harness_config();
	uint64_t goal = testing_amount(RECORDS);
	struct pe_error error;

	config.space_count = MODEL_SPACES;
	// fewer than two share their low 8 bits: every pair in a burst is noticed
	config.entity_count_max = 250;
	config.pending_count_max = 4096;
	config.chunk_count_max = 4096;
	config.tombstone_ms = MODEL_TOMBSTONE;
	config.spaces[MODEL_EARTH] = config.spaces[1];
	for (unsigned s = 0; s < MODEL_SPACES; s++) {
		struct pe_space_policy *p = &config.spaces[s];

		if (s != MODEL_EARTH)
			*p = config.spaces[0];
		memset(p->space.id, 0xA0 + (int)s, 16);
		if (s != MODEL_EARTH && s % 2)
			p->space.leaf_height_m = 64;
		p->coalesce_distance_m = (float)model_policy[s].distance;
		p->coalesce_interval_ms = model_policy[s].interval;
		p->coalesce_attribute = model_policy[s].attribute;
		p->frequency_default = model_policy[s].frequency;
		p->predict_distance_m = (float)model_policy[s].course;
		p->predict_horizon_ms = MODEL_HORIZON;
		if (pe_space_prepare(&space[s], &p->space, s, &error) != PE_OK)
			abort();
		make_places(s);
	}
	harness_failed = failed;
	harness_start(&h, &config);
	model.now = h.now.mono_ms;
	while (records < goal && !wrong)
		step();
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, pending_exhausted), 0);
	harness_stop(&h);
	printf("\n  %" PRIu64 " records:", records);
#define PRINT(name) \
	printf(" " #name " %" PRIu64, model.met.name); \
	CU_ASSERT(wrong || model.met.name > 0);
	MODEL_MET(PRINT)
	printf(" deadlines %" PRIu64 " refreshes %" PRIu64 " ", deadlines, refreshes);
	CU_ASSERT(wrong || (deadlines > 0 && refreshes > 0));
	CU_ASSERT_EQUAL(wrong, 0);
}

int main(void)
{
	static const struct testing_case cases[] = {{"random operations", held_back_as_the_model}};
	const char *text = getenv("PE_TEST_SEED");

	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", seed);
	return testing_main("engine: what is held back, model", cases, 1);
}
