// The payload of an update, on the worker that owns its entity: in pieces to the keeper of each
// fence that the entity is inside of and whose subscription asks for payloads. Bounded by the
// memberships of one entity, and by the rings.
#include "watch.h"

static void tell_fence(struct pe_worker *w, struct pe_watch_fence *f, const uint8_t id[16],
	const uint8_t *payload, uint32_t bytes)
{
	const struct pe_watch_part *part = pe_watch_part(w, f);
	struct pe_watch_message message = {.fence = f,
		.order = PE_WATCH_EVENT,
		.kind = PE_EVENT_PAYLOAD,
		.flags = (uint16_t)bytes,
		.generation = part->generation,
		.time_ms = w->wall_ms};
	unsigned count = pe_wire_pieces(bytes);

	if (part->quiet || part->closing || part->ending || part->lost)
		return;
	for (unsigned i = 0; i < count; i++) {
		uint32_t from = i * PE_PIECE_BYTES;
		uint32_t left = bytes - from < PE_PIECE_BYTES ? bytes - from : PE_PIECE_BYTES;
		struct pe_wire_piece piece = {0};

		memcpy(piece.entity_id, id, 16);
		if (left)
			memcpy(piece.bytes, payload + from, left);
		memcpy(&message.u.result, &piece, sizeof piece);
		message.cause = (uint8_t)i;
		if (!pe_watch_send(w, &message)) {
			pe_watch_lose(w, f);
			return;
		}
	}
}

void pe_watch_payload(struct pe_worker *w, uint32_t handle, const uint8_t *payload, uint32_t bytes)
{
	struct pe_watch *x = w->watch;
	uint32_t cursor = PE_MEMBER_LIST_START, number;
	const struct pe_record *r = &w->engine->table.records[handle];
	bool anonymous = (w->engine->views.anonymous | w->engine->views.no_details) >>
			pe_audience_of(r->shown.attributes) &
		1;

	// What the update brings about is told before what it carries.
	if (x->touched_count)
		pe_watch_look(w);
	while ((number = pe_member_inside_next(x->members, handle, &cursor)) !=
		PE_MEMBER_LIST_END) {
		struct pe_watch_fence *f =
			(struct pe_watch_fence *)(uintptr_t)pe_fence_id(x->index, number);

		// Of an anonymous one it may say who it is.
		if (f->payloads && pe_watch_shows(w, f, &r->shown) && !anonymous)
			tell_fence(w, f, r->id, payload, bytes);
	}
	pe_watch_hear(w);
}
