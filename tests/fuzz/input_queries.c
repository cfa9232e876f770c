#include "fuzz/input.h"
#include "wire/extension.h"
#include "wire/subscribe.h"

#include <string.h>

// A quaternion that is nearly one, or not.
static void put_turn(struct fuzz_input *in, double turn[4])
{
	uint8_t which = (uint8_t)fuzz_take(in, 1);

	memset(turn, 0, 4 * sizeof turn[0]);
	turn[which & 3] = which & 4 ? 0.6 : 1;
	turn[(which + 1) & 3] = which & 4 ? 0.8 : 0;
	if (which & 8)
		turn[which >> 6] = fuzz_coordinate(in);
}

// The content of a volume, or of what is to be none; its bytes.
static uint32_t put_volume(struct fuzz_input *in, unsigned kind, uint8_t *extension, uint32_t size)
{
	double vertices[16][2], numbers[8];
	unsigned rings[3], count, ring_count;

	if (kind != PE_QUERY_POLYGON) {
		for (unsigned i = 0; i < 3; i++)
			numbers[i] = fuzz_coordinate(in);
		put_turn(in, numbers + 3);
		if (kind == PE_QUERY_FRUSTUM) {
			put_turn(in, numbers);
			for (unsigned i = 4; i < 8; i++)
				numbers[i] = (double)fuzz_take(in, 1) * (i == 7 ? 1000 : 1);
		}
		return pe_wire_put_block(extension, 0, size, PE_BLOCK_VOLUME, numbers,
			kind == PE_QUERY_FRUSTUM ? 64 : 56);
	}
	count = 1 + (unsigned)fuzz_take(in, 1) % 16;
	ring_count = 1 + (unsigned)fuzz_take(in, 1) % 3;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < 2; k++)
			vertices[i][k] = fuzz_coordinate(in);
	for (unsigned i = 0; i < ring_count; i++)
		rings[i] =
			i + 1 == ring_count ? count - i * (count / ring_count) : count / ring_count;
	return pe_wire_put_polygon(extension, 0, size, (enum pe_vertex_form)(count & 1),
		(const double(*)[2])vertices, rings, ring_count, (double)fuzz_take(in, 1) - 200,
		(double)fuzz_take(in, 1) * 10);
}

// A query of the kinds that came later, and what it has behind it. Any byte of that may be another
// one.
static uint32_t extend(
	struct fuzz_input *in, struct pe_wire_query *q, uint8_t *extension, uint32_t size)
{
	uint32_t bytes = 0;
	uint8_t also;

	q->kind = (uint8_t)(PE_QUERY_POLYGON + fuzz_take(in, 1) % 4);
	memset(q->b, 0, sizeof q->b);
	if (q->kind == PE_QUERY_NEAREST) {
		q->b[0] = fuzz_coordinate(in);
		q->max_results = (uint16_t)(fuzz_take(in, 2) % 1002);
	} else {
		bytes = put_volume(in, q->kind, extension, size);
	}
	also = (uint8_t)fuzz_take(in, 1);
	q->priority = also >> 2 & 3;
	if (also & 1) {
		uint8_t program[64] = {0};
		uint32_t program_bytes = 16 + 8 * (uint32_t)(fuzz_take(in, 1) % 4), with;

		program[0] = (uint8_t)program_bytes;
		program[2] = (uint8_t)(1 + fuzz_take(in, 1) % 3);
		for (uint32_t i = 8; i < program_bytes; i++)
			program[i] = (uint8_t)fuzz_take(in, 1);
		with = pe_wire_put_block(
			extension, bytes, size, PE_BLOCK_FILTER, program, program_bytes);
		bytes = with ? with : bytes;
	}
	if (also & 2) {
		const struct pe_wire_resolution resolution = {
			.spatial_m = (float)((fuzz_take(in, 1) & 1) << fuzz_take(in, 1) % 24),
			.temporal_ms = (uint32_t)fuzz_take(in, 2),
			.attribute = (float)(fuzz_take(in, 1) % 5) / 4};
		uint32_t with = pe_wire_put_block(extension, bytes, size, PE_BLOCK_RESOLUTION,
			&resolution, sizeof resolution);

		bytes = with ? with : bytes;
	}
	if (bytes && fuzz_take(in, 1) & 1)
		extension[fuzz_take(in, 2) % bytes] ^= (uint8_t)fuzz_take(in, 1);
	q->flags |= bytes ? PE_QUERY_HAS_EXTENSION : 0;
	q->extension_bytes = (uint16_t)bytes;
	return bytes;
}

static void put_explain(struct harness *h, unsigned space, unsigned number,
	const struct pe_wire_query *q, const uint8_t *extension)
{
	struct pe_wire_header header = harness_header(h, space, 0);
	struct pe_wire_explain explain = {.selector = PE_EXPLAIN_QUERY};
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	harness_id(explain.entity_id, number);
	bytes = pe_wire_put_explain(buffer, sizeof buffer, &header, &explain, q, extension);
	if (!bytes)
		return; // the extension was as long as a query's may be
	harness_queue(h, buffer, bytes);
	h->sent_queries++;
}

// Of a subscription and a fence that there may be.
static void put_explain_fence(struct harness *h, unsigned space, unsigned number, uint32_t name)
{
	static const struct pe_wire_query none = {0};
	struct pe_wire_header header = harness_header(h, space, 0);
	struct pe_wire_explain explain = {
		.selector = PE_EXPLAIN_FENCE, .subject = (uint64_t)(name % 32) << 32 | name >> 6};
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	harness_id(explain.entity_id, number);
	harness_queue(h, buffer,
		pe_wire_put_explain(buffer, sizeof buffer, &header, &explain, &none, NULL));
	h->sent_queries += !h->untrusted;
}

void fuzz_put_queries(
	struct harness *h, struct fuzz_input *in, unsigned space, const uint64_t cursor[2])
{
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];
	uint8_t extensions[PE_WIRE_BYTES_MAX];
	uint32_t bytes = 0;
	uint8_t head = (uint8_t)fuzz_take(in, 1);
	unsigned count = 1 + head % PE_QUERY_COUNT_MAX;

	for (unsigned i = 0; i < count; i++) {
		uint8_t extra = (uint8_t)fuzz_take(in, 1);

		memset(&q[i], 0, sizeof q[i]);
		q[i].query_id = i;
		q[i].kind = (uint8_t)(extra & 3);
		for (unsigned k = 0; k < 3; k++)
			q[i].a[k] = fuzz_coordinate(in);
		for (unsigned k = 0; k < 3 && q[i].kind != PE_QUERY_POINT; k++)
			if (k == 0 || q[i].kind != PE_QUERY_SPHERE)
				q[i].b[k] = fuzz_coordinate(in);
		if (q[i].kind == PE_QUERY_BOX && space == 1)
			q[i].a[2] = q[i].b[2] = 0;
		if (extra & 4) {
			q[i].flags |= PE_QUERY_HAS_ORIGIN;
			for (unsigned k = 0; k < 3; k++)
				q[i].origin[k] = fuzz_coordinate(in);
		}
		if (extra & 8) {
			q[i].flags |= PE_QUERY_HEIGHT_RANGE;
			q[i].height_min = (float)fuzz_coordinate(in);
			q[i].height_max = (float)fuzz_coordinate(in);
		}
		if (extra & 16) {
			q[i].flags |= PE_QUERY_HAS_CURSOR;
			memcpy(q[i].cursor, cursor, sizeof q[i].cursor);
			if (extra & 32) {
				q[i].cursor[0] ^= fuzz_take(in, 8);
				q[i].cursor[1] ^= fuzz_take(in, 8);
			}
		}
		if (extra & 64)
			q[i].flags |= PE_QUERY_DISTANCE_3D;
		if ((extra & 12) == 4)
			q[i].flags |= PE_QUERY_WITH_DETAILS;
		if (extra & 128) {
			q[i].max_results = (uint16_t)fuzz_take(in, 1);
			q[i].type_mask = (uint16_t)fuzz_take(in, 1);
			q[i].state_mask = (uint16_t)fuzz_take(in, 1);
		}
		// What there is no room for is left out.
		if (q[i].kind == 0)
			bytes += extend(in, &q[i], extensions + bytes,
				PE_WIRE_BYTES_MAX - 80 - 128 * count - bytes);
	}
	if (head >= 230)
		put_explain_fence(h, space, 1 + head % 8, (uint32_t)fuzz_take(in, 1));
	else if (head >= 200)
		put_explain(h, space, 1 + head % 8, &q[0], extensions);
	else
		(void)harness_queue_extended(h, space, q, count, extensions, bytes);
}

void fuzz_put_subscribe(struct harness *h, struct fuzz_input *in, unsigned space)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX], extensions[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, 0);
	uint8_t head = (uint8_t)fuzz_take(in, 1), extra = (uint8_t)fuzz_take(in, 1);
	struct pe_wire_subscribe s = {.subscription_id = head >> 3 & 3,
		.epoch = head >> 5 & 1,
		.op = (uint8_t)(1 + (head & 7) % 7)};
	struct pe_wire_fence f[PE_SUBSCRIBE_FENCES_MAX];
	struct pe_wire_fence_name names[4] = {{0}};
	uint32_t bytes = 0;
	unsigned count = 0;

	if (s.op == PE_SUBSCRIBE_OPEN) {
		s.flags = extra & 3;
		s.priority = extra >> 2 & 3;
		s.update_frequency = extra & 16 ? 600 : 0;
		s.window = extra & 32 ? extra >> 6 : 0;
		s.resolution_m = s.flags & PE_SUBSCRIBE_FILTER_UPDATES ? 5 : 0;
		s.flags |= extra & 64 ? PE_SUBSCRIBE_BATCH_UPDATES : 0;
		s.flags |= extra & 128 ? PE_SUBSCRIBE_PAYLOADS : 0;
	}
	if (s.op == PE_SUBSCRIBE_OPEN || s.op == PE_SUBSCRIBE_RENEW)
		s.expiration_ms = (uint32_t)fuzz_take(in, 2);
	if (s.op == PE_SUBSCRIBE_ADD || s.op == PE_SUBSCRIBE_REMOVE)
		s.message = 1 + extra % 16;
	if (s.op == PE_SUBSCRIBE_RESUME || s.op == PE_SUBSCRIBE_ACKNOWLEDGE)
		s.sequence = 1 + fuzz_take(in, 1);
	if (s.op == PE_SUBSCRIBE_OPEN || s.op == PE_SUBSCRIBE_ADD)
		count = s.op == PE_SUBSCRIBE_ADD ? 1 + extra % 4 : extra % 4;
	for (unsigned i = 0; i < count; i++) {
		uint8_t what = (uint8_t)fuzz_take(in, 1);
		struct pe_wire_query *q = &f[i].query;

		memset(&f[i], 0, sizeof f[i]);
		f[i].fence_id = (uint32_t)fuzz_take(in, 1) % 32;
		f[i].margin_m = what & 1 ? 10 : 0;
		f[i].enter_ms = what & 2 ? 50 : 0;
		f[i].leave_ms = what & 4 ? 50 : 0;
		q->kind = what & 8 ? PE_QUERY_BOX : PE_QUERY_SPHERE;
		for (unsigned k = 0; k < 3; k++)
			q->a[k] = fuzz_coordinate(in);
		for (unsigned k = 0; k < 3 && (k == 0 || what & 8); k++)
			q->b[k] = fuzz_coordinate(in);
		if (what & 16)
			bytes += extend(in, q, extensions + bytes,
				PE_WIRE_BYTES_MAX - 128 - 168 * count - bytes);
		else if (what & 32) {
			f[i].flags = PE_FENCE_FOLLOW;
			fuzz_put_id(f[i].follow_id, in);
			memset(q->a, 0, sizeof q->a);
			memset(q->b + 1, 0, 2 * sizeof q->b[0]);
			q->kind = PE_QUERY_SPHERE;
		}
		if (what & 64)
			q->state_mask = (uint16_t)fuzz_take(in, 1) & PE_QUERY_STATE_MASK_DEFINED;
		if (what & 128) { // any field, any value, but for how long it is
			uint8_t at = (uint8_t)(fuzz_take(in, 1) % 150);

			((uint8_t *)&f[i])[at] ^= (uint8_t)fuzz_take(in, 1);
		}
	}
	if (s.op == PE_SUBSCRIBE_REMOVE) {
		count = 1 + extra % 4;
		for (unsigned i = 0; i < count; i++)
			names[i].fence_id = (uint32_t)fuzz_take(in, 1) % 32;
		bytes = pe_wire_put_remove(buffer, sizeof buffer, &header, &s, names, count);
	} else {
		bytes = pe_wire_put_subscribe(
			buffer, sizeof buffer, &header, &s, f, count, extensions, bytes);
	}
	if (bytes)
		harness_queue(h, buffer, bytes);
}
