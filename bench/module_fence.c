// Standing volumes: an operation is an update (fence_scene.h), or adding a volume and taking it
// away. What setting up takes is told on stderr.
#include "fence_scene.h"
#include "modules.h"

#include <math.h>

static_assert(MODULE_ENTITIES == FENCE_ENTITIES, "the scene's crowd is as large as the others");

static void make(struct fence_scene *s)
{
	if (s->made)
		return;
	fence_scene_make(s);
	fprintf(stderr,
		"%s: %u spheres of %g m: %.2f s, %.1f us each; %u cells (%.1f each, %u whole; levels 0-4: %u %u %u %u "
		"%u); index in use about %.1f MiB, %.0f bytes a fence with its cells; memberships %.1f MiB; %.3f volumes an "
		"update\n",
		s->name, s->fences, s->radius_m, s->took_s, 1e6 * s->took_s / s->fences,
		s->use.placements, (double)s->use.placements / s->fences, s->use.whole,
		s->use.level[0], s->use.level[1], s->use.level[2], s->use.level[3], s->use.level[4],
		(double)s->index_bytes / 1048576.0,
		128.0 + (double)s->use.placements * 32.0 / s->fences,
		(double)s->member_bytes / 1048576.0, (double)s->found / FENCE_ENTITIES);
}

static void run_each(void *context, uint64_t count)
{
	make(context);
	fence_scene_each(context, count);
}

static void run_burst(void *context, uint64_t count)
{
	make(context);
	fence_scene_bursts(context, count);
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

		fence_place(reach * cos(angle), reach * sin(angle), at);
		vertices[i][0] = at[0];
		vertices[i][1] = at[1];
	}
	if (c->vertices &&
		pe_polygon_prepare(fence_space(), (const double(*)[2])vertices, &c->vertices, 1,
			-INFINITY, INFINITY, &c->polygon) != PE_VOLUME_ok)
		module_fail("no polygon");
}

static void run_add(void *context, uint64_t count)
{
	struct volume_case *c = context;
	uint32_t fence;

	if (!c->index)
		make_volume(c);
	for (uint64_t i = 0; i < count; i++) {
		if (pe_fence_add(c->index, fence_space(), &c->volume, i, &fence) != PE_OK)
			module_fail("no room for a fence");
		pe_fence_remove(c->index, fence);
	}
}

void module_fence(void)
{
	static struct fence_scene none = {.name = "none near",
		.fences = 100000,
		.radius_m = 200,
		.fences_m = 100000,
		.entities_m = 100000,
		.apart_m = 500000,
		.cells_max = 64,
		.placements_max = 5000000};
	static struct fence_scene wide = {.name = "23,000 of 5 km",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 1500000,
		.entities_m = 1500000,
		.cells_max = 64,
		.margin_m = 100,
		.placements_max = 23000 * 64};
	static struct fence_scene fine = {.name = "23,000 of 5 km, fine edges",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 1500000,
		.entities_m = 1500000,
		.cells_max = 256,
		.margin_m = 100,
		.placements_max = 23000 * 256};
	static struct fence_scene small = {.name = "1 M of 50 m",
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
