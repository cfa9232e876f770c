// The engine's side of handshakes and sealed messages without an engine: for test_interop.py, which
// talks to it as a client that shares no code with it. guard-peer KEYRING FOLDER: reads frames from
// its input and writes one for each.
//
// in:  u32 bytes, u8 last byte of the sender's address, u64 monotonic ms, the message
// out: u32 bytes (0: silence), u8 verdict (pe_connect_verdict, or 100 + pe_session_verdict), the
// message
//
// A sealed message that is right comes back sealed, of type PONG, with its body.
#include "client_side.h"

#include <stdio.h>

#define WALL 1795000000000u

static struct pe_seal *seal;
static struct pe_session_table *table;

static uint32_t echo(
	struct pe_session *s, struct pe_now now, const uint8_t *data, uint32_t bytes, uint8_t *out)
{
	struct pe_seal_job job = {.data = out, .bytes = bytes, .level = s->level};
	uint64_t id, sequence;

	memcpy(out, data, bytes);
	out[1] = PE_TYPE_PONG;
	if (!pe_session_answer(s, now, &id, &sequence, &job.key))
		return 0;
	memcpy(out + offsetof(struct pe_wire_header, session_id), &id, 8);
	memcpy(out + offsetof(struct pe_wire_header, sequence), &sequence, 8);
	pe_seal_close(seal, &job, 1);
	return bytes;
}

int main(int argc, char **argv)
{
	static const uint8_t seed[32] = {42};
	static uint8_t data[65536], out[65536];
	struct pe_session_config config = {.session_count_max = 100};
	struct pe_cookie cookie;
	struct pe_connect connection = {.cookie = &cookie};
	struct pe_keyring *keyring;
	struct pe_error error;
	enum pe_seal_backend backend = PE_SEAL_BEST;
	struct {
		uint32_t bytes;
		uint8_t who;
		uint64_t mono_ms;
	} __attribute__((packed)) frame;

	if (argc == 3 && strcmp(argv[2], "openssl") == 0)
		backend = PE_SEAL_OPENSSL;
	if (argc < 2 || pe_secret_start(&error) != PE_OK ||
		pe_keyring_load(argv[1], &keyring, &error) != PE_OK ||
		pe_seal_create(backend, &seal, &error) != PE_OK ||
		pe_session_table_create(&config, seal, keyring, &table) != PE_OK) {
		fprintf(stderr, "guard-peer: %s\n", argc < 2 ? "which keyring?" : error.text);
		return EXIT_FAILURE;
	}
	pe_cookie_start(&cookie, seed, 0);
	connection.keyring = keyring;
	connection.table = table;
	while (fread(&frame, sizeof frame, 1, stdin) == 1) {
		struct pe_peer peer = {
			.address = {[10] = 0xFF, [11] = 0xFF, [15] = frame.who}, .port = 4000};
		struct pe_now now = {frame.mono_ms, WALL + frame.mono_ms};
		uint32_t bytes = 0;
		uint8_t verdict;

		if (frame.bytes > sizeof data || fread(data, 1, frame.bytes, stdin) != frame.bytes)
			return EXIT_FAILURE;
		if (frame.bytes >= 80 && frame.bytes <= PE_WIRE_BYTES_MAX &&
			data[1] != PE_TYPE_CONNECT) {
			struct pe_session *s = NULL;

			verdict = (uint8_t)engine_take(
				table, seal, data, frame.bytes, &peer, now, &s);
			if (verdict == PE_SESSION_OK)
				bytes = echo(s, now, data, frame.bytes, out);
			verdict += 100;
		} else {
			verdict = (uint8_t)pe_connect_receive(
				&connection, data, frame.bytes, &peer, now, out, &bytes);
		}
		if (fwrite(&bytes, 4, 1, stdout) != 1 || fwrite(&verdict, 1, 1, stdout) != 1 ||
			fwrite(out, 1, bytes, stdout) != bytes || fflush(stdout) != 0)
			return EXIT_FAILURE;
	}
	pe_session_table_destroy(table);
	pe_seal_destroy(seal);
	pe_keyring_destroy(keyring);
	return EXIT_SUCCESS;
}
