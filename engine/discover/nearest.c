// The k entities nearest to a place. Spheres about it, each wider than the one before, until one
// holds k that stand the test: then nothing outside of it can be nearer. The k best are kept in a
// heap with the furthest at its root, beyond which nothing more is looked at. Exact distances and
// ids order them, so that the answer is the same whatever the walk's order.
#include "discover/slot.h"

#include <float.h>
#include <math.h>
#include <string.h>

// A cell is made for some 16 entities (pe_grid_cells): where k are to be expected, if they lie like
// that.
#define CELL_ENTITIES 16.0
// From a quarter of a cell by doubling to the ends of what a key holds; then all of it.
#define ROUNDS_MAX 24u
// A geodesic costs as much as testing so many positions, and is counted so.
#define GEODESIC_CANDIDATES 16u

struct nearest {
	struct pe_query_context *c;
	struct pe_query_slot *s;
	struct pe_query_near *near;
	uint32_t count, k, set_mask;
	double limit_m;
};

// Distances worked out in two ways differ by less.
static double margin(double distance_m)
{
	return distance_m * 1e-9 + 1e-6;
}

double pe_query_nearest_limit(const struct pe_query_slot *s)
{
	return s->query.b[0] > 0      ? s->query.b[0] :
		s->test.ways.geodetic ? PE_QUERY_RADIUS_MAX_M :
					DBL_MAX;
}

// A sphere in which the k may be expected.
static double first_radius(const struct pe_query_slot *s)
{
	double cells = s->query.max_results / CELL_ENTITIES;
	double radius_m = s->test.space->config.leaf_edge_m * fmax(0.25, sqrt(cells) * 0.7);

	return fmin(radius_m, pe_query_nearest_limit(s));
}

static void set_sphere(struct pe_test *t, double radius_m)
{
	double walk_m = t->ways.straight ? pe_query_surface_reach(radius_m) : radius_m;

	t->radius_m = radius_m;
	t->region_count = pe_query_sphere_regions(t, t->centre, walk_m, t->region);
	pe_query_set_layers(t);
}

enum pe_reason pe_query_prepare_nearest(struct pe_query_slot *s)
{
	struct pe_test *t = &s->test;
	const struct pe_wire_query *q = &s->query;
	enum pe_reason reason = pe_space_check_sphere(t->space, q->a, q->b[0]);

	if (reason)
		return reason;
	if (t->ways.straight && q->a[2] < PE_HEIGHT_LOWEST_M)
		return PE_REASON_query_bounds;
	memcpy(t->centre, q->a, sizeof t->centre);
	// The first round's: its walk is opened with those of the queries beside it. Later rounds
	// have their own.
	set_sphere(t, first_radius(s));
	if (t->ways.centred)
		memcpy(t->origin, q->a, sizeof t->origin);
	return PE_REASON_none;
}

// ---- the set of handles that are in the heap ----

static uint32_t home(const struct nearest *n, uint32_t handle)
{
	return handle * 2654435761u & n->set_mask;
}

static uint32_t find(const struct nearest *n, uint32_t handle)
{
	uint32_t at = home(n, handle);

	while (n->c->met[at] != PE_HANDLE_NONE && n->c->met[at] != handle)
		at = (at + 1) & n->set_mask;
	return at;
}

// What follows is moved up, so that a search never ends too early.
static void forget(struct nearest *n, uint32_t handle)
{
	uint32_t *met = n->c->met, gap = find(n, handle), at = gap;

	for (;;) {
		at = (at + 1) & n->set_mask;
		if (met[at] == PE_HANDLE_NONE)
			break;
		if (((at - home(n, met[at])) & n->set_mask) >= ((at - gap) & n->set_mask)) {
			met[gap] = met[at];
			gap = at;
		}
	}
	met[gap] = PE_HANDLE_NONE;
}

// ---- the heap ----

static bool nearer(const struct nearest *n, double distance_m, const uint8_t id[16],
	const struct pe_query_near *than)
{
	if (distance_m != than->distance_m)
		return distance_m < than->distance_m;
	return memcmp(id, n->c->results[than->result].entity_id, 16) < 0;
}

static bool before(
	const struct nearest *n, const struct pe_query_near *a, const struct pe_query_near *b)
{
	return nearer(n, a->distance_m, n->c->results[a->result].entity_id, b);
}

static void sift_up(struct nearest *n, uint32_t at)
{
	struct pe_query_near moved = n->near[at];

	for (uint32_t parent; at > 0; at = parent) {
		parent = (at - 1) / 2;
		if (!before(n, &n->near[parent], &moved))
			break;
		n->near[at] = n->near[parent];
	}
	n->near[at] = moved;
}

static void sift_down(struct nearest *n, uint32_t count)
{
	struct pe_query_near moved = n->near[0];
	uint32_t at = 0;

	for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && before(n, &n->near[child], &n->near[child + 1]))
			child++;
		if (!before(n, &moved, &n->near[child]))
			break;
		n->near[at] = n->near[child];
	}
	n->near[at] = moved;
}

// One that stood the test.
static void offer(struct nearest *n, const struct pe_wire_result *result, uint32_t handle,
	const uint8_t *details)
{
	const struct pe_test *t = &n->s->test;
	double distance_m =
		pe_space_distance(t->space, t->query->a, result->position, t->ways.straight);
	struct pe_query_near *root = &n->near[0];
	uint32_t at;

	if (n->count == n->k && !nearer(n, distance_m, result->entity_id, root))
		return;
	at = find(n, handle);
	if (n->c->met[at] == handle)
		return; // met at its old place and at its new one
	if (n->count < n->k) {
		n->c->met[at] = handle;
		n->c->results[n->count] = *result;
		n->c->details[n->count] = details;
		n->near[n->count] = (struct pe_query_near){distance_m, handle, n->count};
		sift_up(n, n->count++);
		return;
	}
	forget(n, root->handle);
	n->c->met[find(n, handle)] = handle;
	n->c->results[root->result] = *result;
	n->c->details[root->result] = details;
	root->distance_m = distance_m;
	root->handle = handle;
	sift_down(n, n->count);
}

static void take_piece(struct nearest *n)
{
	struct pe_query_context *c = n->c;
	struct pe_query_slot *s = n->s;
	struct pe_test *t = &s->test;
	struct pe_hits hits = {.hit = c->hits,
		.handle = c->hit_handles,
		.at = s->from,
		.end = s->to,
		.ahead = c->hits_end,
		.asked = s->from,
		.details = s->form == PE_QUERY_DETAILED ? c->extras->details : NULL,
		.bytes_left = UINT32_MAX};
	uint32_t taken =
		pe_accept(t, &hits, c->extras->piece, c->extras->handles, PE_QUERY_PIECE_HITS);

	for (uint32_t i = 0; i < taken; i++)
		offer(n, &c->extras->piece[i], c->extras->handles[i],
			hits.details ? c->extras->details[i] : NULL);
	if (t->ways.geodetic)
		s->walk.candidates += taken * GEODESIC_CANDIDATES;
	// What is further than the furthest of k is not wanted.
	if (n->count == n->k)
		t->radius_m =
			fmin(t->radius_m, n->near[0].distance_m + margin(n->near[0].distance_m));
}

// Everything within radius_m; the first round's walk is open. False: a bound was reached before the
// end.
static bool walk_round(struct nearest *n, double radius_m, bool first)
{
	struct pe_query_context *c = n->c;
	struct pe_query_slot *s = n->s;
	struct pe_test *t = &s->test;

	n->count = 0;
	memset(c->met, 0xFF, ((size_t)n->set_mask + 1) * sizeof *c->met);
	if (first)
		t->radius_m = radius_m;
	else
		set_sphere(t, radius_m);
	for (unsigned region = 0; region < t->region_total; region++) {
		if (!first || region > 0) {
			s->walk.cursor = (struct pe_cursor){{0, 0}};
			s->walk.resume = 0;
			s->opened = false;
			pe_query_enter_region(s, region);
		}
		do {
			if (pe_query_walked_out(s))
				return false;
			c->hits_end = c->asked = 0;
			pe_query_scan_piece(c, s);
			take_piece(n);
		} while (!pe_walk_ended(&s->walk));
	}
	return true;
}

// How far the next round goes. `last`: how many the round before had.
static double widen(const struct nearest *n, unsigned round, uint32_t last, double radius_m)
{
	double factor = n->count ? 1.25 * sqrt((double)n->k / n->count) : 4;

	if (n->count == n->k) // the k-th is further than this round's certainty
		return n->near[0].distance_m + 4 * margin(n->near[0].distance_m);
	// Nothing more in twice the radius: what is missing is far away, if there is any.
	if (round >= ROUNDS_MAX || (n->count && n->count == last))
		return n->limit_m;
	return radius_m * (factor < 2 ? 2 : factor > 8 ? 8 : factor);
}

// Ascending, and the results with it.
static void arrange(struct nearest *n)
{
	struct pe_wire_result *sorted = n->c->extras->piece;
	const uint8_t **details = n->c->extras->details;

	for (uint32_t left = n->count; left > 1; left--) {
		struct pe_query_near furthest = n->near[0];

		n->near[0] = n->near[left - 1];
		sift_down(n, left - 1);
		n->near[left - 1] = furthest;
	}
	for (uint32_t i = 0; i < n->count; i++) {
		sorted[i] = n->c->results[n->near[i].result];
		details[i] = n->c->details[n->near[i].result];
	}
	memcpy(n->c->results, sorted, n->count * sizeof *sorted);
	memcpy(n->c->details, details, n->count * sizeof *details);
}

// How many of the first results have room with their details.
static uint32_t fitting(const struct pe_query_context *c, uint32_t count, uint32_t bytes)
{
	uint32_t n = 0, result;

	for (; n < count; n++, bytes -= result) {
		result = pe_query_detailed_bytes(c->details[n]);
		if (result > bytes)
			break;
	}
	return n;
}

void pe_query_run_nearest(struct pe_query_context *c, struct pe_query_slot *s, uint32_t results_max,
	struct pe_query_answer *answer)
{
	struct nearest n = {.c = c,
		.s = s,
		.near = c->extras->near,
		.k = s->query.max_results < results_max ? s->query.max_results : results_max,
		.set_mask = 63,
		.limit_m = pe_query_nearest_limit(s)};
	double radius_m = first_radius(s);
	uint32_t cells_max = s->walk.cells_max;
	bool whole = n.k > 0;
	uint32_t last = 0;

	while (n.set_mask + 1 < 2 * n.k)
		n.set_mask = 2 * n.set_mask + 1;
	pe_query_set_bounds(c, s);
	// Queries before have taken of the turn's: then it is opened again.
	s->opened &= s->walk.cells_max == cells_max;
	for (unsigned round = 0; whole; round++) {
		radius_m = fmin(radius_m, n.limit_m);
		whole = walk_round(&n, radius_m, round == 0);
		if (!whole || radius_m >= n.limit_m ||
			(n.count == n.k &&
				n.near[0].distance_m + margin(n.near[0].distance_m) <= radius_m))
			break;
		radius_m = widen(&n, round, last, radius_m);
		last = n.count;
	}
	c->hits_end = c->asked = 0;
	pe_query_end_walk(c, s);
	arrange(&n);
	answer->result_count = n.count;
	answer->worked_out = !whole && n.k > 0;
	if (s->form == PE_QUERY_DETAILED)
		answer->result_count = fitting(c, n.count, s->bytes_left);
	// Those that there was no room for are cut off as well.
	answer->truncated = !whole || (n.k < s->query.max_results && n.count == n.k) ||
		answer->result_count < n.count;
	pe_count(c->counters, PE_COUNTER_query_results, answer->result_count);
}
