// What the files of libpresence share and nobody else sees: the client itself, the conversions
// between public structs and wire records, and the one loop that receives. Threads: as presence.h
// says.
#pragma once

#include "client/presence.h"
#include "client/transport.h"
#include "client/watch.h"
#include "wire/decode.h"
#include "wire/details.h"
#include "wire/encode.h"
#include "wire/extension.h"
#include "wire/pack.h"

#include <stdalign.h>
#include <sys/uio.h>
#include <time.h>

#define CLIENT_OUT_MAX 32 // packets gathered for one call into the kernel
#define CLIENT_IN_MAX  32 // datagrams taken at once
// room for one: more than any sound message, so that a longer one shows
#define CLIENT_IN_BYTES 2048
// of one that is gathered: a record in it is aligned wherever the packet lies
#define CLIENT_OUT_BYTES 1456

// The last failure, of which presence_error makes a sentence.
struct client_error {
	enum presence_result result;
	uint8_t code, reason; // REFUSED
	int system;           // SYSTEM: errno
	const char *what;     // BAD_ARGUMENT, and where there is more to say; lives for ever
};

struct presence_client {
	const struct presence_transport *transport;
	void *transport_context;
	uint32_t timeout_ms, attempts;
	uint32_t incarnation;
	uint32_t stream_id;
	uint64_t sequence; // of the last packet made
	uint64_t key;      // random: first half of broadcast ids and of pings
	struct presence_traffic traffic;
	uint8_t *reserved;    // in the transport's own memory: being filled
	unsigned sent_unseen; // packets committed there since the last flush
	uint16_t pack;        // flags of queries whose answers may come packed
	void *zstd;           // memory to unpack with; NULL: none
	struct client_error error;
	char error_text[640];
	struct presence_watch *watches[PRESENCE_WATCHES_MAX];
	unsigned watch_count;
	uint32_t watch_id, watch_epoch; // of the last one that was opened
	unsigned out_count;
	uint8_t out_records[CLIENT_OUT_MAX]; // records in each packet
	struct iovec out[CLIENT_OUT_MAX];
	uint8_t *bulk; // room that presence_reserve gave away in the next of out_data; NULL = none
	alignas(64) uint8_t out_data[CLIENT_OUT_MAX][CLIENT_OUT_BYTES];
	uint8_t draft[CLIENT_OUT_BYTES]; // a short message, until it is put where `reserved` says
	uint8_t in_data[CLIENT_IN_MAX][CLIENT_IN_BYTES];
	uint8_t unpacked[PE_UNPACKED_BYTES_MAX];
	// what a taker is handed, whole: in in_data, or in unpacked
	const uint8_t *message;
	uint32_t message_bytes;
	struct pe_pack_scratch scratch;
};

// rename.c. A sound answer: the requests that it names get back the sequences that the client gave
// them.
void client_rename(const struct presence_client *client, uint8_t *data, struct pe_wire_view *view);
// What a call failed of is kept, and returned.
[[nodiscard]] enum presence_result client_bad(struct presence_client *client, const char *what);
[[nodiscard]] enum presence_result client_refused(
	struct presence_client *client, uint8_t code, uint8_t reason);
[[nodiscard]] enum presence_result client_failed(
	struct presence_client *client, enum presence_result result); // with errno
// What cannot be said of an update or a query; never NULL.
const char *client_update_fault(const struct presence_update *update);
const char *client_query_fault(const struct presence_query *query);

// Called for each sound message; returns true when it was waited for.
struct client_taker {
	void *context;
	bool (*take)(void *context, const struct pe_wire_view *view);
};

// Takes what has come, checks each datagram, and hands the sound ones on. Returns how many came, or
// −1 with errno.
int client_receive(struct presence_client *client, const struct client_taker *taker,
	unsigned messages_max, int timeout_ms);

// Sends one packet and receives until *done or the time-out; sends it again while attempts are
// left. `again`, when not NULL, makes the packet for the next attempt and returns its length.
// PRESENCE_OK when *done.
struct client_exchange {
	uint8_t *packet;
	uint32_t bytes;
	unsigned records;
	uint32_t (*again)(void *context);
	const bool *done;
	unsigned attempts; // written: how many were needed
};
enum presence_result client_exchange(struct presence_client *client,
	struct client_exchange *exchange, const struct client_taker *taker);

// Room for one more gathered packet, flushing first when there is none; NULL = would block or
// error.
uint8_t *client_reserve(struct presence_client *client, enum presence_result *result);
void client_commit(struct presence_client *client, uint32_t bytes, unsigned records);
// Where a short message is written rather than in what was reserved, and its commit: a ring is
// written at once (transport.h, put).
uint8_t *client_draft(struct presence_client *client, uint8_t *reserved);
void client_commit_draft(struct presence_client *client, uint32_t bytes);

struct pe_wire_header client_header(
	struct presence_client *client, const uint8_t *space, uint16_t flags);
// Of a message in which nothing has a time of its own: by a clock that is some milliseconds behind,
// and costs a quarter.
struct pe_wire_header client_header_timeless(
	struct presence_client *client, const uint8_t *space, uint16_t flags);
struct pe_wire_update_preamble client_preamble(
	const struct presence_client *client, uint64_t sequence);
bool client_owns_broadcast(
	const struct presence_client *client, const uint8_t broadcast_id[16], uint64_t sequence);
uint64_t client_now_us(void); // monotonic
// Unix
static inline uint64_t client_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void client_watch_free(struct presence_watch *watch); // and what it keeps
// Standing queries (watch_row.c). Takes a notice or an answer of one of the client's watches;
// false: it is of none.
bool client_watch_take(
	struct presence_client *client, const uint8_t *data, const struct pe_wire_view *view);
// Hands on what is in order and does what the clocks say; how many events were handed on.
unsigned client_watch_turn(struct presence_client *client, const struct presence_events *events);
// It asks at its next turn where it stands.
void client_watch_ask_now(struct presence_watch *watch);
// Milliseconds to wait for datagrams at most, as far as watches go; timeout_ms < 0 = for ever.
// `only`: what others have to hand on waits, NULL = nothing does.
int client_watch_wait(
	const struct presence_client *client, const struct presence_watch *only, int timeout_ms);

// False when a field cannot be said on the wire.
bool client_update_to_wire(const struct presence_update *update, struct pe_wire_update *wire);
bool client_query_to_wire(
	const struct presence_query *query, uint32_t query_id, struct pe_wire_query *wire);
// Its volume and filter into room for `size`, with wire's flag and length; false when they cannot
// be said.
bool client_query_extend(const struct presence_query *query, struct pe_wire_query *wire,
	uint8_t *extension, uint32_t size);
void client_found_from_wire(const struct pe_wire_result *wire, struct presence_found *found);
// Result i of an answer with such flags, whole or SHORT; or a cell.
void client_get_found(
	const uint8_t *results, unsigned i, unsigned flags, struct presence_found *found);
void client_get_cell(const uint8_t *results, unsigned i, struct presence_cell *cell);
void client_ack_from_wire(const struct pe_wire_ack_record *wire, struct presence_ack *ack);
// details.c. A record of an update with details into room for PE_DETAILED_RECORD_BYTES_MAX; its
// bytes, or 0: it cannot be said.
uint32_t client_details_to_wire(const struct presence_update *update,
	const struct presence_details *details, uint8_t *record);
// One update packet of count records into buffer; 0 = an update that cannot be said.
uint32_t client_put_updates(struct presence_client *client, uint8_t *buffer, const uint8_t *space,
	const struct presence_update *updates, unsigned count, bool ack, uint64_t *sequence);
uint32_t client_put_query(struct presence_client *client, uint8_t *buffer, const uint8_t *space,
	const struct presence_query *query, uint64_t *sequence);
