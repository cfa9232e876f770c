// What a prediction saves, and what it costs in exactness, where things move as they do: the
// recording of ships (tests/data/aava-ais.csv) on Earth, and the vehicles of presence-load on a
// plane. For each threshold it prints the share of reports that were never published, at once or at
// a trailing edge, beside the share that a distance threshold of the same size saves. After every
// report its entity is asked for now: it may not be further from what it reported than the
// threshold and what the stored position is rounded by. That fails the test; the shares are what
// they are.
//
//     test-model-predict-saved RECORDING.csv
#include "base/limits.h"
#include "client/tools/load_source.h"
#include "harness.h"
#include "testing.h"
#include "wire/extension.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

#define PLANE    0u
#define EARTH    1u
#define VEHICLES 200u
#define SECONDS  300u
// binary16 says a velocity to a 2,048th; the course was made of what it says
#define ROUNDING_M 0.01

static const float thresholds[] = {1, 10, 50, 100};
static const char *recording;
static struct harness h;
static struct harness_answer answer;

struct share {
	uint64_t reports, published; // at once, and at trailing edges
	double worst_m, sum_m;
};

static struct pe_wire_update to_wire(const struct presence_update *u)
{
	struct pe_wire_update w = {.sequence = u->sequence,
		.ttl_ms = 3600000,
		.entity_type = PE_ENTITY_MOBILE,
		.attributes = (uint16_t)(u->state |
			(u->height_unknown ? PE_ATTRIBUTE_HEIGHT_UNKNOWN : 0))};

	memcpy(w.entity_id, u->id, sizeof w.entity_id);
	for (unsigned i = 0; i < 3; i++) {
		w.position[i] = u->height_unknown && i == 2 ? 0 : u->position[i];
		w.velocity[i] = pe_half_from_float(u->velocity[i]);
	}
	return w;
}

// Where the engine says that it is now.
static double beside_m(const struct pe_space *space, unsigned s, const struct pe_wire_update *u)
{
	const struct pe_wire_time now = {0};
	struct pe_wire_query q =
		harness_sphere(u->position[0], u->position[1], u->position[2], 2000);
	uint8_t extension[16];
	uint32_t bytes =
		pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_TIME, &now, sizeof now);

	harness_ask_extended(&h, 0, s, &q, extension, bytes, &answer);
	CU_ASSERT(answer.whole && !answer.truncated);
	for (unsigned i = 0; i < answer.count; i++)
		if (memcmp(answer.results[i].entity_id, u->entity_id, 16) == 0)
			return pe_space_distance(
				space, answer.results[i].position, u->position, false);
	CU_FAIL("not within two kilometres of its report");
	return INFINITY;
}

static void take(const struct pe_space *space, unsigned s, const struct pe_wire_update *u,
	bool look, struct share *share)
{
	struct pe_wire_ack_record ack = harness_send(&h, s, HARNESS_INCARNATION, u);
	double beside;

	CU_ASSERT(ack.status <= PE_ACK_COALESCED);
	share->reports++;
	if (ack.status != PE_ACK_COALESCED)
		harness_settle(&h); // it may have gone to another cell
	if (!look)
		return;
	beside = beside_m(space, s, u);
	share->worst_m = fmax(share->worst_m, beside);
	share->sum_m += beside;
}

// Both clocks on, with the turns in which trailing edges come.
static void pass_to(uint64_t start_ms, uint64_t at_ms)
{
	while (h.now.mono_ms - start_ms < at_ms) {
		uint64_t left = at_ms - (h.now.mono_ms - start_ms);

		harness_advance(&h, left < 250 ? left : 250);
		harness_control(&h);
	}
}

static struct share ships(bool predict, float threshold_m)
{
	struct pe_engine_config config = harness_config();
	struct load_replay replay;
	struct presence_update u;
	struct pe_space space;
	struct share share = {0};
	struct pe_error fault;
	char error[256];
	uint64_t start;

	config.spaces[EARTH].predict_distance_m = predict ? threshold_m : 0;
	config.spaces[EARTH].coalesce_distance_m = predict ? 0 : threshold_m;
	if (!load_replay_open(&replay, recording, 1, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		exit(EXIT_FAILURE);
	}
	if (pe_space_prepare(&space, &config.spaces[EARTH].space, EARTH, &fault) != PE_OK)
		exit(EXIT_FAILURE);
	harness_start(&h, &config);
	start = h.now.mono_ms;
	for (uint32_t n = replay.report_count; n > 0; n--) {
		struct pe_wire_update w;
		uint64_t due_ms = load_replay_due_us(&replay) / 1000;

		pass_to(start, due_ms);
		if (!load_replay_next(&replay, (due_ms + 1) * 1000, &u))
			break;
		w = to_wire(&u);
		take(&space, EARTH, &w, predict, &share);
	}
	load_replay_close(&replay);
	share.published = HARNESS_COUNTER(&h, records_applied) + HARNESS_COUNTER(&h, trailing);
	harness_stop(&h);
	return share;
}

// One report a second of each, spread over it.
static struct share vehicles(bool predict, float threshold_m)
{
	struct pe_engine_config config = harness_config();
	struct load_crowd crowd;
	struct presence_update u;
	struct pe_space space;
	struct share share = {0};
	struct pe_error fault;
	uint64_t start;

	config.spaces[PLANE].predict_distance_m = predict ? threshold_m : 0;
	config.spaces[PLANE].coalesce_distance_m = predict ? 0 : threshold_m;
	if (!load_crowd_open(&crowd, LOAD_VEHICLES, VEHICLES, 5000, 1) ||
		pe_space_prepare(&space, &config.spaces[PLANE].space, PLANE, &fault) != PE_OK)
		exit(EXIT_FAILURE);
	harness_start(&h, &config);
	start = h.now.mono_ms;
	for (uint32_t n = 0; n < VEHICLES * testing_amount(SECONDS); n++) {
		uint32_t at_ms = n / VEHICLES * 1000 + n % VEHICLES * (1000 / VEHICLES);
		struct pe_wire_update w;

		pass_to(start, at_ms);
		load_crowd_next(&crowd, at_ms, &u);
		w = to_wire(&u);
		take(&space, PLANE, &w, predict, &share);
	}
	load_crowd_close(&crowd);
	share.published = HARNESS_COUNTER(&h, records_applied) + HARNESS_COUNTER(&h, trailing);
	harness_stop(&h);
	return share;
}

static double saved(const struct share *share)
{
	return 100 - 100.0 * (double)share->published / (double)share->reports;
}

static void run(const char *what, struct share (*of)(bool predict, float threshold_m))
{
	for (unsigned i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++) {
		struct share predicted = of(true, thresholds[i]),
			     distance = of(false, thresholds[i]);

		printf("\n  %s, %3g m: %llu reports, %5.1f %% never published (%5.1f %% with a distance threshold), "
		       "shown within %.3f m, %.3f m in the mean ",
			what, (double)thresholds[i], (unsigned long long)predicted.reports,
			saved(&predicted), saved(&distance), predicted.worst_m,
			predicted.sum_m / (double)predicted.reports);
		CU_ASSERT(predicted.reports == distance.reports && predicted.reports > 1000);
		CU_ASSERT(predicted.worst_m <= (double)thresholds[i] + ROUNDING_M);
	}
}

static void recorded_ships(void)
{
	run("ships", ships);
}

static void driven_vehicles(void)
{
	run("vehicles", vehicles);
}

int main(int argc, char **argv)
{
	static const struct testing_case cases[] = {
		{"ships", recorded_ships}, {"vehicles", driven_vehicles}};

	if (argc != 2) {
		fprintf(stderr, "usage: %s RECORDING.csv\n", argv[0]);
		return 64;
	}
	recording = argv[1];
	return testing_main("predictions: what they save", cases, 2);
}
