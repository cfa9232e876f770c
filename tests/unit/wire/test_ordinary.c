// What the short checks call ordinary must be sound by the full ones, and what ordinary streams are
// made of must be called ordinary: random messages, each with a few bits changed.
#include "testing.h"
#include "testing_wire.h"
#include "wire/ordinary.h"

#include <math.h>

#define ROUNDS 300000

static const struct pe_wire_limits limits[2] = {
	{.geodetic = false, .ttl_max_ms = 86400000, .precision_max_m = 1000},
	{.geodetic = true, .ttl_max_ms = 60000, .precision_max_m = 50},
};

static struct pe_wire_update plain_update(void)
{
	struct pe_wire_update u = {
		.position = {(double)random_below(170) - 85, (double)random_below(340) - 170, 1.5},
		.sequence = (uint32_t)random_u64(),
		.time_offset_ms = (int32_t)random_below(2000) - 1000,
		.ttl_ms = random_below(60001),
		.duration_ms = random_below(2) ? random_below(60001) : 0,
		.radius_m = (float)random_below(1000),
		.precision_m = (float)random_below(51),
		.velocity = {(uint16_t)random_below(0x7C00),
			(uint16_t)(0x8000 + random_below(0x7C00)), 0},
		.frequency = (uint16_t)random_u64(),
		.update_frequency = (uint16_t)random_u64(),
		.position_confidence = (uint8_t)random_u64(),
		.status_confidence = (uint8_t)random_u64(),
		.entity_type = (uint8_t)random_below(2),
		.attributes = (uint16_t)(random_below(4) | random_below(4) << 5 |
			(random_below(2) ? PE_ATTRIBUTE_RELOCATION : 0)),
	};

	random_bytes(u.entity_id, sizeof u.entity_id);
	return u;
}

// Bits changed anywhere, and now and then a number that is rare.
static void disturb(uint8_t *bytes, unsigned count)
{
	static const double rare[] = {
		0.0, -0.0, 90.0, 90.00001, 180.0, 180.00001, INFINITY, NAN, -INFINITY};

	for (unsigned n = random_below(3); n > 0; n--)
		bytes[random_below(count)] ^= (uint8_t)(1u << random_below(8));
	if (count == sizeof(struct pe_wire_update) && random_below(4) == 0)
		memcpy(bytes + 16 + 8 * random_below(3), &rare[random_below(9)], 8);
	if (count == sizeof(struct pe_wire_update) && random_below(4) == 0)
		memcpy(bytes + 56 + 4 * random_below(2), &(float){(float)rare[random_below(9)]}, 4);
}

static void records(void)
{
	unsigned ordinary = 0, rare_and_sound = 0, unsound = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		const struct pe_wire_limits *l = &limits[i & 1];
		struct pe_wire_ordinary o = pe_wire_ordinary_make(l);
		struct pe_wire_update u = plain_update();

		CU_ASSERT_TRUE(pe_wire_ordinary_record(&u, &o, PE_WIRE_SPEED_LANES_ANY));
		disturb((uint8_t *)&u, sizeof u);
		if (pe_wire_ordinary_record(&u, &o, PE_WIRE_SPEED_LANES_ANY)) {
			ordinary++;
			CU_ASSERT_EQUAL(pe_wire_check_update(&u, l), PE_REASON_none);
		} else if (pe_wire_check_update(&u, l) == PE_REASON_none) {
			rare_and_sound++;
		} else {
			unsound++;
		}
	}
	// Else the comparison above compares nothing.
	CU_ASSERT(
		ordinary > ROUNDS / 10 && rare_and_sound > ROUNDS / 1000 && unsound > ROUNDS / 10);
}

// Who is faster along any axis than all before is not ordinary, in either direction.
static void speeds(void)
{
	const struct pe_wire_ordinary o = pe_wire_ordinary_make(&limits[0]);

	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		struct pe_wire_update u = plain_update();
		uint64_t seen = PE_WIRE_SPEED_LANES;
		bool above = false;

		for (unsigned k = 0; k < 3; k++) {
			uint16_t most = (uint16_t)random_below(0x7C00), own = most;

			if (random_below(2))
				own = (uint16_t)(random_below(2) ? most + random_below(2) :
								   random_below(0x7C00));
			if (own >= 0x7C00)
				own = 0x7BFF;
			above |= own > most;
			seen |= (uint64_t)most << 16 * k;
			u.velocity[k] = (uint16_t)(own | (random_below(2) ? 0x8000 : 0));
		}
		CU_ASSERT_EQUAL(pe_wire_ordinary_record(&u, &o, seen), !above);
		CU_ASSERT_EQUAL(pe_wire_speed_above(pe_wire_speed_lanes(u.velocity), seen), above);
	}
}

static void packets(void)
{
	unsigned ordinary = 0, not_ordinary = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct pe_wire_header header = {.stream_id = (uint32_t)random_u64(),
			.sequence = random_u64(),
			.timestamp_ms = random_u64()};
		struct pe_wire_update_preamble preamble = {.incarnation = (uint32_t)random_u64()};
		struct pe_wire_update update[PE_UPDATE_COUNT_MAX];
		unsigned count = 1 + random_below(PE_UPDATE_COUNT_MAX);
		uint8_t bytes[PE_WIRE_BYTES_MAX];
		struct pe_wire_view view;
		uint32_t length;

		for (unsigned n = 0; n < count; n++)
			update[n] = plain_update();
		length = pe_wire_put_update(bytes, sizeof bytes, &header, &preamble, update, count);
		CU_ASSERT_EQUAL(pe_wire_ordinary_packet(bytes, length), count);
		disturb(bytes, 104);
		if (random_below(8) == 0)
			length = random_below(length + 1);
		if (pe_wire_ordinary_packet(bytes, length)) {
			ordinary++;
			CU_ASSERT_EQUAL(pe_wire_check(bytes, length, &view), PE_REASON_none);
			CU_ASSERT_EQUAL(view.count, pe_wire_ordinary_packet(bytes, length));
			CU_ASSERT_EQUAL(view.header.type, PE_TYPE_SPATIAL_UPDATE);
			CU_ASSERT_EQUAL(view.header.flags, 0);
			CU_ASSERT_PTR_EQUAL(view.records, bytes + 104);
		} else {
			not_ordinary++;
		}
	}
	CU_ASSERT(ordinary > ROUNDS / 10 && not_ordinary > ROUNDS / 10);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"records", records},
		{"speeds", speeds},
		{"packets", packets},
	};

	random_seed();
	return testing_main("wire ordinary", cases, sizeof cases / sizeof cases[0]);
}
