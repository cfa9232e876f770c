// What comes back from an engine: acknowledgements, answers and counters, field by field. The
// envelope is decode.c's.
#include "wire/sound.h"

#include "base/limits.h"
#include "wire/details.h"
#include "wire/extension.h"

#include <float.h>
#include <stddef.h>

enum pe_reason pe_wire_check_ack_record(const struct pe_wire_ack_record *a)
{
	bool refused = a->status == PE_ACK_REFUSED || a->status == PE_ACK_DROPPED;

	if (a->reserved)
		return PE_REASON_record_reserved;
	// A number of a reason that is newer than this client is not a fault; one that contradicts
	// the status is.
	if (a->status > PE_ACK_DROPPED || refused != (a->reason != 0) ||
		refused != (a->code != PE_CODE_SUCCESS))
		return PE_REASON_state;
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_result(const struct pe_wire_result *r)
{
	unsigned state = r->state & 7u;

	if (pe_wire_id_nil(r->entity_id))
		return PE_REASON_id_nil;
	if (r->reserved || (r->state & 0xE0u))
		return PE_REASON_record_reserved;
	if (!entity_type_known(r->entity_type))
		return PE_REASON_entity_type;
	if (state > PE_STATE_CUSTOM || (r->custom_state && state != PE_STATE_CUSTOM))
		return PE_REASON_state;
	if (!finite3(r->position) || !halves_finite(r->velocity) ||
		!(r->distance_m >= 0.0f && r->distance_m <= FLT_MAX) ||
		((r->state & PE_RESULT_HEIGHT_UNKNOWN) && r->position[2] != 0.0))
		return PE_REASON_coordinates;
	// A half's sign bit alone is a negative zero: refused with the negative ones.
	if (!pe_half_finite(r->precision) || (r->precision & 0x8000u))
		return PE_REASON_precision;
	return PE_REASON_none;
}

bool pe_wire_next_answer(const struct pe_wire_view *view, uint32_t *offset,
	struct pe_wire_answer *answer, const uint8_t **results)
{
	if (*offset >= view->records_bytes)
		return false;
	memcpy(answer, view->records + *offset, sizeof *answer);
	*results = view->records + *offset + sizeof *answer;
	*offset += (uint32_t)sizeof *answer;
	if (answer->flags & PE_ANSWER_DETAILED) {
		for (unsigned i = 0; i < answer->result_count; i++)
			*offset += pe_wire_result_bytes(view->records + *offset, true);
		return true;
	}
	*offset += answer->result_count * pe_answer_result_bytes(answer->flags);
	return true;
}

#define KINDS (PE_ANSWER_SHORT | PE_ANSWER_CELLS | PE_ANSWER_DETAILED)

static enum pe_reason check_answer(const struct pe_wire_answer *a)
{
	bool success = a->code == PE_CODE_SUCCESS;
	unsigned kinds;

	if ((a->detail && a->reason != PE_REASON_query_program) ||
		(a->flags & (unsigned)~PE_ANSWER_FLAGS_DEFINED) || success != (a->reason == 0))
		return PE_REASON_body_reserved;
	// One kind of results: at most one bit of these.
	kinds = a->flags & KINDS;
	if (kinds & (kinds - 1))
		return PE_REASON_body_reserved;
	if ((a->flags & PE_ANSWER_PACKET) && (a->query_id || success))
		return PE_REASON_body_reserved;
	// What is refused is one part, the last, without results or a cursor.
	if (!success &&
		(a->result_count || a->part || !(a->flags & PE_ANSWER_LAST) ||
			(a->flags & (PE_ANSWER_TRUNCATED | KINDS))))
		return PE_REASON_body_reserved;
	if ((a->flags & PE_ANSWER_TRUNCATED) && !(a->flags & PE_ANSWER_LAST))
		return PE_REASON_body_reserved;
	if (!(a->flags & PE_ANSWER_TRUNCATED) && !bits_zero(a->cursor, 2))
		return PE_REASON_body_reserved;
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_short(const struct pe_wire_short *r)
{
	uint64_t height;

	if (pe_wire_id_nil(r->entity_id))
		return PE_REASON_id_nil;
	memcpy(&height, &r->position[2], sizeof height);
	if (!isfinite(r->position[0]) || !isfinite(r->position[1]) ||
		!(isfinite(r->position[2]) || height == PE_SHORT_HEIGHT_UNKNOWN))
		return PE_REASON_coordinates;
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_cell(const struct pe_wire_cell *c)
{
	bool below = c->flags & PE_CELL_BELOW;

	if ((c->flags & ~PE_CELL_FLAGS_DEFINED) || (!c->count && !below) ||
		below != (c->below_cells != 0) ||
		(c->below && (!below || c->below < PE_CELL_BELOW_MIN)) ||
		c->level < PE_CELL_LEVEL_MIN || c->level > PE_CELL_LEVEL_MAX)
		return PE_REASON_record_reserved;
	if (!finite3(c->centre) || !(c->size_m > 0 && c->size_m <= FLT_MAX) ||
		!(c->height_m > 0 && c->height_m <= FLT_MAX))
		return PE_REASON_coordinates;
	return PE_REASON_none;
}

static enum pe_reason check_one(const uint8_t *results, unsigned i, unsigned flags)
{
	struct pe_wire_result result;
	struct pe_wire_short brief;
	struct pe_wire_cell cell;

	if (flags & PE_ANSWER_CELLS) {
		pe_wire_get_cell(results, i, &cell);
		return pe_wire_check_cell(&cell);
	}
	if (flags & PE_ANSWER_SHORT) {
		pe_wire_get_short(results, i, &brief);
		return pe_wire_check_short(&brief);
	}
	pe_wire_get_result(results, i, &result);
	return pe_wire_check_result(&result);
}

// Results of so many lengths; all of their bytes, where they are sound.
static uint32_t check_detailed(
	const uint8_t *p, uint32_t left, unsigned count, enum pe_reason *reason)
{
	const uint32_t whole = sizeof(struct pe_wire_result);
	uint32_t used = 0, n;

	for (unsigned i = 0; i < count; i++, used += whole + n) {
		*reason = left - used < whole ? PE_REASON_length : check_one(p + used, 0, 0);
		if (*reason)
			return 0;
		n = pe_wire_check_result_details(p + used + whole, left - used - whole);
		*reason = n ? PE_REASON_none : PE_REASON_details_form;
		if (*reason)
			return 0;
	}
	return used;
}

// The answers fill the message to its last byte, neither less nor more.
enum pe_reason pe_wire_check_response(const struct pe_wire_view *view)
{
	uint32_t left = view->records_bytes;
	const uint8_t *p = view->records;

	for (unsigned i = 0; i < view->count; i++) {
		struct pe_wire_answer answer;
		enum pe_reason reason;
		uint32_t bytes;

		if (left < sizeof answer)
			return PE_REASON_length;
		memcpy(&answer, p, sizeof answer);
		p += sizeof answer;
		left -= (uint32_t)sizeof answer;
		bytes = pe_answer_result_bytes(answer.flags);
		if (answer.result_count > left / bytes)
			return PE_REASON_length;
		reason = check_answer(&answer);
		if (answer.flags & PE_ANSWER_DETAILED) {
			bytes = check_detailed(p, left, answer.result_count, &reason);
		} else {
			for (unsigned j = 0; reason == PE_REASON_none && j < answer.result_count;
				j++)
				reason = check_one(p, j, answer.flags);
			bytes *= answer.result_count;
		}
		if (reason != PE_REASON_none)
			return reason;
		p += bytes;
		left -= bytes;
	}
	return left ? PE_REASON_length : PE_REASON_none;
}

enum pe_reason pe_wire_check_acks(const struct pe_wire_view *view)
{
	const struct pe_wire_ack_preamble *ack = &view->body.ack;
	bool success = ack->code == PE_CODE_SUCCESS;

	if (ack->reserved0 | ack->reserved1)
		return PE_REASON_body_reserved;
	if (success != (ack->reason == 0))
		return PE_REASON_body_reserved;
	if (success != (view->count != 0))
		return PE_REASON_count;
	for (unsigned i = 0; i < view->count; i++) {
		struct pe_wire_ack_record record;
		enum pe_reason reason;

		pe_wire_get_ack(view, i, &record);
		reason = pe_wire_check_ack_record(&record);
		if (reason != PE_REASON_none)
			return reason;
	}
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_state(const struct pe_wire_view *view)
{
	const struct pe_wire_state_preamble *state = &view->body.state;
	bool success = state->code == PE_CODE_SUCCESS;

	if (state->selector != PE_STATE_COUNTERS || success != (state->reason == 0))
		return PE_REASON_body_reserved;
	if (!success && view->count)
		return PE_REASON_count;
	for (unsigned i = 0; i < view->count; i++) {
		struct pe_wire_counter counter;

		pe_wire_get_counter(view, i, &counter);
		if ((counter.reserved0 | counter.reserved1) || counter.index != state->first + i ||
			counter.index >= state->total)
			return PE_REASON_record_reserved;
	}
	return PE_REASON_none;
}
