// Random but sound messages for the tests of the codec. The seed comes from PE_TEST_SEED or the
// clock and is printed, so that a failure can be had again.
#pragma once

#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/half.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t random_state;

static inline void random_seed(void)
{
	const char *text = getenv("PE_TEST_SEED");
	struct timespec now;

	if (random_state)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	random_state = text ? strtoull(text, NULL, 0) :
			      (uint64_t)now.tv_sec * 1000000007u ^ (uint64_t)now.tv_nsec;
	if (!random_state)
		random_state = 1;
	printf("PE_TEST_SEED=%" PRIu64 "\n", random_state);
}

// splitmix64
static inline uint64_t random_u64(void)
{
	uint64_t z = random_state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static inline unsigned random_below(unsigned n)
{
	return (unsigned)(random_u64() % n);
}

static inline double random_between(double low, double high)
{
	return low + (high - low) * ((double)(random_u64() >> 11) * 0x1p-53);
}

static inline void random_bytes(void *to, size_t bytes)
{
	uint8_t *p = to;

	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)random_u64();
}

static const struct pe_wire_limits geodetic_limits = {
	.geodetic = true, .ttl_max_ms = 86400000, .precision_max_m = 1000};
static const struct pe_wire_limits cartesian_limits = {
	.ttl_max_ms = 86400000, .precision_max_m = 1000};

static inline void random_position(double p[3], bool geodetic)
{
	p[0] = random_between(geodetic ? -90 : -1e6, geodetic ? 90 : 1e6);
	p[1] = random_between(geodetic ? -180 : -1e6, geodetic ? 180 : 1e6);
	p[2] = random_between(-1000, 10000);
}

static inline struct pe_wire_header random_header(uint16_t flags)
{
	struct pe_wire_header h = {
		.flags = flags,
		.stream_id = (uint32_t)random_u64(),
		.sequence = random_u64(),
		.timestamp_ms = random_u64(),
	};

	random_bytes(h.space_id, sizeof h.space_id);
	return h;
}

static inline uint8_t random_entity_type(void)
{
	static const uint8_t types[] = {PE_ENTITY_STATIC, PE_ENTITY_MOBILE, PE_ENTITY_TEMPORARY,
		PE_ENTITY_CUSTOM, 200, 255};

	return types[random_below(sizeof types)];
}

static inline struct pe_wire_update random_update(bool geodetic)
{
	struct pe_wire_update u = {
		.sequence = (uint32_t)random_u64(),
		.time_offset_ms = (int32_t)random_u64(),
		.ttl_ms = 1 + random_below(86400000),
		.duration_ms = random_below(86400001),
		.radius_m = (float)random_between(0, 1e5),
		.precision_m = (float)random_between(0, 1000),
		.frequency = (uint16_t)random_u64(),
		.update_frequency = (uint16_t)random_u64(),
		.position_confidence = (uint8_t)random_u64(),
		.status_confidence = (uint8_t)random_u64(),
		.entity_type = random_entity_type(),
	};
	unsigned state = random_below(5);

	random_bytes(u.entity_id, sizeof u.entity_id);
	u.entity_id[random_below(16)] |= 1;
	random_position(u.position, geodetic);
	for (int i = 0; i < 3; i++)
		u.velocity[i] = pe_half_from_float((float)random_between(-50, 50));
	u.custom_state = state == PE_STATE_CUSTOM ? (uint8_t)random_u64() : 0;
	u.attributes = (uint16_t)(state | random_below(4) << 5 | random_below(2) << 11);
	if (geodetic && random_below(2)) {
		u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
		u.position[2] = 0;
	}
	return u;
}

static inline struct pe_wire_withdraw random_withdraw(void)
{
	struct pe_wire_withdraw w = {
		.sequence = (uint32_t)random_u64(), .time_offset_ms = (int32_t)random_u64()};

	random_bytes(w.entity_id, sizeof w.entity_id);
	w.entity_id[random_below(16)] |= 1;
	return w;
}

static inline void swap_if_above(double *low, double *high)
{
	double t = *low;

	if (*low > *high) {
		*low = *high;
		*high = t;
	}
}

static inline struct pe_wire_query random_query(bool geodetic)
{
	struct pe_wire_query q = {
		.query_id = (uint32_t)random_u64(),
		.kind = (uint8_t)(PE_QUERY_POINT + random_below(3)),
		.flags = (uint16_t)random_below(16),
		.max_results = (uint16_t)random_u64(),
		.timeout_ms = (uint16_t)random_u64(),
		.type_mask = (uint16_t)random_below(32),
		.state_mask = (uint16_t)random_below(32),
	};

	random_position(q.a, geodetic);
	if (q.kind == PE_QUERY_SPHERE)
		q.b[0] = random_between(0, 1e6);
	if (q.kind == PE_QUERY_BOX) {
		random_position(q.b, geodetic);
		swap_if_above(&q.a[0], &q.b[0]);
		if (geodetic) {
			q.a[2] = q.b[2] = 0;
		} else {
			swap_if_above(&q.a[1], &q.b[1]);
			swap_if_above(&q.a[2], &q.b[2]);
		}
	}
	if (q.flags & PE_QUERY_HAS_ORIGIN)
		random_position(q.origin, geodetic);
	if (q.flags & PE_QUERY_HEIGHT_RANGE) {
		q.height_min = (float)random_between(-100, 100);
		q.height_max = q.height_min + (float)random_between(0, 100);
	}
	if (q.flags & PE_QUERY_HAS_CURSOR) {
		q.cursor[0] = random_u64() | 1;
		q.cursor[1] = random_u64();
	}
	return q;
}

static inline struct pe_wire_result random_result(void)
{
	struct pe_wire_result r = {
		.age_ms = (int32_t)random_u64(),
		.distance_m = (float)random_between(0, 1e6),
		.precision = pe_half_from_float((float)random_between(0, 1000)),
		.ttl_left = (uint16_t)random_u64(),
		.entity_type = random_entity_type(),
		.position_confidence = (uint8_t)random_u64(),
		.status_confidence = (uint8_t)random_u64(),
	};
	unsigned state = random_below(5);

	random_bytes(r.entity_id, sizeof r.entity_id);
	r.entity_id[random_below(16)] |= 1;
	random_position(r.position, false);
	for (int i = 0; i < 3; i++)
		r.velocity[i] = pe_half_from_float((float)random_between(-50, 50));
	r.state = (uint8_t)state;
	r.custom_state = state == PE_STATE_CUSTOM ? (uint8_t)random_u64() : 0;
	if (random_below(2)) {
		r.state |= PE_RESULT_HEIGHT_UNKNOWN;
		r.position[2] = 0;
	}
	return r;
}

// An exact-size copy at an odd address, so that a read past the end is seen by AddressSanitizer and
// an aligned load by UBSan. Free with free_exact.
static inline uint8_t *copy_exact(const uint8_t *data, size_t bytes)
{
	uint8_t *p = malloc(bytes + 1);

	if (!p)
		abort();
	if (bytes)
		memcpy(p + 1, data, bytes);
	return p + 1;
}

static inline void free_exact(uint8_t *p)
{
	free(p - 1);
}
