// Standing volumes: an operation is an update of one of a million entities, looked up in the index and taken to the
// memberships. Each goes back and forth between two places 10 m apart; an update's place is located before, outside
// of what is measured. Bursts ask for the lines of 32 updates first, as a worker does. What setting up takes is told
// on stderr.
#include "modules.h"

#include "discover/member.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BURST 32u

struct scene {
	const char *name;
	uint32_t fences;
	double radius_m;
	double fences_m, entities_m; // half edges of the squares that they are spread over
	double apart_m;              // of the squares' middles
	double margin_m;
	uint32_t cells_max; // of a fence
	uint32_t placements_max;
	// made
	bool made;
	struct pe_fence_index *index;
	struct pe_member_set *set;
	struct pe_place (*places)[2];
	double (*positions)[2][3];
	struct pe_fence_hit *hits;
	uint64_t events, found;
	uint32_t tick;
};

static struct pe_space space;
static uint64_t state = 1;

static double uniform(double half)
{
	state += 0x9E3779B97F4A7C15ull;
	uint64_t z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9ull;

	z = (z ^ z >> 27) * 0x94D049BB133111EBull;
	return half * ((double)((z ^ z >> 31) >> 11) * 0x1p-52 - 1.0);
}

// Metres east and north of the middle of Europe.
static void place_at(double east_m, double north_m, double position[3])
{
	position[0] = 48.0 + north_m / 111000.0;
	position[1] = 12.0 + east_m / 111000.0 / cos(position[0] * M_PI / 180.0);
	position[2] = 0.0;
}

static void tell(void *context, const struct pe_member_event *event)
{
	struct scene *s = context;

	bench_keep(event);
	s->events++;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void make_fences(struct scene *s)
{
	struct pe_fence_config config = {.fence_count_max = s->fences,
		.placement_count_max = s->placements_max,
		.fence_cells_max = s->cells_max,
		.stack_max = 1024};
	struct pe_member_config members = {.member_count_max = 4 * MODULE_ENTITIES,
		.fence_count_max = s->fences,
		.handle_end = MODULE_ENTITIES,
		.tell = tell,
		.context = s};
	struct pe_member_rule rule = {.enter_ms = 0, .leave_ms = 0, .move_m = -1.0};
	struct pe_fence_plan plan = pe_fence_plan(&config);
	struct pe_member_plan member_plan = pe_member_plan(&members);
	struct pe_error error;
	double begin;

	if (pe_fence_create(&config, &s->index, &error) != PE_OK ||
		pe_member_create(&members, 0, &s->set, &error) != PE_OK)
		module_fail(error.text);
	begin = seconds();
	for (uint32_t i = 0; i < s->fences; i++) {
		struct pe_fence_volume volume = {.kind = PE_FENCE_SPHERE,
			.radius_m = s->radius_m,
			.margin_m = s->margin_m,
			.height_min = -INFINITY,
			.height_max = INFINITY};
		uint32_t fence;

		place_at(uniform(s->fences_m), uniform(s->fences_m), volume.a);
		if (pe_fence_add(s->index, &space, &volume, i, &fence) != PE_OK ||
			pe_member_open(s->set, fence, &space, &rule) != PE_OK)
			module_fail("no room for a fence");
	}
	double took = seconds() - begin;
	struct pe_fence_use use = pe_fence_use(s->index);

	fprintf(stderr,
		"%s: %u spheres of %g m: %.2f s, %.1f us each; %u cells (%.1f each, %u whole; levels 0-4: %u %u %u %u "
		"%u); index %.1f MiB mapped, in use about %.1f MiB, %.0f bytes a fence with its cells; memberships "
		"%.1f MiB for %u\n",
		s->name, s->fences, s->radius_m, took, 1e6 * took / s->fences, use.placements,
		(double)use.placements / s->fences, use.whole, use.level[0], use.level[1],
		use.level[2], use.level[3], use.level[4], (double)plan.total_bytes / 1048576.0,
		((double)use.placements * 32.0 + (double)plan.filter_bytes + 128.0 * s->fences) /
			1048576.0,
		128.0 + (double)use.placements * 32.0 / s->fences,
		(double)member_plan.total_bytes / 1048576.0, members.member_count_max);
	s->hits = calloc(plan.hits_max, sizeof *s->hits);
	if (!s->hits)
		module_fail("no memory");
}

static void one(struct scene *s, uint32_t entity, unsigned way, unsigned levels)
{
	const struct pe_place *at = &s->places[entity][way];
	unsigned count = levels ? pe_fence_look(s->index, at->key, at->word,
					  s->positions[entity][way], levels, s->hits) :
				  0;

	s->found += count;
	pe_member_update(s->set, entity, at->key, at->word, s->hits, count, s->tick);
}

static void make_space(void)
{
	struct pe_space_config config = {.kind = PE_SPACE_GEODETIC,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024,
		.worldwide = true};
	struct pe_error error;

	if (pe_space_prepare(&space, &config, 0, &error) != PE_OK)
		module_fail(error.text);
}

static void make(struct scene *s)
{
	if (s->made)
		return;
	make_space();
	make_fences(s);
	s->places = malloc(MODULE_ENTITIES * sizeof *s->places);
	s->positions = malloc(MODULE_ENTITIES * sizeof *s->positions);
	if (!s->places || !s->positions)
		module_fail("no memory");
	for (uint32_t i = 0; i < MODULE_ENTITIES; i++) {
		double east = s->apart_m + uniform(s->entities_m), north = uniform(s->entities_m);

		for (unsigned way = 0; way < 2; way++) {
			place_at(east + way * 10.0, north, s->positions[i][way]);
			if (pe_space_locate(&space, s->positions[i][way], &s->places[i][way]) !=
				PE_REASON_none)
				module_fail("no place");
		}
		one(s, i, 1, pe_fence_levels(s->index, s->places[i][1].key));
	}
	fprintf(stderr, "%s: %.3f volumes an update found\n", s->name,
		(double)s->found / MODULE_ENTITIES);
	s->made = true;
}

static void run_each(void *context, uint64_t count)
{
	struct scene *s = context;
	static uint64_t turn;

	make(s);
	for (uint64_t i = 0; i < count; i++, turn++) {
		uint32_t entity = (uint32_t)(turn % MODULE_ENTITIES);
		unsigned way = (unsigned)(turn / MODULE_ENTITIES & 1);

		one(s, entity, way, pe_fence_levels(s->index, s->places[entity][way].key));
	}
}

static void burst(struct scene *s, uint32_t from, unsigned way)
{
	unsigned levels[BURST];

	for (unsigned k = 0; k < BURST; k++) {
		pe_fence_prefetch(s->index, s->places[from + k][way].key);
		pe_member_prefetch(s->set, from + k);
	}
	for (unsigned k = 0; k < BURST; k++)
		levels[k] = pe_fence_levels(s->index, s->places[from + k][way].key);
	for (unsigned k = 0; k < BURST; k++)
		pe_fence_prefetch_cells(s->index, s->places[from + k][way].key, levels[k]);
	for (unsigned k = 0; k < BURST; k++)
		pe_fence_prefetch_volumes(s->index, s->places[from + k][way].key, levels[k]);
	for (unsigned k = 0; k < BURST; k++)
		one(s, from + k, way, levels[k]);
}

static void run_burst(void *context, uint64_t count)
{
	struct scene *s = context;
	static uint64_t turn;

	make(s);
	for (uint64_t i = 0; i < count; i += BURST, turn += BURST)
		burst(s, (uint32_t)(turn % MODULE_ENTITIES),
			(unsigned)(turn / MODULE_ENTITIES & 1));
}

// Adding a volume and taking it away, by kind; cells: of a fence.
struct volume_case {
	enum pe_fence_kind kind;
	double radius_m;
	unsigned vertices;
	uint32_t cells_max;
	// made
	struct pe_fence_index *index;
	struct pe_fence_volume volume;
	struct pe_polygon polygon;
};

static void make_volume(struct volume_case *c)
{
	struct pe_fence_config config = {.fence_count_max = 4,
		.placement_count_max = 4096,
		.fence_cells_max = c->cells_max,
		.stack_max = 4};
	double vertices[256][2];
	struct pe_error error;

	make_space();
	if (pe_fence_create(&config, &c->index, &error) != PE_OK)
		module_fail(error.text);
	c->volume = (struct pe_fence_volume){.kind = c->kind,
		.a = {48, 12, 0},
		.radius_m = c->radius_m,
		.polygon = &c->polygon,
		.height_min = -INFINITY,
		.height_max = INFINITY,
		.margin_m = 20};
	for (unsigned i = 0; i < c->vertices; i++) {
		double angle = 2 * M_PI * i / c->vertices,
		       reach = c->radius_m * (i % 2 ? 1.0 : 0.8), at[3];

		place_at(reach * cos(angle), reach * sin(angle), at);
		vertices[i][0] = at[0];
		vertices[i][1] = at[1];
	}
	if (c->vertices &&
		pe_polygon_prepare(&space, (const double(*)[2])vertices, &c->vertices, 1, -INFINITY,
			INFINITY, &c->polygon) != PE_VOLUME_ok)
		module_fail("no polygon");
}

static void run_add(void *context, uint64_t count)
{
	struct volume_case *c = context;
	uint32_t fence;

	if (!c->index)
		make_volume(c);
	for (uint64_t i = 0; i < count; i++) {
		if (pe_fence_add(c->index, &space, &c->volume, i, &fence) != PE_OK)
			module_fail("no room for a fence");
		pe_fence_remove(c->index, fence);
	}
}

void module_fence(void)
{
	static struct scene none = {.name = "none near",
		.fences = 100000,
		.radius_m = 200,
		.fences_m = 100000,
		.entities_m = 100000,
		.apart_m = 500000,
		.cells_max = 64,
		.placements_max = 5000000};
	static struct scene wide = {.name = "23,000 of 5 km",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 1500000,
		.entities_m = 1500000,
		.cells_max = 64,
		.margin_m = 100,
		.placements_max = 23000 * 64};
	static struct scene fine = {.name = "23,000 of 5 km, fine edges",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 1500000,
		.entities_m = 1500000,
		.cells_max = 256,
		.margin_m = 100,
		.placements_max = 23000 * 256};
	static struct scene small = {.name = "1 M of 50 m",
		.fences = 1000000,
		.radius_m = 50,
		.fences_m = 150000,
		.entities_m = 150000,
		.cells_max = 64,
		.margin_m = 5,
		.placements_max = 12000000};
	static struct volume_case sphere = {PE_FENCE_SPHERE, 5000, 0, 64};
	static struct volume_case fine_sphere = {PE_FENCE_SPHERE, 5000, 0, 256};
	static struct volume_case district = {PE_FENCE_POLYGON, 5000, 24, 64};
	static struct volume_case country = {PE_FENCE_POLYGON, 400000, 256, 64};
	static struct volume_case fine_country = {PE_FENCE_POLYGON, 400000, 256, 1024};
	static const struct bench_case cases[] = {
		{"fence/add_sphere_5km", run_add, &sphere, 16, NULL, NULL},
		{"fence/add_sphere_5km_256_cells", run_add, &fine_sphere, 16, NULL, NULL},
		{"fence/add_polygon_5km_24_edges", run_add, &district, 16, NULL, NULL},
		{"fence/add_polygon_400km_256_edges", run_add, &country, 4, NULL, NULL},
		{"fence/add_polygon_400km_256_edges_1024_cells", run_add, &fine_country, 1, NULL,
			NULL},
		{"fence/none_near", run_each, &none, 4096, NULL, NULL},
		{"fence/none_near_burst", run_burst, &none, 4096, NULL, NULL},
		{"fence/wide_23k", run_each, &wide, 4096, NULL, NULL},
		{"fence/wide_23k_burst", run_burst, &wide, 4096, NULL, NULL},
		{"fence/wide_23k_fine_burst", run_burst, &fine, 4096, NULL, NULL},
		{"fence/small_1m", run_each, &small, 4096, NULL, NULL},
		{"fence/small_1m_burst", run_burst, &small, 4096, NULL, NULL},
	};

	MODULE_CASES(cases);
}
