// A packet source that is faster than the engine: a null port whose receive callback turns each buffer into a
// prepared frame (written once a buffer) and stamps fresh entities, sequences and positions into it. What the
// port hands out from then on goes through the production code, from the Ethernet header on.
//
// Thread: the one that receives from the port (the worker), once added.
#pragma once

#include <stdint.h>

#define STAMPER_RECORDS_MAX 16

struct stamper {
	unsigned records;      // a packet, 1 to 16
	uint32_t entity_count; // ids 0 … entity_count − 1
	double side_m;         // the entities live in a square of this side
	uint8_t to_mac[6];
	// its own from here on
	uint32_t filled;   // entities that were sent once
	uint32_t sequence; // grows with every record: newer for any entity
	uint64_t random;
	uint64_t packets; // stamped so far
};

// Bytes of a frame with so many records.
uint32_t stamper_frame_bytes(unsigned records);
// Fills what is the stamper's own.
void stamper_init(struct stamper *stamper);
// Stamps every frame that is received on queue 0 of a DPDK port from now on. The stamper must outlive the port. 0 = failed.
int stamper_attach(struct stamper *stamper, uint16_t port);
// Nanoseconds that receiving, stamping and freeing one packet cost without an engine behind it.
double stamper_own_cost_ns(struct stamper *stamper, uint16_t port, unsigned packets);
