// The ordinary case of decoding, decided with a few comparisons of whole words: an update packet
// outside of a session that asks for no acknowledgement, and a record in it that uses nothing rare.
// What is ordinary is sound by pe_wire_check and pe_wire_check_update too; what is not ordinary may
// be sound or not — those two decide, and name the fault. Tuned for the poll loop: nearly every
// packet of a stream of positions is ordinary, and a full check costs five times as much. Pure; any
// thread.
#pragma once

#include "wire/decode.h"

#include <float.h>
#include <immintrin.h>
#include <stddef.h>

// What a space allows, in the form that the comparison wants. Immutable after
// pe_wire_ordinary_make.
struct pe_wire_ordinary {
	_Alignas(32) double position_max[4]; // of |coordinate|; [3] is not looked at
	uint32_t precision_max_bits;         // of the float
	uint32_t ttl_max_ms;
};

static inline struct pe_wire_ordinary pe_wire_ordinary_make(const struct pe_wire_limits *limits)
{
	struct pe_wire_ordinary o = {.ttl_max_ms = limits->ttl_max_ms};

	for (unsigned i = 0; i < 3; i++)
		o.position_max[i] = DBL_MAX;
	if (limits->geodetic) {
		o.position_max[0] = 90.0;
		o.position_max[1] = 180.0;
	}
	memcpy(&o.precision_max_bits, &limits->precision_max_m, sizeof o.precision_max_bits);
	return o;
}

static inline uint64_t pe_wire_word(const void *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

// Magnitudes of velocities along each axis, as binary16, a lane of 16 bits each; the top bits are
// set, so that a lane from which a magnitude is taken never borrows, and keeps its own where the
// magnitude is not above it.
#define PE_WIRE_SPEED_LANES     0x0000800080008000ull
#define PE_WIRE_SPEED_LANES_ANY 0x0000FBFFFBFFFBFFull // the largest finite ones
static inline uint64_t pe_wire_speed_lanes(const uint16_t velocity[3])
{
	return pe_wire_word(velocity) & 0x00007FFF7FFF7FFFull;
}
static inline bool pe_wire_speed_above(uint64_t velocity_lanes, uint64_t lanes)
{
	return ((lanes - velocity_lanes) & PE_WIRE_SPEED_LANES) != PE_WIRE_SPEED_LANES;
}
// The frequency that is to be taken, and above it the one that is announced.
static inline uint32_t pe_wire_frequencies(const struct pe_wire_update *u)
{
	uint32_t both;

	memcpy(&both, &u->frequency, sizeof both);
	return both;
}
static_assert(offsetof(struct pe_wire_update, update_frequency) ==
		offsetof(struct pe_wire_update, frequency) + 2,
	"two in a word");

#define PE_WIRE_AT(field) offsetof(struct pe_wire_header, field)

// Records of an ordinary update packet, or 0. The records begin after header and preamble.
static inline unsigned pe_wire_ordinary_packet(const uint8_t *data, uint32_t bytes)
{
	const uint32_t fixed_bytes =
		sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble);
	uint64_t first, count, zero;

	if (bytes < fixed_bytes)
		return 0;
	first = pe_wire_word(data) & 0xFFFFFFFFu;       // version, type, flags
	count = pe_wire_word(data + PE_WIRE_AT(count)); // and the reserved fields behind it
	zero = pe_wire_word(data + PE_WIRE_AT(session_id)) |
		pe_wire_word(data + PE_WIRE_AT(reserved2)) | pe_wire_word(data + PE_WIRE_AT(tag)) |
		pe_wire_word(data + PE_WIRE_AT(tag) + 8) |
		pe_wire_word(data + fixed_bytes - 8) >> 32; // the preamble's reserved
	if ((first ^ (PE_WIRE_VERSION | PE_TYPE_SPATIAL_UPDATE << 8)) | zero)
		return 0;
	if (count - 1 >= PE_UPDATE_COUNT_MAX ||
		bytes != fixed_bytes + (uint32_t)count * sizeof(struct pe_wire_update))
		return 0;
	return (unsigned)count;
}
static_assert(PE_WIRE_AT(version) == 0 && PE_WIRE_AT(type) == 1 && PE_WIRE_AT(flags) == 2 &&
		PE_WIRE_AT(reserved0) == PE_WIRE_AT(count) + 2 &&
		PE_WIRE_AT(reserved1) == PE_WIRE_AT(count) + 4,
	"the words that are compared");

// A record as it is loaded, so that what is stored of it need not be read again: id, place and what
// follows it, and the rest.
struct pe_wire_lanes {
	__m128i id;
	__m256d place;
	__m256i rest;
};
static_assert(sizeof(struct pe_wire_update) == 16 + 32 + 32 &&
		offsetof(struct pe_wire_update, position) == 16 &&
		offsetof(struct pe_wire_update, ttl_ms) == 48,
	"lanes");

static inline struct pe_wire_lanes pe_wire_load_record(const void *record)
{
	const uint8_t *at = record;

	return (struct pe_wire_lanes){
		.id = _mm_loadu_si128((const __m128i *)(const void *)at),
		.place = _mm256_castsi256_pd(
			_mm256_loadu_si256((const __m256i *)(const void *)(at + 16))),
		.rest = _mm256_loadu_si256((const __m256i *)(const void *)(at + 48)),
	};
}

static inline void pe_wire_store_record(struct pe_wire_update *u, const struct pe_wire_lanes *lanes)
{
	_mm_storeu_si128((__m128i *)(void *)u->entity_id, lanes->id);
	_mm256_storeu_pd(u->position, lanes->place);
	_mm256_storeu_si256((__m256i *)(void *)&u->ttl_ms, lanes->rest);
}

// What records of a space were so far, beyond which none is ordinary.
struct pe_wire_seen {
	uint64_t speed_lanes; // the greatest along each axis
	uint32_t precision_bits;
};

// An ordinary record: a STATIC or MOBILE entity in a state that is not CUSTOM, nothing reserved,
// PUBLIC and EXACT, its height known, every number within its bounds, no faster along an axis and
// no coarser than others were (so it is finite). u: the same record, stored.
static inline bool pe_wire_ordinary_lanes(const struct pe_wire_lanes *lanes,
	const struct pe_wire_update *u, const struct pe_wire_ordinary *o, struct pe_wire_seen seen)
{
	const __m256d magnitude = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
	// Three coordinates and what follows them. Ordered comparison: NaN is not within.
	__m256d v = _mm256_and_pd(lanes->place, magnitude);
	int within =
		_mm256_movemask_pd(_mm256_cmp_pd(v, _mm256_load_pd(o->position_max), _CMP_LE_OQ));
	uint64_t velocity = pe_wire_speed_lanes(u->velocity);
	uint64_t tail = pe_wire_word(&u->update_frequency);
	uint32_t radius, precision;
	uint64_t rare;

	memcpy(&radius, &u->radius_m, sizeof radius);
	memcpy(&precision, &u->precision_m, sizeof precision);
	rare = ~(seen.speed_lanes - velocity) & PE_WIRE_SPEED_LANES;
	// attributes in bits 48–63: the state's codes 0–3, power mode and relocation are ordinary;
	// custom_state 40–47 is zero; entity_type 32–39 is 0 or 1.
	rare |= tail &
		~((uint64_t)(3u | 3u << 5 | PE_ATTRIBUTE_RELOCATION) << 48 | 1ull << 32 |
			0xFFFFFFFFull);
	// Floats that are not negative order like their bits.
	rare |= (uint64_t)(radius > 0x7F7FFFFFu) | (uint64_t)(precision > seen.precision_bits);
	rare |= (uint64_t)(u->ttl_ms > o->ttl_max_ms) | (uint64_t)(u->duration_ms > o->ttl_max_ms);
	rare |= (uint64_t)((within & 7) != 7);
	rare |= (uint64_t)_mm_testz_si128(lanes->id, lanes->id);
	return rare == 0;
}

// The same of a record that stands somewhere, as coarse as its space allows.
static inline bool pe_wire_ordinary_record(
	const struct pe_wire_update *u, const struct pe_wire_ordinary *o, uint64_t speed_lanes)
{
	struct pe_wire_lanes lanes = pe_wire_load_record(u);

	return pe_wire_ordinary_lanes(
		&lanes, u, o, (struct pe_wire_seen){speed_lanes, o->precision_max_bits});
}
static_assert(offsetof(struct pe_wire_update, update_frequency) == 72 &&
		offsetof(struct pe_wire_update, position_confidence) == 74 &&
		offsetof(struct pe_wire_update, entity_type) == 76 &&
		offsetof(struct pe_wire_update, custom_state) == 77 &&
		offsetof(struct pe_wire_update, attributes) == 78,
	"the word that is compared");
