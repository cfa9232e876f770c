// The clients' side of sessions for a packet source: a keyring of a few principals in a folder of
// its own, sessions that are open in a worker's gate without a handshake, and the seal on each
// packet. Thread: before the workers start the caller's, then the one that receives from the port.
#pragma once

#include "dataplane/trust.h"

struct sealer;

// level: 1 sign, 2 encrypt. Writes the keyring and names it in the configuration. Ends the program
// on failure.
struct sealer *sealer_create(struct pe_config *config, uint8_t level);
// Opens the sessions, after pe_trust_open; the folder goes.
void sealer_open(struct sealer *sealer, struct pe_trust *trust);
// Seals a message for the next of the sessions; what stands in its header's session and tag does
// not matter. context: a sealer.
void sealer_seal(void *context, uint8_t *message, uint32_t bytes);
