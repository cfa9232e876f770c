// A sphere of a CARTESIAN space as what a walk looks at, an axis a lane: what most queries ask for,
// and so without loops or branches. Pure; any thread.
#pragma once

#include "space/space.h"

#include <immintrin.h>

// In units of the key's axes; the fourth of each is 0.
struct pe_sphere_lanes {
	_Alignas(32) int64_t lo[4], hi[4],
		centre[4];   // lo … hi inclusive, within what the key holds
	double square, sure; // as in struct pe_region
};

// Adding it to a whole number of less than 2^51 leaves that number, in two's complement, in the low
// bits of the sum.
#define PE_LANE_SHIFT      0x1.8p52
#define PE_LANE_SHIFT_BITS 0x4338000000000000ll

static inline void pe_lanes_whole(__m256d units, int64_t to[4])
{
	__m256i bits = _mm256_castpd_si256(_mm256_add_pd(units, _mm256_set1_pd(PE_LANE_SHIFT)));

	_mm256_store_si256((__m256i *)(void *)to,
		_mm256_sub_epi64(bits, _mm256_set1_epi64x(PE_LANE_SHIFT_BITS)));
}

// centre: metres, 0 in the fourth; with the radius it passed pe_space_check_sphere. False: nothing
// of the space is near.
static inline bool pe_sphere_lanes(const struct pe_space *space, __m256d centre, double radius_m,
	struct pe_sphere_lanes *lanes)
{
	const double far_m =
		0x1p41 * space->unit_m; // more than any two places of the key are apart
	const double reach_m = radius_m < far_m ? radius_m : far_m;
	const __m256d scale = _mm256_load_pd(space->lane_units_per_m);
	const __m256d slack = _mm256_set1_pd(space->slack_units * space->unit_m);
	const __m256d reach = _mm256_set1_pd(reach_m);
	__m256d lo = _mm256_sub_pd(_mm256_sub_pd(centre, reach), slack);
	__m256d hi = _mm256_add_pd(_mm256_add_pd(centre, reach), slack);
	double outer = reach_m * space->units_per_m * (1.0 + 1e-14) + space->slack_units;
	double inner = reach_m * space->units_per_m * (1.0 - 1e-14) - space->slack_units;

	lo = _mm256_max_pd(
		_mm256_floor_pd(_mm256_mul_pd(lo, scale)), _mm256_load_pd(space->lane_units_lo));
	hi = _mm256_min_pd(
		_mm256_floor_pd(_mm256_mul_pd(hi, scale)), _mm256_load_pd(space->lane_units_hi));
	pe_lanes_whole(lo, lanes->lo);
	pe_lanes_whole(hi, lanes->hi);
	pe_lanes_whole(_mm256_floor_pd(_mm256_mul_pd(centre, scale)), lanes->centre);
	lanes->square = outer * outer;
	lanes->sure = inner >= 0.0 ? inner * inner : -1.0;
	return !_mm256_movemask_pd(_mm256_cmp_pd(lo, hi, _CMP_GT_OQ));
}

// The same as a region.
static inline void pe_sphere_region(
	const struct pe_space *space, const struct pe_sphere_lanes *lanes, struct pe_region *region)
{
	region->space = space->index;
	region->frame = 0;
	region->test = PE_REGION_SPHERE;
	region->z_shift = space->z_shift;
	for (unsigned i = 0; i < 3; i++) {
		region->lo[i] = lanes->lo[i];
		region->hi[i] = lanes->hi[i];
		region->centre[i] = lanes->centre[i];
	}
	region->square = lanes->square;
	region->sure = lanes->sure;
}
