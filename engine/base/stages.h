// Where a worker's time goes: cycles of the time-stamp counter by stage, for a bench build
// (PE_STAGES) alone. Elsewhere a mark is nothing.
//
// A mark ends a stage: what passed since the mark before is that stage's. The counter is read as it
// comes, without waiting for what is under way, so that a stage's last loads may still be waited
// for in the next; a stage works through dozens of records, and that is a small part of it. One
// worker, which writes; who reads looks at two moments and takes the difference.
#pragma once

#include <stdint.h>

// In the order in which they come. `decode`: everything before a batch, in a bench without messages
// its source.
#define PE_STAGE_LIST(X) \
	X(due) \
	X(decode) \
	X(probe) \
	X(verify) \
	X(insert) \
	X(write) \
	X(prepare) \
	X(fetch) \
	X(scan) \
	X(accept) \
	X(answer) \
	X(outside)

#define PE_STAGE_ENUM(name) PE_STAGE_##name,
enum pe_stage { PE_STAGE_LIST(PE_STAGE_ENUM) PE_STAGE_COUNT };
#undef PE_STAGE_ENUM

#ifdef PE_STAGES
#include <stdatomic.h>
#include <x86intrin.h>

struct pe_stages {
	uint64_t last;
	_Atomic uint64_t cycles[PE_STAGE_COUNT];
};
extern struct pe_stages pe_stages; // the bench program's

static inline void pe_stage_end(enum pe_stage stage)
{
	uint64_t now = __rdtsc();
	_Atomic uint64_t *cycles = &pe_stages.cycles[stage];

	atomic_store_explicit(cycles,
		atomic_load_explicit(cycles, memory_order_relaxed) + now - pe_stages.last,
		memory_order_relaxed);
	pe_stages.last = now;
}
#else
static inline void pe_stage_end(enum pe_stage stage)
{
	(void)stage;
}
#endif
