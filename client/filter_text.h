// Entity filters as text: `type in (mobile, static) and not tag = "ferry" and meta.draught >= 7.5
// and age < 30s` to the program that goes into a query, and back. docs/filters.md has the grammar
// and what each test means. No state, no allocation; any thread. What is parsed is bounded: 4,096
// bytes of text, 64 levels of brackets and `not`.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PRESENCE_FILTER_BYTES_MAX 512  // of a program
#define PRESENCE_FILTER_TEXT_MAX  4096 // bytes of text that are read

struct presence_filter_error {
	unsigned column;      // in characters from the text's begin, the first is 1
	const char *expected; // what should stand there, or what is wrong there; lives for ever
};

// Makes the program of a text, into room for PRESENCE_FILTER_BYTES_MAX, and returns its bytes; 0
// with *error for a text that is none.
unsigned presence_filter_parse(
	const char *text, uint8_t *program, struct presence_filter_error *error);

// Says a program as text that is parsed to the same program again. Like snprintf: writes at most
// size − 1 bytes and a terminator, and returns the length of the whole. 0 for bytes that are no
// program.
size_t presence_filter_print(const uint8_t *program, unsigned bytes, char *text, size_t size);
// The same of the part that ends with a step, counted from 1; 0 for a step that there is not.
size_t presence_filter_print_step(
	const uint8_t *program, unsigned bytes, unsigned step, char *text, size_t size);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
