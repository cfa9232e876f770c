// What the files behind engine.h share: the engine, its workers, and the calls between apply.c
// (records), own.c (what time does to entities), watch.c (standing queries) and worker.c (the
// turn).
#pragma once

#include "engine.h"

#include "authorize.h"
#include "base/ring_spsc.h"
#include "discover/query.h"
#include "entity/change.h"
#include "entity/held.h"
#include "entity/pending.h"
#include "entity/table.h"
#include "frame.h"
#include "grid/grid.h"
#include "parcel.h"
#include "places.h"
#include "plausible.h"
#include "policy/crowd.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/half.h"
#include "wire/ordinary.h"

#include <immintrin.h>

// a state held back by the spatial threshold alone is published within this time
#define PE_TRAILING_MS 1000u
static_assert(PE_TRAILING_MS < PE_HELD_TICKS / 2,
	"what is held back lies within its queue, also where that is late");
static_assert(PE_WORKERS_MAX <= 128, "PE_STATUS_OWNER");
#define PE_OWN_BATCH  64u // timers, departures and reclaimed handles a turn, each
#define PE_WHEEL_WORK 1024u
// held states that come due a turn: as many as one turn's records can make, or they would come
// later and later
#define PE_HELD_BATCH (PE_BURST_MAX * PE_UPDATE_COUNT_MAX)
#define PE_ACKS_MAX   (PE_BURST_MAX * PE_WITHDRAW_COUNT_MAX)

// The largest that was seen of the veiled ones, by audience; written: any worker, growing; read:
// queries
struct pe_audience_seen {
	_Atomic uint64_t speed_seen;
	_Atomic uint32_t precision_seen;
};

enum pe_space_check {
	PE_SPACE_OWNER = 1, // its principal owns it by first broadcast
	PE_SPACE_SPEED = 2, // it is surely as slow as it has to be
};

struct pe_space_entry {
	struct pe_space space;
	struct pe_space_policy policy; // defaults filled in
	struct pe_wire_limits limits;
	struct pe_wire_ordinary ordinary;
	struct pe_view_rules rules;
	bool looked;     // no record of it is ordinary
	bool thresholds; // one of space or time is set
	bool authorizes; // it is not OPEN
	bool guarded;    // its records are looked at at the door: no record is ordinary
	bool owned;      // and on the owner's worker (authorize.h): none covers another
	bool limits_speed;
	// … what is looked at there is, of an update that is spared the general way: enum
	// pe_space_check
	uint8_t checks;
	uint32_t frequencies; // those of pe_wire_frequencies that make an update more than plain
	uint8_t way;          // enum pe_change_way: of an update that asks for nothing else
	// a policy may concern an update that asks for nothing: none is ordinary
	bool veils;
	// bits of the largest precision seen; written: any worker, growing; read: queries
	_Atomic uint32_t precision_seen;
	// how fast MOBILE entities may be, rounded; infinite: as they like
	float surely_m_per_ms;
	// the largest velocity seen along each axis, in lanes (wire/ordinary.h); written: any
	// worker, growing; read: queries
	_Atomic uint64_t speed_seen;
	struct pe_audience_seen *audience; // PE_AUDIENCES_MAX
	// how far from where it is seen a STATIC entity, and another, may be for a threshold, by
	// power mode
	float hidden_m[2][4];
};

// Is a change within the spatial threshold of what is published?
enum pe_covered { PE_COVERED_UNKNOWN, PE_COVERED_NO, PE_COVERED_YES };

// Low bits of a handle that tell those of a batch apart. Where chance meets in few of them an
// update takes the longer way; otherwise it is only looked at again.
#define PE_NEWEST     1024u
#define PE_NEWEST_FEW 256u

// Records worked together, one array a stage's result.
struct pe_batch {
	unsigned count;
	bool veiled; // some are: they lie in other layers
	struct pe_change change[PE_BATCH_MAX];
	struct pe_place place[PE_BATCH_MAX];
	uint32_t home[PE_BATCH_MAX]; // index bucket
	uint32_t handle[PE_BATCH_MAX];
	bool superseded[PE_BATCH_MAX];
	uint8_t covered[PE_BATCH_MAX]; // enum pe_covered, of what a threshold may cover
	// where there are thresholds: changes that are covered, each of another entity, whose first
	// it is in the batch; and all others in order, from PE_BATCH_MAX on. What cannot be held
	// back after all is put before them.
	uint8_t hold[PE_BATCH_MAX], rest[2 * PE_BATCH_MAX];
	unsigned hold_count, rest_first;
	// changes that will be put into a cell where they are not yet; one of no change follows
	uint8_t insert[PE_BATCH_MAX + 1];
	uint32_t leaf[PE_BATCH_MAX];     // each of these cells', as pe_grid_prefetch_inserts has it
	unsigned insert_count, inserted; // … and how many have been looked at
	unsigned crossed;                // the short way, and not counted yet
};

struct pe_outbox; // answer.c
struct pe_packing;
struct pe_watch; // watch.h
struct pe_watch_shared;

// What the classes of queries are owed of the messages that a source takes, from turn to turn.
struct pe_priority_room {
	// that it took in a turn in which it refused some; UINT32_MAX: no lack is known
	uint32_t messages;
	uint32_t credit[PE_PRIORITIES]; // 256ths of a message
};

struct pe_worker {
	struct pe_engine *engine;
	unsigned index;
	struct pe_counters counters;

	// this turn
	uint32_t tick;
	uint64_t wall_ms;
	uint64_t newest_ms; // event times and incarnations after it are in the future
	const struct pe_sink *sink;

	// entities that this worker owns
	struct pe_wheel wheel;
	struct pe_pending_pool pending;
	struct pe_held held;
	struct pe_memory pending_memory, held_memory;
	struct pe_handles handles;
	struct pe_details_arena arena;
	struct pe_parcels parcels;
	struct pe_frames frames;
	struct pe_suspects suspects;
	struct pe_authorized authorized; // of this turn
	// of the change with details that is worked: its FRAME, if it has one, and the parent's
	// handle or PE_FRAME_NONE
	struct pe_wire_placed placed;
	uint32_t parent;
	uint64_t evict_seed; // places_evict.c
	bool parcel_passed;  // the change that is worked has handed its parcel on

	struct pe_batch batch;
	// by handle's low bits, where in the batch such a handle was last; older answers do no
	// harm, since whoever asks compares the handle
	uint8_t newest[PE_NEWEST];
	struct pe_wire_view views[PE_BURST_MAX];
	uint32_t view_acks[PE_BURST_MAX]; // first of a message's acknowledgement records
	struct pe_wire_ack_record acks[PE_ACKS_MAX];

	struct pe_query_context query;
	struct pe_outbox *outbox;
	struct pe_memory outbox_memory;
	struct pe_packing *packing; // answer_packed.c
	struct pe_memory packing_memory;
	uint64_t tx_sequence;
	// of the queries that are answered: their class, messages that it may begin, and whether
	// the source refused one
	uint8_t answers_class; // enum pe_priority
	bool answers_refused;
	uint32_t answers_left;
	struct pe_priority_room priority_room;
	bool attached;
	bool started; // had its first turn: the timers know the time
	// nothing came in the last turn, nothing was due, and nothing waits for a grace period:
	// what time does next is the next tick's
	bool rested;
	bool watching;   // there are fences on this worker, or members of some
	bool refuse_new; // under load
	float coarse;    // what thresholds are multiplied by under load; 1 otherwise
	// the spatial threshold by space and power mode, squared, so multiplied; in metres where
	// distances are taken straight (a bit a space: CARTESIAN), else in units across
	double covered_square[PE_SPACES_MAX][4];
	uint64_t straight;
	bool correcting;        // what is being published corrects what was told
	struct pe_watch *watch; // NULL: standing queries are off

	// written: this worker; read: anyone
	_Atomic uint32_t owed;
};

struct pe_engine {
	struct pe_engine_config config;
	struct pe_table table;
	struct pe_grid *grid;
	struct pe_places places;
	struct pe_views views;
	struct pe_crowd crowd;
	struct pe_audience_seen *seen; // of all spaces, PE_AUDIENCES_MAX each
	struct pe_space_entry spaces[PE_SPACES_MAX];
	bool covers;   // the way of one of them is PE_WAY_COVERED or PE_WAY_COURSE
	bool guards;   // one of them has checks, or tags decide who sees its entities
	bool holds;    // one of them may hold states back by it
	bool predicts; // one of them does
	struct pe_directory directory;
	struct pe_owners owners;
	struct pe_worker **workers;
	struct pe_ring_spsc *rings; // [from × worker_count + to]
	struct pe_memory ring_memory;
	struct pe_watch_shared *watch; // NULL: standing queries are off
	uint64_t other_bytes;
	_Atomic uint32_t control_wanted; // written: workers (1), control (0)
};

static inline struct pe_ring_spsc *pe_ring_between(struct pe_engine *e, unsigned from, unsigned to)
{
	return &e->rings[from * e->config.worker_count + to];
}

// Of a space of first broadcasts, on the owner's worker: did who says so broadcast it first?
static inline bool pe_authorize_owns(
	const struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	// Nobody, 0, broadcasts nothing there.
	return w->engine->owners.of[pe_handle_number(handle)] == c->principal && c->principal;
}

// batch.c. Works what is in the batch.
void pe_apply_flush(struct pe_worker *w);
// Where the next sound record is written (the batch is worked first when it is full), and its
// addition once it is whole, when its index bucket is asked for. What is written and not added is
// forgotten.
static inline struct pe_change *pe_apply_next(struct pe_worker *w)
{
	if (w->batch.count == PE_BATCH_MAX)
		pe_apply_flush(w);
	return &w->batch.change[w->batch.count];
}
static inline void pe_apply_add(struct pe_worker *w)
{
	struct pe_batch *b = &w->batch;
	const struct pe_index *index = &w->engine->table.index;
	uint32_t home = pe_index_home(index, b->change[b->count].hash);

	b->home[b->count++] = home;
	pe_index_prefetch(index, home);
}
// A withdrawal, in order after the updates of its burst.
void pe_apply_withdraw(struct pe_worker *w, const struct pe_change *change);
// erase.c. An ERASE, in order after them. What was erased is in its acknowledgement record's
// known_sequence (PE_ERASED_…).
void pe_apply_erase(struct pe_worker *w, const struct pe_change *change);
// Drains the rings towards this worker; returns elements taken.
unsigned pe_apply_rings(struct pe_worker *w);
void pe_apply_flush_rings(struct pe_worker *w);

// predict.c. An update of an entity that is there, against the course of what is published of it.
struct pe_prediction {
	bool known;  // there is a course, and it reaches as far as the update
	bool covers; // the update need not be published for its place and velocity
	double error_m, turned_mps;
	double threshold_m;   // that watchers need
	uint32_t age_ms;      // of the course, when the update was made
	uint32_t trailing_ms; // covers: how long it may be held back
};
static inline bool pe_predict_applies(const struct pe_space_entry *s, uint8_t entity_type)
{
	return s->policy.predict_distance_m > 0 && entity_type != PE_ENTITY_STATIC;
}
struct pe_prediction pe_predict(
	const struct pe_worker *w, uint32_t handle, const struct pe_change *c);
// How far beside its course the published state of an entity may be before those who watch it need
// another one, m: the space's threshold by its power mode, or what a subscription whose fence it is
// in wants to be told of, if that is less. 0 = whatever moves.
double pe_predict_needed_m(const struct pe_worker *w, uint32_t handle);
// How long the sender of an update that was taken may stay silent, ms; 0 = it announced no
// frequency. x: NULL or unknown where nothing is known of its course.
uint32_t pe_predict_silence_ms(const struct pe_change *c, const struct pe_prediction *x);
// The fastest that is in a space, at most PE_PREDICT_SPEED_MAX_MPS. Any thread.
float pe_predict_fastest(const struct pe_space_entry *s);
// The audiences of a space that a principal belongs to, by the directory of now. Workers, inside of
// their turn.
static inline uint32_t pe_asker_sees(
	const struct pe_engine *e, unsigned space, uint32_t principal, uint64_t wall_ms)
{
	// PRINCIPALS: acquire pairs with pe_engine_principals: the directory was written before it
	// could be found.
	const struct pe_principals *directory =
		atomic_load_explicit(&e->directory.current, memory_order_acquire);

	return pe_views_sees(&e->views, directory, space, principal, wall_ms);
}
// stands.c. Where a principal stands in a space, for those who show themselves to who is near
// alone. Workers, inside of their turn.
uint64_t pe_asker_place(
	const struct pe_worker *w, const struct pe_space_entry *s, uint32_t principal);
// The asker that a peer is in a space. Workers, inside of their turn.
static inline struct pe_asker pe_asker_of(
	const struct pe_worker *w, const struct pe_space_entry *s, const struct pe_peer *peer)
{
	struct pe_asker asker = {.trusted = peer->trusted, .principal = peer->principal};

	// PRINCIPALS: acquire, as above
	if (__builtin_expect(peer->principal != 0, 0))
		asker.directory =
			atomic_load_explicit(&w->engine->directory.current, memory_order_acquire);

	if (__builtin_expect(
		    atomic_load_explicit(&s->rules.present, memory_order_relaxed) != 0, 0)) {
		asker.sees = pe_views_sees(&w->engine->views, asker.directory, s->space.index,
			peer->principal, w->wall_ms);
		asker.counts = pe_views_counts(&w->engine->views, asker.directory, s->space.index,
			peer->principal, w->wall_ms);
		if (asker.sees & w->engine->views.within)
			asker.place = pe_asker_place(w, s, peer->principal);
	}
	return asker;
}
// The audiences of a space that an asker has to look at, and what he then has to know besides. Of
// those who have to be near it is nothing: what is near is looked through.
void pe_predict_known_veiled(const struct pe_space_entry *s, const struct pe_wire_query *q,
	uint32_t audiences, struct pe_query_known *known);
// What a query of a space has to know of all that is in it that the asker may see. Any thread.
static inline struct pe_query_known pe_predict_known(
	const struct pe_space_entry *s, const struct pe_wire_query *q, const struct pe_asker *asker)
{
	uint32_t seen_bits = atomic_load_explicit(&s->precision_seen, memory_order_relaxed);
	struct pe_query_known known = {
		.horizon_ms = s->policy.predict_horizon_ms, .hidden_m = s->hidden_m};

	memcpy(&known.precision_max_m, &seen_bits, sizeof known.precision_max_m);
	if (q->flags & PE_QUERY_HAS_EXTENSION)
		known.speed_max_mps = pe_predict_fastest(s);
	if (__builtin_expect(asker->sees != 0, 0))
		pe_predict_known_veiled(s, q,
			asker->sees &
				atomic_load_explicit(&s->rules.present, memory_order_relaxed) &
				~s->rules.views->within,
			&known);
	return known;
}
// How far apart from what is seen thresholds may hold a STATIC entity, and another, with a power
// mode.
void pe_predict_hidden(const struct pe_space_policy *policy, unsigned mode, float hidden_m[2][4]);

// coalesce.c. By how much an entity's power mode widens the spatial and temporal thresholds of its
// space: HIGH_ACCURACY, BALANCED, LOW_POWER; ADAPTIVE is as exact as the first, and adapts the time
// that its sender may stay silent.
static inline unsigned pe_coalesce_factor(uint16_t attributes)
{
	static const uint8_t factor[4] = {1, 2, 8, 1};

	return factor[PE_ATTRIBUTE_POWER_MODE(attributes)];
}
// For how long the temporal threshold of its space holds an entity's states back; below half of the
// 32-bit tick range.
static inline uint32_t pe_coalesce_interval_ms(
	const struct pe_worker *w, const struct pe_space_entry *s, uint16_t attributes)
{
	uint64_t ms = (uint64_t)s->policy.coalesce_interval_ms * pe_coalesce_factor(attributes) *
		(uint32_t)w->coarse;

	return ms < 8ull * PE_TTL_MAX_MS ? (uint32_t)ms : 8u * PE_TTL_MAX_MS;
}
// Squared metres between two positions of a CARTESIAN space.
static inline double pe_coalesce_straight(const double a[3], const double b[3])
{
	__m128d across = _mm_sub_pd(_mm_loadu_pd(b), _mm_loadu_pd(a));
	__m128d up = _mm_sub_sd(_mm_load_sd(&b[2]), _mm_load_sd(&a[2])), square;

	across = _mm_mul_pd(across, across);
	square = _mm_add_sd(across, _mm_unpackhi_pd(across, across));
	return _mm_cvtsd_f64(_mm_add_sd(square, _mm_mul_sd(up, up)));
}
// Squared distance, in units across, between two positions of a GEODETIC space in one cell: the
// words of their places, and how far their heights are apart in metres, which is not in the word.
static inline double pe_coalesce_in_cell(
	const struct pe_space *space, uint64_t a, uint64_t b, double height_m)
{
	const __m256i shift = _mm256_set_epi64x(63, 40, 20, 0), low = _mm256_set1_epi64x(0xFFFFF),
		      even = _mm256_set_epi32(0, 0, 0, 0, 6, 4, 2, 0);
	__m256i from = _mm256_srlv_epi64(_mm256_set1_epi64x((int64_t)a), shift);
	__m256i to = _mm256_srlv_epi64(_mm256_set1_epi64x((int64_t)b), shift);
	__m256i moved = _mm256_sub_epi64(_mm256_and_si256(to, low), _mm256_and_si256(from, low));
	// x, y, z and nothing, as halves of 64 bits that fit 32
	__m256d d = _mm256_cvtepi32_pd(
		_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(moved, even)));
	__m128d pair, one;

	d = _mm256_mul_pd(d, _mm256_load_pd(space->lane_units_across));
	d = _mm256_mul_pd(d, d);
	pair = _mm_add_pd(_mm256_castpd256_pd128(d), _mm256_extractf128_pd(d, 1));
	one = _mm_add_sd(pair, _mm_unpackhi_pd(pair, pair));
	height_m *= space->units_per_m;
	return _mm_cvtsd_f64(one) + height_m * height_m;
}
// Squared metres between a state of the entity, in the cell `key`, and a new place in the same
// space.
double pe_coalesce_moved_square(const struct pe_space *space, uint64_t key,
	const struct pe_published *own, const struct pe_place *place, const double position[3]);
// Is the state below every threshold that its space sets? node: the entity's, or NULL. x: what the
// prediction said of it, where pe_predict_applies.
bool pe_coalesce_below(struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_record *r, const struct pe_pending *node, const struct pe_published *p,
	const struct pe_place *place, const struct pe_prediction *x);
// Keeps a state back until its time comes; liveness is refreshed at once. `capped`: only the
// frequency cap is in its way, so that it is published when the cap ends. False: no room, publish
// it.
bool pe_coalesce_hold_back(struct pe_worker *w, uint32_t handle, const struct pe_change *c,
	const struct pe_published *p, const struct pe_place *place, const struct pe_prediction *x,
	bool capped, uint32_t cap_ms, uint32_t interval_ms);
// Makes ready for a state where none is held back, which is then due within PE_TRAILING_MS, or
// where what is held back is not of the newest time. False: no room.
bool pe_coalesce_hold_begin(struct pe_worker *w, uint32_t handle);
// Keeps back, beside the record, a state that only the spatial threshold covers, of an entity that
// waits for nothing else; what is published differs from it in no more than place, velocity and
// time. False: no room. Where it replaces what is held back nothing of the held line is read: a
// store need not wait for it.
static inline bool pe_coalesce_hold(
	struct pe_worker *w, uint32_t handle, const double position[3], const uint16_t velocity[3])
{
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	struct pe_held_state *held = pe_record_held(r);

	if ((status & (PE_STATUS_HELD | PE_STATUS_OLDER)) != PE_STATUS_HELD &&
		!pe_coalesce_hold_begin(w, handle))
		return false;
	memcpy(held->position, position, sizeof held->position);
	memcpy(held->velocity, velocity, sizeof held->velocity);
	return true;
}
// The same of a state that the published one's course covers, until a tick at most
// PE_PREDICT_HORIZON_MAX_MS ahead; the next one that is covered puts it off. It lies beside the
// record too, and its timer is the record's own, so that there is always room.
void pe_coalesce_hold_course(struct pe_worker *w, uint32_t handle, const double position[3],
	const uint16_t velocity[3], uint32_t due);
// When that is due. An owner that is late by up to 4 hours still sees that it is.
static inline uint32_t pe_coalesce_course_due(const struct pe_worker *w, const struct pe_record *r)
{
	uint32_t low = pe_record_held(r)->due | (uint32_t)*pe_record_due_high(r) << 16;
	uint32_t ahead = (low - w->tick) & 0xFFFFFFu;

	return ahead <= PE_PREDICT_HORIZON_MAX_MS ? w->tick + ahead : w->tick;
}
// When what a record holds back is due; now, if it was due already: nothing is due later than
// PE_TRAILING_MS.
static inline uint32_t pe_coalesce_due(const struct pe_worker *w, const struct pe_record *r)
{
	uint16_t ahead = (uint16_t)(pe_record_held(r)->due - w->tick);

	return ahead <= PE_TRAILING_MS ? w->tick + ahead : w->tick;
}

// take.c. The messages of a turn, and what is answered to them. At most PE_BURST_MAX.
void pe_take_messages(struct pe_worker *w, const struct pe_message *messages, unsigned count);
// take.c. The widest precision in a space bounds the walk of its point queries. Only ever grows.
// Any worker.
void pe_note_precision(struct pe_space_entry *s, float precision_m);
// take.c. The same of velocities, in lanes (wire/ordinary.h). Any thread.
void pe_note_speed(struct pe_space_entry *s, uint64_t lanes);

// scope.c. Rounds the place of an update as its entity's scope says, or the one that it brings, and
// its precision with it; *rounded: there was something to round. precision: it is then above the
// cap; out_of_bounds: the middle of the cell is.
[[nodiscard]] enum pe_reason pe_scope_round(struct pe_worker *w, struct pe_change *change,
	struct pe_place *place, uint32_t handle, bool *rounded);
// Of details as they would be kept: scope_bounds, or none. And whether their scope rounds.
[[nodiscard]] enum pe_reason pe_scope_check(const struct pe_space *space, const uint8_t *details);
bool pe_scope_rounds(const uint8_t *details);

// detailed.c. An update with details, in order behind what is in the batch, which is empty. Its
// parcel is given back.
void pe_apply_detailed(struct pe_worker *w, struct pe_change *c);
// What an update makes of its entity's details.
struct pe_next_details {
	bool changes, published;
	uint32_t block; // PE_DETAILS_NONE: none are left
};
// Works out what becomes of the details, in a new block that nobody sees; schedule_missing,
// details_large, details_full.
[[nodiscard]] enum pe_reason pe_details_prepare(struct pe_worker *w, const struct pe_change *c,
	uint32_t handle, struct pe_next_details *next);
// PE_PUBLISHED_MORE of what is going to be published.
uint16_t pe_details_bits(const struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	const struct pe_next_details *next);
// Before the first state of an entity is published.
void pe_details_before(
	struct pe_worker *w, uint32_t handle, struct pe_next_details *next, uint16_t bits);
// The update was taken, or refused after all. bits: as above.
void pe_details_settle(struct pe_worker *w, const struct pe_change *c, uint32_t handle,
	struct pe_next_details *next, uint16_t bits);
void pe_details_undo(struct pe_worker *w, uint32_t handle, struct pe_next_details *next);
// The entity is gone.
void pe_details_drop(struct pe_worker *w, uint32_t handle);
// A payload of an update that was taken: for whoever subscribes. Owner's thread; not kept.
void pe_details_payload(
	struct pe_worker *w, uint32_t handle, const uint8_t *payload, uint32_t bytes);

// engine_config.c. The configuration, checked and with its defaults, becomes the engine's; then its
// spaces, when the views are made.
[[nodiscard]] enum pe_status pe_engine_configure(
	struct pe_engine *e, const struct pe_engine_config *config, struct pe_error *error);
[[nodiscard]] enum pe_status pe_engine_prepare_spaces(struct pe_engine *e, struct pe_error *error);

// watch.c: standing queries. What is shown of an entity has changed, or will be when the caller is
// done: it is looked at with the next pe_watch_look. `corrected`: no move, but another word for
// what was told.
void pe_watch_note(struct pe_worker *w, uint32_t handle, bool corrected);
static inline void pe_watch_shown(struct pe_worker *w, uint32_t handle)
{
	if (__builtin_expect(w->watching, 0))
		pe_watch_note(w, handle, w->correcting);
}
// All that was noted against the fences. At the end of a batch, and of what time has done.
void pe_watch_look(struct pe_worker *w);
// A batch was written: its changes of the short ways were not noted one by one.
void pe_watch_batch(struct pe_worker *w);
void pe_watch_prefetch_batch(const struct pe_worker *w);
// The entity is in another leaf from now on.
void pe_watch_moved(struct pe_worker *w, uint32_t handle);
// What fences ask for has changed, and not the place: details, or the clock alone. A look that a
// safe region would spare is made.
static inline void pe_watch_changed(struct pe_worker *w, uint32_t handle)
{
	if (__builtin_expect(w->watching, 0)) {
		pe_watch_moved(w, handle);
		pe_watch_note(w, handle, w->correcting);
	}
}
// watch_payload.c: to the subscriptions that ask for payloads and have a fence that the entity is
// inside of.
void pe_watch_payload(struct pe_worker *w, uint32_t handle, const uint8_t *payload, uint32_t bytes);
// Is an entity inside of a fence, or on its way into one or out of it? Where there are fences.
bool pe_watch_inside_any(const struct pe_worker *w, uint32_t handle);
// An entity that is there is about to be taken away.
void pe_watch_gone(struct pe_worker *w, uint32_t handle);
// Before a turn's updates: what dwell times have ended. After its messages: everything else. Both
// return what was done.
unsigned pe_watch_begin_turn(struct pe_worker *w);
void pe_watch_leave(struct pe_worker *w); // pe_worker_end_subscriptions
void pe_watch_depart(struct pe_worker *w, const struct pe_peer *peer); // pe_worker_depart
void pe_watch_end_link(struct pe_worker *w, uint32_t link);            // pe_worker_end_link
void pe_watch_start_clock(struct pe_worker *w);                        // before the first one
unsigned pe_watch_turn(struct pe_worker *w);
uint32_t pe_watch_idle_ms(const struct pe_worker *w, uint32_t tick, uint32_t cap);
// Standing work that is under way: fences being begun or ended, messages in rings.
uint32_t pe_watch_in_flight(const struct pe_worker *w);
// watch_course.c, where there are fences. How far beside its course an entity may be for those
// whose fences it is in; infinity: as may be.
double pe_watch_needed_m(const struct pe_worker *w, uint32_t handle);
// Is an update, of an entity of this worker, inside and outside of the same fences as what is
// published? False too where that is not known.
bool pe_watch_same_sides(
	const struct pe_worker *w, uint32_t handle, const struct pe_wire_update *update);
// watch_explain.c: pe_explain of a fence: of what `subject` names to whoever asks, in the space.
struct pe_explain_subject;
[[nodiscard]] enum pe_reason pe_watch_explain(struct pe_worker *w, const struct pe_peer *peer,
	uint64_t subject, unsigned space, struct pe_explain_subject *about,
	struct pe_wire_explanation *explanation);
// watch_ask.c: a REGION_SUBSCRIBE that passed the checks of the message.
void pe_watch_subscribe(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned space);

enum pe_status pe_watch_create_shared(struct pe_engine *e, struct pe_error *error);
enum pe_status pe_watch_create(struct pe_worker *w, struct pe_error *error);
void pe_watch_destroy(struct pe_worker *w);
void pe_watch_destroy_shared(struct pe_engine *e);
uint64_t pe_watch_memory_bytes(const struct pe_engine *e); // taken at start
// The most that shapes of fences and logs of subscriptions may come to beside it.
uint64_t pe_watch_memory_more(const struct pe_engine *e);
