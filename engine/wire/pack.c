#include "wire/pack.h"

#include <stddef.h>
#include <string.h>
#ifdef PE_LZ4
#include <lz4.h>
#endif
#ifdef PE_ZSTD
// Contexts in memory of the caller's: the library has them exported, but doesn't promise them for
// ever.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#endif

#define HEAD_BYTES \
	((uint32_t)(sizeof(struct pe_wire_header) + sizeof(struct pe_wire_answer) + \
		sizeof(struct pe_wire_packed)))
#define ZSTD_LEVEL (-1)

#ifdef PE_LZ4
static_assert(sizeof((struct pe_pack_scratch *)0)->state >= sizeof(LZ4_stream_t), "LZ4's state");

// 0: it has no room.
static uint32_t compress_lz4(uint8_t *to, uint32_t room, uint32_t bytes, struct pe_pack_scratch *s)
{
	int n = LZ4_compress_fast_extState(
		s->state, (const char *)s->lanes, (char *)to, (int)bytes, (int)room, 1);

	return n > 0 ? (uint32_t)n : 0;
}

static bool decompress_lz4(
	struct pe_pack_scratch *s, uint32_t plain, const uint8_t *from, uint32_t bytes)
{
	return LZ4_decompress_safe((const char *)from, (char *)s->lanes, (int)bytes, (int)plain) ==
		(int)plain;
}
#else
static uint32_t compress_lz4(uint8_t *to, uint32_t room, uint32_t bytes, struct pe_pack_scratch *s)
{
	return 0;
}

static bool decompress_lz4(
	struct pe_pack_scratch *s, uint32_t plain, const uint8_t *from, uint32_t bytes)
{
	return false;
}
#endif

#ifdef PE_ZSTD
size_t pe_wire_zstd_bytes(bool packs)
{
	return packs ? ZSTD_estimateCCtxSize_usingCParams(
			       ZSTD_getCParams(ZSTD_LEVEL, PE_PACKED_PLAIN_MAX, 0)) :
		       ZSTD_estimateDCtxSize();
}

bool pe_wire_zstd_start(struct pe_pack_scratch *scratch, bool packs, void *memory, size_t bytes)
{
	if (!packs)
		return (scratch->zstd_unpacks = ZSTD_initStaticDCtx(memory, bytes)) != NULL;
	scratch->zstd_packs =
		bytes >= pe_wire_zstd_bytes(true) ? ZSTD_initStaticCCtx(memory, bytes) : NULL;
	// The size in the frame's header, which is the default, is set by a reset only.
	return scratch->zstd_packs &&
		!ZSTD_isError(
			ZSTD_CCtx_reset(scratch->zstd_packs, ZSTD_reset_session_and_parameters)) &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(
			scratch->zstd_packs, ZSTD_c_compressionLevel, ZSTD_LEVEL));
}

static uint32_t compress_zstd(uint8_t *to, uint32_t room, uint32_t bytes, struct pe_pack_scratch *s)
{
	size_t n;

	if (!s->zstd_packs)
		return 0;
	n = ZSTD_compress2(s->zstd_packs, to, room, s->lanes, bytes);
	return ZSTD_isError(n) ? 0 : (uint32_t)n;
}

// One frame that says how much is in it, to its end, of this format and no older one's.
static bool decompress_zstd(
	struct pe_pack_scratch *s, uint32_t plain, const uint8_t *from, uint32_t bytes)
{
	uint32_t magic;

	if (!s->zstd_unpacks || bytes < sizeof magic)
		return false;
	memcpy(&magic, from, sizeof magic);
	return magic == ZSTD_MAGICNUMBER && ZSTD_getFrameContentSize(from, bytes) == plain &&
		ZSTD_findFrameCompressedSize(from, bytes) == bytes &&
		ZSTD_decompressDCtx(s->zstd_unpacks, s->lanes, plain, from, bytes) == plain;
}
#else
size_t pe_wire_zstd_bytes(bool packs)
{
	return 0;
}

bool pe_wire_zstd_start(struct pe_pack_scratch *scratch, bool packs, void *memory, size_t bytes)
{
	return false;
}

static uint32_t compress_zstd(uint8_t *to, uint32_t room, uint32_t bytes, struct pe_pack_scratch *s)
{
	return 0;
}

static bool decompress_zstd(
	struct pe_pack_scratch *s, uint32_t plain, const uint8_t *from, uint32_t bytes)
{
	return false;
}
#endif

bool pe_wire_pack_able(void)
{
#ifdef PE_LZ4
	return true;
#else
	return false;
#endif
}

// Eight lanes at a time, so that a result's cache line is read a few times and not once a byte.
// Results are multiples of 8 bytes.
static void to_lanes(uint8_t *lanes, const uint8_t *results, unsigned count, uint32_t bytes)
{
	for (uint32_t b = 0; b < bytes; b += 8)
		for (unsigned i = 0; i < count; i++) {
			uint64_t word;

			memcpy(&word, results + i * bytes + b, sizeof word);
			for (unsigned k = 0; k < 8; k++)
				lanes[(b + k) * count + i] = (uint8_t)(word >> 8 * k);
		}
}

static void from_lanes(uint8_t *results, const uint8_t *lanes, unsigned count, uint32_t bytes)
{
	for (uint32_t b = 0; b < bytes; b += 8)
		for (unsigned i = 0; i < count; i++) {
			uint64_t word = 0;

			for (unsigned k = 0; k < 8; k++)
				word |= (uint64_t)lanes[(b + k) * count + i] << 8 * k;
			memcpy(results + i * bytes + b, &word, sizeof word);
		}
}
static_assert(sizeof(struct pe_wire_result) % 8 == 0 && sizeof(struct pe_wire_short) % 8 == 0 &&
		sizeof(struct pe_wire_cell) % 8 == 0,
	"words");

uint32_t pe_wire_put_packed(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_answer *answer, const uint8_t *results, unsigned count,
	enum pe_pack_method method, struct pe_pack_scratch *scratch)
{
	uint32_t bytes = pe_answer_result_bytes(answer->flags);
	struct pe_wire_packed packed = {.method = (uint8_t)method};
	struct pe_wire_header h = *header;
	struct pe_wire_answer a = *answer;
	uint32_t n;

	if (!count || count > PE_PACKED_PLAIN_MAX / bytes || size <= HEAD_BYTES ||
		(answer->flags & PE_ANSWER_DETAILED))
		return 0;
	size = size < PE_WIRE_BYTES_MAX ? size : PE_WIRE_BYTES_MAX;
	to_lanes(scratch->lanes, results, count, bytes);
	n = (method == PE_PACKED_ZSTD ? compress_zstd : compress_lz4)(
		buffer + HEAD_BYTES, size - HEAD_BYTES, count * bytes, scratch);
	if (!n)
		return 0;
	h.version = PE_WIRE_VERSION;
	h.type = PE_TYPE_SPATIAL_RESPONSE;
	h.flags = PE_FLAG_PACKED;
	h.count = 1;
	a.result_count = (uint16_t)count;
	packed.packed_bytes = (uint16_t)n;
	memcpy(buffer, &h, sizeof h);
	memcpy(buffer + sizeof h, &a, sizeof a);
	memcpy(buffer + sizeof h + sizeof a, &packed, sizeof packed);
	return HEAD_BYTES + n;
}

enum pe_reason pe_wire_unpack(const uint8_t *data, uint32_t bytes,
	uint8_t plain[PE_UNPACKED_BYTES_MAX], struct pe_wire_view *view,
	struct pe_pack_scratch *scratch)
{
	struct pe_wire_packed packed;
	struct pe_wire_answer answer;
	uint32_t result_bytes, results_bytes;

	*view = (struct pe_wire_view){0};
	if (bytes < HEAD_BYTES || bytes > PE_WIRE_BYTES_MAX)
		return PE_REASON_length;
	memcpy(&answer, data + sizeof(struct pe_wire_header), sizeof answer);
	memcpy(&packed, data + sizeof(struct pe_wire_header) + sizeof answer, sizeof packed);
	result_bytes = pe_answer_result_bytes(answer.flags);
	results_bytes = answer.result_count * result_bytes;
	if ((packed.method != PE_PACKED_LZ4 && packed.method != PE_PACKED_ZSTD) ||
		packed.reserved0 | packed.reserved1 || (answer.flags & PE_ANSWER_DETAILED))
		return PE_REASON_body_reserved;
	if (!results_bytes || results_bytes > PE_PACKED_PLAIN_MAX ||
		packed.packed_bytes != bytes - HEAD_BYTES)
		return PE_REASON_length;
	if (!(packed.method == PE_PACKED_ZSTD ? decompress_zstd : decompress_lz4)(
		    scratch, results_bytes, data + HEAD_BYTES, packed.packed_bytes))
		return PE_REASON_length;
	memcpy(plain, data, sizeof(struct pe_wire_header) + sizeof answer);
	memset(plain + offsetof(struct pe_wire_header, flags), 0, sizeof(uint16_t));
	from_lanes(plain + sizeof(struct pe_wire_header) + sizeof answer, scratch->lanes,
		answer.result_count, result_bytes);
	return pe_wire_check_unpacked(plain,
		(uint32_t)(sizeof(struct pe_wire_header) + sizeof answer) + results_bytes, view);
}
