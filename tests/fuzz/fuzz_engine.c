// libFuzzer target of the whole packet path through the façade: an input is a little program of
// messages, turns, clock steps and grace periods for a small engine. Messages are exact-size heap
// copies, so that a sanitizer sees a read past the end. The harness aborts when a reply is not
// sound, when a peer that is not trusted got more bytes than it sent, when a buffer is not given
// back, and at the end when an identity does not hold or an emptied engine is not empty. An input
// that begins with the protocol's version is one datagram.
#include "fuzz/grid_in_use.h"
#include "harness.h"
#include "wire/extension.h"
#include "internal.h"
#include "policy/principals.h"
#include "watch.h"
#include "wire/subscribe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const uint8_t *at;
	size_t left;
};

// Past the end everything is zero.
static uint64_t take(struct reader *r, unsigned bytes)
{
	uint64_t value = 0;
	size_t n = bytes < r->left ? bytes : r->left;

	memcpy(&value, r->at, n);
	r->at += n;
	r->left -= n;
	return value;
}

static struct harness *h;
static const uint32_t incarnations[] = {
	HARNESS_INCARNATION, HARNESS_INCARNATION + 1, 0, UINT32_MAX};

// Awkward places by one byte, any double by nine.
static double coordinate(struct reader *r)
{
	static const double awkward[] = {0, -0.0, 1, 63.999, 64, 64.001, -64, 45, -45, 44.9999, 90,
		-90, 89.9999, 179.9999, 180, -180, -179.9999, 1024, -1024, 1e6, -1e6, 16777215,
		16777216, -16777216, 1e9, 1e300, -1e300, 4.9e-324};
	uint8_t which = (uint8_t)take(r, 1);
	uint64_t bits;
	double d;

	if (which < 128)
		return awkward[which % (sizeof awkward / sizeof awkward[0])];
	if (which < 224)
		return ((int)which - 176) * 1.5 + (double)take(r, 1) / 256;
	bits = take(r, 8);
	memcpy(&d, &bits, sizeof d);
	return d;
}

static void put_id(uint8_t id[16], struct reader *r)
{
	harness_id(id, take(r, 1)); // number 0 is nil
}

static void put_updates(struct reader *r, unsigned space)
{
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	uint8_t head = (uint8_t)take(r, 1);
	unsigned count = 1 + head % PE_UPDATE_COUNT_MAX;

	for (unsigned i = 0; i < count; i++) {
		uint8_t extra = (uint8_t)take(r, 1);

		memset(&u[i], 0, sizeof u[i]);
		put_id(u[i].entity_id, r);
		u[i].sequence = (uint32_t)take(r, 1);
		for (unsigned k = 0; k < 3; k++)
			u[i].position[k] = coordinate(r);
		u[i].entity_type = extra & 1 ? (uint8_t)take(r, 1) : PE_ENTITY_MOBILE;
		if (extra & 2)
			u[i].ttl_ms = (uint32_t)take(r, 2);
		if (extra & 4)
			u[i].duration_ms = (uint32_t)take(r, 2);
		if (extra & 8)
			u[i].frequency = (uint16_t)take(r, 2);
		if (extra & 16)
			u[i].attributes = (uint16_t)take(r, 2);
		if (extra & 32)
			u[i].precision_m = (float)take(r, 2) / 60;
		if (extra & 64)
			u[i].radius_m = (float)take(r, 2);
		if (extra & 128) { // any field, any value
			uint8_t at = (uint8_t)(take(r, 1) % sizeof u[i]);

			((uint8_t *)&u[i])[at] ^= (uint8_t)take(r, 1);
		}
	}
	(void)harness_queue_updates(h, space, incarnations[head >> 5 & 3], u, count, head & 16);
}

static uint32_t put_scope(struct reader *r, uint8_t *content)
{
	uint8_t what = (uint8_t)take(r, 1);
	struct pe_wire_scope s = {.bounds = what & 1 ? PE_QUERY_SPHERE + (what >> 1 & 1) : 0,
		.resolution_m = what & 4 ? (float)(1u << (what >> 3 & 15)) : 0,
		.max_propagation = what};

	for (unsigned i = 0; i < 3 && s.bounds; i++)
		s.a[i] = coordinate(r);
	for (unsigned i = 0; i < (s.bounds == PE_QUERY_BOX ? 3u : s.bounds ? 1u : 0u); i++)
		s.b[i] = coordinate(r);
	memcpy(content, &s, sizeof s);
	return sizeof s;
}

// Details of each type, mostly sound, on an update that is sound where it says nothing.
static void put_detailed(struct reader *r, unsigned space)
{
	static const uint8_t context[] = {
		16, 0, 1, 2, 0, 0, 0, 0, 'a', 'b', 3, 't', 'u', 'g', 0, 0};
	uint8_t records[PE_WIRE_BYTES_MAX];
	unsigned count = 1 + take(r, 1) % 3, made = 0;
	uint32_t used = 0;

	for (; made < count; made++) {
		struct pe_wire_update u = {.sequence = (uint32_t)take(r, 1),
			.position = {coordinate(r), coordinate(r), 0},
			.entity_type = (uint8_t)take(r, 1) % 4,
			.update_frequency = (uint16_t)take(r, 1),
			.ttl_ms = 1 + (uint32_t)take(r, 2)};
		uint8_t mask = (uint8_t)take(r, 1), *record = records + used;
		uint8_t content[64] = {0};
		uint32_t room = (uint32_t)(sizeof records - 104 - used), bytes;

		put_id(u.entity_id, r);
		bytes = pe_wire_begin_details(record, room, &u);
		for (unsigned type = 1; bytes && type <= PE_DETAILS_TYPES; type++) {
			uint32_t n = type == PE_DETAILS_METADATA ? 24 : 16;

			// The two uppermost bits say something else: every second record has a
			// scope, now and then.
			if (!(type == PE_DETAILS_SCOPE ? u.ttl_ms & 1 :
							 mask & PE_DETAILS_BIT(type)))
				continue;
			memset(content, 0, sizeof content);
			if (type == PE_DETAILS_ORIENTATION)
				memcpy(content, (const float[4]){0, 0, 0.6f, 0.8f}, 16);
			else if (type == PE_DETAILS_CONTEXT)
				memcpy(content, context, sizeof context);
			else if (type == PE_DETAILS_FRAME)
				put_id(content, r);
			else if (type == PE_DETAILS_SCHEDULE)
				memcpy(content,
					(const uint32_t[4]){1, 0, 1000, 1 + (uint32_t)take(r, 1)},
					16);
			else if (type == PE_DETAILS_METADATA)
				memcpy(content,
					(const uint8_t[24]){24, 0, 1, 0, 0, 0, 0, 0,
						mask & 64 ? 255 : 2, 1, mask & 64 ? 0 : 8, 0,
						(uint8_t)('a' + take(r, 1) % 20)},
					24);
			else if (type == PE_DETAILS_SCOPE)
				n = put_scope(r, content);
			else if (type == PE_DETAILS_PAYLOAD)
				n = (uint32_t)take(r, 1) % sizeof content;
			if (type == PE_DETAILS_METADATA && (mask & 64)) {
				content[0] = 16;
				n = 16;
			}
			// Now and then a byte of it is something else, or it is empty.
			if (mask & 128) {
				uint8_t at = (uint8_t)take(r, 1);

				content[at % 24] = (uint8_t)take(r, 1);
				n = at & 128 ? 0 : n;
			}
			bytes = pe_wire_put_details(record, room, type, content, n);
		}
		if (!bytes)
			break;
		used += bytes;
	}
	if (made)
		(void)harness_queue_detailed(h, space, incarnations[take(r, 1) & 3], records, used,
			made, take(r, 1) & 1);
}

static void put_withdraws(struct reader *r, unsigned space)
{
	struct pe_wire_withdraw x[PE_WITHDRAW_COUNT_MAX];
	uint8_t head = (uint8_t)take(r, 1);
	unsigned count = 1 + (head & 15) * 3;

	for (unsigned i = 0; i < count; i++) {
		put_id(x[i].entity_id, r);
		x[i].sequence = (uint32_t)take(r, 1);
		x[i].time_offset_ms = head & 128 ? (int32_t)take(r, 4) : 0;
	}
	(void)harness_queue_withdraws(h, space, incarnations[head >> 5 & 3], x, count, head & 16);
}

static void put_erase(struct reader *r, unsigned space)
{
	uint8_t head = (uint8_t)take(r, 1);

	(void)harness_queue_erase(h, space, take(r, 1), head & 1 ? incarnations[head >> 1 & 3] : 0);
}

static uint64_t last_cursor[2];

// A quaternion that is nearly one, or not.
static void put_turn(struct reader *r, double turn[4])
{
	uint8_t which = (uint8_t)take(r, 1);

	memset(turn, 0, 4 * sizeof turn[0]);
	turn[which & 3] = which & 4 ? 0.6 : 1;
	turn[(which + 1) & 3] = which & 4 ? 0.8 : 0;
	if (which & 8)
		turn[which >> 6] = coordinate(r);
}

// The content of a volume, or of what is to be none; its bytes.
static uint32_t put_volume(struct reader *r, unsigned kind, uint8_t *extension, uint32_t size)
{
	double vertices[16][2], numbers[8];
	unsigned rings[3], count, ring_count;

	if (kind != PE_QUERY_POLYGON) {
		for (unsigned i = 0; i < 3; i++)
			numbers[i] = coordinate(r);
		put_turn(r, numbers + 3);
		if (kind == PE_QUERY_FRUSTUM) {
			put_turn(r, numbers);
			for (unsigned i = 4; i < 8; i++)
				numbers[i] = (double)take(r, 1) * (i == 7 ? 1000 : 1);
		}
		return pe_wire_put_block(extension, 0, size, PE_BLOCK_VOLUME, numbers,
			kind == PE_QUERY_FRUSTUM ? 64 : 56);
	}
	count = 1 + (unsigned)take(r, 1) % 16;
	ring_count = 1 + (unsigned)take(r, 1) % 3;
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < 2; k++)
			vertices[i][k] = coordinate(r);
	for (unsigned i = 0; i < ring_count; i++)
		rings[i] =
			i + 1 == ring_count ? count - i * (count / ring_count) : count / ring_count;
	return pe_wire_put_polygon(extension, 0, size, (enum pe_vertex_form)(count & 1),
		(const double(*)[2])vertices, rings, ring_count, (double)take(r, 1) - 200,
		(double)take(r, 1) * 10);
}

// A query of the kinds that came later, and what it has behind it. Any byte of that may be another
// one.
static uint32_t extend(struct reader *r, struct pe_wire_query *q, uint8_t *extension, uint32_t size)
{
	uint32_t bytes = 0;
	uint8_t also;

	q->kind = (uint8_t)(PE_QUERY_POLYGON + take(r, 1) % 4);
	memset(q->b, 0, sizeof q->b);
	if (q->kind == PE_QUERY_NEAREST) {
		q->b[0] = coordinate(r);
		q->max_results = (uint16_t)(take(r, 2) % 1002);
	} else {
		bytes = put_volume(r, q->kind, extension, size);
	}
	also = (uint8_t)take(r, 1);
	q->priority = also >> 2 & 3;
	if (also & 1) {
		uint8_t program[64] = {0};
		uint32_t program_bytes = 16 + 8 * (uint32_t)(take(r, 1) % 4), with;

		program[0] = (uint8_t)program_bytes;
		program[2] = (uint8_t)(1 + take(r, 1) % 3);
		for (uint32_t i = 8; i < program_bytes; i++)
			program[i] = (uint8_t)take(r, 1);
		with = pe_wire_put_block(
			extension, bytes, size, PE_BLOCK_FILTER, program, program_bytes);
		bytes = with ? with : bytes;
	}
	if (also & 2) {
		const struct pe_wire_resolution resolution = {
			.spatial_m = (float)((take(r, 1) & 1) << take(r, 1) % 24),
			.temporal_ms = (uint32_t)take(r, 2),
			.attribute = (float)(take(r, 1) % 5) / 4};
		uint32_t with = pe_wire_put_block(extension, bytes, size, PE_BLOCK_RESOLUTION,
			&resolution, sizeof resolution);

		bytes = with ? with : bytes;
	}
	if (bytes && take(r, 1) & 1)
		extension[take(r, 2) % bytes] ^= (uint8_t)take(r, 1);
	q->flags |= bytes ? PE_QUERY_HAS_EXTENSION : 0;
	q->extension_bytes = (uint16_t)bytes;
	return bytes;
}

static void put_explain(
	unsigned space, unsigned number, const struct pe_wire_query *q, const uint8_t *extension)
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
static void put_explain_fence(unsigned space, unsigned number, uint32_t name)
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

static void put_queries(struct reader *r, unsigned space)
{
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];
	uint8_t extensions[PE_WIRE_BYTES_MAX];
	uint32_t bytes = 0;
	uint8_t head = (uint8_t)take(r, 1);
	unsigned count = 1 + head % PE_QUERY_COUNT_MAX;

	for (unsigned i = 0; i < count; i++) {
		uint8_t extra = (uint8_t)take(r, 1);

		memset(&q[i], 0, sizeof q[i]);
		q[i].query_id = i;
		q[i].kind = (uint8_t)(extra & 3);
		for (unsigned k = 0; k < 3; k++)
			q[i].a[k] = coordinate(r);
		for (unsigned k = 0; k < 3 && q[i].kind != PE_QUERY_POINT; k++)
			if (k == 0 || q[i].kind != PE_QUERY_SPHERE)
				q[i].b[k] = coordinate(r);
		if (q[i].kind == PE_QUERY_BOX && space == 1)
			q[i].a[2] = q[i].b[2] = 0;
		if (extra & 4) {
			q[i].flags |= PE_QUERY_HAS_ORIGIN;
			for (unsigned k = 0; k < 3; k++)
				q[i].origin[k] = coordinate(r);
		}
		if (extra & 8) {
			q[i].flags |= PE_QUERY_HEIGHT_RANGE;
			q[i].height_min = (float)coordinate(r);
			q[i].height_max = (float)coordinate(r);
		}
		if (extra & 16) {
			q[i].flags |= PE_QUERY_HAS_CURSOR;
			memcpy(q[i].cursor, last_cursor, sizeof last_cursor);
			if (extra & 32) {
				q[i].cursor[0] ^= take(r, 8);
				q[i].cursor[1] ^= take(r, 8);
			}
		}
		if (extra & 64)
			q[i].flags |= PE_QUERY_DISTANCE_3D;
		if ((extra & 12) == 4)
			q[i].flags |= PE_QUERY_WITH_DETAILS;
		if (extra & 128) {
			q[i].max_results = (uint16_t)take(r, 1);
			q[i].type_mask = (uint16_t)take(r, 1);
			q[i].state_mask = (uint16_t)take(r, 1);
		}
		// What there is no room for is left out.
		if (q[i].kind == 0)
			bytes += extend(r, &q[i], extensions + bytes,
				PE_WIRE_BYTES_MAX - 80 - 128 * count - bytes);
	}
	if (head >= 230)
		put_explain_fence(space, 1 + head % 8, (uint32_t)take(r, 1));
	else if (head >= 200)
		put_explain(space, 1 + head % 8, &q[0], extensions);
	else
		(void)harness_queue_extended(h, space, q, count, extensions, bytes);
}

// Of a few subscriptions and lives; fences of any kind, whose bytes may be other ones.
static void put_subscribe(struct reader *r, unsigned space)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX], extensions[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, 0);
	uint8_t head = (uint8_t)take(r, 1), extra = (uint8_t)take(r, 1);
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
		s.expiration_ms = (uint32_t)take(r, 2);
	if (s.op == PE_SUBSCRIBE_ADD || s.op == PE_SUBSCRIBE_REMOVE)
		s.message = 1 + extra % 16;
	if (s.op == PE_SUBSCRIBE_RESUME || s.op == PE_SUBSCRIBE_ACKNOWLEDGE)
		s.sequence = 1 + take(r, 1);
	if (s.op == PE_SUBSCRIBE_OPEN || s.op == PE_SUBSCRIBE_ADD)
		count = s.op == PE_SUBSCRIBE_ADD ? 1 + extra % 4 : extra % 4;
	for (unsigned i = 0; i < count; i++) {
		uint8_t what = (uint8_t)take(r, 1);
		struct pe_wire_query *q = &f[i].query;

		memset(&f[i], 0, sizeof f[i]);
		f[i].fence_id = (uint32_t)take(r, 1) % 32;
		f[i].margin_m = what & 1 ? 10 : 0;
		f[i].enter_ms = what & 2 ? 50 : 0;
		f[i].leave_ms = what & 4 ? 50 : 0;
		q->kind = what & 8 ? PE_QUERY_BOX : PE_QUERY_SPHERE;
		for (unsigned k = 0; k < 3; k++)
			q->a[k] = coordinate(r);
		for (unsigned k = 0; k < 3 && (k == 0 || what & 8); k++)
			q->b[k] = coordinate(r);
		if (what & 16)
			bytes += extend(r, q, extensions + bytes,
				PE_WIRE_BYTES_MAX - 128 - 168 * count - bytes);
		else if (what & 32) {
			f[i].flags = PE_FENCE_FOLLOW;
			put_id(f[i].follow_id, r);
			memset(q->a, 0, sizeof q->a);
			memset(q->b + 1, 0, 2 * sizeof q->b[0]);
			q->kind = PE_QUERY_SPHERE;
		}
		if (what & 64)
			q->state_mask = (uint16_t)take(r, 1) & PE_QUERY_STATE_MASK_DEFINED;
		if (what & 128) { // any field, any value, but for how long it is
			uint8_t at = (uint8_t)(take(r, 1) % 150);

			((uint8_t *)&f[i])[at] ^= (uint8_t)take(r, 1);
		}
	}
	if (s.op == PE_SUBSCRIBE_REMOVE) {
		count = 1 + extra % 4;
		for (unsigned i = 0; i < count; i++)
			names[i].fence_id = (uint32_t)take(r, 1) % 32;
		bytes = pe_wire_put_remove(buffer, sizeof buffer, &header, &s, names, count);
	} else {
		bytes = pe_wire_put_subscribe(
			buffer, sizeof buffer, &header, &s, f, count, extensions, bytes);
	}
	if (bytes)
		harness_queue(h, buffer, bytes);
}

static void put_raw(struct reader *r)
{
	uint32_t bytes = (uint32_t)take(r, 2) % 2048;

	if (bytes > r->left)
		bytes = (uint32_t)r->left;
	harness_queue(h, r->at, bytes);
	r->at += bytes;
	r->left -= bytes;
}

static void put_small(struct reader *r)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, 0, 0);
	struct pe_wire_ping ping = {{1, 2}};
	struct pe_wire_state_request state = {
		.selector = PE_STATE_COUNTERS, .first = (uint16_t)take(r, 1)};

	harness_queue(h, buffer,
		state.first & 1 ?
			pe_wire_put_ping(buffer, sizeof buffer, &header, &ping) :
			pe_wire_put_state_request(buffer, sizeof buffer, &header, &state));
}

static void turn(void)
{
	harness_turn(h);
	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;
		struct pe_wire_answer answer;
		const uint8_t *results;
		uint32_t offset = 0;

		if (pe_wire_check_reply(h->replies[i].data, h->replies[i].bytes, &v) !=
				PE_REASON_none ||
			v.header.type != PE_TYPE_SPATIAL_RESPONSE)
			continue;
		while (pe_wire_next_answer(&v, &offset, &answer, &results))
			if (answer.flags & PE_ANSWER_TRUNCATED)
				memcpy(last_cursor, answer.cursor, sizeof last_cursor);
	}
}

static void step(struct reader *r)
{
	// The longest is beyond all lives and caps; the wall clock's, beyond what is a day old.
	static const uint64_t mono_steps[] = {1, 10, 100, 1000, 30000, 65535, 70000, 10000000};
	static const uint64_t wall_steps[] = {1, 10, 100, 1000, 30000, 65535, 3000000, 100000000};
	uint8_t op = (uint8_t)take(r, 1);
	unsigned space = op >> 3 & 1;

	if (h->queue_count == PE_BURST_MAX)
		turn();
	h->port = (uint16_t)(1 + (op >> 4 & 3));
	h->untrusted = op >> 6 & 1;
	h->principal = op >> 4 & 3;
	switch (op & 7) {
	case 0:
		if (op & 128)
			put_subscribe(r, space);
		else
			put_raw(r);
		return;
	case 1:
		put_updates(r, space);
		return;
	case 2:
		if (op & 128)
			put_detailed(r, space);
		else
			put_updates(r, space);
		return;
	case 3:
		if (op & 128)
			put_erase(r, space);
		else
			put_withdraws(r, space);
		return;
	case 4:
		put_queries(r, space);
		return;
	case 5:
		put_small(r);
		return;
	case 6: // the clocks, each for itself; the wall's goes back too
		if (op & 8)
			h->now.mono_ms += mono_steps[op >> 4 & 7];
		else
			h->now.wall_ms +=
				op & 128 ? -wall_steps[op >> 4 & 7] : wall_steps[op >> 4 & 7];
		turn();
		return;
	default:
		h->buffers_refused = (op & 0xF0) == 0xF0;
		turn();
		if (op & 8)
			harness_control(h);
		return;
	}
}

#define TTL_MAX_MS   65535u
#define TOMBSTONE_MS 1000u

static struct pe_engine_config small(uint8_t kind)
{
	struct pe_engine_config c = harness_config();

	c.entity_count_max = kind & 1 ? 64 : 300; // numbers of entities are bytes
	// Emptying looks at every cell and node that was ever in use.
	c.cell_count_max = kind & 1 ? 20 : 200;
	c.node_count_max = kind & 1 ? 50 : 400;
	c.query_results_max = kind & 2 ? 5 : 200;
	c.query_cells_max = kind & 2 ? 3 : 0;
	c.pending_count_max = kind & 1 ? 3 : 100;
	c.details_bytes = kind & 2 ? 4096 : 65536;
	c.tombstone_ms = TOMBSTONE_MS;
	c.fence_count_max = kind & 1 ? 8 : 64;
	c.member_count_max = kind & 2 ? 20 : 2000;
	c.subscription_count_max = 6;
	c.event_count_max = 32;
	c.spaces[0].ttl_max_ms = c.spaces[1].ttl_max_ms = TTL_MAX_MS;
	if (kind & 4) {
		c.spaces[0].coalesce_distance_m = 5;
		c.spaces[0].coalesce_interval_ms = 200;
		c.spaces[1].coalesce_distance_m = 5;
		c.spaces[1].frequency_default = 600;
	}
	if (kind & 2) {
		c.spaces[0].predict_distance_m = c.spaces[1].predict_distance_m = 5;
		c.spaces[0].predict_horizon_ms = 5000;
	}
	if (kind & 8) {
		c.spaces[0].authorization = PE_AUTHORIZATION_FIRST;
		c.spaces[0].owner_memory_ms = TOMBSTONE_MS * 3 / 2;
		c.spaces[0].speed_max_mps[PE_ENTITY_MOBILE] = 100;
		c.spaces[1].authorization =
			kind & 1 ? PE_AUTHORIZATION_OPEN : PE_AUTHORIZATION_KEYRING;
		c.spaces[1].speed_max_mps[PE_ENTITY_MOBILE] = kind & 4 ? 100 : 0;
	}
	return c;
}

// Principal 1 may everything, 2 within areas, 3 is an administrator; a few entities are 1's and
// 2's.
static void know(struct harness *e)
{
	const struct pe_directory_grant grants[] = {
		{1, 7, PE_DIRECTORY_EVERY_SPACE, {0}},
		{2, 7, 0, {2, {-1000, -1000}, {1000, 1000}}},
		{2, 15, 1, {3, {-45, 170, -100}, {80, -10, 1000}}},
		{3, 8, PE_DIRECTORY_EVERY_SPACE, {0}},
	};
	struct pe_directory_owned owned[16];
	struct pe_principals *directory;
	struct pe_error error;

	for (unsigned i = 0; i < 16; i++) {
		owned[i] = (struct pe_directory_owned){.bits = 128, .principal = 1 + (i & 1)};
		harness_id(owned[i].prefix, 1 + i);
	}
	HARNESS_CHECK(pe_principals_create(grants, 4, owned, 16, &directory, &error) == PE_OK);
	HARNESS_CHECK(pe_engine_principals(e->engine, directory) == PE_OK);
}

// Making an engine takes far longer than running an input, so that there is one of each kind, which
// is emptied after each input.
static struct harness engines[16];
static uint64_t records_seen[16]; // when it was emptied: without a record there is nothing to empty

static struct harness *engine_of(uint8_t kind)
{
	struct harness *e = &engines[kind & 15];

	if (e->engine) {
		pe_worker_attach(pe_engine_worker(e->engine, 0));
	} else {
		struct pe_engine_config config = small(kind);

		harness_start(e, &config);
		know(e);
	}
	e->principal = 0;
	e->now.wall_ms = (uint64_t)HARNESS_INCARNATION * 1000 + 500000;
	// Raw messages carry records that the harness does not know of.
	e->sent_records = e->sent_queries = 1ull << 60;
	return e;
}

static void check_empty(void)
{
	const struct pe_table *t = &h->engine->table;
	const struct pe_worker *w = pe_engine_worker(h->engine, 0);

	for (uint32_t i = 0; i < t->entity_count_max; i++)
		HARNESS_CHECK(
			PE_STATUS_LIFE(atomic_load_explicit(&t->records[pe_handle_nth(i)].status,
				memory_order_relaxed)) == PE_LIFE_FREE);
	HARNESS_CHECK(w->pending.used == 0 && w->pending.owed == 0);
	HARNESS_CHECK(w->handles.retired_count == 0);
	for (uint32_t i = 0; i < w->suspects.set_count * PE_SUSPECT_WAYS; i++)
		HARNESS_CHECK(w->suspects.suspects[i].handle == PE_HANDLE_NONE);
	HARNESS_CHECK(w->arena.used == 0 && w->arena.retired_count == 0);
	HARNESS_CHECK(pe_grid_deferred(h->engine->grid, 0) == 0);
	HARNESS_CHECK(fuzz_grid_in_use(h->engine->grid) == 0);
}

static void end_subscriptions(void)
{
	struct pe_watch *x = pe_engine_worker(h->engine, 0)->watch;

	if (!x->kept)
		return;
	h->now.mono_ms += PE_SUBSCRIPTION_LEASE_MAX_MS;
	for (unsigned i = 0; i < 10000 && x->kept; i++) {
		harness_turn(h);
		h->now.mono_ms++;
	}
	HARNESS_CHECK(!x->kept && !x->number_count && !x->jobs_first && !x->orders_first);
	HARNESS_CHECK(pe_member_use(x->members).members == 0);
	HARNESS_CHECK(pe_fence_use(x->index).fences == 0 && pe_fence_use(x->index).placements == 0);
	HARNESS_CHECK(atomic_load(&h->engine->watch->fence_count) == 0 &&
		atomic_load(&h->engine->watch->fence_bytes) == 0);
	harness_check(h);
}

// Everything expires and is forgotten; nothing may be left of it, or the engines would fill up
// unnoticed.
static void empty(void)
{
	uint64_t carried = HARNESS_COUNTER(h, records_carried);

	h->buffers_refused = false;
	harness_check(h);
	if (carried != records_seen[h - engines]) {
		records_seen[h - engines] = carried;
		h->now.mono_ms += TTL_MAX_MS;
		harness_settle(h);
		HARNESS_CHECK(pe_engine_entity_count(h->engine) == 0);
		h->now.mono_ms += 2 * TOMBSTONE_MS;
		harness_settle(h);
		h->now.mono_ms += TOMBSTONE_MS; // owners are remembered longer
		harness_settle(h);
		check_empty();
	}
	end_subscriptions();
	pe_worker_detach(pe_engine_worker(h->engine, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct reader r = {input, size};
	uint8_t kind = size ? input[0] : 0;

	memset(last_cursor, 0, sizeof last_cursor);
	h = engine_of(kind == PE_WIRE_VERSION ? 0 : kind >> 4);
	if (kind == PE_WIRE_VERSION) {
		h->untrusted = size & 1;
		harness_queue(h, input, (uint32_t)size);
		turn();
	} else {
		(void)take(&r, 1);
		while (r.left)
			step(&r);
		turn();
	}
	empty();
	return 0;
}
