// What the tools stand on: arguments, the histogram, crowds and the reader of recordings.
#include "client/tools/arguments.h"
#include "client/tools/load_histogram.h"
#include "client/tools/load_source.h"
#include "client/tools/volume_arguments.h"
#include "testing.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static void numbers(void)
{
	uint64_t n;
	uint32_t ms;
	uint8_t priority;
	double d, v[3];

	CU_ASSERT(argument_u64("42", 100, &n) && n == 42);
	CU_ASSERT(!argument_u64("101", 100, &n) && !argument_u64("-1", 100, &n) &&
		!argument_u64("1x", 100, &n) && !argument_u64("", 100, &n) &&
		!argument_u64("99999999999999999999", UINT64_MAX, &n));
	CU_ASSERT(argument_duration_ms("250ms", &ms) && ms == 250);
	CU_ASSERT(argument_duration_ms("1.5s", &ms) && ms == 1500);
	CU_ASSERT(argument_duration_ms("2", &ms) && ms == 2000);
	CU_ASSERT(argument_duration_ms("2m", &ms) && ms == 120000);
	CU_ASSERT(!argument_duration_ms("2 s", &ms) && !argument_duration_ms("-1s", &ms) &&
		!argument_duration_ms("", &ms) && !argument_duration_ms("1e9h", &ms) &&
		!argument_duration_ms("nan", &ms));
	CU_ASSERT(argument_length_m("512m", &d) && d == 512);
	CU_ASSERT(argument_length_m("4km", &d) && d == 4000);
	CU_ASSERT(argument_length_m("0.5", &d) && d == 0.5);
	CU_ASSERT(!argument_length_m("0", &d) && !argument_length_m("-1m", &d) &&
		!argument_length_m("nan", &d) && !argument_length_m("inf", &d) &&
		!argument_length_m("5 m", &d) && !argument_length_m("5mm", &d) &&
		!argument_length_m("", &d));
	CU_ASSERT(argument_priority("Critical", &priority) && priority == PRESENCE_CRITICAL);
	CU_ASSERT(argument_priority("normal", &priority) && priority == PRESENCE_NORMAL);
	CU_ASSERT(!argument_priority("urgent", &priority) && !argument_priority("", &priority));
	CU_ASSERT(argument_double(" -3.5", &d) && d == -3.5);
	CU_ASSERT(!argument_double("inf", &d) && !argument_double("1,2", &d) &&
		!argument_double("", &d));
	CU_ASSERT(argument_vector("1,-2.5", v) && v[1] == -2.5 && v[2] == 0);
	CU_ASSERT(argument_vector("1,2,3", v) && v[2] == 3);
	CU_ASSERT(!argument_vector("1", v) && !argument_vector("1,2,3,4", v) &&
		!argument_vector("1,nan", v) && !argument_vector("1,", v));
}

static void names(void)
{
	uint8_t id[16], expected[16], a, b;
	uint16_t mask;

	presence_id_from_u64("mmsi", 230035780, expected);
	CU_ASSERT(argument_id("mmsi:230035780", id) && memcmp(id, expected, 16) == 0);
	CU_ASSERT(!argument_id(":1", id) && !argument_id("ninechars:1", id) &&
		!argument_id("a:", id) && !argument_id("a:-1", id));
	CU_ASSERT(argument_type("Mobile", &a) && a == PRESENCE_MOBILE);
	CU_ASSERT(argument_type("custom:127", &a) && a == 255);
	CU_ASSERT(!argument_type("custom:128", &a) && !argument_type("ship", &a));
	CU_ASSERT(argument_state("custom:255", &a, &b) && a == PRESENCE_STATE_CUSTOM && b == 255);
	CU_ASSERT(argument_visibility("hidden", &a) && a == PRESENCE_HIDDEN &&
		argument_visibility("Public", &a) && a == PRESENCE_PUBLIC &&
		!argument_visibility("secret", &a));
	CU_ASSERT(argument_exactness("10km", &a) && a == PRESENCE_WITHIN_10_KM &&
		argument_exactness("1m", &a) && a == PRESENCE_WITHIN_1_M &&
		!argument_exactness("10", &a));
	CU_ASSERT(argument_power("Low-Power", &a) && a == PRESENCE_LOW_POWER);
	CU_ASSERT(argument_power("adaptive", &a) && a == PRESENCE_ADAPTIVE &&
		!argument_power("low", &a) && !argument_power("", &a));
	CU_ASSERT(argument_mask("static,custom", false, &mask) && mask == 0x11);
	CU_ASSERT(argument_mask("away", true, &mask) && mask == 0x08);
	CU_ASSERT(!argument_mask("", false, &mask) && !argument_mask("static,", true, &mask) &&
		!argument_mask("mob", false, &mask));
}

// Where an own axis leads, by the quaternion.
static void turned(const double q[4], const double v[3], double to[3])
{
	double u[3];

	for (unsigned i = 0; i < 3; i++) {
		unsigned j = (i + 1) % 3, k = (i + 2) % 3;

		u[i] = 2 * (q[j] * v[k] - q[k] * v[j]);
	}
	for (unsigned i = 0; i < 3; i++) {
		unsigned j = (i + 1) % 3, k = (i + 2) % 3;

		to[i] = v[i] + q[3] * u[i] + q[j] * u[k] - q[k] * u[j];
	}
}

#define LEADS(own, x, y, z) \
	(turned(q.orientation, own, to), \
		fabs(to[0] - (x)) < 1e-12 && fabs(to[1] - (y)) < 1e-12 && \
			fabs(to[2] - (z)) < 1e-12)

static void volumes(void)
{
	static const double x[3] = {1, 0, 0}, y[3] = {0, 1, 0}, z[3] = {0, 0, 1};
	static struct volume_polygon p;
	struct presence_query q = {0};
	char many[8192] = "";
	double to[3];

	CU_ASSERT(argument_polygon(" 60,24 60,26  61,-25.5", &p, &q));
	CU_ASSERT(q.volume == PRESENCE_POLYGON && q.polygon == &p.polygon && q.a[1] == 24);
	CU_ASSERT(p.polygon.ring_count == 1 && p.ring_vertices[0] == 3 &&
		p.vertices[2][1] == -25.5 && !p.polygon.rounded);
	CU_ASSERT(argument_polygon("0,0 9,0 9,9 0,9 / 1,1 2,1 2,2 / 4,4 5,4 5,5 4,5", &p, &q));
	CU_ASSERT(p.polygon.ring_count == 3 && p.ring_vertices[0] == 4 && p.ring_vertices[1] == 3 &&
		p.ring_vertices[2] == 4 && p.vertices[10][1] == 5);
	CU_ASSERT(!argument_polygon("", &p, &q) && !argument_polygon("1,1 2,2", &p, &q) &&
		!argument_polygon("1,1 2,2 3,3,3", &p, &q) &&
		!argument_polygon("1,1 2,2 3", &p, &q) &&
		!argument_polygon("1,1 2,2 3,nan", &p, &q) &&
		!argument_polygon("1,1 2,2 3,4x", &p, &q) &&
		!argument_polygon("1,1 2,2 3,4 /", &p, &q) &&
		!argument_polygon("1,1 / 2,2 3,4", &p, &q));
	for (unsigned i = 0; i < 256; i++)
		strcat(many, i % 2 ? "1,1 " : "2,2 ");
	CU_ASSERT(argument_polygon(many, &p, &q) && p.polygon.rounded);
	CU_ASSERT(!argument_polygon(strcat(many, "3,3"), &p, &q));

	CU_ASSERT(argument_oriented_box("1,2,3 10,20,30", &q));
	CU_ASSERT(q.volume == PRESENCE_ORIENTED_BOX && q.a[2] == 3 && q.half[1] == 20);
	CU_ASSERT(LEADS(x, 1, 0, 0) && LEADS(z, 0, 0, 1));
	CU_ASSERT(argument_oriented_box("1,2,3 10,20,30 90", &q) && LEADS(x, 0, 1, 0));
	CU_ASSERT(argument_oriented_box("1,2,3 1,1,1 0,90", &q) && LEADS(x, 0, 0, 1) &&
		LEADS(y, 0, 1, 0) && LEADS(z, -1, 0, 0));
	CU_ASSERT(argument_oriented_box("1,2,3 1,1,1 90,90", &q) && LEADS(x, 0, 0, 1) &&
		LEADS(y, -1, 0, 0));
	CU_ASSERT(argument_oriented_box("1,2,3 1,1,1 0,0,90", &q) && LEADS(x, 1, 0, 0) &&
		LEADS(y, 0, 0, 1));
	CU_ASSERT(!argument_oriented_box("1,2 10,20,30", &q) &&
		!argument_oriented_box("1,2,3", &q) &&
		!argument_oriented_box("1,2,3 1,1,1 1,2,3,4", &q) &&
		!argument_oriented_box("1,2,3 1,1,1 1 2", &q));

	CU_ASSERT(argument_frustum(" -1,2,3 90,60 0,500 -45", &q));
	CU_ASSERT(q.volume == PRESENCE_FRUSTUM && q.a[0] == -1 && q.horizontal_deg == 90 &&
		q.vertical_deg == 60 && q.near_m == 0 && q.far_m == 500);
	CU_ASSERT(LEADS(x, sqrt(0.5), -sqrt(0.5), 0));
	CU_ASSERT(!argument_frustum("1,2,3 90 0,500", &q) && !argument_frustum("1,2,3 90,60", &q));
}

static void exit_codes(void)
{
	struct presence_refusal none = {0}, unauthorized = {.code = 0x41};

	CU_ASSERT_EQUAL(exit_code(PRESENCE_OK, none), 0);
	CU_ASSERT_EQUAL(exit_code(PRESENCE_TIMED_OUT, none), 69);
	CU_ASSERT_EQUAL(exit_code(PRESENCE_REFUSED, none), 65);
	CU_ASSERT_EQUAL(exit_code(PRESENCE_REFUSED, unauthorized), 77);
	CU_ASSERT_EQUAL(exit_code(PRESENCE_INCOMPLETE, none), 75);
}

// A quantile is never below the true one and at most one step above it.
static void histogram(void)
{
	static struct load_histogram h;
	unsigned last = 0;

	CU_ASSERT_EQUAL(load_histogram_quantile(&h, 0.5), 0);
	for (uint64_t v = 0; v < 100000; v++) {
		unsigned slot = load_histogram_slot(v);

		CU_ASSERT(slot == last || slot == last + 1);
		last = slot;
		load_histogram_add(&h, v);
	}
	for (unsigned percent = 1; percent < 100; percent++) {
		double exact = percent * 1000.0,
		       got = (double)load_histogram_quantile(&h, percent / 100.0);

		CU_ASSERT(got >= exact && got <= exact * (1 + 1.0 / 64) + 1);
	}
	CU_ASSERT_EQUAL(load_histogram_quantile(&h, 1), 99999);
	load_histogram_add(&h, UINT64_MAX);
	CU_ASSERT_EQUAL(h.largest, UINT64_MAX);
	load_histogram_clear(&h);
	load_histogram_add(&h, 7);
	CU_ASSERT_EQUAL(load_histogram_quantile(&h, 0.999), 7);
}

static void crowds(void)
{
	static const double fastest[] = {2, 30, 2};

	for (int motion = LOAD_WALKERS; motion <= LOAD_CROWDS; motion++) {
		static struct presence_update before[200];
		struct load_crowd c;

		CU_ASSERT_FATAL(load_crowd_open(&c, (enum load_motion)motion, 200, 500, 3));
		for (unsigned round = 0; round < 50; round++)
			for (unsigned i = 0; i < 200; i++) {
				struct presence_update u;

				load_crowd_next(&c, round * 1000, &u);
				CU_ASSERT(fabs(u.position[0]) <= 500 && fabs(u.position[1]) <= 500);
				CU_ASSERT_EQUAL(u.sequence, round + 1);
				CU_ASSERT(round == 0 || memcmp(u.id, before[i].id, 16) == 0);
				if (round)
					CU_ASSERT(hypot(u.position[0] - before[i].position[0],
							  u.position[1] - before[i].position[1]) <=
						fastest[motion] + 0.01);
				before[i] = u;
			}
		load_crowd_close(&c);
	}
}

static bool open_text(
	struct load_replay *r, const char *text, double lapse, char *error, size_t bytes)
{
	char path[] = "/tmp/test-replay-XXXXXX";
	int fd = mkstemp(path);
	bool good;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return false;
	close(fd);
	good = load_replay_open(r, path, lapse, error, bytes);
	unlink(path);
	return good;
}

#define HEAD "t_ms,mmsi,class,lat_deg,lon_deg,sog_mps,cog_deg,heading_deg,nav_status\n"

static void recordings(void)
{
	struct load_replay r;
	struct presence_update u;
	char error[300] = "";
	uint8_t id[16];

	CU_ASSERT_FATAL(open_text(&r,
		HEAD "0,7,A,60,25,2,90,,0\n5000,8,B,60.1,25.1,,,,\n9000,7,A,60.2,25.2,2,180,,5\n",
		10, error, sizeof error));
	CU_ASSERT_EQUAL(r.ship_count, 2);
	CU_ASSERT_EQUAL(r.duration_ms, 10000);
	CU_ASSERT(load_replay_next(&r, 0, &u));
	presence_id_from_u64("mmsi", 7, id);
	CU_ASSERT(memcmp(u.id, id, 16) == 0);
	CU_ASSERT(fabsf(u.velocity[0] - 20) < 1e-4f &&
		fabsf(u.velocity[1]) < 1e-4f); // speeds with the lapse
	CU_ASSERT(u.height_unknown && u.state == PRESENCE_ACTIVE && u.sequence == 1);
	CU_ASSERT(!load_replay_next(&r, 499999, &u));
	CU_ASSERT(load_replay_next(&r, 500000, &u));
	CU_ASSERT(u.position[0] == 60.1 && u.velocity[0] == 0);
	CU_ASSERT(load_replay_next(&r, 900000, &u));
	CU_ASSERT(u.sequence == 2 && u.state == PRESENCE_INACTIVE);
	CU_ASSERT_EQUAL(r.loops, 1);
	CU_ASSERT_EQUAL(load_replay_due_us(&r), 1000000); // the next round
	CU_ASSERT(load_replay_next(&r, 1000000, &u));
	CU_ASSERT_EQUAL(u.sequence, 3);
	load_replay_close(&r);
}

static void bad_recordings(void)
{
	static const char *const bad[] = {"", HEAD, HEAD "0,7,A,60\n", HEAD "0,7,A,91,25,2,90,,0\n",
		HEAD "0,7,A,60,181,2,90,,0\n", HEAD "0,0,A,60,25,2,90,,0\n",
		HEAD "x,7,A,60,25,2,90,,0\n", HEAD "0,7,A,nan,25,2,90,,0\n",
		HEAD "0,7,A,,25,2,90,,0\n", HEAD "5,7,A,60,25,2,90,,0\n4,7,A,60,25,2,90,,0\n",
		HEAD "0,7,A,60,25,2,90,,0\nend\n", HEAD "-1,7,A,60,25,,,,\n"};
	struct load_replay r;
	char error[300];

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		*error = 0;
		CU_ASSERT(!open_text(&r, bad[i], 1, error, sizeof error));
		CU_ASSERT(strlen(error) > 0);
	}
	CU_ASSERT(!load_replay_open(&r, "/nonexistent", 1, error, sizeof error));
}

TESTING_MAIN("client/tools", {"numbers", numbers}, {"names", names}, {"volumes", volumes},
	{"exit codes", exit_codes}, {"histogram", histogram}, {"crowds", crowds},
	{"recordings", recordings}, {"bad recordings", bad_recordings})
