// The three scan kernels agree bit for bit, whatever is in the chunk; and the scalar one with plain
// arithmetic.
#include "grid/scan.h"

#include "grid_testing.h"

#include <math.h>

static uint64_t state = 0x2545F4914F6CDD1Dull;

static uint64_t next(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545F4914F6CDD1Dull;
}

static uint32_t coordinate(void)
{
	switch (next() % 8) {
	case 0:
		return 0;
	case 1:
		return 0xFFFFF;
	case 2:
		return (uint32_t)next() & 1;
	case 3:
		return 0x80000 - (uint32_t)(next() & 1);
	default:
		return (uint32_t)next() & 0xFFFFF;
	}
}

static struct pe_scan some_scan(const _Atomic uint64_t *words)
{
	struct pe_scan s = {.box = next() & 1,
		.sphere = next() & 1,
		.exact = next() & 1,
		.z_shift = next() % 9};
	uint64_t word = words[next() % PE_BIG_SLOTS];
	uint32_t v[3] = {PE_WORD_X(word), PE_WORD_Y(word), PE_WORD_Z(word)};
	int64_t d[3], reach = (int64_t)1 << next() % 30;
	double square = 0;

	for (unsigned i = 0; i < 3; i++) {
		s.lo[i] = next() % 3 ? (next() & 1 ? v[i] : coordinate()) : 0;
		s.hi[i] = next() % 3 ? (next() & 1 ? v[i] : coordinate()) : 0xFFFFF;
		// Such that some slot is exactly at the edge, or one unit beside it.
		d[i] = (int64_t)(next() % (uint64_t)(2 * reach)) - reach;
		s.base[i] = d[i] - ((int64_t)v[i] << (i == 2 ? s.z_shift : 0));
		if (!s.exact)
			s.base[i] *= (int64_t)1 << next() % 14;
		s.base_real[i] = (double)s.base[i];
	}
	if (s.exact)
		for (unsigned i = 0; i < 3; i++)
			s.limit += d[i] * d[i];
	s.limit -= next() % 2 && s.limit;
	square = __builtin_fma(s.base_real[0] + v[0], s.base_real[0] + v[0],
		__builtin_fma(s.base_real[1] + v[1], s.base_real[1] + v[1],
			(s.base_real[2] + (double)((uint64_t)v[2] << s.z_shift)) *
				(s.base_real[2] + (double)((uint64_t)v[2] << s.z_shift))));
	s.square = next() % 3 ? square : next() % 2 ? __builtin_nextafter(square, 0) : square * 1.5;
	return s;
}

static bool plain(const struct pe_scan *s, uint64_t word)
{
	uint32_t v[3] = {PE_WORD_X(word), PE_WORD_Y(word), PE_WORD_Z(word)};
	__int128 sum = 0;

	if (word & PE_SLOT_MOVED)
		return true;
	for (unsigned i = 0; i < 3; i++) {
		__int128 d = s->base[i] + ((int64_t)v[i] << (i == 2 ? s->z_shift : 0));

		if (s->box && (v[i] < s->lo[i] || v[i] > s->hi[i]))
			return false;
		sum += d * d;
	}
	return !s->sphere || sum <= s->limit;
}

static void kernels_agree(void)
{
	_Alignas(64) _Atomic uint64_t words[PE_BIG_SLOTS];
	static pe_scan_function *const kernels[] = {pe_scan_scalar, pe_scan_avx2, pe_scan_avx512};
	uint64_t copy[3][PE_BIG_SLOTS] = {{0}}, hits = 0, compared = 0;

	for (unsigned round = 0; round < 300000; round++) {
		unsigned slots = next() & 1 ? PE_BIG_SLOTS : PE_SMALL_SLOTS;
		uint32_t valid = (uint32_t)next() & (uint32_t)next(), expected = 0, mask;
		struct pe_scan s;

		for (unsigned i = 0; i < PE_BIG_SLOTS; i++)
			words[i] = pe_word_make(coordinate(), coordinate(), coordinate()) |
				(next() % 8 ? 0 : next() << 60);
		s = some_scan(words);
		switch (next() % 4) {
		case 0:
			valid = PE_NONE;
			break;
		case 1:
			valid = 1u << (next() % 32);
			break;
		}
		if (slots == PE_SMALL_SLOTS)
			valid &= 0xFF;
		mask = pe_scan_scalar(&s, words, slots, valid, copy[0]);
		hits += (unsigned)__builtin_popcount(mask);
		if (s.exact || !s.sphere) {
			for (unsigned i = 0; i < slots; i++)
				expected |= (uint32_t)plain(&s, words[i]) << i;
			CU_ASSERT_EQUAL(mask, expected & valid);
		}
		for (unsigned k = 1; k < 3; k++) {
			uint32_t other;

			if (!pe_scan_supported(k))
				continue;
			other = kernels[k](&s, words, slots, valid, copy[k]);
			compared++;
			CU_ASSERT_EQUAL(mask, other);
			for (uint32_t left = mask; left; left &= left - 1)
				CU_ASSERT_EQUAL(
					copy[0][__builtin_ctz(left)], copy[k][__builtin_ctz(left)]);
		}
	}
	printf("\n    %llu comparisons, %llu hits ", (unsigned long long)compared,
		(unsigned long long)hits);
	CU_ASSERT(hits > 100000);
}

// Handles of what is near: nothing is left out that the exact arithmetic has inside, nor taken that
// is outside by more than the margin; in the slots' order, and what is beside a move is told.
static void finders_find(void)
{
	_Alignas(64) _Atomic uint64_t words[PE_BIG_SLOTS];
	static pe_find_function *const kernels[] = {pe_find_scalar, pe_find_avx2, pe_find_avx512};
	uint32_t handles[PE_BIG_SLOTS], found[PE_BIG_SLOTS + PE_FIND_SLACK];
	uint64_t inside = 0, outside = 0, flagged = 0;

	for (unsigned i = 0; i < PE_BIG_SLOTS; i++)
		handles[i] = 0xABCD0000u | i;
	for (unsigned round = 0; round < 300000; round++) {
		unsigned slots = next() & 1 ? PE_BIG_SLOTS : PE_SMALL_SLOTS;
		uint32_t valid = next() % 3 ? (uint32_t)next() : PE_NONE;
		bool whole = next() % 16 == 0, flags = next() % 4 == 0;
		struct pe_scan s;
		struct pe_find find;

		for (unsigned i = 0; i < PE_BIG_SLOTS; i++)
			words[i] = pe_word_make(coordinate(), coordinate(), coordinate()) |
				(flags && next() % 16 == 0 ? next() << 60 : 0);
		do
			s = some_scan(words);
		while (!s.exact);
		s.sphere = true;
		s.box = false;
		if (slots == PE_SMALL_SLOTS)
			valid &= 0xFF;
		find = (struct pe_find){
			.base = {(int32_t)s.base[0], (int32_t)s.base[1], (int32_t)s.base[2]},
			.z_shift = s.z_shift,
			.limit = whole ? (float)INFINITY :
					 (float)((double)s.limit * PE_FIND_MARGIN)};
		for (unsigned k = 0; k < 3; k++) {
			uint32_t count, at = 0;
			uint64_t seen = 0;

			if (!pe_scan_supported(k))
				continue;
			count = kernels[k](&find, words, handles, slots, valid, found);
			for (unsigned i = 0; i < slots; i++) {
				struct pe_scan wider = s;
				bool is =
					at < (count & ~PE_FIND_FLAGGED) && found[at] == handles[i];

				wider.limit += (int64_t)((double)s.limit * 2e-6) + 1;
				if (!(valid >> i & 1)) {
					CU_ASSERT_FALSE(is);
					continue;
				}
				if (whole || plain(&s, words[i])) {
					CU_ASSERT(is);
					inside++;
				} else if (!plain(&wider, words[i])) {
					CU_ASSERT_FALSE(is);
					outside++;
				}
				at += is;
				seen |= is ? words[i] : 0;
			}
			CU_ASSERT_EQUAL(at, count & ~PE_FIND_FLAGGED);
			CU_ASSERT_EQUAL(!!(seen & (PE_SLOT_ARRIVING | PE_SLOT_MOVED)), count >> 31);
			flagged += count >> 31;
		}
	}
	printf("\n    %llu inside, %llu outside, %llu beside a move ", (unsigned long long)inside,
		(unsigned long long)outside, (unsigned long long)flagged);
	CU_ASSERT(inside > 100000 && outside > 100000 && flagged > 10000);
}

// Each bitmap of a small chunk, and one slot at a time of a big one.
static void every_bitmap(void)
{
	_Alignas(64) _Atomic uint64_t words[PE_BIG_SLOTS] = {0};
	struct pe_scan s = {0};
	uint64_t copy[PE_BIG_SLOTS];
	static pe_scan_function *const kernels[] = {pe_scan_scalar, pe_scan_avx2, pe_scan_avx512};

	for (unsigned k = 0; k < 3; k++) {
		if (!pe_scan_supported(k))
			continue;
		for (uint32_t valid = 0; valid < 256; valid++)
			CU_ASSERT_EQUAL(kernels[k](&s, words, PE_SMALL_SLOTS, valid, copy), valid);
		for (unsigned i = 0; i < 32; i++)
			CU_ASSERT_EQUAL(
				kernels[k](&s, words, PE_BIG_SLOTS, 1u << i, copy), 1u << i);
	}
}

static void the_best_is_supported(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});

	CU_ASSERT(pe_scan_supported(pe_scan_best()));
	CU_ASSERT(pe_scan_supported(PE_SCAN_SCALAR));
	CU_ASSERT_FALSE(pe_scan_supported(PE_SCAN_ISA_COUNT));
	for (unsigned k = 0; k < PE_SCAN_ISA_COUNT; k++)
		if (pe_scan_supported(k))
			pe_grid_force_scan(grid, k);
	pe_grid_destroy(grid);
}

TESTING_MAIN("grid/scan", {"kernels agree", kernels_agree}, {"finders find", finders_find},
	{"every bitmap", every_bitmap}, {"the best is supported", the_best_is_supported})
