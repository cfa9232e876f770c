// The fields of each struct that goes over the wire, under the names that docs/protocol.md gives
// them: tables from a name to the place, the type and the count in the struct, ended by one without
// a name. A new field of the protocol is a line here.
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum vector_kind {
	VECTOR_ID,
	VECTOR_U8,
	VECTOR_U16,
	VECTOR_U32,
	VECTOR_U64,
	VECTOR_I32,
	VECTOR_F32,
	VECTOR_F64,
	VECTOR_F16
};

struct vector_field {
	const char *name;
	size_t offset;
	enum vector_kind kind;
	unsigned count;
};

extern const struct vector_field vector_header[];
extern const struct vector_field vector_update_preamble[];
extern const struct vector_field vector_update[];
extern const struct vector_field vector_withdraw[];
extern const struct vector_field vector_ack_preamble[];
extern const struct vector_field vector_ack[];
extern const struct vector_field vector_ping[];
extern const struct vector_field vector_query[];
extern const struct vector_field vector_subscribe[];
extern const struct vector_field vector_subscribed[];
extern const struct vector_field vector_fence[];
extern const struct vector_field vector_fence_name[];
extern const struct vector_field vector_notice[];
extern const struct vector_field vector_event[];
extern const struct vector_field vector_answer[];
extern const struct vector_field vector_short[];
extern const struct vector_field vector_cell[];
extern const struct vector_field vector_result[];
extern const struct vector_field vector_state_request[];
extern const struct vector_field vector_state_preamble[];
extern const struct vector_field vector_erase[];
extern const struct vector_field vector_erased[];
extern const struct vector_field vector_explain[];
extern const struct vector_field vector_explanation[];
extern const struct vector_field vector_counter[];

// The bytes of a hexadecimal text; aborts where it is none, or longer than `size`.
size_t vector_unhex(const char *text, uint8_t *to, size_t size);
// A struct from its named fields; what is not named stays as it is, what is no field (results,
// extension, blocks) is left out. NULL, or a name that is in no line of the table or has another
// count there.
const char *vector_fill(void *to, const struct vector_field *fields, const json_t *from);
