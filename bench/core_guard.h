// Guarded spaces of core.h: the same crowd in a space that takes not everybody's word, or shows not
// everything to everybody, so that what an update costs there stands beside what it costs in an
// open one. Whoever sends is principal 1 (core_peer), and all that he says is in order. Entities
// take turns in one order, so that the same moves are as fast in each and none comes twice in a
// turn.
#pragma once

#include "core.h"

// By its name; CORE_GUARDS: there is none.
enum core_guard core_guard_of(const char *name);
// What the space, the policies and the details of an engine are to be.
void core_guard_config(enum core_guard guard, struct pe_engine_config *config);
// The directory, before anything is sent.
[[nodiscard]] enum pe_status core_guard_open(struct core *core, struct pe_error *error);
