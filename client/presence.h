// libpresence: publishes, withdraws and finds entities in a presence engine, by UDP or by memory
// that it shares with the engine (docs/protocol.md, docs/rings.md). Programs include
// <presence/presence.h> and link as pkg-config says of libpresence; docs/integrate.md begins at the
// beginning. Tuned for programs that send many updates and ask a query now and then: updates are
// packed 16 to a datagram and handed to the kernel in batches; every wait is bounded by a time-out
// and a number of retries. Whatever the other side sends is checked to its last byte before any of
// it is used, and what does not answer a request of this client is counted and left aside.
//
// Threads: a client belongs to one thread at a time; there is no lock and no thread inside, and
// nothing global that changes. Several clients are independent of one another. Functions that take
// no client may be called from any thread. After a fork a client is one process's: the other one
// leaves it alone, and its descriptors close by themselves where it becomes another program.
//
// ABI: what is exported is what these headers declare, under the version PRESENCE_0; a test
// compares them with a record (client/abi). `reserved` fields are zero until a later version gives
// them a meaning: zero the struct, then set what you mean, and a program built today runs with that
// version. Structs without any do not grow under one soname.
//
// Units: metres, metres a second, milliseconds, degrees. Vectors are x, y, z in a CARTESIAN space,
// and latitude, longitude, height (positions) or east, north, up (velocities) in a GEODETIC one.
// `space` is a pointer to 16 bytes, NULL for the engine's first space.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PRESENCE_VERSION_MAJOR 0
#define PRESENCE_VERSION_MINOR 1
#define PRESENCE_VERSION_PATCH 0

#define PRESENCE_PORT         10202
#define PRESENCE_BATCH_MAX    16    // updates in one packet
#define PRESENCE_WITHDRAW_MAX 48    // withdrawals in one packet
#define PRESENCE_RESULTS_MAX  65536 // results that one presence_query_all may gather
#define PRESENCE_COUNTERS_MAX 512   // counters that presence_stats takes from an engine
#define PRESENCE_VERTICES_MAX 256   // of all rings of a polygon
#define PRESENCE_RINGS_MAX    16    // of a polygon: the outer one, then holes
#define PRESENCE_NEAREST_MAX  1000
#define PRESENCE_AHEAD_MAX_MS 600000
#define PRESENCE_TAGS_MAX     8           // of one entity
#define PRESENCE_METADATA_MAX 16          // names of one entity
#define PRESENCE_NAME_MAX     32          // bytes of a name, a tag, an activity
#define PRESENCE_PAYLOAD_MAX  512         // bytes
#define PRESENCE_DETAILS_MAX  (64u << 20) // bytes of details that one answer may gather

enum presence_result {
	PRESENCE_OK = 0,
	// the caller's arguments; nothing was sent, but where a call says how much was
	PRESENCE_BAD_ARGUMENT,
	PRESENCE_TIMED_OUT,   // no answer after all retries
	PRESENCE_INCOMPLETE,  // some parts of an answer came, not all
	PRESENCE_REFUSED,     // the engine said why: code and reason
	PRESENCE_SYSTEM,      // the operating system refused; errno
	PRESENCE_WOULD_BLOCK, // the socket's buffer is full; fewer were sent than asked
	PRESENCE_MEMORY,
};

enum presence_type {
	PRESENCE_STATIC,
	PRESENCE_MOBILE,
	PRESENCE_TEMPORARY,
	PRESENCE_RECURRING,
	PRESENCE_CUSTOM = 128
};
enum presence_state {
	PRESENCE_ACTIVE,
	PRESENCE_INACTIVE,
	PRESENCE_BUSY,
	PRESENCE_AWAY,
	PRESENCE_STATE_CUSTOM
};
// How exact others must know where an entity is: widens the engine's thresholds for it, and says
// for how many of the intervals that it announces it may be silent.
enum presence_power {
	PRESENCE_HIGH_ACCURACY, // 1
	PRESENCE_BALANCED,      // 2
	PRESENCE_LOW_POWER,     // 8
	PRESENCE_ADAPTIVE       // as long as its course is expected to hold
};
// Who is shown the entity, as far as the engine's policies provide for it (docs/privacy-model.md).
enum presence_visibility {
	PRESENCE_PUBLIC,
	PRESENCE_ANONYMOUS,  // under a name that changes
	PRESENCE_RESTRICTED, // by the engine's lists
	PRESENCE_HIDDEN
};
// How exactly others are told where it is, at most: the middle of a fixed cell of that size.
enum presence_exactness {
	PRESENCE_EXACT,
	PRESENCE_WITHIN_1_M,
	PRESENCE_WITHIN_10_M,
	PRESENCE_WITHIN_100_M,
	PRESENCE_WITHIN_1_KM,
	PRESENCE_WITHIN_10_KM
};
enum presence_status {
	PRESENCE_APPLIED,
	PRESENCE_ACCEPTED,
	PRESENCE_COALESCED,
	PRESENCE_NOT_TAKEN,
	PRESENCE_DROPPED
};
enum presence_volume {
	PRESENCE_POINT = 1,
	PRESENCE_SPHERE = 2,
	PRESENCE_BOX = 3,
	PRESENCE_POLYGON = 4,
	PRESENCE_ORIENTED_BOX = 5,
	PRESENCE_FRUSTUM = 6,
	PRESENCE_NEAREST = 7 // results_max of them, 1–1000, in the order of their distance from a
};

// Who is served first, and gets most, where queries of several classes meet.
enum presence_priority { PRESENCE_NORMAL, PRESENCE_LOW, PRESENCE_HIGH, PRESENCE_CRITICAL };

struct presence_client;

enum presence_level {
	PRESENCE_SIGN = 1,    // nobody else can make, alter or repeat a message
	PRESENCE_ENCRYPT = 2, // nor read it
};

// A session with an engine that has this client's public key in its keyring (docs/sessions.md).
// Read at presence_open only.
struct presence_session {
	uint8_t engine_key[32]; // the engine's public key
	// with this client's secret key: 64 hexadecimal digits, for its owner only
	const char *key_file;
	const char *psk_file; // the pre-shared key likewise; NULL = none
	uint8_t level;        // enum presence_level; 0 = PRESENCE_SIGN
};

// All zero is a sound choice: the engine on this machine.
struct presence_options {
	// "shm:///run/presence/presence.sock", memory shared with an engine on this machine, or
	// "udp://host:port"; NULL = host and port
	const char *uri;
	const char *host;     // name or address, IPv4 or IPv6; NULL = 127.0.0.1
	uint16_t port;        // 0 = PRESENCE_PORT
	uint32_t timeout_ms;  // wait for an answer before a retry; 0 = 250, at most 60000
	uint32_t attempts;    // sendings of one request in all; 0 = 4, at most 16
	uint32_t incarnation; // start time of the sender, Unix seconds; 0 = now
	// wished size of the socket's buffers; 0 = 4 MiB. The system may give less. Of shared
	// memory: of each ring; 0 = what the engine gives
	uint32_t buffer_bytes;
	uint32_t stream_id;                     // 0 = random
	const struct presence_session *session; // messages are sealed; NULL = they are not
	// Large answers may come packed (LZ4, or Zstandard where that is smaller) where the engine
	// can and trusts this client: a half to nine tenths of the datagrams less, for work at both
	// ends. Nothing else changes. Engines before 0.1 don't answer a query that says so
	bool pack;
	uint64_t reserved[16];
};

// Resolves the host and opens a socket. On failure *client is NULL and `error` (may be NULL), of
// error_bytes, says what was tried and what was found.
enum presence_result presence_open(const struct presence_options *options,
	struct presence_client **client, char *error, size_t error_bytes);
// What the last call on this client that failed ran into and what mends it, as one line of English;
// "" when none has failed. Its text is the client's, valid until the next call.
const char *presence_error(struct presence_client *client);
const char *presence_version(void);
void presence_close(struct presence_client *client);
// to wait on with poll; for reading only through presence_poll
int presence_socket(const struct presence_client *client);
uint32_t presence_incarnation(const struct presence_client *client);
// Who the engine takes this client for without a session: over shared memory, the principal that
// its keyring gives the user's number. False: nobody that it knows, or nobody says; id is zero
// then.
bool presence_known_as(const struct presence_client *client, uint8_t id[16]);

// Keys of sessions. As text a key is 64 hexadecimal digits.
bool presence_key_parse(const char *text, uint8_t key[32]);
void presence_key_print(const uint8_t key[32], char text[65]);
// From a file that only its owner may read; false: error says why not.
bool presence_key_read(const char *path, uint8_t key[32], char *error, size_t error_bytes);
// A new pair, and the public key of a secret one. PRESENCE_SYSTEM: this library was built without
// sessions, or the processor lacks what they need.
enum presence_result presence_key_make(uint8_t secret[32], uint8_t public_key[32]);
enum presence_result presence_key_public(const uint8_t secret[32], uint8_t public_key[32]);

// Ids. A number in a namespace of the caller's ("mmsi", 8 characters at most): the namespace's
// bytes, then the number big-endian. Not both may be empty: the nil id is refused by engines.
void presence_id_from_u64(const char *name_space, uint64_t number, uint8_t id[16]);
bool presence_id_parse(const char *text, uint8_t id[16]); // 8-4-4-4-12 hex digits, dashes optional
void presence_id_print(const uint8_t id[16], char text[37]);

// One state of one entity. All zero but id and sequence is a sound update: a STATIC, ACTIVE entity
// at the origin.
struct presence_update {
	uint8_t id[16];
	double position[3];
	float velocity[3];
	// must grow for each update of the entity within the client's incarnation
	uint32_t sequence;
	uint8_t type;              // enum presence_type
	uint8_t state;             // enum presence_state
	uint8_t custom_state;      // with PRESENCE_STATE_CUSTOM
	bool height_unknown;       // GEODETIC: position[2] is then not sent
	bool relocation;           // a STATIC entity was moved on purpose
	uint8_t power_mode;        // enum presence_power
	uint8_t visibility;        // enum presence_visibility
	uint8_t exactness;         // enum presence_exactness
	uint32_t ttl_ms;           // 0 = the space's default
	uint32_t duration_ms;      // of the state; 0 = until changed
	int32_t age_ms;            // how old the state is now; 0 = now
	float radius_m;            // reach; 0 = no limit
	float precision_m;         // 0 = not stated
	float position_confidence; // 0–1; negative = not stated
	float status_confidence;
	// updates a minute that the engine takes; 0 = the space's default
	uint16_t frequency_per_minute;
	uint16_t announced_per_minute; // updates a minute that the sender announces; 0 = not stated
};

// A record's fate as the engine told it.
struct presence_ack {
	uint8_t status; // enum presence_status
	uint8_t code;   // presence_code_name
	uint8_t reason; // presence_reason_name, presence_reason_text
	// an earlier sending had arrived and its acknowledgement was lost; counted as ACCEPTED
	bool repeated;
	uint32_t known_incarnation, known_sequence; // for a stale or late record
	uint32_t silence_ms; // how long the sender may stay silent; 0 = not stated
};

// Why a whole request was refused (PRESENCE_REFUSED).
struct presence_refusal {
	uint8_t code, reason;
};

// Sends without asking for acknowledgements, 16 records a packet, behind what was submitted. *sent
// (may be NULL) tells how many records the system took; fewer than count with PRESENCE_WOULD_BLOCK
// or PRESENCE_SYSTEM, and with PRESENCE_BAD_ARGUMENT those of the packets before the one at fault.
enum presence_result presence_send(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, size_t count, size_t *sent);

// Sends and waits for the acknowledgements, packet after packet, each repeated until it is
// acknowledged or attempts are used up. acks[count] is written; what was not acknowledged has
// status PRESENCE_DROPPED, code PRESENCE_CODE_TIMEOUT. PRESENCE_REFUSED: a packet was refused
// whole; *refusal (may be NULL) says why, and its records have that code.
#define PRESENCE_CODE_TIMEOUT 0x33
enum presence_result presence_publish(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, size_t count, struct presence_ack *acks,
	struct presence_refusal *refusal);

// What an entity says beside its state. Texts are UTF-8, of so many bytes, not terminated.
struct presence_text {
	const char *text;
	unsigned bytes;
};

enum presence_value_type {
	PRESENCE_NULL,
	PRESENCE_BOOL,
	PRESENCE_I64,
	PRESENCE_F64,
	PRESENCE_TEXT,
	PRESENCE_BYTES,
	PRESENCE_REMOVE = 255 // publishing: the name goes
};

struct presence_value {
	struct presence_text name;
	uint8_t type; // enum presence_value_type
	bool truth;
	int64_t whole;
	double real;
	struct presence_text data; // of a TEXT, of BYTES
};

// Published, what is not named stays as it is known: metadata are changes, one name after the
// other; a context replaces the one before it; and a whole orientation or schedule too. All zero
// changes nothing.
struct presence_details {
	bool has_orientation, has_context, has_schedule, has_parent;
	bool no_orientation, no_schedule; // publishing: takes it away
	float orientation[4]; // a unit quaternion x, y, z, w that turns the entity's axes into x,
	                      // y, z, or east, north, up
	struct presence_text activity; // bytes 0 = none
	unsigned tag_count;
	struct presence_text tags[PRESENCE_TAGS_MAX];
	unsigned metadata_count;
	struct presence_value metadata[PRESENCE_METADATA_MAX];
	// of a RECURRING entity: open from this Unix time on for open_for_ms, and again after each
	// period
	uint64_t opening_ms;
	uint32_t period_ms, open_for_ms;
	// The entity is placed in another one's frame: position and orientation are along that
	// one's axes, in metres from it.
	uint8_t parent[16];
	double position[3]; // found: in that frame
	// To whom it is told: who asks from a point in these bounds; and how finely. Not with a
	// parent, if it is rounded.
	bool has_scope, no_scope;
	uint8_t scope_volume;       // 0 = from everywhere; PRESENCE_SPHERE, PRESENCE_BOX
	double scope_a[3];          // the centre, or a corner
	double scope_b[3];          // the other corner; of a sphere the radius in the first
	float scope_resolution_m;   // 0 = as it is; else 0.01 … 100,000
	uint16_t scope_engines_max; // that it may cross
	// publishing: handed on, not kept
	const void *payload;
	unsigned payload_bytes;
};

// As presence_publish, with details; each update goes on its own. What an update says of them is in
// details[i].
enum presence_result presence_publish_detailed(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, const struct presence_details *details, size_t count,
	struct presence_ack *acks, struct presence_refusal *refusal);

// Takes entities away, likewise.
struct presence_withdrawal {
	uint8_t id[16];
	uint32_t sequence; // above the entity's last update
	int32_t age_ms;
};

enum presence_result presence_withdraw(struct presence_client *client, const uint8_t *space,
	const struct presence_withdrawal *withdrawals, size_t count, struct presence_ack *acks,
	struct presence_refusal *refusal);

// Vertices are x, y or latitude, longitude, of one ring after the other; no ring repeats its first
// one. Edges are straight lines, or on Earth the shorter ways in planes through its centre. 75
// vertices of one ring fit a query as they are.
struct presence_polygon {
	const double (*vertices)[2];
	const unsigned *ring_vertices; // of each ring, 3 at least; the first ring is the outer one
	unsigned ring_count;
	double height_min, height_max; // inclusive; −INFINITY and INFINITY: whatever the height is
	bool rounded; // to a 65,534th of the polygon's extent, so that PRESENCE_VERTICES_MAX fit
};

struct presence_query {
	uint8_t volume; // enum presence_volume
	bool has_origin, has_heights, distance_3d, has_cursor;
	bool with_details;    // presence_details_read
	uint16_t results_max; // 0 = the engine's cap
	uint16_t timeout_ms;  // the engine's own work; 0 = its default
	uint16_t type_mask;   // bit n = type n, bit 4 = CUSTOM; 0 = all
	uint16_t state_mask;  // bit n = state n; 0 = all
	// point, centre, apex, the box's lower (south-west) corner; of a polygon, where distances
	// count from
	double a[3];
	double b[3];      // the box's upper (north-east) corner
	double radius_m;  // of a sphere; how far the nearest may be, 0 = no limit
	double origin[3]; // the asker's point
	float height_min, height_max;
	uint64_t cursor[2];
	const struct presence_polygon *polygon;
	// ORIENTED_BOX, FRUSTUM: a unit quaternion x, y, z, w that turns its own axes into x, y, z,
	// or east, north, up at a
	double orientation[4];
	double half[3]; // ORIENTED_BOX: half extents along its own axes
	// FRUSTUM: whole angles; it looks along its own x, z is up
	double horizontal_deg, vertical_deg;
	double near_m, far_m;
	// About a moment so much ahead of the engine's clock when it answers: where entities'
	// courses lead by then. At most the space's horizon (PRESENCE_AHEAD_MAX_MS, or less).
	bool has_time;
	uint32_t ahead_ms;
	// A program (client/filter_text.h makes one of text), not copied; 0 bytes = none.
	const uint8_t *filter;
	unsigned filter_bytes;
	uint8_t priority; // enum presence_priority
	// Above 0: not the entities come, but how many there are in each cell of the engine's tree,
	// of the coarsest cells up to this edge; results_max is of cells. Not of the nearest.
	double cell_m;
	uint32_t age_max_ms; // what is older is left out; 0 = of any age
	bool brief;          // id and position only, so that more fit a packet
	uint64_t reserved[8];
};

struct presence_found {
	uint8_t id[16];
	double position[3];
	float velocity[3];
	float distance_m;
	float precision_m; // 0 = not stated; of a moment ahead, how far beside the position it may
	                   // be then
	float position_confidence, status_confidence; // −1 = not stated
	int32_t age_ms;
	uint32_t ttl_left_ms; // rounded up to tenths of a second
	uint8_t type, state, custom_state;
	bool height_unknown;
	bool stale; // announced updates have not come
	// where its details are in those of the answer (or the part); 0 bytes = none
	uint32_t details_at, details_bytes;
};

// How many entities there are in a cell. Its centre and size name it: the same from every query.
struct presence_cell {
	double centre[3]; // GEODETIC: the height is 0, a cell has none
	uint32_t count;
	float size_m, height_m; // edges across and up
	int32_t newest_age_ms;  // of the entities
	int8_t level;           // in the engine's tree: 0 a leaf, below it halved, above it nodes
	// a bound of work ended within it: the page that comes next counts the rest.
	// presence_query_all adds them up
	bool more;
	// Of entities that may be counted only: below_cells cells of a policy's that are in it have
	// fewer than `below` each, and at least one; they are not in `count`, which is then 0 where
	// there are no others. below 0: how many they have is not told. No such cells: both 0
	uint16_t below;
	uint32_t below_cells;
};

struct presence_answer {
	// malloc; presence_answer_free. Of a brief query id, position and height_unknown
	struct presence_found *found;
	struct presence_cell *cells; // in the place of found when the query has cell_m; likewise
	size_t count;                // of the one or the other
	uint8_t *details;            // of all that were found; malloc
	size_t details_bytes;
	bool truncated; // a bound of the engine cut the answer; cursor goes on
	uint64_t cursor[2];
	uint8_t code, reason;
	// The reason is query_program: enum pe_filter_fault, the step (255: the program as a whole)
	// and the byte of the program.
	uint8_t filter_fault, filter_step;
	uint16_t filter_at;
	unsigned parts, pages;
	unsigned attempts;   // sendings that it took
	uint64_t elapsed_us; // from the first sending to the last part
};

// Asks and gathers all parts of the answer, in any order, duplicates left aside. A lost part costs
// a retry of the whole query under a new sequence, so that no answer is put together from two
// walks. PRESENCE_INCOMPLETE: *answer holds the parts that the last attempt brought. *answer is
// written in every case and must be freed.
enum presence_result presence_query(struct presence_client *client, const uint8_t *space,
	const struct presence_query *query, struct presence_answer *answer);

// Follows cursors until an answer is not truncated, pages_max (at least 1) is reached or
// PRESENCE_RESULTS_MAX would be passed; then `truncated` is still set. Entities that move between
// two pages may be found twice. The nearest have no cursor, and so one page. When a page behind the
// first one fails, `truncated` is set too, and the cursor leads to that page: with
// PRESENCE_INCOMPLETE some of it is in the answer already.
enum presence_result presence_query_all(struct presence_client *client, const uint8_t *space,
	const struct presence_query *query, unsigned pages_max, struct presence_answer *answer);
void presence_answer_free(struct presence_answer *answer);

// The details of what was found, out of those of its answer or part; false: it has none. Texts
// point into them.
bool presence_details_read(
	const uint8_t *details, const struct presence_found *found, struct presence_details *read);

// Why an entity is or isn't in the answer to a query, all of its pages together.
enum presence_verdict { PRESENCE_OUT, PRESENCE_IN, PRESENCE_UNDECIDED };
enum presence_cause {
	PRESENCE_UNKNOWN = 1,     // nothing that the asker may know of
	PRESENCE_GONE = 2,        // withdrawn, or past its ttl; to trusted askers only
	PRESENCE_OTHER_SPACE = 3, // nothing else is told behind these three
	PRESENCE_OTHER_TYPE = 4,
	PRESENCE_OTHER_STATE = 5,
	PRESENCE_HEIGHT = 6,
	PRESENCE_FILTERED = 7,
	PRESENCE_OUTSIDE = 8,
	PRESENCE_REACH = 9,
	PRESENCE_RANK = 10,  // NEAREST: others are nearer
	PRESENCE_BOUND = 11, // NEAREST: a bound of work was reached
	PRESENCE_SCOPE = 12, // the asker's point is outside of its scope; to trusted askers only
	// Of a fence
	PRESENCE_DWELL = 13,    // inside since less than it has to be; due_ms
	PRESENCE_UNLOOKED = 14, // inside, and enters when it is looked at
	PRESENCE_ITSELF = 15,   // it is whom the fence follows
	// What else there is to know; to trusted askers only
	PRESENCE_HELD_BACK = 16,
	PRESENCE_PENDING = 17,
	PRESENCE_ELSEWHERE = 18, // owned by another worker than the one that was asked
	// Of a fence
	PRESENCE_IN_MARGIN = 19, // between the volume and its margin, where nothing changes
	PRESENCE_LEAVING = 20,   // in; outside since less than it has to be; due_ms
	PRESENCE_OUTDATED = 21,  // in; leaves when it is looked at
	PRESENCE_WAITS = 22,     // an event waits to be sent
	PRESENCE_KEPT = 23,    // another worker than the one that was asked keeps the subscription
	PRESENCE_FULL = 24,    // with UNLOOKED: no membership is free
	PRESENCE_NOWHERE = 25, // whom the fence follows is not there
	// Why it isn't in, too: only others are shown it; told to its owner and to administrators
	PRESENCE_VEILED = 26
};
struct presence_explanation {
	uint8_t verdict;     // enum presence_verdict
	uint8_t first_cause; // that keeps it out; 0 = none
	uint32_t causes;     // bit n = enum presence_cause n
	// it is in the query's space: what follows is told. Distances that are not told are −1
	bool placed;
	double position[3];
	double distance_m; // from the volume's centre
	double edge_m;     // how far that may be
	double beyond_m;   // how far outside of the volume; 0 inside
	double asker_m;    // from the asker's point
	double held_m;     // from what is published to the newest accepted state
	float radius_m;    // its reach; 0 = no limit
	int32_t age_ms;
	uint32_t ttl_left_ms;
	// how much newer that state is, and within which time it is published
	uint32_t held_ms, due_ms;
	unsigned filter_step; // that decided, from 1: presence_filter_print_step; 0 = none did: no
	                      // filter, or it is older than was asked for
	uint8_t state, type;
	bool height_unknown;
};
// *explanation is written in every case; *refusal (may be NULL) says why with PRESENCE_REFUSED.
enum presence_result presence_explain(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], const struct presence_query *query,
	struct presence_explanation *explanation, struct presence_refusal *refusal);
// The same of a fence of a subscription: is it in, between its ENTER and its LEAVE? The
// subscription is one of this address, of whatever program, while only one there has that id.
// Trusted clients only; others are not answered.
enum presence_result presence_explain_fence(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], uint32_t subscription_id, uint32_t fence_id,
	struct presence_explanation *explanation, struct presence_refusal *refusal);
const char *presence_cause_name(unsigned cause); // "VOLUME"; "?" for what is not defined
const char *presence_cause_text(unsigned cause);

// Takes an entity away for good, with what the engine remembers of it: for its owner, an
// administrator, or a trusted source in an open space. Lives up to `incarnation` (0: the one that
// is known) cannot bring it back by what is still under way.
enum presence_erased_place {
	PRESENCE_ERASED_RECORD = 1,     // it was there
	PRESENCE_ERASED_TOMBSTONE = 2,  // it was gone, but remembered
	PRESENCE_ERASED_DETAILS = 4,    // what it said beside its state
	PRESENCE_ERASED_WAITING = 8,    // a newer state that was held back or waited
	PRESENCE_ERASED_FENCES = 16,    // it was inside of fences
	PRESENCE_ERASED_FRAMES = 32,    // it was in another entity's frame, or others in its own
	PRESENCE_ERASED_QUARANTINE = 64 // a jump that was not believed
};
struct presence_erased {
	// PRESENCE_APPLIED, or PRESENCE_ACCEPTED: its owner on the engine does it
	enum presence_status status;
	unsigned where; // presence_erased_place, or'ed; 0 when it is not told
	// an answer was lost: it had been erased by the first attempt, perhaps
	bool repeated;
};
// *erased is written in every case; *refusal (may be NULL) says why with PRESENCE_REFUSED.
enum presence_result presence_erase(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], uint32_t incarnation, struct presence_erased *erased,
	struct presence_refusal *refusal);
// Of one bit: "record"; "?" for what is not defined.
const char *presence_erased_name(unsigned place);

// Round trip of the attempt that was answered.
enum presence_result presence_ping(struct presence_client *client, uint64_t *round_trip_us);

// The engine's counters, gathered page by page: of running workers, so each is whole and the set is
// not of one instant. The differences are those of the accounting identities; 0 at rest. They are 0
// and `identities` is false when the engine has other counters than this library knows.
struct presence_stats {
	unsigned count;
	uint64_t value[PRESENCE_COUNTERS_MAX];
	bool identities;
	int64_t packets_difference, records_difference, queries_difference, subscribes_difference;
	uint64_t records_refused, records_dropped, packets_refused, packets_dropped;
};

enum presence_result presence_stats(struct presence_client *client, struct presence_stats *stats,
	struct presence_refusal *refusal);
unsigned presence_counter_count(void);               // that this library has names for
const char *presence_counter_name(unsigned counter); // "?" beyond them
const char *presence_counter_unit(unsigned counter);
const char *presence_counter_text(unsigned counter);
int presence_counter_find(const char *name); // −1 = no such counter

const char *presence_result_text(enum presence_result result);
const char *presence_code_name(unsigned code); // "VERSION_CONFLICT"; "?" for what is not defined
const char *presence_reason_name(unsigned reason); // "stale"
const char *presence_reason_text(unsigned reason);
// What the sender or the operator can do about it; never empty.
const char *presence_reason_remedy(unsigned reason);
const char *presence_status_name(unsigned status);
const char *presence_state_name(unsigned state);
const char *presence_priority_name(unsigned priority);
// What filter_fault says, in English without a full stop.
const char *presence_filter_fault_text(unsigned fault);
const char *presence_type_name(unsigned type);

// Without waiting, for programs with a loop of their own: submit returns at once with the request's
// sequence, and presence_poll hands on what came, checked. What does not come, the caller notices.
// Do not mix with a waiting call that is under way on the same client (there is none in one thread,
// outside of a callback).
enum presence_result presence_submit_updates(struct presence_client *client, const uint8_t *space,
	// count ≤ PRESENCE_BATCH_MAX
	const struct presence_update *updates, unsigned count, bool ack, uint64_t *sequence);
enum presence_result presence_submit_query(struct presence_client *client, const uint8_t *space,
	const struct presence_query *query, uint64_t *sequence);
// Hands to the kernel what submit has gathered (it does so by itself when 32 packets are waiting).
// *packets (may be NULL): how many were taken; with PRESENCE_WOULD_BLOCK the rest stays gathered.
enum presence_result presence_flush(struct presence_client *client, unsigned *packets);

struct presence_part {
	uint64_t sequence; // of the request
	unsigned part, result_count;
	bool last, truncated;
	bool cells; // and no entities
	uint8_t code, reason;
	const uint8_t *details; // of what was found, in the part's message
};

struct presence_watch;
struct presence_watch_event;

struct presence_events {
	void *context;
	// of an acknowledged packet; count = 0: refused whole, with code and reason
	void (*acked)(void *context, uint64_t sequence, struct presence_refusal refusal,
		const struct presence_ack *acks, unsigned count);
	void (*answered)(void *context, const struct presence_part *part,
		const struct presence_found *found);
	// of a query with cell_m; NULL: not wanted
	void (*counted)(
		void *context, const struct presence_part *part, const struct presence_cell *cells);
	// of standing queries (client/watch.h): the next event of a watch's row
	void (*watched)(void *context, struct presence_watch *watch,
		const struct presence_watch_event *event);
	void (*reserved[4])(void);
};

// Takes what has come, at most messages_max datagrams; waits at most timeout_ms (0 = not at all)
// for the first, and less where a watch has something to say.
// Returns how many were taken, or −1 with errno. A callback must not call the client.
int presence_poll(struct presence_client *client, const struct presence_events *events,
	unsigned messages_max, int timeout_ms);

// What this client has counted since it was opened.
struct presence_traffic {
	uint64_t packets_sent, records_sent, bytes_sent;
	uint64_t packets_received;
	uint64_t malformed;  // messages that were not sound
	uint64_t unexpected; // sound messages that answer nothing that is waited for
	uint64_t retries;
	// shared memory: times that a ring was attached. Above 1: the engine was started anew, or
	// let this client go; what lay in the ring then is lost, and watches ask at once where they
	// stand
	uint64_t attached;
	uint64_t packed; // messages that came packed, among packets_received
};
struct presence_traffic presence_traffic(const struct presence_client *client);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
