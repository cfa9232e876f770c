// Shows the engine that the client receives where its messages come from: a KNOCK from there, and
// the COOKIE that answers it in a sealed PING. What starts it is the engine's word in a sealed
// message (PE_FLAG_UNPROVED), so that nobody else can start it, and it is asked for again, at
// growing distances, for as long as that word comes.
#include "client/secure_internal.h"

#include <string.h>

#define WAIT_FIRST_US 1000000u
#define WAIT_MOST_US  16000000u

void secure_prove_told(struct secure *s, bool unproved)
{
	uint64_t now_us = secure_now_us();

	if (!unproved) {
		s->prove_wait_us = s->prove_sequence = 0;
		return;
	}
	// Answers to what was sent before the PING say so still; and who moves to and fro isn't
	// followed more often.
	if (now_us < s->prove_again_us)
		return;
	s->prove_wait_us = s->prove_wait_us == 0    ? WAIT_FIRST_US :
		s->prove_wait_us < WAIT_MOST_US / 2 ? 2 * s->prove_wait_us :
						      WAIT_MOST_US;
	s->prove_again_us = now_us + s->prove_wait_us;
	// Nobody off the path can guess it.
	do
		pe_secret_random(&s->prove_sequence, sizeof s->prove_sequence);
	while (!s->prove_sequence);
	secure_connect_knock(s, s->prove_sequence);
}

void secure_prove_reset(struct secure *s)
{
	s->prove_wait_us = s->prove_sequence = 0;
}

bool secure_prove_take(struct secure *s, const uint8_t *data, uint32_t bytes)
{
	struct pe_wire_cookie cookie;

	if (!s->prove_sequence || bytes != sizeof cookie)
		return false;
	memcpy(&cookie, data, sizeof cookie);
	if (cookie.header.version != PE_WIRE_VERSION || cookie.header.type != PE_TYPE_CONNECT_ACK ||
		cookie.step != PE_CONNECT_COOKIE || cookie.request_sequence != s->prove_sequence)
		return false;
	s->prove_sequence = 0;
	memcpy(s->proof, cookie.cookie, sizeof s->proof);
	return true;
}
