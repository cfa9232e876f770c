// A packet source that is faster than the engine: a null port whose receive callback turns each
// buffer into a prepared frame and stamps fresh entities, sequences and positions, or a query's
// place, into it. What the port hands out from then on goes through the production code, from the
// Ethernet header on. A frame of updates is written once a buffer; a query's is copied each time,
// since answers leave in buffers of the same pool.
//
// Thread: the one that receives from the port (the worker), once added.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#define STAMPER_RECORDS_MAX 16
#define STAMPER_FRAME_MAX   1536

struct stamper {
	unsigned records;      // an update packet, 1 to 16
	uint32_t entity_count; // of the crowd
	double query_share;    // of the packets, once all entities were sent; one query each
	double hits;           // a query's results on average
	double side_m;         // stamper_init's from here on
	double radius_m;
	uint8_t to_mac[6];
	// puts the seal on a message that is stamped; NULL: none
	void (*seal)(void *context, uint8_t *message, uint32_t bytes);
	void *seal_context;
	uint32_t filled;      // entities that were sent once
	uint32_t sequence;    // grows with every record: newer for any entity
	uint32_t query_below; // of 2^16
	uint64_t random;
	uint64_t packets; // stamped so far
	// processor time stamp ticks spent on that, since stamper_init. Written: the thread that
	// receives; read: anyone
	_Atomic uint64_t ticks;
	uint8_t update[STAMPER_FRAME_MAX], query[STAMPER_FRAME_MAX];
};

// Bytes of a frame with so many records; of a frame with one query.
uint32_t stamper_frame_bytes(unsigned records);
uint32_t stamper_query_bytes(void);
// Fills what is the stamper's own; to_mac is set before.
void stamper_init(struct stamper *stamper);
// Writes the next packet into a frame that nothing is known about; returns its bytes. `query` as
// said, else updates.
uint32_t stamper_write(struct stamper *stamper, uint8_t *frame, int query);
// Stamps every frame that is received on queue 0 of a DPDK port from now on. The stamper must
// outlive the port. 0 = failed.
int stamper_attach(struct stamper *stamper, uint16_t port);
// Nanoseconds that receiving, stamping and freeing one packet cost without an engine behind it.
double stamper_own_cost_ns(struct stamper *stamper, uint16_t port, unsigned packets);
