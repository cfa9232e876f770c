#include "base/prefetch.h"
#include "discover/fence_internal.h"

// A chain of placements that is being followed for one of a burst's leaves.
struct cursor {
	uint64_t cell; // the key that is looked for
	uint32_t at;   // bucket, then placement
	uint32_t seek;
};

// By number, so that what an update tells does not depend on which chains the index's secret makes
// one.
static void take(struct pe_fence_seek *s, const struct pe_fence_index *index, uint32_t fence)
{
	uint32_t number = fence & ~PE_PLACEMENT_WHOLE, at = s->count;

	pe_prefetch(&index->fences[number]);
	if (s->count <= PE_FENCE_SOUGHT)
		s->count++;
	if (at >= PE_FENCE_SOUGHT)
		return;
	for (; at > 0 && (s->fence[at - 1] & ~PE_PLACEMENT_WHOLE) > number; at--)
		s->fence[at] = s->fence[at - 1];
	s->fence[at] = fence;
}

// The levels that bits of the filter's lines tell of: their buckets, which are asked for, into
// cursors[*used …].
static uint32_t begin(const struct pe_fence_index *index, uint64_t key, uint32_t seek,
	struct cursor *cursors, unsigned *used)
{
	unsigned levels = index->levels[pe_fence_frame_index(key)], near = 0;

	for (unsigned group = 0; levels >> (3 * group); group++) {
		unsigned left = levels >> (3 * group) & 7;
		struct pe_fence_group g;

		if (!left)
			continue;
		g = pe_fence_group_of(index, key, group);
		for (; left; left &= left - 1) {
			unsigned level = 3 * group + (unsigned)__builtin_ctz(left);
			unsigned bit = pe_fence_bit_of(g, key, level);
			uint32_t bucket;

			if (!(index->blocks[g.block].word[bit / 64] >> (bit % 64) & 1))
				continue;
			near |= 1u << level;
			bucket = pe_fence_bucket_of(index, g, key, level);
			pe_prefetch(&index->heads[bucket]);
			cursors[(*used)++] = (struct cursor){
				.cell = pe_fence_key(key, level), .at = bucket, .seek = seek};
		}
	}
	return near;
}

static inline uint32_t first_of(const struct pe_fence_index *index, uint64_t key, unsigned level)
{
	struct pe_fence_group g = pe_fence_group_of(index, key, level / 3);

	return index->heads[pe_fence_bucket_of(index, g, key, level)];
}

// All chains a step at a time: what the next step reads has been asked for a round before.
void pe_fence_seek(const struct pe_fence_index *index, struct pe_fence_seek *seeks, unsigned count)
{
	struct cursor cursors[PE_FENCE_BURST * PE_FENCE_LEVELS];
	unsigned used = 0, kept = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned levels = index->levels[pe_fence_frame_index(seeks[i].key)];

		for (unsigned g = 0; levels; g++, levels >>= 3)
			if (levels & 7)
				pe_prefetch(&index->blocks[pe_fence_group_of(index, seeks[i].key, g)
								   .block]);
	}
	for (unsigned i = 0; i < count; i++) {
		seeks[i].levels = begin(index, seeks[i].key, i, cursors, &used);
		seeks[i].count = 0;
	}
	for (unsigned i = 0; i < used; i++) {
		struct cursor c = cursors[i];

		c.at = index->heads[c.at];
		if (c.at == PE_FENCE_NONE)
			continue;
		pe_prefetch(&index->placements[c.at]);
		cursors[kept++] = c;
	}
	for (used = kept; used; used = kept) {
		kept = 0;
		for (unsigned i = 0; i < used; i++) {
			struct cursor c = cursors[i];
			const struct pe_placement *p = &index->placements[c.at];

			if (p->key == c.cell)
				take(&seeks[c.seek], index, p->fence);
			c.at = p->next;
			if (c.at == PE_FENCE_NONE)
				continue;
			pe_prefetch(&index->placements[c.at]);
			cursors[kept++] = c;
		}
	}
}

static unsigned look_at(const struct pe_fence_index *index, uint32_t fence, uint64_t key,
	uint64_t word, const double position[3], struct pe_fence_hit *hit, double *room_units)
{
	uint32_t number = fence & ~PE_PLACEMENT_WHOLE;
	const struct pe_fence *f = &index->fences[number];
	enum pe_fence_side side = pe_fence_side_of(
		index, f, fence & PE_PLACEMENT_WHOLE, key, word, position, room_units);

	*hit = (struct pe_fence_hit){number, (uint16_t)side, (f->flags & PE_FENCE_PLAIN) != 0};
	return side != PE_FENCE_OUTSIDE;
}

// Where there are more than a seek holds.
__attribute__((noinline)) static unsigned look_long(const struct pe_fence_index *index,
	const struct pe_fence_seek *seek, uint64_t word, const double position[3],
	struct pe_fence_hit *hits, double *room_units)
{
	struct pe_fence_hit hit;
	unsigned count = 0;

	for (uint32_t levels = seek->levels; levels; levels &= levels - 1) {
		unsigned level = (unsigned)__builtin_ctz(levels);
		uint64_t cell = pe_fence_key(seek->key, level);

		for (uint32_t n = first_of(index, seek->key, level); n != PE_FENCE_NONE;
			n = index->placements[n].next)
			if (index->placements[n].key == cell &&
				look_at(index, index->placements[n].fence, seek->key, word,
					position, &hit, room_units))
				hits[count++] = hit;
	}
	return count;
}

unsigned pe_fence_look(const struct pe_fence_index *index, const struct pe_fence_seek *seek,
	uint64_t word, const double position[3], struct pe_fence_hit *hits, double *room_units)
{
	struct pe_fence_hit hit;
	unsigned count = 0;

	if (seek->count > PE_FENCE_SOUGHT)
		return look_long(index, seek, word, position, hits, room_units);
	for (unsigned i = 0; i < seek->count; i++)
		if (look_at(index, seek->fence[i], seek->key, word, position, &hit, room_units))
			hits[count++] = hit;
	return count;
}

enum pe_fence_side pe_fence_test(const struct pe_fence_index *index, uint32_t number, uint64_t key,
	uint64_t word, const double position[3])
{
	const struct pe_fence *fence = &index->fences[number];

	if (fence->space != PE_KEY_SPACE(key))
		return PE_FENCE_OUTSIDE;
	return pe_fence_side_of(index, fence, false, key, word, position, NULL);
}
