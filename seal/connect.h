// The messages that open and close a session, as docs/sessions.md lays them out: CONNECT from the
// client, CONNECT_ACK from the engine, and what is encrypted in them. Little endian, naturally
// aligned, no padding.
#pragma once

#include "seal/noise.h"
#include "wire/wire.h"

#include <stddef.h>

enum {
	PE_TYPE_CONNECT = 0x00,
	PE_TYPE_CONNECT_ACK = 0x01,
	PE_TYPE_DISCONNECT = 0x02,
};

enum pe_connect_step {
	PE_CONNECT_KNOCK = 1,   // client: may I have a cookie
	PE_CONNECT_COOKIE = 2,  // engine
	PE_CONNECT_HELLO = 3,   // client: the handshake's first message
	PE_CONNECT_WELCOME = 4, // engine: its second
};

struct pe_wire_connect { // KNOCK, HELLO
	struct pe_wire_header header;
	uint8_t step;
	uint8_t reserved[7];
	uint8_t key_id[8];  // which of the engine's keys
	uint8_t cookie[16]; // HELLO; KNOCK: zero
	uint8_t noise[128]; // HELLO: key 32, static key 48, payload 48; KNOCK: zero
	uint8_t mac[16];    // of all before it
};
static_assert(sizeof(struct pe_wire_connect) == 256, "connect");
#define PE_CONNECT_PROLOGUE_BYTES offsetof(struct pe_wire_connect, noise)
static_assert(PE_CONNECT_PROLOGUE_BYTES == 112, "prologue");

struct pe_wire_hello { // encrypted in HELLO
	uint8_t level; // enum pe_seal_level that the client wants
	uint8_t reserved0[7];
	uint64_t timestamp_ms; // the client's clock; told, not checked
	uint64_t reserved1[2];
};
static_assert(sizeof(struct pe_wire_hello) == 32, "hello");
static_assert(sizeof(struct pe_wire_hello) + PE_NOISE_FIRST_OVERHEAD == 128, "first message");

struct pe_wire_cookie { // COOKIE
	struct pe_wire_header header;
	uint8_t step;
	uint8_t reserved[7];
	uint64_t request_sequence;
	uint8_t key_id[8];
	uint8_t cookie[16];
	uint64_t reserved1;
};
static_assert(sizeof(struct pe_wire_cookie) == 128, "cookie");

struct pe_wire_welcome { // WELCOME
	struct pe_wire_header header;
	uint8_t step;
	uint8_t reserved[7];
	uint64_t request_sequence;
	uint8_t noise[96]; // key 32, payload 64
};
static_assert(sizeof(struct pe_wire_welcome) == 192, "welcome");

struct pe_wire_grant { // encrypted in WELCOME
	uint64_t session_id;
	uint8_t level; // what the session has: at least the principal's
	uint8_t reserved0;
	uint16_t window;       // of replays, sequences
	uint32_t epoch_s;      // begin the next epoch before it is as old
	uint32_t life_s;       // of the session
	uint32_t idle_s;       // silence that ends it
	uint64_t timestamp_ms; // the engine's clock
	uint8_t principal[16];
};
static_assert(sizeof(struct pe_wire_grant) == 48, "grant");
static_assert(sizeof(struct pe_wire_grant) + PE_NOISE_SECOND_OVERHEAD == 96, "second message");

static_assert(sizeof(struct pe_wire_cookie) <= sizeof(struct pe_wire_connect) &&
		sizeof(struct pe_wire_welcome) <= sizeof(struct pe_wire_connect),
	"no answer is longer than what it answers");
#define PE_CONNECT_REPLY_MAX sizeof(struct pe_wire_connect)
