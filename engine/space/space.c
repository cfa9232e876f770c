#include "space/space.h"

#include "base/limits.h"
#include "space/geodesy.h"
#include "space/sphere.h"

#include <immintrin.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// The faces of the cube, in the order of the frame numbers.
static const double worldwide_home[PE_FRAMES_MAX][2] = {
	{0, 0}, {0, 90}, {0, 180}, {0, -90}, {90, 0}, {-90, 0}};

// What a face's own points span: a border lies where two components of the normal are equal, so no
// component across exceeds 1/√2 (4,510 km), and a corner, at 1/√3, hangs 2,707 km below home.
#define FACE_ACROSS_M 4520000.0
#define FACE_DOWN_M   2720000.0

__attribute__((format(printf, 2, 3))) static enum pe_status refuse(
	struct pe_error *error, const char *format, ...)
{
	va_list args;

	if (error) {
		error->status = PE_INVALID;
		va_start(args, format);
		vsnprintf(error->text, sizeof error->text, format, args);
		va_end(args);
	}
	return PE_INVALID;
}

static void frame_prepare(struct pe_space_frame *frame, const double home[2])
{
	double up[3], east[3] = {0}, north[3];

	geo_normal(home[0], home[1], up);
	// East from the longitude alone, so that it exists at the poles too: the normal a quarter
	// turn on.
	geo_normal(0.0, home[1] > 90.0 ? home[1] - 270.0 : home[1] + 90.0, east);
	north[0] = up[1] * east[2] - up[2] * east[1];
	north[1] = up[2] * east[0] - up[0] * east[2];
	north[2] = up[0] * east[1] - up[1] * east[0];
	memcpy(frame->turn[0], east, sizeof east);
	memcpy(frame->turn[1], north, sizeof north);
	memcpy(frame->turn[2], up, sizeof up);
	memcpy(frame->up, up, sizeof up);
	geo_point(up, 0.0, frame->home);
}

static enum pe_status geodetic_prepare(
	struct pe_space *space, double across, double up, struct pe_error *error)
{
	const struct pe_space_config *c = &space->config;

	if (c->worldwide) {
		if (c->extent_m != 0.0)
			return refuse(error,
				"extent_m is %.17g, but a worldwide space has no extent: leave it 0",
				c->extent_m);
		if (across < FACE_ACROSS_M || up < FACE_DOWN_M)
			return refuse(error,
				"a worldwide space needs leaf_edge_m of at least %.2f and leaf_height_m of at least %.0f "
				"so that a face of the cube fits into the cell key; they are %g and %g",
				FACE_ACROSS_M / PE_KEY_X_OFFSET, FACE_DOWN_M / PE_KEY_Z_OFFSET,
				c->leaf_edge_m, c->leaf_height_m);
		space->frame_count = PE_FRAMES_MAX;
		for (unsigned f = 0; f < PE_FRAMES_MAX; f++)
			frame_prepare(&space->frame[f], worldwide_home[f]);
		space->extent_m = 2.0 * GEO_A;
		return PE_OK;
	}
	if (!(fabs(c->home[0]) <= 90.0) || !(fabs(c->home[1]) <= 180.0))
		return refuse(error,
			"home is %g, %g, but a home is a latitude within ±90 and a longitude within ±180 degrees",
			c->home[0], c->home[1]);
	// At a straight distance D from home the surface is at most D²/2r below home's plane, r its
	// smallest radius of curvature; so D is bounded by what the key holds downwards too.
	double held = fmin(across, fmin(sqrt(2.0 * GEO_RADIUS_MIN * up), 2.0 * GEO_A)) - 1.0;

	if (c->extent_m > held)
		return refuse(error,
			"extent_m is %g, but cells of %g m across and %g m up reach %.0f m from home: "
			"make the extent smaller or the cells larger",
			c->extent_m, c->leaf_edge_m, c->leaf_height_m, held);
	space->extent_m = c->extent_m > 0.0 ? c->extent_m : held;
	space->frame_count = 1;
	frame_prepare(&space->frame[0], c->home);
	return PE_OK;
}

static void lanes_prepare(struct pe_space *space)
{
	for (unsigned i = 0; i < 3; i++) {
		space->lane_extent_m[i] = space->extent_m;
		space->lane_held_m[i] = i == 2 ? space->config.leaf_height_m * PE_KEY_Z_OFFSET :
						 space->config.leaf_edge_m * PE_KEY_X_OFFSET;
		space->lane_units_per_m[i] = i == 2 ? space->units_per_m_up : space->units_per_m;
		space->lane_units_lo[i] = (double)space->units_lo[i];
		space->lane_units_hi[i] = (double)space->units_hi[i];
		space->lane_lo[i] = PE_LANE_SHIFT_BITS + space->units_lo[i];
		// what the key holds is a power of two
		space->lane_outside[i] = ~(space->units_hi[i] - space->units_lo[i]);
	}
	space->lane_lo[3] = PE_LANE_SHIFT_BITS;
}

enum pe_status pe_space_prepare(struct pe_space *space, const struct pe_space_config *config,
	unsigned index, struct pe_error *error)
{
	const struct pe_space_config *c = config;
	double ratio = c->leaf_height_m / c->leaf_edge_m;
	int exponent;

	memset(space, 0, sizeof *space);
	if (index >= PE_SPACES_MAX)
		return refuse(error, "space number %u, but an engine holds at most %u spaces",
			index, PE_SPACES_MAX);
	if (c->kind != PE_SPACE_CARTESIAN && c->kind != PE_SPACE_GEODETIC)
		return refuse(error, "kind %d is neither CARTESIAN nor GEODETIC", (int)c->kind);
	if (!(c->leaf_edge_m >= PE_SPACE_EDGE_MIN_M && c->leaf_edge_m <= PE_SPACE_EDGE_MAX_M))
		return refuse(error, "leaf_edge_m is %g, but a leaf's edge is from %g to %g m",
			c->leaf_edge_m, PE_SPACE_EDGE_MIN_M, PE_SPACE_EDGE_MAX_M);
	if (!(ratio >= 1.0 && ratio <= 256.0) || frexp(ratio, &exponent) != 0.5)
		return refuse(error,
			"leaf_height_m is %g, but it must be leaf_edge_m (%g) times 1, 2, 4, … or 256",
			c->leaf_height_m, c->leaf_edge_m);
	if (!(c->extent_m >= 0.0 && c->extent_m < INFINITY))
		return refuse(error,
			"extent_m is %g, but an extent is a finite number of metres, or 0 for what the cell key holds",
			c->extent_m);
	if (c->kind == PE_SPACE_CARTESIAN && c->worldwide)
		return refuse(
			error, "worldwide is set, but only a GEODETIC space can be worldwide");

	space->config = *c;
	space->index = index;
	space->z_shift = (unsigned)exponent - 1;
	space->unit_m = c->leaf_edge_m / (1 << PE_CELL_BITS);
	space->units_per_m = (1 << PE_CELL_BITS) / c->leaf_edge_m;
	space->units_per_m_up = space->units_per_m / (double)(1u << space->z_shift);
	for (unsigned i = 0; i < 3; i++)
		space->lane_units_across[i] = i == 2 ? (double)(1u << space->z_shift) : 1;
	for (unsigned i = 0; i < 3; i++) {
		int64_t cells = i == 2 ? PE_KEY_Z_OFFSET : PE_KEY_X_OFFSET;

		space->units_lo[i] = -cells * (1 << PE_CELL_BITS);
		space->units_hi[i] = cells * (1 << PE_CELL_BITS) - 1;
	}
	// Each of two positions is held less than a unit below where it is, so an axis of their
	// difference is off by less than a unit of that axis; 2^-10 stands for the arithmetic.
	double tall = (double)(1u << space->z_shift);

	space->slack_units = sqrt(2.0 + tall * tall) + 0x1p-10 + 2e-8 * space->units_per_m;

	double across = c->leaf_edge_m * PE_KEY_X_OFFSET, up = c->leaf_height_m * PE_KEY_Z_OFFSET;

	if (c->kind == PE_SPACE_GEODETIC)
		return geodetic_prepare(space, across, up, error);
	if (c->extent_m > fmin(across, up))
		return refuse(error,
			"extent_m is %g, but cells of %g m across and %g m up reach %g m across and %g m up: "
			"make the extent smaller or the cells larger",
			c->extent_m, c->leaf_edge_m, c->leaf_height_m, across, up);
	space->extent_m = c->extent_m > 0.0 ? c->extent_m : fmax(across, up);
	space->frame_count = 1;
	lanes_prepare(space);
	for (unsigned i = 0; i < 3; i++)
		space->frame[0].turn[i][i] = 1.0;
	space->frame[0].up[2] = 1.0;
	return PE_OK;
}

// The face whose home's up is nearest; of equals the lowest number. The homes are the axes, so the
// largest component of the normal tells.
static inline unsigned face_of(const double normal[3])
{
	const double dot[PE_FRAMES_MAX] = {
		normal[0], normal[1], -normal[0], -normal[1], normal[2], -normal[2]};
	unsigned best = 0;

	for (unsigned f = 1; f < PE_FRAMES_MAX; f++)
		best = dot[f] > dot[best] ? f : best;
	return best;
}

static inline void frame_turn(
	const struct pe_space_frame *frame, const double point[3], double metres[3])
{
	double d[3] = {
		point[0] - frame->home[0], point[1] - frame->home[1], point[2] - frame->home[2]};

	for (unsigned i = 0; i < 3; i++)
		metres[i] = geo_dot(frame->turn[i], d);
}

static inline enum pe_reason place_make(const struct pe_space *space, unsigned frame,
	const double metres[3], struct pe_place *place)
{
	double scale[3] = {space->units_per_m, space->units_per_m, space->units_per_m_up};
	uint32_t cell[3], within[3];

	for (unsigned i = 0; i < 3; i++) {
		// The caller has bounded the metres by the extent, so the conversion is defined.
		int64_t v = (int64_t)floor(metres[i] * scale[i]);

		if (v < space->units_lo[i] || v > space->units_hi[i])
			return PE_REASON_out_of_bounds;
		v -= space->units_lo[i];
		cell[i] = (uint32_t)(v >> PE_CELL_BITS);
		within[i] = (uint32_t)v & ((1u << PE_CELL_BITS) - 1);
	}
	place->key = pe_key_make(space->index, frame, cell[0], cell[1], cell[2]);
	place->word = pe_word_make(within[0], within[1], within[2]);
	return PE_REASON_none;
}

static inline uint64_t lanes_or(__m256i v)
{
	__m128i half = _mm_or_si128(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	return (uint64_t)_mm_cvtsi128_si64(_mm_or_si128(half, _mm_unpackhi_epi64(half, half)));
}

// place_make of a CARTESIAN position, three axes at once; the shifts are those of pe_key_make and
// pe_word_make. False: out of bounds or not a number.
static inline bool locate_cartesian(
	const struct pe_space *space, const double position[3], struct pe_place *place)
{
	const __m256d magnitude = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
	__m256d metres = _mm256_insertf128_pd(
		_mm256_castpd128_pd256(_mm_loadu_pd(position)), _mm_load_sd(position + 2), 1);
	__m256d within = _mm256_cmp_pd(
		_mm256_and_pd(metres, magnitude), _mm256_load_pd(space->lane_extent_m), _CMP_LE_OQ);
	__m256d units =
		_mm256_floor_pd(_mm256_mul_pd(metres, _mm256_load_pd(space->lane_units_per_m)));
	__m256i v = _mm256_sub_epi64(
		_mm256_castpd_si256(_mm256_add_pd(units, _mm256_set1_pd(PE_LANE_SHIFT))),
		_mm256_load_si256((const __m256i *)space->lane_lo));

	if (_mm256_movemask_pd(within) != 15 ||
		!_mm256_testz_si256(v, _mm256_load_si256((const __m256i *)space->lane_outside)))
		return false;
	place->key = (uint64_t)space->index << 56 |
		lanes_or(_mm256_sllv_epi64(
			_mm256_srli_epi64(v, PE_CELL_BITS), _mm256_set_epi64x(0, 0, 15, 34)));
	place->word = lanes_or(
		_mm256_sllv_epi64(_mm256_and_si256(v, _mm256_set1_epi64x((1 << PE_CELL_BITS) - 1)),
			_mm256_set_epi64x(0, 40, 20, 0)));
	return true;
}

static inline enum pe_reason locate(
	const struct pe_space *space, const double position[3], struct pe_place *place)
{
	double normal[3], point[3], metres[3];
	bool cartesian = space->config.kind == PE_SPACE_CARTESIAN;
	unsigned frame = 0;

	if (cartesian && locate_cartesian(space, position, place))
		return PE_REASON_none;
	// Written so that a NaN fails.
	if (!(fabs(position[0]) < INFINITY && fabs(position[1]) < INFINITY &&
		    fabs(position[2]) < INFINITY))
		return PE_REASON_coordinates;
	if (cartesian)
		return PE_REASON_out_of_bounds;
	if (fabs(position[0]) > 90.0 || fabs(position[1]) > 180.0)
		return PE_REASON_coordinates;
	geo_normal(position[0], position[1], normal);
	geo_point(normal, 0.0, point);
	if (space->frame_count > 1)
		frame = face_of(normal);
	frame_turn(&space->frame[frame], point, metres);
	if (geo_dot(metres, metres) > space->extent_m * space->extent_m)
		return PE_REASON_out_of_bounds;
	return place_make(space, frame, metres, place);
}

enum pe_reason pe_space_locate(
	const struct pe_space *space, const double position[3], struct pe_place *place)
{
	return locate(space, position, place);
}

void pe_space_locate_batch(const struct pe_space *space, const double *positions,
	unsigned stride_bytes, unsigned count, struct pe_place *places, enum pe_reason *reasons)
{
	const char *at = (const char *)positions;

	for (unsigned i = 0; i < count; i++, at += stride_bytes) {
		double position[3];

		memcpy(position, at, sizeof position);
		reasons[i] = locate(space, position, &places[i]);
	}
}

void pe_space_frame_metres(
	const struct pe_space *space, unsigned frame, const double position[3], double metres[3])
{
	double normal[3], point[3];

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		memcpy(metres, position, 3 * sizeof *metres);
		return;
	}
	geo_normal(position[0], position[1], normal);
	geo_point(normal, 0.0, point);
	frame_turn(&space->frame[frame], point, metres);
}
