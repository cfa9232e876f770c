#include "stamper.h"

#include "wire/encode.h"

#include <rte_ethdev.h>
#include <string.h>
#include <time.h>

#define HEADERS_BYTES 42 // Ethernet, IPv4, UDP
#define RECORDS_AT \
	(HEADERS_BYTES + sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble))
#define BURST 32
// Stands in a buffer's headroom once its frame is prepared.
#define PREPARED 0x70726573656E6365ull

uint32_t stamper_frame_bytes(unsigned records)
{
	return (uint32_t)(RECORDS_AT + records * sizeof(struct pe_wire_update));
}

void stamper_init(struct stamper *stamper)
{
	stamper->filled = stamper->sequence = 0;
	stamper->random = 88172645463325252ull;
	stamper->packets = 0;
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void prepare(const struct stamper *s, uint8_t *frame)
{
	struct pe_wire_header header = {.stream_id = 1};
	struct pe_wire_update_preamble preamble = {.incarnation = 1};
	struct pe_wire_update records[STAMPER_RECORDS_MAX] = {0};
	uint32_t bytes = stamper_frame_bytes(s->records), sum = 0;
	static const uint8_t ip[20] = {
		0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1};

	memcpy(frame, s->to_mac, 6);
	memcpy(frame + 6, (const uint8_t[]){2, 0, 0, 0, 0, 2, 8, 0}, 8);
	memcpy(frame + 14, ip, sizeof ip);
	put16(frame + 16, bytes - 14);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (unsigned)frame[14 + i] << 8 | frame[15 + i];
	put16(frame + 24, 0xFFFFu ^ ((sum & 0xFFFFu) + (sum >> 16)));
	put16(frame + 34, 40000);
	put16(frame + 36, PE_WIRE_PORT);
	put16(frame + 38, bytes - 34);
	put16(frame + 40, 0); // IPv4 allows a UDP datagram without a checksum
	for (unsigned r = 0; r < s->records; r++)
		records[r] =
			(struct pe_wire_update){.entity_id = {1}, .entity_type = PE_ENTITY_MOBILE};
	(void)!pe_wire_put_update(frame + HEADERS_BYTES, bytes - HEADERS_BYTES, &header, &preamble,
		records, s->records);
}

// An entity has a place of its own and wanders some decimetres about it: in its cell as a rule, uniformly over the space.
static void stamp(struct stamper *s, uint8_t *record)
{
	struct pe_wire_update *u = (struct pe_wire_update *)record;
	uint64_t spread;
	uint32_t id;
	double position[3];

	if (s->filled < s->entity_count) {
		id = s->filled++;
	} else {
		s->random ^= s->random << 13;
		s->random ^= s->random >> 7;
		s->random ^= s->random << 17;
		id = (uint32_t)((s->random >> 32) * s->entity_count >> 32);
	}
	spread = (id + 1) * 0x9E3779B97F4A7C15ull;
	position[0] =
		(double)(spread >> 40) * 0x1p-24 * s->side_m + (double)(s->sequence & 15) * 0.01;
	position[1] = (double)(spread >> 16 & 0xFFFFFF) * 0x1p-24 * s->side_m;
	position[2] = 10;
	s->sequence++;
	memcpy(u->entity_id, &spread, sizeof spread);
	memcpy(u->entity_id + 8, &id, sizeof id);
	memcpy(&u->position, position, sizeof position);
	memcpy(&u->sequence, &s->sequence, sizeof s->sequence);
}

static uint16_t on_receive(uint16_t port, uint16_t queue, struct rte_mbuf *packets[],
	uint16_t count, uint16_t max, void *context)
{
	struct stamper *s = context;

	(void)port;
	(void)queue;
	(void)max;
	for (unsigned i = 0; i < count; i++) {
		uint8_t *frame = rte_pktmbuf_mtod(packets[i], uint8_t *);
		uint64_t *mark = (uint64_t *)packets[i]->buf_addr;

		if (*mark != PREPARED) {
			prepare(s, frame);
			*mark = PREPARED;
		}
		for (unsigned r = 0; r < s->records; r++)
			stamp(s, frame + RECORDS_AT + r * sizeof(struct pe_wire_update));
	}
	s->packets += count;
	return count;
}

int stamper_attach(struct stamper *stamper, uint16_t port)
{
	return rte_eth_add_rx_callback(port, 0, on_receive, stamper) != NULL;
}

double stamper_own_cost_ns(struct stamper *stamper, uint16_t port, unsigned packets)
{
	struct rte_mbuf *burst[BURST];
	struct timespec from, to;
	struct rte_mempool *pool = NULL;
	unsigned done = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	while (done < packets) {
		uint16_t n = rte_eth_rx_burst(port, 0, burst, BURST);

		if (n)
			pool = burst[0]->pool;
		rte_pktmbuf_free_bulk(burst, n);
		done += n;
		if (!n)
			break;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	// This thread's cache would keep buffers that the worker may run short of.
	if (pool && rte_mempool_default_cache(pool, rte_lcore_id()))
		rte_mempool_cache_flush(rte_mempool_default_cache(pool, rte_lcore_id()), pool);
	stamper_init(stamper);
	return done ?
		((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
			done :
		0;
}
