#include "socket_steer.h"

#include <string.h>
#include <sys/socket.h>

#define NET         ((uint32_t)SKF_NET_OFF) // of the network header; the payload is at 0
#define V4_SOURCE   12u
#define V4_HEADER   20u
#define V6_SOURCE   8u
#define V6_HEADER   40u
#define WORKER_CELL 0u

struct assembly {
	struct sock_filter *out;
	unsigned count;
};

static void put(struct assembly *a, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	assert(a->count < PE_STEER_PROGRAM_MAX);
	a->out[a->count++] = (struct sock_filter){.code = code, .jt = yes, .jf = no, .k = k};
}

static void op(struct assembly *a, uint16_t code, uint32_t k)
{
	put(a, code, k, 0, 0);
}

// Into its cell: the sender's worker. Behind IPv4 options or IPv6 extension headers the two bytes
// are not the port; they still are the sender's.
static void put_worker(struct assembly *a, bool v4, unsigned workers)
{
	op(a, BPF_LD | BPF_H | BPF_ABS, NET + (v4 ? V4_HEADER : V6_HEADER));
	op(a, BPF_MISC | BPF_TAX, 0);
	for (unsigned w = 0; w < (v4 ? 1 : 4); w++) {
		op(a, BPF_LD | BPF_W | BPF_ABS, NET + (v4 ? V4_SOURCE : V6_SOURCE + 4 * w));
		op(a, BPF_ALU | BPF_ADD | BPF_X, 0);
		op(a, BPF_ALU | BPF_MUL | BPF_K, 0x9E3779B1u);
		op(a, BPF_MISC | BPF_TAX, 0);
	}
	op(a, BPF_ALU | BPF_RSH | BPF_K, 12);
	op(a, BPF_ALU | BPF_MOD | BPF_K, workers);
	op(a, BPF_ST, WORKER_CELL);
}

static void put_class(struct assembly *a, enum pe_steer_class class, unsigned workers)
{
	op(a, BPF_LD | BPF_MEM, WORKER_CELL);
	op(a, BPF_ALU | BPF_ADD | BPF_K, class * workers);
	op(a, BPF_RET | BPF_A, 0);
}

static uint32_t word_of(const uint8_t bytes[16], unsigned word)
{
	const uint8_t *b = bytes + 4 * word;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

// Ends with KNOWN for a source under the prefix, and goes on behind it for another one.
static void put_prefix(
	struct assembly *a, const struct pe_prefix *prefix, bool v4, unsigned workers)
{
	unsigned first = v4 ? 3 : 0, tests[4], test_count = 0;

	// An IPv6 prefix that is shorter than the mapped form's holds all of IPv4 or nothing of it.
	if (v4 && prefix->bits < 96) {
		static const uint8_t mapped[16] = {[10] = 0xFF, [11] = 0xFF};

		if (pe_prefix_holds(prefix, mapped))
			put_class(a, PE_STEER_KNOWN, workers);
		return;
	}
	for (unsigned w = first; w < 4; w++) {
		unsigned bits = prefix->bits > 32 * w ? prefix->bits - 32 * w : 0;
		uint32_t mask = bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits);

		if (!mask)
			break;
		op(a, BPF_LD | BPF_W | BPF_ABS,
			NET + (v4 ? V4_SOURCE : V6_SOURCE + 4 * (w - first)));
		if (mask != UINT32_MAX)
			op(a, BPF_ALU | BPF_AND | BPF_K, mask);
		tests[test_count++] = a->count;
		put(a, BPF_JMP | BPF_JEQ | BPF_K, word_of(prefix->address, w) & mask, 0, 0);
	}
	put_class(a, PE_STEER_KNOWN, workers);
	for (unsigned t = 0; t < test_count; t++)
		a->out[tests[t]].jf = (uint8_t)(a->count - tests[t] - 1);
}

unsigned pe_steer_program(const struct pe_config *config, bool v4, unsigned class_count,
	struct sock_filter program[PE_STEER_PROGRAM_MAX])
{
	const uint32_t session = offsetof(struct pe_wire_header, session_id);
	struct assembly a = {.out = program};
	unsigned workers = config->worker_count;

	put_worker(&a, v4, workers);
	for (unsigned i = 0; i < config->trusted_count; i++)
		if (v4 || !pe_address_is_v4(config->trusted[i].address))
			put_prefix(&a, &config->trusted[i], v4, workers);
	if (class_count > PE_STEER_SEALED) {
		// A load behind the end would end the program with 0.
		op(&a, BPF_LD | BPF_W | BPF_LEN, 0);
		put(&a, BPF_JMP | BPF_JGE | BPF_K, sizeof(struct pe_wire_header), 0, 7);
		op(&a, BPF_LD | BPF_W | BPF_ABS, session);
		put(&a, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
		op(&a, BPF_LD | BPF_W | BPF_ABS, session + 4);
		put(&a, BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0);
		put_class(&a, PE_STEER_SEALED, workers);
	}
	put_class(&a, PE_STEER_OTHER, workers);
	return a.count;
}

unsigned pe_steer_class_count(const struct pe_config *config)
{
	for (unsigned i = 0; i < config->admitted_count; i++) {
		const struct pe_prefix *p = &config->admitted[i];
		bool within = false;

		for (unsigned j = 0; j < config->trusted_count && !within; j++)
			within = config->trusted[j].bits <= p->bits &&
				pe_prefix_holds(&config->trusted[j], p->address);
		if (!within)
			return config->keyring[0] ? PE_STEER_CLASSES : PE_STEER_SEALED;
	}
	return 1;
}

bool pe_steer_attach(int fd, const struct sock_filter *program, unsigned count)
{
	struct sock_fprog p = {
		.len = (unsigned short)count, .filter = (struct sock_filter *)(uintptr_t)program};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &p, sizeof p) == 0;
}
