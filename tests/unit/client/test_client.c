// The client against engines that lose, repeat, shuffle and forge: everything here runs over
// loopback UDP.
#include "client/presence.h"
#include "base/counters.h"
#include "fake_pair.h"
#include "testing.h"
#include "wire/decode.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

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
		CU_ASSERT(round_trip_us > 0 && round_trip_us < ANSWERED_MS * 1000);
		CU_ASSERT_EQUAL(presence_traffic(p.client).retries, 1);
		CU_ASSERT_EQUAL(presence_traffic(p.client).unexpected, 1);
		stop(&p);
	}
}

static void silence_ends(void)
{
	struct pair p = {.engine.silent = true, .timeout_ms = SILENCE_MS};
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
	CU_ASSERT(now_ms() - begin >= 4 * 3 * SILENCE_MS - 20 && now_ms() - begin < 60000);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.packets, 12);
}

// Nobody listens: the system says so, and the client goes on to its time-out all the same.
static void nobody_listens(void)
{
	struct pair p = {.timeout_ms = SILENCE_MS};

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
	struct pair cut = {.engine.short_ack = true, .timeout_ms = SILENCE_MS},
		    refused = {.engine.refuse = true};
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

// One behind many that can be said: nothing was sent.
static void unsayable_last(void)
{
	static struct presence_details details[60];
	struct presence_withdrawal gone[60] = {0};
	struct presence_update updates[60];
	struct presence_ack acks[60];
	struct pair p = {0};

	for (unsigned i = 0; i < 60; i++) {
		updates[i] = sample(i);
		memcpy(gone[i].id, updates[i].id, sizeof gone[i].id);
	}
	updates[59].velocity[2] = NAN;
	gone[59].age_ms = INT32_MIN;
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(
		presence_publish(p.client, NULL, updates, 60, acks, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(presence_error(p.client), "not a finite number"));
	CU_ASSERT_EQUAL(presence_publish_detailed(p.client, NULL, updates, details, 60, acks, NULL),
		PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(
		presence_withdraw(p.client, NULL, gone, 60, acks, NULL), PRESENCE_BAD_ARGUMENT);
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

static void counters(void)
{
	struct pair p = {0}, pages = {.engine.state_short = true},
		    wrong = {.engine.state_wrong_index = true, .timeout_ms = SILENCE_MS};
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
	uint64_t update_sequence, query_sequence, deadline = now_ms() + 60000;
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
	{"unsayable last", unsayable_last}, {"publishing", publishing},
	{"a lost acknowledgement is no failure", a_lost_acknowledgement_is_no_failure},
	{"bad acknowledgements", bad_acknowledgements}, {"unsayable updates", unsayable_updates},
	{"sending many", sending_many}, {"withdrawing", withdrawing}, {"counters", counters},
	{"without waiting", without_waiting})
