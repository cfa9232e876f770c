#include "wire/extension.h"

#include "base/limits.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define BLOCK_BYTES  ((uint32_t)sizeof(struct pe_wire_block))
#define SCALED_BYTES (4u * (uint32_t)sizeof(double)) // an origin and a scale

static uint32_t padded(uint32_t bytes)
{
	return (bytes + 7u) & ~7u;
}

static bool all_zero(const uint8_t *p, uint32_t bytes)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < bytes; i++)
		any |= p[i];
	return any == 0;
}

uint32_t pe_wire_extensions_bytes(const uint8_t *queries, unsigned count)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < count; i++) {
		const uint8_t *q = queries + i * sizeof(struct pe_wire_query);
		uint16_t flags, bytes;

		memcpy(&flags, q + offsetof(struct pe_wire_query, flags), sizeof flags);
		memcpy(&bytes, q + offsetof(struct pe_wire_query, extension_bytes), sizeof bytes);
		sum += flags & PE_QUERY_HAS_EXTENSION ? bytes : 0;
	}
	return sum;
}

static uint32_t vertices_bytes(unsigned form, unsigned count)
{
	return form == PE_VERTICES_I16 ? SCALED_BYTES + count * 2 * (uint32_t)sizeof(int16_t) :
					 count * 2 * (uint32_t)sizeof(double);
}

// Counts that no polygon may have are left to who prepares it, if the block can hold what they
// name.
static bool polygon_sound(const uint8_t *content, uint32_t bytes)
{
	struct pe_wire_polygon p;
	uint32_t at = (uint32_t)sizeof p, sum = 0, rings_bytes;

	if (bytes < sizeof p)
		return false;
	memcpy(&p, content, sizeof p);
	if (p.form > PE_VERTICES_I16 || p.reserved || p.ring_count == 0 ||
		p.ring_count > PE_WIRE_RINGS_MAX || p.vertex_count > PE_WIRE_VERTICES_MAX)
		return false;
	rings_bytes = p.ring_count * (uint32_t)sizeof(uint16_t);
	if (bytes != at + padded(rings_bytes) + vertices_bytes(p.form, p.vertex_count))
		return false;
	for (unsigned i = 0; i < p.ring_count; i++) {
		uint16_t n;

		memcpy(&n, content + at + i * sizeof n, sizeof n);
		sum += n;
	}
	return sum == p.vertex_count &&
		all_zero(content + at + rings_bytes, padded(rings_bytes) - rings_bytes);
}

static bool volume_sound(unsigned kind, const uint8_t *content, uint32_t bytes)
{
	switch (kind) {
	case PE_QUERY_POLYGON:
		return polygon_sound(content, bytes);
	case PE_QUERY_ORIENTED_BOX:
		return bytes == sizeof(struct pe_wire_oriented_box);
	case PE_QUERY_FRUSTUM:
		return bytes == sizeof(struct pe_wire_frustum);
	default:
		return false;
	}
}

// Which of the defined blocks there are is one bit each.
#define BLOCKS_DEFINED \
	(1u << PE_BLOCK_VOLUME | 1u << PE_BLOCK_FILTER | 1u << PE_BLOCK_TIME | \
		1u << PE_BLOCK_RESOLUTION)

static bool block_defined(unsigned type)
{
	return type < 32 && (BLOCKS_DEFINED >> type & 1);
}

static bool resolution_sound(const struct pe_wire_query *q, const struct pe_wire_resolution *r)
{
	// The nearest are single entities.
	return r->spatial_m <= FLT_MAX && !signbit(r->spatial_m) && r->attribute <= 1.0f &&
		!signbit(r->attribute) && !r->reserved &&
		!(r->spatial_m > 0 && q->kind == PE_QUERY_NEAREST);
}

static enum pe_reason take_time(
	const uint8_t *content, uint32_t bytes, struct pe_wire_extension *extension)
{
	struct pe_wire_time t;

	if (bytes != sizeof t)
		return PE_REASON_query_extension;
	memcpy(&t, content, sizeof t);
	if (t.reserved)
		return PE_REASON_query_extension;
	if (t.offset_ms < 0 || t.offset_ms > (int32_t)PE_PREDICT_HORIZON_MAX_MS)
		return PE_REASON_query_time;
	extension->timed = true;
	extension->offset_ms = (uint32_t)t.offset_ms;
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_extension(const struct pe_wire_query *q, const uint8_t *data,
	uint32_t bytes, struct pe_wire_extension *extension)
{
	enum pe_reason time_reason = PE_REASON_none;
	unsigned last = 0;
	uint32_t at = 0;

	*extension = (struct pe_wire_extension){
		.resolution = {.attribute = PE_RESOLUTION_ATTRIBUTE_DEFAULT}};
	while (at < bytes) {
		struct pe_wire_block block;
		const uint8_t *content = data + at + BLOCK_BYTES;

		if (bytes - at < BLOCK_BYTES)
			return PE_REASON_query_extension;
		memcpy(&block, data + at, sizeof block);
		at += BLOCK_BYTES;
		// In the order of their types, so each of them once.
		if (block.type <= last || !block_defined(block.type) || block.reserved ||
			bytes - at < padded(block.bytes) ||
			!all_zero(content + block.bytes, padded(block.bytes) - block.bytes))
			return PE_REASON_query_extension;
		last = block.type;
		at += padded(block.bytes);
		if (block.type == PE_BLOCK_FILTER) {
			extension->filter = content;
			extension->filter_bytes = block.bytes;
			continue;
		}
		if (block.type == PE_BLOCK_RESOLUTION) {
			if (block.bytes != sizeof extension->resolution)
				return PE_REASON_query_extension;
			memcpy(&extension->resolution, content, sizeof extension->resolution);
			continue;
		}
		if (block.type == PE_BLOCK_TIME) {
			time_reason = take_time(content, block.bytes, extension);
			if (time_reason == PE_REASON_query_extension)
				return time_reason;
			continue;
		}
		if (!volume_sound(q->kind, content, block.bytes))
			return PE_REASON_query_extension;
		extension->volume = content;
		extension->volume_bytes = block.bytes;
	}
	if (pe_query_kind_extended(q->kind) != (extension->volume != NULL))
		return PE_REASON_query_extension;
	// Cells are counted where their entities are now.
	if (!resolution_sound(q, &extension->resolution) ||
		(extension->resolution.spatial_m > 0 && extension->timed))
		return PE_REASON_query_resolution;
	if (extension->filter &&
		pe_filter_check(extension->filter, extension->filter_bytes,
			&extension->filter_error) != PE_FILTER_SOUND)
		return PE_REASON_query_program;
	return time_reason;
}

void pe_wire_get_polygon(const struct pe_wire_extension *extension, struct pe_wire_polygon *p,
	unsigned *ring_vertices, double (*vertices)[2])
{
	const uint8_t *at = extension->volume + sizeof *p;
	__m256d origin, scale;
	double scaled[4];
	int16_t pair[2];

	memcpy(p, extension->volume, sizeof *p);
	for (unsigned i = 0; i < p->ring_count; i++) {
		uint16_t n;

		memcpy(&n, at + i * sizeof n, sizeof n);
		ring_vertices[i] = n;
	}
	at += padded(p->ring_count * (uint32_t)sizeof(uint16_t));
	if (p->form == PE_VERTICES_F64) {
		memcpy(vertices, at, p->vertex_count * sizeof vertices[0]);
		return;
	}
	memcpy(scaled, at, sizeof scaled);
	at += sizeof scaled;
	origin = _mm256_setr_pd(scaled[0], scaled[1], scaled[0], scaled[1]);
	scale = _mm256_setr_pd(scaled[2], scaled[3], scaled[2], scaled[3]);
	for (unsigned i = 0; i + 2 <= p->vertex_count; i += 2) {
		__m128i pairs =
			_mm_loadl_epi64((const __m128i *)(const void *)(at + i * sizeof pair));
		__m256d steps = _mm256_cvtepi32_pd(_mm_cvtepi16_epi32(pairs));

		_mm256_storeu_pd(vertices[i], _mm256_fmadd_pd(scale, steps, origin));
	}
	if (p->vertex_count % 2) {
		unsigned i = p->vertex_count - 1u;

		memcpy(pair, at + i * sizeof pair, sizeof pair);
		vertices[i][0] = __builtin_fma(scaled[2], pair[0], scaled[0]);
		vertices[i][1] = __builtin_fma(scaled[3], pair[1], scaled[1]);
	}
}

uint32_t pe_wire_put_block(uint8_t *extension, uint32_t used, uint32_t size,
	enum pe_block_type type, const void *content, uint32_t bytes)
{
	const struct pe_wire_block block = {.type = (uint16_t)type, .bytes = (uint16_t)bytes};

	if (bytes > UINT16_MAX || used > size || size - used < BLOCK_BYTES + padded(bytes))
		return 0;
	memcpy(extension + used, &block, sizeof block);
	memcpy(extension + used + BLOCK_BYTES, content, bytes);
	memset(extension + used + BLOCK_BYTES + bytes, 0, padded(bytes) - bytes);
	return used + BLOCK_BYTES + padded(bytes);
}

// An origin and a scale with which the vertices' extent takes all of an i16 but its lowest value.
static void scale_of(const double (*vertices)[2], unsigned count, double scaled[4])
{
	for (unsigned k = 0; k < 2; k++) {
		double lo = vertices[0][k], hi = vertices[0][k];

		for (unsigned i = 1; i < count; i++) {
			lo = vertices[i][k] < lo ? vertices[i][k] : lo;
			hi = vertices[i][k] > hi ? vertices[i][k] : hi;
		}
		scaled[k] = lo + (hi - lo) / 2;
		scaled[2 + k] = (hi - lo) / (2.0 * INT16_MAX);
	}
}

static int16_t step_of(double value, double origin, double scale)
{
	double step = scale > 0 ? (value - origin) / scale : 0;

	// What is no number is no step.
	if (!(step >= -INT16_MAX && step <= INT16_MAX))
		return step > 0 ? INT16_MAX : -INT16_MAX;
	return (int16_t)(step < 0 ? step - 0.5 : step + 0.5);
}

uint32_t pe_wire_put_polygon(uint8_t *extension, uint32_t used, uint32_t size,
	enum pe_vertex_form form, const double (*vertices)[2], const unsigned *ring_vertices,
	unsigned ring_count, double height_min, double height_max)
{
	uint8_t content[PE_WIRE_BYTES_MAX];
	struct pe_wire_polygon p = {.form = (uint8_t)form,
		.ring_count = (uint8_t)ring_count,
		.height_min = height_min,
		.height_max = height_max};
	uint32_t at = (uint32_t)sizeof p, sum = 0;
	double scaled[4];

	if (ring_count == 0 || ring_count > PE_WIRE_RINGS_MAX)
		return 0;
	memset(content + at, 0, padded(ring_count * (uint32_t)sizeof(uint16_t)));
	for (unsigned i = 0; i < ring_count; i++) {
		uint16_t n = (uint16_t)ring_vertices[i];

		if (ring_vertices[i] > PE_WIRE_VERTICES_MAX)
			return 0;
		memcpy(content + at + i * sizeof n, &n, sizeof n);
		sum += n;
	}
	at += padded(ring_count * (uint32_t)sizeof(uint16_t));
	if (sum == 0 || sum > PE_WIRE_VERTICES_MAX ||
		at + vertices_bytes(form, sum) > sizeof content)
		return 0;
	p.vertex_count = (uint16_t)sum;
	memcpy(content, &p, sizeof p);
	if (form == PE_VERTICES_F64) {
		memcpy(content + at, vertices, sum * sizeof vertices[0]);
	} else {
		scale_of(vertices, sum, scaled);
		memcpy(content + at, scaled, sizeof scaled);
		for (unsigned i = 0; i < sum; i++) {
			const int16_t pair[2] = {step_of(vertices[i][0], scaled[0], scaled[2]),
				step_of(vertices[i][1], scaled[1], scaled[3])};

			memcpy(content + at + sizeof scaled + i * sizeof pair, pair, sizeof pair);
		}
	}
	return pe_wire_put_block(
		extension, used, size, PE_BLOCK_VOLUME, content, at + vertices_bytes(form, sum));
}
