// libFuzzer target of shared-memory rings. The first byte of an input says what the rest is: a
// hello to the engine; memory that a client wrote, which the engine reads and writes back into; a
// page and a welcome that a client joins; or a URI. Beyond "no crash": what is agreed on is within
// what is offered, nothing outside of a ring is pointed at, and a ring is never held for longer
// than its bytes.
#include "client/transport.h"
#include "wire/shm_ring.h"

#include <stdlib.h>

#define RING PE_SHM_RING_BYTES_MIN
#define EXPECT(what) \
	do { \
		if (!(what)) \
			abort(); \
	} while (0)

static void greet(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct pe_shm_hello hello;

	memcpy(copy, data, size);
	if (pe_shm_check_hello(copy, size, 1 << 20, &hello) == PE_SHM_WELCOME) {
		EXPECT(pe_shm_size_sound(hello.up_bytes) && hello.up_bytes <= 1 << 20);
		EXPECT(pe_shm_size_sound(hello.down_bytes) && hello.down_bytes <= 1 << 20);
	}
	free(copy);
}

// Head, then the ring's bytes over and over, written between two looks at it too.
static void serve(const uint8_t *data, size_t size)
{
	uint8_t *memory = aligned_alloc(4096, pe_shm_footprint(RING, RING));
	struct pe_shm_rx up;
	struct pe_shm_tx down;
	uint64_t start = 0, sum = 0;
	size_t at = 0;

	memset(memory, 0, pe_shm_footprint(RING, RING));
	pe_shm_new(memory, PE_SHM_VERSION, RING, RING, 1, &up, &down);
	if (size >= 8) {
		memcpy(&start, data, 8);
		data += 8;
		size -= 8;
	}
	up.head = start & ~(uint64_t)(PE_SHM_LINE - 1);
	for (unsigned turn = 0; turn < 64 && at + 12 <= size; turn++) {
		uint32_t what, bytes = data[at + 8] | (uint32_t)data[at + 9] << 8;
		const uint8_t *message;
		bool broken = false;
		uint8_t *to;
		int got;

		memcpy(&what, data + at, 4);
		at += 12;
		bytes = bytes < size - at ? bytes : (uint32_t)(size - at);
		if (what & 1) // a word that fits, with whatever is said to be its length
			atomic_store(pe_shm_word(up.ring, up.mask, up.head),
				pe_shm_word_of(up.head, what >> 8));
		else
			memcpy(memory + what % (pe_shm_footprint(RING, RING) - bytes), data + at,
				bytes);
		at += bytes;
		got = pe_shm_take(&up, &message);
		EXPECT(up.head % PE_SHM_LINE == 0 && got <= PE_WIRE_BYTES_MAX);
		if (got > 0) {
			EXPECT(message >= up.ring + 8 && message + got <= up.ring + RING);
			for (int i = 0; i < got; i++)
				sum += message[i];
		}
		pe_shm_release(&up);
		to = pe_shm_reserve(&down, 1 + (what >> 4) % PE_WIRE_BYTES_MAX, &broken);
		EXPECT(!to || !broken);
		EXPECT(down.tail - down.head_seen <= RING);
		if (to) {
			EXPECT(to >= down.ring + 8 &&
				to + 1 + (what >> 4) % PE_WIRE_BYTES_MAX <= down.ring + RING);
			memset(to, (int)sum, 1 + (what >> 4) % PE_WIRE_BYTES_MAX);
			pe_shm_commit(&down, 1 + (what >> 4) % PE_WIRE_BYTES_MAX);
		}
		(void)pe_shm_rouse(&down);
		(void)pe_shm_drowse(&up);
	}
	free(memory);
}

static void join(const uint8_t *data, size_t size)
{
	uint8_t *memory = aligned_alloc(4096, pe_shm_footprint(RING, RING));
	struct pe_shm_welcome welcome = {0};
	struct pe_shm_tx up;
	struct pe_shm_rx down;

	memset(memory, 0, pe_shm_footprint(RING, RING));
	pe_shm_new(memory, PE_SHM_VERSION, RING, RING, 1, &down, &up);
	memcpy(&welcome, data, size < sizeof welcome ? size : sizeof welcome);
	if (size > sizeof welcome)
		memcpy(memory, data + sizeof welcome,
			size - sizeof welcome < PE_SHM_PAGE_BYTES ? size - sizeof welcome :
								    PE_SHM_PAGE_BYTES);
	// As the client does: what was said to be mapped is what is mapped.
	if (welcome.memory_bytes == pe_shm_footprint(RING, RING) &&
		pe_shm_join(memory, &welcome, &up, &down))
		EXPECT(up.ring == memory + PE_SHM_PAGE_BYTES &&
			down.ring + down.mask + 1 == memory + welcome.memory_bytes);
	free(memory);
}

static void parse(const uint8_t *data, size_t size)
{
	struct presence_address address;
	char *text = malloc(size + 1), error[64];

	memcpy(text, data, size);
	text[size] = 0;
	if (presence_uri_parse(text, &address, error, sizeof error))
		EXPECT(address.text[0] && strlen(address.text) < sizeof address.text);
	else
		EXPECT(strlen(error) > 0 && strlen(error) < sizeof error);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const what[4])(const uint8_t *, size_t) = {greet, serve, join, parse};

	if (size)
		what[data[0] % 4](data + 1, size - 1);
	return 0;
}
