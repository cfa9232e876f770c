// The scan of a chunk for a sphere, one kernel an instruction set: 32 valid slots, about a quarter
// of them inside. An operation is a chunk; the chunks are in cache.
#include "crowd.h"
#include "grid/scan.h"
#include "modules.h"

#define CHUNKS 256u
#define SLOTS  32u

struct kernel {
	uint32_t (*scan)(
		const struct pe_scan *, const _Atomic uint64_t *, unsigned, uint32_t, uint64_t *);
	bool doubles;
};

static _Atomic uint64_t words[CHUNKS][SLOTS] __attribute__((aligned(64)));

static void run(void *context, uint64_t count)
{
	static uint64_t random = CROWD_RANDOM;
	const struct kernel *k = context;
	// A quarter of the cell about its corner.
	double radius = 0.56 * (1 << PE_CELL_BITS);
	struct pe_scan scan = {.sphere = true,
		.exact = !k->doubles,
		.z_shift = 4,
		.limit = (int64_t)(radius * radius),
		.square = radius * radius};
	uint64_t copy[SLOTS], hits = 0;

	if (!words[0][0])
		for (unsigned c = 0; c < CHUNKS; c++)
			for (unsigned i = 0; i < SLOTS; i++) {
				uint64_t r = crowd_random(&random);

				words[c][i] = pe_word_make(r & 0xFFFFF, r >> 20 & 0xFFFFF,
						      r >> 40 & 0xFF) |
					1;
			}
	for (uint64_t i = 0; i < count; i++)
		hits += (unsigned)__builtin_popcount(
			k->scan(&scan, words[i % CHUNKS], SLOTS, 0xFFFFFFFFu, copy));
	if (hits < count * SLOTS / 8 || hits > count * SLOTS / 2)
		module_fail("the scan does not find what it should");
	bench_keep(copy);
}

void module_scan(void)
{
	static struct kernel scalar = {pe_scan_scalar, false}, avx2 = {pe_scan_avx2, false},
			     avx512 = {pe_scan_avx512, false}, wide2 = {pe_scan_avx2, true},
			     wide512 = {pe_scan_avx512, true};
	static const struct bench_case cases[] = {
		{"scan/scalar", run, &scalar, 1024, NULL, NULL},
		{"scan/avx2", run, &avx2, 1024, NULL, NULL},
		{"scan/avx2_doubles", run, &wide2, 1024, NULL, NULL},
		{"scan/avx512", run, &avx512, 1024, NULL, NULL},
		{"scan/avx512_doubles", run, &wide512, 1024, NULL, NULL},
	};

	bench_register(cases,
		pe_scan_supported(PE_SCAN_AVX512)       ? 5 :
			pe_scan_supported(PE_SCAN_AVX2) ? 3 :
							  1);
}
