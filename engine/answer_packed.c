// Answers for those who take them packed: as many parts of a large answer as are worth it. What is
// left, and the last part in any case, goes plain.
#include "answer.h"

#include "wire/pack.h"

#include <string.h>

struct pe_packing {
	struct pe_pack_scratch scratch;
	uint8_t plain[PE_UNPACKED_BYTES_MAX]; // a part before it is packed; its header is not used
	uint8_t other[PE_WIRE_BYTES_MAX];     // one that was packed the other way, to be compared
	uint32_t left;                        // bytes of results that may be packed in this turn
	_Alignas(64) uint8_t zstd[];
};

enum pe_status pe_packing_create(struct pe_worker *w)
{
	size_t zstd_bytes = pe_wire_zstd_bytes(true);
	enum pe_status status =
		pe_memory_map(sizeof *w->packing + zstd_bytes, false, &w->packing_memory);

	if (status != PE_OK)
		return status;
	w->packing = w->packing_memory.base;
	if (zstd_bytes)
		(void)pe_wire_zstd_start(&w->packing->scratch, true, w->packing->zstd, zstd_bytes);
	return PE_OK;
}

void pe_packing_destroy(struct pe_worker *w)
{
	pe_memory_unmap(&w->packing_memory);
}

void pe_packing_begin_turn(struct pe_worker *w)
{
	w->packing->left = PE_PACK_TURN_BYTES;
}

// `count` results from `first` on, as they travel.
static unsigned gather(struct pe_worker *w, const struct pe_query_answer *answer, uint32_t first,
	unsigned count, struct pe_wire_response *r)
{
	pe_wire_response_begin(r, w->packing->plain, 0);
	r->size = sizeof w->packing->plain;
	(void)!pe_wire_response_open(r, 0, 0, 0, 0);
	if (answer->form == PE_QUERY_CELLS)
		return pe_wire_response_add_cells(r, &w->query.cells[first], count);
	if (answer->form == PE_QUERY_SHORT)
		return pe_wire_response_add_short(r, &w->query.results[first], count);
	return pe_wire_response_add_some(r, &w->query.results[first], count);
}

// A buffer by itself, of the share of its class.
static uint8_t *reserve(struct pe_worker *w, const struct pe_message *m)
{
	uint8_t *buffer;

	if (!w->answers_left)
		return NULL;
	buffer = w->sink->reserve(w->sink->context, &m->peer);
	if (!buffer)
		w->answers_refused = true;
	w->answers_left -= buffer != NULL;
	return buffer;
}

// As many of `count` results as fit one message, from `most` downwards; fewer than `least` are not
// worth it. The message's bytes, and *count is how many they are; 0: it is better plain.
static uint32_t fit(struct pe_worker *w, uint8_t *buffer, const struct pe_wire_header *header,
	const struct pe_wire_answer *answer, enum pe_pack_method method, unsigned least,
	unsigned *count)
{
	const uint8_t *results = w->packing->plain + sizeof(struct pe_wire_header) + sizeof *answer;
	uint32_t bytes = 0;

	// An eighth less each time: from ten messages' worth to one in 18 steps.
	for (; *count >= least && !bytes; *count -= bytes ? 0 : (*count + 7) / 8)
		bytes = pe_wire_put_packed(buffer, PE_WIRE_BYTES_MAX, header, answer, results,
			*count, method, &w->packing->scratch);
	return bytes;
}

// Is the part in buffer, of `count` results packed by LZ4, so much smaller by Zstandard, by a
// sixteenth, that what follows should be? Then it is packed so. The message's bytes.
static uint32_t choose(struct pe_worker *w, uint8_t *buffer, const struct pe_wire_header *header,
	const struct pe_wire_answer *answer, unsigned count, uint32_t bytes,
	enum pe_pack_method *method)
{
	const uint8_t *results = w->packing->plain + sizeof(struct pe_wire_header) + sizeof *answer;
	uint32_t other = pe_wire_put_packed(w->packing->other, sizeof w->packing->other, header,
		answer, results, count, PE_PACKED_ZSTD, &w->packing->scratch);

	if (!other || other * 16 > bytes * 15)
		return bytes;
	memcpy(buffer, w->packing->other, other);
	*method = PE_PACKED_ZSTD;
	return other;
}

uint32_t pe_answer_packed(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, uint32_t query_id, uint16_t form,
	const struct pe_query_answer *answer, uint16_t *part)
{
	const uint32_t result_bytes = pe_answer_result_bytes(form);
	// What a message holds plain, and what it must hold packed to be worth the work.
	const unsigned plain =
		(PE_WIRE_BYTES_MAX -
			(uint32_t)(sizeof(struct pe_wire_header) + sizeof(struct pe_wire_answer))) /
		result_bytes;
	const unsigned least = plain + plain / 8 + 1, most = PE_PACKED_PLAIN_MAX / result_bytes;
	unsigned guess = plain + plain / 2;
	enum pe_pack_method method = PE_PACKED_LZ4;
	// The first part is too small to tell. An answer's second one is packed both ways.
	bool chooses = (view->header.flags & PE_FLAG_ZSTD) && w->packing->scratch.zstd_packs;
	uint32_t sent = 0;

	if (answer->form == PE_QUERY_DETAILED || !pe_wire_pack_able())
		return 0;
	while (answer->result_count - sent > least &&
		w->packing->left >= guess * result_bytes * (1u + chooses)) {
		struct pe_wire_header header = pe_answer_header(w, &view->header);
		const struct pe_wire_answer head = {.query_id = query_id,
			.flags = form,
			.request_sequence = view->header.sequence,
			.stream_id = view->header.stream_id,
			.part = *part};
		uint32_t left = answer->result_count - sent, bytes;
		unsigned count = guess < left ? guess : left;
		uint8_t *buffer = reserve(w, m);
		struct pe_wire_response r;

		if (!buffer)
			break;
		count = gather(w, answer, sent, count, &r);
		w->packing->left -= count * result_bytes;
		bytes = fit(w, buffer, &header, &head, method, least, &count);
		if (bytes && chooses && sent) {
			w->packing->left -= count * result_bytes;
			bytes = choose(w, buffer, &header, &head, count, bytes, &method);
			chooses = false;
		}
		pe_answer_send(w, m, buffer, bytes);
		if (!bytes)
			break;
		pe_count(&w->counters, PE_COUNTER_tx_packed, 1);
		sent += count;
		++*part;
		// As many as would have filled it, and a little less.
		guess = (unsigned)((uint64_t)count * (PE_WIRE_BYTES_MAX - 136) * 15 /
			((bytes - 135) * 16));
		guess = guess < most ? guess : most;
		guess = guess > least ? guess : least;
	}
	return sent;
}
