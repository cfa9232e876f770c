// An attacker on what the engine tells: it sends protocol messages, reads what comes back, and
// works out where somebody is. It knows the geodesy, the cells and the policies, which are no
// secrets, that its target is within ADVERSARY_REACH_M of a place, and no more. Whatever it is sent
// goes into a digest, so that two worlds can be compared byte for byte. One engine, one worker, one
// thread.
//
// Places are the space's coordinates; what is said in metres is along x and y, or east and north at
// `home`.
#pragma once

#include "space/space.h"
#include "watching.h"

#define ADVERSARY_REACH_M 15000.0 // the target is within it of home
#define ADVERSARY_FAR_M   60000.0 // and nothing is further
#define ADVERSARY_OWN     9000u   // the first number of the attacker's own entities
#define ADVERSARY_BOUND   9002u   // is bound to the target
#define ADVERSARY_ME      9u      // its principal

struct adversary {
	struct harness *h;
	const struct pe_space *space;
	unsigned in; // which
	double home[3];
	uint64_t random;
	uint64_t digest, replies, questions; // of what it was sent; of what it asked
	// the target's id where it is known, else zero; the id that it was last shown under
	uint8_t target[16], shown[16];
	unsigned repeated; // how often the same is asked
	uint32_t sequence;
	uint32_t fence;
	struct watching watcher;
	struct harness_answer *answer;
};

// One way to find somebody out. False: nothing was to be had. *place: the estimate, as a position
// of the space.
struct adversary_attack {
	const char *name;
	bool (*run)(struct adversary *a, double place[3]);
	double exact_m; // it finds who is shown exactly to this
	bool by_id;     // it needs to know the target's id, which must be what it is shown under
};
extern const struct adversary_attack adversary_attacks[];
extern const unsigned adversary_attack_count;

// The engine of *h is running, its clock stands; details and fences are on.
void adversary_begin(struct adversary *a, struct harness *h, const struct pe_space *space,
	unsigned in, const double home[3], uint64_t seed);
void adversary_end(struct adversary *a);

// ---- geometry, as anybody knows it ----

// So many metres from a place.
void adversary_offset(
	const struct adversary *a, const double from[3], double x, double y, double place[3]);
double adversary_metres(const struct adversary *a, const double p[3], const double q[3]);
double adversary_random(struct adversary *a, double from, double to);

// Places at known distances from what is looked for; `common`: from all of them at one distance
// that is not known, nor in `metres`.
#define ADVERSARY_FIXES_MAX 32u
struct adversary_fixes {
	double about[3], around_m; // where to begin, and how far from there it may be
	unsigned count;
	double from[ADVERSARY_FIXES_MAX][3], metres[ADVERSARY_FIXES_MAX];
};
// Where their circles meet, by least squares. False: nowhere.
bool adversary_solve(
	const struct adversary *a, const struct adversary_fixes *f, bool common, double place[3]);

// ---- what it says and asks ----

// One turn of the engine, and what came of it.
void adversary_turn(struct adversary *a);
// Turns until what it sent has come about.
void adversary_settle(struct adversary *a);
// Is it one of its own?
bool adversary_owns(const uint8_t id[16]);
// Moves one of its own entities, which is acknowledged.
void adversary_put(struct adversary *a, unsigned own, const double place[3]);
// Binds one to the target, of whom it knows the id, as a child in its frame.
void adversary_bind(struct adversary *a);
// Withdraws it.
void adversary_take(struct adversary *a, unsigned own);
// Asks; the answer is in a->answer. The first result that is none of its own, or NULL.
const struct pe_wire_result *adversary_ask(struct adversary *a, const struct pe_wire_query *q,
	const uint8_t *extension, uint32_t bytes);
// Why is the entity of that id there, or not? False: no explanation came.
bool adversary_explain(struct adversary *a, const uint8_t id[16], const struct pe_wire_query *q,
	struct pe_wire_explanation *e);
struct pe_wire_query adversary_sphere(const double at[3], double radius_m);
// Adds fences, waits until they have been looked at, and takes them away. The bit of each that has
// somebody in it that is none of the attacker's own.
unsigned adversary_fences(struct adversary *a, struct pe_wire_fence *fences, unsigned count);

// The edge between `yes` (is there, or in) at 0 and no at `most`: to a tenth of a millimetre.
// Negative: there is no yes at 0, or one at most.
double adversary_bisect(struct adversary *a, double most,
	bool (*there)(struct adversary *a, double at, void *context), void *context);
