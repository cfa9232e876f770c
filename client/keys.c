// Keys of clients: in files, as text, and new ones.
#include "client/internal.h"
#include "seal/noise.h"
#include "seal/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool presence_key_parse(const char *text, uint8_t key[32])
{
	for (unsigned i = 0; i < 64; i++) {
		int c = text[i], digit;

		digit = c >= '0' && c <= '9' ? c - '0' :
			c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 :
					       -1;
		if (digit < 0)
			return false;
		key[i / 2] = (uint8_t)(i % 2 ? key[i / 2] | digit : digit << 4);
	}
	return text[64] == '\0';
}

void presence_key_print(const uint8_t key[32], char text[65])
{
	for (unsigned i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", key[i]);
}

bool presence_key_read(const char *path, uint8_t key[32], char *error, size_t error_bytes)
{
	char text[80] = {0};
	bool good = false;
	struct stat st;
	ssize_t got;
	int fd;

	if (!path) {
		snprintf(error, error_bytes, "a session needs a file with a secret key");
		return false;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0) {
		snprintf(error, error_bytes, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		snprintf(error, error_bytes, "%s: is no file", path);
	} else if (st.st_mode & 077) {
		snprintf(error, error_bytes,
			"%s: group or others have rights: chmod 600, and a new key if somebody has read it",
			path);
	} else {
		got = read(fd, text, sizeof text - 1);
		if (got > 0 && text[got - 1] == '\n')
			text[--got] = '\0';
		good = got == 64 && presence_key_parse(text, key);
		if (!good)
			snprintf(error, error_bytes, "%s: must be 64 hexadecimal digits", path);
	}
	if (fd >= 0)
		close(fd);
	explicit_bzero(text, sizeof text);
	return good;
}

#ifdef PRESENCE_SESSIONS

enum presence_result presence_key_make(uint8_t secret[32], uint8_t public_key[32])
{
	struct pe_error error;

	if (pe_secret_start(&error) != PE_OK) {
		errno = ENOTSUP;
		return PRESENCE_SYSTEM;
	}
	pe_secret_random(secret, 32);
	pe_noise_public(secret, public_key);
	return PRESENCE_OK;
}

enum presence_result presence_key_public(const uint8_t secret[32], uint8_t public_key[32])
{
	struct pe_error error;

	if (pe_secret_start(&error) != PE_OK) {
		errno = ENOTSUP;
		return PRESENCE_SYSTEM;
	}
	pe_noise_public(secret, public_key);
	return PRESENCE_OK;
}

#else

enum presence_result presence_key_make(uint8_t secret[32], uint8_t public_key[32])
{
	errno = ENOTSUP;
	return PRESENCE_SYSTEM;
}

enum presence_result presence_key_public(const uint8_t secret[32], uint8_t public_key[32])
{
	errno = ENOTSUP;
	return PRESENCE_SYSTEM;
}

#endif
