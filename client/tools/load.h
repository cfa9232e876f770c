// presence-load, in pieces: what was asked for, what is under way, and the calls between its files.
// One thread: the loop in load_run.c sends what is due, takes what has come, and between two
// packets nothing waits.
#pragma once

#include "client/presence.h"
#include "client/tools/load_histogram.h"
#include "client/tools/load_source.h"

#include <jansson.h>
#include <signal.h>

#define LOAD_CROWDS_MAX  3
#define LOAD_QUERIES_MAX 16384 // under way at one time; a power of two
#define LOAD_PROBES_MAX  1024  // acknowledgements under way at one time; a power of two
#define LOAD_SAMPLE_MAX  6

struct load_config {
	struct presence_options engine;
	struct presence_session session; // where the options name one
	uint8_t space[16], geo_space[16];
	uint32_t counts[LOAD_CROWDS_MAX]; // by enum load_motion
	const char *replay;
	double lapse;
	double rate; // updates a second of all crowds together
	double query_rate;
	double radius_m, geo_radius_m; // of queries
	double half_side_m;
	unsigned batch;
	double ack_share; // of update packets
	unsigned window;  // update packets in flight; 0 = not bounded
	uint32_t for_ms;  // 0 = until a signal
	uint32_t query_timeout_ms;
	uint64_t seed;
	const char *port_device; // a DPDK device instead of the socket; NULL = the socket
	bool json, view, quiet;
};

struct load_run {
	const struct load_config *config;
	struct presence_client *updates, *queries, *control;
	struct load_crowd crowds[LOAD_CROWDS_MAX];
	struct load_replay replay;
	uint64_t begin_us, now_us; // of the run: now_us since begin
	uint64_t crowd_records;    // that the crowds have given
	unsigned crowd_turn;       // whose share is next

	// packets being filled
	struct presence_update pending[2][PRESENCE_BATCH_MAX]; // CARTESIAN, GEODETIC
	unsigned pending_count[2];
	uint64_t pending_since_us[2];
	uint64_t packets_made, packets_behind; // made; known to have arrived, or given up
	double ack_debt;

	struct {
		uint64_t sequence, packet, sent_us;
	} probes[LOAD_PROBES_MAX]; // acknowledgements waited for, oldest first
	unsigned probe_first, probe_count;
	uint64_t probes_sent, probes_lost, acked[5], acked_reason[256], refused_packets;

	struct {
		uint64_t sequence; // 0 = free
		uint64_t intended_us;
		unsigned parts, parts_total;
		bool geo;
	} asked[LOAD_QUERIES_MAX];
	uint64_t asked_oldest, asked_newest; // sequences
	uint64_t queries_due, queries_sent, answers, answers_refused, answers_truncated, lost,
		results;
	uint64_t held_turns; // turns in which the window was closed although updates were due
	struct load_histogram latency, recent;

	struct presence_found sample[LOAD_SAMPLE_MAX];
	unsigned sample_count;
	bool sample_geo;

	struct presence_stats before, after, last;
	bool has_stats;
	uint64_t last_us, last_records, last_answers;
	unsigned view_lines;
};

extern volatile sig_atomic_t load_stopped; // written: the signal handler; read: the loop

// Runs to the end; the exit code.
int load_run(const struct load_config *config);

// load_report.c. The accounting after the run, drained: stats are asked until nothing changes, at
// most 5 s.
bool load_drain(struct load_run *run);
json_t *load_summary(const struct load_run *run);
void load_print_summary(const json_t *summary);
// Once a second: a line on stderr, or the live view on stdout.
void load_show(struct load_run *run);
