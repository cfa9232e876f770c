// Internet addresses and prefixes as the dataplane holds them: always 16 bytes, IPv4 mapped into
// IPv6 (::ffff:a.b.c.d), so that one comparison serves both. Pure functions, any thread.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PE_ADDRESS_TEXT 64 // "[address]:port" and its NUL fit

struct pe_prefix {
	uint8_t address[16];
	uint8_t bits; // 0–128 of the mapped form: an IPv4 /8 is 104
	// what is compared, for what lies under it: pe_prefix_parse makes them
	uint64_t masked[2], mask[2];
};

// "192.0.2.0/24", "2001:db8::/32"; without a length the whole address. With `host_bits_zero`, bits
// behind the prefix must be zero ("127.0.0.1/8" is refused: one of the two was a slip). False:
// malformed.
bool pe_prefix_parse(const char *text, bool host_bits_zero, struct pe_prefix *prefix);
bool pe_address_parse(const char *text, uint8_t address[16]);

// Each packet asks this of its source, twice.
static inline bool pe_prefix_holds(const struct pe_prefix *prefix, const uint8_t address[16])
{
	uint64_t word[2];

	__builtin_memcpy(word, address, sizeof word);
	return (((word[0] & prefix->mask[0]) ^ prefix->masked[0]) |
		       ((word[1] & prefix->mask[1]) ^ prefix->masked[1])) == 0;
}
static inline bool pe_prefixes_hold(
	const struct pe_prefix *prefixes, unsigned count, const uint8_t address[16])
{
	for (unsigned i = 0; i < count; i++)
		if (pe_prefix_holds(&prefixes[i], address))
			return true;
	return false;
}

static inline bool pe_address_is_v4(const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};

	return __builtin_memcmp(address, mapped, sizeof mapped) == 0;
}

bool pe_address_is_loopback(const uint8_t address[16]);
bool pe_address_is_unspecified(const uint8_t address[16]);

// "192.0.2.1:10202" or "[2001:db8::1]:10202" into text[PE_ADDRESS_TEXT]; returns text.
const char *pe_address_print(const uint8_t address[16], uint16_t port, char text[PE_ADDRESS_TEXT]);

// To and from the kernel's form. The family follows the address: mapped IPv4 becomes AF_INET.
socklen_t pe_address_to_kernel(
	const uint8_t address[16], uint16_t port, struct sockaddr_storage *out);
// False for a family that is neither.
bool pe_address_from_kernel(const struct sockaddr_storage *in, uint8_t address[16], uint16_t *port);
