#include "client/tools/arguments.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#define CODE_UNAUTHORIZED 0x41

bool argument_u64(const char *text, uint64_t max, uint64_t *value)
{
	unsigned long long parsed;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	parsed = strtoull(text, &end, 10);
	if (errno || *end || parsed > max)
		return false;
	*value = parsed;
	return true;
}

bool argument_double(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && *end == 0 && isfinite(*value);
}

bool argument_vector(const char *text, double v[3])
{
	v[2] = 0;
	for (unsigned i = 0; i < 3; i++) {
		char *end;

		v[i] = strtod(text, &end);
		if (end == text || !isfinite(v[i]))
			return false;
		if (*end == 0)
			return i >= 1;
		if (*end != ',')
			return false;
		text = end + 1;
	}
	return false;
}

bool argument_duration_ms(const char *text, uint32_t *ms)
{
	static const struct {
		const char *suffix;
		double factor;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"", 1000}};
	char *end;
	double value = strtod(text, &end);

	if (end == text || !(value >= 0))
		return false;
	for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strcmp(end, units[i].suffix) == 0 && value * units[i].factor <= 4e9) {
			*ms = (uint32_t)(value * units[i].factor + 0.5);
			return true;
		}
	return false;
}

bool argument_length_m(const char *text, double *metres)
{
	char *end;

	*metres = strtod(text, &end);
	if (end == text || !(*metres > 0) || !isfinite(*metres))
		return false;
	if (strcmp(end, "km") == 0)
		*metres *= 1000;
	return *end == 0 || strcmp(end, "m") == 0 || strcmp(end, "km") == 0;
}

bool argument_priority(const char *text, uint8_t *priority)
{
	for (uint8_t p = PRESENCE_NORMAL; p <= PRESENCE_CRITICAL; p++)
		if (strcasecmp(text, presence_priority_name(p)) == 0) {
			*priority = p;
			return true;
		}
	return false;
}

bool argument_id(const char *text, uint8_t id[16])
{
	const char *colon = strchr(text, ':');
	uint64_t number;
	char name[9] = "";

	if (!colon)
		return presence_id_parse(text, id);
	if (colon == text || colon - text > 8 || !argument_u64(colon + 1, UINT64_MAX, &number))
		return false;
	memcpy(name, text, (size_t)(colon - text));
	presence_id_from_u64(name, number, id);
	return true;
}

bool argument_type(const char *text, uint8_t *type)
{
	uint64_t code;

	for (uint8_t t = PRESENCE_STATIC; t <= PRESENCE_RECURRING; t++)
		if (strcasecmp(text, presence_type_name(t)) == 0) {
			*type = t;
			return true;
		}
	if (strncasecmp(text, "custom:", 7) != 0 || !argument_u64(text + 7, 127, &code))
		return false;
	*type = (uint8_t)(PRESENCE_CUSTOM + code);
	return true;
}

// The number of the word among those; false: none of them.
static bool one_of(const char *text, const char *const *words, uint8_t count, uint8_t *number)
{
	for (uint8_t i = 0; i < count; i++)
		if (strcasecmp(text, words[i]) == 0) {
			*number = i;
			return true;
		}
	return false;
}

bool argument_power(const char *text, uint8_t *mode)
{
	static const char *const words[] = {"high-accuracy", "balanced", "low-power", "adaptive"};

	return one_of(text, words, PRESENCE_ADAPTIVE + 1, mode);
}

bool argument_visibility(const char *text, uint8_t *visibility)
{
	static const char *const words[] = {"public", "anonymous", "restricted", "hidden"};

	return one_of(text, words, PRESENCE_HIDDEN + 1, visibility);
}

bool argument_exactness(const char *text, uint8_t *exactness)
{
	static const char *const words[] = {"exact", "1m", "10m", "100m", "1km", "10km"};

	return one_of(text, words, PRESENCE_WITHIN_10_KM + 1, exactness);
}

bool argument_state(const char *text, uint8_t *state, uint8_t *custom)
{
	uint64_t code;

	for (uint8_t s = PRESENCE_ACTIVE; s <= PRESENCE_AWAY; s++)
		if (strcasecmp(text, presence_state_name(s)) == 0) {
			*state = s;
			*custom = 0;
			return true;
		}
	if (strncasecmp(text, "custom:", 7) != 0 || !argument_u64(text + 7, 255, &code))
		return false;
	*state = PRESENCE_STATE_CUSTOM;
	*custom = (uint8_t)code;
	return true;
}

bool argument_mask(const char *text, bool states, uint16_t *mask)
{
	static const char *const types[] = {"static", "mobile", "temporary", "recurring", "custom"};
	static const char *const state_names[] = {"active", "inactive", "busy", "away", "custom"};

	*mask = 0;
	while (*text) {
		size_t length = strcspn(text, ",");
		unsigned i;

		for (i = 0; i < 5; i++) {
			const char *name = states ? state_names[i] : types[i];

			if (strlen(name) == length && strncasecmp(text, name, length) == 0)
				break;
		}
		if (i == 5)
			return false;
		*mask |= (uint16_t)(1u << i);
		text += length + (text[length] == ',');
	}
	return *mask != 0;
}

void argument_protect(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (argv[i][0] == '-' &&
			(isdigit((unsigned char)argv[i][1]) || argv[i][1] == '.')) {
			size_t bytes = strlen(argv[i]) + 2;
			char *copy = malloc(bytes);

			if (!copy)
				exit(EX_OSERR);
			copy[0] = ' ';
			memcpy(copy + 1, argv[i], bytes - 1);
			argv[i] = copy;
		}
}

void argument_unread(const struct argp_state *state, const struct argp_option *options, int key,
	const char *text)
{
	text += text[0] == ' '; // of argument_protect
	for (const struct argp_option *o = options; key && (o->name || o->doc); o++)
		if (o->name && o->key == key)
			argp_error(state, "--%s: cannot read '%s': %s", o->name, text, o->doc);
	argp_error(state, "cannot read '%s'", text);
}

int output_exit_code(const char *program, int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "%s: the output cannot be written\n", program);
	return code ? code : EX_IOERR;
}

int exit_code(enum presence_result result, struct presence_refusal refusal)
{
	switch (result) {
	case PRESENCE_OK:
		return EX_OK;
	case PRESENCE_BAD_ARGUMENT:
		return EX_USAGE;
	case PRESENCE_TIMED_OUT:
		return EX_UNAVAILABLE;
	case PRESENCE_REFUSED:
		return refusal.code == CODE_UNAUTHORIZED ? EX_NOPERM : EX_DATAERR;
	case PRESENCE_INCOMPLETE:
	case PRESENCE_WOULD_BLOCK:
		return EX_TEMPFAIL;
	case PRESENCE_SYSTEM:
	case PRESENCE_MEMORY:
		break;
	}
	return EX_OSERR;
}

int open_exit_code(const struct presence_options *options, enum presence_result result)
{
	if (result != PRESENCE_SYSTEM)
		return exit_code(result, (struct presence_refusal){0});
	return options->uri && strncmp(options->uri, "shm:", 4) == 0 ? EX_UNAVAILABLE : EX_NOHOST;
}

bool argument_session(
	int key, char *text, struct presence_session *session, struct presence_options *options)
{
	options->session = session;
	switch (key) {
	case ARGUMENT_KEY:
		session->key_file = text;
		return true;
	case ARGUMENT_ENGINE_KEY:
		return presence_key_parse(text, session->engine_key);
	case ARGUMENT_PSK:
		session->psk_file = text;
		return true;
	default:
		session->level = strcmp(text, "sign") == 0 ? PRESENCE_SIGN :
			strcmp(text, "encrypt") == 0       ? PRESENCE_ENCRYPT :
							     0;
		return session->level != 0;
	}
}
