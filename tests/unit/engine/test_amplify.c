// Nobody who is not trusted ever gets more bytes than he sent: every message type there is, sound
// or not, in every length, one in a turn, from a stranger and from a known principal without trust.
// The harness compares bytes in and out after each turn; here it is one request, and so at most one
// answer. Sound messages of every type are the vectors of the protocol page.
#include "testing_engine.h"

#include <dirent.h>
#include <jansson.h>

#define SEEDS_MAX  4096u
#define VECTORS_MS 1732300000500u // a moment behind that of the vectors' senders

static struct seed {
	uint32_t bytes;
	uint8_t data[PE_WIRE_BYTES_MAX];
} seeds[SEEDS_MAX];
static unsigned seed_count, answered[256], asked[256];

static uint32_t unhex(const char *text, uint8_t to[PE_WIRE_BYTES_MAX])
{
	uint32_t bytes = 0;
	unsigned byte;

	for (; bytes < PE_WIRE_BYTES_MAX && sscanf(text + 2 * bytes, "%2x", &byte) == 1; bytes++)
		to[bytes] = (uint8_t)byte;
	return text[2 * bytes] ? 0 : bytes;
}

static void load(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[600];
		json_t *root, *v;
		size_t i;

		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		root = strstr(path, ".json") ? json_load_file(path, 0, NULL) : NULL;
		json_array_foreach(json_object_get(root, "vectors"), i, v)
		{
			const char *side = json_string_value(json_object_get(v, "side"));
			const char *hex = json_string_value(json_object_get(v, "bytes"));
			struct seed *s = &seeds[seed_count];
			static const uint64_t no_clock;

			if (!side || strcmp(side, "engine") != 0 || !hex || seed_count == SEEDS_MAX)
				continue;
			s->bytes = unhex(hex, s->data);
			// As a sender without a clock, so that what is sound stays so.
			if (s->bytes >= sizeof(struct pe_wire_header))
				memcpy(s->data + offsetof(struct pe_wire_header, timestamp_ms),
					&no_clock, sizeof no_clock);
			if (s->bytes)
				seed_count++;
		}
		json_decref(root);
	}
	if (d)
		closedir(d);
}

static void begin(void)
{
	struct pe_engine_config config = harness_config();

	// The vectors' first space is GEODETIC, what names none means it.
	config.details_bytes = 1 << 20;
	config.fence_count_max = 64;
	start_with(&config);
	h.now.wall_ms = VECTORS_MS;
	for (unsigned n = 0; n < 200; n++) {
		struct pe_wire_update u = harness_update(1 + n, 1, n % 20, n / 20, 0);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u = harness_update(1000 + n, 1, 60.17 + n * 1e-5, 24.94, 3);
		ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	}
	h.untrusted = true;
}

static void end(void)
{
	h.sent_records = HARNESS_COUNTER(&h, records_carried);
	h.sent_queries = HARNESS_COUNTER(&h, queries_carried);
	stop();
}

// One message in a turn of its own; what it may not bring about fails here or in the harness.
static void ask(const uint8_t *data, uint32_t bytes)
{
	uint8_t type = bytes > 1 ? data[1] : 0;

	h.port = (uint16_t)(1 + h.sequence++ % 60000);
	harness_queue(&h, data, bytes);
	harness_turn(&h);
	CU_ASSERT(h.reply_count <= 1);
	for (unsigned i = 0; i < h.reply_count; i++)
		CU_ASSERT(h.replies[i].bytes <= bytes);
	asked[type]++;
	answered[type] += h.reply_count;
}

static void every_sound_message(void)
{
	CU_ASSERT_FATAL(seed_count > 500);
	begin();
	for (unsigned principal = 0; principal < 2; principal++)
		for (unsigned space = 0; space < 3; space++)
			for (unsigned i = 0; i < seed_count; i++) {
				struct seed s = seeds[i];

				h.principal = principal;
				if (space && s.bytes >= sizeof(struct pe_wire_header))
					memset(s.data + offsetof(struct pe_wire_header, space_id),
						space == 1 ? 0xA0 : 0xB1, 16);
				ask(s.data, s.bytes);
			}
	// They were answered, and those that are for trusted sources alone were not.
	CU_ASSERT(answered[PE_TYPE_PING] && answered[PE_TYPE_SPATIAL_UPDATE] &&
		answered[PE_TYPE_SPATIAL_QUERY] && answered[PE_TYPE_WITHDRAW] &&
		answered[PE_TYPE_EXPLAIN] && answered[PE_TYPE_DETAILED_UPDATE]);
	CU_ASSERT(asked[PE_TYPE_STATE_REQUEST] && !answered[PE_TYPE_STATE_REQUEST]);
	CU_ASSERT(asked[PE_TYPE_REGION_SUBSCRIBE] && !answered[PE_TYPE_REGION_SUBSCRIBE]);
	end();
}

// Types 0x00 to 0x22, and those beyond at some lengths; with counts that belong to nothing, and
// those that the length stands for.
static void every_type_and_length(void)
{
	static uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t step = testing_amount(1) > 1 ? 1 : 4;

	begin();
	for (unsigned type = 0; type < 256; type++)
		for (uint32_t bytes = 0; bytes <= PE_WIRE_BYTES_MAX;
			bytes += type > 0x22 ? 97 : step) {
			struct pe_wire_header header =
				harness_header(&h, bytes & 4 ? PLANE : EARTH, PE_FLAG_ACK);
			uint32_t body = bytes > sizeof header ? bytes - (uint32_t)sizeof header : 0;
			const struct seed *s = &seeds[(bytes * 7 + type) % seed_count];

			memset(data, 0, sizeof data);
			memcpy(data, s->data, s->bytes);
			header.type = (uint8_t)type;
			header.flags = bytes & 8 ? PE_FLAG_ACK : 0;
			// Queries of 128 bytes, updates of 80 and withdrawals of 24 behind 24, or
			// one.
			header.count = (uint16_t)(bytes & 16          ? 1 :
					type == PE_TYPE_SPATIAL_QUERY ? body / 128 :
					type == PE_TYPE_WITHDRAW      ? (body - 24) / 24 :
									(body - 24) / 80);
			memcpy(data, &header, sizeof header);
			ask(data, bytes);
		}
	end();
}

// Sound ones with bits turned, bytes cut off and put on.
static void mutations(void)
{
	uint64_t seed = 0xA3B1F;

	printf("seed %#llx ", (unsigned long long)seed);
	begin();
	for (uint64_t n = 0; n < testing_amount(40000); n++) {
		uint64_t r = testing_random(&seed);
		struct seed s = seeds[r % seed_count];

		for (unsigned i = 0; i < (r >> 32) % 4; i++)
			s.data[testing_random(&seed) % s.bytes] ^=
				(uint8_t)(1u << (testing_random(&seed) & 7));
		if ((r >> 40) % 8 == 0)
			s.bytes = (uint32_t)(testing_random(&seed) % (PE_WIRE_BYTES_MAX + 1));
		h.principal = (r >> 50) % 3;
		ask(s.data, s.bytes);
		if (n % 64 == 0)
			harness_advance(&h, 1);
	}
	end();
}

int main(int argc, char **argv)
{
	static const struct testing_case cases[] = {{"every sound message", every_sound_message},
		{"every type in every length", every_type_and_length}, {"mutations", mutations}};

	if (argc > 1)
		load(argv[1]);
	return testing_main("engine-amplify", cases, sizeof cases / sizeof cases[0]);
}
