// Small number formats of the wire: IEEE 754 binary16 for velocities and precisions, and one byte
// for a confidence. Conversions are single instructions of x86-64-v3 (F16C). No state; any thread.
#pragma once

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#define PE_HALF_MAX 65504.0f // the largest finite binary16

// Exact for every half; infinities and NaN stay what they are.
static inline float pe_half_to_float(uint16_t half)
{
	return _cvtsh_ss(half);
}

// Rounds to nearest even. A finite value beyond ±65504, and an infinity, gives ±65504, so that what
// the engine sends is always finite; NaN stays NaN.
static inline uint16_t pe_half_from_float(float value)
{
	// Both give their second operand where one is a NaN.
	__m128 v = _mm_min_ss(_mm_set_ss(PE_HALF_MAX), _mm_set_ss(value));

	v = _mm_max_ss(_mm_set_ss(-PE_HALF_MAX), v);
	return (uint16_t)_mm_cvtsi128_si32(_mm_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

static inline bool pe_half_finite(uint16_t half)
{
	return (half & 0x7C00u) != 0x7C00u;
}

// 0 on the wire = not stated, told as −1; else 0.0 … 1.0.
static inline float pe_confidence_to_float(uint8_t wire)
{
	return wire ? (float)(wire - 1) / 254.0f : -1.0f;
}

// Negative or NaN = not stated; above 1 counts as 1. Rounds to nearest.
static inline uint8_t pe_confidence_from_float(float confidence)
{
	if (!(confidence >= 0.0f))
		return 0;
	if (confidence > 1.0f)
		confidence = 1.0f;
	return (uint8_t)(1 + (unsigned)(confidence * 254.0f + 0.5f));
}
