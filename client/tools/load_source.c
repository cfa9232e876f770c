#include "client/tools/load_source.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOT_SPOTS 12

// xorshift128+: quick, and the same run for the same seed.
static uint64_t next_random(uint64_t s[2])
{
	uint64_t a = s[0], b = s[1];

	s[0] = b;
	a ^= a << 23;
	s[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
	return s[1] + b;
}

static double unit(uint64_t s[2])
{
	return (double)(next_random(s) >> 11) * 0x1p-53;
}

static void seed_random(uint64_t s[2], uint64_t seed)
{
	s[0] = seed * 0x9E3779B97F4A7C15u + 1;
	s[1] = seed ^ 0xD1B54A32D192ED03u;
	for (int i = 0; i < 16; i++)
		next_random(s);
}

static void hot_spot(const struct load_crowd *c, unsigned entity, double *x, double *y)
{
	uint64_t s[2];

	seed_random(s, 77 + entity % HOT_SPOTS);
	*x = (unit(s) * 2 - 1) * c->half_side_m * 0.9;
	*y = (unit(s) * 2 - 1) * c->half_side_m * 0.9;
}

bool load_crowd_open(struct load_crowd *c, enum load_motion motion, uint32_t count,
	double half_side_m, uint64_t seed)
{
	*c = (struct load_crowd){.motion = motion, .count = count, .half_side_m = half_side_m};
	seed_random(c->random, seed + motion);
	c->movers = calloc(count, sizeof *c->movers);
	if (!c->movers)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct load_mover *m = &c->movers[i];

		m->x = (float)((unit(c->random) * 2 - 1) * half_side_m);
		m->y = (float)((unit(c->random) * 2 - 1) * half_side_m);
		m->heading = (float)(unit(c->random) * 2 * M_PI);
		m->speed = (float)(0.5 + unit(c->random) * 1.5);
		if (motion == LOAD_VEHICLES) {
			m->speed = (float)(8 + unit(c->random) * 22);
			m->heading = (float)((double)(next_random(c->random) % 4) * M_PI / 2);
		} else if (motion == LOAD_CROWDS) {
			// A sum of three is bell-shaped enough, some 30 m wide.
			double x, y;

			hot_spot(c, i, &x, &y);
			for (int k = 0; k < 3; k++) {
				x += (unit(c->random) * 2 - 1) * 30;
				y += (unit(c->random) * 2 - 1) * 30;
			}
			m->x = (float)x;
			m->y = (float)y;
		}
	}
	return true;
}

void load_crowd_close(struct load_crowd *c)
{
	free(c->movers);
	c->movers = NULL;
}

static void steer(struct load_crowd *c, struct load_mover *m, unsigned entity, double seconds)
{
	double x, y;

	switch (c->motion) {
	case LOAD_WALKERS:
		m->heading += (float)((unit(c->random) - 0.5) * fmin(seconds, 3));
		break;
	case LOAD_VEHICLES: // a corner every 20 s or so
		if (unit(c->random) < seconds / 20)
			m->heading += (float)(next_random(c->random) % 2 ? M_PI / 2 : -M_PI / 2);
		break;
	case LOAD_CROWDS: // beyond 60 m of its hot spot everyone turns back
		hot_spot(c, entity, &x, &y);
		if (hypot(x - (double)m->x, y - (double)m->y) > 60)
			m->heading = (float)atan2(y - (double)m->y, x - (double)m->x);
		else
			m->heading += (float)((unit(c->random) - 0.5) * 2);
		break;
	}
}

static void keep_inside(struct load_mover *m, double half_side_m)
{
	if (fabs((double)m->x) > half_side_m) {
		m->x = (float)copysign(half_side_m, (double)m->x);
		m->heading = (float)M_PI - m->heading;
	}
	if (fabs((double)m->y) > half_side_m) {
		m->y = (float)copysign(half_side_m, (double)m->y);
		m->heading = -m->heading;
	}
}

void load_crowd_next(struct load_crowd *c, uint32_t now_ms, struct presence_update *u)
{
	static const char *const names[] = {"walker", "vehicle", "crowd"};
	uint32_t entity = c->turn;
	struct load_mover *m = &c->movers[entity];
	double seconds = m->sequence ? (now_ms - m->last_ms) / 1000.0 : 0;

	c->turn = entity + 1 == c->count ? 0 : entity + 1;
	steer(c, m, entity, seconds);
	m->x += (float)(cos((double)m->heading) * (double)m->speed * seconds);
	m->y += (float)(sin((double)m->heading) * (double)m->speed * seconds);
	keep_inside(m, c->half_side_m);
	m->last_ms = now_ms;
	*u = (struct presence_update){
		.position = {(double)m->x, (double)m->y, 0},
		.velocity = {cosf(m->heading) * m->speed, sinf(m->heading) * m->speed, 0},
		.sequence = ++m->sequence,
		.type = PRESENCE_MOBILE,
		.ttl_ms = c->ttl_ms,
		.position_confidence = 1,
		.status_confidence = 1,
	};
	presence_id_from_u64(names[c->motion], entity, u->id);
}

void load_crowd_somewhere(struct load_crowd *c, double position[3])
{
	const struct load_mover *m = &c->movers[next_random(c->random) % c->count];

	position[0] = (double)m->x;
	position[1] = (double)m->y;
	position[2] = 0;
}

void load_replay_close(struct load_replay *r)
{
	free(r->reports);
	free(r->ships);
	r->reports = NULL;
	r->ships = NULL;
}

static int find_ship(struct load_replay *r, uint64_t mmsi)
{
	for (uint32_t i = r->ship_count; i-- > 0;)
		if (r->ships[i].mmsi == mmsi)
			return (int)i;
	if (r->ship_count == LOAD_SHIPS_MAX)
		return -1;
	r->ships[r->ship_count].mmsi = mmsi;
	return (int)r->ship_count++;
}

// One number of a line, or NaN for an empty field; false for anything else.
static bool read_field(char **line, double *value)
{
	char *end = strpbrk(*line, ",\n");
	char *stop;

	if (!end)
		end = *line + strlen(*line);
	*value = NAN;
	if (end != *line) {
		*value = strtod(*line, &stop);
		if (stop != end || !isfinite(*value))
			return false;
	}
	*line = *end == ',' ? end + 1 : end;
	return true;
}

static bool read_report(struct load_replay *r, char *line)
{
	double t, mmsi, latitude, longitude, speed, course, heading, status;
	struct load_report *report = &r->reports[r->report_count];
	int ship;

	if (!read_field(&line, &t) || !read_field(&line, &mmsi))
		return false;
	line += strcspn(line, ","); // the class
	line += *line == ',';
	if (!read_field(&line, &latitude) || !read_field(&line, &longitude) ||
		!read_field(&line, &speed) || !read_field(&line, &course) ||
		!read_field(&line, &heading) || !read_field(&line, &status))
		return false;
	if (!(t >= 0 && t <= 86400000) || !(mmsi >= 1 && mmsi <= 999999999) ||
		!(fabs(latitude) <= 90) || !(fabs(longitude) <= 180))
		return false;
	if (r->report_count && t < r->reports[r->report_count - 1].t_ms)
		return false;
	ship = find_ship(r, (uint64_t)mmsi);
	if (ship < 0)
		return false;
	*report = (struct load_report){.t_ms = (uint32_t)t,
		.ship = (uint32_t)ship,
		.latitude = latitude,
		.longitude = longitude};
	if (isfinite(speed) && isfinite(course)) {
		report->east = (float)(speed * sin(course * M_PI / 180) * r->lapse);
		report->north = (float)(speed * cos(course * M_PI / 180) * r->lapse);
	}
	// At anchor, moored, aground: there, and not under way.
	report->state =
		status == 1 || status == 5 || status == 6 ? PRESENCE_INACTIVE : PRESENCE_ACTIVE;
	r->report_count++;
	return true;
}

bool load_replay_open(
	struct load_replay *r, const char *path, double lapse, char *error, size_t error_bytes)
{
	FILE *file = fopen(path, "r");
	unsigned number = 0;
	char line[256];
	bool good = true;

	*r = (struct load_replay){.lapse = lapse};
	seed_random(r->random, 1);
	if (!file) {
		snprintf(error, error_bytes, "%s: %s", path, strerror(errno));
		return false;
	}
	r->reports = calloc(LOAD_REPORTS_MAX, sizeof *r->reports);
	r->ships = calloc(LOAD_SHIPS_MAX, sizeof *r->ships);
	good = r->reports && r->ships;
	if (!good)
		snprintf(error, error_bytes, "%s: no memory", path);
	while (good && fgets(line, sizeof line, file)) {
		number++;
		if (number == 1 && strncmp(line, "t_ms,", 5) == 0)
			continue;
		if (r->report_count == LOAD_REPORTS_MAX || !read_report(r, line)) {
			snprintf(error, error_bytes,
				"%s:%u: not a report of the form that tests/data/README.md describes",
				path, number);
			good = false;
		}
	}
	fclose(file);
	if (good && !r->report_count) {
		snprintf(error, error_bytes, "%s: no reports", path);
		good = false;
	}
	if (!good) {
		load_replay_close(r);
		return false;
	}
	// A second behind the last report the recording begins again; a ship is known for one round
	// and a half.
	r->duration_ms = r->reports[r->report_count - 1].t_ms + 1000;
	r->ttl_ms = (uint32_t)fmin(86400000, fmax(5000, r->duration_ms / lapse * 1.5));
	return true;
}

uint64_t load_replay_due_us(const struct load_replay *r)
{
	return (uint64_t)((double)(r->loops * r->duration_ms + r->reports[r->next].t_ms) * 1000 /
		r->lapse);
}

bool load_replay_next(struct load_replay *r, uint64_t now_us, struct presence_update *u)
{
	const struct load_report *report = &r->reports[r->next];
	struct load_ship *ship = &r->ships[report->ship];

	if (load_replay_due_us(r) > now_us)
		return false;
	*u = (struct presence_update){
		.position = {report->latitude, report->longitude, 0},
		.velocity = {report->east, report->north, 0},
		.sequence = ++ship->sequence,
		.type = PRESENCE_MOBILE,
		.state = report->state,
		.height_unknown = true,
		.ttl_ms = r->ttl_ms,
		.precision_m = 10,
		.position_confidence = -1,
		.status_confidence = -1,
	};
	presence_id_from_u64("mmsi", ship->mmsi, u->id);
	if (++r->next == r->report_count) {
		r->next = 0;
		r->loops++;
	}
	return true;
}

void load_replay_somewhere(struct load_replay *r, double position[3])
{
	const struct load_report *report = &r->reports[next_random(r->random) % r->report_count];

	position[0] = report->latitude;
	position[1] = report->longitude;
	position[2] = 0;
}
