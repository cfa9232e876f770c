// Who may see what, compiled. An entity that not everybody may see as its sender states it is
// *veiled*: it belongs to an *audience*, which says who is shown it and how much of it, and it lies
// in a layer of the grid that is its audience's (and its space's) alone. A query walks the layers
// of those audiences that its asker belongs to, and no others, so that what the asker may not see
// takes no part in the work, the order, the bounds or the cursors of its answer. What is neither
// veiled nor concerned by a policy is audience OPEN, in the layer that is its space, and pays
// nothing.
//
// Who belongs to an audience depends on who asks, on the space and on the time alone (and of one
// with within_m, then, on where both are), so it is decided once a query, as a mask of audiences;
// each entity's published attributes name its audience, and each view is tested against the mask
// (policy/view.h). What is to be rounded or blurred is so before it is published (engine/veil.c):
// no reader can come by more.
//
// Immutable after pe_views_make; any thread.
#pragma once

#include "base/limits.h"
#include "base/status.h"
#include "entity/record.h"
#include "space/space.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_AUDIENCES_MAX 32u // as many as the published attributes can name
enum pe_audience {
	PE_AUDIENCE_OPEN = 0,      // everybody, all of it
	PE_AUDIENCE_COARSE = 1,    // everybody; its place is rounded
	PE_AUDIENCE_ANONYMOUS = 2, // everybody; under another name
	PE_AUDIENCE_HIDDEN = 3,    // nobody
	PE_AUDIENCE_POLICY = 4,    // the first policy's
};
#define PE_POLICIES_MAX          (PE_AUDIENCES_MAX - PE_AUDIENCE_POLICY)
#define PE_POLICY_PRINCIPALS_MAX 1024u
#define PE_POLICY_ROLES_MAX      32u // words, in a list of the configuration
#define PE_POLICY_TAGS_MAX       8u
#define PE_POLICY_TAG_BYTES_MAX  32u
#define PE_POLICY_EVERY_SPACE    0xFFFFFFFFu
// Keys of layers: 8 bits, those below are the spaces'.
#define PE_LAYER_FIRST       PE_SPACES_MAX
#define PE_LAYERS_MAX        (256u - PE_LAYER_FIRST)
#define PE_EPOCH_MS          3600000u // names of anonymous ones, and noise, change so often
#define PE_EPOCH_MIN_MS      60000u
#define PE_LAPLACE_SCALE_MAX 100000.0 // metres
#define PE_COUNTS_BELOW_MIN  3u       // fewer than 2 is 1
#define PE_COUNTS_BELOW_MAX  64u
#define PE_COUNTS_CELL_MAX   1e6 // metres

// The audience in published attributes: those bits that said what the sender wished, which are not
// needed any more.
#define PE_AUDIENCE_BITS (3u << 3 | 7u << 7)
static inline unsigned pe_audience_of(uint16_t attributes)
{
	return attributes & PE_PUBLISHED_VEILED ?
		(unsigned)(attributes >> 3 & 3) | (unsigned)(attributes >> 7 & 7) << 2 :
		(unsigned)PE_AUDIENCE_OPEN;
}
static inline uint16_t pe_audience_put(uint16_t attributes, unsigned audience)
{
	attributes &= (uint16_t) ~(PE_AUDIENCE_BITS | PE_PUBLISHED_VEILED);
	if (audience == PE_AUDIENCE_OPEN)
		return attributes;
	return (uint16_t)(attributes | PE_PUBLISHED_VEILED | (audience & 3u) << 3 |
		(audience >> 2) << 7);
}

// Is it shown to others, or otherwise, than what has the other attributes?
static inline uint16_t pe_audience_bits(uint16_t attributes)
{
	return attributes & (PE_AUDIENCE_BITS | PE_PUBLISHED_VEILED);
}
static inline bool pe_audience_differs(uint16_t a, uint16_t b)
{
	return pe_audience_bits(a ^ b) != 0;
}

// Who saw it with the one doesn't, or not under that name, with the other: unless it is
// everybody's, more coarsely or not, with both.
static inline bool pe_audience_ends(uint16_t a, uint16_t b)
{
	return pe_audience_differs(a, b) &&
		(pe_audience_of(a) > PE_AUDIENCE_COARSE || pe_audience_of(b) > PE_AUDIENCE_COARSE);
}

struct pe_principals; // policy/principals.h

// One policy of the configuration. The first that matches an update counts.
struct pe_policy {
	char name[32];
	// Which entities: all of these must hold.
	uint32_t space;     // index, or PE_POLICY_EVERY_SPACE
	uint8_t visibility; // bit n: those whose sender asks for n. 0 = PUBLIC ones alone: nobody's
	                    // wish is widened unasked
	uint16_t type_mask; // as of a query; 0 = all
	uint8_t prefix[16]; // of the id, so many bits of it; 0 = any
	uint8_t prefix_bits;
	// Its context has one of these tags; 0 = any context, or none
	struct {
		uint8_t bytes, text[PE_POLICY_TAG_BYTES_MAX];
	} tags[PE_POLICY_TAGS_MAX];
	uint8_t tag_count;
	bool area; // the published place is in low … high, of the space's coordinates (longitudes
	           // may cross 180°)
	double low[3], high[3];
	// Who is shown them, by pe_peer.principal: who is on a list here or of the directory
	// (pe_principals_list), or has one of these roles. Deny wins; who is not known is denied
	// where anybody may be.
	bool everyone; // else those of `allow`
	bool denies;   // the directory may deny somebody, whom is not known yet
	const uint32_t *allow, *deny;
	uint32_t allow_count, deny_count;
	// enum pe_role, in the entity's space: to be allowed it must be had everywhere in it, to be
	// denied in any part
	uint8_t allow_roles, deny_roles;
	uint16_t from_minute, until_minute; // of the day, UTC; equal = always
	// … and who stands near them (near.h), at an entity of his own that the directory names, in
	// a space that is not OPEN; 0 = anywhere
	double within_m;
	// What is shown.
	bool anonymous; // under a name that changes with the epoch
	bool no_details, no_velocity;
	double cloak_m;   // GRID: edge of the cells that places are rounded to; 0 = only what the
	                  // sender asks for
	double laplace_m; // PLANAR_LAPLACE: 1/ε in metres; 0 = none
	// K_ANONYMITY: areas with k distinct principals, of an edge of area_m and more; 0 = none.
	// Whose principal is not known is then shown to nobody
	uint32_t k;
	double area_m;
	uint32_t ttl_max_ms; // retention; 0 = the space's
	// Counts below k. Not 0: whoever is shown them is told of them in counts by cell alone, of
	// cells that are fixed in the space (of the engine's tree, the coarsest up to
	// counts_cell_m, a leaf at least), and of one in which fewer than so many distinct
	// principals have some, that there are few.
	uint32_t counts_below;
	double counts_cell_m;
	// A registered method (policy/methods.h) with its parameters; NULL = none
	const struct pe_method *method;
	double method_first, method_second;
};

struct pe_views_config {
	const struct pe_policy *policies;
	unsigned policy_count;
	uint32_t epoch_ms;      // 0 = PE_EPOCH_MS
	uint32_t cohort_epochs; // of K_ANONYMITY (crowd.h); 0 = PE_CROWD_PERIOD
};

struct pe_views {
	struct pe_policy policy[PE_POLICIES_MAX];
	unsigned policy_count;
	uint32_t epoch_ms, cohort_epochs;
	// a bit an audience
	uint32_t everyone; // who is not known sees it as well
	uint32_t anonymous, no_details, timed, within;
	uint32_t counted;                               // told of in counts alone
	uint8_t layer[PE_SPACES_MAX][PE_AUDIENCES_MAX]; // the key's space; 0 = none
	bool names;                                     // anonymous ones can be named
	uint8_t key[32];                                // random: of names and noise
	uint32_t *principals;                           // sorted lists of all policies
	bool crowds;                                    // a policy has K_ANONYMITY
	bool tagged;                                    // … or tags
};

// Checks and copies the configuration. *views is zero, or was made.
[[nodiscard]] enum pe_status pe_views_make(struct pe_views *views,
	const struct pe_views_config *config, unsigned space_count, struct pe_error *error);
void pe_views_unmake(struct pe_views *views);

// The audiences that a principal belongs to in a space at a moment, a bit each; bit 0 is always
// set. And those of whose entities he is told in counts by cell alone, which are not among the
// others. directory: or NULL, which knows nobody.
uint32_t pe_views_sees(const struct pe_views *views, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint64_t wall_ms);
uint32_t pe_views_counts(const struct pe_views *views, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint64_t wall_ms);

// The context of an entity, by which its tags go; NULL: it has none. Where it is not known, at the
// door, what it decides is left open.
struct pe_tags {
	bool known;
	const uint8_t *context; // wire/metadata.h
	uint32_t bytes;
};

// What becomes of an update: the audience, and what its place is to be rounded to (0 = nothing)
// before anyone sees it. position: as sent. PE_REASON_visibility: it asks for what nothing
// provides.
struct pe_veiling {
	unsigned audience;
	double edge_m;
	double crowd_m;                 // edge of its area, once that is known
	const struct pe_policy *policy; // or NULL
	bool open; // it depends on tags that are not known; the rest is for an entity that has none
};
[[nodiscard]] enum pe_reason pe_views_match(const struct pe_views *views,
	const struct pe_space *space, const struct pe_wire_update *update,
	const struct pe_tags *tags, struct pe_veiling *veiling);
// The audiences that are only of who stands near, among those of a space.
uint32_t pe_views_within(const struct pe_views *views, unsigned space);
// Is there a policy that may concern an update that asks for nothing?
bool pe_views_watch_all(const struct pe_views *views, unsigned space);

static inline uint64_t pe_views_epoch(const struct pe_views *views, uint64_t wall_ms)
{
	return wall_ms / views->epoch_ms;
}
// A name for an id in an epoch, of which nobody without the key can tell whose it is or was.
void pe_views_name(
	const struct pe_views *views, const uint8_t id[16], uint64_t epoch, uint8_t name[16]);
// Planar Laplace noise of the scale, metres across; the same for the same id, epoch and place
// (cells of the scale), independent else.
void pe_views_noise(const struct pe_views *views, const uint8_t id[16], uint64_t epoch,
	const double cell[3], double scale_m, double noise_m[2]);
// A block of the numbers that a policy's method may draw for an entity in an epoch; as unknown as
// names.
void pe_views_draw(const struct pe_views *views, const uint8_t id[16], uint64_t epoch,
	uint32_t policy, uint32_t block, uint8_t out[32]);
// The place of a key in the layer of the attributes' audience.
#define PE_KEY_LAYER_MASK 0xFF00000000000000ull
static inline uint64_t pe_views_key(
	const struct pe_views *views, unsigned space, uint16_t attributes, uint64_t key)
{
	unsigned audience = pe_audience_of(attributes);

	if (audience == PE_AUDIENCE_OPEN)
		return key;
	return (key & ~PE_KEY_LAYER_MASK) | (uint64_t)views->layer[space][audience] << 56;
}
