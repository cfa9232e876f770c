#include "harness.h"

#include <string.h>

void harness_id(uint8_t id[16], uint64_t n)
{
	uint64_t spread = n * 0x9E3779B97F4A7C15u;

	memcpy(id, &n, 8);
	memcpy(id + 8, &spread, 8);
}

uint64_t harness_id_number(const uint8_t id[16])
{
	uint64_t n;

	memcpy(&n, id, 8);
	return n;
}

struct pe_wire_update harness_update(uint64_t n, uint32_t sequence, double x, double y, double z)
{
	struct pe_wire_update u = {
		.position = {x, y, z},
		.sequence = sequence,
		.entity_type = PE_ENTITY_MOBILE,
		.attributes = PE_STATE_ACTIVE,
	};

	harness_id(u.entity_id, n);
	return u;
}

struct pe_wire_header harness_header(struct harness *h, unsigned space, uint16_t flags)
{
	struct pe_wire_header header = {.flags = flags,
		.stream_id = 7,
		.sequence = ++h->sequence,
		.timestamp_ms = h->now.wall_ms};

	memcpy(header.space_id, h->config.spaces[space].space.id, 16);
	return header;
}

struct pe_wire_update_preamble harness_preamble(uint64_t sequence, uint32_t incarnation)
{
	struct pe_wire_update_preamble p = {.incarnation = incarnation};

	memcpy(p.broadcast_id, &sequence, sizeof sequence);
	return p;
}

// A message that was made; the sequence by which its answer is known.
static uint64_t queue_records(struct harness *h, const struct pe_wire_header *header,
	const uint8_t *message, uint32_t bytes, unsigned count)
{
	HARNESS_CHECK(bytes > 0);
	harness_queue(h, message, bytes);
	h->sent_records += count;
	return header->sequence;
}

uint64_t harness_queue_updates(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_update *updates, unsigned count, bool ack)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble preamble = harness_preamble(header.sequence, incarnation);
	uint32_t bytes =
		pe_wire_put_update(buffer, sizeof buffer, &header, &preamble, updates, count);

	return queue_records(h, &header, buffer, bytes, count);
}

uint64_t harness_queue_detailed(struct harness *h, unsigned space, uint32_t incarnation,
	const uint8_t *records, uint32_t bytes, unsigned count, bool ack)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble preamble = harness_preamble(header.sequence, incarnation);

	bytes = pe_wire_put_detailed(
		buffer, sizeof buffer, &header, &preamble, records, bytes, count);
	return queue_records(h, &header, buffer, bytes, count);
}

uint64_t harness_queue_withdraws(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_withdraw *withdraws, unsigned count, bool ack)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble preamble = harness_preamble(header.sequence, incarnation);
	uint32_t bytes =
		pe_wire_put_withdraw(buffer, sizeof buffer, &header, &preamble, withdraws, count);

	return queue_records(h, &header, buffer, bytes, count);
}

uint64_t harness_queue_erase(struct harness *h, unsigned space, uint64_t n, uint32_t incarnation)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, 0);
	struct pe_wire_erase erase = {.incarnation = incarnation};
	uint32_t bytes;

	if (n)
		harness_id(erase.entity_id, n);
	bytes = pe_wire_put_erase(buffer, sizeof buffer, &header, &erase);
	return queue_records(h, &header, buffer, bytes, 1);
}

uint64_t harness_queue_queries(
	struct harness *h, unsigned space, const struct pe_wire_query *queries, unsigned count)
{
	return harness_queue_extended(h, space, queries, count, NULL, 0);
}

uint64_t harness_queue_extended(struct harness *h, unsigned space,
	const struct pe_wire_query *queries, unsigned count, const uint8_t *extensions,
	uint32_t extensions_bytes)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space,
		!h->packed      ? 0 :
			h->zstd ? PE_FLAG_PACKED | PE_FLAG_ZSTD :
				  PE_FLAG_PACKED);
	uint32_t bytes = pe_wire_put_query_extended(
		buffer, sizeof buffer, &header, queries, count, extensions, extensions_bytes);

	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_queries += count;
	return header.sequence;
}

struct pe_wire_query harness_sphere(double x, double y, double z, double radius_m)
{
	return (struct pe_wire_query){
		.query_id = 1, .kind = PE_QUERY_SPHERE, .a = {x, y, z}, .b = {radius_m}};
}

struct pe_wire_query harness_point(double x, double y, double z)
{
	return (struct pe_wire_query){.query_id = 1, .kind = PE_QUERY_POINT, .a = {x, y, z}};
}

struct pe_wire_query harness_box(const double a[3], const double b[3])
{
	return (struct pe_wire_query){.query_id = 1,
		.kind = PE_QUERY_BOX,
		.a = {a[0], a[1], a[2]},
		.b = {b[0], b[1], b[2]}};
}
