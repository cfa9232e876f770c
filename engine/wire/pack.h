// Packed answers: a part of a large answer whose results are compressed, for whoever said in the query that it takes them (PE_FLAG_PACKED). What
// travels is the answer's head as ever and one LZ4 block of its results, laid out by lanes first: all of the results' first bytes, then all of the
// second ones, and so on. Positions, ages and ids of neighbours differ in their last bytes mostly, so the others become runs.
// Tuned for messages of 20 to 200 results; a block is whole by itself, so that lost messages cost what they cost otherwise.
//
//	header, flags PE_FLAG_PACKED, count 1
//	struct pe_wire_answer                  result_count ≥ 1, of whole results, SHORT ones or CELLS
//	struct pe_wire_packed
//	packed_bytes                           to the end of the message
//
// Both directions are bounded: at most PE_PACKED_PLAIN_MAX bytes of results in a message. No allocation; the state is the caller's. A
// build without LZ4 takes the flag in queries, packs nothing and unpacks nothing. Any thread, with a scratch of its own.
#pragma once

#include "wire/decode.h"
#include "wire/encode.h"

#define PE_PACKED_PLAIN_MAX 16384u
#define PE_PACKED_LZ4       1 // method; others are refused

struct pe_wire_packed {
	uint8_t method;
	uint8_t reserved0;
	uint16_t packed_bytes;
	uint32_t reserved1;
};
static_assert(sizeof(struct pe_wire_packed) == 8, "packed");

struct pe_pack_scratch {
	_Alignas(64) uint8_t state[16640]; // LZ4's
	uint8_t lanes[PE_PACKED_PLAIN_MAX];
};

// A message that is no longer packed.
#define PE_UNPACKED_BYTES_MAX \
	(sizeof(struct pe_wire_header) + sizeof(struct pe_wire_answer) + PE_PACKED_PLAIN_MAX)

bool pe_wire_pack_able(void); // this build packs

// Packs a part: header and answer as given, but for result_count = count, and `count` results of pe_answer_result_bytes(answer->flags) each. The
// message's bytes, at most `size`; 0 when it has no more room than that, count is 0 or too many, or the answer is DETAILED.
[[nodiscard]] uint32_t pe_wire_put_packed(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_answer *answer,
	const uint8_t *results, unsigned count, struct pe_pack_scratch *scratch);

// A client's side: is this a packed answer?
static inline bool pe_wire_is_packed(const uint8_t *data, uint32_t bytes)
{
	return bytes >= sizeof(struct pe_wire_header) && data[1] == PE_TYPE_SPATIAL_RESPONSE &&
		data[2] == PE_FLAG_PACKED && data[3] == 0;
}

// Unpacks one into `plain` and checks all of it, as pe_wire_check_reply does what came plain; *view points into `plain`. Any input.
[[nodiscard]] enum pe_reason pe_wire_unpack(const uint8_t *data, uint32_t bytes,
	uint8_t plain[PE_UNPACKED_BYTES_MAX], struct pe_wire_view *view,
	struct pe_pack_scratch *scratch);
