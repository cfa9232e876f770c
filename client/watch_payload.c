#include "client/watch_internal.h"

#include <string.h>

static_assert(PRESENCE_PAYLOAD_MAX == 512, "as the engine's");

static void drop(struct presence_watch *watch, struct watch_half *half)
{
	watch->counts.halves += half->used;
	half->used = 0;
}

void client_watch_drop_halves(struct presence_watch *watch)
{
	for (unsigned i = 0; i < WATCH_HALVES_MAX; i++)
		drop(watch, &watch->halves[i]);
}

static struct watch_half *find(struct presence_watch *watch, uint32_t fence, const uint8_t id[16])
{
	for (unsigned i = 0; i < WATCH_HALVES_MAX; i++) {
		struct watch_half *half = &watch->halves[i];

		if (half->used && half->fence == fence && memcmp(half->entity_id, id, 16) == 0)
			return half;
	}
	return NULL;
}

// A free place; without one the places are made free in turns: an engine never leaves so many half.
static struct watch_half *take(struct presence_watch *watch)
{
	struct watch_half *half;

	for (unsigned i = 0; i < WATCH_HALVES_MAX; i++)
		if (!watch->halves[i].used)
			return &watch->halves[i];
	half = &watch->halves[watch->turn];
	watch->turn = (watch->turn + 1) % WATCH_HALVES_MAX;
	drop(watch, half);
	return half;
}

bool client_watch_piece(struct presence_watch *watch, const struct pe_wire_event *event,
	const struct watch_half **whole)
{
	struct pe_wire_piece piece;
	struct watch_half *half;
	bool broken;
	uint32_t from = event->cause * PE_PIECE_BYTES, left;

	memcpy(&piece, &event->result, sizeof piece);
	half = find(watch, event->fence_id, piece.entity_id);
	broken = half &&
		(event->cause != half->piece || event->flags != half->bytes ||
			event->time_ms != half->time_ms);
	if (broken)
		drop(watch, half);
	if (!half || broken) {
		if (event->cause) {
			watch->counts.halves += !broken;
			return false;
		}
		half = take(watch);
		*half = (struct watch_half){.time_ms = event->time_ms,
			.fence = event->fence_id,
			.bytes = event->flags,
			.used = 1};
		memcpy(half->entity_id, piece.entity_id, sizeof half->entity_id);
	}
	// The event was checked: it has no piece behind the payload's end.
	left = half->bytes - from;
	memcpy(half->payload + from, piece.bytes, left < PE_PIECE_BYTES ? left : PE_PIECE_BYTES);
	half->piece++;
	if (half->piece < pe_wire_pieces(half->bytes))
		return false;
	half->used = 0;
	*whole = half;
	return true;
}
