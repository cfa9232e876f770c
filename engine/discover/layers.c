// The layers of the grid that a query walks behind its space's own: one for each audience that its
// asker belongs to, and in which something is or was (policy/views.h). They are walked alike, in
// the same volume; only a POINT looks as far as what is in them claims.
#include "discover/slot.h"

static unsigned audience_bits(const struct pe_test *t)
{
	return ((t->asker->sees & ~1u) | t->counted) &
		atomic_load_explicit(&t->rules->present, memory_order_relaxed);
}

// ---- what is near ----

// Where an audience is of those who stand near, its layer is walked in what is near alone: nothing
// is met that is not shown, and what is further away takes no part in any bound. Where such a one
// may be, and claims to be, it is not asked: what is near is looked through.
static bool looked_through(const struct pe_test *t)
{
	return t->query->kind == PE_QUERY_POINT || t->ways.timed;
}

static bool is_near(const struct pe_test *t, unsigned audience)
{
	return t->rules->views->within >> audience & 1;
}

static unsigned near_boxes(
	const struct pe_test *t, unsigned audience, struct pe_region boxes[PE_FRAMES_MAX])
{
	return pe_near_boxes(t->space, t->asker->place,
		t->rules->views->policy[audience - PE_AUDIENCE_POLICY].within_m, boxes);
}

static unsigned region_count(const struct pe_test *t, unsigned audience)
{
	struct pe_region boxes[PE_FRAMES_MAX];

	if (audience == PE_AUDIENCE_HIDDEN)
		return 1;
	return is_near(t, audience) && looked_through(t) ? near_boxes(t, audience, boxes) :
							   t->veiled_count;
}

// Cuts a region to the box of its frame; to nothing, if there is none.
static void cut(struct pe_region *region, const struct pe_region *boxes, unsigned count)
{
	unsigned b = 0;

	while (b < count && boxes[b].frame != region->frame)
		b++;
	for (unsigned i = 0; i < 3; i++) {
		int64_t lo = b < count ? boxes[b].lo[i] : 1, hi = b < count ? boxes[b].hi[i] : 0;

		region->lo[i] = region->lo[i] > lo ? region->lo[i] : lo;
		region->hi[i] = region->hi[i] < hi ? region->hi[i] : hi;
	}
}

static void near_region(
	const struct pe_test *t, unsigned audience, unsigned of, struct pe_region *region)
{
	struct pe_region boxes[PE_FRAMES_MAX];
	unsigned count = near_boxes(t, audience, boxes);

	if (looked_through(t)) {
		*region = boxes[of];
		return;
	}
	*region = t->veiled_region[of];
	cut(region, boxes, count);
}

// ---- regions and their numbers ----

void pe_query_spread_layers(struct pe_test *t)
{
	bool point = t->query->kind == PE_QUERY_POINT && !t->ways.timed;
	unsigned number = t->region_count;

	if (point) {
		t->veiled_count =
			pe_query_sphere_regions(t, t->query->a, t->veiled_walk_m, t->veiled_region);
	} else {
		t->veiled_count = t->region_count;
		memcpy(t->veiled_region, t->region, t->region_count * sizeof t->region[0]);
	}
	for (unsigned i = 0; i < t->layer_count; i++) {
		t->layer_first[i] = (uint8_t)number;
		number += region_count(t, t->layer[i]);
	}
	t->region_total = number;
}
static_assert(PE_FRAMES_MAX * (1 + PE_AUDIENCES_MAX) <= UINT8_MAX, "numbers of regions");

void pe_query_add_layers(struct pe_test *t, const struct pe_query_known *known, bool owned)
{
	t->layer_count = 0;
	for (uint32_t left = audience_bits(t); left; left &= left - 1)
		t->layer[t->layer_count++] = (uint8_t)__builtin_ctz(left);
	// Nobody belongs to the hidden ones: their number is free for that.
	if (owned)
		t->layer[t->layer_count++] = PE_AUDIENCE_HIDDEN;
	t->veiled_walk_m = (double)known->veiled_precision_max_m + 0.001;
	if (t->ways.straight)
		t->veiled_walk_m = pe_query_surface_reach(t->veiled_walk_m);
}

// Of a number that is none of the space's own: the layer's place among the test's.
static unsigned layer_of(const struct pe_test *t, unsigned number)
{
	unsigned i = t->layer_count - 1;

	while (t->layer_first[i] > number)
		i--;
	return i;
}

unsigned pe_query_layer_audience(const struct pe_test *t, unsigned number, unsigned *region)
{
	unsigned i;

	*region = number;
	if (number < t->region_count || number >= t->region_total)
		return PE_AUDIENCE_OPEN;
	i = layer_of(t, number);
	*region = number - t->layer_first[i];
	return t->layer[i];
}

unsigned pe_query_layer_number(const struct pe_test *t, unsigned audience, unsigned region)
{
	if (audience == PE_AUDIENCE_OPEN)
		return region < t->region_count ? region : t->region_total;
	for (unsigned i = 0; i < t->layer_count; i++) {
		unsigned end = i + 1 < t->layer_count ? t->layer_first[i + 1] : t->region_total;

		if (t->layer[i] == audience && t->layer_first[i] + region < end)
			return t->layer_first[i] + region;
	}
	return t->region_total;
}

unsigned pe_query_layer_of_frame(const struct pe_test *t, unsigned number, unsigned frame)
{
	unsigned i = layer_of(t, number);
	unsigned end = i + 1 < t->layer_count ? t->layer_first[i + 1] : t->region_total;
	struct pe_region region;

	for (number = t->layer_first[i]; number < end; number++) {
		(void)pe_query_layer_region(t, number, &region);
		if (region.frame == frame)
			return number;
	}
	return t->region_total;
}

// All of the cells of a level that the region touches: a count is one of whole cells, or where the
// volume's edge lies would tell where in a cell somebody is.
static void widen(const struct pe_test *t, int level, struct pe_region *r)
{
	const unsigned bits[3] = {pe_node_bits_across((unsigned)level) + PE_CELL_BITS,
		pe_node_bits_across((unsigned)level) + PE_CELL_BITS,
		pe_node_bits_up((unsigned)level) + PE_CELL_BITS};
	const int64_t offset[3] = {PE_KEY_X_OFFSET, PE_KEY_X_OFFSET, PE_KEY_Z_OFFSET};

	r->test = PE_REGION_ALL;
	for (unsigned i = 0; i < 3; i++) {
		int64_t home = offset[i] * ((int64_t)1 << PE_CELL_BITS);
		int64_t lo = (r->lo[i] + home) >> bits[i] << bits[i];
		int64_t hi = (((r->hi[i] + home) >> bits[i]) + 1) << bits[i];

		r->lo[i] = lo - home > t->space->units_lo[i] ? lo - home : t->space->units_lo[i];
		r->hi[i] = hi - 1 - home < t->space->units_hi[i] ? hi - 1 - home :
								   t->space->units_hi[i];
	}
}

bool pe_query_layer_region(const struct pe_test *t, unsigned number, struct pe_region *region)
{
	unsigned of, audience = pe_query_layer_audience(t, number, &of);
	bool near = is_near(t, audience);

	if (audience == PE_AUDIENCE_HIDDEN) { // of no place
		*region = (struct pe_region){.lo = {1, 1, 1}};
		return false;
	}
	if (near)
		near_region(t, audience, of, region);
	else
		*region = t->veiled_region[of];
	region->space = t->rules->views->layer[t->space_index][audience];
	if (t->counted >> audience & 1)
		widen(t, pe_query_lattice_level(t, audience), region);
	return near;
}

// ---- what is only counted ----

uint32_t pe_query_counted(const struct pe_test *t)
{
	// How far a POINT looks depends on what is there.
	if (t->ways.filtered || t->query->kind == PE_QUERY_POINT)
		return 0;
	return t->asker->counts;
}

bool pe_query_region_counted(const struct pe_test *t, unsigned number)
{
	unsigned of;

	return t->layer_count && t->counted >> pe_query_layer_audience(t, number, &of) & 1;
}

int pe_query_lattice_level(const struct pe_test *t, unsigned audience)
{
	return pe_query_cell_level(
		t->space, t->rules->views->policy[audience - PE_AUDIENCE_POLICY].counts_cell_m, 1);
}

// ---- order ----

static uint64_t place_of(const struct pe_test *t, uint64_t epoch, uint32_t handle)
{
	uint8_t name[16];
	uint64_t place;

	pe_views_name(t->rules->views, t->table->records[handle].id, epoch, name);
	memcpy(&place, name, sizeof place);
	return place;
}

bool pe_query_reorders(const struct pe_test *t, unsigned region)
{
	unsigned of;

	return t->rules->views->anonymous >> pe_query_layer_audience(t, region, &of) & 1;
}

bool pe_query_shuffle(
	const struct pe_test *t, unsigned region, struct pe_hit *hits, unsigned from, unsigned to)
{
	const struct pe_views *v = t->rules->views;
	uint64_t epoch = pe_views_epoch(v, t->now.wall_ms), places[PE_QUERY_PIECE_HITS];
	unsigned begin = from;

	if (!pe_query_reorders(t, region))
		return false;
	// A piece has few hits of a leaf, and 512 in all.
	for (unsigned i = from; i < to; i++) {
		struct pe_hit hit = hits[i];
		uint64_t place = place_of(t, epoch, hit.handle);
		unsigned at = i;

		if (hit.key != hits[begin].key)
			begin = i;
		for (; at > begin && places[at - 1 - from] > place; at--) {
			hits[at] = hits[at - 1];
			places[at - from] = places[at - 1 - from];
		}
		hits[at] = hit;
		places[at - from] = place;
	}
	return true;
}
