// Queries of the client against engines that lose, repeat, shuffle and forge: parts and pages,
// refusals, and what a query says on the wire. Over loopback UDP.
#include "client/filter_text.h"
#include "client/presence.h"
#include "fake_pair.h"
#include "testing.h"
#include "wire/decode.h"
#include "wire/extension.h"

#include <string.h>

static void check_order(const struct presence_answer *answer, unsigned count)
{
	CU_ASSERT_EQUAL(answer->count, count);
	for (unsigned i = 0; i < answer->count; i++)
		CU_ASSERT_EQUAL(answer->found[i].position[0], i);
}

static void parts(void)
{
	struct pair pairs[] = {
		{.engine = {.result_count = 95}},
		{.engine = {.result_count = 95, .reverse_parts = true}},
		{.engine = {.result_count = 95,
			 .reverse_parts = true,
			 .duplicate_parts = true,
			 .junk = true}},
		{.engine = {.result_count = 95, .wrong_sequence = true, .duplicate_parts = true}},
		{.engine = {.result_count = 95,
			 .drop_part = true,
			 .drop_part_times = 2,
			 .reverse_parts = true}},
		{.engine = {.result_count = 0}},
		{.engine = {.result_count = 1, .ignore = 2}},
	};

	for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		struct pair *p = &pairs[i];
		struct presence_answer answer;

		CU_ASSERT_FATAL(start(p, false));
		CU_ASSERT_EQUAL(presence_query(p->client, NULL, &everything, &answer), PRESENCE_OK);
		check_order(&answer, p->engine.result_count);
		CU_ASSERT_EQUAL(answer.attempts, p->engine.drop_part ? 3 : p->engine.ignore + 1);
		CU_ASSERT(!answer.truncated);
		presence_answer_free(&answer);
		stop(p);
	}
}

static void lost_parts(void)
{
	struct pair p = {.engine = {.result_count = 95, .drop_part = true}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_INCOMPLETE);
	CU_ASSERT_EQUAL(answer.count, 85);
	CU_ASSERT_EQUAL(answer.parts, 9);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.queries, 3);
}

// A page that stays incomplete: what came of it is there, and the cursor leads to it, not past it.
static void lost_page(void)
{
	struct pair p = {.engine = {.result_count = 95,
				 .page_results = 30,
				 .drop_part = true,
				 .drop_part_behind = 60}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(
		presence_query_all(p.client, NULL, &everything, 100, &answer), PRESENCE_INCOMPLETE);
	CU_ASSERT_EQUAL(answer.count, 80);
	CU_ASSERT(answer.truncated);
	CU_ASSERT_EQUAL(answer.cursor[0], 60);
	presence_answer_free(&answer);
	stop(&p);
}

// A second "last" part elsewhere, and parts without end, never make an answer.
static void forged_parts(void)
{
	struct pair lasts = {.engine = {.result_count = 95, .two_lasts = true}};
	struct pair endless = {.engine = {.result_count = 95, .endless_parts = true}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&lasts, false));
	CU_ASSERT_EQUAL(
		presence_query(lasts.client, NULL, &everything, &answer), PRESENCE_INCOMPLETE);
	presence_answer_free(&answer);
	stop(&lasts);
	CU_ASSERT_FATAL(start(&endless, false));
	CU_ASSERT_EQUAL(
		presence_query(endless.client, NULL, &everything, &answer), PRESENCE_INCOMPLETE);
	presence_answer_free(&answer);
	stop(&endless);
}

static void junk_without_end(void)
{
	struct pair p = {.engine.junk_flood = true, .timeout_ms = 200};
	uint64_t begin = now_ms();

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_ping(p.client, NULL), PRESENCE_TIMED_OUT);
	CU_ASSERT(now_ms() - begin < 60000);
	CU_ASSERT(presence_traffic(p.client).malformed > 100);
	stop(&p);
}

static void cursors(void)
{
	struct pair p = {.engine = {.result_count = 95, .page_results = 30}};
	struct pair stuck = {.engine = {.result_count = 95, .stuck_cursor = true}};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_OK);
	CU_ASSERT(answer.truncated);
	CU_ASSERT_EQUAL(answer.cursor[0], 30);
	check_order(&answer, 30);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_query_all(p.client, NULL, &everything, 100, &answer), PRESENCE_OK);
	CU_ASSERT(!answer.truncated);
	CU_ASSERT_EQUAL(answer.pages, 4);
	check_order(&answer, 95);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_query_all(p.client, NULL, &everything, 2, &answer), PRESENCE_OK);
	CU_ASSERT(answer.truncated);
	CU_ASSERT_EQUAL(answer.cursor[0], 60);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_FATAL(start(&stuck, false));
	CU_ASSERT_EQUAL(
		presence_query_all(stuck.client, NULL, &everything, 100000, &answer), PRESENCE_OK);
	CU_ASSERT(answer.truncated);
	CU_ASSERT(answer.pages < 4);
	presence_answer_free(&answer);
	stop(&stuck);
}

static void refused_queries(void)
{
	struct pair p = {.engine.refuse = true};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_REFUSED);
	CU_ASSERT_STRING_EQUAL(presence_reason_name(answer.reason), "space_unknown");
	CU_ASSERT_EQUAL(answer.attempts, 1);
	presence_answer_free(&answer);
	stop(&p);
}

static void faulty_programs(void)
{
	struct pair p = {.engine.refuse_program = true};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &everything, &answer), PRESENCE_REFUSED);
	CU_ASSERT_STRING_EQUAL(presence_reason_name(answer.reason), "query_program");
	CU_ASSERT(answer.filter_step == 2 && answer.filter_at == 20);
	CU_ASSERT_EQUAL(answer.filter_fault, PE_FILTER_ARGUMENT);
	CU_ASSERT(strlen(presence_filter_fault_text(answer.filter_fault)) > 1);
	CU_ASSERT_STRING_EQUAL(presence_filter_fault_text(250), "?");
	presence_answer_free(&answer);
	stop(&p);
}

static void cells(void)
{
	struct pair p = {.engine = {.result_count = 95, .page_results = 30, .reverse_parts = true}};
	struct pair in_parts = {
		.engine = {.result_count = 9, .page_results = 1, .cells_in_parts = true}};
	struct pair other = {
		.engine = {.result_count = 9, .other_form = true}, .timeout_ms = SILENCE_MS};
	struct presence_query q = everything;
	struct presence_answer answer;

	q.cell_m = 512;
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query_all(p.client, NULL, &q, 100, &answer), PRESENCE_OK);
	CU_ASSERT(answer.count == 95 && answer.pages == 4 && !answer.found);
	for (unsigned i = 0; i < answer.count; i++)
		CU_ASSERT(answer.cells[i].centre[0] == i && answer.cells[i].count == i + 1 &&
			answer.cells[i].size_m == 512);
	presence_answer_free(&answer);
	stop(&p);
	// What comes in parts is added up, with the newest age of all.
	CU_ASSERT_FATAL(start(&in_parts, false));
	CU_ASSERT_EQUAL(presence_query_all(in_parts.client, NULL, &q, 100, &answer), PRESENCE_OK);
	CU_ASSERT_EQUAL_FATAL(answer.count, 1);
	CU_ASSERT(answer.cells[0].count == 45 && answer.cells[0].newest_age_ms == 992 &&
		!answer.cells[0].more);
	presence_answer_free(&answer);
	CU_ASSERT_EQUAL(presence_query(in_parts.client, NULL, &q, &answer), PRESENCE_OK);
	CU_ASSERT(answer.count == 1 && answer.cells[0].more);
	presence_answer_free(&answer);
	stop(&in_parts);
	// Whole entities are no answer to it.
	CU_ASSERT_FATAL(start(&other, false));
	CU_ASSERT_EQUAL(presence_query(other.client, NULL, &q, &answer), PRESENCE_TIMED_OUT);
	presence_answer_free(&answer);
	// Sizes that cannot be said.
	for (unsigned i = 0; i < 4; i++) {
		q.cell_m = (const double[]){-1, NAN, INFINITY, 1e300}[i];
		CU_ASSERT_EQUAL(
			presence_query(other.client, NULL, &q, &answer), PRESENCE_BAD_ARGUMENT);
	}
	q.cell_m = 0;
	q.priority = 4;
	CU_ASSERT_EQUAL(presence_query(other.client, NULL, &q, &answer), PRESENCE_BAD_ARGUMENT);
	stop(&other);
}

static void brief(void)
{
	struct pair p = {.engine = {.result_count = 95, .part_results = 31}};
	struct presence_query q = everything;
	struct presence_answer answer;

	q.brief = true;
	q.age_max_ms = 1500;
	q.priority = PRESENCE_HIGH;
	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &q, &answer), PRESENCE_OK);
	CU_ASSERT_EQUAL(answer.count, 95);
	for (unsigned i = 0; i < answer.count; i++)
		CU_ASSERT(answer.found[i].position[0] == i &&
			answer.found[i].height_unknown == i % 2 &&
			answer.found[i].position[2] == 0 && answer.found[i].id[0] == 1 &&
			answer.found[i].position_confidence == -1);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.last_query.priority, PE_PRIORITY_HIGH);
}

static void query_fields(void)
{
	struct pair p = {.engine.result_count = 1};
	struct presence_query q = {.volume = PRESENCE_BOX,
		.has_origin = true,
		.has_heights = true,
		.distance_3d = true,
		.results_max = 7,
		.type_mask = 2,
		.state_mask = 3,
		.a = {1, 2, 3},
		.b = {4, 5, 6},
		.radius_m = 99,
		.origin = {7, 8, 9},
		.height_min = -1,
		.height_max = 10};
	struct presence_answer answer;

	CU_ASSERT_FATAL(start(&p, false));
	CU_ASSERT_EQUAL(presence_query(p.client, NULL, &q, &answer), PRESENCE_OK);
	presence_answer_free(&answer);
	stop(&p);
	CU_ASSERT_EQUAL(p.engine.last_query.kind, PE_QUERY_BOX);
	CU_ASSERT_EQUAL(p.engine.last_query.b[0], 4);
	CU_ASSERT_EQUAL(p.engine.last_query.origin[2], 9);
	CU_ASSERT_EQUAL(p.engine.last_query.height_max, 10);
	CU_ASSERT_EQUAL(p.engine.last_query.max_results, 7);
	CU_ASSERT_EQUAL(p.engine.last_query.flags,
		PE_QUERY_HAS_ORIGIN | PE_QUERY_HEIGHT_RANGE | PE_QUERY_DISTANCE_3D);
}

static enum presence_result ask(struct pair *p, const struct presence_query *q)
{
	struct presence_answer answer;
	enum presence_result result = presence_query(p->client, NULL, q, &answer);

	presence_answer_free(&answer);
	return result;
}

// What a query says beyond its record, as an engine reads it.
static void query_extensions(void)
{
	static const double square[][2] = {{0, 0}, {10, 0}, {10, 10}, {0, 10}};
	static double circle[PRESENCE_VERTICES_MAX][2], got[PRESENCE_VERTICES_MAX][2];
	unsigned counts[PRESENCE_RINGS_MAX] = {4};
	struct presence_polygon polygon = {
		.vertices = square, .ring_vertices = counts, .ring_count = 1, .height_max = 50};
	struct pair p = {.engine.result_count = 1};
	struct presence_query q = {.volume = PRESENCE_POLYGON, .a = {1, 2, 3}, .polygon = &polygon};
	const struct pe_wire_query *sent = &p.engine.last_query;
	struct presence_filter_error error;
	uint8_t program[PRESENCE_FILTER_BYTES_MAX];
	struct pe_wire_oriented_box box;
	struct pe_wire_frustum frustum;
	struct pe_wire_extension e;
	struct pe_wire_polygon w;

#define ASK_EXTENSION() \
	do { \
		CU_ASSERT_EQUAL(ask(&p, &q), PRESENCE_OK); \
		CU_ASSERT_EQUAL(sent->kind, q.volume); \
		CU_ASSERT_EQUAL_FATAL(pe_wire_check_query(sent, false), PE_REASON_none); \
		CU_ASSERT_EQUAL_FATAL(pe_wire_check_extension(sent, p.engine.last_extension, \
					      sent->extension_bytes, &e), \
			PE_REASON_none); \
	} while (0)
	CU_ASSERT_FATAL(start(&p, false));
	ASK_EXTENSION();
	pe_wire_get_polygon(&e, &w, counts, got);
	CU_ASSERT(w.vertex_count == 4 && counts[0] == 4 && w.height_min == 0 && w.height_max == 50);
	CU_ASSERT_EQUAL(memcmp(got, square, sizeof square), 0);
	CU_ASSERT_EQUAL(sent->a[2], 3);
	// 256 vertices only when they are rounded.
	for (unsigned i = 0; i < PRESENCE_VERTICES_MAX; i++) {
		circle[i][0] = 100 * cos(i * M_PI / 128);
		circle[i][1] = 100 * sin(i * M_PI / 128);
	}
	polygon.vertices = (const double(*)[2])circle;
	counts[0] = PRESENCE_VERTICES_MAX;
	CU_ASSERT_EQUAL(ask(&p, &q), PRESENCE_BAD_ARGUMENT);
	polygon.rounded = true;
	q.filter = program;
	q.filter_bytes = presence_filter_parse("state = active and age < 5s", program, &error);
	CU_ASSERT(q.filter_bytes > 0);
	ASK_EXTENSION();
	pe_wire_get_polygon(&e, &w, counts, got);
	for (unsigned i = 0; i < PRESENCE_VERTICES_MAX; i++)
		CU_ASSERT(fabs(got[i][0] - circle[i][0]) < 0.002 &&
			fabs(got[i][1] - circle[i][1]) < 0.002);
	CU_ASSERT(
		e.filter_bytes == q.filter_bytes && memcmp(e.filter, program, e.filter_bytes) == 0);
	q.polygon = NULL;
	CU_ASSERT_EQUAL(ask(&p, &q), PRESENCE_BAD_ARGUMENT);
	q.volume = PRESENCE_ORIENTED_BOX;
	for (unsigned i = 0; i < 4; i++)
		q.orientation[i] = 0.5;
	q.half[2] = 7;
	ASK_EXTENSION();
	memcpy(&box, e.volume, sizeof box);
	CU_ASSERT(box.half[2] == 7 && box.orientation[3] == 0.5);
	q.volume = PRESENCE_FRUSTUM;
	q.horizontal_deg = 90;
	q.vertical_deg = 60;
	q.near_m = 1;
	q.far_m = 2;
	ASK_EXTENSION();
	memcpy(&frustum, e.volume, sizeof frustum);
	CU_ASSERT(frustum.orientation[0] == 0.5 && frustum.horizontal_deg == 90 &&
		frustum.vertical_deg == 60 && frustum.near_m == 1 && frustum.far_m == 2);
	q.volume = PRESENCE_NEAREST;
	q.results_max = 5;
	q.radius_m = 100;
	ASK_EXTENSION();
	CU_ASSERT(e.filter && !e.volume && sent->b[0] == 100 && sent->max_results == 5);
	q.filter_bytes = 0;
	ASK_EXTENSION();
	CU_ASSERT_EQUAL(sent->flags, 0);
	stop(&p);
#undef ASK_EXTENSION
}

TESTING_MAIN("client-queries", {"parts", parts}, {"lost parts", lost_parts},
	{"lost page", lost_page}, {"forged parts", forged_parts},
	{"junk without end", junk_without_end}, {"cursors", cursors},
	{"refused queries", refused_queries}, {"faulty programs", faulty_programs},
	{"cells", cells}, {"brief", brief}, {"query fields", query_fields},
	{"query extensions", query_extensions})
