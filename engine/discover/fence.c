#include "discover/fence_internal.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static uint32_t power_of_two(uint64_t n)
{
	uint64_t p = 1;

	while (p < n)
		p *= 2;
	return (uint32_t)p;
}

static bool config_sound(const struct pe_fence_config *c)
{
	return c->fence_count_max >= 1 && c->fence_count_max <= PE_FENCES_MAX &&
		c->placement_count_max >= 1 && c->placement_count_max < 1u << 30 &&
		c->fence_cells_max >= 64 && c->fence_cells_max <= PE_FENCE_CELLS_MAX &&
		c->stack_max >= 1 && c->stack_max <= PE_FENCE_STACK_MAX;
}

static uint64_t rounded(uint64_t bytes)
{
	return (bytes + 63) & ~63ull;
}

struct pe_fence_plan pe_fence_plan(const struct pe_fence_config *c)
{
	struct pe_fence_plan plan = {0};
	uint64_t eighth = c->placement_count_max / 8;

	if (!config_sound(c))
		return plan;
	plan.fence_bytes = (uint64_t)c->fence_count_max * sizeof(struct pe_fence);
	plan.placement_bytes =
		rounded((uint64_t)c->placement_count_max * sizeof(struct pe_placement));
	// One to two buckets a placement, and a block for eight to sixteen.
	plan.bucket_bytes =
		(uint64_t)power_of_two(c->placement_count_max / PE_FENCE_LINE_HEADS + 1) *
		PE_FENCE_LINE_HEADS * sizeof(uint32_t);
	plan.filter_bytes =
		power_of_two(eighth < 64 ? 64 : eighth) * sizeof(struct pe_fence_block) / 2;
	plan.other_bytes = rounded(sizeof(struct pe_fence_index)) +
		3 * rounded(c->fence_cells_max * sizeof(struct pe_fence_cell));
	plan.total_bytes = plan.fence_bytes + plan.placement_bytes + plan.bucket_bytes +
		plan.filter_bytes + plan.other_bytes;
	plan.hits_max = PE_FENCE_LEVELS * c->stack_max;
	if (plan.hits_max > c->fence_count_max)
		plan.hits_max = c->fence_count_max;
	return plan;
}

static void *carve(char **at, uint64_t bytes)
{
	void *p = *at;

	*at += rounded(bytes);
	return p;
}

static void make_empty(struct pe_fence_index *index)
{
	const struct pe_fence_config *c = &index->config;

	memset(index->heads, 0xFF,
		((size_t)index->line_mask + 1) * PE_FENCE_LINE_HEADS * sizeof(uint32_t));
	for (uint32_t i = 0; i < c->fence_count_max; i++)
		index->fences[i].first = i + 1 < c->fence_count_max ? i + 1 : PE_FENCE_NONE;
	for (uint32_t i = 0; i < c->placement_count_max; i++)
		index->placements[i].sibling =
			i + 1 < c->placement_count_max ? i + 1 : PE_FENCE_NONE;
	index->free_placement_count = c->placement_count_max;
}

enum pe_status pe_fence_create(const struct pe_fence_config *config,
	struct pe_fence_index **index_out, struct pe_error *error)
{
	struct pe_fence_plan plan = pe_fence_plan(config);
	struct pe_fence_index *index;
	struct pe_memory memory;
	uint64_t secret[4];
	char *at;

	*index_out = NULL;
	error->status = PE_INVALID;
	if (!plan.total_bytes) {
		snprintf(error->text, sizeof error->text,
			"%u standing volumes of at most %u cells, %u cells in all and %u volumes a cell: they are 1 to %u, "
			"64 to %u, 1 to %u and 1 to %u",
			config->fence_count_max, config->fence_cells_max,
			config->placement_count_max, config->stack_max, PE_FENCES_MAX,
			PE_FENCE_CELLS_MAX, (1u << 30) - 1, PE_FENCE_STACK_MAX);
		return error->status;
	}
	if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret) {
		error->status = PE_IO;
		snprintf(error->text, sizeof error->text, "the system gave no random bytes: %s",
			strerror(errno));
		return error->status;
	}
	if (pe_memory_map(plan.total_bytes, config->huge_pages, &memory) != PE_OK) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text,
			"the standing volumes need %llu MiB for %u volumes and could not have them (%s); lower their "
			"number or give the machine more memory",
			(unsigned long long)(plan.total_bytes >> 20), config->fence_count_max,
			strerror(errno));
		return error->status;
	}
	at = memory.base;
	index = carve(&at, sizeof *index);
	index->memory = memory;
	index->config = *config;
	memcpy(index->secret, secret, sizeof secret);
	index->fences = carve(&at, plan.fence_bytes);
	index->blocks = carve(&at, plan.filter_bytes);
	index->block_mask = (uint32_t)(plan.filter_bytes / sizeof(struct pe_fence_block) - 1);
	index->heads = carve(&at, plan.bucket_bytes);
	index->line_mask =
		(uint32_t)(plan.bucket_bytes / sizeof(uint32_t) / PE_FENCE_LINE_HEADS - 1);
	index->placements = carve(&at, plan.placement_bytes);
	for (unsigned i = 0; i < 3; i++)
		index->cells[i] =
			carve(&at, config->fence_cells_max * sizeof(struct pe_fence_cell));
	assert(at <= (char *)memory.base + memory.bytes);
	make_empty(index);
	*index_out = index;
	return PE_OK;
}

void pe_fence_destroy(struct pe_fence_index *index)
{
	struct pe_memory memory;

	if (!index)
		return;
	memory = index->memory;
	pe_memory_unmap(&memory);
}

// The leaf of least coordinates in a cell.
static uint64_t leaf_of(const struct pe_fence_cell *cell, unsigned space)
{
	unsigned across = pe_level_across(cell->level), up = pe_level_up(cell->level);

	return pe_key_make(space, cell->frame, cell->x << across, cell->y << across, cell->z << up);
}

static unsigned level_of(uint64_t key)
{
	return key & PE_FENCE_NODE_KEY ?
		(unsigned)(key >> 15 & 7) | (unsigned)(key >> 34 & 1) << 3 :
		0;
}

// Without what pe_node_key keeps the level in.
static uint64_t leaf_of_key(uint64_t key)
{
	return key & PE_FENCE_NODE_KEY ? key & ~(PE_FENCE_NODE_KEY | 7ull << 15 | 1ull << 34) : key;
}

// Is there room on the cell for one more?
static bool stack_has_room(const struct pe_fence_index *index, uint32_t bucket, uint64_t key)
{
	unsigned count = 0;

	for (uint32_t p = index->heads[bucket]; p != PE_FENCE_NONE; p = index->placements[p].next)
		if (index->placements[p].key == key && ++count >= index->config.stack_max)
			return false;
	return true;
}

static void placement_link(
	struct pe_fence_index *index, struct pe_fence_group g, uint32_t bucket, uint32_t number)
{
	struct pe_placement *p = &index->placements[number];
	unsigned level = level_of(p->key),
		 frame = pe_fence_frame_index(p->key & ~PE_FENCE_NODE_KEY);
	unsigned bit = pe_fence_bit_of(g, leaf_of_key(p->key), level);

	p->next = index->heads[bucket];
	p->prev = PE_PLACEMENT_FIRST | bucket;
	if (p->next != PE_FENCE_NONE)
		index->placements[p->next].prev = number;
	index->heads[bucket] = number;
	index->blocks[g.block].word[bit / 64] |= 1ull << (bit % 64);
	if (index->level_count[frame][level]++ == 0)
		index->levels[frame] |= (uint16_t)(1u << level);
	index->use.placements++;
	index->use.level[level]++;
	index->use.whole += p->fence >> 31;
}

// Clears the bit unless something else has it: all that has it is in its line of buckets.
static void bit_clear(struct pe_fence_index *index, struct pe_fence_group g, unsigned bit)
{
	uint32_t line = pe_fence_line_of(index, g, bit);

	for (unsigned i = 0; i < PE_FENCE_LINE_HEADS; i++)
		for (uint32_t n = index->heads[line * PE_FENCE_LINE_HEADS + i]; n != PE_FENCE_NONE;
			n = index->placements[n].next) {
			uint64_t key = index->placements[n].key, leaf = leaf_of_key(key);
			unsigned level = level_of(key);
			struct pe_fence_group other = pe_fence_group_of(index, leaf, level / 3);

			if (other.block == g.block && pe_fence_bit_of(other, leaf, level) == bit)
				return;
		}
	index->blocks[g.block].word[bit / 64] &= ~(1ull << (bit % 64));
}

static void placement_unlink(struct pe_fence_index *index, uint32_t number)
{
	struct pe_placement *p = &index->placements[number];
	uint64_t leaf = leaf_of_key(p->key);
	unsigned level = level_of(p->key), frame = pe_fence_frame_index(leaf);
	struct pe_fence_group g = pe_fence_group_of(index, leaf, level / 3);

	if (p->next != PE_FENCE_NONE)
		index->placements[p->next].prev = p->prev;
	if (p->prev & PE_PLACEMENT_FIRST)
		index->heads[p->prev & ~PE_PLACEMENT_FIRST] = p->next;
	else
		index->placements[p->prev].next = p->next;
	bit_clear(index, g, pe_fence_bit_of(g, leaf, level));
	if (--index->level_count[frame][level] == 0)
		index->levels[frame] &= (uint16_t) ~(1u << level);
	index->use.placements--;
	index->use.level[level]--;
	index->use.whole -= p->fence >> 31;
	p->sibling = index->free_placement;
	index->free_placement = number;
	index->free_placement_count++;
}

static void give_placements(struct pe_fence_index *index, struct pe_fence *fence)
{
	uint32_t number = fence->first;

	for (uint32_t i = 0; i < fence->cell_count; i++) {
		uint32_t next = index->placements[number].sibling;

		placement_unlink(index, number);
		number = next;
	}
	fence->cell_count = 0;
}

static enum pe_status take_placements(
	struct pe_fence_index *index, struct pe_fence *fence, uint32_t number, unsigned count)
{
	if (count > index->free_placement_count)
		return PE_FULL;
	for (unsigned i = 0; i < count; i++) {
		const struct pe_fence_cell *cell = &index->cells[0][i];
		uint64_t leaf = leaf_of(cell, fence->space), key = pe_fence_key(leaf, cell->level);
		struct pe_fence_group g = pe_fence_group_of(index, leaf, cell->level / 3u);
		uint32_t bucket = pe_fence_bucket_of(index, g, leaf, cell->level);
		uint32_t taken = index->free_placement;

		if (!stack_has_room(index, bucket, key)) {
			give_placements(index, fence);
			return PE_FULL;
		}
		index->free_placement = index->placements[taken].sibling;
		index->free_placement_count--;
		index->placements[taken].key = key;
		index->placements[taken].fence = number | (cell->whole ? PE_PLACEMENT_WHOLE : 0);
		index->placements[taken].sibling = fence->first;
		fence->first = taken;
		fence->cell_count++;
		placement_link(index, g, bucket, taken);
	}
	return PE_OK;
}

enum pe_status pe_fence_add(struct pe_fence_index *index, const struct pe_space *space,
	const struct pe_fence_volume *volume, uint64_t id, uint32_t *fence_out)
{
	uint32_t number = index->free_fence, after;
	struct pe_fence made;
	enum pe_status status;

	*fence_out = PE_FENCE_NONE;
	status = pe_fence_shape(space, volume, &made, &index->shape);
	if (status != PE_OK)
		return status;
	if (number == PE_FENCE_NONE) {
		index->use.refused++;
		return PE_FULL;
	}
	after = index->fences[number].first;
	made.id = id;
	made.first = PE_FENCE_NONE;
	index->space[space->index] = space;
	status = take_placements(index, &made, number,
		pe_fence_place(index, &index->shape, index->config.fence_cells_max));
	if (status != PE_OK) {
		index->use.refused++;
		return status;
	}
	index->free_fence = after;
	index->fences[number] = made;
	index->use.fences++;
	index->use.added++;
	*fence_out = number;
	return PE_OK;
}

// Everything is further out of it than its margin.
static struct pe_fence nowhere(const struct pe_space *space, uint64_t id)
{
	struct pe_fence fence = {.kind = PE_FENCE_SPHERE,
		.space = (uint8_t)space->index,
		.height_min = -INFINITY,
		.height_max = INFINITY,
		.first = PE_FENCE_NONE,
		.id = id};

	fence.u.sphere.square = fence.u.sphere.sure = -1.0;
	fence.u.sphere.wide_square = fence.u.sphere.wide_sure = -1.0;
	return fence;
}

enum pe_status pe_fence_add_nowhere(struct pe_fence_index *index, const struct pe_space *space,
	uint64_t id, uint32_t *fence_out)
{
	uint32_t number = index->free_fence;

	*fence_out = PE_FENCE_NONE;
	if (number == PE_FENCE_NONE) {
		index->use.refused++;
		return PE_FULL;
	}
	index->free_fence = index->fences[number].first;
	index->space[space->index] = space;
	index->fences[number] = nowhere(space, id);
	index->use.fences++;
	index->use.added++;
	*fence_out = number;
	return PE_OK;
}

enum pe_status pe_fence_move(struct pe_fence_index *index, uint32_t number,
	const struct pe_space *space, const struct pe_fence_volume *volume)
{
	struct pe_fence *fence = &index->fences[number];
	uint64_t id = fence->id;
	struct pe_fence made;
	enum pe_status status = PE_OK;

	assert(number < index->config.fence_count_max && fence->space == space->index);
	give_placements(index, fence);
	*fence = nowhere(space, id);
	if (!volume)
		return PE_OK;
	status = pe_fence_shape(space, volume, &made, &index->shape);
	if (status != PE_OK)
		return status;
	made.id = id;
	made.first = PE_FENCE_NONE;
	status = take_placements(index, &made, number,
		pe_fence_place(index, &index->shape, index->config.fence_cells_max));
	if (status == PE_OK)
		*fence = made;
	else
		index->use.refused++;
	return status;
}

void pe_fence_remove(struct pe_fence_index *index, uint32_t number)
{
	struct pe_fence *fence = &index->fences[number];

	assert(number < index->config.fence_count_max);
	give_placements(index, fence);
	fence->first = index->free_fence;
	index->free_fence = number;
	index->use.fences--;
	index->use.removed++;
}

uint64_t pe_fence_id(const struct pe_fence_index *index, uint32_t number)
{
	return index->fences[number].id;
}

uint32_t pe_fence_cells(const struct pe_fence_index *index, uint32_t number)
{
	return index->fences[number].cell_count;
}

struct pe_fence_use pe_fence_use(const struct pe_fence_index *index)
{
	return index->use;
}

void pe_fence_set_plain(struct pe_fence_index *index, uint32_t number)
{
	index->fences[number].flags |= PE_FENCE_PLAIN;
}
