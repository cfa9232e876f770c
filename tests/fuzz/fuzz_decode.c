// libFuzzer target of the decoder, both sides of it. Each input is decoded from a heap copy of its
// exact size at
// an odd address, so that AddressSanitizer sees a read of one byte too many. Beyond "no crash":
// a refused message offers no records; a sound one lies within its bytes, is never sound one byte
// shorter, is sound for one
// side only, and is given back byte for byte by the encoder.
#include "wire/decode.h"
#include "wire/details.h"
#include "wire/encode.h"
#include "wire/extension.h"
#include "wire/half.h"
#include "wire/pack.h"
#include "wire/subscribe.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(what) \
	do { \
		if (!(what)) \
			abort(); \
	} while (0)

static const struct pe_wire_limits limits[2] = {
	{.geodetic = false, .ttl_max_ms = 86400000, .precision_max_m = 1000},
	{.geodetic = true, .ttl_max_ms = 86400000, .precision_max_m = 1000},
};

static unsigned sound_count; // keeps the checks' results alive

static void same(const uint8_t *data, uint32_t bytes, const uint8_t *out, uint32_t out_bytes)
{
	EXPECT(out_bytes == bytes && memcmp(data, out, bytes) == 0);
}

// What a record check let through must be usable without another look.
static void use_update(const struct pe_wire_update *u, const struct pe_wire_limits *l)
{
	EXPECT(u->position[0] - u->position[0] == 0.0 && u->position[1] - u->position[1] == 0.0);
	EXPECT(!l->geodetic || (u->position[0] >= -90 && u->position[0] <= 90));
	EXPECT(u->precision_m >= 0 && u->precision_m <= l->precision_max_m);
	EXPECT(PE_ATTRIBUTE_PRECISION_LEVEL(u->attributes) <= PE_PRECISION_LEVEL_MAX);
	for (int i = 0; i < 3; i++) {
		float v = pe_half_to_float(u->velocity[i]);

		EXPECT(v - v == 0.0f);
	}
}

// A checked extension lies within its bytes, and what it holds can be taken out.
static void use_extension(const struct pe_wire_query *q, const uint8_t *data)
{
	struct pe_wire_extension e;
	struct pe_wire_polygon p;
	unsigned ring_vertices[PE_WIRE_RINGS_MAX], sum = 0;
	double vertices[PE_WIRE_VERTICES_MAX][2];
	enum pe_reason reason = pe_wire_check_extension(q, data, q->extension_bytes, &e);

	// The extension itself, or what one of its blocks asks.
	EXPECT(reason == PE_REASON_none || pe_reason_info[reason].scope == PE_SCOPE_QUERY);
	if (reason != PE_REASON_none)
		return;
	EXPECT(!e.volume ||
		(e.volume >= data && e.volume + e.volume_bytes <= data + q->extension_bytes));
	EXPECT(!e.filter ||
		(e.filter >= data && e.filter + e.filter_bytes <= data + q->extension_bytes));
	EXPECT(pe_query_kind_extended(q->kind) == (e.volume != NULL));
	if (q->kind == PE_QUERY_POLYGON) {
		pe_wire_get_polygon(&e, &p, ring_vertices, vertices);
		for (unsigned i = 0; i < p.ring_count; i++)
			sum += ring_vertices[i];
		EXPECT(sum == p.vertex_count);
	}
	sound_count++;
}

// A fence that passes can be used without another look.
static void use_fence(const struct pe_wire_fence *f, const uint8_t *extension)
{
	for (int g = 0; g < 2; g++) {
		if (pe_wire_check_fence(f, g) != PE_REASON_none)
			continue;
		EXPECT(f->margin_m >= 0 && f->margin_m <= (float)PE_FENCE_MARGIN_MAX_M);
		EXPECT(f->query.kind != PE_QUERY_POINT && f->query.kind != PE_QUERY_NEAREST);
		use_extension(&f->query, extension);
		sound_count++;
	}
}

static uint32_t subscribe_again(uint8_t *out, const uint8_t *data, const struct pe_wire_view *view)
{
	struct pe_wire_fence fences[PE_SUBSCRIBE_FENCES_MAX];
	struct pe_wire_fence_name names[PE_SUBSCRIBE_NAMES_MAX];
	uint32_t fences_bytes = view->count * (uint32_t)sizeof fences[0];
	const uint8_t *extension = view->records + fences_bytes;
	struct pe_wire_subscribe s;

	pe_wire_get_subscribe(data, &s);
	if (s.op == PE_SUBSCRIBE_REMOVE) {
		for (unsigned i = 0; i < view->count; i++)
			pe_wire_get_fence_name(view, i, &names[i]);
		return pe_wire_put_remove(
			out, PE_WIRE_BYTES_MAX, &view->header, &s, names, view->count);
	}
	EXPECT(view->count <= PE_SUBSCRIBE_FENCES_MAX);
	for (unsigned i = 0; i < view->count; i++) {
		pe_wire_get_fence(view, i, &fences[i]);
		use_fence(&fences[i], extension);
		extension += fences[i].query.extension_bytes;
	}
	EXPECT(extension == view->records + view->records_bytes);
	return pe_wire_put_subscribe(out, PE_WIRE_BYTES_MAX, &view->header, &s, fences, view->count,
		view->records + fences_bytes, view->records_bytes - fences_bytes);
}

static uint32_t told_again(uint8_t *out, const uint8_t *data, const struct pe_wire_view *view)
{
	struct pe_wire_event events[PE_NOTICE_EVENTS_MAX];
	struct pe_wire_subscribed s;
	struct pe_wire_notice n;

	if (view->header.type == PE_TYPE_REGION_SUBSCRIBE) {
		pe_wire_get_subscribed(data, &s);
		return pe_wire_put_subscribed(out, PE_WIRE_BYTES_MAX, &view->header, &s);
	}
	pe_wire_get_notice(data, &n);
	EXPECT(n.first_sequence > 0 && n.first_sequence + view->count > n.first_sequence);
	for (unsigned i = 0; i < view->count; i++) {
		pe_wire_get_event(view, i, &events[i]);
		EXPECT(events[i].kind >= PE_EVENT_ENTER && events[i].kind <= PE_EVENT_PAYLOAD);
	}
	return pe_wire_put_notice(out, PE_WIRE_BYTES_MAX, &view->header, &n, events, view->count);
}

static uint32_t detailed_again(uint8_t *out, const struct pe_wire_view *view)
{
	const uint8_t *record = view->records;

	for (unsigned i = 0; i < view->count; i++) {
		struct pe_details_blocks blocks, again;
		struct pe_wire_update update;

		memcpy(&update, record + 8, sizeof update);
		sound_count += pe_wire_check_update(&update, &limits[0]) == PE_REASON_none;
		if (pe_wire_check_detailed(record, &blocks) == PE_REASON_none) {
			pe_wire_get_detailed(record, &again);
			EXPECT(again.mask == blocks.mask);
			for (unsigned type = 1; type <= PE_DETAILS_TYPES; type++)
				EXPECT(again.content[type] == blocks.content[type] &&
					(!blocks.content[type] ||
						blocks.content[type] + blocks.bytes[type] <=
							record + pe_wire_detailed_next(record)));
			sound_count++;
		}
		record += pe_wire_detailed_next(record);
	}
	EXPECT(record == view->records + view->records_bytes);
	return pe_wire_put_detailed(out, PE_WIRE_BYTES_MAX, &view->header, &view->body.update,
		view->records, view->records_bytes, view->count);
}

static void engine_side(const uint8_t *data, uint32_t bytes, const struct pe_wire_view *view)
{
	uint8_t out[PE_WIRE_BYTES_MAX];
	struct pe_wire_update updates[PE_UPDATE_COUNT_MAX];
	struct pe_wire_withdraw withdraws[PE_WITHDRAW_COUNT_MAX];
	struct pe_wire_query queries[PE_QUERY_COUNT_MAX];
	uint32_t out_bytes = 0, records_bytes = view->count * (uint32_t)sizeof queries[0];
	const uint8_t *extension = view->records + records_bytes;

	switch (view->header.type) {
	case PE_TYPE_SPATIAL_UPDATE:
		for (unsigned i = 0; i < view->count; i++) {
			pe_wire_get_update(view, i, &updates[i]);
			for (int g = 0; g < 2; g++)
				if (pe_wire_check_update(&updates[i], &limits[g]) ==
					PE_REASON_none) {
					use_update(&updates[i], &limits[g]);
					sound_count++;
				}
		}
		out_bytes = pe_wire_put_update(
			out, sizeof out, &view->header, &view->body.update, updates, view->count);
		break;
	case PE_TYPE_DETAILED_UPDATE:
		out_bytes = detailed_again(out, view);
		break;
	case PE_TYPE_WITHDRAW:
		for (unsigned i = 0; i < view->count; i++) {
			pe_wire_get_withdraw(view, i, &withdraws[i]);
			sound_count += pe_wire_check_withdraw(&withdraws[i]) == PE_REASON_none;
		}
		out_bytes = pe_wire_put_withdraw(
			out, sizeof out, &view->header, &view->body.update, withdraws, view->count);
		break;
	case PE_TYPE_SPATIAL_QUERY:
		for (unsigned i = 0; i < view->count; i++) {
			pe_wire_get_query(view, i, &queries[i]);
			sound_count += pe_wire_check_query(&queries[i], false) == PE_REASON_none;
			sound_count += pe_wire_check_query(&queries[i], true) == PE_REASON_none;
			if (pe_wire_check_query(&queries[i], false) == PE_REASON_none)
				use_extension(&queries[i], extension);
			if (queries[i].flags & PE_QUERY_HAS_EXTENSION)
				extension += queries[i].extension_bytes;
		}
		EXPECT(extension == view->records + view->records_bytes);
		out_bytes = pe_wire_put_query_extended(out, sizeof out, &view->header, queries,
			view->count, view->records + records_bytes,
			view->records_bytes - records_bytes);
		break;
	case PE_TYPE_EXPLAIN:
		pe_wire_get_query(view, 0, &queries[0]);
		if (pe_wire_check_query(&queries[0], false) == PE_REASON_none)
			use_extension(&queries[0], extension);
		out_bytes = pe_wire_put_explain(out, sizeof out, &view->header, &view->body.explain,
			&queries[0], extension);
		break;
	case PE_TYPE_ERASE:
		out_bytes = pe_wire_put_erase(out, sizeof out, &view->header, &view->body.erase);
		break;
	case PE_TYPE_REGION_SUBSCRIBE:
		out_bytes = subscribe_again(out, data, view);
		break;
	case PE_TYPE_PING:
		out_bytes = pe_wire_put_ping(out, sizeof out, &view->header, &view->body.ping);
		break;
	case PE_TYPE_STATE_REQUEST:
		out_bytes = pe_wire_put_state_request(
			out, sizeof out, &view->header, &view->body.state_request);
		break;
	default:
		abort();
	}
	same(data, bytes, out, out_bytes);
}

static void add_again(
	struct pe_wire_response *r, const uint8_t *results, unsigned i, unsigned flags)
{
	struct pe_wire_result result = {0};
	struct pe_wire_short brief;
	struct pe_wire_cell cell;

	if (flags & PE_ANSWER_CELLS) {
		pe_wire_get_cell(results, i, &cell);
		EXPECT(pe_wire_response_add_cells(r, &cell, 1) == 1);
	} else if (flags & PE_ANSWER_SHORT) {
		pe_wire_get_short(results, i, &brief);
		memcpy(result.entity_id, brief.entity_id, sizeof brief.entity_id);
		memcpy(result.position, brief.position, sizeof brief.position);
		if (brief.position[2] != brief.position[2])
			result.state = PE_RESULT_HEIGHT_UNKNOWN;
		EXPECT(pe_wire_response_add_short(r, &result, 1) == 1);
	} else {
		pe_wire_get_result(results, i, &result);
		EXPECT(pe_wire_response_add(r, &result));
	}
}

static uint32_t add_detailed_again(struct pe_wire_response *r, const uint8_t *at)
{
	struct pe_wire_result result;
	uint32_t bytes = pe_wire_result_bytes(at, true);

	memcpy(&result, at, sizeof result);
	EXPECT(pe_wire_response_add_detailed(
		r, &result, at + sizeof result, bytes - (uint32_t)sizeof result));
	return bytes;
}

static uint32_t response_again(uint8_t *out, const struct pe_wire_view *view)
{
	struct pe_wire_response r;
	struct pe_wire_answer a;
	const uint8_t *results, *at;
	uint32_t offset = 0;
	unsigned answers = 0;

	pe_wire_response_begin(&r, out, PE_WIRE_BYTES_MAX);
	while (pe_wire_next_answer(view, &offset, &a, &results)) {
		at = results;
		EXPECT(pe_wire_response_open(
			&r, a.query_id, a.stream_id, a.request_sequence, a.part));
		for (unsigned i = 0; i < a.result_count; i++)
			if (a.flags & PE_ANSWER_DETAILED)
				at += add_detailed_again(&r, at);
			else
				add_again(&r, results, i, a.flags);
		if (a.detail)
			pe_wire_response_detail(&r, a.detail);
		pe_wire_response_close(&r, PE_REASON_none, a.flags, a.cursor);
		// Numbers of reasons newer than this build are legal; the writer has no words for
		// them.
		memcpy(out + (results - view->records) + sizeof(struct pe_wire_header) - sizeof a +
				4,
			&a.code, 2);
		answers++;
	}
	EXPECT(answers == view->count && offset == view->records_bytes);
	return pe_wire_response_finish(&r, &view->header);
}

static void client_side(const uint8_t *data, uint32_t bytes, const struct pe_wire_view *view)
{
	uint8_t out[PE_WIRE_BYTES_MAX];
	struct pe_wire_ack_record acks[PE_WITHDRAW_COUNT_MAX];
	struct pe_wire_counter counters[PE_COUNTERS_COUNT_MAX];
	const struct pe_wire_ack_preamble *ack = &view->body.ack;
	const struct pe_wire_state_preamble *state = &view->body.state;
	struct pe_wire_state_request request = {.selector = PE_STATE_COUNTERS};

	struct pe_wire_explanation e;
	struct pe_wire_erased erased;

	switch (view->header.type) {
	case PE_TYPE_EXPLAIN:
		pe_wire_get_explanation(view, &e);
		// Of a refusal nothing but what names the request is written.
		if (e.code == PE_CODE_SUCCESS)
			same(data, bytes, out,
				pe_wire_put_explanation(
					out, sizeof out, &view->header, PE_REASON_none, &e));
		break;
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		for (unsigned i = 0; i < view->count; i++)
			pe_wire_get_ack(view, i, &acks[i]);
		if (ack->reason < PE_REASON_COUNT && ack->code == pe_reason_info[ack->reason].code)
			same(data, bytes, out,
				pe_wire_put_ack(out, sizeof out, &view->header,
					(enum pe_type)view->header.type, ack->broadcast_id,
					ack->request_sequence, (enum pe_reason)ack->reason, acks,
					view->count));
		break;
	case PE_TYPE_SPATIAL_RESPONSE:
		same(data, bytes, out, response_again(out, view));
		break;
	case PE_TYPE_REGION_SUBSCRIBE:
	case PE_TYPE_NOTICE:
		same(data, bytes, out, told_again(out, data, view));
		break;
	case PE_TYPE_ERASED:
		pe_wire_get_erased(view, &erased);
		same(data, bytes, out, pe_wire_put_erased(out, sizeof out, &view->header, &erased));
		break;
	case PE_TYPE_PONG:
		same(data, bytes, out,
			pe_wire_put_pong(out, sizeof out, &view->header, &view->body.ping));
		break;
	case PE_TYPE_STATE_RESPONSE:
		for (unsigned i = 0; i < view->count; i++)
			pe_wire_get_counter(view, i, &counters[i]);
		request.first = state->first;
		if (state->reason < PE_REASON_COUNT &&
			state->code == pe_reason_info[state->reason].code)
			same(data, bytes, out,
				pe_wire_put_state_response(out, sizeof out, &view->header, &request,
					state->request_sequence, state->total,
					(enum pe_reason)state->reason, counters, view->count));
		break;
	default:
		abort();
	}
}

static void check_view(
	const uint8_t *data, uint32_t bytes, enum pe_reason reason, const struct pe_wire_view *view)
{
	if (reason != PE_REASON_none) {
		EXPECT(reason < PE_REASON_COUNT);
		EXPECT(!view->records && !view->records_bytes && !view->count);
		return;
	}
	EXPECT(bytes <= PE_WIRE_BYTES_MAX);
	EXPECT(view->records >= data + sizeof view->header);
	EXPECT(view->records + view->records_bytes == data + bytes);
}

// What unpacks is sound like what came plain, and is packed and unpacked to the same again where it
// is all of one message.
static void unpack(const uint8_t *data, uint32_t bytes)
{
	static uint8_t plain[PE_UNPACKED_BYTES_MAX], again[PE_UNPACKED_BYTES_MAX];
	static struct pe_pack_scratch scratch;
	static _Alignas(64) uint8_t packs[1 << 18], unpacks[1 << 18];
	uint8_t message[PE_WIRE_BYTES_MAX];
	struct pe_wire_view view, second;
	struct pe_wire_answer answer;
	const uint8_t *results;
	uint32_t offset = 0;

	if (pe_wire_zstd_bytes(true) && !scratch.zstd_packs) {
		EXPECT(pe_wire_zstd_start(&scratch, true, packs, sizeof packs));
		EXPECT(pe_wire_zstd_start(&scratch, false, unpacks, sizeof unpacks));
	}
	if (!pe_wire_is_packed(data, bytes) ||
		pe_wire_unpack(data, bytes, plain, &view, &scratch) != PE_REASON_none)
		return;
	EXPECT(pe_wire_next_answer(&view, &offset, &answer, &results));
	EXPECT(offset == view.records_bytes &&
		results + offset - sizeof answer <= plain + sizeof plain);
	bytes = pe_wire_put_packed(message, sizeof message, &view.header, &answer, results,
		answer.result_count, data[128], &scratch);
	// Another packer may have made less of it.
	if (!bytes)
		return;
	EXPECT(pe_wire_unpack(message, bytes, again, &second, &scratch) == PE_REASON_none);
	EXPECT(second.records_bytes == view.records_bytes &&
		memcmp(second.records, view.records, view.records_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	uint32_t bytes = size > 4096 ? 4096 : (uint32_t)size;
	uint8_t *block = malloc(bytes + 1), *data = block + 1;
	struct pe_wire_view engine, client, shorter;
	enum pe_reason for_engine, for_client;

	if (!block)
		abort();
	if (bytes)
		memcpy(data, input, bytes);
	for_engine = pe_wire_check(data, bytes, &engine);
	check_view(data, bytes, for_engine, &engine);
	for_client = pe_wire_check_reply(data, bytes, &client);
	check_view(data, bytes, for_client, &client);
	EXPECT(for_engine != PE_REASON_none || for_client != PE_REASON_none);
	if (for_engine == PE_REASON_none) {
		engine_side(data, bytes, &engine);
		EXPECT(pe_wire_check(data, bytes - 1, &shorter) != PE_REASON_none);
	}
	if (for_client == PE_REASON_none) {
		client_side(data, bytes, &client);
		EXPECT(pe_wire_check_reply(data, bytes - 1, &shorter) != PE_REASON_none);
	}
	unpack(data, bytes);
	free(block);
	return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

// One query with all that follows as its extension, cut to a multiple of eight: of a kind that may
// have it, with a block's head that fills it. Returns the bytes of both.
static size_t mend_extension(uint8_t *data, struct pe_wire_header *h, size_t size, unsigned seed)
{
	struct pe_wire_query q;
	struct pe_wire_block block = {.type = PE_BLOCK_VOLUME};
	uint8_t *at = data + sizeof *h;
	size_t bytes = (size - sizeof q) & ~(size_t)7;

	h->count = 1;
	memcpy(data, h, sizeof *h);
	memcpy(&q, at, sizeof q);
	q.kind = (uint8_t)(PE_QUERY_POINT + (seed >> 18) % 7);
	q.priority &= 3;
	q.flags = bytes ? PE_QUERY_HAS_EXTENSION : 0;
	memset(q.b, 0, sizeof q.b);
	memset(q.origin, 0, sizeof q.origin);
	q.height_min = q.height_max = 0;
	memset(q.cursor, 0, sizeof q.cursor);
	q.type_mask = q.state_mask = 0;
	q.max_results = 1;
	q.extension_bytes = (uint16_t)bytes;
	q.reserved1 = 0;
	q.reserved2 = 0;
	q.reserved3 = 0;
	memcpy(at, &q, sizeof q);
	if (bytes >= sizeof block && seed & 0x200000) {
		if (!pe_query_kind_extended(q.kind))
			block.type = PE_BLOCK_FILTER;
		block.bytes = (uint16_t)(bytes - sizeof block);
		memcpy(at + sizeof q, &block, sizeof block);
	}
	return sizeof q + bytes;
}

// An operation, and what belongs to it: fences, the last with all that follows as its extension;
// numbers; nothing.
static size_t mend_subscribe(uint8_t *data, struct pe_wire_header *h, size_t size, unsigned seed)
{
	size_t fixed = sizeof *h + sizeof(struct pe_wire_subscribe);
	struct pe_wire_subscribe s;

	memcpy(&s, data + sizeof *h, sizeof s);
	s.reserved0 = 0;
	s.reserved1 = 0;
	if (h->flags & PE_FLAG_RESPONSE || seed & 0x400000)
		h->count = 0;
	if (h->count > PE_SUBSCRIBE_FENCES_MAX)
		h->count = PE_SUBSCRIBE_FENCES_MAX;
	s.op = (uint8_t)(h->count ? 1 + (seed >> 18) % 3 : 4 + (seed >> 18) % 4);
	if (s.op == PE_SUBSCRIBE_REMOVE) {
		h->count = (uint16_t)((size - fixed) / 8);
		h->count = h->count < PE_SUBSCRIBE_NAMES_MAX ? h->count : PE_SUBSCRIBE_NAMES_MAX;
	}
	s.message = s.op == PE_SUBSCRIBE_ADD || s.op == PE_SUBSCRIBE_REMOVE ? 1 : 0;
	s.sequence = s.op == PE_SUBSCRIBE_RESUME || s.op == PE_SUBSCRIBE_ACKNOWLEDGE ?
		s.sequence | 1 :
		0;
	s.flags = s.op == PE_SUBSCRIBE_OPEN ? s.flags & PE_SUBSCRIBE_MOVES : 0;
	s.priority = 0;
	s.resolution_m = 0;
	s.update_frequency = s.window = 0;
	s.expiration_ms = 0;
	if (!(h->flags & PE_FLAG_RESPONSE))
		memcpy(data + sizeof *h, &s, sizeof s);
	if (s.op == PE_SUBSCRIBE_REMOVE)
		return fixed + h->count * (size_t)8;
	for (unsigned i = 0; i < h->count; i++) {
		uint8_t *at = data + fixed + i * sizeof(struct pe_wire_fence) +
			offsetof(struct pe_wire_fence, query) +
			offsetof(struct pe_wire_query, extension_bytes);
		size_t left = size - fixed - h->count * sizeof(struct pe_wire_fence);
		uint16_t bytes = i + 1 == h->count ? (uint16_t)(left & ~(size_t)7) : 0;

		memcpy(at, &bytes, sizeof bytes);
		fixed += bytes;
	}
	return fixed + h->count * sizeof(struct pe_wire_fence);
}

// Random bytes hardly ever get past the header. Three times in four the mutated input is mended: a
// known type, a legal
// count for its size, zeros where zeros must be.
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
	static const struct {
		uint8_t type, flags;
		uint16_t fixed, record;
	} kinds[] = {
		{PE_TYPE_SPATIAL_UPDATE, PE_FLAG_ACK, 104, 80},
		{PE_TYPE_WITHDRAW, 0, 104, 24},
		{PE_TYPE_SPATIAL_QUERY, 0, 80, 128},
		{PE_TYPE_PING, 0, 80, 16},
		{PE_TYPE_STATE_REQUEST, 0, 80, 16},
		{PE_TYPE_EXPLAIN, 0, 112, 128},
		{PE_TYPE_EXPLAIN, PE_FLAG_RESPONSE, 80, 128},
		{PE_TYPE_ERASE, 0, 80, 32},
		{PE_TYPE_ERASED, 0, 80, 32},
		{PE_TYPE_PONG, 0, 80, 16},
		{PE_TYPE_SPATIAL_UPDATE, PE_FLAG_RESPONSE, 112, 16},
		{PE_TYPE_WITHDRAW, PE_FLAG_RESPONSE, 112, 16},
		{PE_TYPE_DETAILED_UPDATE, PE_FLAG_RESPONSE, 112, 16},
		{PE_TYPE_SPATIAL_RESPONSE, 0, 80, 48},
		{PE_TYPE_SPATIAL_RESPONSE, PE_FLAG_PACKED, 136, 1},
		{PE_TYPE_STATE_RESPONSE, 0, 96, 16},
		{PE_TYPE_REGION_SUBSCRIBE, 0, 128, 168},
		{PE_TYPE_REGION_SUBSCRIBE, PE_FLAG_RESPONSE, 128, 168},
		{PE_TYPE_NOTICE, 0, 112, 80},
	};
	struct pe_wire_header h;
	unsigned k = (seed >> 2) % (sizeof kinds / sizeof kinds[0]);

	size = LLVMFuzzerMutate(data, size, size_max);
	if (seed % 4 == 0 || size < kinds[k].fixed)
		return size;
	memcpy(&h, data, sizeof h);
	if (seed & 0x10000) // keep the kind if it is one
		for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
			if (kinds[i].type == h.type && kinds[i].flags == h.flags)
				k = i;
	if (size < kinds[k].fixed)
		return size;
	h.version = PE_WIRE_VERSION;
	h.type = kinds[k].type;
	h.flags = kinds[k].flags;
	h.reserved0 = 0;
	h.reserved1 = 0;
	h.reserved2 = 0;
	h.session_id = 0;
	memset(h.tag, 0, sizeof h.tag);
	if (h.flags == PE_FLAG_PACKED) {
		const struct pe_wire_packed packed = {
			.method = seed & 0x40000 ? PE_PACKED_ZSTD : PE_PACKED_LZ4,
			.packed_bytes = (uint16_t)(size - 136)};

		h.count = 1;
		memcpy(data + 128, &packed, sizeof packed);
	} else if (h.type == PE_TYPE_SPATIAL_RESPONSE) {
		h.count = (uint16_t)(1 + h.count % 4);
	} else {
		h.count = (uint16_t)((size - kinds[k].fixed) / kinds[k].record);
		if ((kinds[k].fixed == 80 && kinds[k].record <= 32) || h.type == PE_TYPE_EXPLAIN)
			h.count = h.count ? 1 : 0;
		// One time in two what follows the first query is its extension.
		if (h.type == PE_TYPE_SPATIAL_QUERY && h.count && seed & 0x20000)
			return sizeof h + mend_extension(data, &h, size - sizeof h, seed);
		size = h.type == PE_TYPE_REGION_SUBSCRIBE ?
			mend_subscribe(data, &h, size, seed) :
			kinds[k].fixed + (size_t)h.count * kinds[k].record;
	}
	memcpy(data, &h, sizeof h);
	return size;
}
