// Details on the wire: records and results put together and taken apart, every form and content
// that is refused, every byte of a message flipped.
#include "detailed.h"
#include "testing.h"
#include "wire/decode.h"
#include "wire/encode.h"

#include <math.h>

static struct detailed d;

static void begin(void)
{
	struct pe_wire_update u = {
		.entity_id = {1}, .sequence = 1, .entity_type = PE_ENTITY_MOBILE};

	detailed_begin(&d, &u);
}

static enum pe_reason check(void)
{
	struct pe_details_blocks b;
	uint32_t bytes = pe_wire_detailed_next(d.bytes);
	// Of exact size, so that a sanitizer sees a read past the end.
	uint8_t *copy = malloc(bytes);
	enum pe_reason reason;

	if (!copy)
		abort();
	memcpy(copy, d.bytes, bytes);
	reason = pe_wire_check_detailed(copy, &b);
	free(copy);
	return reason;
}

static void round_trip(void)
{
	static const struct pe_wire_scope everywhere = {.resolution_m = 10, .max_propagation = 3};
	struct pe_details_blocks b;
	struct pe_wire_schedule s;

	begin();
	detailed_orientation(&d, 0, 0, 0.6f, 0.8f);
	detailed_context(&d, "sailing", "ferry blue");
	detailed_number(&d, "draught", 7);
	detailed_schedule(&d, 5, 100, 50);
	detailed_put(&d, PE_DETAILS_FRAME, (uint8_t[16]){9}, 16);
	detailed_put(&d, PE_DETAILS_PAYLOAD, "hello", 5);
	detailed_put(&d, PE_DETAILS_SCOPE, &everywhere, sizeof everywhere);
	CU_ASSERT_EQUAL(check(), PE_REASON_none);
	pe_wire_get_detailed(d.bytes, &b);
	CU_ASSERT_EQUAL(b.mask, PE_DETAILS_KNOWN);
	CU_ASSERT(memcmp(b.content[PE_DETAILS_PAYLOAD], "hello", 5) == 0);
	CU_ASSERT_EQUAL(b.bytes[PE_DETAILS_PAYLOAD], 5);
	memcpy(&s, b.content[PE_DETAILS_SCHEDULE], sizeof s);
	CU_ASSERT(s.opening_ms == 5 && s.period_ms == 100 && s.open_for_ms == 50);
	// Not in another order, not twice, not without end.
	CU_ASSERT_EQUAL(pe_wire_put_details(d.bytes, sizeof d.bytes, PE_DETAILS_CONTEXT, "", 0), 0);
	CU_ASSERT_EQUAL(pe_wire_put_details(d.bytes, sizeof d.bytes, PE_DETAILS_PAYLOAD, "", 0), 0);
	CU_ASSERT_EQUAL(pe_wire_put_details(d.bytes, sizeof d.bytes, 8, "", 0), 0);
	CU_ASSERT_EQUAL(pe_wire_put_details(d.bytes, sizeof d.bytes, 0, "", 0), 0);
	begin();
	CU_ASSERT_EQUAL(pe_wire_put_details(d.bytes, 100, PE_DETAILS_PAYLOAD, "hello", 5), 0);
	CU_ASSERT_EQUAL(pe_wire_begin_details(d.bytes, 7, NULL), 0);
}

static void form(void)
{
	begin();
	detailed_orientation(&d, 0, 0, 0, 1);
	CU_ASSERT_EQUAL(check(), PE_REASON_none);
	for (unsigned bit = 0; bit < 16; bit++) {
		begin();
		detailed_orientation(&d, 0, 0, 0, 1);
		d.bytes[2 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_EQUAL(check(), PE_REASON_details_form);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		begin();
		detailed_orientation(&d, 0, 0, 0, 1);
		d.bytes[4 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_EQUAL(check(), PE_REASON_details_form);
	}
	// Every length of a block but its own.
	for (unsigned n = 0; n < 65536; n++) {
		uint16_t bytes = (uint16_t)n;

		begin();
		detailed_put(&d, PE_DETAILS_PAYLOAD, "0123456789abcdef", 13);
		memcpy(d.bytes + 90, &bytes, sizeof bytes);
		CU_ASSERT_EQUAL(check(),
			n == 13 || n == 14 || n == 15 || n == 16 ? PE_REASON_none :
								   PE_REASON_details_form);
	}
}

static void content(void)
{
	static const float wrong[][4] = {{0, 0, 0, 0}, {1, 1, 0, 0}, {0, 0, 0, 1.001f},
		{0, 0, 0, 0.999f}, {0.0f / 0.0f, 0, 0, 1}, {1e30f, 0, 0, 0}};

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		begin();
		detailed_orientation(&d, wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3]);
		CU_ASSERT_EQUAL(check(), PE_REASON_details_content);
	}
	begin();
	detailed_orientation(&d, 0.7071f, 0, 0, -0.7071f);
	CU_ASSERT_EQUAL(check(), PE_REASON_none);
	for (unsigned type = 1; type <= PE_DETAILS_TYPES; type++)
		for (unsigned bytes = 0; bytes <= 32; bytes += 1) {
			static const uint8_t zeros[32];
			bool sound = type == PE_DETAILS_PAYLOAD ||
				(bytes == 0 && type != PE_DETAILS_METADATA);

			begin();
			detailed_put(&d, type, zeros, bytes);
			CU_ASSERT_EQUAL(
				check(), sound ? PE_REASON_none : PE_REASON_details_content);
		}
	for (uint32_t open = 0; open < 4; open++)
		for (uint32_t period = 0; period < 4; period++) {
			begin();
			detailed_schedule(&d, 0, period, open);
			CU_ASSERT_EQUAL(check(),
				open && open <= period ? PE_REASON_none :
							 PE_REASON_details_content);
		}
}

static enum pe_reason scope_of(const struct pe_wire_scope *s, uint32_t bytes)
{
	begin();
	detailed_put(&d, PE_DETAILS_SCOPE, s, bytes);
	return check();
}

static void scopes(void)
{
	const struct pe_wire_scope sphere = {.a = {1, 2, 3},
					   .b = {50, 0, 0},
					   .bounds = PE_QUERY_SPHERE,
					   .resolution_m = 100},
				   box = {.a = {1, 2, 3}, .b = {-50, 5, 0}, .bounds = PE_QUERY_BOX};
	static const float wrong[] = {
		-1, -0.0f, 0.009f, 100001, 0.0f / 0.0f, 1.0f / 0.0f, -1.0f / 0.0f};
	struct pe_wire_scope s;

	CU_ASSERT_EQUAL(scope_of(&sphere, sizeof s), PE_REASON_none);
	CU_ASSERT_EQUAL(scope_of(&box, sizeof s), PE_REASON_none);
	CU_ASSERT_EQUAL(scope_of(&sphere, 0), PE_REASON_none); // takes it away
	CU_ASSERT_EQUAL(scope_of(&sphere, sizeof s - 8), PE_REASON_details_content);
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		s = sphere;
		s.resolution_m = wrong[i];
		CU_ASSERT_EQUAL(scope_of(&s, sizeof s), PE_REASON_details_content);
	}
	for (unsigned bounds = 0; bounds < 256; bounds++) {
		s = (struct pe_wire_scope){.bounds = (uint8_t)bounds};
		CU_ASSERT_EQUAL(scope_of(&s, sizeof s),
			bounds == 0 || bounds == PE_QUERY_SPHERE || bounds == PE_QUERY_BOX ?
				PE_REASON_none :
				PE_REASON_details_content);
		s = sphere;
		s.bounds = (uint8_t)bounds;
		CU_ASSERT_EQUAL(scope_of(&s, sizeof s),
			bounds == PE_QUERY_SPHERE || bounds == PE_QUERY_BOX ?
				PE_REASON_none :
				PE_REASON_details_content);
	}
	for (unsigned i = 0; i < 6; i++) {
		double bad[2] = {NAN, INFINITY};

		for (unsigned k = 0; k < 2; k++) {
			s = box;
			(i < 3 ? s.a : s.b)[i % 3] = bad[k];
			CU_ASSERT_EQUAL(scope_of(&s, sizeof s), PE_REASON_details_content);
		}
	}
	s = sphere;
	s.b[0] = -1;
	CU_ASSERT_EQUAL(scope_of(&s, sizeof s), PE_REASON_details_content);
	s = sphere;
	s.b[2] = 1;
	CU_ASSERT_EQUAL(scope_of(&s, sizeof s), PE_REASON_details_content);
	s = sphere;
	s.reserved = 1;
	CU_ASSERT_EQUAL(scope_of(&s, sizeof s), PE_REASON_details_content);
}

// Messages with each of their bytes changed, and cut at each: no crash, and no sound message of
// another length.
static void flipped(void)
{
	uint8_t message[PE_WIRE_BYTES_MAX];
	struct pe_wire_header h = {.stream_id = 1};
	struct pe_wire_update_preamble p = {.incarnation = 1};
	uint64_t random = 42;
	uint32_t bytes;

	begin();
	detailed_orientation(&d, 0, 0, 0.6f, 0.8f);
	detailed_context(&d, "sailing", "ferry blue");
	detailed_number(&d, "draught", 7);
	detailed_schedule(&d, 5, 100, 50);
	bytes = pe_wire_put_detailed(
		message, sizeof message, &h, &p, d.bytes, pe_wire_detailed_next(d.bytes), 1);
	CU_ASSERT_FATAL(bytes > 0);
	for (uint32_t n = 0; n <= bytes; n++)
		for (unsigned round = 0; round < 64; round++) {
			uint8_t *copy = malloc(n ? n : 1);
			struct pe_details_blocks b;
			struct pe_wire_view v;

			if (!copy)
				abort();
			memcpy(copy, message, n);
			if (n)
				copy[testing_random(&random) % n] ^=
					(uint8_t)(1u << testing_random(&random) % 8);
			if (pe_wire_check(copy, n, &v) == PE_REASON_none) {
				CU_ASSERT_EQUAL(n, bytes);
				(void)pe_wire_check_detailed(v.records, &b);
			}
			free(copy);
		}
}

// Results with details, each byte of the details changed: what is still sound can be walked.
static void results(void)
{
	static const struct pe_wire_result result = {.entity_id = {1}, .entity_type = 1};
	struct pe_wire_header h = {.stream_id = 1};
	uint8_t details[PE_DETAILS_BYTES_MAX], message[PE_WIRE_BYTES_MAX];
	struct pe_wire_response r;
	uint64_t random = 7;
	uint32_t bytes, used;

	memset(&d, 0, sizeof d);
	CU_ASSERT_EQUAL(pe_wire_begin_details(d.bytes, sizeof d.bytes, NULL), 8);
	detailed_orientation(&d, 0, 0, 0.6f, 0.8f);
	detailed_context(&d, "sailing", "ferry blue");
	detailed_number(&d, "draught", 7);
	used = pe_wire_detailed_next(d.bytes);
	memcpy(details, d.bytes, used);
	pe_wire_response_begin(&r, message, sizeof message);
	CU_ASSERT(pe_wire_response_open(&r, 1, 1, 1, 0));
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(pe_wire_response_add_detailed(
			&r, &result, i == 1 ? NULL : details, i == 1 ? 0 : used));
	pe_wire_response_close(&r, PE_REASON_none, PE_ANSWER_LAST | PE_ANSWER_DETAILED, NULL);
	bytes = pe_wire_response_finish(&r, &h);
	for (unsigned round = 0; round < 200000; round++) {
		uint8_t *copy = malloc(bytes);
		struct pe_wire_view v;

		if (!copy)
			abort();
		memcpy(copy, message, bytes);
		if (round)
			copy[80 + testing_random(&random) % (bytes - 80)] ^=
				(uint8_t)(1u << testing_random(&random) % 8);
		if (pe_wire_check_reply(copy, bytes, &v) == PE_REASON_none) {
			struct pe_wire_answer a;
			const uint8_t *at;
			uint32_t offset = 0;

			while (pe_wire_next_answer(&v, &offset, &a, &at))
				for (unsigned i = 0; i < a.result_count; i++) {
					struct pe_details_blocks b;

					if (a.flags & PE_ANSWER_DETAILED)
						pe_wire_get_details(at + sizeof result, &b);
					at += pe_wire_result_bytes(
						at, a.flags & PE_ANSWER_DETAILED);
				}
			CU_ASSERT(at == copy + bytes);
		} else {
			CU_ASSERT(round > 0);
		}
		free(copy);
	}
	// As much as fits, and no more.
	pe_wire_response_begin(&r, message, 80 + 48 + 64 + used + 64 + 7);
	CU_ASSERT(pe_wire_response_open(&r, 1, 1, 1, 0));
	CU_ASSERT(pe_wire_response_add_detailed(&r, &result, details, used));
	CU_ASSERT(!pe_wire_response_add_detailed(&r, &result, NULL, 0));
}

TESTING_MAIN("wire: details", {"round trip", round_trip}, {"form", form}, {"content", content},
	{"scopes", scopes}, {"flipped", flipped}, {"results", results})
