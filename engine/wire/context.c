#include "wire/metadata.h"

static const uint32_t texts_at = PE_BLOCK_HEAD; // the activity, then the tags

enum pe_block_fault pe_context_check(const uint8_t *block, uint32_t bytes, uint32_t *at)
{
	const uint8_t *before = NULL;
	uint32_t offset = texts_at, activity_bytes;
	uint16_t length;

	*at = 0;
	if (bytes < PE_BLOCK_HEAD)
		return PE_BLOCK_SHORT;
	memcpy(&length, block, sizeof length);
	if (length != bytes || bytes % 8 || bytes > PE_CONTEXT_BYTES_MAX)
		return PE_BLOCK_LENGTH;
	for (*at = 4; *at < PE_BLOCK_HEAD; ++*at)
		if (block[*at])
			return PE_BLOCK_RESERVED;
	*at = 2;
	if (block[2] > PE_CONTEXT_TAGS_MAX)
		return PE_BLOCK_COUNT;
	*at = 3;
	activity_bytes = block[3];
	if (activity_bytes > bytes - offset)
		return PE_BLOCK_SHORT;
	if (activity_bytes > PE_NAME_BYTES_MAX)
		return PE_BLOCK_NAME;
	if (activity_bytes && !pe_name_sound(block + offset, activity_bytes, at)) {
		*at += offset;
		return PE_BLOCK_NAME;
	}
	offset += activity_bytes;
	for (unsigned i = 0; i < block[2]; i++) {
		const uint8_t *tag = block + offset;

		*at = offset;
		if (offset >= bytes || tag[0] > bytes - offset - 1)
			return PE_BLOCK_SHORT;
		if (tag[0] < 1 || tag[0] > PE_NAME_BYTES_MAX)
			return PE_BLOCK_NAME;
		if (!pe_name_sound(tag + 1, tag[0], at)) {
			*at += offset + 1;
			return PE_BLOCK_NAME;
		}
		*at = offset;
		if (before && pe_text_compare(before + 1, before[0], tag + 1, tag[0]) >= 0)
			return PE_BLOCK_ORDER;
		before = tag;
		offset += 1u + tag[0];
	}
	*at = offset;
	if (pe_round8(offset) != bytes)
		return PE_BLOCK_LENGTH;
	for (; *at < bytes; ++*at)
		if (block[*at])
			return PE_BLOCK_PADDING;
	return PE_BLOCK_SOUND;
}

void pe_context_read(const uint8_t *block, uint32_t bytes, struct pe_context *context)
{
	uint32_t offset = texts_at;
	unsigned count;

	memset(context, 0, sizeof *context);
	if (bytes < PE_BLOCK_HEAD || block[3] > bytes - offset)
		return;
	context->activity = (struct pe_name){block + offset, block[3]};
	offset += block[3];
	count = block[2] < PE_CONTEXT_TAGS_MAX ? block[2] : PE_CONTEXT_TAGS_MAX;
	for (unsigned i = 0; i < count; i++) {
		if (offset >= bytes || block[offset] > bytes - offset - 1)
			return;
		context->tags[i] = (struct pe_name){block + offset + 1, block[offset]};
		context->tag_count++;
		offset += 1u + block[offset];
	}
}

bool pe_context_has_tag(
	const uint8_t *block, uint32_t bytes, const uint8_t *tag, uint32_t tag_bytes)
{
	uint32_t offset;

	if (bytes < PE_BLOCK_HEAD)
		return false;
	offset = texts_at + block[3];
	// At least a byte a round, so a context of 304 bytes ends it.
	for (unsigned i = 0; i < block[2] && i < PE_CONTEXT_TAGS_MAX; i++) {
		if (offset >= bytes || block[offset] > bytes - offset - 1)
			return false;
		if (block[offset] == tag_bytes && memcmp(block + offset + 1, tag, tag_bytes) == 0)
			return true;
		offset += 1u + block[offset];
	}
	return false;
}

bool pe_context_has_activity(
	const uint8_t *block, uint32_t bytes, const uint8_t *activity, uint32_t activity_bytes)
{
	return bytes >= PE_BLOCK_HEAD && activity_bytes && block[3] == activity_bytes &&
		activity_bytes <= bytes - texts_at &&
		memcmp(block + texts_at, activity, activity_bytes) == 0;
}

enum pe_block_fault pe_context_write(uint8_t *block, const struct pe_context *context)
{
	uint8_t order[PE_CONTEXT_TAGS_MAX];
	uint32_t offset = texts_at, end, at;
	uint16_t bytes;

	if (context->tag_count > PE_CONTEXT_TAGS_MAX)
		return PE_BLOCK_COUNT;
	if (context->activity.bytes &&
		!pe_name_sound(context->activity.text, context->activity.bytes, &at))
		return PE_BLOCK_NAME;
	for (unsigned i = 0; i < context->tag_count; i++) {
		const struct pe_name *tag = &context->tags[i];
		unsigned place = i;

		if (!pe_name_sound(tag->text, tag->bytes, &at))
			return PE_BLOCK_NAME;
		for (; place > 0; place--) {
			const struct pe_name *other = &context->tags[order[place - 1]];
			int less =
				pe_text_compare(tag->text, tag->bytes, other->text, other->bytes);

			if (less == 0)
				return PE_BLOCK_ORDER;
			if (less > 0)
				break;
			order[place] = order[place - 1];
		}
		order[place] = (uint8_t)i;
	}
	memset(block, 0, PE_BLOCK_HEAD);
	block[2] = context->tag_count;
	block[3] = context->activity.bytes;
	if (context->activity.bytes)
		memcpy(block + offset, context->activity.text, context->activity.bytes);
	offset += context->activity.bytes;
	for (unsigned i = 0; i < context->tag_count; i++) {
		const struct pe_name *tag = &context->tags[order[i]];

		block[offset] = tag->bytes;
		memcpy(block + offset + 1, tag->text, tag->bytes);
		offset += 1u + tag->bytes;
	}
	end = pe_round8(offset);
	memset(block + offset, 0, end - offset);
	bytes = (uint16_t)end;
	memcpy(block, &bytes, sizeof bytes);
	return PE_BLOCK_SOUND;
}
