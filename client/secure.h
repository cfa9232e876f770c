// A transport that seals what it sends and opens what it receives (docs/sessions.md), over another
// one. It opens a session at the start, begins epochs and new sessions in time, and opens another
// session when the engine has not been heard of for some seconds although it was asked: an engine
// that was started again knows none. While there is no session nothing is sent: send says that
// there is no room. When the engine says that answers go to where nobody has shown that he receives
// them — a NAT has changed its mind — it gets a cookie from there and shows it (secure_prove.c).
//
// A sealed message has a sequence of its own, since a repeat may not carry the same; what an answer
// names as its request's is turned back (`original`). Threads: the client's. Keys lie in locked
// memory and are wiped at close.
#pragma once

#include "client/transport.h"

// Takes `below` over, also when it fails. PRESENCE_TIMED_OUT: the engine stays silent; error says
// what that may mean.
enum presence_result presence_secure_open(const struct presence_transport *below,
	void *below_context, const struct presence_options *options, void **context, char *error,
	size_t error_bytes);
extern const struct presence_transport presence_secure;
