#include "unseal.h"

#include <assert.h>
#include <string.h>

void pe_unseal_burst(struct pe_session_table *table, struct pe_seal *seal,
	struct pe_sealed *messages, unsigned count, struct pe_now now)
{
	struct pe_session_opening openings[PE_BURST_MAX];
	struct pe_seal_job jobs[PE_BURST_MAX];
	uint8_t message_of[PE_BURST_MAX];
	unsigned job_count = 0;

	assert(count <= PE_BURST_MAX);
	for (unsigned i = 0; i < count; i++) {
		struct pe_sealed *m = &messages[i];
		struct pe_session_opening *o = &openings[job_count];
		uint64_t id, sequence;

		memcpy(&id, m->data + offsetof(struct pe_wire_header, session_id), sizeof id);
		memcpy(&sequence, m->data + offsetof(struct pe_wire_header, sequence),
			sizeof sequence);
		m->session = NULL;
		m->verdict = pe_session_admit(table, id, sequence, job_count, now, o);
		if (m->verdict != PE_SESSION_OK)
			continue;
		jobs[job_count] = (struct pe_seal_job){.data = m->data,
			.bytes = m->bytes,
			.level = o->session->level,
			.key = o->key};
		message_of[job_count++] = (uint8_t)i;
	}
	// All of them before the first commit, which may replace the keys that are opened with.
	pe_seal_open(seal, jobs, job_count);
	for (unsigned j = 0; j < job_count; j++) {
		struct pe_sealed *m = &messages[message_of[j]];

		m->verdict = jobs[j].sound ? pe_session_commit(table, &openings[j], m->peer, now) :
					     PE_SESSION_TAG;
		if (m->verdict == PE_SESSION_OK)
			m->session = openings[j].session;
	}
	// A commit may have ended a session that a message before it belongs to.
	for (unsigned j = 0; j < job_count; j++) {
		struct pe_sealed *m = &messages[message_of[j]];

		if (m->session && m->session->id != openings[j].id) {
			m->session = NULL;
			m->verdict = PE_SESSION_UNKNOWN;
		}
	}
}
