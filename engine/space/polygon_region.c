// Polygons as regions of frames, and how cells lie to them.
#include "base/limits.h"
#include "space/geodesy.h"
#include "space/polygon_work.h"
#include "space/region.h"

#include <immintrin.h>

// Stretched along the axis by 1 / (1 − f), the ellipsoid is a ball of radius a, and a plane through the centre remains one: edges
// become great circles. A linear function of the footprint becomes one of the ball's points, whose extremes over a
// great circle, and over what it encloses, are known in closed form.
static double ring_max(const struct pe_polygon *p, const double direction[3])
{
	const double g[3] = {direction[0], direction[1], direction[2] * (1.0 - GEO_F)};
	double square = geo_dot(g, g), best = -INFINITY;

	for (unsigned i = 0; i < p->ring_end[0]; i++) {
		if (p->length[i] == 0.0)
			continue;
		double a[3] = {p->first[0][i], p->first[1][i], p->first[2][i] / (1.0 - GEO_F)};
		double b[3] = {p->last[0][i], p->last[1][i], p->last[2][i] / (1.0 - GEO_F)};
		double at_a = geo_dot(g, a), at_b = geo_dot(g, b), ab = geo_dot(a, b);

		best = fmax(best, fmax(at_a, at_b));
		// The slopes at both ends, times a²: the other end less its part along this one.
		if (at_b * (GEO_A * GEO_A) > ab * at_a && at_a * (GEO_A * GEO_A) > ab * at_b) {
			double n[3] = {
				p->normal[0][i], p->normal[1][i], p->normal[2][i] * (1.0 - GEO_F)};
			double off = geo_dot(g, n);

			best = fmax(
				best, GEO_A * sqrt(fmax(square - off * off / geo_dot(n, n), 0.0)));
		}
	}
	// Where the whole ball has its extreme.
	double top[3] = {g[0], g[1], g[2] * (1.0 - GEO_F)}, size = GEO_A / sqrt(square);
	double longitude = atan2(top[1], top[0]) / GEO_DEGREE;

	for (unsigned k = 0; k < 3; k++)
		top[k] *= size;
	if (geo_polygon_parity(p, 0, p->ring_end[0], longitude >= 180.0 ? -180.0 : longitude, top))
		best = fmax(best, GEO_A * sqrt(square));
	return best;
}

static bool frame_region(const struct pe_space *space, const struct pe_polygon *p, unsigned f,
	struct pe_region *region)
{
	const struct pe_space_frame *frame = &space->frame[f];
	double lo[3], hi[3];

	// A footprint belongs to the frame whose up is nearest to its normal, and the normal is the footprint with z / (1 − e²).
	for (unsigned g = 0; g < space->frame_count; g++) {
		double between[3];

		if (g == f)
			continue;
		for (unsigned k = 0; k < 3; k++)
			between[k] = (frame->up[k] - space->frame[g].up[k]) /
				(k < 2 ? 1.0 : 1.0 - GEO_E2);
		if (ring_max(p, between) < -0.01)
			return false;
	}
	for (unsigned i = 0; i < 3; i++) {
		double minus[3] = {-frame->turn[i][0], -frame->turn[i][1], -frame->turn[i][2]};
		double home = geo_dot(frame->turn[i], frame->home);

		hi[i] = ring_max(p, frame->turn[i]) - home;
		lo[i] = -ring_max(p, minus) - home;
	}
	return geo_region_within(space, f, lo, hi, region);
}

unsigned pe_polygon_regions(const struct pe_space *space, const struct pe_polygon *p,
	struct pe_region regions[PE_FRAMES_MAX])
{
	unsigned count = 0;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		double lo[3] = {p->lo[0], p->lo[1], p->height_min},
		       hi[3] = {p->hi[0], p->hi[1], p->height_max};

		return geo_region_bound(space, 0, lo, hi, 0.0, regions) ? 1 : 0;
	}
	for (unsigned f = 0; f < space->frame_count; f++)
		count += frame_region(space, p, f, &regions[count]);
	return count;
}

static __m256d absolute(__m256d v)
{
	return _mm256_andnot_pd(_mm256_set1_pd(-0.0), v);
}

static __m256d dot(const double v[3], __m256d x, __m256d y, __m256d z)
{
	return _mm256_fmadd_pd(_mm256_set1_pd(v[0]), x,
		_mm256_fmadd_pd(_mm256_set1_pd(v[1]), y, _mm256_mul_pd(_mm256_set1_pd(v[2]), z)));
}

// Does any edge come near the cell? An edge lies within a slab about its plane and within the ball over its chord.
static bool cell_edges(const struct pe_polygon *p, const struct geo_cell *c)
{
	bool flat = p->kind == PE_SPACE_CARTESIAN;
	__m256d near = _mm256_setzero_pd();
	const __m256d width = _mm256_set1_pd(2.0 * c->radius);

	for (unsigned i = 0; i < p->ring_end[p->ring_count - 1]; i += 4) {
		__m256d n[3], middle[3], off, reach, far, length = _mm256_load_pd(&p->length[i]);

		for (unsigned k = 0; k < 3; k++) {
			__m256d a = _mm256_load_pd(&p->first[k][i]),
				b = _mm256_load_pd(&p->last[k][i]);

			middle[k] =
				_mm256_sub_pd(_mm256_set1_pd(2.0 * c->at[k]), _mm256_add_pd(a, b));
			n[k] = flat && k == 2 ? _mm256_setzero_pd() :
						_mm256_load_pd(&p->normal[k][i]);
		}
		far = _mm256_fmadd_pd(middle[0], middle[0],
			_mm256_fmadd_pd(middle[1], middle[1], _mm256_mul_pd(middle[2], middle[2])));
		// Twice the distance from the plane: its middle lies on it, or as near as the chord to the arc.
		if (flat)
			off = _mm256_fmadd_pd(middle[0], n[0], _mm256_mul_pd(middle[1], n[1]));
		else
			off = _mm256_mul_pd(_mm256_set1_pd(2.0), dot(c->at, n[0], n[1], n[2]));
		reach = _mm256_add_pd(absolute(dot(c->axis[0], n[0], n[1], n[2])),
			_mm256_add_pd(absolute(dot(c->axis[1], n[0], n[1], n[2])),
				absolute(dot(c->axis[2], n[0], n[1], n[2]))));
		reach = _mm256_fmadd_pd(_mm256_set1_pd(2.0), reach,
			_mm256_mul_pd(_mm256_set1_pd(2e-15), _mm256_mul_pd(length, length)));
		// Padding has no length and no normal; it lies nowhere near.
		__m256d real = _mm256_cmp_pd(length, _mm256_setzero_pd(), _CMP_GT_OQ);

		length = _mm256_add_pd(length, width);
		real = _mm256_and_pd(
			real, _mm256_cmp_pd(far, _mm256_mul_pd(length, length), _CMP_LE_OQ));
		near = _mm256_or_pd(
			near, _mm256_and_pd(real, _mm256_cmp_pd(absolute(off), reach, _CMP_LE_OQ)));
	}
	return !_mm256_testz_pd(near, near);
}

enum pe_cell_side pe_polygon_classify(const struct pe_space *space, const struct pe_polygon *p,
	unsigned frame, const int64_t lo[3], const int64_t hi[3])
{
	bool flat = p->kind == PE_SPACE_CARTESIAN, part = false;
	struct geo_cell c;
	double across;

	if (!geo_cell_make(space, frame, lo, hi, &c))
		return PE_CELL_CROSSING;
	if (flat) {
		double low = c.at[2] - c.axis[2][2], high = c.at[2] + c.axis[2][2];

		if (high < p->height_min || low > p->height_max)
			return PE_CELL_OUTSIDE;
		part = low < p->height_min || high > p->height_max;
		c.at[2] = c.axis[2][2] = 0.0;
		c.radius = hypot(c.axis[0][0], c.axis[1][1]);
	}
	if (cell_edges(p, &c))
		return PE_CELL_CROSSING;
	across = flat ? c.at[0] : atan2(c.at[1], c.at[0]) / GEO_DEGREE;
	if (!geo_polygon_parity(p, 0, p->ring_end[p->ring_count - 1],
		    !flat && across >= 180.0 ? -180.0 : across, c.at))
		return PE_CELL_OUTSIDE;
	return part ? PE_CELL_CROSSING : PE_CELL_INSIDE;
}
