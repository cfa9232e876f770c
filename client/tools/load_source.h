// Where presence-load's updates come from: crowds that walk, drive or gather in a CARTESIAN space,
// and a recording of ships replayed in a GEODETIC one. A crowd gives its entities in turn, moved on
// by the time since their last update; a recording gives its reports as their time comes. Memory is
// taken when a source is opened. One thread.
#pragma once

#include "client/presence.h"

#include <stdbool.h>
#include <stdint.h>

#define LOAD_ENTITIES_MAX 10000000u
#define LOAD_REPORTS_MAX  1000000u
#define LOAD_SHIPS_MAX    65536u

enum load_motion {
	LOAD_WALKERS,  // 0.5–2 m/s, a wandering heading
	LOAD_VEHICLES, // 8–30 m/s along the axes, turning at right angles now and then
	LOAD_CROWDS,   // walkers drawn to a few hot spots
};

struct load_crowd {
	enum load_motion motion;
	uint32_t count;
	double half_side_m; // the world is a square around the origin
	uint32_t ttl_ms;
	uint32_t turn; // whose update is next
	uint64_t random[2];
	struct load_mover *movers;
};

struct load_mover {
	float x, y, heading, speed; // m, rad, m/s
	uint32_t sequence;
	uint32_t last_ms; // of the run
};

// half_side_m > 0; false = no memory.
bool load_crowd_open(struct load_crowd *crowd, enum load_motion motion, uint32_t count,
	double half_side_m, uint64_t seed);
void load_crowd_close(struct load_crowd *crowd);
// The next entity's state, now_ms into the run.
void load_crowd_next(struct load_crowd *crowd, uint32_t now_ms, struct presence_update *update);
// Where some entity is: where queries ask.
void load_crowd_somewhere(struct load_crowd *crowd, double position[3]);

struct load_report {
	uint32_t t_ms;
	uint32_t ship; // index
	double latitude, longitude;
	float east, north; // m/s
	uint8_t state;
};

struct load_replay {
	uint32_t report_count, ship_count, duration_ms;
	double lapse;   // recording seconds in a second
	uint32_t next;  // report
	uint64_t loops; // over
	uint64_t random[2];
	uint32_t ttl_ms;
	struct load_report *reports;
	struct load_ship {
		uint64_t mmsi;
		uint32_t sequence;
	} * ships;
};

// Reads a recording of the form that tests/data/README.md describes. On failure false, and `error`
// names file, line and fault.
bool load_replay_open(struct load_replay *replay, const char *path, double lapse, char *error,
	size_t error_bytes);
void load_replay_close(struct load_replay *replay);
// The next report that is due now_us into the run; false = none is due yet. Speeds are those of the
// time-lapse.
bool load_replay_next(struct load_replay *replay, uint64_t now_us, struct presence_update *update);
// When the next report is due, us into the run.
uint64_t load_replay_due_us(const struct load_replay *replay);
void load_replay_somewhere(struct load_replay *replay, double position[3]);
