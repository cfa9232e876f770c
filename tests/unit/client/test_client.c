// The client against engines that lose, repeat, shuffle and forge: everything here runs over
// loopback UDP.
#include "client/filter_text.h"
#include "client/presence.h"
#include "base/counters.h"
#include "fake_engine.h"
#include "testing.h"
#include "wire/decode.h"
#include "wire/extension.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>
#include <time.h>

struct pair {
	struct fake_engine engine;
	struct presence_client *client;
};

static bool start(struct pair *p, bool ipv6)
{
	struct presence_options options = {
		.host = ipv6 ? "::1" : NULL, .timeout_ms = 200, .attempts = 3, .incarnation = 77};
	char error[200] = "";

	if (!fake_start(&p->engine, ipv6))
		return false;
	options.port = p->engine.port;
	if (presence_open(&options, &p->client, error, sizeof error) == PRESENCE_OK)
		return true;
	fprintf(stderr, "%s\n", error);
	return false;
}

static void stop(struct pair *p)
{
	presence_close(p->client);
	fake_stop(&p->engine);
}

static struct presence_update sample(unsigned i)
{
	struct presence_update u = {.position = {i, 2, 3},
		.velocity = {1.5f, 0, -2},
		.sequence = 5 + i,
		.type = PRESENCE_MOBILE,
		.state = PRESENCE_AWAY,
		.ttl_ms = 9000,
		.age_ms = 20,
		.radius_m = 50,
		.position_confidence = 1,
		.status_confidence = -1};

	presence_id_from_u64("test", i + 1, u.id);
	return u;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const struct presence_query everything = {.volume = PRESENCE_SPHERE, .radius_m = 10};

static void ids(void)
{
	uint8_t id[16], back[16];
	char text[37];

	presence_id_from_u64("mmsi", 0x0102, id);
	presence_id_print(id, text);
	CU_ASSERT_STRING_EQUAL(text, "6d6d7369-0000-0000-0000-000000000102");
	CU_ASSERT(presence_id_parse(text, back) && memcmp(id, back, 16) == 0);
	CU_ASSERT(presence_id_parse("6D6D7369000000000000000000000102", back) &&
		memcmp(id, back, 16) == 0);
	CU_ASSERT(!presence_id_parse("6d6d7369-0000-0000-0000-00000000010", back));
	CU_ASSERT(!presence_id_parse("6d6d7369-0000-0000-0000-0000000001022", back));
	CU_ASSERT(!presence_id_parse("6d6d-73690000-0000-0000-000000000102", back));
	CU_ASSERT(!presence_id_parse("6d6d7369-0000-0000-0000-00000000010g", back));
	CU_ASSERT(!presence_id_parse("", back));
}

static void opening(void)
{
	struct presence_client *client;
	char error[200] = "";
	struct presence_options unknown = {.host = "no such host"}, patience = {.attempts = 17};

	CU_ASSERT_EQUAL(presence_open(&unknown, &client, error, sizeof error), PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NULL(client);
	CU_ASSERT(strlen(error) > 0);
	CU_ASSERT_EQUAL(presence_open(&patience, &client, NULL, 0), PRESENCE_BAD_ARGUMENT);
}

static void pings(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct pair p = {.engine.wrong_sequence = true, .engine.ignore = 1};
		uint64_t round_trip_us = 0;

		CU_ASSERT_FATAL(start(&p, v6));
		CU_ASSERT_EQUAL(presence_ping(p.client, &round_trip_us), PRESENCE_OK);
		// of the second attempt, not of both
		CU_ASSERT(round_trip_us > 0 && round_trip_us < 60000);
		CU_ASSERT_EQUAL(presence_traffic(p.client).retries, 1);
		CU_ASSERT_EQUAL(presence_traffic(p.client).unexpected, 1);
		stop(&p);
	}
}

static void silence_ends(void)
{
	struct pair p = {.engine.silent = true};
	struct presence_update u = sample(0);
	struct presence_answer answer;
	struct presence_ack ack;
	struct presence_stats stats;
	uint64_t begin = now_ms();

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_ping(p.client, NULL), PRESENCE_TIMED_OUT);
	CU_ASSERT_EQUAL(presence_publish(p.client, NULL, &u, 1, &ack, NULL), PRESENCE_TIMED_OUT);
	CU_ASSERT_EQUAL(ack.status, PRESENCE_DROPPED);
	CU_ASSERT_EQUAL(ack.code, PRESENCE_CODE_TIMEOUT);
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_TIMED_OUT);
	CU_ASSERT_EQUAL(answer.attempts, 3);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_stats(p.client, &stats, NULL), PRESENCE_TIMED_OUT);
	CU_ASSERT(now_ms() - begin >= 4 * 180 - 20 && now_ms() - begin < 4 * 180 + 2000);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.packets, 12);
}

// Nobody listens: the system says so, and the client goes on to its time-out all the same.
static void nobody_listens(void)
{
	struct pair p = {0};

	CU_ASSERT_FATAL(start(&p, false));
	fake_stop(&p.engine);
	CU_ASSERT_EQUAL(presence_ping(p.client, NULL), PRESENCE_TIMED_OUT);
	presence_close(p.client);
}

static void publishing(void)
{
	struct pair p = {.engine.wrong_sequence = true, .engine.junk = true};
	struct presence_update updates[40];
	struct presence_ack acks[40];
	uint8_t space[16] = {4};

	for (unsigned i = 0; i < 40; i++)
		updates[i] = sample(i);
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_publish(p.client, space, updates, 40, acks, NULL), PRESENCE_OK);
	for (unsigned i = 0; i < 40; i++) {
		CU_ASSERT_EQUAL(acks[i].status, PRESENCE_APPLIED);
		CU_ASSERT(!acks[i].repeated);
	}
	CU_ASSERT_EQUAL(presence_traffic(p.client).packets_sent, 3);
	CU_ASSERT_EQUAL(presence_traffic(p.client).records_sent, 40);
	CU_ASSERT(presence_traffic(p.client).malformed >= 3);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.updates, 40);
	CU_ASSERT_EQUAL(p.engine.last_space[0], 4);
	CU_ASSERT_EQUAL(p.engine.last_update.position[0], 32);
	CU_ASSERT_EQUAL(p.engine.last_update.time_offset_ms, -20);
	CU_ASSERT_EQUAL(p.engine.last_update.sequence, 37);
	CU_ASSERT_EQUAL(PE_ATTRIBUTE_STATE(p.engine.last_update.attributes), PE_STATE_AWAY);
	CU_ASSERT_EQUAL(pe_half_to_float(p.engine.last_update.velocity[2]), -2);
	CU_ASSERT_EQUAL(p.engine.last_update.position_confidence, 255);
	CU_ASSERT_EQUAL(p.engine.last_update.status_confidence, 0);
}

static void a_lost_acknowledgement_is_no_failure(void)
{
	struct pair p = {.engine.ignore = 1, .engine.act_when_ignoring = true};
	struct presence_update updates[2] = {sample(0), sample(1)};
	struct presence_ack acks[2];

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_publish(p.client, NULL, updates, 2, acks, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(acks[1].status, PRESENCE_ACCEPTED);
	CU_ASSERT(acks[1].repeated);
	// The same told of a first sending is what it says.
	CU_ASSERT_EQUAL(presence_publish(p.client, NULL, updates, 2, acks, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(acks[1].status, PRESENCE_NOT_TAKEN);
	CU_ASSERT_EQUAL(acks[1].reason, PE_REASON_stale);
	CU_ASSERT_EQUAL(acks[1].known_incarnation, 77);
	stop(&p);
}

static void bad_acknowledgements(void)
{
	struct pair cut = {.engine.short_ack = true}, refused = {.engine.refuse = true};
	struct presence_update updates[17];
	struct presence_ack acks[17];
	struct presence_refusal refusal;

	for (unsigned i = 0; i < 17; i++)
		updates[i] = sample(i);
	CU_ASSERT_FATAL(start(&cut, false));
	CU_ASSERT_EQUAL(
		presence_publish(cut.client, NULL, updates, 2, acks, NULL), PRESENCE_TIMED_OUT);
	stop(&cut);
	CU_ASSERT_FATAL(start(&refused, false));
	CU_ASSERT_EQUAL(presence_publish(refused.client, NULL, updates, 17, acks, &refusal),
		PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(refusal.reason, PE_REASON_space_unknown);
	CU_ASSERT_STRING_EQUAL(presence_code_name(refusal.code), "OUT_OF_BOUNDS");
	CU_ASSERT_EQUAL(acks[16].status, PRESENCE_NOT_TAKEN);
	stop(&refused);
	CU_ASSERT_EQUAL(refused.engine.updates, 17);
}

static void unsayable_updates(void)
{
	struct pair p = {0};
	struct presence_update u = sample(0);
	struct presence_ack ack;
	size_t sent = 9;

	CU_ASSERT_FATAL(start(&p, false));
	u.position[1] = NAN;
	CU_ASSERT_EQUAL(presence_publish(p.client, NULL, &u, 1, &ack, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_send(p.client, NULL, &u, 1, &sent), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(sent, 0);
	u = sample(0);
	memset(u.id, 0, 16);
	CU_ASSERT_EQUAL(presence_publish(p.client, NULL, &u, 1, &ack, NULL), PRESENCE_BAD_ARGUMENT);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.packets, 0);
}

static void sending_many(void)
{
	struct pair p = {0};
	struct presence_update updates[700];
	size_t sent = 0;

	for (unsigned i = 0; i < 700; i++)
		updates[i] = sample(i);
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_send(p.client, NULL, updates, 700, &sent), PRESENCE_OK);
	CU_ASSERT_EQUAL(sent, 700);
	CU_ASSERT_EQUAL(presence_ping(p.client, NULL), PRESENCE_OK); // behind all of them
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.updates, 700);
}

static void withdrawing(void)
{
	struct pair p = {.engine.ignore = 1};
	struct presence_withdrawal gone[50];
	struct presence_ack acks[50];

	for (unsigned i = 0; i < 50; i++) {
		gone[i] = (struct presence_withdrawal){.sequence = i};
		presence_id_from_u64("x", i, gone[i].id);
	}
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_withdraw(p.client, NULL, gone, 50, acks, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(acks[49].status, PRESENCE_APPLIED);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.withdrawals, 48 + 50);
}

static void check_order(const struct presence_answer *answer, unsigned count)
{
	CU_ASSERT_EQUAL(answer->count, count);
	for (unsigned i = 0; i < answer->count; i++)
		CU_ASSERT_EQUAL(answer->found[i].position[0], i);
}

static void parts(void)
{
	struct pair pairs[] = {
		{.engine = {.result_count = 95}},
		{.engine = {.result_count = 95, .reverse_parts = true}},
		{.engine = {.result_count = 95,
			 .reverse_parts = true,
			 .duplicate_parts = true,
			 .junk = true}},
		{.engine = {.result_count = 95, .wrong_sequence = true, .duplicate_parts = true}},
		{.engine = {.result_count = 95,
			 .drop_part = true,
			 .drop_part_times = 2,
			 .reverse_parts = true}},
		{.engine = {.result_count = 0}},
		{.engine = {.result_count = 1, .ignore = 2}},
	};

	for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		struct pair *p = &pairs[i];
		struct presence_answer answer;

		CU_ASSERT_FATAL(start(p, false));
		CU_ASSERT_EQUAL(presence_query(p->client, NULL, &everything, &answer), PRESENCE_OK);
		check_order(&answer, p->engine.result_count);
		CU_ASSERT_EQUAL(answer.attempts, p->engine.drop_part ? 3 : p->engine.ignore + 1);
		CU_ASSERT(!answer.truncated);
		presence_answer_free(&answer);
		stop(p);
	}
}

static void lost_parts(void)
{
	struct pair p = {.engine = {.result_count = 95, .drop_part = true}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_INCOMPLETE);
	CU_ASSERT_EQUAL(answer.count, 85);
	CU_ASSERT_EQUAL(answer.parts, 9);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.queries, 3);
}

// A second "last" part elsewhere, and parts without end, never make an answer.
static void forged_parts(void)
{
	struct pair lasts = {.engine = {.result_count = 95, .two_lasts = true}};
	struct pair endless = {.engine = {.result_count = 95, .endless_parts = true}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&lasts, false));
	CU_ASSERT_EQUAL(
		presence_query(lasts.client, NULL, &everything, &answer), PRESENCE_INCOMPLETE);
	presence_answer_free(&answer);
	stop(&lasts);
	CU_ASSERT_FATAL(start(&endless, false));
	CU_ASSERT_EQUAL(
		presence_query(endless.client, NULL, &everything, &answer), PRESENCE_INCOMPLETE);
	presence_answer_free(&answer);
	stop(&endless);
}

static void junk_without_end(void)
{
	struct pair p = {.engine.junk_flood = true};
	uint64_t begin = now_ms();

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_ping(p.client, NULL), PRESENCE_TIMED_OUT);
	CU_ASSERT(now_ms() - begin < 2000);
	CU_ASSERT(presence_traffic(p.client).malformed > 100);
	stop(&p);
}

static void cursors(void)
{
	struct pair p = {.engine = {.result_count = 95, .page_results = 30}};
	struct pair stuck = {.engine = {.result_count = 95, .stuck_cursor = true}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_OK);
	CU_ASSERT(answer.truncated);
	CU_ASSERT_EQUAL(answer.cursor[0], 30);
	check_order(&answer, 30);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_query_all(p.client, NULL, &everything, 100, &answer), PRESENCE_OK);
	CU_ASSERT(!answer.truncated);
	CU_ASSERT_EQUAL(answer.pages, 4);
	check_order(&answer, 95);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_query_all(p.client, NULL, &everything, 2, &answer), PRESENCE_OK);
	CU_ASSERT(answer.truncated);
	CU_ASSERT_EQUAL(answer.cursor[0], 60);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_FATAL(start(&stuck, false));
	CU_ASSERT_EQUAL(
		presence_query_all(stuck.client, NULL, &everything, 100000, &answer), PRESENCE_OK);
	CU_ASSERT(answer.truncated);
	CU_ASSERT(answer.pages < 4);
	presence_answer_free(&answer);
	stop(&stuck);
}

static void refused_queries(void)
{
	struct pair p = {.engine.refuse = true};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_REFUSED);
	CU_ASSERT_STRING_EQUAL(presence_reason_name(answer.reason), "space_unknown");
	CU_ASSERT_EQUAL(answer.attempts, 1);
	presence_answer_free(&answer);
	stop(&p);
}

static void faulty_programs(void)
{
	struct pair p = {.engine.refuse_program = true};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_REFUSED);
	CU_ASSERT_STRING_EQUAL(presence_reason_name(answer.reason), "query_program");
	CU_ASSERT(answer.filter_step == 2 && answer.filter_at == 20);
	CU_ASSERT_EQUAL(answer.filter_fault, PE_FILTER_ARGUMENT);
	CU_ASSERT(strlen(presence_filter_fault_text(answer.filter_fault)) > 1);
	CU_ASSERT_STRING_EQUAL(presence_filter_fault_text(250), "?");
	presence_answer_free(&answer);
	stop(&p);
}

static void cells(void)
{
	struct pair p = {.engine = {.result_count = 95, .page_results = 30, .reverse_parts = true}};
	struct pair in_parts = {
		.engine = {.result_count = 9, .page_results = 1, .cells_in_parts = true}};
	struct pair other = {.engine = {.result_count = 9, .other_form = true}};
	struct presence_query q = everything;
	struct presence_answer answer;

	q.cell_m = 512;
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query_all(p.client, NULL, &q, 100, &answer), PRESENCE_OK);
	CU_ASSERT(answer.count == 95 && answer.pages == 4 && !answer.found);
	for (unsigned i = 0; i < answer.count; i++)
		CU_ASSERT(answer.cells[i].centre[0] == i && answer.cells[i].count == i + 1 &&
			answer.cells[i].size_m == 512);
	presence_answer_free(&answer);
	stop(&p);
	// What comes in parts is added up, with the newest age of all.
	CU_ASSERT_FATAL(start(&in_parts, false));
	CU_ASSERT_EQUAL(presence_query_all(in_parts.client, NULL, &q, 100, &answer), PRESENCE_OK);
	CU_ASSERT_EQUAL_FATAL(answer.count, 1);
	CU_ASSERT(answer.cells[0].count == 45 && answer.cells[0].newest_age_ms == 992 &&
		!answer.cells[0].more);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_query(in_parts.client, NULL, &q, &answer), PRESENCE_OK);
	CU_ASSERT(answer.count == 1 && answer.cells[0].more);
	presence_answer_free(&answer);
	stop(&in_parts);
	// Whole entities are no answer to it.
	CU_ASSERT_FATAL(start(&other, false));
	CU_ASSERT_EQUAL(presence_query(other.client, NULL, &q, &answer), PRESENCE_TIMED_OUT);
	presence_answer_free(&answer);
	// Sizes that cannot be said.
	for (unsigned i = 0; i < 4; i++) {
		q.cell_m = (const double[]){-1, NAN, INFINITY, 1e300}[i];
		CU_ASSERT_EQUAL(
			presence_query(other.client, NULL, &q, &answer), PRESENCE_BAD_ARGUMENT);
	}
	q.cell_m = 0;
	q.priority = 4;
	CU_ASSERT_EQUAL(presence_query(other.client, NULL, &q, &answer), PRESENCE_BAD_ARGUMENT);
	stop(&other);
}

static void brief(void)
{
	struct pair p = {.engine = {.result_count = 95, .part_results = 31}};
	struct presence_query q = everything;
	struct presence_answer answer;

	q.brief = true;
	q.age_max_ms = 1500;
	q.priority = PRESENCE_HIGH;
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &q, &answer), PRESENCE_OK);
	CU_ASSERT_EQUAL(answer.count, 95);
	for (unsigned i = 0; i < answer.count; i++)
		CU_ASSERT(answer.found[i].position[0] == i &&
			answer.found[i].height_unknown == i % 2 &&
			answer.found[i].position[2] == 0 && answer.found[i].id[0] == 1 &&
			answer.found[i].position_confidence == -1);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.last_query.priority, PE_PRIORITY_HIGH);
}

static void query_fields(void)
{
	struct pair p = {.engine.result_count = 1};
	struct presence_query q = {.volume = PRESENCE_BOX,
		.has_origin = true,
		.has_heights = true,
		.distance_3d = true,
		.results_max = 7,
		.type_mask = 2,
		.state_mask = 3,
		.a = {1, 2, 3},
		.b = {4, 5, 6},
		.radius_m = 99,
		.origin = {7, 8, 9},
		.height_min = -1,
		.height_max = 10};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &q, &answer), PRESENCE_OK);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.last_query.kind, PE_QUERY_BOX);
	CU_ASSERT_EQUAL(p.engine.last_query.b[0], 4);
	CU_ASSERT_EQUAL(p.engine.last_query.origin[2], 9);
	CU_ASSERT_EQUAL(p.engine.last_query.height_max, 10);
	CU_ASSERT_EQUAL(p.engine.last_query.max_results, 7);
	CU_ASSERT_EQUAL(p.engine.last_query.flags,
		PE_QUERY_HAS_ORIGIN | PE_QUERY_HEIGHT_RANGE | PE_QUERY_DISTANCE_3D);
}

static enum presence_result ask(struct pair *p, const struct presence_query *q)
{
	struct presence_answer answer;
	enum presence_result result = presence_query(p->client, NULL, q, &answer);

	presence_answer_free(&answer);
	return result;
}

// What a query says beyond its record, as an engine reads it.
static void query_extensions(void)
{
	static const double square[][2] = {{0, 0}, {10, 0}, {10, 10}, {0, 10}};
	static double circle[PRESENCE_VERTICES_MAX][2], got[PRESENCE_VERTICES_MAX][2];
	unsigned counts[PRESENCE_RINGS_MAX] = {4};
	struct presence_polygon polygon = {
		.vertices = square, .ring_vertices = counts, .ring_count = 1, .height_max = 50};
	struct pair p = {.engine.result_count = 1};
	struct presence_query q = {.volume = PRESENCE_POLYGON, .a = {1, 2, 3}, .polygon = &polygon};
	const struct pe_wire_query *sent = &p.engine.last_query;
	struct presence_filter_error error;
	uint8_t program[PRESENCE_FILTER_BYTES_MAX];
	struct pe_wire_oriented_box box;
	struct pe_wire_frustum frustum;
	struct pe_wire_extension e;
	struct pe_wire_polygon w;

#define ASK_EXTENSION() \
	do { \
		CU_ASSERT_EQUAL(ask(&p, &q), PRESENCE_OK); \
		CU_ASSERT_EQUAL(sent->kind, q.volume); \
		CU_ASSERT_EQUAL_FATAL(pe_wire_check_query(sent, false), PE_REASON_none); \
		CU_ASSERT_EQUAL_FATAL(pe_wire_check_extension(sent, p.engine.last_extension, \
					      sent->extension_bytes, &e), \
			PE_REASON_none); \
	} while (0)
	CU_ASSERT_FATAL(start(&p, false));
	ASK_EXTENSION();
	pe_wire_get_polygon(&e, &w, counts, got);
	CU_ASSERT(w.vertex_count == 4 && counts[0] == 4 && w.height_min == 0 && w.height_max == 50);
	CU_ASSERT_EQUAL(memcmp(got, square, sizeof square), 0);
	CU_ASSERT_EQUAL(sent->a[2], 3);
	// 256 vertices only when they are rounded.
	for (unsigned i = 0; i < PRESENCE_VERTICES_MAX; i++) {
		circle[i][0] = 100 * cos(i * M_PI / 128);
		circle[i][1] = 100 * sin(i * M_PI / 128);
	}
	polygon.vertices = (const double(*)[2])circle;
	counts[0] = PRESENCE_VERTICES_MAX;
	CU_ASSERT_EQUAL(ask(&p, &q), PRESENCE_BAD_ARGUMENT);
	polygon.rounded = true;
	q.filter = program;
	q.filter_bytes = presence_filter_parse("state = active and age < 5s", program, &error);
	CU_ASSERT(q.filter_bytes > 0);
	ASK_EXTENSION();
	pe_wire_get_polygon(&e, &w, counts, got);
	for (unsigned i = 0; i < PRESENCE_VERTICES_MAX; i++)
		CU_ASSERT(fabs(got[i][0] - circle[i][0]) < 0.002 &&
			fabs(got[i][1] - circle[i][1]) < 0.002);
	CU_ASSERT(
		e.filter_bytes == q.filter_bytes && memcmp(e.filter, program, e.filter_bytes) == 0);
	q.polygon = NULL;
	CU_ASSERT_EQUAL(ask(&p, &q), PRESENCE_BAD_ARGUMENT);
	q.volume = PRESENCE_ORIENTED_BOX;
	for (unsigned i = 0; i < 4; i++)
		q.orientation[i] = 0.5;
	q.half[2] = 7;
	ASK_EXTENSION();
	memcpy(&box, e.volume, sizeof box);
	CU_ASSERT(box.half[2] == 7 && box.orientation[3] == 0.5);
	q.volume = PRESENCE_FRUSTUM;
	q.horizontal_deg = 90;
	q.vertical_deg = 60;
	q.near_m = 1;
	q.far_m = 2;
	ASK_EXTENSION();
	memcpy(&frustum, e.volume, sizeof frustum);
	CU_ASSERT(frustum.orientation[0] == 0.5 && frustum.horizontal_deg == 90 &&
		frustum.vertical_deg == 60 && frustum.near_m == 1 && frustum.far_m == 2);
	q.volume = PRESENCE_NEAREST;
	q.results_max = 5;
	q.radius_m = 100;
	ASK_EXTENSION();
	CU_ASSERT(e.filter && !e.volume && sent->b[0] == 100 && sent->max_results == 5);
	q.filter_bytes = 0;
	ASK_EXTENSION();
	CU_ASSERT_EQUAL(sent->flags, 0);
	stop(&p);
#undef ASK_EXTENSION
}

static void counters(void)
{
	struct pair p = {0}, pages = {.engine.state_short = true},
		    wrong = {.engine.state_wrong_index = true};
	struct pair refused = {.engine.state_refused = true};
	struct presence_stats stats;
	struct presence_refusal refusal;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_stats(p.client, &stats, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(stats.count, PE_COUNTER_COUNT);
	for (unsigned i = 0; i < stats.count; i++)
		CU_ASSERT_EQUAL(stats.value[i], 1000 + i);
	CU_ASSERT(stats.identities);
	CU_ASSERT_NOT_EQUAL(stats.packets_difference, 0);
	CU_ASSERT_EQUAL(presence_counter_find("rx_packets"), PE_COUNTER_rx_packets);
	CU_ASSERT_EQUAL(presence_counter_find("nothing"), -1);
	stop(&p);
	CU_ASSERT_FATAL(start(&pages, false));
	CU_ASSERT_EQUAL(presence_stats(pages.client, &stats, NULL), PRESENCE_OK);
	for (unsigned i = 0; i < stats.count; i++)
		CU_ASSERT_EQUAL(stats.value[i], 1000 + i);
	stop(&pages);
	CU_ASSERT_FATAL(start(&wrong, false));
	CU_ASSERT_EQUAL(presence_stats(wrong.client, &stats, NULL), PRESENCE_TIMED_OUT);
	stop(&wrong);
	CU_ASSERT_FATAL(start(&refused, false));
	CU_ASSERT_EQUAL(presence_stats(refused.client, &stats, &refusal), PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(refusal.reason, PE_REASON_not_trusted);
	stop(&refused);
}

struct seen {
	unsigned acks, ack_records, answers, found;
	uint64_t ack_sequence, answer_sequence;
	unsigned cells;
};

static void saw_ack(void *context, uint64_t sequence, struct presence_refusal refusal,
	const struct presence_ack *acks, unsigned count)
{
	struct seen *s = context;

	s->acks++;
	s->ack_records += count;
	s->ack_sequence = sequence;
}

static void saw_answer(
	void *context, const struct presence_part *part, const struct presence_found *found)
{
	struct seen *s = context;

	s->answers += part->last;
	s->found += part->result_count;
	s->answer_sequence = part->sequence;
}

static void saw_cells(
	void *context, const struct presence_part *part, const struct presence_cell *found)
{
	struct seen *s = context;

	CU_ASSERT(part->cells && found[part->result_count - 1].size_m == 512);
	s->cells += part->result_count;
	s->answers += part->last;
}

static void without_waiting(void)
{
	struct pair p = {.engine.result_count = 25};
	struct seen seen = {0};
	struct presence_events events = {&seen, saw_ack, saw_answer, saw_cells};
	struct presence_query q = everything;
	struct presence_update updates[3] = {sample(0), sample(1), sample(2)};
	uint64_t update_sequence, query_sequence, deadline = now_ms() + 2000;
	unsigned packets = 0;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_submit_updates(p.client, NULL, updates, 3, true, &update_sequence),
		PRESENCE_OK);
	CU_ASSERT_EQUAL(
		presence_submit_query(p.client, NULL, &everything, &query_sequence), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_flush(p.client, &packets), PRESENCE_OK);
	CU_ASSERT_EQUAL(packets, 2);
	while ((!seen.acks || !seen.answers) && now_ms() < deadline)
		presence_poll(p.client, &events, 8, 20);
	CU_ASSERT_EQUAL(seen.ack_records, 3);
	CU_ASSERT_EQUAL(seen.ack_sequence, update_sequence);
	CU_ASSERT_EQUAL(seen.answers, 1);
	CU_ASSERT_EQUAL(seen.found, 25);
	CU_ASSERT_EQUAL(seen.answer_sequence, query_sequence);
	CU_ASSERT_EQUAL(presence_poll(p.client, &events, 8, 0), 0);
	q.cell_m = 512;
	CU_ASSERT_EQUAL(presence_submit_query(p.client, NULL, &q, &query_sequence), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_flush(p.client, &packets), PRESENCE_OK);
	while (seen.answers < 2 && now_ms() < deadline)
		presence_poll(p.client, &events, 8, 20);
	CU_ASSERT_EQUAL(seen.cells, 25);
	CU_ASSERT_EQUAL(seen.found, 25);
	stop(&p);
}

TESTING_MAIN("client", {"ids", ids}, {"opening", opening}, {"pings", pings},
	{"silence ends", silence_ends}, {"nobody listens", nobody_listens},
	{"publishing", publishing},
	{"a lost acknowledgement is no failure", a_lost_acknowledgement_is_no_failure},
	{"bad acknowledgements", bad_acknowledgements}, {"unsayable updates", unsayable_updates},
	{"sending many", sending_many}, {"withdrawing", withdrawing}, {"parts", parts},
	{"lost parts", lost_parts}, {"forged parts", forged_parts},
	{"junk without end", junk_without_end}, {"cursors", cursors},
	{"refused queries", refused_queries}, {"faulty programs", faulty_programs},
	{"cells", cells}, {"brief", brief}, {"query fields", query_fields},
	{"query extensions", query_extensions}, {"counters", counters},
	{"without waiting", without_waiting})
