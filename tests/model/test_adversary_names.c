// What is told of anonymous entities beside their names, by who keeps it and looks as often as he
// likes. Nothing of it tells which name of the next epoch is whose, where the place and the kind of
// entity don't; and no way to ask for ages tells them finer than in their steps. Each attack is
// shown to work on entities that hide nothing, their names left out of account. PE_TEST_SEED
// repeats a run.
#include "client/filter_text.h"
#include "detailed.h"
#include "epochs.h"
#include "space/offset.h"
#include "wire/extension.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

// ---- names ----

#define NAMED   32u
#define POLL_MS 5u
#define STEP_MS 10000u

// All that is told of a name, and when it changed: what may be the same under the next.
struct trace {
	uint8_t id[16];
	double told[8];
	int32_t age_ms;
	uint16_t ttl_left;
	uint64_t age_changed_ms, left_changed_ms;
};

static unsigned trace_of(const uint8_t id[16], struct trace *traces, unsigned *count)
{
	unsigned i = 0;

	while (i < *count && memcmp(traces[i].id, id, 16) != 0)
		i++;
	if (i == *count && i < NAMED) {
		memset(&traces[i], 0, sizeof traces[i]);
		memcpy(traces[i].id, id, 16);
		(*count)++;
	}
	return i < NAMED ? i : 0;
}

// Looks every few milliseconds for as long as one step of what is told.
static unsigned watch(unsigned in, struct trace *traces)
{
	unsigned count = 0;

	for (uint64_t ms = 0; ms < STEP_MS + 100; ms += POLL_MS) {
		ask(in, 1000);
		EXPECT(answer.count == NAMED, "%u of %u", answer.count, NAMED);
		for (unsigned i = 0; i < answer.count; i++) {
			const struct pe_wire_result *r = &answer.results[i];
			struct trace *t = &traces[trace_of(r->entity_id, traces, &count)];
			// In the order of the answer, too, may be something.
			const double told[8] = {r->position[0], r->position[1], r->position[2],
				r->precision, r->state, r->entity_type, r->position_confidence,
				r->velocity[0]};
			uint64_t wall_ms = h.now.wall_ms;

			// An age grows with the clock, what is left shrinks, between its changes.
			if (ms && (int64_t)t->age_ms + POLL_MS != r->age_ms)
				t->age_changed_ms = wall_ms % STEP_MS + 1;
			if (ms && (uint16_t)(t->ttl_left - r->ttl_left) > 1)
				t->left_changed_ms = wall_ms % STEP_MS + 1;
			t->age_ms = r->age_ms;
			t->ttl_left = r->ttl_left;
			memcpy(t->told, told, sizeof told);
		}
		h.now.mono_ms += POLL_MS;
		h.now.wall_ms += POLL_MS;
	}
	// When it was, on the clock.
	for (unsigned i = 0; i < count; i++)
		traces[i].age_ms =
			(int32_t)(uint32_t)(h.now.wall_ms - POLL_MS - (uint64_t)traces[i].age_ms);
	return count;
}

static double apart(const struct trace *a, const struct trace *b)
{
	double sum = 0;

	for (unsigned i = 0; i < 8; i++)
		sum += fabs(a->told[i] - b->told[i]);
	sum += fabs((double)(a->age_ms - b->age_ms));
	sum += fabs((double)a->age_changed_ms - (double)b->age_changed_ms);
	sum += fabs((double)a->left_changed_ms - (double)b->left_changed_ms);
	return sum;
}

// The attack: each name of the next epoch is taken for the one of the last that it is most like.
// Who is whose is known to the test by the key alone. The number that is right.
static unsigned linked(unsigned in, bool anonymous)
{
	static struct trace before[NAMED], after[NAMED];
	uint64_t epoch;
	unsigned right = 0, counts[2];

	begin(NULL, 0, PE_EPOCH_MS, 1 << 20);
	harness_advance(&h, PE_EPOCH_MS - 4 * STEP_MS);
	h.now.wall_ms -= h.now.wall_ms % STEP_MS; // a step begins
	for (unsigned n = 1; n <= NAMED; n++) {
		const double metres[3] = {between(10, 90), between(10, 90), 0};
		struct pe_wire_update u = harness_update(n, 1, 0, 0, 0);

		if (!pe_space_offset(&spaces[in], homes[in], metres, u.position))
			abort();
		u.position[2] = 0;
		if (!anonymous)
			memcpy(u.position, homes[in], sizeof u.position);
		u.attributes |= anonymous ? PE_ANONYMOUS << 3 | 4u << 7 : 0;
		u.precision_m = (float)between(1, 20);
		u.radius_m = (float)between(5000, 8000);
		u.position_confidence = (uint8_t)between(1, 255);
		u.velocity[0] = (uint16_t)between(0, 0x4000);
		u.ttl_ms = PE_EPOCH_MS; // which 16 bits of tenths of a second can tell
		harness_queue_updates(&h, in, HARNESS_INCARNATION, &u, 1, false);
		harness_turn(&h);
		h.now.mono_ms += 250;
		h.now.wall_ms += 250;
	}
	harness_settle(&h);
	epoch = h.now.wall_ms / PE_EPOCH_MS;
	harness_advance(&h, STEP_MS);
	counts[0] = watch(in, before);
	harness_advance(&h, (epoch + 1) * PE_EPOCH_MS - h.now.wall_ms);
	counts[1] = watch(in, after);
	EXPECT(counts[0] == NAMED && counts[1] == NAMED, "%u, %u names", counts[0], counts[1]);
	for (unsigned n = 1; n <= NAMED; n++) {
		uint8_t id[16], then[16], now[16];
		unsigned i, best = 0, alike = 0;

		harness_id(id, n);
		memcpy(then, id, 16);
		memcpy(now, id, 16);
		if (anonymous) {
			pe_views_name(&h.engine->views, id, epoch, then);
			pe_views_name(&h.engine->views, id, epoch + 1, now);
		}
		i = trace_of(now, after, &counts[1]);
		for (unsigned k = 0; k < NAMED; k++) {
			double d = apart(&after[i], &before[k]);

			if (d < apart(&after[i], &before[best]))
				best = k;
		}
		for (unsigned k = 0; k < NAMED; k++)
			alike += apart(&after[i], &before[k]) == apart(&after[i], &before[best]);
		// Among those that are alike he has to guess.
		right += alike == 1 && memcmp(before[best].id, then, 16) == 0;
	}
	harness_stop(&h);
	printf("%u of %u known again%s ", right, NAMED, anonymous ? "" : " without their names");
	return right;
}

static void names(void)
{
	for (unsigned in = 0; in < 2; in++) {
		unsigned open = linked(in, false), sum = wrong;

		// The attack works, by all but the names.
		CU_ASSERT(open >= NAMED * 3 / 4);
		CU_ASSERT(linked(in, true) <= 3);
		CU_ASSERT_EQUAL(wrong + sum, 0);
	}
}

// ---- times ----

// Whether it is told by answers of any age up to so many ms; or of what age it is as the newest of
// its cell.
static int32_t age_by(unsigned in, bool cells, uint32_t at_most_ms)
{
	struct pe_wire_query q = harness_sphere(homes[in][0], homes[in][1], homes[in][2], 1000);
	struct pe_wire_resolution r = {
		.spatial_m = cells ? 64 : 0, .temporal_ms = at_most_ms, .attribute = 0.5f};
	_Alignas(8) uint8_t extension[64];
	uint32_t bytes = pe_wire_put_block(
		extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);

	harness_ask_extended(&h, 0, in, &q, extension, bytes, &answer);
	if (cells)
		return answer.count ? answer.cells[0].newest_age_ms : -1;
	return answer.count > 0;
}

// When it was last heard of, by each way to ask for ages: exactly of who is open, in steps of who
// is anonymous.
static void times(void)
{
	for (unsigned in = 0; in < 2; in++)
		for (unsigned anonymous = 0; anonymous < 2; anonymous++) {
			struct pe_wire_update u =
				harness_update(1, 1, homes[in][0], homes[in][1], 0);
			uint64_t heard_ms, by_cells, by_bound;
			uint32_t low = 0, high = 3600000;

			begin(NULL, 0, PE_EPOCH_MS, 1 << 20);
			h.now.wall_ms += 1 + (uint64_t)between(0, STEP_MS - 2);
			heard_ms = h.now.wall_ms;
			u.ttl_ms = PE_EPOCH_MS;
			u.attributes |= anonymous ? PE_ANONYMOUS << 3 : 0;
			(void)harness_send(&h, in, HARNESS_INCARNATION, &u);
			harness_advance(&h, 30000 + (uint64_t)between(0, STEP_MS));
			by_cells = h.now.wall_ms - (uint64_t)age_by(in, true, 0);
			while (high - low > 1) {
				uint32_t middle = low + (high - low) / 2;

				if (age_by(in, false, middle))
					high = middle;
				else
					low = middle;
			}
			by_bound = h.now.wall_ms - high;
			if (anonymous)
				heard_ms -= heard_ms % STEP_MS;
			EXPECT(by_cells == heard_ms, "%u: by cells, %d ms beside", anonymous,
				(int)(by_cells - heard_ms));
			EXPECT(by_bound == heard_ms, "%u: by a bound, %d ms beside", anonymous,
				(int)(by_bound - heard_ms));
			CU_ASSERT_EQUAL(wrong, 0);
			harness_stop(&h);
		}
}

// ---- filters ----

// What each test of a filter can ask for, so that those whom it could tell apart are.
static const char *const filters[] = {"position_confidence >= 0.5", "position_confidence < 0.1",
	"status_confidence > 0.5", "speed > 4m/s", "speed > 0", "radius >= 6km",
	"radius = unlimited", "tag = \"ferry\"", "not tag = \"ferry\"", "activity = \"sailing\"",
	"activity = \"at anchor\"", "meta.crew > 4", "not meta.crew > 4", "meta.crew exists",
	"meta.crew = 3", "age < 12345ms", "age < 15s",
	"id in (01000000-0000-0000-157c-4a7fb979379e)", "meta.crew = 7 or tag = \"tug\"",
	"type = mobile and meta.crew < 5"};
#define FILTERS (sizeof filters / sizeof filters[0])

// Bit n: the n-th filter finds the only one that there is; as it says this or that of itself, heard
// of in the same step.
static uint32_t found_by(unsigned in, bool anonymous, bool other, struct pe_wire_result *result)
{
	struct pe_wire_update u = harness_update(1, 1, homes[in][0], homes[in][1], 0);
	struct detailed d;
	uint32_t found = 0;

	begin(NULL, 0, PE_EPOCH_MS, 1 << 20);
	h.now.wall_ms += STEP_MS + (other ? 1000 : 6000) - h.now.wall_ms % STEP_MS;
	u.ttl_ms = PE_EPOCH_MS;
	u.attributes |= anonymous ? PE_ANONYMOUS << 3 : 0;
	u.position_confidence = other ? 5 : 250;
	u.status_confidence = other ? 7 : 240;
	u.velocity[0] = other ? 0 : 0x4900; // 10 m/s
	u.precision_m = other ? 2.9f : 3.1f;
	u.radius_m = other ? 4500 : 7000;
	detailed_begin(&d, &u);
	detailed_context(&d, other ? "at anchor" : "sailing", other ? "tug" : "ferry");
	detailed_number(&d, "crew", other ? 3 : 7);
	(void)harness_send_detailed(&h, in, HARNESS_INCARNATION, d.bytes);
	harness_settle(&h);
	harness_advance(&h, 2 * STEP_MS + STEP_MS / 2 - h.now.wall_ms % STEP_MS);
	for (unsigned i = 0; i < FILTERS; i++) {
		struct pe_wire_query q =
			harness_sphere(homes[in][0], homes[in][1], homes[in][2], 1000);
		uint8_t program[PRESENCE_FILTER_BYTES_MAX];
		struct presence_filter_error error;
		_Alignas(8) uint8_t extension[PRESENCE_FILTER_BYTES_MAX + 64];
		unsigned bytes = presence_filter_parse(filters[i], program, &error);

		EXPECT(bytes > 0, "%s", filters[i]);
		bytes = pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_FILTER, program, bytes);
		q.flags = PE_QUERY_WITH_DETAILS;
		harness_ask_extended(&h, 0, in, &q, extension, bytes, &answer);
		EXPECT(answer.whole && answer.code == PE_CODE_SUCCESS, "%s", filters[i]);
		found |= (answer.count ? 1u : 0u) << i;
	}
	ask(in, 1000);
	*result = answer.results[0];
	EXPECT(answer.count == 1, "%u", answer.count);
	CU_ASSERT_EQUAL(wrong, 0);
	harness_stop(&h);
	return found;
}

// A filter on what may not be seen is no oracle: it finds the same whatever is there.
static void oracles(void)
{
	for (unsigned in = 0; in < 2; in++) {
		struct pe_wire_result r[2];
		uint32_t open =
			found_by(in, false, false, &r[0]) ^ found_by(in, false, true, &r[1]);
		uint32_t first, second;

		CU_ASSERT_NOT_EQUAL(memcmp(&r[0], &r[1], sizeof r[0]), 0);
		first = found_by(in, true, false, &r[0]);
		second = found_by(in, true, true, &r[1]);
		CU_ASSERT_EQUAL(memcmp(&r[0], &r[1], sizeof r[0]), 0);
		for (unsigned i = 0; i < FILTERS; i++)
			if ((first ^ second) >> i & 1)
				printf("\n    %s tells ", filters[i]);
		CU_ASSERT_EQUAL(first, second);
		CU_ASSERT(__builtin_popcount(open) >= 12);
	}
}

TESTING_MAIN("model/adversary-names", {"names of two epochs", names}, {"times in steps", times},
	{"filters", oracles})
