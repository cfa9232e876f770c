// A little engine in a thread, on a loopback port of its own, for tests of the client: it knows the
// wire and nothing else, and misbehaves as told. Set the faults before fake_start; counts are read
// after fake_stop. Threads: fake_start and fake_stop from one thread; the engine's thread owns
// everything in between.
#pragma once

#include "client/presence.h"
#include "wire/erase.h"
#include "wire/explain.h"
#include "wire/wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct fake_engine {
	// faults
	unsigned ignore; // requests left unanswered before the first one that is answered
	// an update whose acknowledgement is withheld was applied all the same
	bool act_when_ignoring;
	bool silent;         // answers nothing at all
	bool junk;           // sends malformed datagrams before each answer
	bool junk_flood;     // sends nothing but junk, many a request
	bool wrong_sequence; // answers name another request first
	bool short_ack;      // acknowledges a record too few
	bool refuse;         // refuses each packet whole
	bool refuse_program; // refuses each query for its filter's third step, byte 20
	bool other_form;     // gives whole results where cells or short ones are asked for
	// a cell goes on from page to page: the last one of each is the first one of the next
	bool cells_in_parts;
	bool reverse_parts, duplicate_parts, drop_part, two_lasts, endless_parts;
	unsigned drop_part_times;  // with drop_part: in so many answers; 0 = in all
	unsigned drop_part_behind; // with drop_part: only on pages behind so many results
	unsigned result_count;     // results of an answer
	unsigned part_results;     // results a part
	unsigned page_results;     // results before an answer is truncated; 0 = never
	bool stuck_cursor;
	bool state_short, state_wrong_index, state_refused;
	// what it explains, but for what names the request
	struct pe_wire_explanation told;
	// how it erases, but for what names the request
	struct pe_wire_erased erased;
	uint16_t port; // written by fake_start
	// counts
	unsigned packets, updates, withdrawals, queries;
	struct pe_wire_update last_update;
	struct pe_wire_query last_query; // or the one to be explained
	uint8_t last_explained[16];
	uint64_t last_subject; // of its explanation
	struct pe_wire_erase last_erase;
	uint8_t last_extension[PE_WIRE_BYTES_MAX]; // of the first query
	uint8_t last_space[16];
	// the engine's own
	int fd;
	pthread_t thread;
	_Atomic bool stop; // written: fake_stop; read: the thread
};

bool fake_start(struct fake_engine *engine, bool ipv6);
void fake_stop(struct fake_engine *engine);
// Starts it on IPv4, and opens a client of it that asks three times, 60 ms apart; NULL: one of both
// failed.
struct presence_client *fake_client(struct fake_engine *engine);
