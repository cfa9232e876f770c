// What a fuzzer's bytes say, and the messages that they become in a harness's queue: each reads as
// many bytes as it takes, past the end of which everything is zero, so that any input is a program.
// Most messages are sound and meet each other (few entities, few sequences, awkward places), and a
// byte here and there makes one that is not.
#pragma once

#include "harness.h"

struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

// A number of so many bytes, at most 8.
uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes);
// Awkward places by one byte, any double by nine.
double fuzz_coordinate(struct fuzz_input *in);
// Number 0 is nil.
void fuzz_put_id(uint8_t id[16], struct fuzz_input *in);
uint32_t fuzz_incarnation(unsigned n);

// input_updates.c
void fuzz_put_updates(struct harness *h, struct fuzz_input *in, unsigned space);
// Details of each type, mostly sound, on an update that is sound where it says nothing.
void fuzz_put_detailed(struct harness *h, struct fuzz_input *in, unsigned space);
void fuzz_put_withdraws(struct harness *h, struct fuzz_input *in, unsigned space);
void fuzz_put_erase(struct harness *h, struct fuzz_input *in, unsigned space);

// input_queries.c. Queries of all kinds, or EXPLAIN of one; cursor: the last one that an answer
// gave.
void fuzz_put_queries(
	struct harness *h, struct fuzz_input *in, unsigned space, const uint64_t cursor[2]);
// Of a few subscriptions and lives; fences of any kind, whose bytes may be other ones.
void fuzz_put_subscribe(struct harness *h, struct fuzz_input *in, unsigned space);
