// Sealed messages that came to another worker than their session's: handed over as copies, one ring
// a pair of workers, single producer and single consumer. Rare: a client's address has changed, and
// with it the worker that its packets arrive at.
#include "gate_internal.h"

#include "base/ring_spsc.h"

#include <stdlib.h>

#define LETTERS_FEW_WORKERS  64u
#define LETTERS_MANY_WORKERS 16u

struct letter {
	struct pe_peer peer;
	uint32_t bytes;
	uint8_t data[PE_WIRE_BYTES_MAX];
};

struct pe_gate_mail {
	struct pe_memory memory;
	unsigned worker_count;
	struct pe_ring_spsc rings[]; // [from × worker_count + to]
};

struct pe_gate_mail *pe_gate_mail_create(unsigned worker_count)
{
	uint32_t letters = worker_count > 8 ? LETTERS_MANY_WORKERS : LETTERS_FEW_WORKERS;
	unsigned pairs = worker_count * worker_count;
	uint64_t each = (pe_ring_spsc_bytes(letters, sizeof(struct letter)) + 63) / 64 * 64;
	struct pe_gate_mail *mail;

	mail = aligned_alloc( // cold: at start
		64, (sizeof *mail + pairs * sizeof mail->rings[0] + 63) / 64 * 64);
	if (!mail || pe_memory_map(pairs * each, false, &mail->memory) != PE_OK) {
		free(mail); // cold: at start
		return NULL;
	}
	mail->worker_count = worker_count;
	for (unsigned i = 0; i < pairs; i++)
		pe_ring_spsc_init(&mail->rings[i], (uint8_t *)mail->memory.base + i * each, letters,
			sizeof(struct letter));
	return mail;
}

void pe_gate_mail_destroy(struct pe_gate_mail *mail)
{
	if (!mail)
		return;
	pe_memory_unmap(&mail->memory);
	free(mail); // cold: at stop
}

static struct pe_ring_spsc *between(const struct pe_gate *g, unsigned from, unsigned to)
{
	return &g->config.mail->rings[from * g->config.mail->worker_count + to];
}

bool gate_mail_post(struct pe_gate *g, unsigned to, const struct pe_message *m)
{
	struct pe_ring_spsc *ring = between(g, g->config.index, to);
	struct letter *l;

	if (pe_ring_spsc_room(ring, 1) == 0)
		return false;
	l = pe_ring_spsc_put(ring);
	l->peer = m->peer;
	l->bytes = m->bytes;
	memcpy(l->data, m->data, m->bytes);
	pe_ring_spsc_flush(ring);
	return true;
}

unsigned gate_mail_waiting(const struct pe_gate *g)
{
	unsigned waiting = 0;

	for (unsigned from = 0; g->config.mail && from < g->config.mail->worker_count; from++)
		if (from != g->config.index)
			waiting += pe_ring_spsc_count(between(g, from, g->config.index));
	return waiting;
}

unsigned gate_mail_take(struct pe_gate *g, struct pe_message *messages, unsigned max)
{
	unsigned count = 0;

	for (unsigned from = 0; from < g->config.mail->worker_count; from++) {
		struct pe_ring_spsc *ring;
		const struct letter *l;

		if (from == g->config.index)
			continue;
		ring = between(g, from, g->config.index);
		// Those of the last turn were answered.
		if (g->letters[from])
			pe_ring_spsc_release(ring, g->letters[from]);
		g->letters[from] = 0;
		while (count < max && (l = pe_ring_spsc_peek(ring, g->letters[from]))) {
			messages[count++] = (struct pe_message){
				.data = l->data, .bytes = l->bytes, .peer = l->peer};
			g->letters[from]++;
		}
	}
	return count;
}
