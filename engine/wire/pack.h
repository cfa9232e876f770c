// Packed answers: a part of a large answer whose results are compressed, for whoever said in the
// query that it takes them (PE_FLAG_PACKED). What travels is the answer's head as ever and one
// block of its results, laid out by lanes first: all of the results' first bytes, then all of the
// second ones, and so on. Positions, ages and ids of neighbours differ in their last bytes mostly,
// so the others become runs. Tuned for messages of 20 to 300 results; a block is whole by itself,
// so that lost messages cost what they cost otherwise.
//
//	header, flags PE_FLAG_PACKED, count 1
//	struct pe_wire_answer         result_count ≥ 1, of whole results, SHORT ones or CELLS
//	struct pe_wire_packed
//	packed_bytes                  to the end of the message
//
// A block is of LZ4, or, for whoever said PE_FLAG_ZSTD too, one frame of Zstandard, at its level
// −1: docs/benchmarks.md has what either gives. Both directions are bounded: at most
// PE_PACKED_PLAIN_MAX bytes of results in a message, and Zstandard's context lies in memory of the
// caller's (pe_wire_zstd_start). No allocation; the state is the caller's. A build without LZ4
// takes the flags in queries, packs nothing and unpacks nothing; one without Zstandard leaves that
// to LZ4. Any thread, with a scratch of its own.
#pragma once

#include "wire/decode.h"
#include "wire/encode.h"

#define PE_PACKED_PLAIN_MAX 16384u

// Others are refused.
enum pe_pack_method { PE_PACKED_LZ4 = 1, PE_PACKED_ZSTD = 2 };

struct pe_wire_packed {
	uint8_t method;
	uint8_t reserved0;
	uint16_t packed_bytes;
	uint32_t reserved1;
};
static_assert(sizeof(struct pe_wire_packed) == 8, "packed");

// Zeroed, it is one for LZ4.
struct pe_pack_scratch {
	_Alignas(64) uint8_t state[16640]; // LZ4's
	uint8_t lanes[PE_PACKED_PLAIN_MAX];
	// contexts of Zstandard; NULL: it is not written, or not read
	void *zstd_packs, *zstd_unpacks;
};

// A message that is no longer packed.
#define PE_UNPACKED_BYTES_MAX \
	(sizeof(struct pe_wire_header) + sizeof(struct pe_wire_answer) + PE_PACKED_PLAIN_MAX)

bool pe_wire_pack_able(void); // this build packs

// What Zstandard needs to pack, or to unpack, in bytes; 0: this build has none.
size_t pe_wire_zstd_bytes(bool packs);
// From now on the scratch packs, or unpacks, by Zstandard too, in `memory` of so many bytes,
// aligned to 8, which must outlive it. False: it is too little, or this build has none.
bool pe_wire_zstd_start(struct pe_pack_scratch *scratch, bool packs, void *memory, size_t bytes);

// Packs a part: header and answer as given, but for result_count = count, and `count` results of
// pe_answer_result_bytes(answer->flags) each. The message's bytes, at most `size`; 0 when it has no
// more room than that, count is 0 or too many, the answer is DETAILED, or the scratch has not that
// method.
[[nodiscard]] uint32_t pe_wire_put_packed(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_answer *answer,
	const uint8_t *results, unsigned count, enum pe_pack_method method,
	struct pe_pack_scratch *scratch);

// A client's side: is this a packed answer?
static inline bool pe_wire_is_packed(const uint8_t *data, uint32_t bytes)
{
	return bytes >= sizeof(struct pe_wire_header) && data[1] == PE_TYPE_SPATIAL_RESPONSE &&
		data[2] == PE_FLAG_PACKED && data[3] == 0;
}

// Unpacks one into `plain` and checks all of it, as pe_wire_check_reply does what came plain; *view
// points into `plain`. Any input.
[[nodiscard]] enum pe_reason pe_wire_unpack(const uint8_t *data, uint32_t bytes,
	uint8_t plain[PE_UNPACKED_BYTES_MAX], struct pe_wire_view *view,
	struct pe_pack_scratch *scratch);
