// What is an asker's own is told to him where he asks for it by its id, and to nobody else.
#include "testing_audience.h"
#include "wire/extension.h"
#include "wire/filter.h"

// ---- what is one's own ----

static uint32_t put_ids(uint8_t *extension, const uint64_t *numbers, unsigned count, bool not_them)
{
	_Alignas(8) uint8_t program[PE_FILTER_BYTES_MAX], ids[4][16];
	struct pe_filter_writer writer;
	struct pe_filter_error fault;
	uint32_t bytes;

	for (unsigned i = 0; i < count; i++)
		harness_id(ids[i], numbers[i]);
	for (unsigned i = 1; i < count; i++) // ascending
		for (unsigned k = i; k > 0 && memcmp(ids[k - 1], ids[k], 16) > 0; k--) {
			uint8_t swap[16];

			memcpy(swap, ids[k], 16);
			memcpy(ids[k], ids[k - 1], 16);
			memcpy(ids[k - 1], swap, 16);
		}
	pe_filter_begin(&writer);
	(void)pe_filter_put_constant(&writer, PE_FILTER_ID, count, ids, 16 * count);
	if (not_them)
		(void)pe_filter_put(&writer, PE_FILTER_NOT, 0, 0);
	bytes = pe_filter_finish(&writer, program, &fault);
	CU_ASSERT_FATAL(bytes != 0);
	return pe_wire_put_block(extension, 0, 256, PE_BLOCK_FILTER, program, bytes);
}

static struct harness_answer answer;

// How often the first of them is in the answer, of so many in all.
static unsigned asked_by_id(uint32_t principal, const struct pe_wire_query *q,
	const uint64_t *numbers, unsigned count, unsigned all)
{
	_Alignas(8) uint8_t extension[256];
	uint32_t bytes = put_ids(extension, numbers, count, false);
	unsigned seen = 0;

	h.principal = principal;
	harness_ask_extended(&h, 0, PLANE, q, extension, bytes, &answer);
	h.principal = 0;
	CU_ASSERT(answer.whole && answer.code == PE_CODE_SUCCESS);
	CU_ASSERT_EQUAL(answer.count, all);
	for (unsigned i = 0; i < answer.count; i++)
		seen += harness_id_number(answer.results[i].entity_id) == numbers[0];
	return seen;
}

static void explain_to(uint32_t principal, uint64_t n, bool by_id, struct pe_wire_explanation *e)
{
	_Alignas(8) uint8_t extension[256];
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500);
	uint32_t bytes = by_id ? put_ids(extension, &n, 1, false) : 0;
	uint8_t id[16];

	harness_id(id, n);
	h.principal = principal;
	CU_ASSERT_FATAL(harness_explain(&h, 0, PLANE, id, &q, extension, bytes, e));
	h.principal = 0;
}

// Of Alice's entity and of one that there is not: the same but for the id.
static void explained_alike(uint32_t principal, bool by_id)
{
	struct pe_wire_explanation x, y;

	explain_to(principal, 1, by_id, &x);
	explain_to(principal, 77, by_id, &y);
	memcpy(x.entity_id, y.entity_id, 16);
	x.request_sequence = y.request_sequence;
	CU_ASSERT_EQUAL(memcmp(&x, &y, sizeof x), 0);
	CU_ASSERT_EQUAL(x.causes, 1u << PE_WHY_UNKNOWN);
}

// Alice's is hidden: she is told of it where she asks for it by its id, the clerk too, and nobody
// else anything.
static void own_by_id(void)
{
	const struct pe_policy p = {.name = "other names",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow_roles = PE_ROLE_ADMIN,
		.anonymous = true};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500), other = harness_sphere(900, 0, 0, 5);
	const uint64_t mine[] = {1, 2, 3}, all[] = {1, 2, 4, 5};
	struct pe_wire_explanation e;

	start(&p, 1);
	know(NULL, 0);
	APPLIED(put(PLANE, 3, 1, 0, 0, 0));
	// Nothing is hidden yet, and nothing is there.
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 3, 1), 0);
	APPLIED(put(PLANE, 1, 1, 10, 0, VISIBILITY(PE_HIDDEN)));
	APPLIED(put(PLANE, 2, 1, 20, 0, VISIBILITY(PE_HIDDEN)));
	CU_ASSERT_EQUAL(seen_by(ALICE, 1), 0);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 3, 2), 1);
	CU_ASSERT_EQUAL(answer.results[1].position[0], 10);
	CU_ASSERT_EQUAL(answer.results[1].distance_m, 10);
	CU_ASSERT_EQUAL(asked_by_id(CLERK, &q, mine, 3, 3), 1);
	CU_ASSERT_EQUAL(asked_by_id(BOB, &q, mine, 1, 0), 0);
	CU_ASSERT_EQUAL(asked_by_id(GUARD, &q, mine, 1, 0), 0);
	CU_ASSERT_EQUAL(asked_by_id(0, &q, mine, 1, 0), 0);
	// The volume and the rest of the query hold.
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &other, mine, 1, 0), 0);
	q.type_mask = 1u << PE_ENTITY_STATIC;
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	q.type_mask = 0;
	q.kind = PE_QUERY_NEAREST;
	q.max_results = 5;
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	q = harness_point(10, 0, 0);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
	{
		const double low[3] = {5, -5, -5}, high[3] = {15, 5, 5};
		_Alignas(8) uint8_t extension[256];
		uint32_t bytes = put_ids(extension, mine, 1, true);

		q = harness_box(low, high);
		CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
		q.flags |= PE_QUERY_WITH_DETAILS;
		CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
		q.flags = 0;
		// Named, and not wanted.
		h.principal = ALICE;
		harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &answer);
		h.principal = 0;
		CU_ASSERT_EQUAL(answer.count, 0);
	}
	// Page by page, each once.
	APPLIED(put(PLANE, 4, 1, 30, 0, VISIBILITY(PE_HIDDEN)));
	APPLIED(put(PLANE, 5, 1, 40, 0, VISIBILITY(PE_HIDDEN)));
	q = harness_sphere(0, 0, 0, 500);
	q.max_results = 1;
	for (unsigned page = 0, sum = 0; page < 6; page++) {
		unsigned more = page < 4;

		(void)asked_by_id(CLERK, &q, all, 4, more);
		sum += answer.count ? (unsigned)harness_id_number(answer.results[0].entity_id) : 0;
		if (!answer.truncated) {
			CU_ASSERT_EQUAL(sum, 1 + 2 + 4 + 5);
			break;
		}
		CU_ASSERT(page < 5);
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
	}
	// Why: it is others who are shown it; and by its id it is in.
	explain_to(ALICE, 1, false, &e);
	CU_ASSERT(e.verdict == PE_EXPLAIN_OUT && e.causes == 1u << PE_WHY_VEILED &&
		e.first_cause == PE_WHY_VEILED && e.position[0] == 10);
	CU_ASSERT_EQUAL(pe_wire_check_explanation(&e), PE_REASON_none);
	explain_to(ALICE, 1, true, &e);
	CU_ASSERT(e.verdict == PE_EXPLAIN_IN && !(e.causes & PE_EXPLAIN_DECIDING));
	explain_to(CLERK, 1, false, &e);
	CU_ASSERT_EQUAL(e.causes, 1u << PE_WHY_VEILED);
	explained_alike(BOB, false);
	explained_alike(BOB, true);
	explained_alike(GUARD, true);
	explained_alike(0, true);
	// Shown, it is there once; by another name, it is not told which that is.
	APPLIED(put(PLANE, 1, 2, 10, 0, LEVEL(3)));
	harness_settle(&h);
	q = harness_sphere(0, 0, 0, 500);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
	APPLIED(put(PLANE, 1, 3, 10, 0, VISIBILITY(PE_RESTRICTED)));
	harness_settle(&h);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	explained_alike(ALICE, true);
	// Another keyring: hers no more.
	APPLIED(put(PLANE, 1, 4, 10, 0, VISIBILITY(PE_HIDDEN)));
	harness_settle(&h);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
	CU_ASSERT_EQUAL(pe_engine_principals(h.engine, NULL), PE_OK);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	explained_alike(ALICE, true);
	stop();
}

// On a worker that does not own it, what only its owner knows is not known besides; the first cause
// is that which keeps it out.
static void own_on_another_worker(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500);
	struct pe_engine_config c = config(NULL, 0);
	struct pe_wire_explanation e;
	uint8_t id[16];

	c.worker_count = 2;
	harness_failed = testing_failed;
	harness_start(&h, &c);
	know(NULL, 0);
	(void)put(PLANE, 1, 1, 10, 0, VISIBILITY(PE_HIDDEN));
	harness_settle(&h);
	harness_id(id, 1);
	for (unsigned worker = 0; worker < 2; worker++) {
		uint32_t elsewhere = worker ? 1u << PE_WHY_ELSEWHERE : 0;

		h.principal = ALICE;
		CU_ASSERT_FATAL(harness_explain(&h, worker, PLANE, id, &q, NULL, 0, &e));
		h.principal = 0;
		CU_ASSERT_EQUAL(e.verdict, PE_EXPLAIN_OUT);
		CU_ASSERT_EQUAL(e.causes, 1u << PE_WHY_VEILED | elsewhere);
		CU_ASSERT_EQUAL(e.first_cause, PE_WHY_VEILED);
	}
	stop();
}

TESTING_MAIN("engine/owned", {"own, by id", own_by_id},
	{"own, on another worker", own_on_another_worker})
