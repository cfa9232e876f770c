#include "client/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum presence_result keep(struct presence_client *client, const struct client_error *error)
{
	client->error = *error;
	return error->result;
}

enum presence_result client_bad(struct presence_client *client, const char *what)
{
	return keep(client, &(struct client_error){.result = PRESENCE_BAD_ARGUMENT, .what = what});
}

enum presence_result client_refused(struct presence_client *client, uint8_t code, uint8_t reason)
{
	return keep(client,
		&(struct client_error){.result = PRESENCE_REFUSED, .code = code, .reason = reason});
}

enum presence_result client_failed(struct presence_client *client, enum presence_result result)
{
	return keep(client, &(struct client_error){.result = result, .system = errno});
}

static const char *system_remedy(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "a firewall or a policy of this machine forbids it: look there";
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
		return "there is no way to that network: look at `ip route get` and at the interface";
	case EMSGSIZE:
		return "the way's MTU is below 1500: raise it, or publish fewer records a packet";
	case ENOBUFS:
	case ENOMEM:
		return "the system has no memory for it now: free some, or try again later";
	case EMFILE:
	case ENFILE:
		return "close files, or raise `ulimit -n`";
	default:
		return "mend what the system names, and open the client anew if its socket is gone";
	}
}

// Why there may be no answer, where nobody says it.
static const char *silence_remedy(const struct presence_transport *way, bool nobody)
{
	if (way->attached)
		return nobody ? "the engine has ended: start presenced" :
				"the ring stands: a busy engine may need a longer timeout_ms, and "
				"what is for trusted clients only has no answer for others";
	return nobody ? "nobody listens there; start presenced, or name the host and port that it "
			"has in `sources`" :
			"see that presenced runs there, that no firewall is between, and that its "
			"`admitted` names this machine's address; a busy engine may need a longer "
			"timeout_ms";
}

const char *presence_error(struct presence_client *client)
{
	const struct client_error *e = &client->error;
	char peer[160] = "the engine";
	char *text = client->error_text;
	const size_t size = sizeof client->error_text;
	const struct presence_transport *way = client->transport;
	const char *why = NULL;
	bool nobody = false;

	if (way->describe)
		nobody = way->describe(client->transport_context, peer, sizeof peer);
	if (nobody && way->why_nobody)
		why = way->why_nobody(client->transport_context);
	switch (e->result) {
	case PRESENCE_OK:
		*text = 0;
		break;
	case PRESENCE_BAD_ARGUMENT:
		snprintf(text, size, "%s", e->what);
		break;
	case PRESENCE_TIMED_OUT:
		snprintf(text, size, "no answer from %s to %u sendings within %u ms: %s", peer,
			client->attempts, client->attempts * client->timeout_ms,
			why ? why : silence_remedy(way, nobody));
		break;
	case PRESENCE_INCOMPLETE:
		snprintf(text, size,
			"parts of the answer of %s were lost on each of %u sendings: raise "
			"net.core.rmem_max and buffer_bytes, or ask for fewer results",
			peer, client->attempts);
		break;
	case PRESENCE_REFUSED:
		snprintf(text, size, "%s refused it, %s (%s): %s; %s", peer,
			presence_code_name(e->code), presence_reason_name(e->reason),
			presence_reason_text(e->reason), presence_reason_remedy(e->reason));
		break;
	case PRESENCE_SYSTEM:
		snprintf(text, size, "sending to %s: %s; %s", peer, strerror(e->system),
			system_remedy(e->system));
		break;
	case PRESENCE_WOULD_BLOCK:
		snprintf(text, size, "there is no room for more on the way to %s: %s", peer,
			why ? why :
				e->what ?
			      e->what :
			      "wait until presence_socket can be written, and send what "
			      "is left; or raise net.core.wmem_max and buffer_bytes");
		break;
	case PRESENCE_MEMORY:
		snprintf(text, size, "no memory: free some, or ask for less at once");
		break;
	}
	return text;
}

const char *presence_version(void)
{
	return PE_VERSION;
}
