#include "stamper.h"

#include "crowd.h"
#include "wire/encode.h"

#include <rte_ethdev.h>
#include <string.h>

#define HEADERS_BYTES 42 // Ethernet, IPv4, UDP
#define RECORDS_AT \
	(HEADERS_BYTES + sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble))
#define QUERY_AT (HEADERS_BYTES + sizeof(struct pe_wire_header))
#define BURST    32
// Stands in a buffer's headroom once its frame is prepared for updates.
#define PREPARED 0x70726573656E6365ull

uint32_t stamper_frame_bytes(unsigned records)
{
	return (uint32_t)(RECORDS_AT + records * sizeof(struct pe_wire_update));
}

uint32_t stamper_query_bytes(void)
{
	return (uint32_t)(QUERY_AT + sizeof(struct pe_wire_query));
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void prepare_headers(const struct stamper *s, uint8_t *frame, uint32_t bytes)
{
	uint32_t sum = 0;
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
}

static void prepare(struct stamper *s)
{
	struct pe_wire_header header = {.stream_id = 1};
	struct pe_wire_update_preamble preamble = {.incarnation = CROWD_INCARNATION};
	struct pe_wire_update records[STAMPER_RECORDS_MAX] = {0};
	struct pe_wire_query query = {.query_id = 1,
		.kind = PE_QUERY_SPHERE,
		.a = {0, 0, CROWD_HEIGHT_M},
		.b = {s->radius_m}};

	for (unsigned r = 0; r < s->records; r++)
		records[r] =
			(struct pe_wire_update){.entity_id = {1}, .entity_type = PE_ENTITY_MOBILE};
	prepare_headers(s, s->update, stamper_frame_bytes(s->records));
	prepare_headers(s, s->query, stamper_query_bytes());
	(void)!pe_wire_put_update(s->update + HEADERS_BYTES, STAMPER_FRAME_MAX - HEADERS_BYTES,
		&header, &preamble, records, s->records);
	(void)!pe_wire_put_query(
		s->query + HEADERS_BYTES, STAMPER_FRAME_MAX - HEADERS_BYTES, &header, &query, 1);
}

void stamper_init(struct stamper *s)
{
	s->side_m = crowd_side_m(s->entity_count);
	s->radius_m = crowd_radius_m(s->hits);
	s->filled = s->sequence = 0;
	s->random = CROWD_RANDOM;
	s->packets = 0;
	s->query_below = (uint32_t)(s->query_share * 65536);
	prepare(s);
}

// An entity has a place of its own and wanders some centimetres about it.
static void stamp(struct stamper *s, uint8_t *record)
{
	struct pe_wire_update *u = (struct pe_wire_update *)record;
	double position[3];
	uint32_t number;

	if (s->filled < s->entity_count)
		number = s->filled++;
	else
		number = crowd_below(crowd_random(&s->random), s->entity_count);
	s->sequence++;
	crowd_id(number, record);
	crowd_place(number, s->sequence, s->side_m, position);
	memcpy(&u->position, position, sizeof position);
	memcpy(&u->sequence, &s->sequence, sizeof s->sequence);
}

static void stamp_query(struct stamper *s, uint8_t *frame)
{
	uint64_t random = crowd_random(&s->random), number = ++s->packets;
	double room = s->side_m - 2 * s->radius_m;
	double a[2] = {s->radius_m + (double)(random >> 32) * 0x1p-32 * room,
		s->radius_m + (double)(random & 0xFFFFFFFFu) * 0x1p-32 * room};

	memcpy(frame, s->query, stamper_query_bytes());
	memcpy(frame + HEADERS_BYTES + offsetof(struct pe_wire_header, sequence), &number,
		sizeof number);
	memcpy(frame + QUERY_AT + offsetof(struct pe_wire_query, a), a, sizeof a);
}

static void stamp_updates(struct stamper *s, uint8_t *frame)
{
	s->packets++;
	for (unsigned r = 0; r < s->records; r++)
		stamp(s, frame + RECORDS_AT + r * sizeof(struct pe_wire_update));
}

uint32_t stamper_write(struct stamper *s, uint8_t *frame, int query)
{
	if (query) {
		stamp_query(s, frame);
		return stamper_query_bytes();
	}
	memcpy(frame, s->update, stamper_frame_bytes(s->records));
	stamp_updates(s, frame);
	return stamper_frame_bytes(s->records);
}

static uint16_t on_receive(uint16_t port, uint16_t queue, struct rte_mbuf *packets[],
	uint16_t count, uint16_t max, void *context)
{
	struct stamper *s = context;
	uint64_t from = rte_rdtsc();

	(void)port;
	(void)queue;
	(void)max;
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = packets[i];
		uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
		uint64_t *mark = (uint64_t *)m->buf_addr;
		uint32_t bytes = stamper_frame_bytes(s->records);

		if (s->query_below && s->filled == s->entity_count &&
			(crowd_random(&s->random) & 0xFFFF) < s->query_below) {
			*mark = 0;
			bytes = stamper_write(s, frame, 1);
		} else if (*mark != PREPARED || memcmp(frame, s->to_mac, 6) != 0) {
			*mark = PREPARED;
			bytes = stamper_write(s, frame, 0);
		} else {
			stamp_updates(s, frame);
		}
		if (s->seal)
			s->seal(s->seal_context, frame + HEADERS_BYTES, bytes - HEADERS_BYTES);
		m->data_len = (uint16_t)bytes;
		m->pkt_len = bytes;
	}
	atomic_store_explicit(&s->ticks,
		atomic_load_explicit(&s->ticks, memory_order_relaxed) + rte_rdtsc() - from,
		memory_order_relaxed);
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

	// Of the packets that are measured, not those that fill.
	stamper->filled = stamper->entity_count;
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
