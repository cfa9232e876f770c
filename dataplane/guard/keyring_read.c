#include "keyring_read.h"
#include "seal/seal.h"
#include "seal/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool fail(
	const struct keyring_reader *r, const char *path, const char *what, const char *text)
{
	raw_fail(r->file, r->error, path, "%s, not \"%.60s\"", what, text);
	return false;
}

static bool decode(const char *text, size_t length, uint8_t out[32])
{
	size_t bytes = 0;

	return length == 64 && sodium_hex2bin(out, 32, text, length, NULL, &bytes, NULL) == 0 &&
		bytes == 32;
}

bool keyring_hex(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t out[32])
{
	// Not repeated: what stands in a wrong place may be a secret.
	if (!decode(text, strlen(text), out)) {
		raw_fail(r->file, r->error, path, "must be 64 hexadecimal digits");
		return false;
	}
	return true;
}

// Into text, with how much there was; −1: *error says why not.
static ssize_t read_file(
	const struct keyring_reader *r, const char *path, const char *name, char *text, size_t most)
{
	char whole[1024];
	struct stat st;
	ssize_t got = -1;
	int fd;

	if ((size_t)snprintf(whole, sizeof whole, "%s%s%s", name[0] == '/' ? "" : r->folder,
		    name[0] == '/' ? "" : "/", name) >= sizeof whole) {
		raw_fail(r->file, r->error, path, "the name is too long");
		return -1;
	}
	fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		raw_fail(r->file, r->error, path, "%.200s: %s", whole, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		raw_fail(r->file, r->error, path, "%.200s: is no file", whole);
	else if (st.st_mode & 077)
		raw_fail(r->file, r->error, path,
			"%.200s: others may open it; as its owner: chmod 600 %.60s", whole, whole);
	else if ((got = read(fd, text, most)) < 0)
		raw_fail(r->file, r->error, path, "%.200s: %s", whole, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return got;
}

bool keyring_secret(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t out[32])
{
	char held[80];
	bool sound = false;
	ssize_t got;

	if (decode(text, strlen(text), out)) {
		pe_secret_wipe(out, 32);
		raw_fail(r->file, r->error, path,
			"must name a file; a secret does not belong into this one");
		return false;
	}
	got = read_file(r, path, text, held, sizeof held);
	if (got >= 0) {
		while (got > 0 && (held[got - 1] == '\n' || held[got - 1] == '\r'))
			got--;
		sound = decode(held, (size_t)got, out);
		if (!sound)
			raw_fail(r->file, r->error, path,
				"%.200s: must hold 64 hexadecimal digits and nothing else", text);
	}
	pe_secret_wipe(held, sizeof held);
	return sound;
}

// Digits of a uuid until its end or `end`; NULL where it is none.
static const char *take_uuid(const char *text, uint8_t out[16])
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	static const char hex[] = "0123456789abcdef";
	unsigned digits = 0;

	memset(out, 0, 16);
	for (unsigned i = 0; shape[i]; i++) {
		int c = text[i] >= 'A' && text[i] <= 'F' ? text[i] - 'A' + 'a' : text[i];
		const char *digit = c ? strchr(hex, c) : NULL;

		if (shape[i] == '-' ? c != '-' : !digit)
			return NULL;
		if (shape[i] == '-')
			continue;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | (digit - hex));
		digits++;
	}
	return text + sizeof shape - 1;
}

bool keyring_uuid(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t out[16])
{
	const char *end = take_uuid(text, out);

	if (!end || *end)
		return fail(r, path, "must be a uuid (8-4-4-4-12 hexadecimal digits)", text);
	if (sodium_is_zero(out, 16))
		return fail(r, path, "must not be the nil uuid", text);
	return true;
}

bool keyring_prefix(const struct keyring_reader *r, const char *path, const char *text,
	uint8_t out[16], uint8_t *bits)
{
	static const char shape[] = "must be a uuid, or a uuid with /bits from 1 to 128";
	const char *end = take_uuid(text, out);
	unsigned long value = 128;
	char *last;

	if (!end || (*end && *end != '/'))
		return fail(r, path, shape, text);
	if (*end == '/') {
		value = end[1] >= '1' && end[1] <= '9' ? strtoul(end + 1, &last, 10) : 0;
		if (value == 0 || value > 128 || *last)
			return fail(r, path, shape, text);
	}
	for (unsigned i = (unsigned)value; i < 128; i++)
		if (out[i / 8] >> (7 - i % 8) & 1)
			return fail(r, path, "must be zero behind its bits", text);
	if (value == 128 && sodium_is_zero(out, 16))
		return fail(r, path, "must not be the nil uuid", text);
	*bits = (uint8_t)value;
	return true;
}

bool keyring_time(const struct keyring_reader *r, const char *path, const char *text, uint64_t *ms)
{
	static const char format[] = "%Y-%m-%dT%H:%M:%SZ";
	struct tm tm = {0};
	char again[40];
	const char *end;
	time_t seconds;

	if (!text)
		return true;
	end = strptime(text, format, &tm);
	seconds = end && !*end ? timegm(&tm) : -1;
	// Written again it must be the same: 31 February is no day, and single digits are no habit
	// of ours.
	if (seconds < 0 || !gmtime_r(&seconds, &tm) ||
		!strftime(again, sizeof again, format, &tm) || strcmp(again, text) != 0)
		return fail(r, path, "must be a time in UTC such as 2026-11-26T00:00:00Z", text);
	*ms = (uint64_t)seconds * 1000;
	return true;
}

bool keyring_level(
	const struct keyring_reader *r, const char *path, const char *text, uint8_t *level)
{
	if (!text)
		return true;
	if (strcmp(text, "sign") == 0)
		*level = PE_SEAL_SIGN;
	else if (strcmp(text, "encrypt") == 0)
		*level = PE_SEAL_ENCRYPT;
	else
		return fail(r, path, "must be sign or encrypt", text);
	return true;
}

bool keyring_uid(const struct keyring_reader *r, const char *path, const char *text, uint32_t *uid)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	// The last one means nobody in particular.
	if (text[0] < '0' || text[0] > '9' || *end || strlen(text) > 10 || value >= UINT32_MAX)
		return fail(r, path, "must be a user's number (id -u says it)", text);
	*uid = (uint32_t)value;
	return true;
}

bool keyring_number(const struct keyring_reader *r, const char *path, const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	if (end == text || *end || !isfinite(*out) || strpbrk(text, "xXpP \t"))
		return fail(r, path, "must be a number", text);
	return true;
}
