// How the values of a configuration file are read: strictly, and with the place of whatever is
// wrong. For the files that read a part of it, and nobody else.
#pragma once

#include "config.h"
#include "config_yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Reading a value: NULL keeps what *value holds already. The first failure wins and ends the load.
struct reader {
	const struct raw_file *file;
	struct pe_error *error;
};

static inline bool fail(
	const struct reader *r, const char *path, const char *what, const char *text)
{
	raw_fail(r->file, r->error, path, "%s, not \"%.60s\"", what, text);
	return false;
}

static inline bool read_u32(const struct reader *r, const char *path, const char *text,
	uint32_t least, uint32_t most, uint32_t *value)
{
	char *end;
	unsigned long long v;

	if (!text)
		return true;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		return fail(r, path, "must be a whole number", text);
	if (v < least || v > most) {
		raw_fail(r->file, r->error, path, "must be from %u to %u, not %.40s", least, most,
			text);
		return false;
	}
	*value = (uint32_t)v;
	return true;
}

static inline bool read_double(const struct reader *r, const char *path, const char *text,
	double least, double most, double *value)
{
	char *end;
	double v;

	if (!text)
		return true;
	v = strtod(text, &end);
	if (end == text || *end != '\0' || !isfinite(v) || strpbrk(text, "xXpP \t"))
		return fail(r, path, "must be a number", text);
	if (v < least || v > most) {
		raw_fail(r->file, r->error, path, "must be from %g to %g, not %.40s", least, most,
			text);
		return false;
	}
	*value = v;
	return true;
}

static inline bool read_float(const struct reader *r, const char *path, const char *text,
	double least, double most, float *value)
{
	double v = (double)*value;

	if (!read_double(r, path, text, least, most, &v))
		return false;
	*value = (float)v;
	return true;
}

static inline bool read_bool(
	const struct reader *r, const char *path, const char *text, bool *value)
{
	if (!text)
		return true;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return fail(r, path, "must be true or false", text);
	*value = strcmp(text, "true") == 0;
	return true;
}

static inline bool read_word(const struct reader *r, const char *path, const char *text,
	const char *const *words, unsigned *value)
{
	char choice[160] = "must be";

	if (!text)
		return true;
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*value = i;
			return true;
		}
		snprintf(choice + strlen(choice), sizeof choice - strlen(choice), "%s %s",
			i ? " or" : "", words[i]);
	}
	return fail(r, path, choice, text);
}

static inline bool read_uuid(
	const struct reader *r, const char *path, const char *text, uint8_t id[16])
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	static const uint8_t nil[16];
	unsigned digits = 0;

	memset(id, 0, 16);
	for (unsigned i = 0; i < sizeof shape; i++) {
		int c = text[i], digit;

		if (shape[i] != 'x') {
			if (c != shape[i])
				return fail(r, path,
					"must be a uuid (8-4-4-4-12 hexadecimal digits)", text);
			continue;
		}
		digit = c >= '0' && c <= '9' ? c - '0' :
			c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 :
					       -1;
		if (digit < 0)
			return fail(
				r, path, "must be a uuid (8-4-4-4-12 hexadecimal digits)", text);
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
		digits++;
	}
	if (memcmp(id, nil, 16) == 0)
		return fail(r, path, "must not be the nil uuid, which names the first space", text);
	return true;
}

static inline bool read_prefixes(const struct reader *r, const char *key, char **texts,
	unsigned count, bool host_bits_zero, struct pe_prefix *prefixes, unsigned most,
	unsigned *prefix_count)
{
	char path[96];

	if (count > most) {
		raw_fail(r->file, r->error, key, "at most %u entries", most);
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%.70s[%u]", key, i);
		if (!pe_prefix_parse(texts[i], host_bits_zero, &prefixes[i]))
			return fail(r, path,
				host_bits_zero ?
					"must be an address or a prefix with no bits behind it" :
					"must be an IPv4 or IPv6 address, with or without /prefix",
				texts[i]);
	}
	*prefix_count = count;
	return true;
}

static inline bool read_level(
	const struct reader *r, const char *path, const char *text, uint8_t *level)
{
	static const char *const seal_levels[] = {"none", "sign", "encrypt", NULL};
	unsigned value = *level;

	if (!read_word(r, path, text, seal_levels, &value))
		return false;
	*level = (uint8_t)value;
	return true;
}

// config_sources.c: the section `sources`, after `security`.
bool pe_config_read_sources(
	const struct reader *r, const struct raw_config *raw, struct pe_config *config);
// config_views.c: the section `views`, after the spaces. What it holds is pe_config_free_views's.
bool pe_config_read_views(
	const struct reader *r, const struct raw_views *raw, struct pe_config *config);
void pe_config_free_views(struct pe_config *config);
