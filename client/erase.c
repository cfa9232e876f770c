#include "client/internal.h"

#include <string.h>

static_assert((int)PRESENCE_ERASED_RECORD == (int)PE_ERASED_RECORD &&
		(int)PRESENCE_ERASED_TOMBSTONE == (int)PE_ERASED_TOMBSTONE &&
		(int)PRESENCE_ERASED_DETAILS == (int)PE_ERASED_DETAILS &&
		(int)PRESENCE_ERASED_WAITING == (int)PE_ERASED_WAITING &&
		(int)PRESENCE_ERASED_FENCES == (int)PE_ERASED_FENCES &&
		(int)PRESENCE_ERASED_FRAMES == (int)PE_ERASED_FRAMES &&
		(int)PRESENCE_ERASED_QUARANTINE == (int)PE_ERASED_QUARANTINE,
	"places are those of the wire");

struct erasing {
	const struct presence_client *client;
	uint64_t sequence;
	struct pe_wire_erase erase;
	struct pe_wire_erased erased;
	bool done;
};

static bool take_erased(void *context, const struct pe_wire_view *view)
{
	struct erasing *e = context;
	struct pe_wire_erased erased;

	if (e->done || view->header.type != PE_TYPE_ERASED ||
		view->header.stream_id != e->client->stream_id)
		return false;
	pe_wire_get_erased(view, &erased);
	if (erased.request_sequence != e->sequence ||
		memcmp(erased.entity_id, e->erase.entity_id, sizeof erased.entity_id) != 0)
		return false;
	e->erased = erased;
	e->done = true;
	return true;
}

enum presence_result presence_erase(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], uint32_t incarnation, struct presence_erased *erased,
	struct presence_refusal *refusal)
{
	uint8_t packet[PE_WIRE_BYTES_MAX];
	struct erasing e = {.client = client, .erase = {.incarnation = incarnation}};
	struct client_taker taker = {&e, take_erased};
	struct client_exchange exchange = {.packet = packet, .records = 1, .done = &e.done};
	struct pe_wire_header header;
	enum presence_result result;

	*erased = (struct presence_erased){.status = PRESENCE_NOT_TAKEN};
	if (refusal)
		*refusal = (struct presence_refusal){0};
	if (pe_wire_id_nil(id))
		return client_bad(
			client, "the nil id names no entity; name the one that is erased");
	header = client_header(client, space, 0);
	e.sequence = header.sequence;
	memcpy(e.erase.entity_id, id, sizeof e.erase.entity_id);
	exchange.bytes = pe_wire_put_erase(packet, sizeof packet, &header, &e.erase);
	if (!exchange.bytes)
		return client_bad(client, "it cannot be said; check its arguments");
	result = client_exchange(client, &exchange, &taker);
	if (result)
		return result;
	erased->repeated = exchange.attempts > 1;
	if (e.erased.code != PE_CODE_SUCCESS) {
		erased->status =
			e.erased.status == PE_ACK_DROPPED ? PRESENCE_DROPPED : PRESENCE_NOT_TAKEN;
		if (refusal)
			*refusal = (struct presence_refusal){e.erased.code, e.erased.reason};
		return client_refused(client, e.erased.code, e.erased.reason);
	}
	erased->status = e.erased.status == PE_ACK_APPLIED ? PRESENCE_APPLIED : PRESENCE_ACCEPTED;
	erased->where = e.erased.where;
	return PRESENCE_OK;
}

const char *presence_erased_name(unsigned place)
{
	static const char *const names[] = {"record", "tombstone", "details", "waiting state",
		"fences", "frames", "quarantine"};
	unsigned bit = place ? (unsigned)__builtin_ctz(place) : 31;

	return bit < sizeof names / sizeof names[0] && place == 1u << bit ? names[bit] : "?";
}
