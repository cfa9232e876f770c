#include "core_ask.h"

#include "crowd.h"
#include "tools.h"
#include "wire/extension.h"
#include "wire/subscribe.h"

#define POLYGONS 3u  // a message
#define VERTICES 64u // of a polygon

// ---- queries ----

static unsigned queries_a_message(enum core_volume volume)
{
	return volume == CORE_POLYGON ? POLYGONS : PE_QUERY_COUNT_MAX;
}

// A star of VERTICES corners, by turns on two circles, about an origin that is set query by query;
// its outer radius is 1 m.
static uint32_t write_star(uint8_t extension[PE_WIRE_BYTES_MAX], double *area_square)
{
	const unsigned count = VERTICES;
	const double inner = 0.8;
	double corners[VERTICES][2];

	for (unsigned i = 0; i < VERTICES; i++) {
		double angle = 2 * M_PI * i / VERTICES, r = i % 2 ? inner : 1;

		corners[i][0] = r * cos(angle);
		corners[i][1] = r * sin(angle);
	}
	*area_square = VERTICES * 0.5 * inner * sin(2 * M_PI / VERTICES);
	return pe_wire_put_polygon(extension, 0, PE_WIRE_BYTES_MAX, PE_VERTICES_I16,
		(const double(*)[2])corners, &count, 1, -INFINITY, INFINITY);
}

void core_prepare_requests(struct core_worker *w, enum core_volume volume)
{
	static const uint8_t kind[] = {[CORE_SPHERE] = PE_QUERY_SPHERE,
		[CORE_NEAREST] = PE_QUERY_NEAREST,
		[CORE_POLYGON] = PE_QUERY_POLYGON};
	struct pe_wire_header header = {.stream_id = w->index + 1};
	struct pe_wire_query queries[PE_QUERY_COUNT_MAX] = {0};
	unsigned count = queries_a_message(volume);
	uint8_t star[PE_WIRE_BYTES_MAX], extensions[PE_WIRE_BYTES_MAX];
	double area_square;
	uint32_t bytes = volume == CORE_POLYGON ? write_star(star, &area_square) : 0;

	for (unsigned q = 0; q < count; q++) {
		queries[q].kind = kind[volume];
		queries[q].query_id = q + 1;
		queries[q].a[2] = CROWD_HEIGHT_M;
		queries[q].flags = bytes ? PE_QUERY_HAS_EXTENSION : 0;
		queries[q].extension_bytes = (uint16_t)bytes;
		memcpy(extensions + q * bytes, star, bytes);
	}
	for (unsigned m = 0; m < CORE_QUERY_MESSAGES; m++)
		w->request_bytes = pe_wire_put_query_extended(w->request + m * PE_WIRE_BYTES_MAX,
			PE_WIRE_BYTES_MAX, &header, queries, count, extensions, count * bytes);
	if (bytes)
		w->outer_m = CROWD_CELL_M / sqrt(CROWD_A_CELL * area_square);
	w->asked = volume;
}

// What a query's own numbers are: where, and how far or how many.
static void write_query(const struct core_worker *w, uint8_t *query, uint8_t *star,
	const double at[2], double reach, double hits)
{
	static const size_t scaled =
		sizeof(struct pe_wire_block) + sizeof(struct pe_wire_polygon) + 8;
	// Steps of the unit star, made the size that it shall have.
	const double placed[4] = {at[0], at[1], reach / INT16_MAX, reach / INT16_MAX};
	uint16_t count = (uint16_t)hits;

	memcpy(query + offsetof(struct pe_wire_query, a), at, 2 * sizeof at[0]);
	if (w->asked == CORE_SPHERE)
		memcpy(query + offsetof(struct pe_wire_query, b), &reach, sizeof reach);
	else if (w->asked == CORE_NEAREST)
		memcpy(query + offsetof(struct pe_wire_query, max_results), &count, sizeof count);
	else
		memcpy(star + scaled, placed, sizeof placed);
}

unsigned core_queries(struct core_worker *w, const struct core_work *work,
	struct pe_message messages[CORE_QUERY_MESSAGES])
{
	unsigned count = queries_a_message(work->volume);
	double reach, room;

	if (w->asked != work->volume)
		core_prepare_requests(w, work->volume);
	reach = work->volume == CORE_POLYGON ? w->outer_m * sqrt(work->hits) :
					       crowd_radius_m(work->hits);
	room = w->core->side_m - 2 * reach;
	for (unsigned m = 0; m < CORE_QUERY_MESSAGES; m++) {
		uint8_t *at = w->request + m * PE_WIRE_BYTES_MAX;
		uint32_t behind = (uint32_t)(sizeof(struct pe_wire_header) +
			count * sizeof(struct pe_wire_query));
		uint8_t *star = at + behind;

		messages[m] = (struct pe_message){
			.data = at, .bytes = w->request_bytes, .peer = core_peer};
		at += sizeof(struct pe_wire_header);
		for (unsigned q = 0; q < count; q++) {
			uint64_t random = crowd_random(&w->random);
			double a[2] = {reach + (double)(random >> 32) * 0x1p-32 * room,
				reach + (double)(random & 0xFFFFFFFFu) * 0x1p-32 * room};

			write_query(w, at, star, a, reach, work->hits);
			at += sizeof(struct pe_wire_query);
			star += (w->request_bytes - behind) / count;
		}
	}
	pe_count(&w->worker->counters, PE_COUNTER_rx_packets, CORE_QUERY_MESSAGES);
	return CORE_QUERY_MESSAGES * count;
}

// ---- standing queries ----

#define FENCE_RADIUS_M  5000.0
#define FENCE_SPACING_M 10000.0
#define FENCE_MARGIN_M  100.0f

unsigned core_subscribe(struct core_worker *w, struct pe_message *message)
{
	uint32_t all = w->core->options.fences, across = (uint32_t)ceil(sqrt(all)), count = 0;
	uint64_t busy = core_counted(w, PE_COUNTER_REASON(PE_REASON_subscribe_busy));
	struct pe_wire_header header = {.stream_id = w->index + 1};
	struct pe_wire_subscribe s = {.subscription_id = 1,
		.op = w->subscribes ? PE_SUBSCRIBE_ADD : PE_SUBSCRIBE_OPEN,
		.expiration_ms = w->subscribes ? 0 : PE_TTL_MAX_MS,
		.flags = w->core->options.moves && !w->subscribes ? PE_SUBSCRIBE_MOVES : 0,
		.message = w->subscribes};
	struct pe_wire_fence fences[PE_SUBSCRIBE_FENCES_MAX];

	if (core_counted(w, PE_COUNTER_subscribes_taken) < w->subscribes) {
		if (busy == w->busy)
			return 0;
		w->busy = (uint32_t)busy; // once more, as it was
	} else {
		for (; count < PE_SUBSCRIBE_FENCES_MAX && w->subscribed < all; w->subscribed++) {
			double x = w->subscribed % across - (across - 1) / 2.0;
			double y = w->subscribed / across - (across - 1) / 2.0;

			fences[count++] = (struct pe_wire_fence){.fence_id = w->subscribed + 1,
				.margin_m = FENCE_MARGIN_M,
				.query = {.kind = PE_QUERY_SPHERE,
					.a = {w->core->side_m / 2 + x * FENCE_SPACING_M,
						w->core->side_m / 2 + y * FENCE_SPACING_M,
						CROWD_HEIGHT_M},
					.b = {FENCE_RADIUS_M}}};
		}
		if (!count)
			return 0;
		w->subscribe_bytes = pe_wire_put_subscribe(
			w->messages, PE_WIRE_BYTES_MAX, &header, &s, fences, count, NULL, 0);
		w->subscribes++;
	}
	*message = (struct pe_message){
		.data = w->messages, .bytes = w->subscribe_bytes, .peer = core_peer};
	pe_count(&w->worker->counters, PE_COUNTER_rx_packets, 1);
	return 1;
}
