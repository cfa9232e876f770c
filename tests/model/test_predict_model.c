// Predictions against a model: things that go straight, turn, stop and set off again, on a plane
// and on Earth (at a pole, across the antimeridian, where frames meet), report at random, late and
// with noise, fall silent and come back. What their courses cover, when the trailing edge comes,
// and what is shown meanwhile is worked out here from PROJ's geodesic; no covered report may be
// further from the course than the threshold. Questions about a later moment are compared with
// brute force, and their bounds with where the things then are. PE_TEST_SEED repeats a run.
#include "base/limits.h"
#include "harness.h"
#include "model/plain_geometry.h"
#include "testing.h"
#include "wire/extension.h"
#include "wire/half.h"

#include <geodesic.h>
#include <inttypes.h>
#include <time.h>

#define PLANE       0u
#define EARTH       1u
#define SITES       6u // the plane, and places on Earth
#define MOVERS      (SITES * 16u)
#define STEPS       20000u
#define THRESHOLD_M 8.0
#define HORIZON_MS  20000
#define UNSAID      0xFF // a report's status, without an acknowledgement

static const double site[SITES][2] = {
	{0, 0}, {48.85, 2.35}, {90, 0}, {-12, 180}, {35.3, 45}, {-89.9, 60}};
static const double factor[4] = {1, 2, 8, 1};

struct state {
	double position[3], velocity[3];
	uint64_t time_ms; // Unix
	bool height_known;
};

static struct mover {
	unsigned space, mode;
	struct state truth, before, shown, newest; // before: the step before
	// degrees/s; m; the highest speed since what is shown, and since what is held back
	double turning, noise_m, fastest, fastest_held;
	bool there, held, silent;
	uint64_t due, accepted_ms; // monotonic; Unix
	uint32_t sequence, every_ms, announced;
	uint64_t next_report;
	struct state foreseen; // for the next step, as a result said
	double foreseen_m;
	bool was_foreseen;
} movers[1 + MOVERS];

static struct harness h;
static struct pe_space space[2];
static struct geod_geodesic geodesic;
static struct harness_answer answer;
static uint64_t seed, state, reports, covered, covered_far, trailed, at_an_edge, asked, results,
	within, bounds_checked;
static double worst_m;
static unsigned wrong;

static unsigned below(unsigned n)
{
	return (unsigned)((testing_random(&state) >> 32) * n >> 32);
}

static double between(double a, double b)
{
	return a + (b - a) * ((double)(testing_random(&state) >> 11) * 0x1p-53);
}

#define EXPECT(what, n, ...) \
	do { \
		if (!(what) && wrong++ < 8) { \
			printf("\n%s:%d: %s: at %" PRIu64 ", %u: ", __FILE__, __LINE__, #what, \
				h.now.mono_ms, n); \
			printf(__VA_ARGS__); \
		} \
	} while (0)

static void failed(const char *what, const char *file, int line)
{
	if (wrong++ < 8)
		printf("\n%s:%d: %s", file, line, what);
}

// ---- motion ----

static double speed_of(const struct state *s)
{
	return sqrt(dot(s->velocity, s->velocity));
}

// On by so many seconds without turning. On Earth the azimuth at the end is the geodesic's.
static struct state go(unsigned in, const struct state *from, double seconds)
{
	const double *p = from->position, *v = from->velocity;
	double azimuth = atan2(v[0], v[1]), along = hypot(v[0], v[1]), sine = sin(p[0] * DEGREE),
	       there;
	double n = WGS84_A / sqrt(1 - WGS84_E2 * sine * sine),
	       m = n * (1 - WGS84_E2) / (1 - WGS84_E2 * sine * sine);
	double radius = 1 / (pow(cos(azimuth), 2) / m + pow(sin(azimuth), 2) / n);
	struct state to = *from;

	if (in == PLANE) {
		for (unsigned i = 0; i < 3; i++)
			to.position[i] += v[i] * seconds;
		return to;
	}
	if (along > 0) {
		geod_direct(&geodesic, p[0], p[1], azimuth / DEGREE,
			along * seconds * radius / (radius + (from->height_known ? p[2] : 0)),
			&to.position[0], &to.position[1], &there);
		to.velocity[0] = along * sin(there * DEGREE);
		to.velocity[1] = along * cos(there * DEGREE);
	}
	if (from->height_known)
		to.position[2] += v[2] * seconds;
	return to;
}

static void turn(struct state *s, double degrees)
{
	double c = cos(degrees * DEGREE), x = sin(degrees * DEGREE), e = s->velocity[0],
	       n = s->velocity[1];

	s->velocity[0] = c * e + x * n;
	s->velocity[1] = c * n - x * e;
}

static double apart(unsigned in, const struct state *a, const struct state *b)
{
	double p[3], q[3], square = 0;

	if (in == PLANE) {
		for (unsigned i = 0; i < 3; i++)
			square += pow(a->position[i] - b->position[i], 2);
		return sqrt(square);
	}
	ecef(a->position[0], a->position[1], 0, p);
	ecef(b->position[0], b->position[1], 0, q);
	for (unsigned i = 0; i < 3; i++)
		square += pow(p[i] - q[i], 2);
	if (a->height_known && b->height_known)
		square += pow(a->position[2] - b->position[2], 2);
	return sqrt(square);
}

static double turned(unsigned in, const struct state *a, const struct state *b)
{
	double d[3], axis[2][3][3];

	for (unsigned i = 0; i < 3; i++)
		d[i] = b->velocity[i] - a->velocity[i];
	if (in == PLANE)
		return sqrt(dot(d, d));
	double up = a->height_known ? d[2] : 0;

	local_axes(a->position[0], a->position[1], axis[0]);
	local_axes(b->position[0], b->position[1], axis[1]);
	for (unsigned i = 0; i < 3; i++)
		d[i] = b->velocity[0] * axis[1][0][i] + b->velocity[1] * axis[1][1][i] -
			a->velocity[0] * axis[0][0][i] - a->velocity[1] * axis[0][1][i];
	return sqrt(dot(d, d) + up * up);
}

// Where the course of what is shown leads, at most to the horizon.
static struct state course(const struct mover *m, uint64_t at_ms)
{
	double ms = (double)(int64_t)(at_ms - m->shown.time_ms);

	return go(m->space, &m->shown, fmin(fmax(ms, 0), HORIZON_MS) / 1000);
}

static void begin(struct mover *m, unsigned at)
{
	double reach = pow(10, between(0, 3)), speed = below(5) ? pow(10, between(-1, 2)) : 0;

	*m = (struct mover){.space = at ? EARTH : PLANE, .sequence = m->sequence, .mode = below(4)};
	m->truth.height_known = !at || below(4);
	if (at)
		earth_offset(site[at], between(-reach, reach), between(-reach, reach),
			m->truth.position);
	else
		for (unsigned i = 0; i < 2; i++)
			m->truth.position[i] = between(-reach, reach);
	m->truth.position[2] = m->truth.height_known ? between(-50, 500) : 0;
	m->truth.velocity[1] = speed;
	m->truth.velocity[2] = m->truth.height_known && below(2) ? between(-1, 1) : 0;
	turn(&m->truth, between(0, 360));
	m->noise_m = below(3) ? between(0, 3) : 0;
	m->every_ms = (uint32_t)pow(10, between(2, 4));
	m->announced = below(2) ? 60000 / m->every_ms : 0;
	m->truth.time_ms = h.now.wall_ms;
	m->before = m->truth;
}

static void move(struct mover *m, uint32_t ms)
{
	m->before = m->truth;
	for (double left = ms / 1000.0, step; left > 0; left -= step) {
		step = m->turning != 0 ? fmin(left, 0.2) : left;
		turn(&m->truth, m->turning * step);
		m->truth = go(m->space, &m->truth, step);
	}
	m->truth.time_ms = h.now.wall_ms;
	if (below(20) == 0)
		m->turning = below(2) ? 0 : between(-20, 20);
	if (below(60) == 0) // stops, or sets off
		for (unsigned i = 0; i < 3; i++)
			m->truth.velocity[i] = speed_of(&m->before) > 0 ? 0 :
				i < 2                                   ? between(-20, 20) :
									  0;
	m->fastest = fmax(m->fastest, speed_of(&m->truth));
	m->fastest_held = fmax(m->fastest_held, speed_of(&m->truth));
	if (below(100) == 0)
		m->silent = !m->silent;
}

// ---- reports ----

static struct pe_wire_update report_of(struct mover *m, unsigned n, struct state *said)
{
	const struct state *from =
		m->accepted_ms <= m->before.time_ms && below(4) == 0 ? &m->before : &m->truth;
	struct pe_wire_update u;
	double angle = between(0, 360) * DEGREE, noise = between(0, m->noise_m);

	*said = *from;
	if (m->space == EARTH)
		earth_offset(
			from->position, noise * cos(angle), noise * sin(angle), said->position);
	else
		for (unsigned i = 0; i < 2; i++)
			said->position[i] += noise * (i ? sin(angle) : cos(angle));
	u = harness_update(
		n, ++m->sequence, said->position[0], said->position[1], said->position[2]);
	for (unsigned i = 0; i < 3; i++) {
		u.velocity[i] = pe_half_from_float((float)said->velocity[i]);
		said->velocity[i] = (double)pe_half_to_float(u.velocity[i]);
	}
	u.ttl_ms = PE_TTL_MAX_MS;
	u.precision_m = (float)(m->noise_m * 1.001); // stated, and kept
	u.update_frequency = (uint16_t)m->announced;
	u.attributes =
		(uint16_t)(m->mode << 5 | (said->height_known ? 0 : PE_ATTRIBUTE_HEIGHT_UNKNOWN));
	u.time_offset_ms = (int32_t)(int64_t)(said->time_ms - h.now.wall_ms);
	return u;
}

static void publish(struct mover *m, const struct state *s)
{
	m->shown = *s;
	m->held = false;
	m->there = true;
	m->fastest = fmax(speed_of(&m->truth), speed_of(&m->before));
}

// Whether what was said is shown, of a report that asked for no acknowledgement and could have gone
// either way.
static uint8_t status_by_eye(const struct mover *m, unsigned n, const struct state *said)
{
	struct pe_wire_query q =
		harness_sphere(said->position[0], said->position[1], said->position[2], 1000);
	struct pe_wire_result r = {0};

	// Where it crossed cells it may be on its way.
	harness_settle(&h);
	(void)harness_sees(&h, 0, m->space, n, &q, &r);
	return memcmp(r.position, said->position, sizeof r.position) ? PE_ACK_COALESCED :
								       PE_ACK_APPLIED;
}

static void take(struct mover *m, unsigned n, const struct state *said, uint8_t status)
{
	int64_t age = (int64_t)(said->time_ms - m->shown.time_ms);
	int64_t left = (int64_t)(m->shown.time_ms + HORIZON_MS - h.now.wall_ms);
	double gap = fmax(m->announced ? 60000.0 / m->announced : 0,
		(double)(said->time_ms - m->accepted_ms));
	double trailing =
		fmin(fmax(ceil(2 * gap), 1000), (double)(left < HORIZON_MS ? left : HORIZON_MS));
	double threshold = THRESHOLD_M * factor[m->mode], error, swerve;
	struct state predicted;
	bool covers, doubtful = false;

	reports++;
	if (!m->there) {
		EXPECT(status == UNSAID || status <= PE_ACK_ACCEPTED, n, "status %u of the first",
			status);
		publish(m, said);
		m->accepted_ms = said->time_ms;
		return;
	}
	predicted = go(m->space, &m->shown, (double)age / 1000);
	error = apart(m->space, &predicted, said);
	swerve = turned(m->space, &predicted, said) * trailing / 1000;
	covers = age >= 0 && age <= HORIZON_MS && left > 0 && error <= threshold &&
		swerve <= threshold;
	if (age >= 0 && age <= HORIZON_MS && left > 0)
		doubtful = (fabs(error - threshold) < 1e-4 && swerve < threshold + 1e-4) ||
			(fabs(swerve - threshold) < 1e-4 && error < threshold + 1e-4);
	at_an_edge += doubtful;
	if (status == UNSAID)
		status = doubtful ? status_by_eye(m, n, said) :
			covers    ? PE_ACK_COALESCED :
				    PE_ACK_APPLIED;
	EXPECT(doubtful || (status == PE_ACK_COALESCED) == covers, n,
		"status %u: %.9g m beside its course, swerves by %.9g m, threshold %g; age %" PRId64
		" left %" PRId64,
		status, error, swerve, threshold, age, left);
	m->accepted_ms = said->time_ms;
	if (status != PE_ACK_COALESCED) {
		publish(m, said);
		return;
	}
	covered++;
	covered_far += apart(m->space, &m->shown, said) > threshold;
	worst_m = fmax(worst_m, error / factor[m->mode]);
	m->held = true;
	m->newest = *said;
	m->fastest_held = fmax(speed_of(&m->truth), speed_of(&m->before));
	m->due = h.now.mono_ms + (uint64_t)trailing;
}

static void time_passes(struct mover *m)
{
	if (!m->held || h.now.mono_ms < m->due)
		return;
	trailed++;
	publish(m, &m->newest);
	m->fastest = m->fastest_held;
}

static void report(void)
{
	struct {
		unsigned n;
		struct state said;
	} sent[2][PE_UPDATE_COUNT_MAX];
	struct pe_wire_update u[2][PE_UPDATE_COUNT_MAX];
	unsigned count[2] = {0};
	uint64_t sequence[2];
	bool ack = below(2);

	for (unsigned n = 1; n <= MOVERS; n++) {
		struct mover *m = &movers[n];
		unsigned s = m->space;

		if (m->silent || h.now.mono_ms < m->next_report || count[s] == PE_UPDATE_COUNT_MAX)
			continue;
		m->next_report = h.now.mono_ms + m->every_ms;
		sent[s][count[s]].n = n;
		u[s][count[s]] = report_of(m, n, &sent[s][count[s]].said);
		count[s]++;
	}
	for (unsigned s = 0; s < 2; s++)
		if (count[s])
			sequence[s] = harness_queue_updates(
				&h, s, HARNESS_INCARNATION, u[s], count[s], ack);
	for (unsigned n = 1; n <= MOVERS; n++)
		time_passes(&movers[n]);
	harness_turn(&h);
	for (unsigned s = 0; s < 2; s++) {
		struct pe_wire_ack_record acks[PE_WITHDRAW_COUNT_MAX];
		enum pe_reason refused;

		if (!count[s])
			continue;
		memset(acks, UNSAID, sizeof acks);
		EXPECT(harness_acks(&h, sequence[s], acks, &refused) == (ack ? (int)count[s] : -1),
			0u, "acks");
		for (unsigned i = 0; i < count[s]; i++) {
			EXPECT(!ack || acks[i].status <= PE_ACK_COALESCED, sent[s][i].n,
				"refused: %s", pe_reason_info[acks[i].reason].name);
			take(&movers[sent[s][i].n], sent[s][i].n, &sent[s][i].said, acks[i].status);
		}
	}
	harness_settle(&h);
}

// ---- questions ----

static void ask(unsigned in, struct pe_wire_query q, int32_t offset_ms)
{
	const struct pe_wire_time t = {.offset_ms = offset_ms};
	uint8_t extension[32];
	uint32_t bytes = offset_ms < 0 ?
		0 :
		pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_TIME, &t, sizeof t);

	harness_ask_extended(&h, 0, in, &q, extension, bytes, &answer);
	EXPECT(answer.whole && !answer.truncated && !answer.reason, 0u, "no whole answer: %s",
		pe_reason_info[answer.reason].name);
	asked++;
	results += answer.count;
}

// Everything of a site: now, or foreseen for the next step.
static void look(unsigned at, int32_t offset_ms)
{
	ask(at ? EARTH : PLANE, harness_sphere(site[at][0], site[at][1], 0, at ? 1500000 : 1e7),
		offset_ms);
	for (unsigned i = 0; i < answer.count; i++) {
		const struct pe_wire_result *r = &answer.results[i];
		unsigned n = (unsigned)harness_id_number(r->entity_id);
		struct mover *m = &movers[n];

		if (offset_ms < 0) {
			EXPECT(memcmp(r->position, m->shown.position, sizeof r->position) == 0, n,
				"shown at %.9g %.9g %.9g, not %.9g %.9g %.9g", r->position[0],
				r->position[1], r->position[2], m->shown.position[0],
				m->shown.position[1], m->shown.position[2]);
			EXPECT((int64_t)r->age_ms == (int64_t)(h.now.wall_ms - m->shown.time_ms), n,
				"age %d", r->age_ms);
			continue;
		}
		m->was_foreseen = true;
		m->foreseen = m->shown;
		memcpy(m->foreseen.position, r->position, sizeof r->position);
		m->foreseen_m = (double)pe_half_to_float(r->precision);
	}
}

// As long as it has not been faster than its course says, the bound holds.
static void check_bounds(void)
{
	for (unsigned n = 1; n <= MOVERS; n++) {
		struct mover *m = &movers[n];
		double error, reached = (double)(h.now.wall_ms - m->shown.time_ms);

		if (!m->was_foreseen)
			continue;
		m->was_foreseen = false;
		error = apart(m->space, &m->foreseen, &m->truth);
		if (reached > HORIZON_MS || m->fastest > speed_of(&m->shown) * 1.0005 + 1e-9)
			continue;
		bounds_checked++;
		EXPECT(error <= m->foreseen_m * 1.001 + 1e-3, n,
			"foreseen within %g m, but %g m beside it: age %g ms, %g m/s",
			m->foreseen_m, error, reached, speed_of(&m->shown));
	}
}

static double bound_of(const struct mover *m, uint64_t at_ms)
{
	double ms = fmin(fmax((double)(int64_t)(at_ms - m->shown.time_ms), 0), HORIZON_MS);

	return (double)(float)(m->noise_m * 1.001) + THRESHOLD_M * factor[m->mode] +
		2 * speed_of(&m->shown) * ms / 1000;
}

static enum verdict in_box(unsigned in, const struct pe_wire_query *q, const double p[3])
{
	static const double beside[5][2] = {{0, 0}, {1e-4, 0}, {-1e-4, 0}, {0, 1e-4}, {0, -1e-4}};
	unsigned held = 0;

	for (unsigned i = 0; i < 5; i++) {
		double at[3] = {p[0], p[1], p[2]};

		if (in == EARTH)
			earth_offset(p, beside[i][0], beside[i][1], at);
		held += pe_space_box_holds(&space[in], q->a, q->b, at);
	}
	return held == 5 ? IN : held ? MAY : OUT;
}

static void question(void)
{
	static enum verdict verdicts[1 + MOVERS];
	bool met[1 + MOVERS] = {false};
	const struct mover *about = &movers[1 + below(MOVERS)];
	unsigned in = about->space;
	int32_t offset_ms = below(4) ? (int32_t)below(HORIZON_MS + 1) : 0;
	uint64_t at_ms = h.now.wall_ms + (uint64_t)offset_ms;
	struct state there;
	struct pe_wire_query q = {.query_id = 1};
	double reach = pow(10, between(0, 4));

	if (!about->there)
		return;
	there = course(about, at_ms);
	q.kind = (uint8_t[]){PE_QUERY_SPHERE, PE_QUERY_BOX, PE_QUERY_POINT}[below(3)];
	memcpy(q.a, there.position, sizeof q.a);
	if (in == EARTH)
		q.a[2] = 0;
	if (q.kind == PE_QUERY_SPHERE) {
		q.b[0] = reach;
	} else if (q.kind == PE_QUERY_BOX && in == PLANE) {
		for (unsigned i = 0; i < 3; i++) {
			q.a[i] -= between(0, reach);
			q.b[i] = there.position[i] + between(0, reach);
		}
	} else if (q.kind == PE_QUERY_BOX) {
		double degrees = reach / 111111, wide = fmin(90, degrees * between(0.5, 20));

		q.a[0] = fmax(-90, there.position[0] - degrees * between(0, 1));
		q.b[0] = fmin(90, there.position[0] + degrees * between(0, 1));
		q.a[1] = there.position[1] - wide;
		q.b[1] = there.position[1] + wide;
		q.a[1] += q.a[1] < -180 ? 360 : 0;
		q.b[1] -= q.b[1] > 180 ? 360 : 0;
	} else if (in == EARTH) {
		earth_offset(there.position, between(-reach, reach), between(-reach, reach), q.a);
	}
	for (unsigned n = 1; n <= MOVERS; n++) {
		struct mover *m = &movers[n];

		verdicts[n] = OUT;
		if (!m->there || m->space != in)
			continue;
		there = course(m, at_ms);
		if (q.kind == PE_QUERY_BOX) {
			verdicts[n] = in_box(in, &q, there.position);
			continue;
		}
		double d = pe_space_distance(&space[in], q.a, there.position, false),
		       limit = q.kind == PE_QUERY_SPHERE ? q.b[0] : bound_of(m, at_ms);

		verdicts[n] = below_limit(
			d, limit, 0.002 + (q.kind == PE_QUERY_POINT ? limit / 900 : limit * 1e-6));
	}
	ask(in, q, offset_ms);
	for (unsigned i = 0; i < answer.count; i++) {
		const struct pe_wire_result *r = &answer.results[i];
		unsigned n = (unsigned)harness_id_number(r->entity_id);
		double bound = bound_of(&movers[n], at_ms),
		       precision = (double)pe_half_to_float(r->precision);

		EXPECT(!met[n], n, "met twice");
		met[n] = true;
		there = course(&movers[n], at_ms);
		struct state said = there;

		memcpy(said.position, r->position, sizeof said.position);
		EXPECT(apart(in, &there, &said) < 1e-4, n, "at %.12g %.12g, not %.12g %.12g",
			r->position[0], r->position[1], there.position[0], there.position[1]);
		EXPECT(precision >= bound * (1 - 1e-6) && precision <= bound * 1.001, n,
			"within %g m, not %g", precision, bound);
	}
	for (unsigned n = 1; n <= MOVERS; n++) {
		within += met[n];
		EXPECT(verdicts[n] == MAY || met[n] == (verdicts[n] == IN), n,
			"%s: kind %u, %d ms ahead, reach %g",
			met[n] ? "should not be met" : "is missing", q.kind, offset_ms, reach);
	}
}

static void courses(void)
{
	struct pe_engine_config config = harness_config();
	uint64_t goal = testing_amount(STEPS);
	struct pe_error error;
	uint32_t ms = 0;

	geod_init(&geodesic, WGS84_A, 1 / 298.257223563);
	for (unsigned s = 0; s < 2; s++) {
		config.spaces[s].predict_distance_m = (float)THRESHOLD_M;
		config.spaces[s].predict_horizon_ms = HORIZON_MS;
		if (pe_space_prepare(&space[s], &config.spaces[s].space, s, &error) != PE_OK)
			abort();
	}
	harness_failed = failed;
	harness_start(&h, &config);
	for (unsigned n = 1; n <= MOVERS; n++)
		begin(&movers[n], n % SITES);
	for (uint64_t step = 0; step < goal && !wrong; step++) {
		h.now.mono_ms += ms;
		h.now.wall_ms += ms;
		for (unsigned n = 1; n <= MOVERS; n++)
			move(&movers[n], ms);
		check_bounds();
		report();
		if (step % 8 == 0)
			look((unsigned)(step / 8 % SITES), -1);
		question();
		ms = below(4) ? below(400) : below(3000);
		if (step % 8 == 4)
			look((unsigned)(step / 8 % SITES), (int32_t)ms);
	}
	printf("\n  %" PRIu64 " reports, %" PRIu64 " covered, %" PRIu64
	       " of them further than the threshold from what is shown, at most "
	       "%.4f m beside the course (threshold %g); %" PRIu64 " trailing edges, %" PRIu64
	       " at an edge; %" PRIu64 " questions, %" PRIu64 " results, %" PRIu64
	       " bounds checked ",
		reports, covered, covered_far, worst_m, THRESHOLD_M, trailed, at_an_edge, asked,
		results, bounds_checked);
	CU_ASSERT(wrong ||
		(covered > reports / 10 && covered < reports && covered_far > covered / 10));
	CU_ASSERT(wrong || (trailed > reports / 200 && within > goal / 2 && bounds_checked > goal));
	CU_ASSERT(worst_m <= THRESHOLD_M + 1e-4);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), trailed);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_coalesced), covered);
	harness_stop(&h);
	CU_ASSERT_EQUAL(wrong, 0);
}

int main(void)
{
	static const struct testing_case cases[] = {{"courses", courses}};
	const char *text = getenv("PE_TEST_SEED");

	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", seed);
	return testing_main("predictions: model", cases, 1);
}
