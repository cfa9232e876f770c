#include "space/sieve.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>

// Of the sum of a cell's and the polygon's size: how exact floats are, with room.
#define FLOAT_SHARE 0x1p-20
// Beyond everything, for what is no edge.
#define ABOVE 0x1p100f

bool pe_sieve_supported(enum pe_sieve_isa isa)
{
	return isa == PE_SIEVE_AVX2 ||
		(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
			__builtin_cpu_supports("avx512bw"));
}

void pe_sieve_force(struct pe_sieve *s, enum pe_sieve_isa isa)
{
	s->line = isa == PE_SIEVE_AVX512 ? pe_sieve_line_avx512 : pe_sieve_line_avx2;
	s->chunk = isa == PE_SIEVE_AVX512 ? pe_sieve_chunk_avx512 : pe_sieve_chunk_avx2;
}

// Eight edges' coordinates of one kind in the plane.
static inline __m256 on_plane(const double *metres, __m256d middle, __m256d scale)
{
	__m256d low = _mm256_mul_pd(_mm256_sub_pd(_mm256_load_pd(metres), middle), scale);
	__m256d high = _mm256_mul_pd(_mm256_sub_pd(_mm256_load_pd(metres + 4), middle), scale);

	return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
}

// Lines through eight edges' ends.
static inline void set_lines(
	struct pe_sieve *s, unsigned i, __m256 x0, __m256 y0, __m256 x1, __m256 y1)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	__m256 right = _mm256_sub_ps(x1, x0), up = _mm256_sub_ps(y1, y0);
	// Of unit length to a thousandth or so; one without length is near to everything, and told
	// by its neighbours.
	__m256 square = _mm256_fmadd_ps(right, right, _mm256_mul_ps(up, up));
	__m256 size = _mm256_rsqrt_ps(_mm256_max_ps(square, _mm256_set1_ps(FLT_MIN)));
	// From the left end to the right one, whichever way the ring runs: less than nothing where
	// it runs left.
	__m256 turned = _mm256_xor_ps(size, _mm256_and_ps(right, sign));
	__m256 across_x = _mm256_mul_ps(up, turned), across_y = _mm256_mul_ps(right, turned);

	_mm256_store_ps(&s->across[0][i], _mm256_xor_ps(across_x, sign));
	_mm256_store_ps(&s->across[1][i], across_y);
	_mm256_store_ps(&s->off[i], _mm256_fmsub_ps(across_x, x0, _mm256_mul_ps(across_y, y0)));
}

static inline void add_edges(struct pe_sieve *s, const struct pe_polygon *p, unsigned i)
{
	const __m256d scale = _mm256_set1_pd(s->scale);
	__m256 at[4];

	for (unsigned k = 0; k < 2; k++) {
		__m256d middle = _mm256_set1_pd(s->middle[k]);

		at[k] = on_plane(&p->first[k][i], middle, scale);
		at[2 + k] = on_plane(&p->last[k][i], middle, scale);
		_mm256_store_ps(&s->begin[k][i], at[k]);
		_mm256_store_ps(&s->end[k][i], at[2 + k]);
	}
	set_lines(s, i, at[0], at[1], at[2], at[3]);
}

// What is no edge lies above everything: what fills a ring up to four, whose x are where the ring's
// last edge ends, and what fills the last word.
static void add_none(struct pe_sieve *s, const struct pe_polygon *p)
{
	const __m256 above = _mm256_set1_ps(ABOVE);
	unsigned end = p->ring_end[p->ring_count - 1], i = end;

	for (unsigned r = 0; r < p->ring_count; r++)
		for (unsigned k = p->ring_end[r] - 3; k < p->ring_end[r]; k++)
			if (p->first[0][k] == p->last[0][k] && p->first[1][k] == p->last[1][k])
				s->begin[1][k] = s->end[1][k] = ABOVE;
	for (; i % 8; i++)
		s->begin[1][i] = s->end[1][i] = ABOVE;
	for (; i < 64 * s->words; i += 8) {
		_mm256_store_ps(&s->begin[1][i], above);
		_mm256_store_ps(&s->end[1][i], above);
	}
}

// Which edges are followed by that of the next bit: all but the last of a word and of a ring.
static void set_followed(struct pe_sieve *s, const struct pe_polygon *p)
{
	for (unsigned w = 0; w < s->words; w++)
		s->followed[w] = INT64_MAX;
	for (unsigned r = 0; r < p->ring_count; r++) {
		unsigned last = p->ring_end[r] - 1;

		s->followed[last / 64] &= ~(1ull << last % 64);
	}
}

void pe_sieve_make(const struct pe_space *space, const struct pe_polygon *p, struct pe_sieve *s)
{
	unsigned count = p->ring_end[p->ring_count - 1];
	double wide = p->hi[0] - p->lo[0], tall = p->hi[1] - p->lo[1],
	       half = 0.5 * (wide > tall ? wide : tall);

	// What is smaller than a unit of the index has no place of it inside for certain anyway.
	half = half > space->unit_m ? half : space->unit_m;
	pe_sieve_force(s, pe_sieve_supported(PE_SIEVE_AVX512) ? PE_SIEVE_AVX512 : PE_SIEVE_AVX2);
	s->words = (count + 63) / 64;
	s->edge_m = space->config.leaf_edge_m;
	for (unsigned k = 0; k < 2; k++)
		s->middle[k] = 0.5 * p->lo[k] + 0.5 * p->hi[k];
	s->scale = 1.0 / half;
	s->per_unit = (float)(space->unit_m * s->scale);
	s->near = (float)((1.5 * p->margin_m + (half + s->edge_m) * FLOAT_SHARE) * s->scale);
	// Of the last eight four may be what an earlier polygon left there.
	for (unsigned i = 0; i < count; i += 8)
		add_edges(s, p, i);
	add_none(s, p);
	set_followed(s, p);
}

static inline float wider(double at, double by)
{
	return (float)(at + by + (by > 0.0 ? 0x1p-22 : -0x1p-22) * fabs(at));
}

// Lines of cells of that many metres, or of boxes of them, whose first is cell number `cell` along
// the axis.
static inline void set_line(const struct pe_sieve *s, unsigned axis, int32_t cell, double wide_m,
	struct pe_sieve_line *line)
{
	const double near = (double)s->near,
		     at = ((double)cell * s->edge_m - s->middle[axis]) * s->scale;

	line->at = (float)at;
	line->from = wider(at, -near);
	line->to = wider(at + wide_m * s->scale, near);
}

static inline void cell_of(uint64_t key, int32_t cell[2])
{
	cell[0] = (int32_t)PE_KEY_X(key) - PE_KEY_X_OFFSET;
	cell[1] = (int32_t)PE_KEY_Y(key) - PE_KEY_X_OFFSET;
}

void pe_sieve_line_avx2(
	const struct pe_sieve *s, unsigned axis, struct pe_sieve_line *lines, unsigned count)
{
	for (unsigned w = 0; w < s->words; w++) {
		__m256 low[8], high[8];

		for (unsigned k = 0; k < 8; k++) {
			__m256 a = _mm256_load_ps(&s->begin[axis][64 * w + 8 * k]),
			       b = _mm256_load_ps(&s->end[axis][64 * w + 8 * k]);

			low[k] = _mm256_min_ps(a, b);
			high[k] = _mm256_max_ps(a, b);
		}
		for (unsigned n = 0; n < count; n++) {
			const __m256 from = _mm256_set1_ps(lines[n].from),
				     to = _mm256_set1_ps(lines[n].to);
			uint64_t before = 0, past = 0;

			for (unsigned k = 0; k < 8; k++) {
				before |= (uint64_t)(unsigned)_mm256_movemask_ps(
						  _mm256_cmp_ps(low[k], to, _CMP_LE_OQ))
					<< 8 * k;
				past |= (uint64_t)(unsigned)_mm256_movemask_ps(
						_mm256_cmp_ps(high[k], from, _CMP_LT_OQ))
					<< 8 * k;
			}
			lines[n].near[w] = before & ~past;
			lines[n].past[w] = past;
		}
	}
}

void pe_sieve_node(struct pe_sieve *s, uint64_t key, const uint32_t lo[2], const uint32_t hi[2])
{
	int32_t cell[2];

	cell_of(key, cell);
	for (unsigned k = 0; k < 2; k++) {
		for (uint32_t i = lo[k]; i <= hi[k]; i++)
			set_line(s, k, cell[k] + (int32_t)i, s->edge_m, &s->lines[k][i]);
		s->line(s, k, &s->lines[k][lo[k]], hi[k] - lo[k] + 1);
	}
}

// Sets the cell's edges; returns whether any may come into what both lines share.
static inline bool meet(const struct pe_sieve *s, const struct pe_sieve_line *column,
	const struct pe_sieve_line *row, struct pe_sieve_cell *cell)
{
	uint64_t any = 0;

	for (unsigned w = 0; w < s->words; w++) {
		uint64_t beneath = column->near[w] & row->past[w],
			 followed = beneath & s->followed[w];
		struct pe_sieve_part *part = &cell->part[w];

		part->meets = column->near[w] & row->near[w];
		part->toggles = beneath ^ followed << 1;
		part->ends = beneath ^ followed;
		any |= part->meets;
	}
	return any != 0;
}

// No edge comes into the box, so that all of it is inside, or outside, as its left side is.
static bool parity(const struct pe_sieve *s, float left, const struct pe_sieve_cell *cell)
{
	unsigned odd = 0;

	for (unsigned w = 0; w < s->words; w++) {
		const struct pe_sieve_part *part = &cell->part[w];

		for (uint64_t bits = part->toggles; bits; bits &= bits - 1)
			odd ^= s->begin[0][64 * w + (unsigned)__builtin_ctzll(bits)] <= left;
		for (uint64_t bits = part->ends; bits; bits &= bits - 1)
			odd ^= s->end[0][64 * w + (unsigned)__builtin_ctzll(bits)] <= left;
	}
	return odd;
}

enum pe_cell_side pe_sieve_enter(struct pe_sieve *s, unsigned at, unsigned column, unsigned row)
{
	const struct pe_sieve_line *x = &s->lines[0][column], *y = &s->lines[1][row];
	struct pe_sieve_cell *cell = &s->cell[at];

	cell->from[0] = x->at;
	cell->from[1] = y->at;
	cell->side = meet(s, x, y, cell) ? PE_CELL_CROSSING :
		parity(s, x->from, cell) ? PE_CELL_INSIDE :
					   PE_CELL_OUTSIDE;
	return cell->side;
}

bool pe_sieve_outside(const struct pe_sieve *s, uint64_t key, unsigned bits_across)
{
	struct pe_sieve_line line[2];
	struct pe_sieve_cell cell;
	int32_t first[2];

	cell_of(key, first);
	for (unsigned k = 0; k < 2; k++) {
		set_line(s, k, first[k], s->edge_m * (double)(1u << bits_across), &line[k]);
		s->line(s, k, &line[k], 1);
	}
	return !meet(s, &line[0], &line[1], &cell) && !parity(s, line[0].from, &cell);
}

// Sixteen slots' places in the plane.
struct places {
	__m256 x[2], y[2];
};

static inline __m256 coordinate(__m256i low, __m256i high, __m256 from, __m256 per_unit)
{
	const __m256i bits = _mm256_set1_epi32(0xFFFFF);
	// The lower halves of eight words, in order.
	__m256i both = _mm256_castps_si256(
		_mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0x88));

	both = _mm256_and_si256(_mm256_permute4x64_epi64(both, 0xD8), bits);
	return _mm256_fmadd_ps(_mm256_cvtepi32_ps(both), per_unit, from);
}

static inline struct places places_of(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint64_t *copy, __m256i *seen)
{
	const __m256 per_unit = _mm256_set1_ps(s->per_unit), x = _mm256_set1_ps(cell->from[0]),
		     y = _mm256_set1_ps(cell->from[1]);
	struct places p;

	for (unsigned k = 0; k < 2; k++) {
		__m256i low = _mm256_loadu_si256((const __m256i *)(const void *)&words[8 * k]);
		__m256i high = _mm256_loadu_si256((const __m256i *)(const void *)&words[8 * k + 4]);

		_mm256_storeu_si256((__m256i *)(void *)&copy[8 * k], low);
		_mm256_storeu_si256((__m256i *)(void *)&copy[8 * k + 4], high);
		*seen = _mm256_or_si256(*seen, _mm256_or_si256(low, high));
		p.x[k] = coordinate(low, high, x, per_unit);
		p.y[k] = coordinate(
			_mm256_srli_epi64(low, 20), _mm256_srli_epi64(high, 20), y, per_unit);
	}
	return p;
}

// Bits of the sixteen that are inside, and of those that are near to an edge. Of what is counted
// the signs tell: a place is over an edge if it is not on the same side of both ends, and whoever
// is beyond an end is so for both edges that it is one of.
static inline uint32_t sixteen(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint64_t *copy, __m256i *seen, uint32_t *doubtful)
{
	const __m256 sign = _mm256_set1_ps(-0.0f), near = _mm256_set1_ps(s->near);
	const struct places p = places_of(s, cell, words, copy, seen);
	__m256 odd[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
	__m256 nearest[2] = {_mm256_set1_ps(INFINITY), _mm256_set1_ps(INFINITY)};

	for (unsigned w = 0; w < s->words; w++) {
		const struct pe_sieve_part *part = &cell->part[w];

		for (uint64_t left = part->meets; left; left &= left - 1) {
			size_t i = 64 * (size_t)w + (size_t)__builtin_ctzll(left);
			__m256 begin = _mm256_set1_ps(s->begin[0][i]),
			       end = _mm256_set1_ps(s->end[0][i]),
			       x = _mm256_set1_ps(s->across[0][i]),
			       y = _mm256_set1_ps(s->across[1][i]), off = _mm256_set1_ps(s->off[i]);

			for (unsigned k = 0; k < 2; k++) {
				__m256 above =
					_mm256_fmadd_ps(p.x[k], x, _mm256_fmadd_ps(p.y[k], y, off));
				__m256 over = _mm256_xor_ps(
					_mm256_sub_ps(p.x[k], begin), _mm256_sub_ps(p.x[k], end));

				odd[k] = _mm256_xor_ps(odd[k], _mm256_andnot_ps(above, over));
				nearest[k] =
					_mm256_min_ps(nearest[k], _mm256_andnot_ps(sign, above));
			}
		}
		for (uint64_t left = part->toggles; left; left &= left - 1) {
			__m256 begin = _mm256_set1_ps(
				s->begin[0][64 * (size_t)w + (size_t)__builtin_ctzll(left)]);

			for (unsigned k = 0; k < 2; k++)
				odd[k] = _mm256_xor_ps(odd[k], _mm256_sub_ps(p.x[k], begin));
		}
		for (uint64_t left = part->ends; left; left &= left - 1) {
			__m256 end = _mm256_set1_ps(
				s->end[0][64 * (size_t)w + (size_t)__builtin_ctzll(left)]);

			for (unsigned k = 0; k < 2; k++)
				odd[k] = _mm256_xor_ps(odd[k], _mm256_sub_ps(p.x[k], end));
		}
	}
	*doubtful = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(nearest[0], near, _CMP_LE_OQ)) |
		(unsigned)_mm256_movemask_ps(_mm256_cmp_ps(nearest[1], near, _CMP_LE_OQ)) << 8;
	return (unsigned)_mm256_movemask_ps(odd[0]) | (unsigned)_mm256_movemask_ps(odd[1]) << 8;
}

uint32_t pe_sieve_chunk_avx2(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint32_t mask, uint64_t *copy, uint32_t *sure, bool *flagged)
{
	__m256i seen = _mm256_setzero_si256();
	uint32_t inside = 0, doubtful = 0;

	for (unsigned i = 0; i < PE_SIEVE_SLOTS; i += 16) {
		uint32_t near;

		if (!(mask >> i & 0xFFFF))
			continue;
		inside |= sixteen(s, cell, words + i, copy + i, &seen, &near) << i;
		doubtful |= near << i;
	}
	*flagged = !_mm256_testz_si256(seen, _mm256_set1_epi64x((int64_t)~PE_WORD_POSITION));
	*sure = mask & inside & ~doubtful;
	return mask & (inside | doubtful);
}
