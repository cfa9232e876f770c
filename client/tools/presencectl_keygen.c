// presencectl keygen: a new secret key into a file for its owner only, its public key on stdout.
#include "client/tools/presencectl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct keygen {
	struct ctl *ctl;
	const char *file;
	bool show;
};

static const struct argp_option options[] = {
	{"public", 'P', NULL, 0, "make nothing: print the public key of the secret one in FILE", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct keygen *k = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = k->ctl;
		return 0;
	case 'P':
		k->show = true;
		return 0;
	case ARGP_KEY_ARG:
		if (k->file)
			argp_usage(state);
		k->file = text;
		return 0;
	case ARGP_KEY_END:
		if (!k->file)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

// Never over a file that is there: it may be a key that somebody needs.
static int write_key(const char *path, const uint8_t secret[32])
{
	char text[66];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool written;

	if (fd < 0) {
		fprintf(stderr, "presencectl: %s: %s\n", path, strerror(errno));
		return EX_CANTCREAT;
	}
	presence_key_print(secret, text);
	text[64] = '\n';
	written = write(fd, text, 65) == 65 && fsync(fd) == 0;
	explicit_bzero(text, sizeof text);
	if (close(fd) == 0 && written)
		return EX_OK;
	fprintf(stderr, "presencectl: %s: cannot be written\n", path);
	(void)unlink(path);
	return EX_IOERR;
}

int ctl_keygen(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "FILE",
		"Makes a key: the secret one goes into FILE, which must not be there yet; the public one is printed, for a keyring "
		"(a principal's) or for clients (an engine's). A pre-shared key is made likewise, its public half not used.",
		ctl_json_child, NULL, NULL};
	struct keygen k = {.ctl = ctl};
	enum presence_result result;
	uint8_t secret[32], public_key[32];
	char text[65], error[300];
	int code = EX_OK;

	argp_parse(&argp, argc, argv, 0, NULL, &k);
	if (k.show && !presence_key_read(k.file, secret, error, sizeof error)) {
		fprintf(stderr, "presencectl: %s\n", error);
		return EX_NOINPUT;
	}
	result = k.show ? presence_key_public(secret, public_key) :
			  presence_key_make(secret, public_key);
	if (result)
		return ctl_failed(ctl, "keygen", result, (struct presence_refusal){0});
	if (!k.show)
		code = write_key(k.file, secret);
	explicit_bzero(secret, sizeof secret);
	if (code)
		return code;
	presence_key_print(public_key, text);
	if (ctl->json)
		ctl_print_json(json_pack("{s:s}", "public_key", text));
	else
		printf("%s\n", text);
	return EX_OK;
}
