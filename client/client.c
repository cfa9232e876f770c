#include "client/internal.h"
#include "client/secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define TIMEOUT_DEFAULT_MS 250
#define TIMEOUT_MAX_MS     60000
#define ATTEMPTS_DEFAULT   4
#define ATTEMPTS_MAX       16

static uint64_t clock_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t client_now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

// Without memory for Zstandard LZ4 will do.
static void ask_for_packed(struct presence_client *c)
{
	size_t bytes = pe_wire_zstd_bytes(false);

	c->pack = PE_FLAG_PACKED;
	c->zstd = bytes ? malloc(bytes) : NULL;
	if (c->zstd && pe_wire_zstd_start(&c->scratch, false, c->zstd, bytes))
		c->pack |= PE_FLAG_ZSTD;
}

enum presence_result presence_open_over(const struct presence_transport *transport, void *context,
	const struct presence_options *options, struct presence_client **client)
{
	struct presence_client *c = aligned_alloc(alignof(struct presence_client), sizeof *c);
	uint64_t random[2];

	*client = NULL;
	if (!c) {
		transport->close(context);
		return PRESENCE_MEMORY;
	}
	memset(c, 0, sizeof *c);
	// Names of packets, not secrets: without entropy the clock will do.
	if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random) {
		random[0] = clock_us(CLOCK_REALTIME) * 0x9E3779B97F4A7C15u;
		random[1] = random[0] ^ (uint64_t)(uintptr_t)c;
	}
	c->transport = transport;
	c->transport_context = context;
	c->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
	c->attempts = options->attempts ? options->attempts : ATTEMPTS_DEFAULT;
	c->incarnation = options->incarnation ? options->incarnation :
						(uint32_t)(clock_us(CLOCK_REALTIME) / 1000000);
	c->stream_id = options->stream_id ? options->stream_id : (uint32_t)random[1];
	c->key = random[0] | 1;
	if (transport->attached)
		c->traffic.attached = transport->attached(context);
	if (options->pack && pe_wire_pack_able())
		ask_for_packed(c);
	*client = c;
	return PRESENCE_OK;
}

// A client over a transport that is open, sealed where the options ask for it.
static enum presence_result open_session(const struct presence_transport *transport, void *context,
	const struct presence_options *options, struct presence_client **client, char *error,
	size_t error_bytes)
{
	if (options->session) {
#ifdef PRESENCE_SESSIONS
		enum presence_result result = presence_secure_open(
			transport, context, options, &context, error, error_bytes);

		if (result)
			return result;
		transport = &presence_secure;
#else
		transport->close(context);
		snprintf(error, error_bytes, "this library was built without sessions");
		return PRESENCE_BAD_ARGUMENT;
#endif
	}
	return presence_open_over(transport, context, options, client);
}

enum presence_result presence_open(const struct presence_options *options,
	struct presence_client **client, char *error, size_t error_bytes)
{
	static const struct presence_options none;
	char unused[1];
	void *context;
	enum presence_result result;

	*client = NULL;
	if (!options)
		options = &none;
	if (!error || !error_bytes) {
		error = unused;
		error_bytes = sizeof unused;
	}
	*error = 0;
	if (options->timeout_ms > TIMEOUT_MAX_MS || options->attempts > ATTEMPTS_MAX) {
		snprintf(error, error_bytes, "timeout_ms may be %d at most, attempts %d",
			TIMEOUT_MAX_MS, ATTEMPTS_MAX);
		return PRESENCE_BAD_ARGUMENT;
	}
	for (unsigned i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
		if (options->reserved[i]) {
			snprintf(error, error_bytes,
				"an option that libpresence %s does not know: zero the options before "
				"they are set, or install the library that the program was built with",
				presence_version());
			return PRESENCE_BAD_ARGUMENT;
		}
	if (options->uri) {
		struct presence_options named = *options;
		struct presence_address address;

		if (!presence_uri_parse(options->uri, &address, error, error_bytes))
			return PRESENCE_BAD_ARGUMENT;
		if (address.shm) {
			result = presence_shm_open(
				address.text, options, &context, error, error_bytes);
			return result ? result :
					open_session(&presence_shm, context, options, client, error,
						error_bytes);
		}
		named.host = address.text;
		named.port = address.port;
		result = presence_udp_open(&named, &context, error, error_bytes);
	} else {
		result = presence_udp_open(options, &context, error, error_bytes);
	}
	return result ? result :
			open_session(&presence_udp, context, options, client, error, error_bytes);
}

void presence_close(struct presence_client *client)
{
	if (!client)
		return;
	for (unsigned i = 0; i < client->watch_count; i++)
		client_watch_free(client->watches[i]);
	client->transport->close(client->transport_context);
	free(client->zstd);
	free(client);
}

int presence_socket(const struct presence_client *client)
{
	return client->transport->descriptor(client->transport_context);
}

bool presence_known_as(const struct presence_client *client, uint8_t id[16])
{
	memset(id, 0, 16);
	if (client->transport->known_as)
		client->transport->known_as(client->transport_context, id);
	return !pe_wire_id_nil(id);
}

uint32_t presence_incarnation(const struct presence_client *client)
{
	return client->incarnation;
}

struct presence_traffic presence_traffic(const struct presence_client *client)
{
	return client->traffic;
}

static struct pe_wire_header header_at(
	struct presence_client *client, const uint8_t *space, uint16_t flags, uint64_t timestamp_ms)
{
	struct pe_wire_header header = {
		.flags = flags,
		.stream_id = client->stream_id,
		.sequence = ++client->sequence,
		.timestamp_ms = timestamp_ms,
	};

	if (space)
		memcpy(header.space_id, space, sizeof header.space_id);
	return header;
}

struct pe_wire_header client_header(
	struct presence_client *client, const uint8_t *space, uint16_t flags)
{
	return header_at(client, space, flags, client_wall_ms());
}

struct pe_wire_header client_header_timeless(
	struct presence_client *client, const uint8_t *space, uint16_t flags)
{
	return header_at(client, space, flags, clock_us(CLOCK_REALTIME_COARSE) / 1000);
}

struct pe_wire_update_preamble client_preamble(
	const struct presence_client *client, uint64_t sequence)
{
	struct pe_wire_update_preamble preamble = {.incarnation = client->incarnation};

	memcpy(preamble.broadcast_id, &client->key, sizeof client->key);
	memcpy(preamble.broadcast_id + 8, &sequence, sizeof sequence);
	return preamble;
}

bool client_owns_broadcast(
	const struct presence_client *client, const uint8_t broadcast_id[16], uint64_t sequence)
{
	return memcmp(broadcast_id, &client->key, 8) == 0 &&
		memcmp(broadcast_id + 8, &sequence, 8) == 0;
}

// The other end isn't the one that was there before: it knows of no watch.
static void look_for_another(struct presence_client *client)
{
	uint64_t attached;

	if (!client->transport->attached)
		return;
	attached = client->transport->attached(client->transport_context);
	if (attached != client->traffic.attached && client->traffic.attached)
		for (unsigned i = 0; i < client->watch_count; i++)
			client_watch_ask_now(client->watches[i]);
	client->traffic.attached = attached;
}

// A message to its last byte; one that came packed where that was asked for.
static enum pe_reason check(struct presence_client *client, const uint8_t *data, uint32_t bytes,
	struct pe_wire_view *view)
{
	enum pe_reason reason;

	client->message = data;
	client->message_bytes = bytes;
	if (!client->pack || !pe_wire_is_packed(data, bytes))
		return pe_wire_check_reply(data, bytes, view);
	client->traffic.packed++;
	reason = pe_wire_unpack(data, bytes, client->unpacked, view, &client->scratch);
	client->message = client->unpacked;
	client->message_bytes = (uint32_t)sizeof(struct pe_wire_header) + view->records_bytes;
	return reason;
}

int client_receive(struct presence_client *client, const struct client_taker *taker,
	unsigned messages_max, int timeout_ms)
{
	struct iovec in[CLIENT_IN_MAX];
	unsigned taken = 0;

	client->bulk = NULL; // a transport may have let go of what it reserved
	if (timeout_ms == 0 && client->transport->silent &&
		client->transport->silent(client->transport_context))
		return 0;
	while (taken < messages_max) {
		unsigned room =
			messages_max - taken < CLIENT_IN_MAX ? messages_max - taken : CLIENT_IN_MAX;
		int came;

		for (unsigned i = 0; i < room; i++)
			in[i] = (struct iovec){client->in_data[i], CLIENT_IN_BYTES};
		came = client->transport->receive(
			client->transport_context, in, room, taken ? 0 : timeout_ms);
		if (came < 0)
			return taken ? (int)taken : -1;
		look_for_another(client);
		for (int i = 0; i < came; i++) {
			struct pe_wire_view view;

			client->traffic.packets_received++;
			if (in[i].iov_len > PE_WIRE_BYTES_MAX ||
				check(client, client->in_data[i], (uint32_t)in[i].iov_len, &view) !=
					PE_REASON_none)
				client->traffic.malformed++;
			else {
				client_rename(client, client->in_data[i], &view);
				if (!client_watch_take(client, client->in_data[i], &view) &&
					!taker->take(taker->context, &view))
					client->traffic.unexpected++;
			}
		}
		taken += (unsigned)came;
		if ((unsigned)came < room)
			break;
	}
	return (int)taken;
}

// Waits until there is room for one packet or the deadline has passed.
static enum presence_result send_one(struct presence_client *client, const struct iovec *packet,
	unsigned records, uint64_t deadline_us)
{
	client->bulk = NULL;
	for (;;) {
		int sent = client->transport->send(client->transport_context, packet, 1);

		if (sent > 0)
			break;
		if (sent < 0 && errno != ECONNREFUSED)
			return client_failed(client, PRESENCE_SYSTEM);
		if (client_now_us() >= deadline_us)
			return PRESENCE_TIMED_OUT;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	client->traffic.packets_sent++;
	client->traffic.records_sent += records;
	client->traffic.bytes_sent += packet->iov_len;
	return PRESENCE_OK;
}

enum presence_result client_exchange(struct presence_client *client,
	struct client_exchange *exchange, const struct client_taker *taker)
{
	for (exchange->attempts = 1; exchange->attempts <= client->attempts; exchange->attempts++) {
		uint64_t deadline_us = client_now_us() + (uint64_t)client->timeout_ms * 1000,
			 now_us;
		struct iovec packet;
		enum presence_result result;

		if (exchange->attempts > 1) {
			client->traffic.retries++;
			if (exchange->again)
				exchange->bytes = exchange->again(taker->context);
		}
		packet = (struct iovec){exchange->packet, exchange->bytes};
		result = send_one(client, &packet, exchange->records, deadline_us);
		if (result == PRESENCE_SYSTEM)
			return result;
		while (!*exchange->done && (now_us = client_now_us()) < deadline_us)
			if (client_receive(client, taker, CLIENT_IN_MAX,
				    (int)((deadline_us - now_us + 999) / 1000)) < 0)
				return client_failed(client, PRESENCE_SYSTEM);
		if (*exchange->done)
			return PRESENCE_OK;
	}
	exchange->attempts = client->attempts;
	return client_failed(client, PRESENCE_TIMED_OUT);
}

uint8_t *client_reserve(struct presence_client *client, enum presence_result *result)
{
	*result = PRESENCE_OK;
	client->bulk = NULL;
	if (client->transport->reserve) {
		client->reserved = client->transport->reserve(client->transport_context);
		if (!client->reserved) {
			*result = client_failed(client, PRESENCE_WOULD_BLOCK);
			client->error.what =
				"flush, and wait until the engine has read on; a larger ring "
				"(buffer_bytes) holds more";
		}
		return client->reserved;
	}
	if (client->out_count == CLIENT_OUT_MAX)
		*result = presence_flush(client, NULL);
	return client->out_count < CLIENT_OUT_MAX ? client->out_data[client->out_count] : NULL;
}

static void count_committed(struct presence_client *client, uint32_t bytes, unsigned records)
{
	client->sent_unseen++;
	client->traffic.packets_sent++;
	client->traffic.records_sent += records;
	client->traffic.bytes_sent += bytes;
}

void client_commit(struct presence_client *client, uint32_t bytes, unsigned records)
{
	unsigned i;

	if (client->transport->reserve) {
		if (client->transport->commit(client->transport_context, client->reserved, bytes))
			count_committed(client, bytes, records);
		return;
	}
	i = client->out_count++;
	client->out[i] = (struct iovec){client->out_data[i], bytes};
	client->out_records[i] = (uint8_t)records;
}

uint8_t *client_draft(struct presence_client *client, uint8_t *reserved)
{
	return client->transport->reserve ? client->draft : reserved;
}

void client_commit_draft(struct presence_client *client, uint32_t bytes)
{
	if (!client->transport->reserve)
		client_commit(client, bytes, 0);
	else if (client->transport->put(
			 client->transport_context, client->reserved, client->draft, bytes))
		count_committed(client, bytes, 0);
}

enum presence_result presence_flush(struct presence_client *client, unsigned *packets)
{
	enum presence_result result = PRESENCE_OK;
	unsigned done = 0;

	client->bulk = NULL;
	if (client->transport->flush) {
		client->transport->flush(client->transport_context);
		if (packets)
			*packets = client->sent_unseen;
		client->sent_unseen = 0;
		return result;
	}
	while (done < client->out_count && !result) {
		int sent = client->transport->send(
			client->transport_context, client->out + done, client->out_count - done);

		if (sent <= 0)
			result = client_failed(
				client, sent < 0 ? PRESENCE_SYSTEM : PRESENCE_WOULD_BLOCK);
		for (int i = 0; i < sent; i++, done++) {
			client->traffic.packets_sent++;
			client->traffic.records_sent += client->out_records[done];
			client->traffic.bytes_sent += client->out[done].iov_len;
		}
	}
	// What is left moves to the front; its bytes too, since a packet lives in the slot of its
	// index.
	for (unsigned i = 0; done && done + i < client->out_count; i++) {
		memmove(client->out_data[i], client->out_data[done + i],
			client->out[done + i].iov_len);
		client->out[i] = (struct iovec){client->out_data[i], client->out[done + i].iov_len};
		client->out_records[i] = client->out_records[done + i];
	}
	client->out_count -= done;
	if (packets)
		*packets = done;
	return result;
}
