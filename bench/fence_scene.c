#include "fence_scene.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static void fail(const char *what)
{
	fprintf(stderr, "fences: %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t state = 1;

static double uniform(double half)
{
	state += 0x9E3779B97F4A7C15ull;
	uint64_t z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9ull;

	z = (z ^ z >> 27) * 0x94D049BB133111EBull;
	return half * ((double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1.0);
}

// Metres east and north of the middle of Europe.
void fence_place(double east_m, double north_m, double position[3])
{
	position[0] = 48.0 + north_m / 111000.0;
	position[1] = 12.0 + east_m / 111000.0 / cos(position[0] * M_PI / 180.0);
	position[2] = 0.0;
}

const struct pe_space *fence_space(void)
{
	static struct pe_space space;
	static bool prepared;
	struct pe_space_config config = {.kind = PE_SPACE_GEODETIC,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024,
		.worldwide = true};
	struct pe_error error;

	if (!prepared && pe_space_prepare(&space, &config, 0, &error) != PE_OK)
		fail(error.text);
	prepared = true;
	return &space;
}

static void tell(void *context, const struct pe_member_event *event)
{
	struct fence_scene *s = context;

	// Somebody reads it.
	__asm__ volatile("" ::"r"(event) : "memory");
	s->events++;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void make_fences(struct fence_scene *s)
{
	struct pe_fence_config config = {.fence_count_max = s->fences,
		.placement_count_max = s->placements_max,
		.fence_cells_max = s->cells_max,
		.stack_max = 1024,
		.huge_pages = true};
	struct pe_member_config members = {.member_count_max = 4 * FENCE_ENTITIES,
		.fence_count_max = s->fences,
		.handle_end = FENCE_ENTITIES,
		.huge_pages = true,
		.tell = tell,
		.context = s};
	struct pe_member_rule rule = {
		.enter_ms = 0, .leave_ms = 0, .move_m = s->moves ? 0.0 : -1.0};
	struct pe_fence_plan plan = pe_fence_plan(&config);
	struct pe_member_plan member_plan = pe_member_plan(&members);
	struct pe_error error;
	double begin;

	if (pe_fence_create(&config, &s->index, &error) != PE_OK ||
		pe_member_create(&members, 0, &s->set, &error) != PE_OK)
		fail(error.text);
	begin = seconds();
	for (uint32_t i = 0; i < s->fences; i++) {
		struct pe_fence_volume volume = {.kind = PE_FENCE_SPHERE,
			.radius_m = s->radius_m,
			.margin_m = s->margin_m,
			.height_min = -INFINITY,
			.height_max = INFINITY};
		uint32_t fence;

		fence_place(uniform(s->fences_m), uniform(s->fences_m), volume.a);
		if (pe_fence_add(s->index, fence_space(), &volume, i, &fence) != PE_OK ||
			pe_member_open(s->set, fence, fence_space(), &rule) != PE_OK)
			fail("no room for a fence");
	}
	s->took_s = seconds() - begin;
	s->use = pe_fence_use(s->index);
	// A placement has a node of the cell's list and a share of a bucket.
	s->index_bytes = s->use.placements * 32ull + plan.filter_bytes + 128ull * s->fences;
	s->member_bytes = member_plan.total_bytes;
	s->hits = calloc(plan.hits_max, sizeof *s->hits);
	if (!s->hits)
		fail("no memory");
}

static void one(
	struct fence_scene *s, uint32_t entity, unsigned way, const struct pe_fence_seek *seek)
{
	const struct pe_place *at = &s->places[entity][way];
	unsigned count = seek->count ?
		pe_fence_look(s->index, seek, at->word, s->positions[entity][way], s->hits, NULL) :
		0;

	s->found += count;
	pe_member_update(s->set, entity, at->key, at->word, s->hits, count, s->tick);
}

static void burst(struct fence_scene *s, uint32_t from, unsigned way, unsigned count)
{
	struct pe_fence_seek seeks[FENCE_BURST];
	uint32_t handles[FENCE_BURST];

	for (unsigned k = 0; k < count; k++) {
		seeks[k].key = s->places[from + k][way].key;
		handles[k] = from + k;
	}
	pe_member_prefetch(s->set, handles, count);
	pe_fence_seek(s->index, seeks, count);
	for (unsigned k = 0; k < count; k++)
		one(s, from + k, way, &seeks[k]);
}

void fence_scene_make(struct fence_scene *s)
{
	if (s->made)
		return;
	(void)fence_space();
	make_fences(s);
	s->places = malloc(FENCE_ENTITIES * sizeof *s->places);
	s->positions = malloc(FENCE_ENTITIES * sizeof *s->positions);
	if (!s->places || !s->positions)
		fail("no memory");
	for (uint32_t i = 0; i < FENCE_ENTITIES; i++) {
		double east = s->apart_m + uniform(s->entities_m), north = uniform(s->entities_m);

		for (unsigned way = 0; way < 2; way++) {
			fence_place(east + way * 10.0, north, s->positions[i][way]);
			if (pe_space_locate(fence_space(), s->positions[i][way],
				    &s->places[i][way]) != PE_REASON_none)
				fail("no place");
		}
		burst(s, i, 1, 1);
	}
	s->made = true;
}

void fence_scene_each(struct fence_scene *s, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++, s->turn++)
		burst(s, (uint32_t)(s->turn % FENCE_ENTITIES),
			(unsigned)(s->turn / FENCE_ENTITIES & 1), 1);
}

void fence_scene_bursts(struct fence_scene *s, uint64_t count)
{
	for (uint64_t i = 0; i < count; i += FENCE_BURST, s->turn += FENCE_BURST)
		burst(s, (uint32_t)(s->turn % FENCE_ENTITIES),
			(unsigned)(s->turn / FENCE_ENTITIES & 1), FENCE_BURST);
}
