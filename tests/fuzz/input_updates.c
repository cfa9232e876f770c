#include "fuzz/input.h"

#include <string.h>

uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes)
{
	uint64_t value = 0;
	size_t n = bytes < in->left ? bytes : in->left;

	memcpy(&value, in->at, n);
	in->at += n;
	in->left -= n;
	return value;
}

double fuzz_coordinate(struct fuzz_input *in)
{
	static const double awkward[] = {0, -0.0, 1, 63.999, 64, 64.001, -64, 45, -45, 44.9999, 90,
		-90, 89.9999, 179.9999, 180, -180, -179.9999, 1024, -1024, 1e6, -1e6, 16777215,
		16777216, -16777216, 1e9, 1e300, -1e300, 4.9e-324};
	uint8_t which = (uint8_t)fuzz_take(in, 1);
	uint64_t bits;
	double d;

	if (which < 128)
		return awkward[which % (sizeof awkward / sizeof awkward[0])];
	if (which < 224)
		return ((int)which - 176) * 1.5 + (double)fuzz_take(in, 1) / 256;
	bits = fuzz_take(in, 8);
	memcpy(&d, &bits, sizeof d);
	return d;
}

void fuzz_put_id(uint8_t id[16], struct fuzz_input *in)
{
	harness_id(id, fuzz_take(in, 1));
}

uint32_t fuzz_incarnation(unsigned n)
{
	static const uint32_t incarnations[] = {
		HARNESS_INCARNATION, HARNESS_INCARNATION + 1, 0, UINT32_MAX};

	return incarnations[n & 3];
}

void fuzz_put_updates(struct harness *h, struct fuzz_input *in, unsigned space)
{
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	uint8_t head = (uint8_t)fuzz_take(in, 1);
	unsigned count = 1 + head % PE_UPDATE_COUNT_MAX;

	for (unsigned i = 0; i < count; i++) {
		uint8_t extra = (uint8_t)fuzz_take(in, 1);

		memset(&u[i], 0, sizeof u[i]);
		fuzz_put_id(u[i].entity_id, in);
		u[i].sequence = (uint32_t)fuzz_take(in, 1);
		for (unsigned k = 0; k < 3; k++)
			u[i].position[k] = fuzz_coordinate(in);
		u[i].entity_type = extra & 1 ? (uint8_t)fuzz_take(in, 1) : PE_ENTITY_MOBILE;
		if (extra & 2)
			u[i].ttl_ms = (uint32_t)fuzz_take(in, 2);
		if (extra & 4)
			u[i].duration_ms = (uint32_t)fuzz_take(in, 2);
		if (extra & 8)
			u[i].frequency = (uint16_t)fuzz_take(in, 2);
		if (extra & 16)
			u[i].attributes = (uint16_t)fuzz_take(in, 2);
		if (extra & 32)
			u[i].precision_m = (float)fuzz_take(in, 2) / 60;
		if (extra & 64)
			u[i].radius_m = (float)fuzz_take(in, 2);
		if (extra & 128) { // any field, any value
			uint8_t at = (uint8_t)(fuzz_take(in, 1) % sizeof u[i]);

			((uint8_t *)&u[i])[at] ^= (uint8_t)fuzz_take(in, 1);
		}
	}
	(void)harness_queue_updates(h, space, fuzz_incarnation(head >> 5 & 3), u, count, head & 16);
}

static uint32_t put_scope(struct fuzz_input *in, uint8_t *content)
{
	uint8_t what = (uint8_t)fuzz_take(in, 1);
	struct pe_wire_scope s = {.bounds = what & 1 ? PE_QUERY_SPHERE + (what >> 1 & 1) : 0,
		.resolution_m = what & 4 ? (float)(1u << (what >> 3 & 15)) : 0,
		.max_propagation = what};

	for (unsigned i = 0; i < 3 && s.bounds; i++)
		s.a[i] = fuzz_coordinate(in);
	for (unsigned i = 0; i < (s.bounds == PE_QUERY_BOX ? 3u : s.bounds ? 1u : 0u); i++)
		s.b[i] = fuzz_coordinate(in);
	memcpy(content, &s, sizeof s);
	return sizeof s;
}

void fuzz_put_detailed(struct harness *h, struct fuzz_input *in, unsigned space)
{
	static const uint8_t context[] = {
		16, 0, 1, 2, 0, 0, 0, 0, 'a', 'b', 3, 't', 'u', 'g', 0, 0};
	uint8_t records[PE_WIRE_BYTES_MAX];
	unsigned count = 1 + fuzz_take(in, 1) % 3, made = 0;
	uint32_t used = 0;

	for (; made < count; made++) {
		struct pe_wire_update u = {.sequence = (uint32_t)fuzz_take(in, 1),
			.position = {fuzz_coordinate(in), fuzz_coordinate(in), 0},
			.entity_type = (uint8_t)fuzz_take(in, 1) % 4,
			.update_frequency = (uint16_t)fuzz_take(in, 1),
			.ttl_ms = 1 + (uint32_t)fuzz_take(in, 2)};
		uint8_t mask = (uint8_t)fuzz_take(in, 1), *record = records + used;
		uint8_t content[64] = {0};
		uint32_t room = (uint32_t)(sizeof records - 104 - used), bytes;

		fuzz_put_id(u.entity_id, in);
		bytes = pe_wire_begin_details(record, room, &u);
		for (unsigned type = 1; bytes && type <= PE_DETAILS_TYPES; type++) {
			uint32_t n = type == PE_DETAILS_METADATA ? 24 : 16;

			// The two uppermost bits say something else: every second record has a
			// scope, now and then.
			if (!(type == PE_DETAILS_SCOPE ? u.ttl_ms & 1 :
							 mask & PE_DETAILS_BIT(type)))
				continue;
			memset(content, 0, sizeof content);
			if (type == PE_DETAILS_ORIENTATION)
				memcpy(content, (const float[4]){0, 0, 0.6f, 0.8f}, 16);
			else if (type == PE_DETAILS_CONTEXT)
				memcpy(content, context, sizeof context);
			else if (type == PE_DETAILS_FRAME)
				fuzz_put_id(content, in);
			else if (type == PE_DETAILS_SCHEDULE)
				memcpy(content,
					(const uint32_t[4]){
						1, 0, 1000, 1 + (uint32_t)fuzz_take(in, 1)},
					16);
			else if (type == PE_DETAILS_METADATA)
				memcpy(content,
					(const uint8_t[24]){24, 0, 1, 0, 0, 0, 0, 0,
						mask & 64 ? 255 : 2, 1, mask & 64 ? 0 : 8, 0,
						(uint8_t)('a' + fuzz_take(in, 1) % 20)},
					24);
			else if (type == PE_DETAILS_SCOPE)
				n = put_scope(in, content);
			else if (type == PE_DETAILS_PAYLOAD)
				n = (uint32_t)fuzz_take(in, 1) % sizeof content;
			if (type == PE_DETAILS_METADATA && (mask & 64)) {
				content[0] = 16;
				n = 16;
			}
			// Now and then a byte of it is something else, or it is empty.
			if (mask & 128) {
				uint8_t at = (uint8_t)fuzz_take(in, 1);

				content[at % 24] = (uint8_t)fuzz_take(in, 1);
				n = at & 128 ? 0 : n;
			}
			bytes = pe_wire_put_details(record, room, type, content, n);
		}
		if (!bytes)
			break;
		used += bytes;
	}
	if (made)
		(void)harness_queue_detailed(h, space, fuzz_incarnation(fuzz_take(in, 1) & 3),
			records, used, made, fuzz_take(in, 1) & 1);
}

void fuzz_put_withdraws(struct harness *h, struct fuzz_input *in, unsigned space)
{
	struct pe_wire_withdraw x[PE_WITHDRAW_COUNT_MAX];
	uint8_t head = (uint8_t)fuzz_take(in, 1);
	unsigned count = 1 + (head & 15) * 3;

	for (unsigned i = 0; i < count; i++) {
		fuzz_put_id(x[i].entity_id, in);
		x[i].sequence = (uint32_t)fuzz_take(in, 1);
		x[i].time_offset_ms = head & 128 ? (int32_t)fuzz_take(in, 4) : 0;
	}
	(void)harness_queue_withdraws(
		h, space, fuzz_incarnation(head >> 5 & 3), x, count, head & 16);
}

void fuzz_put_erase(struct harness *h, struct fuzz_input *in, unsigned space)
{
	uint8_t head = (uint8_t)fuzz_take(in, 1);

	(void)harness_queue_erase(
		h, space, fuzz_take(in, 1), head & 1 ? fuzz_incarnation(head >> 1 & 3) : 0);
}
