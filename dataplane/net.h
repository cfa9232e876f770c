// Frames: from Ethernet to the message in a UDP datagram and back, for a port that has no kernel
// behind it. Pure functions over byte buffers — no DPDK, no state, no allocation — so that every
// malformed form has a unit test. Replies reflect the request's headers: no route, no neighbour
// table. Any thread.
//
// What is answered: ARP requests, ICMP echo, neighbour solicitations and ICMPv6 echo for our own
// addresses. What is refused, and why: the first block of engine/base/reasons.h. Source addresses
// that no wire may carry (loopback, unspecified, multicast, broadcast, IPv4 mapped into IPv6, our
// own) are `ip_header`: they would pass for trusted ones otherwise, or an answer would be for all.
// IPv6 extension headers are not walked: fragments are refused as such, others as not UDP.
#pragma once

#include "base/reasons.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_NET_ADDRESSES_MAX 9  // of a family: eight configured ones and the link-local one
#define PE_NET_HEADERS_MAX   66 // Ethernet 14, VLAN tag 4, IPv6 40, UDP 8

// Who we are on a port. Immutable while workers run.
struct pe_net_local {
	uint8_t mac[6];
	uint16_t vlan; // 0 = untagged
	uint16_t port; // UDP, host order
	unsigned v4_count, v6_count;
	unsigned v4_all_count;
	uint8_t v4[PE_NET_ADDRESSES_MAX][4];
	uint8_t v4_all[2 * PE_NET_ADDRESSES_MAX][4]; // the broadcast addresses of their networks
	uint8_t v6[PE_NET_ADDRESSES_MAX][16];
};

enum pe_net_verdict {
	PE_NET_MESSAGE, // payload_offset, payload_bytes and the peer are set
	PE_NET_ANSWER,  // pe_net_answer makes the reply
	PE_NET_SILENT,  // link traffic that wants no answer
	PE_NET_REFUSED, // reason is set
};

enum pe_net_answer { PE_NET_ARP = 1, PE_NET_ECHO_V4, PE_NET_ECHO_V6, PE_NET_SOLICIT };

struct pe_net_packet {
	uint8_t verdict; // enum pe_net_verdict
	uint8_t reason;  // enum pe_reason
	uint8_t answer;  // enum pe_net_answer
	bool v6;
	uint16_t l3_offset, l4_offset, payload_offset, payload_bytes; // from the frame's first byte
	uint16_t l3_bytes; // IP packet, without the frame's padding
	uint16_t peer_port;
	uint8_t peer_address[16]; // IPv4 mapped
};

// What the device has done already.
#define PE_NET_IP_VERIFIED  1u // IPv4 header checksum seen good
#define PE_NET_UDP_VERIFIED 2u // UDP checksum seen good
#define PE_NET_TAG_STRIPPED 4u // a VLAN tag was taken off: stripped_tci

// One of our IPv4 addresses, and of how many bits its network's prefix is. At most
// PE_NET_ADDRESSES_MAX.
void pe_net_add_v4(struct pe_net_local *local, const uint8_t address[4], unsigned bits);

// Reads a frame of `bytes`, none beyond. Everything in *packet is set.
void pe_net_parse(const struct pe_net_local *local, const uint8_t *frame, uint32_t bytes,
	unsigned done, uint16_t stripped_tci, struct pe_net_packet *packet);

// Turns a frame whose verdict was PE_NET_ANSWER into its reply, in place. `room` bytes may be
// written. Returns the reply's bytes, or 0 when there is no room.
uint32_t pe_net_answer(const struct pe_net_local *local, const struct pe_net_packet *packet,
	uint8_t *frame, uint32_t room);

// Writes the headers of a reply in front of payload (PE_NET_HEADERS_MAX bytes must be there): those
// of the request's frame, reflected. With checksums_later the IPv4 checksum is zero and the UDP one
// is the pseudo header's, as a device that finishes them wants it. Returns the headers' bytes.
uint32_t pe_net_prepend(const struct pe_net_local *local, const struct pe_net_packet *request,
	const uint8_t *request_frame, uint8_t *payload, uint32_t payload_bytes,
	bool checksums_later);

// fe80::/64 with the interface identifier made of the MAC.
void pe_net_link_local(const uint8_t mac[6], uint8_t address[16]);

// A number that spreads peers over workers and keeps one peer's packets together.
uint32_t pe_net_steer(const struct pe_net_packet *packet, uint32_t seed);

// The Internet checksum of bytes, added to a running sum; folded and complemented by
// pe_net_sum_end.
uint64_t pe_net_sum(const uint8_t *bytes, uint32_t count, uint64_t sum);
uint16_t pe_net_sum_end(uint64_t sum); // to be stored as it is, in network order
