// Predictions: what a course covers and what it does not, the trailing edge, for how long a sender
// may be silent, and questions about a later moment.
#include "base/limits.h"
#include "testing_engine.h"
#include "wire/extension.h"
#include "wire/half.h"

#include <math.h>

static void start_predicting(float distance_m)
{
	struct pe_engine_config config = harness_config();

	for (unsigned s = 0; s < 2; s++)
		config.spaces[s].predict_distance_m = distance_m;
	start_with(&config);
}

// Entity 1 goes along x; `y` and the velocity as given.
static struct pe_wire_update going(uint32_t sequence, double x, double y, float speed)
{
	struct pe_wire_update u = harness_update(1, sequence, x, y, 10);

	u.ttl_ms = 1000000;
	u.velocity[0] = pe_half_from_float(speed);
	return u;
}

static struct pe_wire_ack_record put(uint32_t sequence, double x, double y, float speed)
{
	struct pe_wire_update u = going(sequence, x, y, speed);

	return send(&u);
}

static void course_covers(void)
{
	start_predicting(5);
	ASSERT_STATUS(put(1, 0, 0, 10), PE_ACK_APPLIED);
	// On the course, beside it by as much as the threshold and a little more, each a second
	// after the one before.
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(2, 10, 0, 10), PE_ACK_COALESCED);
	ASSERT_AT(1, 0);
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(3, 20, 5, 10), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(4, 30, 5.01, 10), PE_ACK_APPLIED);
	ASSERT_AT(1, 30);
	// Who stops leaves it at once when the course would lead too far until it is published: 10
	// m/s for 2 s.
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(5, 40, 5.01, 0), PE_ACK_APPLIED);
	// Standing still it is a distance threshold.
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(6, 45, 5.01, 0), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(7, 45.1, 5.01, 0), PE_ACK_APPLIED);
	// Something else than place and velocity is new.
	struct pe_wire_update u = going(8, 45.1, 5.01, 0);

	u.attributes |= PE_STATE_BUSY;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence++;
	u.precision_m = 3;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	// Earlier than what is published: only with a new incarnation, and then it is not covered.
	u.sequence = 1;
	u.time_offset_ms = -1000;
	ASSERT_STATUS(harness_send(&h, PLANE, HARNESS_INCARNATION + 1, &u), PE_ACK_APPLIED);
	stop();
}

static void trailing_edge(void)
{
	start_predicting(5);
	ASSERT_STATUS(put(1, 0, 0, 10), PE_ACK_APPLIED);
	for (unsigned i = 1; i <= 5; i++) {
		// Each puts it off: they are two seconds apart, so for four.
		harness_advance(&h, 2000);
		ASSERT_STATUS(put(1 + i, 20 * i, 1, 10), PE_ACK_COALESCED);
		ASSERT_AT(1, 0);
	}
	harness_advance(&h, 3999);
	ASSERT_AT(1, 0);
	harness_advance(&h, 1);
	ASSERT_AT(1, 100);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 1);
	// Its own event time goes with it: at 14 s it is 4 s old.
	struct pe_wire_result r = {0};

	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.age_ms, 4000);
	// And nothing more comes of it.
	harness_advance(&h, 20000);
	ASSERT_AT(1, 100);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 1);
	harness_settle(&h); // it crossed into another cell
	// The least is a second; what is announced counts too.
	ASSERT_STATUS(put(7, 1000, 0, 10), PE_ACK_APPLIED);
	harness_settle(&h);
	harness_advance(&h, 100);
	ASSERT_STATUS(put(8, 1001, 0, 10), PE_ACK_COALESCED);
	harness_advance(&h, 999);
	ASSERT_AT(1, 1000);
	harness_advance(&h, 1);
	ASSERT_AT(1, 1001);
	struct pe_wire_update u = going(9, 1011, 0, 10);

	u.update_frequency = 10;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 11999);
	ASSERT_AT(1, 1001);
	harness_advance(&h, 1);
	ASSERT_AT(1, 1011);
	// Over into another cell.
	u = going(10, 1011 + 120, 0, 10);
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 60000);
	ASSERT_AT(1, 1131);
	stop();
}

// Never longer than the horizon from the event time that is seen, though updates go on.
static void horizon(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].predict_distance_m = 5;
	config.spaces[PLANE].predict_horizon_ms = 10000;
	start_with(&config);
	ASSERT_STATUS(put(1, 0, 0, 10), PE_ACK_APPLIED);
	for (unsigned i = 1; i <= 3; i++) {
		harness_advance(&h, 3000);
		ASSERT_STATUS(put(1 + i, 30 * i, 0, 10), PE_ACK_COALESCED);
	}
	harness_advance(&h, 999);
	ASSERT_AT(1, 0);
	harness_advance(&h, 1);
	ASSERT_AT(1, 90);
	harness_settle(&h);
	// Beyond it nothing is covered.
	harness_advance(&h, 9000); // 10,000 ms after its event
	ASSERT_STATUS(put(5, 190, 0, 10), PE_ACK_APPLIED);
	harness_settle(&h);
	harness_advance(&h, 10001);
	ASSERT_STATUS(put(6, 290.01, 0, 10), PE_ACK_APPLIED);
	harness_settle(&h);
	// What is gone by its ttl meanwhile stays gone.
	harness_advance(&h, 1000);
	struct pe_wire_update u = going(7, 300, 0, 10);

	u.ttl_ms = 1500;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1499);
	CU_ASSERT_EQUAL(sees(1, NULL), 1);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	harness_advance(&h, 20000);
	ASSERT_GONE(1);
	stop();
}

static void who_is_predicted(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].predict_distance_m = 5;
	config.spaces[PLANE].coalesce_distance_m = 1;
	start_with(&config);
	// STATIC: its own threshold, and no course though it states a velocity.
	struct pe_wire_update u = going(1, 0, 0, 10);

	u.entity_type = PE_ENTITY_STATIC;
	u.attributes |= PE_ATTRIBUTE_RELOCATION;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	u.sequence++;
	u.position[0] = 1;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	ASSERT_AT(1, 1);
	u.sequence++;
	u.position[0] = 11;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	// By power mode.
	for (unsigned mode = 0; mode < 4; mode++) {
		static const float factor[4] = {1, 2, 8, 1};

		u = harness_update(10 + mode, 1, 0, 0, 0);
		u.attributes |= (uint16_t)(mode << 5);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u.sequence++;
		u.position[1] = (double)(5 * factor[mode]);
		ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
		u.sequence++;
		u.position[1] += 0.01;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	// A frequency of the entity's own holds back as ever.
	u = harness_update(20, 1, 0, 0, 0);
	u.frequency = 60;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence++;
	u.position[0] = 100;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	ASSERT_AT(20, 100);
	stop();
	// Nothing but a prediction is asked for: a STATIC entity is always published.
	start_predicting(5);
	u = harness_update(1, 1, 0, 0, 0);
	u.entity_type = PE_ENTITY_STATIC;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence++;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	stop();
}

static uint32_t silence(struct pe_wire_update *u, unsigned mode, uint16_t announced)
{
	struct pe_wire_ack_record ack;

	u->sequence++;
	u->attributes = (uint16_t)(mode << 5);
	u->update_frequency = announced;
	ack = send(u);
	CU_ASSERT(ack.status <= PE_ACK_COALESCED);
	return ack.silence_ms;
}

static void silences(void)
{
	struct pe_wire_update u = going(0, 0, 0, 0);

	start_predicting(8);
	u.ttl_ms = 100000;
	CU_ASSERT_EQUAL(silence(&u, 0, 0), 0);
	CU_ASSERT_EQUAL(silence(&u, 0, 60), 1000);
	CU_ASSERT_EQUAL(silence(&u, 1, 60), 2000);
	CU_ASSERT_EQUAL(silence(&u, 2, 60), 8000);
	CU_ASSERT_EQUAL(silence(&u, 2, 7), 50000); // half of its ttl
	CU_ASSERT_EQUAL(silence(&u, 0, 65535), 1);
	// ADAPTIVE: nothing known; then it stands still.
	u.entity_id[0]++;
	CU_ASSERT_EQUAL(silence(&u, 3, 60), 1000);
	harness_advance(&h, 1000);
	CU_ASSERT_EQUAL(silence(&u, 3, 60), 16000);
	// 2 m beside its course in 2 s: 6 m are left, at 1 m/s.
	harness_advance(&h, 1000);
	u.position[0] = 2;
	CU_ASSERT_EQUAL(silence(&u, 3, 60), 6000);
	// That is published after 2 s without more; beside it by 16 m in 2 s, it was within 8 m for
	// one.
	harness_advance(&h, 2000);
	u.position[0] = 18;
	CU_ASSERT_EQUAL(silence(&u, 3, 60), 1000);
	// Where it should be, but with another velocity: 8 m are left, at 2 m/s.
	harness_advance(&h, 1000);
	u.velocity[1] = pe_half_from_float(2);
	CU_ASSERT_EQUAL(silence(&u, 3, 60), 4000);
	u.sequence++;
	CU_ASSERT_EQUAL(withdraw(harness_id_number(u.entity_id), u.sequence).silence_ms, 0);
	u.sequence--;
	CU_ASSERT_EQUAL(send(&u).silence_ms, 0); // refused
	stop();
	// Without a prediction nothing is known of any course.
	start();
	u = going(0, 0, 0, 5);
	(void)silence(&u, 3, 60);
	harness_advance(&h, 1000);
	CU_ASSERT_EQUAL(silence(&u, 3, 60), 1000);
	stop();
}

// ---- a later moment ----

static struct harness_answer answer;

static unsigned ask_at(
	unsigned space, struct pe_wire_query q, int32_t offset_ms, struct pe_wire_result *result)
{
	const struct pe_wire_time t = {.offset_ms = offset_ms};
	uint8_t extension[64];
	uint32_t bytes =
		pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_TIME, &t, sizeof t);

	harness_ask_extended(&h, 0, space, &q, extension, bytes, &answer);
	CU_ASSERT(answer.whole);
	if (result && answer.count)
		*result = answer.results[0];
	return answer.count;
}

static void moments(void)
{
	struct pe_wire_update u = going(1, 0, 0, 10);
	struct pe_wire_result r = {0};

	start_predicting(5);
	u.precision_m = 2;
	u.position_confidence = 255;
	u.radius_m = 1000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 2000);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_sphere(50, 0, 10, 0.5), 3000, &r), 1);
	CU_ASSERT_EQUAL(r.position[0], 50);
	CU_ASSERT_EQUAL(r.distance_m, 0);
	CU_ASSERT_EQUAL(r.age_ms, 2000);
	// 2 stated, 5 hidden, 2 × 10 m/s × 5 s: 107, and a half to the next 2⁻⁴ holds it.
	CU_ASSERT_EQUAL(pe_half_to_float(r.precision), 107);
	CU_ASSERT_DOUBLE_EQUAL(
		pe_confidence_to_float(r.position_confidence), exp(-5.0 / 60), 0.003);
	// Not where it was, nor where it is now.
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_sphere(0, 0, 10, 15), 3000, NULL), 0);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_sphere(20, 0, 10, 0.5), 0, &r), 1);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_box((double[]){50, 0, 10}, (double[]){50, 0, 10}),
				3000, NULL),
		1);
	// POINT: within its precision then.
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_point(50, 107, 10), 3000, NULL), 1);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_point(50, 107.1, 10), 3000, NULL), 0);
	// Its reach: 1000 m from where it will be.
	struct pe_wire_query q = harness_sphere(50, 0, 10, 1);

	q.flags |= PE_QUERY_HAS_ORIGIN;
	q.origin[0] = 1050;
	q.origin[2] = 10;
	CU_ASSERT_EQUAL(ask_at(PLANE, q, 3000, NULL), 1);
	CU_ASSERT_EQUAL(ask_at(PLANE, q, 2900, NULL), 0);
	// Not followed beyond the horizon.
	harness_advance(&h, 50000);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_sphere(600, 0, 10, 0.5), 60000, &r), 1);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_sphere(600, 0, 10, 0.5), 8000, &r), 1);
	CU_ASSERT_EQUAL(ask_at(PLANE, harness_sphere(600, 0, 10, 0.5), 7900, &r), 0);
	stop();
}

static void moments_of_others(void)
{
	struct pe_wire_update u = going(1, 0, 0, 10);
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	struct pe_wire_result r = {0};

	start_predicting(5);
	// STATIC stays; too fast gets as far as the fastest, without a bound.
	u.entity_type = PE_ENTITY_STATIC;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u = harness_update(2, 1, 0, 0, 0);
	u.velocity[1] = pe_half_from_float(5000);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	q.type_mask = 1u << PE_ENTITY_STATIC;
	CU_ASSERT_EQUAL(ask_at(PLANE, q, 10000, &r), 1);
	CU_ASSERT_EQUAL(r.position[0], 0);
	CU_ASSERT_EQUAL(r.precision, 0);
	q.type_mask = 1u << PE_ENTITY_MOBILE;
	CU_ASSERT_EQUAL(ask_at(PLANE, q, 10000, &r), 1);
	CU_ASSERT_DOUBLE_EQUAL(r.position[1], 10 * PE_PREDICT_SPEED_MAX_MPS, 1e-6);
	CU_ASSERT_EQUAL(pe_half_to_float(r.precision), PE_HALF_MAX);
	// Nearest: by where they will be.
	u = harness_update(3, 1, 1000, 0, 0);
	u.velocity[0] = pe_half_from_float(-100);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u = harness_update(4, 1, 10, 0, 0);
	u.velocity[0] = pe_half_from_float(100);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	q = (struct pe_wire_query){.query_id = 1, .kind = PE_QUERY_NEAREST, .max_results = 2};
	q.type_mask = 1u << PE_ENTITY_MOBILE;
	CU_ASSERT_EQUAL(ask_at(PLANE, q, 10000, &r), 2);
	CU_ASSERT_EQUAL(harness_id_number(r.entity_id), 3);
	CU_ASSERT_EQUAL(harness_id_number(answer.results[1].entity_id), 4);
	// Heights, on Earth over the antimeridian and near a pole.
	u = harness_update(5, 1, 10, 179.9999, 100);
	u.velocity[0] = pe_half_from_float(100);
	u.velocity[2] = pe_half_from_float(5);
	CU_ASSERT_EQUAL(harness_send(&h, EARTH, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	u = harness_update(6, 1, 89.9999, 0, 0);
	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	u.velocity[1] = pe_half_from_float(10);
	CU_ASSERT_EQUAL(harness_send(&h, EARTH, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	q = harness_sphere(10, -179.9, 0, 10000);
	q.flags |= PE_QUERY_HEIGHT_RANGE;
	q.height_min = 149;
	q.height_max = 151;
	CU_ASSERT_EQUAL(ask_at(EARTH, q, 10000, &r), 1);
	CU_ASSERT_DOUBLE_EQUAL(r.position[2], 150, 1e-9);
	CU_ASSERT(r.position[1] < -179.99);
	CU_ASSERT_EQUAL(ask_at(EARTH, q, 9000, &r), 0);
	CU_ASSERT_EQUAL(ask_at(EARTH, harness_sphere(90, 0, 0, 200), 20000, &r), 1);
	CU_ASSERT_DOUBLE_EQUAL(fabs(r.position[1]), 180, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(r.distance_m, 200 - 11.17, 0.01);
	CU_ASSERT_DOUBLE_EQUAL(pe_half_to_float(r.velocity[1]), -10, 0.01); // southwards now
	stop();
}

static void moments_refused(void)
{
	static const int32_t refused[] = {-1, INT32_MIN, 60001, 600000, 600001, INT32_MAX};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 10);

	start();
	for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		CU_ASSERT_EQUAL(ask_at(PLANE, q, refused[i], NULL), 0);
		CU_ASSERT_EQUAL(answer.reason, PE_REASON_query_time);
		CU_ASSERT_EQUAL(answer.code, pe_reason_info[PE_REASON_query_time].code);
	}
	CU_ASSERT_EQUAL(ask_at(PLANE, q, 60000, NULL), 0);
	CU_ASSERT_EQUAL(answer.reason, PE_REASON_none);
	stop();
}

// The walk's bounds hold, and say so; whoever is not trusted gets no more than was asked with.
static void moments_bounded(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1);
	struct pe_wire_update u;

	config.query_candidates_max = 4096;
	start_with(&config);
	for (uint32_t n = 1; n <= 900; n++) {
		u = harness_update(n, 1, n * 2.0, n % 7, 0);
		u.velocity[0] = pe_half_from_float(n == 1 ? 300 : 1);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	(void)ask_at(PLANE, q, 1000, NULL);
	CU_ASSERT(answer.truncated);
	h.untrusted = true;
	(void)ask_at(PLANE, q, 1000, NULL);
	h.untrusted = false;
	stop();
}

// Two workers: the owner's acknowledgement is not the receiver's.
static void elsewhere(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u = going(1, 0, 0, 10);
	struct pe_wire_ack_record ack[1];
	enum pe_reason refused;
	uint64_t sequence;

	config.worker_count = 2;
	config.spaces[PLANE].predict_distance_m = 5;
	start_with(&config);
	u.update_frequency = 60;
	u.attributes = PE_POWER_ADAPTIVE << 5;
	(void)send(&u);
	harness_settle(&h);
	harness_advance(&h, 1000);
	u.sequence = 5;
	u.position[0] = 10;
	sequence = harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
	harness_turn_worker(&h, 1);
	CU_ASSERT_EQUAL(harness_acks(&h, sequence, ack, &refused), 1);
	CU_ASSERT_EQUAL(ack[0].status, PE_ACK_ACCEPTED);
	CU_ASSERT_EQUAL(ack[0].silence_ms, 1000);
	harness_settle(&h);
	ASSERT_AT(1, 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_coalesced), 1);
	stop();
}

TESTING_MAIN("engine: predictions", {"course covers", course_covers},
	{"trailing edge", trailing_edge}, {"horizon", horizon},
	{"who is predicted", who_is_predicted}, {"silences", silences}, {"moments", moments},
	{"moments of others", moments_of_others}, {"moments refused", moments_refused},
	{"moments bounded", moments_bounded}, {"elsewhere", elsewhere})
