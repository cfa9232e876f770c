// Answers name their request by its sequence. A transport that gives messages other sequences on
// their way (client/secure.h) says what each was called here.
#include "client/internal.h"
#include "wire/subscribe.h"

static void rename_at(const struct presence_client *client, uint8_t *at)
{
	uint64_t sequence;

	memcpy(&sequence, at, sizeof sequence);
	sequence = client->transport->original(client->transport_context, sequence);
	memcpy(at, &sequence, sizeof sequence);
}

void client_rename(const struct presence_client *client, uint8_t *data, struct pe_wire_view *view)
{
	uint8_t *body = data + sizeof(struct pe_wire_header);
	struct pe_wire_answer answer;
	const uint8_t *results;
	uint32_t offset = 0;

	if (!client->transport->original)
		return;
	switch (view->header.type) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		rename_at(client, body + offsetof(struct pe_wire_ack_preamble, request_sequence));
		memcpy(&view->body.ack, body, sizeof view->body.ack);
		break;
	case PE_TYPE_STATE_RESPONSE:
		rename_at(client, body + offsetof(struct pe_wire_state_preamble, request_sequence));
		memcpy(&view->body.state, body, sizeof view->body.state);
		break;
	case PE_TYPE_REGION_SUBSCRIBE:
		rename_at(client, body + offsetof(struct pe_wire_subscribed, request_sequence));
		break;
	case PE_TYPE_EXPLAIN:
		rename_at(client,
			(uint8_t *)(uintptr_t)view->records +
				offsetof(struct pe_wire_explanation, request_sequence));
		break;
	case PE_TYPE_ERASED:
		rename_at(client, body + offsetof(struct pe_wire_erased, request_sequence));
		break;
	case PE_TYPE_SPATIAL_RESPONSE:
		for (uint32_t at = 0; pe_wire_next_answer(view, &offset, &answer, &results);
			at = offset)
			rename_at(client,
				(uint8_t *)(uintptr_t)view->records + at +
					offsetof(struct pe_wire_answer, request_sequence));
		break;
	default:
		break;
	}
}
