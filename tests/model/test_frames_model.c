// RELATIVE entities at random: whatever was sent, withdrawn or has expired, whoever follows a
// parent that is there stands where the parent's place and orientation, as an answer shows them,
// put it. The seed is printed; PE_TEST_SEED is added to it.
#include "detailed.h"
#include "draw.h"
#include "harness.h"

#include <math.h>
#include <string.h>

#define ENTITIES 16u

static struct harness h;
static struct harness_answer a;
static unsigned sequence[1 + ENTITIES], follows[1 + ENTITIES]; // 0: nobody
static uint64_t expires_ms[1 + ENTITIES];                      // 0: not there
static unsigned compared, refused;

static void gone(unsigned n)
{
	expires_ms[n] = 0;
	follows[n] = 0;
	for (unsigned i = 1; i <= ENTITIES; i++)
		if (follows[i] == n)
			follows[i] = 0;
}

static void settle(void)
{
	// A child of a child of a child waits for each crossing before its own.
	for (unsigned i = 0; i < 8; i++) {
		harness_settle(&h);
		harness_advance(&h, 1);
	}
	for (unsigned n = 1; n <= ENTITIES; n++)
		if (expires_ms[n] && h.now.mono_ms >= expires_ms[n])
			gone(n);
}

static void update(unsigned n)
{
	struct pe_wire_update u =
		harness_update(n, ++sequence[n], below(400), below(400), below(20));
	unsigned parent = below(3) ? 1 + below(ENTITIES) : 0;
	struct pe_wire_ack_record ack;
	struct detailed d;
	double half = below(360) * 3.14159265358979 / 360;
	uint8_t id[16];

	u.ttl_ms = 2000 + below(100000);
	if (below(4) == 0) { // a plain one ends the relation
		ack = harness_send(&h, 0, HARNESS_INCARNATION, &u);
		parent = 0;
	} else {
		detailed_begin(&d, &u);
		if (below(2))
			detailed_orientation(&d, 0, (float)sin(half), 0, (float)cos(half));
		harness_id(id, parent);
		if (parent)
			detailed_put(&d, PE_DETAILS_FRAME, id, sizeof id);
		ack = harness_send_detailed(&h, 0, HARNESS_INCARNATION, d.bytes);
	}
	settle();
	if (ack.status == PE_ACK_REFUSED) {
		CU_ASSERT_EQUAL(ack.reason, PE_REASON_frame_unknown);
		CU_ASSERT(parent != 0);
		refused++;
		return;
	}
	expires_ms[n] = h.now.mono_ms - 8 + u.ttl_ms;
	// It may have expired meanwhile.
	follows[n] = parent && expires_ms[parent] ? parent : 0;
}

struct seen {
	bool there;
	double position[3], turn[4], relative[3];
	unsigned parent; // 0: in no frame
};

static struct seen seen[1 + ENTITIES];

static void look(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

	memset(seen, 0, sizeof seen);
	q.flags |= PE_QUERY_WITH_DETAILS;
	harness_ask(&h, 0, 0, &q, &a);
	for (unsigned i = 0; i < a.count; i++) {
		uint64_t n = harness_id_number(a.results[i].entity_id);
		struct pe_details_blocks b;
		struct seen *s = &seen[n];

		CU_ASSERT_FATAL(n >= 1 && n <= ENTITIES && !s->there);
		*s = (struct seen){.there = true, .turn = {0, 0, 0, 1}};
		memcpy(s->position, a.results[i].position, sizeof s->position);
		pe_wire_get_details(a.details + a.details_at[i], &b);
		if (b.content[PE_DETAILS_ORIENTATION]) {
			struct pe_wire_orientation o;

			memcpy(&o, b.content[PE_DETAILS_ORIENTATION], sizeof o);
			for (unsigned k = 0; k < 4; k++)
				s->turn[k] = (double)o.q[k];
		}
		if (b.content[PE_DETAILS_FRAME]) {
			struct pe_wire_placed p;

			memcpy(&p, b.content[PE_DETAILS_FRAME], sizeof p);
			s->parent = (unsigned)harness_id_number(p.parent_id);
			memcpy(s->relative, p.position, sizeof s->relative);
		}
	}
}

// v by q and by what q's entity is turned by, with the matrix of the quaternion.
static bool turn(unsigned n, const double v[3], double out[3], unsigned depth)
{
	const double *q = seen[n].turn, x = q[0], y = q[1], z = q[2], w = q[3];
	const double m[3][3] = {{1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)},
		{2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)},
		{2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)}};
	double t[3];

	for (unsigned i = 0; i < 3; i++)
		t[i] = m[i][0] * v[0] + m[i][1] * v[1] + m[i][2] * v[2];
	memcpy(out, t, sizeof t);
	if (!seen[n].parent)
		return true;
	// Who is not known to follow stands where it stood, and nobody below it is held to
	// anything.
	if (depth == 0 || !follows[n] || !seen[seen[n].parent].there)
		return false;
	return turn(seen[n].parent, t, out, depth - 1);
}

static void check(void)
{
	look();
	for (unsigned n = 1; n <= ENTITIES; n++) {
		const struct seen *s = &seen[n];
		double offset[3];

		CU_ASSERT_EQUAL(s->there, expires_ms[n] != 0);
		if (!s->there || !follows[n])
			continue;
		CU_ASSERT_EQUAL(s->parent, follows[n]);
		if (!turn(s->parent, s->relative, offset, 3))
			continue;
		for (unsigned i = 0; i < 3; i++)
			CU_ASSERT(fabs(s->position[i] - seen[s->parent].position[i] - offset[i]) <
				1e-3);
		compared++;
	}
}

static void run(uint64_t seed)
{
	struct pe_engine_config config = harness_config();
	const char *more = getenv("PE_TEST_SEED");

	seed += more ? strtoull(more, NULL, 0) : 0;
	printf("seed %llu ", (unsigned long long)seed);
	state = seed;
	compared = refused = 0;
	memset(sequence, 0, sizeof sequence);
	memset(follows, 0, sizeof follows);
	memset(expires_ms, 0, sizeof expires_ms);
	config.details_bytes = 1 << 20;
	harness_failed = testing_failed;
	harness_start(&h, &config);
	for (uint64_t i = 0; i < testing_amount(4000); i++) {
		unsigned n = 1 + below(ENTITIES), what = below(10);

		if (what < 8) {
			update(n);
		} else if (what == 8 && expires_ms[n]) {
			(void)harness_withdraw(&h, 0, HARNESS_INCARNATION, n, ++sequence[n]);
			gone(n);
			settle();
		} else {
			harness_advance(&h, below(3000));
			settle();
		}
		check();
		if (CU_get_number_of_failures() > 20)
			break;
	}
	CU_ASSERT(compared > testing_amount(4000) && refused > testing_amount(4000) / 20);
	harness_stop(&h);
}

static void in_order(void)
{
	run(20261130);
}

TESTING_MAIN("frames model", {"in order", in_order})
