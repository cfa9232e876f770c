// Reading the values of a keyring file. Each returns false after it has filled *error with file,
// line, key and what is wrong; a NULL text, the key that is missing, is each caller's to think of.
// Start and reload; one thread.
#pragma once

#include "keyring_yaml.h"

#include <stdint.h>

struct keyring_reader {
	const struct raw_file *file;
	const char *folder; // of the files that are named
	struct pe_error *error;
};

// 32 bytes as 64 hexadecimal digits.
bool keyring_hex(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t out[32]);
// A file of 64 hexadecimal digits that nobody but its owner may read. The text is a name, from
// `folder` when it does not begin with /. What the file holds is in no message.
bool keyring_secret(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t out[32]);
bool keyring_uuid(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t out[16]);
// A uuid, or uuid/bits with zeros behind the bits.
bool keyring_prefix(const struct keyring_reader *r, const char *path, const char *text,
	uint8_t out[16], uint8_t *bits);
// "2026-11-26T00:00:00Z" as Unix ms; *ms is kept when the text is NULL.
bool keyring_time(const struct keyring_reader *r, const char *path, const char *text, uint64_t *ms);
// "sign" or "encrypt"; *level is kept when the text is NULL.
bool keyring_level(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t *level);
// A user's number on this machine. Names aren't looked up: the process has no rights to, when the
// keyring is read again.
bool keyring_uid(const struct keyring_reader *r, const char *path, const char *text, uint32_t *uid);
bool keyring_number(
	const struct keyring_reader *r, const char *path, const char *text, double *out);
