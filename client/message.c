#include "client/message.h"

#include "client/internal.h"

#include <errno.h>
#include <string.h>

static_assert(PRESENCE_MESSAGE_BYTES_MAX == PE_WIRE_BYTES_MAX, "a message");
static_assert(PRESENCE_UNPACKED_BYTES_MAX == PE_UNPACKED_BYTES_MAX, "an unpacked one");

struct handing {
	struct presence_client *client;
	void (*came)(void *context, const void *message, size_t bytes);
	void *context;
};

static bool hand_on(void *context, const struct pe_wire_view *view)
{
	const struct handing *h = context;

	(void)view;
	h->came(h->context, h->client->message, h->client->message_bytes);
	return true;
}

enum presence_result presence_message_send(
	struct presence_client *client, const void *message, size_t bytes)
{
	uint8_t copy[PE_WIRE_BYTES_MAX];
	struct iovec packet = {copy, bytes};
	int sent;

	if (bytes < sizeof(struct pe_wire_header) || bytes > sizeof copy)
		return client_bad(client, "a message has 80 to 1452 bytes");
	memcpy(copy, message, bytes);
	if (copy[offsetof(struct pe_wire_header, type)] == PE_TYPE_SPATIAL_QUERY)
		copy[offsetof(struct pe_wire_header, flags)] |= (uint8_t)client->pack;
	client->bulk = NULL;
	sent = client->transport->send(client->transport_context, &packet, 1);
	// Nobody listens there at the moment: it is lost, like one on the way.
	if (sent < 0 && errno != ECONNREFUSED)
		return client_failed(client, PRESENCE_SYSTEM);
	if (!sent)
		return client_failed(client, PRESENCE_WOULD_BLOCK);
	client->traffic.packets_sent++;
	client->traffic.bytes_sent += bytes;
	return PRESENCE_OK;
}

int presence_message_poll(struct presence_client *client,
	void (*came)(void *context, const void *message, size_t bytes), void *context,
	unsigned messages_max, int timeout_ms)
{
	struct handing h = {client, came, context};
	struct client_taker taker = {&h, hand_on};
	int taken = client_receive(client, &taker, messages_max, timeout_ms);

	if (taken < 0)
		(void)client_failed(client, PRESENCE_SYSTEM);
	return taken;
}
