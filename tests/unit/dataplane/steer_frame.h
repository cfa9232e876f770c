// A frame with a datagram, as tests of steering send it to a port's own address.
#pragma once

#include "dataplane/prefix.h"

#include <arpa/inet.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <string.h>

#define STEER_PORT      10202
#define STEER_FRAME_MAX 128

static const uint8_t steer_mac[6] = {2, 0, 0, 0, 0, 1};

// Into STEER_FRAME_MAX bytes; tag: a VLAN's, 0 = none. Returns its length.
static unsigned steer_frame(
	uint8_t *frame, const uint8_t from[16], uint16_t tag, uint16_t from_port, uint16_t to_port)
{
	struct rte_udp_hdr udp = {.src_port = htons(from_port),
		.dst_port = htons(to_port),
		.dgram_len = htons(8 + 16)};
	bool v4 = pe_address_is_v4(from);
	unsigned at = 12;

	memcpy(frame, steer_mac, 6);
	memcpy(frame + 6, "\2\0\0\0\0\2", 6);
	if (tag) {
		frame[at++] = 0x81;
		frame[at++] = 0;
		frame[at++] = (uint8_t)(tag >> 8);
		frame[at++] = (uint8_t)tag;
	}
	frame[at++] = v4 ? 0x08 : 0x86;
	frame[at++] = v4 ? 0x00 : 0xDD;
	if (v4) {
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
			.total_length = htons(20 + 8 + 16),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_UDP,
			.dst_addr = htonl(0xC0000201)};

		memcpy(&ip.src_addr, from + 12, 4);
		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		memcpy(frame + at, &ip, sizeof ip);
		at += sizeof ip;
	} else {
		struct rte_ipv6_hdr ip = {.vtc_flow = htonl(6u << 28),
			.payload_len = htons(8 + 16),
			.proto = IPPROTO_UDP,
			.hop_limits = 64};

		memcpy(ip.src_addr, from, 16);
		memcpy(frame + at, &ip, sizeof ip);
		at += sizeof ip;
	}
	memcpy(frame + at, &udp, sizeof udp);
	memset(frame + at + sizeof udp, 0, 16);
	return at + (unsigned)sizeof udp + 16;
}
