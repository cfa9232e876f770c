// What is believed of where an entity is: limits of speed by type, quarantine, confirmation,
// relocation, and what is kept of suspects.
#include "testing_directory.h"

#include "surely.h"
#include "wire/half.h"

#define LIMIT 10.0f // m/s

static struct pe_engine_config slow(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].speed_max_mps[PE_ENTITY_MOBILE] = LIMIT;
	config.spaces[EARTH].speed_max_mps[PE_ENTITY_MOBILE] = LIMIT;
	return config;
}

static uint64_t began_ms;

static void begin(const struct pe_engine_config *config)
{
	start_with(config);
	began_ms = h.now.wall_ms;
}

// At so many ms of event time, which the clock of the engine has reached already.
static struct pe_wire_ack_record at(uint64_t n, uint32_t sequence, double x, int32_t ms)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	u.time_offset_ms = ms - (int32_t)(h.now.wall_ms - began_ms);
	return send(&u);
}

static void a_jump_is_quarantined(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_ack_record a;

	begin(&config);
	h.now.wall_ms += 100000;
	ASSERT_STATUS(at(1, 1, 0, 0), PE_ACK_APPLIED); // the first word is anybody's
	ASSERT_STATUS(at(1, 2, 10, 1000), PE_ACK_APPLIED);
	ASSERT_STATUS(at(1, 3, 0, 2000), PE_ACK_APPLIED);
	a = at(1, 4, 10.01, 3000);
	ASSERT_REFUSED(a, implausible);
	CU_ASSERT_EQUAL(a.known_sequence, 3);
	ASSERT_AT(1, 0);
	// Nothing of it is kept: the old course goes on, with the same pair even.
	ASSERT_STATUS(at(1, 4, 9, 3000), PE_ACK_APPLIED);
	// At once is too soon for any way at all, but not to say where it is once more.
	ASSERT_REFUSED(at(1, 5, 9.01, 3000), implausible);
	ASSERT_STATUS(at(1, 6, 9, 3000), PE_ACK_APPLIED);
	// The time is counted from the newest accepted fix.
	ASSERT_STATUS(at(1, 7, 100, 12100), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, implausible), 2);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), 0);
	stop();
}

static void a_second_fix_is_believed(void)
{
	struct pe_engine_config config = slow();

	begin(&config);
	h.now.wall_ms += 100000;
	ASSERT_STATUS(at(1, 1, 0, 0), PE_ACK_APPLIED);
	ASSERT_REFUSED(at(1, 2, 5000, 1000), implausible);
	ASSERT_REFUSED(at(1, 2, 5000, 1000), implausible); // the same once more is no second word
	ASSERT_REFUSED(at(1, 3, 5000, 1000), implausible); // nor is one of the same time
	ASSERT_REFUSED(at(1, 4, 5020, 2000), implausible); // nor one that is as far away again
	ASSERT_REFUSED(at(1, 5, 5000, 3000), implausible);
	ASSERT_AT(1, 0);
	ASSERT_STATUS(at(1, 6, 5010, 4000), PE_ACK_APPLIED);
	ASSERT_AT(1, 5010);
	// And back again is a jump like any other.
	ASSERT_REFUSED(at(1, 7, 0, 5000), implausible);
	ASSERT_STATUS(at(1, 8, 5020, 6000), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), 1);
	stop();
}

// A word of the old course in between, and it begins anew.
static void between_two_places(void)
{
	struct pe_engine_config config = slow();

	begin(&config);
	h.now.wall_ms += 100000;
	ASSERT_STATUS(at(1, 1, 0, 0), PE_ACK_APPLIED);
	for (unsigned i = 0; i < 20; i++) {
		ASSERT_REFUSED(at(1, 2 + 2 * i, 5000, 1000 + 2000 * (int32_t)i), implausible);
		ASSERT_STATUS(at(1, 3 + 2 * i, 1, 2000 + 2000 * (int32_t)i), PE_ACK_APPLIED);
	}
	ASSERT_AT(1, 1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), 0);
	stop();
}

static void more_fixes(void)
{
	struct pe_engine_config config = slow();

	config.spaces[PLANE].plausible_fixes = 4;
	begin(&config);
	h.now.wall_ms += 100000;
	ASSERT_STATUS(at(1, 1, 0, 0), PE_ACK_APPLIED);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_REFUSED(at(1, 2 + i, 5000, 1000 * (1 + (int32_t)i)), implausible);
	ASSERT_STATUS(at(1, 9, 5000, 4000), PE_ACK_APPLIED);
	ASSERT_AT(1, 5000);
	stop();
}

// Who may say that it was moved on purpose: who is trusted and administrators in an open space, an
// owner in the others.
static void relocation(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_update u;

	config.spaces[EARTH].authorization = PE_AUTHORIZATION_FIRST;
	config.spaces[EARTH].space.kind = PE_SPACE_CARTESIAN;
	config.spaces[EARTH].space.worldwide = false;
	begin(&config);
	know_everyone();
	u = harness_update(1, 1, 0, 0, 0);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.attributes |= PE_ATTRIBUTE_RELOCATION;
	for (unsigned i = 0; i < 6; i++) {
		static const struct {
			bool untrusted;
			uint32_t principal;
			bool may;
		} rows[] = {{true, 0, false}, {true, BOB, false}, {true, OTHER, false},
			{false, 0, true}, {true, CLERK, true}, {true, ANN, true}};

		harness_settle(&h);
		u.sequence++;
		u.position[0] += 1000;
		h.untrusted = rows[i].untrusted;
		as(rows[i].principal);
		if (rows[i].may) {
			ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		} else {
			ASSERT_REFUSED(send(&u), implausible);
			u.position[0] -= 1000;
		}
		h.untrusted = false;
		ASSERT_AT(1, u.position[0]);
	}
	as(ANN);
	u = harness_update(5, 1, 0, 0, 0);
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	u.sequence++;
	u.position[0] = 1000;
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), implausible);
	u.attributes |= PE_ATTRIBUTE_RELOCATION;
	as(BOB);
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), owner);
	as(ANN);
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	stop();
}

// Neither a new life of the sender, nor a withdrawal, nor the end of its ttl is a way to be
// elsewhere.
static void another_life_is_no_way_around(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_update u;

	begin(&config);
	u = harness_update(1, 1, 0, 0, 0);
	u.ttl_ms = 1000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.position[0] = 5000;
	ASSERT_REFUSED(harness_send(&h, PLANE, HARNESS_INCARNATION + 1, &u), implausible);
	u.time_offset_ms = -10000; // with a clock that has stepped back
	ASSERT_REFUSED(harness_send(&h, PLANE, HARNESS_INCARNATION + 2, &u), implausible);
	u.time_offset_ms = 0;
	ASSERT_STATUS(withdraw(1, 2), PE_ACK_APPLIED);
	u.sequence = 3;
	ASSERT_REFUSED(send(&u), implausible);
	ASSERT_GONE(1);
	u.position[0] = 0;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 1000);
	ASSERT_GONE(1);
	u.sequence = 4;
	u.position[0] = 11;
	ASSERT_REFUSED(send(&u), implausible);
	u.position[0] = 10;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 1000);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	u.sequence = 1;
	u.position[0] = 9000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED); // nothing is known of it any more
	stop();
}

static void types_and_their_own_word(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 0);

	config.spaces[PLANE].speed_max_mps[4] = 1000;
	begin(&config);
	// Faster by its own word.
	u.velocity[0] = pe_half_from_float(6);
	u.velocity[1] = pe_half_from_float(8);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.velocity[2] = pe_half_from_float(1);
	ASSERT_REFUSED(send(&u), implausible);
	memset(u.velocity, 0, sizeof u.velocity);
	// What either type cannot do is not believed.
	u.entity_type = PE_ENTITY_CUSTOM + 3;
	u.position[0] = 500;
	h.now.wall_ms += 1000;
	ASSERT_REFUSED(send(&u), implausible);
	u.position[0] = 10;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 3;
	u.position[0] = 500;
	h.now.wall_ms += 1000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 4;
	u.position[0] = 1501;
	h.now.wall_ms += 1000;
	ASSERT_REFUSED(send(&u), implausible);
	// A type without a limit may do anything.
	u = harness_update(2, 1, 0, 0, 0);
	u.entity_type = PE_ENTITY_TEMPORARY;
	u.ttl_ms = 10000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[0] = 90000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	stop();
}

// Over the ground and, where both heights are known, up.
static void on_earth(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_update u = harness_update(1, 1, 60, 179.9999, 0);

	begin(&config);
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[1] = -179.9999; // 11.2 m on
	h.now.wall_ms += 1000;
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), implausible);
	h.now.wall_ms += 150;
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	u.sequence = 3;
	u.position[2] = 20;
	h.now.wall_ms += 1000;
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), implausible);
	u.position[2] = 0;
	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	u.sequence = 4;
	u.position[2] = 5000;
	u.attributes &= (uint16_t)~PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	stop();
}

// What a threshold holds back is the newest accepted place, though another one is seen.
static void from_what_is_held_back(void)
{
	struct pe_engine_config config = slow();

	config.spaces[PLANE].coalesce_distance_m = 50;
	begin(&config);
	h.now.wall_ms += 100000;
	ASSERT_STATUS(at(1, 1, 0, 0), PE_ACK_APPLIED);
	for (unsigned i = 1; i <= 5; i++)
		ASSERT_STATUS(at(1, 1 + i, 10 * i, 1000 * (int32_t)i), PE_ACK_COALESCED);
	ASSERT_AT(1, 0);
	ASSERT_REFUSED(at(1, 7, 39, 6000), implausible); // nearer to what is seen
	ASSERT_REFUSED(at(1, 8, -20, 6000), implausible);
	ASSERT_STATUS(at(1, 9, 60, 6000), PE_ACK_APPLIED);
	stop();
}

// Suspects beyond what is remembered begin anew, and nobody is believed for another's word.
static void more_suspects_than_places(void)
{
	struct pe_engine_config config = slow();
	const unsigned count = 900;

	begin(&config);
	h.now.wall_ms += 100000;
	for (unsigned n = 1; n <= count; n++)
		ASSERT_STATUS(at(n, 1, 0, 0), PE_ACK_APPLIED);
	for (unsigned n = 1; n <= count; n++)
		ASSERT_REFUSED(at(n, 2, 1000 + n, 1000), implausible);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), 0);
	for (unsigned n = 1; n <= count; n++) {
		ASSERT_STATUS(at(n, 3, 5, 2000), PE_ACK_APPLIED);
		ASSERT_REFUSED(at(n, 4, 2000, 3000), implausible);
		ASSERT_STATUS(at(n, 5, 2001, 4000), PE_ACK_APPLIED); // one at a time there is room
		harness_settle(&h);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), count);
	stop();
}

// What takes the place of a suspect that is gone and forgotten is none.
static void the_next_in_its_place(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_update u;

	config.entity_count_max = 1;
	begin(&config);
	h.now.wall_ms += 100000;
	u = harness_update(1, 1, 0, 0, 0);
	u.ttl_ms = 1000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[0] = 5000;
	ASSERT_REFUSED(send(&u), implausible);
	harness_advance(&h, 1000);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	u = harness_update(2, 1, 0, 0, 0);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	h.now.wall_ms += 1000;
	u.sequence = 3;
	u.position[0] = 5000;
	ASSERT_REFUSED(send(&u), implausible);
	stop();
}

static void at_the_wrong_worker(void)
{
	struct pe_engine_config config = slow();

	config.worker_count = 2;
	begin(&config);
	h.now.wall_ms += 100000;
	for (unsigned n = 1; n <= 50; n++)
		for (unsigned i = 0; i < 4; i++) {
			struct pe_wire_update u = harness_update(n, 1 + i, i ? 4000 : 0, 0, 0);

			u.time_offset_ms = 1000 * (int32_t)i - 100000;
			if (i == 3)
				u.position[0] = 4010;
			(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
			harness_turn_worker(&h, (n ^ i) & 1);
			harness_settle(&h);
		}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, implausible), 50);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), 50);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 150);
	stop();
}

// A child whose parent is brought elsewhere is elsewhere itself.
static void frames_are_no_way_around(void)
{
	struct pe_engine_config config = slow();
	struct pe_wire_update u = harness_update(2, 1, 0, 0, 0);
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX], parent[16];

	config.details_bytes = 1 << 20;
	begin(&config);
	harness_id(parent, 1);
	ASSERT_STATUS(at(1, 1, 5000, 0), PE_ACK_APPLIED);
	ASSERT_STATUS(at(2, 1, 0, 0), PE_ACK_APPLIED);
	h.now.wall_ms += 1000;
	u.sequence = 2;
	CU_ASSERT(pe_wire_begin_details(record, sizeof record, &u) > 0);
	CU_ASSERT(pe_wire_put_details(
			  record, sizeof record, PE_DETAILS_FRAME, parent, sizeof parent) > 0);
	ASSERT_REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record), implausible);
	ASSERT_AT(2, 0);
	stop();
}

// Of what is rounded no more is known than its cell: a step over a cell's edge is no jump, and a
// jump is one.
static void veiled(void)
{
	static const uint16_t wishes[] = {2u << 7, PE_HIDDEN << 3 | 2u << 7};

	for (unsigned i = 0; i < 2; i++) {
		struct pe_engine_config config = slow();
		struct pe_wire_update u;

		begin(&config);
#define SAY(x_, n_) \
	(u = harness_update(1, (n_), (x_), 0, 0), u.attributes |= wishes[i], \
		u.time_offset_ms = 1000 * (int32_t)(n_)-100000, send(&u))
		h.now.wall_ms += 100000;
		ASSERT_STATUS(SAY(9.5, 1), PE_ACK_APPLIED);
		ASSERT_STATUS(SAY(10.5, 2), PE_ACK_APPLIED); // the middles are 10 m apart
		ASSERT_STATUS(SAY(19, 3), PE_ACK_APPLIED);
		harness_settle(&h);
		ASSERT_STATUS(SAY(29, 4), PE_ACK_APPLIED);
		harness_settle(&h);
		ASSERT_REFUSED(SAY(5000, 5), implausible);
		CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 1);
		ASSERT_STATUS(SAY(5005, 6), PE_ACK_APPLIED);
		harness_settle(&h);
		// Shown as it is from now on: what is known is still the cell.
		u = harness_update(1, 7, 5015, 0, 0);
		u.time_offset_ms = 7000 - 100000;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		ASSERT_AT(1, 5015);
		CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, believed), 1);
		// What it says of its own speed is not veiled.
		u = harness_update(1, 8, 5015, 0, 0);
		u.attributes |= wishes[i];
		u.time_offset_ms = 8000 - 100000;
		u.velocity[0] = pe_half_from_float(100);
		ASSERT_REFUSED(send(&u), implausible);
#undef SAY
		stop();
	}
}

// What is sure without a look at distances is never less than the distance, and of short ways
// hardly more.
static void bound_of_the_way(void)
{
	struct pe_engine_config config = slow();
	uint64_t state = 20261126;
	double widest = 0;

	start_with(&config);
	printf("seed %llu ", (unsigned long long)state);
	for (uint64_t i = 0; i < testing_amount(200000); i++) {
		const struct pe_space *space = &h.engine->spaces[i & 1 ? EARTH : PLANE].space;
		double from[3], to[3], d, bound, most, r[8];
		bool near_pole = i % 16 == 3, around = i % 16 == 5;

		for (unsigned k = 0; k < 8; k++)
			r[k] = (double)(testing_random(&state) >> 11) * 0x1p-53;
		// From a millimetre to half of the Earth, and on Earth any latitude.
		most = pow(10, r[6] * 10 - 8);
		from[0] = near_pole ? 90 - 1e-3 * r[0] : 180 * r[0] - 90;
		from[1] = around ? 180 - 1e-6 * r[1] : 360 * r[1] - 180;
		from[2] = i & 2 ? 0 : 30000 * r[2] - 10000;
		to[0] = fmax(-90, fmin(90, from[0] + most * (2 * r[3] - 1)));
		to[1] = remainder(from[1] + most * (2 * r[4] - 1), 360);
		to[2] = i & 2 ? 0 : from[2] + 1e5 * most * (2 * r[5] - 1);
		bound = sqrt(pe_surely_square(space->config.kind, from, to));
		d = pe_space_distance(space, from, to, true);
		CU_ASSERT(bound * (1 + 1e-12) + 1e-7 >= d);
		if (i & 1)
			d = pe_space_distance(space, from, to, false);
		CU_ASSERT(bound * (1 + 1e-12) + 1e-7 >= d);
		if (most < 0.01 && fabs(from[0]) < 80 && (i & 2) && d > 1e-3)
			widest = fmax(widest, bound / d);
	}
	printf("(short ways at most %.4f times as long) ", widest);
	CU_ASSERT(widest > 1 && widest < 1.02);
	stop();
}

TESTING_MAIN("engine: plausible", {"a jump is quarantined", a_jump_is_quarantined},
	{"a second fix is believed", a_second_fix_is_believed},
	{"between two places", between_two_places}, {"more fixes", more_fixes},
	{"relocation", relocation},
	{"another life is no way around", another_life_is_no_way_around},
	{"types and their own word", types_and_their_own_word}, {"on Earth", on_earth},
	{"from what is held back", from_what_is_held_back},
	{"more suspects than places", more_suspects_than_places},
	{"the next in its place", the_next_in_its_place},
	{"at the wrong worker", at_the_wrong_worker},
	{"frames are no way around", frames_are_no_way_around}, {"veiled", veiled},
	{"bound of the way", bound_of_the_way})
