// Polygons as regions of frames, and how cells lie to them.
#include "base/limits.h"
#include "space/geodesy.h"
#include "space/polygon_work.h"
#include "space/region.h"

#include <immintrin.h>

static __m256d absolute(__m256d v)
{
	return _mm256_andnot_pd(_mm256_set1_pd(-0.0), v);
}

static __m256d dot(const double v[3], __m256d x, __m256d y, __m256d z)
{
	return _mm256_fmadd_pd(_mm256_set1_pd(v[0]), x,
		_mm256_fmadd_pd(_mm256_set1_pd(v[1]), y, _mm256_mul_pd(_mm256_set1_pd(v[2]), z)));
}

// Stretched along the axis by 1 / (1 − f), the ellipsoid is a ball of radius a, and a plane through
// the centre remains one: edges become great circles. A linear function of the footprint becomes
// one of the ball's points, whose extremes over a great circle, and over what it encloses, are
// known in closed form.
struct ball {
	unsigned count; // edges of the outer ring, four at a time
	_Alignas(32) double a[3][PE_POLYGON_EDGES_MAX], b[3][PE_POLYGON_EDGES_MAX];
	_Alignas(32) double n[3][PE_POLYGON_EDGES_MAX]; // across each edge's plane, of any length
	_Alignas(32) double ab[PE_POLYGON_EDGES_MAX], nn[PE_POLYGON_EDGES_MAX]; // products
	double up[3], cosine; // a cap that all of it lies in
};

static void ball_make(const struct pe_polygon *p, struct ball *ball)
{
	const double stretch = 1.0 / (1.0 - GEO_F);
	const double up[3] = {p->up[0], p->up[1], p->up[2] * stretch};
	double size = sqrt(geo_dot(up, up));
	__m256d least = _mm256_set1_pd(INFINITY);

	ball->count = p->ring_end[0];
	for (unsigned k = 0; k < 3; k++)
		ball->up[k] = up[k] / size;
	for (unsigned i = 0; i < ball->count; i += 4) {
		__m256d none = _mm256_cmp_pd(
			_mm256_load_pd(&p->length[i]), _mm256_setzero_pd(), _CMP_EQ_OQ);
		__m256d ab = _mm256_setzero_pd(), nn = ab;

		for (unsigned k = 0; k < 3; k++) {
			__m256d scale = _mm256_set1_pd(k < 2 ? 1.0 : stretch),
				back = _mm256_set1_pd(k < 2 ? 1.0 : 1.0 - GEO_F);
			// What is no edge is a vertex once more.
			__m256d other = _mm256_set1_pd(p->first[k][0]);
			__m256d a = _mm256_blendv_pd(_mm256_load_pd(&p->first[k][i]), other, none);
			__m256d b = _mm256_blendv_pd(_mm256_load_pd(&p->last[k][i]), other, none);
			__m256d n = _mm256_mul_pd(_mm256_load_pd(&p->normal[k][i]), back);

			a = _mm256_mul_pd(a, scale);
			b = _mm256_mul_pd(b, scale);
			ab = _mm256_fmadd_pd(a, b, ab);
			nn = _mm256_fmadd_pd(n, n, nn);
			_mm256_store_pd(&ball->a[k][i], a);
			_mm256_store_pd(&ball->b[k][i], b);
			_mm256_store_pd(&ball->n[k][i], n);
		}
		// Nor has it a crest: no comparison with that is true.
		_mm256_store_pd(
			&ball->ab[i], _mm256_blendv_pd(ab, _mm256_set1_pd((double)NAN), none));
		_mm256_store_pd(&ball->nn[i], nn);
		least = _mm256_min_pd(least,
			dot(ball->up, _mm256_load_pd(&ball->a[0][i]),
				_mm256_load_pd(&ball->a[1][i]), _mm256_load_pd(&ball->a[2][i])));
	}
	ball->cosine = geo_least_of(least) / GEO_A - 1e-9;
}

// The largest that a linear function is anywhere in the cap: no less than over the polygon.
static double cap_max(const struct ball *ball, const double direction[3])
{
	const double g[3] = {direction[0], direction[1], direction[2] * (1.0 - GEO_F)};
	double size = sqrt(geo_dot(g, g)), cosine = geo_dot(g, ball->up) / size;

	if (cosine >= ball->cosine)
		return size * GEO_A;
	return size * GEO_A *
		(cosine * ball->cosine +
			sqrt(fmax((1.0 - cosine * cosine) * (1.0 - ball->cosine * ball->cosine),
				0.0)));
}

static double ring_max(
	const struct pe_polygon *p, const struct ball *ball, const double direction[3])
{
	const double g[3] = {direction[0], direction[1], direction[2] * (1.0 - GEO_F)};
	const __m256d unit = _mm256_set1_pd(GEO_A * GEO_A), least = _mm256_set1_pd(-INFINITY);
	const double square = geo_dot(g, g), size = GEO_A / sqrt(square);
	__m256d best = least;
	double top[3], most;

	for (unsigned i = 0; i < ball->count; i += 4) {
		__m256d at_a = dot(g, _mm256_load_pd(&ball->a[0][i]),
			_mm256_load_pd(&ball->a[1][i]), _mm256_load_pd(&ball->a[2][i]));
		__m256d at_b = dot(g, _mm256_load_pd(&ball->b[0][i]),
			_mm256_load_pd(&ball->b[1][i]), _mm256_load_pd(&ball->b[2][i]));
		__m256d ab = _mm256_load_pd(&ball->ab[i]), off, height;
		// The slopes at both ends, times a²: the other end less its part along this one.
		__m256d crest = _mm256_and_pd(_mm256_cmp_pd(_mm256_mul_pd(at_b, unit),
						      _mm256_mul_pd(ab, at_a), _CMP_GT_OQ),
			_mm256_cmp_pd(
				_mm256_mul_pd(at_a, unit), _mm256_mul_pd(ab, at_b), _CMP_GT_OQ));

		best = _mm256_max_pd(best, _mm256_max_pd(at_a, at_b));
		if (!_mm256_movemask_pd(crest))
			continue;
		off = dot(g, _mm256_load_pd(&ball->n[0][i]), _mm256_load_pd(&ball->n[1][i]),
			_mm256_load_pd(&ball->n[2][i]));
		off = _mm256_div_pd(_mm256_mul_pd(off, off), _mm256_load_pd(&ball->nn[i]));
		height = _mm256_sqrt_pd(_mm256_max_pd(
			_mm256_sub_pd(_mm256_set1_pd(square), off), _mm256_setzero_pd()));
		best = _mm256_max_pd(best,
			_mm256_blendv_pd(
				least, _mm256_mul_pd(height, _mm256_set1_pd(GEO_A)), crest));
	}
	most = geo_most_of(best);
	// Where the whole ball has its extreme: not inside of what lies in a cap that it is not in.
	if (geo_dot(g, ball->up) < ball->cosine * sqrt(square))
		return most;
	for (unsigned k = 0; k < 3; k++)
		top[k] = g[k] * (k < 2 ? size : size * (1.0 - GEO_F));
	double longitude = atan2(top[1], top[0]) / GEO_DEGREE;

	if (geo_polygon_parity(p, 0, p->ring_end[0], longitude >= 180.0 ? -180.0 : longitude, top))
		most = fmax(most, GEO_A * sqrt(square));
	return most;
}

// Is a footprint's function anywhere in the polygon as large as that? Nearly always the cap, or one
// vertex, says so.
static bool reaches(const struct pe_polygon *p, const struct ball *ball, const double direction[3],
	double least)
{
	const double vertex[3] = {p->first[0][0], p->first[1][0], p->first[2][0]};

	return cap_max(ball, direction) >= least &&
		(geo_dot(vertex, direction) >= least || ring_max(p, ball, direction) >= least);
}

static bool frame_region(const struct pe_space *space, const struct pe_polygon *p,
	const struct ball *ball, unsigned f, struct pe_region *region)
{
	const struct pe_space_frame *frame = &space->frame[f];
	double lo[3], hi[3];

	// A footprint belongs to the frame whose up is nearest to its normal, and the normal is the
	// footprint with z / (1 − e²).
	for (unsigned g = 0; g < space->frame_count; g++) {
		double between[3];

		if (g == f)
			continue;
		for (unsigned k = 0; k < 3; k++)
			between[k] = (frame->up[k] - space->frame[g].up[k]) /
				(k < 2 ? 1.0 : 1.0 - GEO_E2);
		if (!reaches(p, ball, between, -0.01))
			return false;
	}
	for (unsigned i = 0; i < 3; i++) {
		double minus[3] = {-frame->turn[i][0], -frame->turn[i][1], -frame->turn[i][2]};
		double home = geo_dot(frame->turn[i], frame->home);

		hi[i] = ring_max(p, ball, frame->turn[i]) - home;
		lo[i] = -ring_max(p, ball, minus) - home;
	}
	return geo_region_within(space, f, lo, hi, region);
}

unsigned pe_polygon_regions(const struct pe_space *space, const struct pe_polygon *p,
	struct pe_region regions[PE_FRAMES_MAX])
{
	struct ball ball;
	unsigned count = 0;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		double lo[3] = {p->lo[0], p->lo[1], p->height_min},
		       hi[3] = {p->hi[0], p->hi[1], p->height_max};

		return geo_region_bound(space, 0, lo, hi, 0.0, regions) ? 1 : 0;
	}
	ball_make(p, &ball);
	for (unsigned f = 0; f < space->frame_count; f++)
		count += frame_region(space, p, &ball, f, &regions[count]);
	return count;
}

// Does any edge come near the cell? An edge lies within a slab about its plane and within the ball
// over its chord.
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
		// Twice the distance from the plane: its middle lies on it, or as near as the chord
		// to the arc.
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
