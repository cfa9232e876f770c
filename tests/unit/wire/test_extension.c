// Extensions of queries: what the writers make is read back; every fault of blocks, volumes and
// filters gets its reason.
#include "testing.h"
#include "testing_wire.h"
#include "wire/extension.h"
#include "wire/filter.h"

#include <math.h>

#define NONE      PE_REASON_none
#define EXTENSION PE_REASON_query_extension
#define PROGRAM   PE_REASON_query_program

static uint8_t extension[PE_WIRE_BYTES_MAX];

static uint32_t put_square(uint32_t used, enum pe_vertex_form form)
{
	static const double vertices[][2] = {
		{0, 0}, {10, 0}, {10, 10}, {0, 10}, {2, 2}, {3, 2}, {3, 4}};

	return pe_wire_put_polygon(extension, used, sizeof extension, form, vertices,
		(const unsigned[]){4, 3}, 2, -INFINITY, 70);
}

static uint32_t put_filter(uint32_t used)
{
	struct pe_filter_writer writer;
	struct pe_filter_error error;
	uint8_t program[PE_FILTER_BYTES_MAX];
	uint32_t bytes;

	pe_filter_begin(&writer);
	pe_filter_put(&writer, PE_FILTER_STATE, 0, 1);
	bytes = pe_filter_finish(&writer, program, &error);
	return pe_wire_put_block(
		extension, used, sizeof extension, PE_BLOCK_FILTER, program, bytes);
}

// Of an exact-size copy at an odd address.
static enum pe_reason check(unsigned kind, const uint8_t *data, uint32_t bytes)
{
	const struct pe_wire_query q = {.kind = (uint8_t)kind,
		.flags = PE_QUERY_HAS_EXTENSION,
		.extension_bytes = (uint16_t)bytes};
	struct pe_wire_extension e;
	uint8_t *copy = copy_exact(data, bytes);
	enum pe_reason reason = pe_wire_check_extension(&q, copy, bytes, &e);

	free_exact(copy);
	return reason;
}

static void changed(unsigned kind, uint32_t bytes, uint32_t at, uint8_t value, enum pe_reason want)
{
	uint8_t before = extension[at];

	extension[at] = value;
	CU_ASSERT_EQUAL(check(kind, extension, bytes), want);
	extension[at] = before;
}

static void test_blocks(void)
{
	uint32_t volume = put_square(0, PE_VERTICES_F64), both = put_filter(volume), filter;
	uint8_t swapped[PE_WIRE_BYTES_MAX];

	CU_ASSERT(volume > 0 && volume % 8 == 0 && both > volume && both % 8 == 0);
	CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, volume), NONE);
	CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, both), NONE);
	// Nothing where a volume is needed, a volume where none is wanted.
	for (unsigned kind = PE_QUERY_POINT; kind <= PE_QUERY_NEAREST; kind++) {
		CU_ASSERT_EQUAL(
			check(kind, extension, 0), pe_query_kind_extended(kind) ? EXTENSION : NONE);
		if (kind != PE_QUERY_POLYGON)
			CU_ASSERT_EQUAL(check(kind, extension, volume), EXTENSION);
	}
	for (uint32_t bytes = 8; bytes < both; bytes += 8)
		if (bytes != volume)
			CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, bytes), EXTENSION);
	filter = both - volume;
	memcpy(swapped, extension + volume, filter);
	memcpy(swapped + filter, extension, volume);
	CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, swapped, both), EXTENSION);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, swapped, filter), NONE);
	memcpy(swapped + filter, swapped, filter);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, swapped, 2 * filter), EXTENSION);
	for (unsigned type = 0; type < 256; type++)
		if (type != PE_BLOCK_VOLUME)
			changed(PE_QUERY_POLYGON, both, 0, (uint8_t)type, EXTENSION);
	changed(PE_QUERY_POLYGON, both, 1, 1, EXTENSION);
	for (unsigned i = 4; i < 8; i++)
		changed(PE_QUERY_POLYGON, both, i, 1, EXTENSION);
	// A length beyond the extension, to a sixteenth bit.
	changed(PE_QUERY_POLYGON, volume, 3, 0xFF, EXTENSION);
	CU_ASSERT_EQUAL(pe_wire_put_block(extension, 0, 15, PE_BLOCK_FILTER, swapped, 8), 0);
	CU_ASSERT_EQUAL(pe_wire_put_block(extension, 0, 16, PE_BLOCK_FILTER, swapped, 8), 16);
	CU_ASSERT_EQUAL(pe_wire_put_block(extension, 16, 8, PE_BLOCK_FILTER, swapped, 0), 0);
}

static uint32_t put_time(uint32_t used, int32_t offset_ms)
{
	const struct pe_wire_time t = {.offset_ms = offset_ms};

	return pe_wire_put_block(extension, used, sizeof extension, PE_BLOCK_TIME, &t, sizeof t);
}

static void test_time(void)
{
	static const struct {
		int32_t offset_ms;
		enum pe_reason want;
	} moments[] = {{0, NONE}, {1, NONE}, {600000, NONE}, {600001, PE_REASON_query_time},
		{-1, PE_REASON_query_time}, {INT32_MIN, PE_REASON_query_time},
		{INT32_MAX, PE_REASON_query_time}};
	struct pe_wire_query q = {.kind = PE_QUERY_SPHERE};
	struct pe_wire_extension e;
	uint32_t bytes, volume;

	for (unsigned i = 0; i < sizeof moments / sizeof moments[0]; i++)
		CU_ASSERT_EQUAL(
			check(PE_QUERY_SPHERE, extension, put_time(0, moments[i].offset_ms)),
			moments[i].want);
	bytes = put_time(put_filter(0), 70000);
	CU_ASSERT_EQUAL(check(PE_QUERY_NEAREST, extension, bytes), NONE);
	CU_ASSERT_EQUAL(pe_wire_check_extension(&q, extension, bytes, &e), NONE);
	CU_ASSERT(e.timed && e.offset_ms == 70000 && e.filter && !e.volume);
	volume = put_square(0, PE_VERTICES_F64);
	bytes = put_time(put_filter(volume), 7);
	CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, bytes), NONE);
	CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, bytes - 8), EXTENSION);
	// A fault of the blocks goes before a moment that cannot be asked about.
	bytes = put_time(0, -1);
	CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, bytes), EXTENSION);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension, put_filter(bytes)), EXTENSION);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension, put_time(bytes, 5)), EXTENSION);
	bytes = put_time(0, 5);
	for (unsigned i = 12; i < 16; i++)
		changed(PE_QUERY_SPHERE, bytes, i, 1, EXTENSION);
	for (unsigned i = 0; i < 256; i++)
		if (i != 8)
			changed(PE_QUERY_SPHERE, bytes, 2, (uint8_t)i, EXTENSION);
	CU_ASSERT_EQUAL(pe_wire_check_extension(&q, extension, 0, &e), NONE);
	CU_ASSERT(!e.timed);
}

static void test_polygons(void)
{
	for (unsigned form = 0; form < 2; form++) {
		uint32_t bytes = put_square(0, (enum pe_vertex_form)form);

		CU_ASSERT_EQUAL(check(PE_QUERY_POLYGON, extension, bytes), NONE);
		for (unsigned i = 2; i < 256; i++)
			changed(PE_QUERY_POLYGON, bytes, 8, (uint8_t)i, EXTENSION);
		changed(PE_QUERY_POLYGON, bytes, 8, !form, EXTENSION);
		for (unsigned i = 0; i < 256; i++) // rings; their counts have room for four
			if (i < 2 || i > 4) // a third ring of no vertices is for who prepares it
				changed(PE_QUERY_POLYGON, bytes, 9, (uint8_t)i, EXTENSION);
		for (unsigned i = 0; i < 256; i++)
			if (i != 7)
				changed(PE_QUERY_POLYGON, bytes, 10, (uint8_t)i, EXTENSION);
		changed(PE_QUERY_POLYGON, bytes, 11, 1, EXTENSION);
		for (unsigned i = 12; i < 16; i++)
			changed(PE_QUERY_POLYGON, bytes, i, 1, EXTENSION);
		changed(PE_QUERY_POLYGON, bytes, 32, 5, EXTENSION); // more in the first ring
		changed(PE_QUERY_POLYGON, bytes, 33, 1, EXTENSION);
		for (unsigned i = 36; i < 40; i++)
			changed(PE_QUERY_POLYGON, bytes, i, 1, EXTENSION);
		if (form == PE_VERTICES_I16) // seven pairs, and zeros behind them
			for (unsigned i = 1; i <= 4; i++)
				changed(PE_QUERY_POLYGON, bytes, bytes - i, 1, EXTENSION);
	}
}

// Vertices as f64 come back bit for bit, as i16 to half a step.
static void test_round_trip(void)
{
	static double vertices[PE_WIRE_VERTICES_MAX + 1][2], got[PE_WIRE_VERTICES_MAX][2];

	for (unsigned round = 0; round < 2000; round++) {
		unsigned rings = 1 + random_below(PE_WIRE_RINGS_MAX), sum = 0;
		unsigned counts[PE_WIRE_RINGS_MAX], got_counts[PE_WIRE_RINGS_MAX];
		enum pe_vertex_form form = (enum pe_vertex_form)random_below(2);
		double lo = random_between(-1000, 1000), w = random_between(0, 500),
		       step = w / 65534;
		const struct pe_wire_query q = {.kind = PE_QUERY_POLYGON};
		struct pe_wire_polygon p;
		struct pe_wire_extension e;
		uint32_t bytes;

		for (unsigned i = 0; i < rings; i++)
			sum += counts[i] = random_below(form ? 17 : 5);
		for (unsigned i = 0; i < sum; i++)
			for (unsigned k = 0; k < 2; k++)
				vertices[i][k] = random_between(lo, lo + w);
		bytes = pe_wire_put_polygon(extension, 0, sizeof extension, form,
			(const double(*)[2])vertices, counts, rings, -5, 5);
		CU_ASSERT_EQUAL(bytes == 0, sum == 0);
		if (!bytes)
			continue;
		CU_ASSERT_EQUAL_FATAL(pe_wire_check_extension(&q, extension, bytes, &e), NONE);
		pe_wire_get_polygon(&e, &p, got_counts, got);
		CU_ASSERT_EQUAL(memcmp(counts, got_counts, rings * sizeof counts[0]), 0);
		CU_ASSERT(p.ring_count == rings && p.vertex_count == sum && p.height_min == -5 &&
			p.height_max == 5);
		for (unsigned i = 0; i < sum; i++)
			for (unsigned k = 0; k < 2; k++)
				CU_ASSERT(form ? fabs(got[i][k] - vertices[i][k]) <=
							0.51 * step + 1e-12 :
						 got[i][k] == vertices[i][k]);
	}
	// The largest with 16 rings and a filter of 112 bytes fits a message of one query; one
	// vertex more is none.
	CU_ASSERT_EQUAL(pe_wire_put_polygon(extension, 0, sizeof extension, PE_VERTICES_I16,
				(const double(*)[2])vertices, (const unsigned[]){257}, 1, 0, 0),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_polygon(extension, 0, sizeof extension, PE_VERTICES_I16,
				(const double(*)[2])vertices,
				(const unsigned[16]){16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
					16, 16, 16, 16},
				16, 0, 0),
		PE_WIRE_BYTES_MAX - 80 - 128 - 8 - 116);
}

static void test_volumes(void)
{
	static const struct {
		enum pe_query_kind kind;
		uint32_t bytes;
	} rows[] = {{PE_QUERY_ORIENTED_BOX, 56}, {PE_QUERY_FRUSTUM, 64}};
	uint8_t content[80] = {0};

	for (unsigned r = 0; r < 2; r++)
		for (uint32_t bytes = 0; bytes <= sizeof content; bytes++) {
			uint32_t all = pe_wire_put_block(
				extension, 0, sizeof extension, PE_BLOCK_VOLUME, content, bytes);

			CU_ASSERT_EQUAL(check(rows[r].kind, extension, all),
				bytes == rows[r].bytes ? NONE : EXTENSION);
		}
}

static void test_filters(void)
{
	uint32_t bytes = put_filter(0);

	for (unsigned kind = PE_QUERY_POINT; kind <= PE_QUERY_NEAREST; kind++)
		CU_ASSERT_EQUAL(check(kind, extension, bytes),
			pe_query_kind_extended(kind) ? EXTENSION : NONE);
	// Each byte of the program: what the filter's own check says is what is said here.
	for (uint32_t i = 8; i < bytes; i++)
		for (unsigned value = 0; value < 256; value++) {
			struct pe_filter_error error;
			uint8_t before = extension[i];

			extension[i] = (uint8_t)value;
			CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension, bytes),
				pe_filter_check(extension + 8, bytes - 8, &error) ==
						PE_FILTER_SOUND ?
					NONE :
					PROGRAM);
			extension[i] = before;
		}
	CU_ASSERT_EQUAL(
		pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_FILTER, "", 0), 8);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension, 8), PROGRAM);
}

static uint32_t put_resolution(
	uint32_t used, float spatial_m, uint32_t temporal_ms, float attribute, uint32_t reserved)
{
	const struct pe_wire_resolution r = {spatial_m, temporal_ms, attribute, reserved};

	return pe_wire_put_block(
		extension, used, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);
}

static void test_resolution(void)
{
	static const struct {
		float spatial_m;
		uint32_t temporal_ms;
		float attribute;
		uint32_t reserved;
		enum pe_reason reason;
	} rows[] = {
		{0, 0, 0.5f, 0, NONE},
		{0, 0, 0, 0, NONE},
		{0, UINT32_MAX, 1, 0, NONE},
		{3.4e38f, 1, 0.49f, 0, NONE},
		{1e-45f, 0, 0.5f, 0, NONE},
		{-1, 0, 0.5f, 0, PE_REASON_query_resolution},
		{-0.0f, 0, 0.5f, 0, PE_REASON_query_resolution},
		{NAN, 0, 0.5f, 0, PE_REASON_query_resolution},
		{-NAN, 0, 0.5f, 0, PE_REASON_query_resolution},
		{INFINITY, 0, 0.5f, 0, PE_REASON_query_resolution},
		{0, 0, -0.25f, 0, PE_REASON_query_resolution},
		{0, 0, -0.0f, 0, PE_REASON_query_resolution},
		{0, 0, 1.0000001f, 0, PE_REASON_query_resolution},
		{0, 0, NAN, 0, PE_REASON_query_resolution},
		{0, 0, INFINITY, 0, PE_REASON_query_resolution},
		{0, 0, 0.5f, 1, PE_REASON_query_resolution},
		{0, 0, 0.5f, 1u << 31, PE_REASON_query_resolution},
	};
	uint8_t content[32] = {0};
	uint32_t bytes, filter;

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		bytes = put_resolution(0, rows[i].spatial_m, rows[i].temporal_ms, rows[i].attribute,
			rows[i].reserved);
		CU_ASSERT_EQUAL_FATAL(bytes, 24);
		for (unsigned kind = PE_QUERY_POINT; kind <= PE_QUERY_NEAREST; kind++)
			CU_ASSERT_EQUAL(check(kind, extension, bytes),
				pe_query_kind_extended(kind) ? EXTENSION :
					rows[i].reason       ? rows[i].reason :
							       // the nearest are not counted by cell
                                        kind == PE_QUERY_NEAREST && rows[i].spatial_m > 0 ?
							       PE_REASON_query_resolution :
							       NONE);
	}
	// Other lengths; behind a filter, not before it; twice.
	for (uint32_t n = 0; n <= sizeof content; n++) {
		bytes = pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, content, n);
		CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension, bytes),
			n == sizeof(struct pe_wire_resolution) ? NONE : EXTENSION);
	}
	filter = put_filter(0);
	bytes = put_resolution(filter, 64, 1000, 0.5f, 0);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension, bytes), NONE);
	CU_ASSERT_EQUAL(
		check(PE_QUERY_SPHERE, extension, put_filter(put_resolution(0, 64, 0, 1, 0))),
		EXTENSION);
	CU_ASSERT_EQUAL(check(PE_QUERY_SPHERE, extension,
				put_resolution(put_resolution(0, 64, 0, 1, 0), 64, 0, 1, 0)),
		EXTENSION);
}

// Where a program is at fault comes with the reason.
static void test_fault(void)
{
	const struct pe_wire_query q = {.kind = PE_QUERY_SPHERE};
	struct pe_wire_extension e;
	uint32_t bytes = put_filter(0);

	extension[8 + 8] = 15; // the first step's operation
	CU_ASSERT_EQUAL(pe_wire_check_extension(&q, extension, bytes, &e), PROGRAM);
	CU_ASSERT_EQUAL(e.filter_error.fault, PE_FILTER_OPERATION);
	CU_ASSERT_EQUAL(e.filter_error.step, 0);
	CU_ASSERT_EQUAL(e.filter_error.at, 8);
}

// Messages: extensions lie behind all queries, and neither more nor fewer bytes than the records
// say.
static void test_messages(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header h = random_header(0);
	struct pe_wire_query q[3] = {{.kind = PE_QUERY_POLYGON, .flags = PE_QUERY_HAS_EXTENSION},
		{.kind = PE_QUERY_POINT},
		{.kind = PE_QUERY_SPHERE, .flags = PE_QUERY_HAS_EXTENSION}};
	uint32_t volume = put_square(0, PE_VERTICES_I16), both = put_filter(volume), bytes;
	struct pe_wire_view view;

	q[0].extension_bytes = (uint16_t)volume;
	q[2].extension_bytes = (uint16_t)(both - volume);
	bytes = pe_wire_put_query_extended(buffer, sizeof buffer, &h, q, 3, extension, both);
	CU_ASSERT_EQUAL_FATAL(bytes, 80 + 3 * 128 + both);
	CU_ASSERT_EQUAL(
		pe_wire_put_query_extended(buffer, bytes - 1, &h, q, 3, extension, both), 0);
	CU_ASSERT_EQUAL(
		pe_wire_put_query_extended(buffer, sizeof buffer, &h, q, 3, extension, both - 8),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_query(buffer, sizeof buffer, &h, q, 3), 0);
	for (uint32_t n = 80; n < sizeof buffer; n++) {
		uint8_t *copy = copy_exact(buffer, n);

		CU_ASSERT_EQUAL(
			pe_wire_check(copy, n, &view), n == bytes ? NONE : PE_REASON_length);
		free_exact(copy);
	}
	CU_ASSERT_EQUAL_FATAL(pe_wire_check(buffer, bytes, &view), NONE);
	CU_ASSERT_EQUAL(view.records_bytes, bytes - 80);
	CU_ASSERT_EQUAL(memcmp(view.records + sizeof q, extension, both), 0);
	CU_ASSERT_EQUAL(pe_wire_extensions_bytes(view.records, 3), both);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"blocks", test_blocks},
		{"time", test_time},
		{"polygons", test_polygons},
		{"polygons round trip", test_round_trip},
		{"volumes", test_volumes},
		{"filters", test_filters},
		{"resolution", test_resolution},
		{"a filter's fault", test_fault},
		{"messages", test_messages},
	};

	random_seed();
	return testing_main("wire extension", cases, sizeof cases / sizeof cases[0]);
}
