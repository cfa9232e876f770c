// An engine that begins an epoch, with its keys from the seed, for the adversary's tests that last
// for many epochs. PE_TEST_SEED repeats a run.
#pragma once

#include "expect.h"
#include "harness.h"
#include "internal.h"
#include "testing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

static struct harness h;
static struct harness_answer answer;
static struct pe_space spaces[2];
static const double homes[2][3] = {{0, 0, 0}, {60, 25, 0}};
static uint64_t seed, state;
static uint32_t cohort_epochs; // 0: as it is by default

static inline double between(double a, double b)
{
	return a + (b - a) * ((double)(testing_random(&state) >> 11) * 0x1p-53);
}

static void begin(
	const struct pe_policy *policies, unsigned count, uint32_t epoch_ms, uint64_t details_bytes)
{
	struct pe_engine_config c = harness_config();
	const char *text = getenv("PE_TEST_SEED");

	harness_failed = failed;
	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	wrong = 0;
	c.pending_count_max = c.entity_count_max;
	c.details_bytes = details_bytes;
	c.views = (struct pe_views_config){.policies = policies,
		.policy_count = count,
		.epoch_ms = epoch_ms,
		.cohort_epochs = cohort_epochs};
	for (unsigned i = 0; i < 2; i++) {
		struct pe_error error;

		if (pe_space_prepare(&spaces[i], &c.spaces[i].space, i, &error) != PE_OK)
			abort();
	}
	harness_start(&h, &c);
	// Random, but the same in each run of a seed.
	for (unsigned i = 0; i < sizeof h.engine->views.key; i++)
		h.engine->views.key[i] = (uint8_t)(seed >> i % 8 * 8 ^ i);
	h.now.wall_ms += epoch_ms - h.now.wall_ms % epoch_ms;
	printf("\n    seed %" PRIu64 " ", seed);
}

static void ask(unsigned in, double radius_m)
{
	struct pe_wire_query q = harness_sphere(homes[in][0], homes[in][1], homes[in][2], radius_m);

	harness_ask(&h, 0, in, &q, &answer);
	EXPECT(answer.whole && answer.code == PE_CODE_SUCCESS && !answer.truncated, "an answer");
}
