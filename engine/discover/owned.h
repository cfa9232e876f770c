// What is an asker's own, by its id: an entity whose id the directory gives him, and for an
// administrator of the whole space every one. He is told of it though its audience is others, as it
// is published, where he asks for it by its id: in an explanation, and in the answer to a query
// whose program has an `id` test that names it (not of the nearest, of counts, nor of another
// moment). Behind all layers there is then one more region, of no place, that has such entities
// alone; whoever does not ask for what is his own has none.
//
// Private to discover. Thread: an RCU reader.
#pragma once

#include "discover/slot.h"

#define PE_QUERY_OWNED_MAX \
	64u // ids of a program that are looked up; what is named behind them is not

// By the keyring; pe_query_owns: or as an administrator of the space.
bool pe_query_owns_by_keyring(const struct pe_asker *asker, const uint8_t id[16]);
bool pe_query_owns(const struct pe_asker *asker, unsigned space, const uint8_t id[16]);
// Does the prepared query ask for something by its id that is its asker's own?
bool pe_query_wants_owned(const struct pe_query_slot *slot);
// Does it name this one?
bool pe_query_names(const struct pe_query_slot *slot, const uint8_t id[16]);
// The region's hits: what is veiled, his own, and not shown to him anyway. Returns their number, at
// most PE_QUERY_OWNED_MAX.
unsigned pe_query_gather_owned(const struct pe_query_slot *slot, struct pe_hit *hits);
