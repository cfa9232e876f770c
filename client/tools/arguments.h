// What the command-line tools share: numbers, vectors, ids and lists of names read from arguments,
// and the exit code of each outcome (sysexits). A parser returns false for anything but a whole,
// sound value. Any thread.
#pragma once

#include "client/presence.h"

#include <stdbool.h>
#include <stdint.h>

bool argument_u64(const char *text, uint64_t max, uint64_t *value);
bool argument_double(const char *text, double *value); // finite
bool argument_vector(const char *text, double v[3]);   // "1,2,3", or "1,2" with v[2] = 0
// "250ms", "20s", "5m"; a bare number is seconds
bool argument_duration_ms(const char *text, uint32_t *ms);
// "512m", "4km"; a bare number is metres. > 0
bool argument_length_m(const char *text, double *metres);
bool argument_priority(const char *text, uint8_t *priority); // "normal", "low", "high", "critical"
// a uuid, or name:number as presence_id_from_u64
bool argument_id(const char *text, uint8_t id[16]);
bool argument_type(const char *text, uint8_t *type); // "mobile", or "custom:7"
bool argument_state(const char *text, uint8_t *state, uint8_t *custom);
// high-accuracy, balanced, low-power or adaptive, in any case.
bool argument_power(const char *text, uint8_t *mode);
// public, anonymous, restricted, hidden
bool argument_visibility(const char *text, uint8_t *visibility);
// exact, 1m, 10m, 100m, 1km, 10km
bool argument_exactness(const char *text, uint8_t *exactness);
bool argument_mask(const char *text, bool states, uint16_t *mask); // "mobile,static"

// The options --key, --engine-key, --psk and --level of the tools: false when a text is none of
// theirs. The session is made known to the options with the first of them.
enum { ARGUMENT_KEY = 0x1000, ARGUMENT_ENGINE_KEY, ARGUMENT_PSK, ARGUMENT_LEVEL };
#define ARGUMENT_SESSION_OPTIONS \
	{"key", ARGUMENT_KEY, "FILE", 0, "speak in a session: the file with our secret key", 0}, \
		{"engine-key", ARGUMENT_ENGINE_KEY, "HEX", 0, \
			"the engine's public key; it prints it when it starts", 0}, \
		{"psk", ARGUMENT_PSK, "FILE", 0, "the pre-shared key, where there is one", 0}, \
	{ \
		"level", ARGUMENT_LEVEL, "LEVEL", 0, "sign (default) or encrypt", 0 \
	}
bool argument_session(
	int key, char *text, struct presence_session *session, struct presence_options *options);

// Negative numbers look like options: an argument that starts with a minus sign and a digit or a
// point gets a blank in front, which the parsers above skip. The copies live as long as the
// program.
void argument_protect(int argc, char **argv);

// Ends the program with EX_USAGE: says which option of these cannot be read and what it is, or,
// where `key` is none's (a word), only the text.
struct argp_option;
struct argp_state;
void argument_unread(const struct argp_state *state, const struct argp_option *options, int key,
	const char *text);

// At a program's end: `code`, or where that is EX_OK and what was printed could not be written,
// EX_IOERR.
int output_exit_code(const char *program, int code);
int exit_code(enum presence_result result, struct presence_refusal refusal);
// Of presence_open: a name that cannot be resolved is another thing than memory at which nobody is.
int open_exit_code(const struct presence_options *options, enum presence_result result);
