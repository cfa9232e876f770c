// Why an entity is or isn't in the answer to a query: the query is prepared as for its answer, and
// the entity's view is put to the same tests one by one, so that the verdict is the answer's.
// NEAREST alone is run, since others decide about it. Everything that is told comes from a view
// (policy/view.h): what the asker may not see is told like what is not there, and nothing else is
// looked at then. Tuned for a question now and then: a few microseconds, or a whole query for
// NEAREST.
//
// Thread: an RCU reader, within one read-side section, with a query context of its own.
#pragma once

#include "discover/fence.h"
#include "discover/member.h"
#include "discover/query.h"
#include "wire/explain.h"

struct pe_worker;

// What only the worker that owns an entity knows of it.
struct pe_explain_own {
	bool here;      // it is ours: the rest is known
	bool coalesced; // a threshold or the frequency holds `newest` back
	bool pending;   // `newest` waits for a move that is being settled
	uint32_t due_ms;
	struct pe_published newest;
};

// Instead of a query's answer: who is in a fence, whose query it is then. Of the worker that is
// asked.
struct pe_explain_standing {
	const struct pe_fence_index *index;
	const struct pe_member_set *members;
	uint32_t fence; // in both
	bool nowhere;   // it follows what is not there
	bool itself;    // it follows the entity that is asked about
	bool kept,
		waits; // this worker keeps its subscription: something of the pair waits to be told
};

// Who is asked about, as the index has it.
struct pe_explain_subject {
	uint8_t id[16];
	uint32_t handle; // or PE_HANDLE_NONE
	// The record that pe_index_seek was given, looked at where there is none of the id, so that
	// what isn't there is told no sooner than what may not be seen
	uint32_t stand_in;
	// Asked, with `worker`, for what its owner knows, once the asker is shown the entity and
	// not before
	void (*own)(const struct pe_worker *worker, uint32_t handle, struct pe_explain_own *own);
	const struct pe_worker *worker;
	const struct pe_explain_standing *standing; // NULL: a query's answer is asked about
	// Spaces of which the asker may know what is in them, a bit each; of the query's it is not
	// asked
	uint64_t spaces;
};

// The query, which passed pe_wire_check_query, is in the place of pe_query_next after a
// pe_query_begin; what else is given is as for pe_query_prepare. Fills *explanation but for code,
// reason, the request's sequence and the selector. Returns PE_REASON_none, or why the query is
// refused (then only id and query_id are filled).
[[nodiscard]] enum pe_reason pe_explain(struct pe_query_context *context,
	const struct pe_space *space, const struct pe_view_rules *rules,
	const struct pe_asker *asker, struct pe_instant now, const struct pe_query_known *known,
	const uint8_t *extension, const struct pe_explain_subject *subject,
	struct pe_wire_explanation *explanation);
