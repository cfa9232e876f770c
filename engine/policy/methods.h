// Anonymisation methods of one's own. Who links the engine registers a method under a name before
// the first engine is created; a policy names it (struct pe_policy), and every place that the
// policy's entities send then goes through it at the door, before anything else is done with it
// (engine/veil.c): what it makes of a place is what is stored, and the place that it was given is
// kept nowhere.
//
// A method is a pure function: of the place, the space, two parameters of the policy, and the
// entity's own stream of numbers, which nobody without the engine's key can tell and which is
// another one each epoch. What it must keep to:
// - The same input gives the same output, bit for bit: an entity that stands still is shown in one
//   place for the epoch, however often it is heard of. Every call begins the stream anew.
// - It neither waits, allocates, logs, keeps anything between calls, nor runs long: it is called on
//   the packets' path.
// - Any number of workers call it at once.
// - The space that it gives a place in, and what it says of how far that may be off, are told to
//   everybody who may see the entity: neither may say more of the true place than the method
//   promises. Without a rule of its own for moves, every move of an entity shows.
// What it gives is checked: finite, a place of the space, drawn with no more numbers than there
// are. Where that does not hold, or it gives nothing, nobody is shown the entity, until an update
// for which it does (counter method_failed).
//
// Registering: one thread, before any engine is created. Looking up and drawing: any thread.
#pragma once

#include "base/status.h"
#include "space/space.h"

#include <stdbool.h>
#include <stdint.h>

struct pe_views; // policy/views.h

#define PE_METHODS_MAX      16u
#define PE_METHOD_NAME_MAX  31u // bytes
#define PE_METHOD_DRAWS_MAX 64u // numbers of one call's stream

// An entity's numbers in one epoch. Made by pe_method_publish; its fields are not a method's to
// touch.
struct pe_method_stream {
	const struct pe_views *views;
	const uint8_t *id;
	uint64_t epoch;
	uint32_t policy; // two policies draw different ones
	unsigned drawn;
	uint8_t block[32];
};
// The next one, uniform in (0, 1]. After PE_METHOD_DRAWS_MAX it is 1, and what the method gives is
// not taken.
double pe_method_draw(struct pe_method_stream *stream);

struct pe_method_case {
	const struct pe_space *space;
	// as an entity states it, sound and within the space; rounded where the entity asks for a
	// precision level
	double position[3];
	bool height_known;    // else position[2] is 0, and has to stay so
	double first, second; // the policy's parameters, within their ranges
	struct pe_method_stream *stream;
};

struct pe_method_range {
	// for people; "": the method has no such parameter, and it must be 0
	char name[PE_METHOD_NAME_MAX + 1];
	double low, high; // inclusive
};

struct pe_method {
	char name[PE_METHOD_NAME_MAX + 1]; // in the configuration; lower case, digits and _
	struct pe_method_range first, second;
	// True: *published is where the entity is shown, and *within_m (≥ 0, finite) how far from
	// there it may be, which is added to the precision that it states. False: nobody is to be
	// shown it.
	bool (*publish)(const struct pe_method_case *c, double published[3], double *within_m);
	// How finely it shows places, metres, with these parameters: what subscribers who ask for
	// more are told. NULL: not told.
	double (*edge_m)(double first, double second);
};

// The method has to stay where it is. PE_INVALID: a name that is none, or is taken, no function, a
// range that is none; PE_FULL.
[[nodiscard]] enum pe_status pe_method_register(
	const struct pe_method *method, struct pe_error *error);
// NULL: there is none of that name.
const struct pe_method *pe_method_find(const char *name);
// Their names, with ", " between them, as far as they fit. "none" without any.
void pe_method_list(char *text, unsigned size);
// PE_RANGE, with a sentence: a parameter is out of its range.
[[nodiscard]] enum pe_status pe_method_check(
	const struct pe_method *method, double first, double second, struct pe_error *error);

// Calls a method and checks what it gives. position: the true place, then the published one. False:
// it gave none; position is as it was.
[[nodiscard]] bool pe_method_publish(const struct pe_method *method, const struct pe_space *space,
	double first, double second, struct pe_method_stream *stream, bool height_known,
	double position[3], double *within_m);

// scatter.c: `scatter`, first: cell_m, second: share. The place is anywhere in its own cell of that
// edge (pe_space_coarse), by the entity's stream, or with a share below 1 in that part of it which
// is nearest the middle: as GRID promises, but entities of one cell do not lie on one point. It is
// one place a cell, entity and epoch.
extern const struct pe_method pe_method_scatter;
