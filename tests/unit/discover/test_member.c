// Memberships: what each rule tells of a pair, what ends one, and what happens without room.
#include "base/limits.h"
#include "discover/member.h"
#include "testing.h"

#include <math.h>
#include <string.h>

#define FENCES   8u
#define ENTITIES 64u

static struct {
	struct pe_space space;
	struct pe_member_set *set;
	struct pe_member_event event[4096];
	unsigned count, seen;
	int open[FENCES][ENTITIES]; // ENTERs less LEAVEs
	unsigned broken;
} t;

static void tell(void *context, const struct pe_member_event *event)
{
	int *open = &t.open[event->fence][event->handle];

	(void)context;
	if (event->kind == PE_MEMBER_ENTER)
		t.broken += (*open)++ != 0;
	else
		t.broken += *open != 1;
	*open -= event->kind == PE_MEMBER_LEAVE;
	if (t.count < sizeof t.event / sizeof t.event[0])
		t.event[t.count++] = *event;
}

static void begin(uint32_t members, uint32_t tick)
{
	struct pe_space_config space = {
		.kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 64};
	struct pe_member_config config = {.member_count_max = members,
		.fence_count_max = FENCES,
		.handle_end = ENTITIES,
		.tell = tell};
	struct pe_error error;

	memset(&t, 0, sizeof t);
	if (pe_space_prepare(&t.space, &space, 0, &error) != PE_OK ||
		pe_member_create(&config, tick, &t.set, &error) != PE_OK)
		abort();
}

static void finish(void)
{
	struct pe_member_use use = pe_member_use(t.set);

	CU_ASSERT_EQUAL(t.broken, 0);
	CU_ASSERT_EQUAL(use.inside, 0);
	CU_ASSERT_EQUAL(use.members, 0);
	CU_ASSERT_EQUAL(use.entered, use.left[1] + use.left[2] + use.left[3]);
	for (unsigned f = 0; f < FENCES; f++)
		for (unsigned e = 0; e < ENTITIES; e++)
			CU_ASSERT_EQUAL(t.open[f][e], 0);
	for (unsigned e = 0; e < ENTITIES; e++)
		CU_ASSERT(!pe_member_some(t.set, e));
	pe_member_destroy(t.set);
}

static void open_fence(uint32_t fence, uint32_t enter_ms, uint32_t leave_ms, double move_m)
{
	struct pe_member_rule rule = {enter_ms, leave_ms, move_m};

	CU_ASSERT_EQUAL(pe_member_open(t.set, fence, &t.space, &rule), PE_OK);
}

// An update at x metres, at a side of one fence.
static void update(uint32_t handle, double x, uint32_t fence, unsigned side, uint32_t tick)
{
	struct pe_fence_hit hit = {fence, side};
	double position[3] = {x, 0, 0};
	struct pe_place at;

	if (pe_space_locate(&t.space, position, &at) != PE_REASON_none)
		abort();
	pe_member_update(t.set, handle, at.key, at.word, &hit, side != PE_FENCE_OUTSIDE, tick);
}

// The next event is this; nothing else came.
static void told(unsigned kind, unsigned cause, uint32_t fence, uint32_t handle, uint32_t tick)
{
	const struct pe_member_event *e = &t.event[t.seen];

	CU_ASSERT_FATAL(t.seen < t.count);
	CU_ASSERT_EQUAL(e->kind, kind);
	CU_ASSERT_EQUAL(e->cause, cause);
	CU_ASSERT_EQUAL(e->fence, fence);
	CU_ASSERT_EQUAL(e->handle, handle);
	CU_ASSERT_EQUAL(e->tick, tick);
	t.seen++;
}
#define NOTHING() CU_ASSERT_EQUAL(t.seen, t.count)

static void test_at_once(void)
{
	begin(100, 1000);
	open_fence(2, 0, 0, -1.0);
	update(5, 0, 2, PE_FENCE_MARGIN, 1000); // the margin alone makes no member
	NOTHING();
	update(5, 1, 2, PE_FENCE_INSIDE, 1001);
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 2, 5, 1001);
	CU_ASSERT(pe_member_inside(t.set, 2, 5));
	update(5, 1000, 2, PE_FENCE_INSIDE, 1002); // no MOVE was asked for
	update(5, 1000, 2, PE_FENCE_MARGIN, 1003);
	NOTHING();
	update(5, 2000, 2, PE_FENCE_OUTSIDE, 1004);
	told(PE_MEMBER_LEAVE, PE_CAUSE_MOVED, 2, 5, 1004);
	update(5, 2000, 2, PE_FENCE_OUTSIDE, 1005);
	NOTHING();
	finish();
}

static void test_dwell(void)
{
	uint32_t from = 0xFFFFFF00u; // the ticks wrap

	begin(100, from);
	open_fence(0, 300, 200, -1.0);
	update(1, 0, 0, PE_FENCE_INSIDE, from);
	CU_ASSERT(!pe_member_inside(t.set, 0, 1));
	CU_ASSERT(pe_member_some(t.set, 1));
	update(1, 1, 0, PE_FENCE_MARGIN, from + 100); // a break: it begins anew
	CU_ASSERT(!pe_member_some(t.set, 1));
	update(1, 2, 0, PE_FENCE_INSIDE, from + 200);
	pe_member_due(t.set, from + 499, 100, 1000);
	NOTHING();
	CU_ASSERT_EQUAL(pe_member_due(t.set, from + 500, 100, 1000), 1);
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 0, 1, from + 500);
	update(1, 3, 0, PE_FENCE_OUTSIDE, from + 600);
	update(1, 4, 0, PE_FENCE_MARGIN, from + 700); // back
	pe_member_due(t.set, from + 2000, 100, 10000);
	NOTHING();
	update(1, 5, 0, PE_FENCE_OUTSIDE, from + 2100);
	update(1, 6, 0, PE_FENCE_OUTSIDE, from + 2200); // doesn't begin anew
	pe_member_due(t.set, from + 2299, 100, 1000);
	NOTHING();
	pe_member_due(t.set, from + 2300, 100, 1000);
	told(PE_MEMBER_LEAVE, PE_CAUSE_MOVED, 0, 1, from + 2300);
	NOTHING();
	finish();
}

// Timers that nobody asked about settle with the update that comes after them.
static void test_late_timers(void)
{
	begin(100, 0);
	open_fence(0, 100, 100, 10.0);
	update(1, 0, 0, PE_FENCE_INSIDE, 0);
	// ENTER was due; then it has moved from where it was
	update(1, 50, 0, PE_FENCE_INSIDE, 250);
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 0, 1, 100);
	told(PE_MEMBER_MOVE, PE_CAUSE_NONE, 0, 1, 250);
	update(1, 100, 0, PE_FENCE_OUTSIDE, 300);
	update(1, 50, 0, PE_FENCE_INSIDE, 500); // LEAVE was due; a new wait begins
	told(PE_MEMBER_LEAVE, PE_CAUSE_MOVED, 0, 1, 400);
	NOTHING();
	pe_member_gone(t.set, 1, 700);
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 0, 1, 600);
	told(PE_MEMBER_LEAVE, PE_CAUSE_GONE, 0, 1, 700);
	NOTHING();
	finish();
}

static void test_move(void)
{
	begin(100, 0);
	open_fence(0, 0, 100, 10.0);
	open_fence(1, 0, 0, 0.0);
	update(1, 0, 0, PE_FENCE_INSIDE, 0);
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 0, 1, 0);
	update(1, 9, 0, PE_FENCE_INSIDE, 1);
	NOTHING();
	update(1, 11, 0, PE_FENCE_MARGIN, 2); // a member still
	told(PE_MEMBER_MOVE, PE_CAUSE_NONE, 0, 1, 2);
	update(1, 11, 0, PE_FENCE_INSIDE, 3);
	update(1, 2, 0, PE_FENCE_INSIDE, 4); // 9 m from where it was told of
	update(1, 50, 0, PE_FENCE_OUTSIDE, 5);
	update(1, 90, 0, PE_FENCE_OUTSIDE, 6);
	NOTHING();
	update(1, 80, 0, PE_FENCE_INSIDE, 7);
	told(PE_MEMBER_MOVE, PE_CAUSE_NONE, 0, 1, 7);
	pe_member_gone(t.set, 1, 8);
	told(PE_MEMBER_LEAVE, PE_CAUSE_GONE, 0, 1, 8);
	update(2, 1, 1, PE_FENCE_INSIDE, 9); // the smallest resolution
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 1, 2, 9);
	update(2, 1, 1, PE_FENCE_INSIDE, 10);
	NOTHING();
	update(2, 1.001, 1, PE_FENCE_INSIDE, 11);
	told(PE_MEMBER_MOVE, PE_CAUSE_NONE, 1, 2, 11);
	update(2, 1.001, 1, PE_MEMBER_HIDDEN, 3); // a tick that goes back counts as the newest
	told(PE_MEMBER_LEAVE, PE_CAUSE_GONE, 1, 2, 11);
	update(2, 1.001, 1, PE_MEMBER_HIDDEN, 12);
	NOTHING();
	finish();
}

static void test_endings(void)
{
	begin(100, 0);
	open_fence(3, 0, 100, -1.0);
	open_fence(4, 100, 0, -1.0);
	for (uint32_t e = 0; e < 10; e++) {
		struct pe_fence_hit hits[2] = {{3, PE_FENCE_INSIDE}, {4, PE_FENCE_INSIDE}};

		pe_member_update(t.set, e, 0, 0, hits, 2, 0);
		told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 3, e, 0);
	}
	CU_ASSERT_EQUAL(pe_member_close(t.set, 3, 1, 4), 6);
	CU_ASSERT_EQUAL(t.count - t.seen, 4);
	t.seen = t.count;
	// Meanwhile nobody enters it, and those that are left in it end with their next update.
	update(60, 0, 3, PE_FENCE_INSIDE, 2);
	NOTHING();
	for (uint32_t e = 0; e < 10; e++)
		if (pe_member_inside(t.set, 3, e)) {
			update(e, 0, 3, e % 2 ? PE_FENCE_INSIDE : PE_FENCE_OUTSIDE, 2);
			told(PE_MEMBER_LEAVE, PE_CAUSE_ENDED, 3, e, 2);
			break;
		}
	CU_ASSERT_EQUAL(pe_member_close(t.set, 3, 3, 100), 0);
	CU_ASSERT_EQUAL(t.count - t.seen, 5);
	t.seen = t.count;
	// Those that waited to enter the other go without a word.
	CU_ASSERT_EQUAL(pe_member_close(t.set, 4, 3, 100), 0);
	NOTHING();
	open_fence(3, 0, 0, -1.0);
	CU_ASSERT_EQUAL(pe_member_start(t.set, 3, 7, 0, 0, 5), PE_OK);
	told(PE_MEMBER_ENTER, PE_CAUSE_NONE, 3, 7, 5);
	CU_ASSERT_EQUAL(pe_member_start(t.set, 3, 7, 0, 0, 5), PE_OK);
	CU_ASSERT_EQUAL(pe_member_start(t.set, 4, 7, 0, 0, 5), PE_NOT_FOUND);
	NOTHING();
	CU_ASSERT_EQUAL(pe_member_close(t.set, 3, 6, 1), 0);
	told(PE_MEMBER_LEAVE, PE_CAUSE_ENDED, 3, 7, 6);
	finish();
}

static void test_full(void)
{
	begin(3, 0);
	open_fence(0, 0, 0, -1.0);
	open_fence(1, 50, 0, -1.0);
	for (uint32_t e = 0; e < 6; e++)
		update(e, 0, e % 2, PE_FENCE_INSIDE, 0);
	CU_ASSERT_EQUAL(pe_member_use(t.set).members, 3);
	CU_ASSERT_EQUAL(pe_member_use(t.set).refused, 3);
	CU_ASSERT_EQUAL(pe_member_start(t.set, 0, 9, 0, 0, 0), PE_FULL);
	CU_ASSERT_EQUAL(t.count, 2);
	for (uint32_t e = 3; e < 6; e++) { // who didn't enter doesn't leave
		update(e, 0, e % 2, PE_FENCE_OUTSIDE, 1);
		pe_member_gone(t.set, e, 1);
	}
	CU_ASSERT_EQUAL(t.count, 2);
	pe_member_gone(t.set, 0, 2);
	update(4, 0, 0, PE_FENCE_INSIDE, 3); // there is room again
	CU_ASSERT(pe_member_inside(t.set, 0, 4));
	CU_ASSERT_EQUAL(t.count, 4);
	CU_ASSERT_EQUAL(pe_member_close(t.set, 0, 4, 100), 0);
	CU_ASSERT_EQUAL(pe_member_close(t.set, 1, 4, 100), 0);
	finish();
}

static void test_refused(void)
{
	struct pe_member_config config = {
		.member_count_max = 0, .fence_count_max = 1, .handle_end = 1, .tell = tell};
	struct pe_member_rule rule = {.enter_ms = PE_FENCE_DWELL_MAX_MS + 1};
	struct pe_member_set *set;
	struct pe_error error;

	CU_ASSERT_EQUAL(pe_member_plan(&config).total_bytes, 0);
	CU_ASSERT_EQUAL(pe_member_create(&config, 0, &set, &error), PE_INVALID);
	CU_ASSERT_PTR_NULL(set);
	begin(10, 0);
	CU_ASSERT_EQUAL(pe_member_open(t.set, 0, &t.space, &rule), PE_INVALID);
	rule = (struct pe_member_rule){.move_m = NAN};
	CU_ASSERT_EQUAL(pe_member_open(t.set, 0, &t.space, &rule), PE_INVALID);
	finish();
}

// A receiver that stands at the edge, off by 10 m (one sigma) each second.
static unsigned jitter(double margin_m, uint32_t dwell_ms, unsigned updates)
{
	struct pe_fence_config config = {.fence_count_max = 1,
		.placement_count_max = 256,
		.fence_cells_max = 256,
		.stack_max = 1};
	struct pe_fence_volume volume = {.kind = PE_FENCE_SPHERE,
		.radius_m = 500,
		.height_min = -INFINITY,
		.height_max = INFINITY,
		.margin_m = margin_m};
	uint64_t random = 7;
	struct pe_fence_index *index;
	struct pe_fence_hit hits[1];
	struct pe_error error;
	uint32_t fence;
	unsigned events;

	begin(10, 0);
	if (pe_fence_create(&config, &index, &error) != PE_OK ||
		pe_fence_add(index, &t.space, &volume, 1, &fence) != PE_OK)
		abort();
	open_fence(fence, dwell_ms, dwell_ms, -1.0);
	for (unsigned i = 0; i < updates; i++) {
		double position[3] = {500, 0, 0};
		struct pe_fence_seek seek;
		struct pe_place at;

		for (unsigned n = 0; n < 24; n++) // twelve uniform ones make sigma 1
			position[n & 1] +=
				10.0 * ((double)(testing_random(&random) >> 11) * 0x1p-53 - 0.5);
		if (pe_space_locate(&t.space, position, &at) != PE_REASON_none)
			abort();
		pe_member_due(t.set, i * 1000, 10, 1000);
		seek.key = at.key;
		pe_fence_seek(index, &seek, 1);
		pe_member_update(t.set, 3, at.key, at.word, hits,
			pe_fence_look(index, &seek, at.word, position, hits, NULL), i * 1000);
	}
	events = t.count;
	pe_member_gone(t.set, 3, updates * 1000);
	finish();
	pe_fence_destroy(index);
	return events;
}

static void test_jitter(void)
{
	unsigned bare = jitter(0, 0, 4000), margin = jitter(30, 0, 4000);
	unsigned dwell = jitter(0, 5000, 4000), both = jitter(30, 5000, 4000);

	printf("\n  4,000 updates, sigma 10 m: %u events; margin of 30 m: %u; dwell of 5 s: %u; both: %u",
		bare, margin, dwell, both);
	CU_ASSERT(bare > 1000);
	CU_ASSERT(margin < bare / 20);
	CU_ASSERT(dwell < bare / 5);
	CU_ASSERT(both <= 1);
}

// The fences that an entity is inside of: not those that it waits to enter, those that it waits to
// leave.
static void test_inside_next(void)
{
	struct pe_fence_hit hits[3] = {
		{1, PE_FENCE_INSIDE}, {2, PE_FENCE_INSIDE}, {4, PE_FENCE_INSIDE}};
	uint32_t cursor = PE_MEMBER_LIST_START, fence;
	unsigned seen = 0;

	begin(100, 0);
	open_fence(1, 0, 100, -1.0);
	open_fence(2, 100, 0, -1.0);
	open_fence(4, 0, 0, -1.0);
	CU_ASSERT_EQUAL(pe_member_inside_next(t.set, 7, &cursor), PE_MEMBER_LIST_END);
	for (uint32_t e = 0; e < 30; e++)
		pe_member_update(t.set, e, 0, 0, hits, 3, 0);
	pe_member_update(t.set, 7, 0, 0, hits + 1, 2, 1);
	cursor = PE_MEMBER_LIST_START;
	while ((fence = pe_member_inside_next(t.set, 7, &cursor)) != PE_MEMBER_LIST_END) {
		CU_ASSERT_FATAL(fence <= 4 && !(seen & 1u << fence));
		seen |= 1u << fence;
	}
	CU_ASSERT_EQUAL(seen, 1u << 1 | 1u << 4);
	pe_member_gone(t.set, 7, 2);
	cursor = PE_MEMBER_LIST_START;
	CU_ASSERT_EQUAL(pe_member_inside_next(t.set, 7, &cursor), PE_MEMBER_LIST_END);
	for (uint32_t e = 0; e < 30; e++)
		pe_member_gone(t.set, e, 2);
	t.seen = t.count;
	finish();
}

TESTING_MAIN("memberships", {"at once", test_at_once}, {"dwell times", test_dwell},
	{"timers that are late", test_late_timers}, {"moves", test_move}, {"endings", test_endings},
	{"no room", test_full}, {"refused", test_refused}, {"jitter at an edge", test_jitter},
	{"inside of, one by one", test_inside_next})
