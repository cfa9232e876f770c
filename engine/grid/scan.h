// Scan kernels: which of a chunk's slots lie in a region. Words are read once and copied, so that
// what was tested is what is handed out. Private to the grid; any thread, no state.
#pragma once

#include "grid/grid.h"

#include <stdatomic.h>

// All members are per leaf; distances are from the leaf's lowest corner.
struct pe_scan {
	bool box;    // test lo and hi
	bool sphere; // test the distance
	bool exact;  // in 64-bit integers: components of all positions of the leaf fit 32 bits
	unsigned z_shift;
	uint32_t lo[3], hi[3]; // inclusive, within the cell
	int64_t base[3];       // corner − centre; z in units across
	int64_t limit;         // exact: largest square that is inside
	double base_real[3], square;
};

// Bits of the valid slots that are inside or MOVED. `slots` is 8 or 32; copy[i] is filled for at
// least each bit that is returned, and may be written for all of them.
uint32_t pe_scan_scalar(const struct pe_scan *scan, const _Atomic uint64_t *words, unsigned slots,
	uint32_t valid, uint64_t *copy);
uint32_t pe_scan_avx2(const struct pe_scan *scan, const _Atomic uint64_t *words, unsigned slots,
	uint32_t valid, uint64_t *copy);
uint32_t pe_scan_avx512(const struct pe_scan *scan, const _Atomic uint64_t *words, unsigned slots,
	uint32_t valid, uint64_t *copy);

// The same for whoever wants no more than the handles of what may lie in a sphere, in the slots'
// order: distances are in floats, and what is further away than the limit by less than a millionth
// may be among them.
struct pe_find {
	int32_t base[3]; // the leaf's lowest corner − centre; z in units across
	unsigned z_shift;
	float limit; // of the square; infinite: all that is valid
};
#define PE_FIND_MARGIN  (1 + 1e-6) // of the limit
#define PE_FIND_FLAGGED 0x80000000u
#define PE_FIND_SLACK   16u // handles behind the last that may be written

// Their number; with PE_FIND_FLAGGED where one has ARRIVING or MOVED, the latter wherever it is.
uint32_t pe_find_scalar(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found);
uint32_t pe_find_avx2(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found);
uint32_t pe_find_avx512(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found);
