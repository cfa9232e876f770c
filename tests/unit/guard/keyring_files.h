// A folder with the secret files that a keyring names, made for a test and removed after it.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char keyring_folder[] = "/tmp/presenced-keyring-XXXXXX";

static inline void keyring_file(const char *name, const char *text, unsigned mode)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof path, "%s/%s", keyring_folder, name);
	out = fopen(path, "w");
	if (!out || fputs(text, out) < 0 || fclose(out) != 0 || chmod(path, mode) != 0) {
		perror(path);
		exit(EXIT_FAILURE);
	}
}

static inline void keyring_files_make(void)
{
	if (!mkdtemp(keyring_folder)) {
		perror(keyring_folder);
		exit(EXIT_FAILURE);
	}
}

static inline void keyring_files_remove(const char *const *names)
{
	char path[256];

	for (; *names; names++) {
		snprintf(path, sizeof path, "%s/%s", keyring_folder, *names);
		(void)unlink(path);
	}
	(void)rmdir(keyring_folder);
}

// 32 bytes as a line of hexadecimal digits.
static inline void keyring_hex_of(const uint8_t bytes[32], char text[66])
{
	for (unsigned i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}
