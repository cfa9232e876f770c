#include "base/prefetch.h"
#include "discover/member_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFETCHED 6u // members of an entity

static uint64_t rounded(uint64_t bytes)
{
	return (bytes + 63) & ~63ull;
}

struct pe_member_plan pe_member_plan(const struct pe_member_config *c)
{
	struct pe_member_plan plan = {0};
	uint64_t buckets = 16;

	if (c->member_count_max < 1 || c->member_count_max >= 1u << 31 || c->fence_count_max < 1 ||
		c->fence_count_max > PE_FENCES_MAX || c->handle_end < 1 || !c->tell)
		return plan;
	while (buckets < c->member_count_max)
		buckets *= 2;
	plan.member_bytes = (uint64_t)c->member_count_max * sizeof(struct pe_member);
	plan.bucket_bytes = buckets * sizeof(uint32_t);
	plan.fence_bytes = rounded((uint64_t)c->fence_count_max * sizeof(struct pe_member_fence));
	plan.entity_bytes = rounded(((uint64_t)c->handle_end + 63) / 64 * sizeof(uint64_t)) +
		rounded(buckets * sizeof(uint32_t));
	plan.other_bytes = rounded(sizeof(struct pe_member_set));
	plan.total_bytes = plan.member_bytes + plan.bucket_bytes + plan.fence_bytes +
		plan.entity_bytes + plan.other_bytes;
	return plan;
}

static void *carve(char **at, uint64_t bytes)
{
	void *p = *at;

	*at += rounded(bytes);
	return p;
}

enum pe_status pe_member_create(const struct pe_member_config *config, uint32_t tick,
	struct pe_member_set **set_out, struct pe_error *error)
{
	struct pe_member_plan plan = pe_member_plan(config);
	struct pe_member_set *set;
	struct pe_memory memory;
	char *at;

	*set_out = NULL;
	if (!plan.total_bytes) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text,
			"%u memberships, %u standing volumes and handles below %u: they are 1 to %u, 1 to %u and 1 or more",
			config->member_count_max, config->fence_count_max, config->handle_end,
			(1u << 31) - 1, PE_FENCES_MAX);
		return error->status;
	}
	if (pe_memory_map(plan.total_bytes, config->huge_pages, &memory) != PE_OK) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text,
			"the memberships of standing volumes need %llu MiB and could not have them (%s); lower their "
			"number or give the machine more memory",
			(unsigned long long)(plan.total_bytes >> 20), strerror(errno));
		return error->status;
	}
	at = memory.base;
	set = carve(&at, sizeof *set);
	set->memory = memory;
	set->config = *config;
	set->tick = tick;
	set->members = carve(&at, plan.member_bytes);
	set->buckets = carve(&at, plan.bucket_bytes);
	set->bucket_mask = (uint32_t)(plan.bucket_bytes / sizeof(uint32_t) - 1);
	set->fences = carve(&at, plan.fence_bytes);
	set->some = carve(&at, ((uint64_t)config->handle_end + 63) / 64 * sizeof(uint64_t));
	set->heads = carve(&at, plan.bucket_bytes);
	assert(at <= (char *)memory.base + memory.bytes);
	memset(set->buckets, 0xFF, plan.bucket_bytes);
	memset(set->heads, 0xFF, plan.bucket_bytes);
	for (uint32_t i = 0; i < config->member_count_max; i++) {
		set->members[i].chain = i + 1 < config->member_count_max ? i + 1 : PE_MEMBER_NONE;
		pe_wheel_link_init(&set->members[i].wheel);
	}
	for (uint32_t i = 0; i < config->fence_count_max; i++)
		set->fences[i].first = PE_MEMBER_NONE;
	pe_wheel_init(&set->wheel, &set->members[0].wheel, sizeof(struct pe_member), tick);
	*set_out = set;
	return PE_OK;
}

void pe_member_destroy(struct pe_member_set *set)
{
	struct pe_memory memory;

	if (!set)
		return;
	memory = set->memory;
	pe_memory_unmap(&memory);
}

static uint32_t *bucket_of(const struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint64_t mixed = ((uint64_t)fence << 32 | handle) * 0x9E3779B97F4A7C15ull;

	mixed = (mixed ^ mixed >> 32) * 0xBF58476D1CE4E5B9ull;
	return &set->buckets[(uint32_t)(mixed >> 32) & set->bucket_mask];
}

static uint32_t *head_of(const struct pe_member_set *set, uint32_t handle)
{
	return &set->heads[(handle * 0x9E3779B1u >> 7) & set->bucket_mask];
}

uint32_t pe_member_find(const struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint32_t n = *bucket_of(set, fence, handle);

	while (n != PE_MEMBER_NONE &&
		(set->members[n].fence != fence || set->members[n].handle != handle))
		n = set->members[n].chain;
	return n;
}

uint32_t pe_member_take(struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint32_t n = set->free, *bucket = bucket_of(set, fence, handle);
	struct pe_member_fence *f = &set->fences[fence];
	struct pe_member *m;

	if (set->use.members == set->config.member_count_max) {
		set->use.refused++;
		return PE_MEMBER_NONE;
	}
	m = &set->members[n];
	set->free = m->chain;
	m->fence = fence;
	m->handle = handle;
	m->chain = *bucket;
	*bucket = n;
	m->fence_prev = m->entity_prev = PE_MEMBER_NONE;
	m->fence_next = f->first;
	if (f->first != PE_MEMBER_NONE)
		set->members[f->first].fence_prev = n;
	f->first = n;
	f->count++;
	m->entity_next = *head_of(set, handle);
	if (m->entity_next != PE_MEMBER_NONE)
		set->members[m->entity_next].entity_prev = n;
	*head_of(set, handle) = n;
	set->some[handle / 64] |= 1ull << (handle % 64);
	m->stamp = set->stamp;
	set->use.members++;
	return n;
}

void pe_member_give(struct pe_member_set *set, uint32_t n)
{
	struct pe_member *m = &set->members[n];
	struct pe_member_fence *f = &set->fences[m->fence];
	uint32_t *at = bucket_of(set, m->fence, m->handle);

	while (*at != n)
		at = &set->members[*at].chain;
	*at = m->chain;
	if (m->fence_next != PE_MEMBER_NONE)
		set->members[m->fence_next].fence_prev = m->fence_prev;
	if (m->fence_prev != PE_MEMBER_NONE)
		set->members[m->fence_prev].fence_next = m->fence_next;
	else
		f->first = m->fence_next;
	f->count--;
	if (m->entity_next != PE_MEMBER_NONE)
		set->members[m->entity_next].entity_prev = m->entity_prev;
	if (m->entity_prev != PE_MEMBER_NONE)
		set->members[m->entity_prev].entity_next = m->entity_next;
	else
		*head_of(set, m->handle) = m->entity_next;
	if (pe_member_first(set, m->handle) == PE_MEMBER_NONE)
		set->some[m->handle / 64] &= ~(1ull << (m->handle % 64));
	pe_wheel_remove(&set->wheel, n);
	m->state = PE_MEMBER_STATE_FREE;
	m->chain = set->free;
	set->free = n;
	set->use.members--;
}

bool pe_member_some(const struct pe_member_set *set, uint32_t handle)
{
	return set->some[handle / 64] >> (handle % 64) & 1;
}

void pe_member_prefetch(const struct pe_member_set *set, const uint32_t *handles, unsigned count)
{
	uint32_t next[PE_FENCE_BURST];
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		pe_prefetch(&set->some[handles[i] / 64]);
		pe_prefetch(head_of(set, handles[i]));
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t n = pe_member_some(set, handles[i]) ? *head_of(set, handles[i]) :
							       PE_MEMBER_NONE;

		if (n == PE_MEMBER_NONE)
			continue;
		pe_prefetch(&set->members[n]);
		next[used++] = n;
	}
	for (unsigned round = 1; used && round < PREFETCHED; round++) {
		unsigned kept = 0;

		for (unsigned i = 0; i < used; i++) {
			uint32_t n = set->members[next[i]].entity_next;

			if (n == PE_MEMBER_NONE)
				continue;
			pe_prefetch(&set->members[n]);
			next[kept++] = n;
		}
		used = kept;
	}
}
