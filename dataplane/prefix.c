#include "prefix.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pe_address_parse(const char *text, uint8_t address[16])
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memset(address, 0, 10);
		address[10] = address[11] = 0xFF;
		memcpy(address + 12, &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, text, address) == 1;
}

bool pe_prefix_parse(const char *text, bool host_bits_zero, struct pe_prefix *prefix)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits = 0;
	bool v4;

	if (length == 0 || length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (!pe_address_parse(host, prefix->address))
		return false;
	v4 = strchr(host, ':') == NULL;
	if (slash) {
		char *end;

		if (slash[1] < '0' || slash[1] > '9')
			return false;
		bits = strtoul(slash + 1, &end, 10);
		if (*end != '\0' || bits > (v4 ? 32 : 128))
			return false;
	} else {
		bits = v4 ? 32 : 128;
	}
	prefix->bits = (uint8_t)(v4 ? bits + 96 : bits);
	for (unsigned bit = prefix->bits; host_bits_zero && bit < 128; bit++)
		if (prefix->address[bit / 8] & 0x80u >> bit % 8)
			return false;
	for (unsigned half = 0; half < 2; half++) {
		unsigned here = prefix->bits > 64 * half ? prefix->bits - 64 * half : 0;
		uint64_t word;

		memcpy(&word, prefix->address + 8 * half, sizeof word);
		prefix->mask[half] = here >= 64 ? UINT64_MAX :
			here                    ? __builtin_bswap64(~(UINT64_MAX >> here)) :
						  0;
		prefix->masked[half] = word & prefix->mask[half];
	}
	return true;
}

bool pe_address_is_loopback(const uint8_t address[16])
{
	static const uint8_t one[16] = {[15] = 1};

	return pe_address_is_v4(address) ? address[12] == 127 : memcmp(address, one, 16) == 0;
}

bool pe_address_is_unspecified(const uint8_t address[16])
{
	static const uint8_t zero[16];

	return memcmp(address + (pe_address_is_v4(address) ? 12 : 0), zero,
		       pe_address_is_v4(address) ? 4 : 16) == 0;
}

const char *pe_address_print(const uint8_t address[16], uint16_t port, char text[PE_ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (pe_address_is_v4(address)) {
		inet_ntop(AF_INET, address + 12, host, sizeof host);
		snprintf(text, PE_ADDRESS_TEXT, "%s:%u", host, port);
	} else {
		inet_ntop(AF_INET6, address, host, sizeof host);
		snprintf(text, PE_ADDRESS_TEXT, "[%s]:%u", host, port);
	}
	return text;
}

socklen_t pe_address_to_kernel(
	const uint8_t address[16], uint16_t port, struct sockaddr_storage *out)
{
	if (pe_address_is_v4(address)) {
		struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};

		memcpy(&v4.sin_addr, address + 12, 4);
		memcpy(out, &v4, sizeof v4);
		return sizeof v4;
	}
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memcpy(&v6.sin6_addr, address, 16);
	memcpy(out, &v6, sizeof v6);
	return sizeof v6;
}

bool pe_address_from_kernel(const struct sockaddr_storage *in, uint8_t address[16], uint16_t *port)
{
	if (in->ss_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, in, sizeof v4);
		memset(address, 0, 10);
		address[10] = address[11] = 0xFF;
		memcpy(address + 12, &v4.sin_addr, 4);
		*port = ntohs(v4.sin_port);
		return true;
	}
	if (in->ss_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, in, sizeof v6);
		memcpy(address, &v6.sin6_addr, 16);
		*port = ntohs(v6.sin6_port);
		return true;
	}
	return false;
}
