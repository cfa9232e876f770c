// Standing volumes against brute force: random worlds, volumes and moves; the model tests every
// volume against every update and keeps every pair's state. Each step's events must be the model's,
// pair by pair, and after every kind of ending each ENTER must have had its LEAVE.
#include "discover/fence_internal.h"
#include "discover/member.h"
#include "discover/safe_region.h"
#include "fence_world.h"
#include "testing.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define ENTITIES   96u
#define FENCES     40u
#define EVENTS_MAX 65536u

static const struct world_shape worlds[] = {
	{"plane", false, false, false, {0, 0}, 2000, 64, 64, 100000, 256},
	{"plane, coarse edges", false, false, false, {-511, 777}, 4000, 32, 256, 100000, 64},
	{"plane, timers late", false, false, true, {-3000, 70000}, 1500, 64, 1024, 100000, 256},
	{"city", true, false, false, {52.52, 13.40}, 3000, 64, 1024, 100000, 256},
	{"earth", true, true, false, {-33.9, 151.2}, 3000, 64, 1024, 100000, 256},
	{"antimeridian", true, true, false, {-16.8, 180.0}, 5000, 64, 1024, 100000, 256},
	{"north pole", true, true, false, {90.0, 0.0}, 3000, 64, 1024, 100000, 256},
	{"south pole", true, true, true, {-89.99, 30.0}, 3000, 64, 1024, 100000, 128},
	{"border of frames", true, true, false, {10.0, 45.0}, 3000, 64, 1024, 100000, 256},
	{"corner of frames", true, true, false, {35.26, 135.0}, 200000, 64, 1024, 100000, 256},
	{"continent", true, true, false, {48.0, 12.0}, 1400000, 64, 1024, 100000, 256},
	{"large plane", false, false, false, {5000, -300}, 2000000, 64, 1024, 100000, 256},
	{"full", false, false, false, {0, 0}, 1500, 64, 64, 60, 128},
};

enum pair_state { OUT, ENTERING, IN, LEAVING };
struct pair {
	enum pair_state state;
	uint32_t due;
	struct pe_place told; // where
	bool open;            // the engine told an ENTER and no LEAVE
};

static struct {
	struct world w;
	struct pe_fence_index *index;
	struct pe_member_set *set;
	struct model_fence fence[FENCES];
	struct pair pair[FENCES][ENTITIES];
	double position[ENTITIES][3];
	bool there[ENTITIES];
	uint32_t tick;
	struct pe_fence_hit *hits;
	struct pe_member_event expected[EVENTS_MAX], met[EVENTS_MAX];
	unsigned expected_count, met_count;
	uint64_t events, safe, wrong; // safe: places tried within safe regions
	bool exact;                   // the order in which room runs out is not the model's to know
} t;

static void wrong(const char *what, unsigned fence, unsigned entity)
{
	if (t.wrong++ < 10)
		printf("\n  %s: %s, fence %u, entity %u, tick %u", t.w.shape->name, what, fence,
			entity, t.tick);
}

static void tell(void *context, const struct pe_member_event *event)
{
	(void)context;
	if (t.met_count < EVENTS_MAX)
		t.met[t.met_count++] = *event;
}

static void expect(enum pe_member_kind kind, enum pe_member_cause cause, unsigned fence,
	unsigned entity, uint32_t tick)
{
	if (t.expected_count < EVENTS_MAX)
		t.expected[t.expected_count++] = (struct pe_member_event){.kind = (uint8_t)kind,
			.cause = (uint8_t)cause,
			.fence = fence,
			.handle = entity,
			.tick = tick};
}

// ---- the model ----

static bool due(const struct pair *p, uint32_t tick)
{
	return (p->state == ENTERING || p->state == LEAVING) && (int32_t)(tick - p->due) >= 0;
}

static void model_settle(unsigned fence, unsigned entity, uint32_t tick)
{
	struct pair *p = &t.pair[fence][entity];

	if (!due(p, tick))
		return;
	if (p->state == ENTERING) {
		expect(PE_MEMBER_ENTER, PE_CAUSE_NONE, fence, entity, p->due);
		p->state = IN;
	} else {
		expect(PE_MEMBER_LEAVE, PE_CAUSE_MOVED, fence, entity, p->due);
		p->state = OUT;
	}
}

static bool model_far(const struct model_fence *f, const struct pair *p, const struct pe_place *at)
{
	struct pe_units a = pe_place_units(p->told.key, p->told.word),
			b = pe_place_units(at->key, at->word);
	double d[3];

	if (f->rule.move_m < 0.0 || (p->told.key == at->key && p->told.word == at->word))
		return false;
	if (a.frame != b.frame)
		return true;
	for (unsigned i = 0; i < 3; i++)
		d[i] = (double)(b.v[i] - a.v[i]) * t.w.space.unit_m *
			(i == 2 ? (double)(1u << t.w.space.z_shift) : 1.0);
	return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) > f->rule.move_m;
}

static void model_update(unsigned fence, unsigned entity, const struct pe_place *at, bool hidden)
{
	struct model_fence *f = &t.fence[fence];
	struct pair *p = &t.pair[fence][entity];
	enum pe_fence_side side = world_side(&t.w, f, t.position[entity]);

	model_settle(fence, entity, t.tick);
	if (hidden && side != PE_FENCE_OUTSIDE) {
		if (p->state == IN || p->state == LEAVING)
			expect(PE_MEMBER_LEAVE, PE_CAUSE_GONE, fence, entity, t.tick);
		p->state = OUT;
		return;
	}
	switch (p->state) {
	case OUT:
		if (side != PE_FENCE_INSIDE)
			return;
		p->told = *at;
		p->state = f->rule.enter_ms ? ENTERING : IN;
		p->due = t.tick + f->rule.enter_ms;
		if (p->state == IN)
			expect(PE_MEMBER_ENTER, PE_CAUSE_NONE, fence, entity, t.tick);
		return;
	case ENTERING:
		p->told = *at;
		if (side != PE_FENCE_INSIDE)
			p->state = OUT;
		return;
	case IN:
	case LEAVING:
		if (side == PE_FENCE_OUTSIDE) {
			if (p->state == LEAVING)
				return;
			p->state = f->rule.leave_ms ? LEAVING : OUT;
			p->due = t.tick + f->rule.leave_ms;
			if (p->state == OUT)
				expect(PE_MEMBER_LEAVE, PE_CAUSE_MOVED, fence, entity, t.tick);
			return;
		}
		p->state = IN;
		if (model_far(f, p, at)) {
			p->told = *at;
			expect(PE_MEMBER_MOVE, PE_CAUSE_NONE, fence, entity, t.tick);
		}
		return;
	}
}

// ---- what is compared ----

static int by_pair(const void *a, const void *b)
{
	const struct pe_member_event *x = *(const struct pe_member_event *const *)a,
				     *y = *(const struct pe_member_event *const *)b;

	if (x->fence != y->fence)
		return x->fence < y->fence ? -1 : 1;
	if (x->handle != y->handle)
		return x->handle < y->handle ? -1 : 1;
	return x < y ? -1 : x > y; // as they came
}

static void sort(
	const struct pe_member_event *events, unsigned count, const struct pe_member_event **sorted)
{
	for (unsigned i = 0; i < count; i++)
		sorted[i] = &events[i];
	qsort(sorted, count, sizeof *sorted, by_pair);
}

static unsigned fence_numbered(uint32_t number)
{
	for (unsigned i = 0; i < FENCES; i++)
		if (t.fence[i].there && t.fence[i].number == number)
			return i;
	return FENCES;
}

static void compare(void)
{
	static const struct pe_member_event *met[EVENTS_MAX], *expected[EVENTS_MAX];

	for (unsigned i = 0; i < t.met_count; i++) {
		struct pe_member_event *e = &t.met[i];
		unsigned fence = fence_numbered(e->fence);
		struct pair *p;

		if (fence == FENCES || e->handle >= ENTITIES) {
			wrong("of nothing", e->fence, e->handle);
			continue;
		}
		e->fence = fence;
		p = &t.pair[fence][e->handle];
		if ((e->kind == PE_MEMBER_ENTER) == p->open)
			wrong(p->open ? "ENTER without a LEAVE before" : "not entered", fence,
				e->handle);
		p->open = e->kind != PE_MEMBER_LEAVE;
		if (!t.w.shape->lazy && (int32_t)(e->tick - t.fence[fence].newest) < 0)
			wrong("out of order", fence, e->handle);
		t.fence[fence].newest = e->tick;
	}
	if (t.exact) {
		unsigned count = t.met_count < t.expected_count ? t.met_count : t.expected_count;

		sort(t.met, t.met_count, met);
		sort(t.expected, t.expected_count, expected);
		for (unsigned i = 0; i < count; i++)
			if (met[i]->fence != expected[i]->fence ||
				met[i]->handle != expected[i]->handle ||
				met[i]->kind != expected[i]->kind ||
				met[i]->cause != expected[i]->cause ||
				met[i]->tick != expected[i]->tick) {
				wrong("another event", expected[i]->fence, expected[i]->handle);
				break;
			}
		if (t.met_count > count)
			wrong("too many events", met[t.met_count - 1]->fence,
				met[t.met_count - 1]->handle);
		if (t.expected_count > count)
			wrong("too few events", expected[t.expected_count - 1]->fence,
				expected[t.expected_count - 1]->handle);
	}
	t.events += t.met_count;
	t.met_count = t.expected_count = 0;
}

// ---- steps ----

static void settle_all(void)
{
	while (pe_member_due(t.set, t.tick, 7, 1000000) == 7)
		;
	for (unsigned f = 0; f < FENCES; f++)
		for (unsigned e = 0; t.fence[f].there && e < ENTITIES; e++)
			model_settle(f, e, t.tick);
	compare();
}

// Wherever the entity goes within its safe region, and whatever its height does on Earth, it is in
// the same volumes, on the same sides.
static void check_safe(const struct pe_place *from, const double position[3], double room)
{
	double metres = fmin(room / t.w.space.units_per_m, 2.0 * t.w.space.config.leaf_edge_m);
	struct pe_safe_region region;

	pe_safe_set(&region, 1, from->word, room);
	for (unsigned i = 0; region.bound && i < 4; i++) {
		double angle = world_uniform(&t.w, 0.0, 2.0 * M_PI), to[3] = {0, 0, position[2]};
		double far = metres *
			(i & 1 ? world_uniform(&t.w, 0.9, 1.0) : world_uniform(&t.w, 0.0, 1.0));
		struct pe_place at;

		world_offset(&t.w, position, far * cos(angle), far * sin(angle), to);
		if (i == 3)
			world_height(&t.w, to);
		if (pe_space_locate(&t.w.space, to, &at) != PE_REASON_none || at.key != from->key ||
			!pe_safe_holds(&region, 1, at.word, t.w.space.z_shift))
			continue;
		t.safe++;
		for (unsigned f = 0; f < FENCES; f++)
			if (t.fence[f].there &&
				world_side(&t.w, &t.fence[f], to) !=
					world_side(&t.w, &t.fence[f], position))
				wrong("another side within a safe region", f, 0);
	}
}

static void step_update(void)
{
	double room = INFINITY;
	struct pe_fence_seek seek;
	unsigned entity = world_below(&t.w, ENTITIES), how = world_below(&t.w, 20);
	bool hidden = world_below(&t.w, 50) == 0;
	double *position = t.position[entity];
	struct pe_place at;
	unsigned count;

	if (!t.there[entity] || how == 0) {
		world_place(&t.w, position);
	} else if (how > 1) {
		double reach = (how < 12                ? 30.0 :
					       how < 17 ? 200.0 :
							  1000.0) *
			fmax(t.w.shape->spread_m / 5000.0, 1.0);

		world_offset(&t.w, position, world_uniform(&t.w, -reach, reach),
			world_uniform(&t.w, -reach, reach), position);
		if (how == 12)
			world_height(&t.w, position);
	} // else where it was
	if (pe_space_locate(&t.w.space, position, &at) != PE_REASON_none) {
		world_place(&t.w, position);
		if (pe_space_locate(&t.w.space, position, &at) != PE_REASON_none)
			return;
	}
	t.there[entity] = true;
	seek.key = at.key;
	pe_fence_seek(t.index, &seek, 1);
	count = pe_fence_look(t.index, &seek, at.word, position, t.hits, &room);
	check_safe(&at, position, room);
	for (unsigned i = 0; hidden && i < count; i++)
		t.hits[i].side = PE_MEMBER_HIDDEN;
	pe_member_update(t.set, entity, at.key, at.word, t.hits, count, t.tick);
	for (unsigned f = 0; f < FENCES; f++) {
		if (!t.fence[f].there)
			continue;
		if (pe_fence_test(t.index, t.fence[f].number, at.key, at.word, position) !=
			world_side(&t.w, &t.fence[f], position))
			wrong("another side", f, entity);
		model_update(f, entity, &at, hidden);
	}
	compare();
}

static void end_entity(unsigned entity)
{
	pe_member_gone(t.set, entity, t.tick);
	for (unsigned f = 0; f < FENCES; f++) {
		struct pair *p = &t.pair[f][entity];

		if (!t.fence[f].there)
			continue;
		model_settle(f, entity, t.tick);
		if (p->state == IN || p->state == LEAVING)
			expect(PE_MEMBER_LEAVE, PE_CAUSE_GONE, f, entity, t.tick);
		p->state = OUT;
	}
	t.there[entity] = false;
	compare();
	for (unsigned f = 0; f < FENCES; f++)
		if (t.pair[f][entity].open)
			wrong("gone without a LEAVE", f, entity);
}

static void add_fence(unsigned f)
{
	struct model_fence *fence = &t.fence[f];

	if (!world_volume(&t.w, fence))
		return;
	if (pe_fence_add(t.index, &t.w.space, &fence->volume, f + 1000, &fence->number) != PE_OK) {
		if (fence->volume.kind != PE_FENCE_BOX) // may be too large at a pole
			wrong("not added", f, 0);
		return;
	}
	if (pe_fence_id(t.index, fence->number) != f + 1000)
		wrong("another id", f, 0);
	if (pe_member_open(t.set, fence->number, &t.w.space, &fence->rule) != PE_OK)
		wrong("not opened", f, 0);
	fence->there = true;
	fence->newest = t.tick;
	memset(t.pair[f], 0, sizeof t.pair[f]);
	// Its snapshot: all that are inside now.
	for (unsigned e = 0; world_below(&t.w, 2) && e < ENTITIES; e++) {
		struct pair *p = &t.pair[f][e];

		if (!t.there[e] || world_side(&t.w, fence, t.position[e]) != PE_FENCE_INSIDE ||
			pe_space_locate(&t.w.space, t.position[e], &p->told) != PE_REASON_none)
			continue;
		if (pe_member_start(t.set, fence->number, e, p->told.key, p->told.word, t.tick) ==
			PE_OK) {
			p->state = IN;
			expect(PE_MEMBER_ENTER, PE_CAUSE_NONE, f, e, t.tick);
		}
	}
	compare();
}

static void remove_fence(unsigned f)
{
	struct model_fence *fence = &t.fence[f];

	while (pe_member_close(t.set, fence->number, t.tick, 1 + world_below(&t.w, 20)))
		;
	for (unsigned e = 0; e < ENTITIES; e++) {
		struct pair *p = &t.pair[f][e];

		if (p->state == IN || p->state == LEAVING)
			expect(PE_MEMBER_LEAVE, PE_CAUSE_ENDED, f, e, t.tick);
		p->state = OUT;
	}
	compare();
	for (unsigned e = 0; e < ENTITIES; e++)
		if (t.pair[f][e].open)
			wrong("ended without a LEAVE", f, e);
	pe_fence_remove(t.index, fence->number);
	fence->there = false;
}

static void make_world(const struct world_shape *w)
{
	struct pe_fence_config index = {.fence_count_max = FENCES,
		.placement_count_max = FENCES * w->cells_max,
		.fence_cells_max = w->cells_max,
		.stack_max = FENCES};
	struct pe_member_config set = {.member_count_max = w->members_max,
		.fence_count_max = FENCES,
		.handle_end = ENTITIES,
		.tell = tell};
	struct pe_space_config space = {
		.kind = w->geodetic ? PE_SPACE_GEODETIC : PE_SPACE_CARTESIAN,
		.leaf_edge_m = w->edge_m,
		.leaf_height_m = w->height_m,
		.worldwide = w->worldwide};
	struct pe_error error;

	memset(t.fence, 0, sizeof t.fence);
	memset(t.pair, 0, sizeof t.pair);
	memset(t.there, 0, sizeof t.there);
	memcpy(space.home, w->focus, sizeof space.home);
	t.w.shape = w;
	t.tick = (uint32_t)testing_random(&t.w.random);
	t.exact = w->members_max >= FENCES * ENTITIES;
	if (pe_space_prepare(&t.w.space, &space, world_below(&t.w, PE_SPACES_MAX), &error) !=
			PE_OK ||
		pe_fence_create(&index, &t.index, &error) != PE_OK ||
		pe_member_create(&set, t.tick, &t.set, &error) != PE_OK) {
		printf("%s\n", error.text);
		exit(EXIT_FAILURE);
	}
	t.hits = calloc(pe_fence_plan(&index).hits_max, sizeof *t.hits);
}

static void end_world(void)
{
	bool entities_first = world_below(&t.w, 2);

	for (unsigned e = 0; entities_first && e < ENTITIES; e++)
		end_entity(e);
	for (unsigned f = 0; f < FENCES; f++)
		if (t.fence[f].there)
			remove_fence(f);
	for (unsigned f = 0; f < FENCES; f++)
		for (unsigned e = 0; e < ENTITIES; e++)
			if (t.pair[f][e].open)
				wrong("left open", f, e);
	struct pe_fence_use use = pe_fence_use(t.index);
	struct pe_member_use members = pe_member_use(t.set);
	uint64_t bits = 0;

	for (uint64_t i = 0; i <= t.index->block_mask; i++)
		for (unsigned w = 0; w < 8; w++)
			bits |= t.index->blocks[i].word[w];
	if (use.fences || use.placements || use.whole || bits ||
		t.index->free_placement_count != t.index->config.placement_count_max)
		wrong("the index is not empty", use.fences, use.placements);
	if (members.members || members.inside ||
		members.entered != members.left[1] + members.left[2] + members.left[3])
		wrong("the set is not empty", members.members, members.inside);
	if (!t.exact && !members.refused)
		wrong("never full", 0, 0);
	pe_fence_destroy(t.index);
	pe_member_destroy(t.set);
	free(t.hits);
}

static void run_world(const struct world_shape *w, uint64_t steps)
{
	uint64_t before = t.events, causes[PE_CAUSE_ENDED + 1] = {0}, placements = 0, whole = 0;
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	make_world(w);
	for (uint64_t i = 0; i < steps; i++) {
		unsigned what = world_below(&t.w, 200), f = world_below(&t.w, FENCES);

		if (world_below(&t.w, 3) == 0)
			t.tick += world_below(&t.w, 60);
		if (!w->lazy || world_below(&t.w, 20) == 0)
			settle_all();
		if (what == 0 && t.fence[f].there)
			remove_fence(f);
		else if (what < 10 && !t.fence[f].there)
			add_fence(f);
		else if (what == 10)
			end_entity(world_below(&t.w, ENTITIES));
		else
			step_update();
	}
	for (unsigned c = 0; c <= PE_CAUSE_ENDED; c++)
		causes[c] = pe_member_use(t.set).left[c];
	placements = pe_fence_use(t.index).placements;
	whole = pe_fence_use(t.index).whole;
	end_world();
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("\n  %-20s %7llu events, left: moved %llu gone %llu ended %llu; cells %llu, whole %llu; %.2f s",
		w->name, (unsigned long long)(t.events - before), (unsigned long long)causes[1],
		(unsigned long long)causes[2], (unsigned long long)causes[3],
		(unsigned long long)placements, (unsigned long long)whole,
		(double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec));
	fflush(stdout);
}

static void test_worlds(void)
{
	const char *given = getenv("PE_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	printf("\n  seed %llu (PE_TEST_SEED)", (unsigned long long)seed);
	t.w.random = seed;
	for (unsigned i = 0; i < sizeof worlds / sizeof worlds[0]; i++)
		run_world(&worlds[i], testing_amount(60000));
	printf("\n  %llu events, %llu places within safe regions\n", (unsigned long long)t.events,
		(unsigned long long)t.safe);
	CU_ASSERT_EQUAL(t.wrong, 0);
	CU_ASSERT(getenv("PE_TEST_SHORT") || (t.events >= 100000 && t.safe >= 100000));
}

TESTING_MAIN("fence model", {"random worlds against brute force", test_worlds})
