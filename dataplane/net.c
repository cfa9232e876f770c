#include "net.h"

#include <assert.h>
#include <immintrin.h>
#include <string.h>

#define ETHER_BYTES     14
#define TYPE_IPV4       0x0800
#define TYPE_ARP        0x0806
#define TYPE_VLAN       0x8100
#define TYPE_IPV6       0x86DD
#define PROTO_ICMP      1
#define PROTO_UDP       17
#define PROTO_FRAGMENT  44
#define PROTO_ICMPV6    58
#define ARP_BYTES       28
#define IPV4_BYTES      20
#define IPV6_BYTES      40
#define UDP_BYTES       8
#define HOPS            64
#define SOLICIT_BYTES   24
#define ADVERTISE_BYTES 32

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put_sum(uint8_t *at, uint16_t sum)
{
	memcpy(at, &sum, 2);
}

// Source and destination lie next to each other in both headers.
static uint64_t pseudo(const uint8_t *addresses, bool v6, uint8_t protocol, uint32_t l4_bytes)
{
	uint8_t tail[4] = {0, protocol};

	put16(tail + 2, l4_bytes);
	return pe_net_sum(tail, 4, pe_net_sum(addresses, v6 ? 32 : 8, 0));
}

static uint64_t pseudo_of(
	const struct pe_net_packet *p, const uint8_t *frame, uint8_t protocol, uint32_t l4_bytes)
{
	return pseudo(frame + p->l3_offset + (p->v6 ? 8 : 12), p->v6, protocol, l4_bytes);
}

static void refuse(struct pe_net_packet *p, enum pe_reason reason)
{
	p->verdict = PE_NET_REFUSED;
	p->reason = (uint8_t)reason;
}

static bool own_v4(const struct pe_net_local *local, const uint8_t address[4])
{
	for (unsigned i = 0; i < local->v4_count; i++)
		if (memcmp(local->v4[i], address, 4) == 0)
			return true;
	return false;
}

static bool own_v6(const struct pe_net_local *local, const uint8_t address[16])
{
	for (unsigned i = 0; i < local->v6_count; i++)
		if (memcmp(local->v6[i], address, 16) == 0)
			return true;
	return false;
}

// ff02::1:ffXX:XXXX of one of our addresses.
static bool own_solicited(const struct pe_net_local *local, const uint8_t address[16])
{
	static const uint8_t prefix[13] = {0xFF, 0x02, [11] = 1, [12] = 0xFF};

	if (memcmp(address, prefix, sizeof prefix) != 0)
		return false;
	for (unsigned i = 0; i < local->v6_count; i++)
		if (memcmp(local->v6[i] + 13, address + 13, 3) == 0)
			return true;
	return false;
}

// All hosts of one of our networks.
static bool everybody_v4(const struct pe_net_local *local, const uint8_t address[4])
{
	for (unsigned i = 0; i < local->v4_all_count; i++)
		if (memcmp(local->v4_all[i], address, 4) == 0)
			return true;
	return false;
}

static bool sender_v4(const struct pe_net_local *local, const uint8_t address[4])
{
	return address[0] != 0 && address[0] != 127 && address[0] < 224 &&
		!own_v4(local, address) && !everybody_v4(local, address);
}

void pe_net_add_v4(struct pe_net_local *local, const uint8_t address[4], unsigned bits)
{
	uint8_t *none = local->v4_all[local->v4_all_count], *all = none + 4;

	memcpy(local->v4[local->v4_count++], address, 4);
	if (bits > 30) // two hosts, or one: nothing there is all of them
		return;
	for (unsigned i = 0; i < 4; i++) {
		unsigned here = bits > 8 * i ? bits - 8 * i : 0;
		uint8_t hosts = here >= 8 ? 0 : (uint8_t)(0xFF >> here);

		none[i] = (uint8_t)(address[i] & ~hosts);
		all[i] = address[i] | hosts;
	}
	local->v4_all_count += 2;
}

static bool sender_v6(const struct pe_net_local *local, const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}, zero[15];

	if (address[0] == 0xFF || memcmp(address, mapped, sizeof mapped) == 0)
		return false;
	if (memcmp(address, zero, sizeof zero) == 0 && address[15] <= 1) // unspecified, loopback
		return false;
	return !own_v6(local, address);
}

static void parse_arp(const struct pe_net_local *local, const uint8_t *arp, uint32_t bytes,
	struct pe_net_packet *p)
{
	static const uint8_t ethernet_ipv4[6] = {0, 1, 8, 0, 6, 4}, zero[4];
	uint16_t operation;

	// The sender's own word for its MAC must not name a group: the answer would go to all.
	if (bytes < ARP_BYTES || memcmp(arp, ethernet_ipv4, 6) != 0 || (arp[8] & 1)) {
		refuse(p, PE_REASON_not_ip);
		return;
	}
	operation = get16(arp + 6);
	if (operation != 1 && operation != 2) {
		refuse(p, PE_REASON_not_ip);
		return;
	}
	if (!own_v4(local, arp + 24)) {
		refuse(p, PE_REASON_not_for_us);
		return;
	}
	if (memcmp(arp + 14, zero, 4) != 0 &&
		!sender_v4(local, arp + 14)) { // zero: a probe, RFC 5227
		refuse(p, PE_REASON_ip_header);
		return;
	}
	p->verdict = operation == 1 ? PE_NET_ANSWER : PE_NET_SILENT;
	p->answer = PE_NET_ARP;
}

static void parse_udp(const struct pe_net_local *local, const uint8_t *frame, unsigned done,
	struct pe_net_packet *p)
{
	const uint8_t *udp = frame + p->l4_offset;
	uint32_t bytes = (uint32_t)p->l3_offset + p->l3_bytes - p->l4_offset;
	uint16_t checksum;

	if (bytes < UDP_BYTES || get16(udp + 4) != bytes || get16(udp) == 0) {
		refuse(p, PE_REASON_udp_header);
		return;
	}
	if (get16(udp + 2) != local->port) {
		refuse(p, PE_REASON_not_for_us);
		return;
	}
	checksum = get16(udp + 6);
	if (checksum == 0 ? p->v6 : // IPv4's "none"; IPv6 has no such thing (RFC 8200)
			    !(done & PE_NET_UDP_VERIFIED) &&
				pe_net_sum_end(pe_net_sum(
					udp, bytes, pseudo_of(p, frame, PROTO_UDP, bytes))) != 0) {
		refuse(p, PE_REASON_udp_checksum);
		return;
	}
	p->peer_port = get16(udp);
	p->payload_offset = (uint16_t)(p->l4_offset + UDP_BYTES);
	p->payload_bytes = (uint16_t)(bytes - UDP_BYTES);
	p->verdict = PE_NET_MESSAGE;
}

static void parse_icmp(const uint8_t *frame, struct pe_net_packet *p)
{
	const uint8_t *icmp = frame + p->l4_offset;
	uint32_t bytes = (uint32_t)p->l3_offset + p->l3_bytes - p->l4_offset;

	if (bytes < 8 || pe_net_sum_end(pe_net_sum(icmp, bytes, 0)) != 0) {
		refuse(p, PE_REASON_not_udp);
		return;
	}
	p->verdict = icmp[0] == 8 && icmp[1] == 0 ? PE_NET_ANSWER : PE_NET_SILENT;
	p->answer = PE_NET_ECHO_V4;
}

static void parse_ipv4(const struct pe_net_local *local, const uint8_t *frame, uint32_t bytes,
	unsigned done, bool group, struct pe_net_packet *p)
{
	const uint8_t *ip = frame + p->l3_offset;
	uint32_t header, left = bytes - p->l3_offset;

	if (left < IPV4_BYTES || ip[0] >> 4 != 4) {
		refuse(p, PE_REASON_ip_header);
		return;
	}
	header = (ip[0] & 15u) * 4;
	p->l3_bytes = get16(ip + 2);
	if (header < IPV4_BYTES || header > p->l3_bytes || p->l3_bytes > left) {
		refuse(p, PE_REASON_ip_header);
		return;
	}
	if (!(done & PE_NET_IP_VERIFIED) && pe_net_sum_end(pe_net_sum(ip, header, 0)) != 0) {
		refuse(p, PE_REASON_ip_checksum);
		return;
	}
	if (group || !own_v4(local, ip + 16)) {
		refuse(p, PE_REASON_not_for_us);
		return;
	}
	if (!sender_v4(local, ip + 12)) {
		refuse(p, PE_REASON_ip_header);
		return;
	}
	if (get16(ip + 6) & 0x3FFF) {
		refuse(p, PE_REASON_fragment);
		return;
	}
	p->peer_address[10] = p->peer_address[11] = 0xFF;
	memcpy(p->peer_address + 12, ip + 12, 4);
	p->l4_offset = (uint16_t)(p->l3_offset + header);
	if (ip[9] == PROTO_UDP)
		parse_udp(local, frame, done, p);
	else if (ip[9] == PROTO_ICMP)
		parse_icmp(frame, p);
	else
		refuse(p, PE_REASON_not_udp);
}

// A neighbour solicitation (RFC 4861, 7.1.1) for one of our addresses. One from nobody is answered
// to all, so that it must have been sent to a group.
static bool is_solicit(const struct pe_net_local *local, const uint8_t *ip, const uint8_t *icmp,
	uint32_t bytes, bool unspecified)
{
	return icmp[0] == 135 && icmp[1] == 0 && ip[7] == 255 && bytes >= SOLICIT_BYTES &&
		own_v6(local, icmp + 8) && (!unspecified || ip[24] == 0xFF);
}

static void parse_icmpv6(const struct pe_net_local *local, const uint8_t *frame, bool unicast,
	bool unspecified, struct pe_net_packet *p)
{
	const uint8_t *icmp = frame + p->l4_offset;
	uint32_t bytes = (uint32_t)p->l3_offset + p->l3_bytes - p->l4_offset;

	if (bytes < 8 ||
		pe_net_sum_end(pe_net_sum(icmp, bytes, pseudo_of(p, frame, PROTO_ICMPV6, bytes))) !=
			0) {
		refuse(p, PE_REASON_not_udp);
		return;
	}
	if (icmp[0] == 135) {
		if (!is_solicit(local, frame + p->l3_offset, icmp, bytes, unspecified)) {
			refuse(p,
				bytes >= SOLICIT_BYTES && !own_v6(local, icmp + 8) ?
					PE_REASON_not_for_us :
					PE_REASON_not_udp);
			return;
		}
		p->verdict = PE_NET_ANSWER;
		p->answer = PE_NET_SOLICIT;
		return;
	}
	if (!unicast || unspecified) {
		refuse(p, unspecified ? PE_REASON_ip_header : PE_REASON_not_for_us);
		return;
	}
	p->verdict = icmp[0] == 128 && icmp[1] == 0 ? PE_NET_ANSWER : PE_NET_SILENT;
	p->answer = PE_NET_ECHO_V6;
}

static void parse_ipv6(const struct pe_net_local *local, const uint8_t *frame, uint32_t bytes,
	unsigned done, bool group, struct pe_net_packet *p)
{
	static const uint8_t zero[16];
	const uint8_t *ip = frame + p->l3_offset;
	uint32_t left = bytes - p->l3_offset;
	bool unicast, unspecified;

	p->v6 = true;
	if (left < IPV6_BYTES || ip[0] >> 4 != 6 || (uint32_t)get16(ip + 4) + IPV6_BYTES > left) {
		refuse(p, PE_REASON_ip_header);
		return;
	}
	p->l3_bytes = (uint16_t)(get16(ip + 4) + IPV6_BYTES);
	p->l4_offset = (uint16_t)(p->l3_offset + IPV6_BYTES);
	unicast = !group && own_v6(local, ip + 24);
	if (!unicast && !own_v6(local, ip + 24) && !own_solicited(local, ip + 24)) {
		refuse(p, PE_REASON_not_for_us);
		return;
	}
	unspecified = memcmp(ip + 8, zero, 16) == 0;
	if (!sender_v6(local, ip + 8) && !(unspecified && ip[6] == PROTO_ICMPV6)) {
		refuse(p, PE_REASON_ip_header);
		return;
	}
	memcpy(p->peer_address, ip + 8, 16);
	if (ip[6] == PROTO_ICMPV6)
		parse_icmpv6(local, frame, unicast, unspecified, p);
	else if (!unicast)
		refuse(p, PE_REASON_not_for_us);
	else if (ip[6] == PROTO_FRAGMENT)
		refuse(p, PE_REASON_fragment);
	else if (ip[6] == PROTO_UDP)
		parse_udp(local, frame, done, p);
	else
		refuse(p, PE_REASON_not_udp);
}

// Of an IPv4 header without options, in one go.
static inline bool header_sound(const uint8_t *ip)
{
	uint64_t words[2];
	uint32_t last;

	memcpy(words, ip, sizeof words);
	memcpy(&last, ip + sizeof words, sizeof last);
	return pe_net_sum_end((words[0] & 0xFFFFFFFF) + (words[0] >> 32) + (words[1] & 0xFFFFFFFF) +
		       (words[1] >> 32) + last) == 0;
}
static_assert(IPV4_BYTES == 2 * sizeof(uint64_t) + sizeof(uint32_t), "header_sound");

// What nearly every frame is: untagged, to our MAC, IPv4 without options for our only address, UDP
// for our port. A few comparisons in one go; offsets are of the frame. False: something else, and p
// is as it was.
static inline bool parse_ordinary(const struct pe_net_local *local, const uint8_t *frame,
	uint32_t bytes, unsigned done, struct pe_net_packet *p)
{
	const uint32_t l4 = ETHER_BYTES + IPV4_BYTES, payload = l4 + UDP_BYTES;
	uint32_t total, source;

	if (bytes < payload || bytes > UINT16_MAX || local->v4_count != 1 || local->vlan ||
		(done & PE_NET_TAG_STRIPPED) || memcmp(frame, local->mac, 6) != 0 ||
		(frame[6] & 1) || get16(frame + 12) != TYPE_IPV4 || frame[14] != 0x45)
		return false;
	total = get16(frame + 16);
	if (total < IPV4_BYTES + UDP_BYTES || total > bytes - ETHER_BYTES ||
		(get16(frame + 20) & 0x3FFF) || frame[23] != PROTO_UDP ||
		!own_v4(local, frame + 30) || !sender_v4(local, frame + 26))
		return false;
	if (!(done & PE_NET_IP_VERIFIED) && !header_sound(frame + ETHER_BYTES))
		return false;
	if (get16(frame + l4) == 0 || get16(frame + l4 + 2) != local->port ||
		get16(frame + l4 + 4) != total - IPV4_BYTES ||
		(get16(frame + l4 + 6) && !(done & PE_NET_UDP_VERIFIED)))
		return false;
	// Each by itself: of the whole, the compiler makes a microcoded fill first.
	p->verdict = PE_NET_MESSAGE;
	p->reason = PE_REASON_none;
	p->answer = 0;
	p->v6 = false;
	p->l3_offset = ETHER_BYTES;
	p->l4_offset = (uint16_t)l4;
	p->payload_offset = (uint16_t)payload;
	p->payload_bytes = (uint16_t)(total - IPV4_BYTES - UDP_BYTES);
	p->l3_bytes = (uint16_t)total;
	p->peer_port = get16(frame + l4);
	// At once, since it is read again at once: of two halves the load would wait for both.
	memcpy(&source, frame + 26, 4);
	_mm_storeu_si128((__m128i *)(void *)p->peer_address,
		_mm_set_epi32((int)source, (int)0xFFFF0000, 0, 0));
	return true;
}

void pe_net_parse(const struct pe_net_local *local, const uint8_t *frame, uint32_t bytes,
	unsigned done, uint16_t stripped_tci, struct pe_net_packet *p)
{
	unsigned type, vlan = 0;
	bool group;

	if (parse_ordinary(local, frame, bytes, done, p))
		return;
	*p = (struct pe_net_packet){.l3_offset = ETHER_BYTES};
	if (bytes < ETHER_BYTES || bytes > UINT16_MAX ||
		(frame[6] & 1)) { // from a group: nobody to answer
		refuse(p, PE_REASON_not_ip);
		return;
	}
	group = frame[0] & 1;
	type = get16(frame + 12);
	if (done & PE_NET_TAG_STRIPPED) {
		vlan = stripped_tci & 0xFFFu;
	} else if (type == TYPE_VLAN) {
		if (bytes < ETHER_BYTES + 4) {
			refuse(p, PE_REASON_not_ip);
			return;
		}
		vlan = get16(frame + 14) & 0xFFFu;
		type = get16(frame + 16);
		p->l3_offset = ETHER_BYTES + 4;
	}
	if (vlan != local->vlan || (!group && memcmp(frame, local->mac, 6) != 0)) {
		refuse(p, PE_REASON_not_for_us);
		return;
	}
	if (type == TYPE_IPV4)
		parse_ipv4(local, frame, bytes, done, group, p);
	else if (type == TYPE_IPV6)
		parse_ipv6(local, frame, bytes, done, group, p);
	else if (type == TYPE_ARP)
		parse_arp(local, frame + p->l3_offset, bytes - p->l3_offset, p);
	else
		refuse(p, PE_REASON_not_ip);
}

static void turn_round(const struct pe_net_local *local, uint8_t *frame)
{
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, local->mac, 6);
}

static uint32_t answer_arp(
	const struct pe_net_local *local, const struct pe_net_packet *p, uint8_t *frame)
{
	uint8_t *arp = frame + p->l3_offset, asked[4];

	memcpy(asked, arp + 24, 4);
	put16(arp + 6, 2);
	memcpy(arp + 18, arp + 8, 10); // the sender becomes the target
	memcpy(arp + 8, local->mac, 6);
	memcpy(arp + 14, asked, 4);
	return p->l3_offset + ARP_BYTES;
}

static uint32_t answer_echo_v4(const struct pe_net_packet *p, uint8_t *frame)
{
	uint8_t *ip = frame + p->l3_offset, *icmp = frame + p->l4_offset, source[4];
	uint32_t header = (uint32_t)p->l4_offset - p->l3_offset;

	memcpy(source, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, source, 4);
	ip[8] = HOPS;
	put16(ip + 10, 0);
	put_sum(ip + 10, pe_net_sum_end(pe_net_sum(ip, header, 0)));
	icmp[0] = 0;
	put16(icmp + 2, 0);
	put_sum(icmp + 2, pe_net_sum_end(pe_net_sum(icmp, p->l3_bytes - header, 0)));
	return (uint32_t)p->l3_offset + p->l3_bytes;
}

static void finish_icmpv6(const struct pe_net_packet *p, uint8_t *frame, uint32_t bytes)
{
	uint8_t *icmp = frame + p->l4_offset;

	put16(icmp + 2, 0);
	put_sum(icmp + 2,
		pe_net_sum_end(pe_net_sum(icmp, bytes, pseudo_of(p, frame, PROTO_ICMPV6, bytes))));
}

static uint32_t answer_echo_v6(const struct pe_net_packet *p, uint8_t *frame)
{
	uint8_t *ip = frame + p->l3_offset, source[16];

	memcpy(source, ip + 8, 16);
	memcpy(ip + 8, ip + 24, 16);
	memcpy(ip + 24, source, 16);
	ip[7] = HOPS;
	frame[p->l4_offset] = 129;
	finish_icmpv6(p, frame, (uint32_t)p->l3_bytes - IPV6_BYTES);
	return (uint32_t)p->l3_offset + p->l3_bytes;
}

// RFC 4861, 7.2.4. To an unspecified source (it looks whether the address is taken) the answer goes
// to all nodes.
static uint32_t answer_solicit(const struct pe_net_local *local, const struct pe_net_packet *p,
	uint8_t *frame, uint32_t room)
{
	static const uint8_t zero[16], all_nodes[16] = {0xFF, 0x02, [15] = 1},
				       all_mac[6] = {0x33, 0x33, [5] = 1};
	uint8_t *ip = frame + p->l3_offset, *icmp = frame + p->l4_offset;
	bool unspecified = memcmp(ip + 8, zero, 16) == 0;

	if ((uint32_t)p->l4_offset + ADVERTISE_BYTES > room)
		return 0;
	if (unspecified)
		memcpy(frame, all_mac, 6);
	memcpy(ip + 24, unspecified ? all_nodes : ip + 8, 16);
	memcpy(ip + 8, icmp + 8, 16);
	put16(ip + 4, ADVERTISE_BYTES);
	ip[7] = 255;
	icmp[0] = 136;
	memset(icmp + 4, 0, 4);
	icmp[4] = unspecified ? 0x20 : 0x60; // override, and solicited when it was one
	icmp[24] = 2;                        // target link-layer address, 8 bytes
	icmp[25] = 1;
	memcpy(icmp + 26, local->mac, 6);
	finish_icmpv6(p, frame, ADVERTISE_BYTES);
	return (uint32_t)p->l4_offset + ADVERTISE_BYTES;
}

uint32_t pe_net_answer(const struct pe_net_local *local, const struct pe_net_packet *packet,
	uint8_t *frame, uint32_t room)
{
	turn_round(local, frame);
	switch (packet->answer) {
	case PE_NET_ARP:
		return answer_arp(local, packet, frame);
	case PE_NET_ECHO_V4:
		return answer_echo_v4(packet, frame);
	case PE_NET_ECHO_V6:
		return answer_echo_v6(packet, frame);
	case PE_NET_SOLICIT:
		return answer_solicit(local, packet, frame, room);
	default:
		return 0;
	}
}

static void prepend_ipv4(
	const uint8_t *request, uint8_t *ip, uint32_t udp_bytes, bool checksums_later)
{
	static const uint8_t start[IPV4_BYTES] = {0x45, [6] = 0x40, [8] = HOPS, [9] = PROTO_UDP};

	memcpy(ip, start, IPV4_BYTES);
	put16(ip + 2, IPV4_BYTES + udp_bytes);
	memcpy(ip + 12, request + 16, 4);
	memcpy(ip + 16, request + 12, 4);
	if (!checksums_later)
		put_sum(ip + 10, pe_net_sum_end(pe_net_sum(ip, IPV4_BYTES, 0)));
}

static void prepend_ipv6(const uint8_t *request, uint8_t *ip, uint32_t udp_bytes)
{
	static const uint8_t start[8] = {0x60, [6] = PROTO_UDP, [7] = HOPS};

	memcpy(ip, start, 8);
	put16(ip + 4, udp_bytes);
	memcpy(ip + 8, request + 24, 16);
	memcpy(ip + 24, request + 8, 16);
}

uint32_t pe_net_prepend(const struct pe_net_local *local, const struct pe_net_packet *request,
	const uint8_t *request_frame, uint8_t *payload, uint32_t payload_bytes,
	bool checksums_later)
{
	uint32_t l3 = request->v6 ? IPV6_BYTES : IPV4_BYTES, udp_bytes = UDP_BYTES + payload_bytes;
	uint8_t *udp = payload - UDP_BYTES, *ip = udp - l3, *frame = ip - request->l3_offset;
	const uint8_t *request_ip = request_frame + request->l3_offset;
	const uint8_t *request_udp = request_frame + request->l4_offset;
	uint64_t sum;
	uint16_t checksum;

	memcpy(frame, request_frame + 6, 6);
	memcpy(frame + 6, local->mac, 6);
	memcpy(frame + 12, request_frame + 12, request->l3_offset - 12u); // the tag too
	if (request->v6)
		prepend_ipv6(request_ip, ip, udp_bytes);
	else
		prepend_ipv4(request_ip, ip, udp_bytes, checksums_later);
	memcpy(udp, request_udp + 2, 2);
	memcpy(udp + 2, request_udp, 2);
	put16(udp + 4, udp_bytes);
	put16(udp + 6, 0);
	sum = pseudo(ip + (request->v6 ? 8 : 12), request->v6, PROTO_UDP, udp_bytes);
	if (checksums_later) {
		put_sum(udp + 6, (uint16_t)~pe_net_sum_end(sum));
	} else {
		checksum = pe_net_sum_end(pe_net_sum(udp, udp_bytes, sum));
		put_sum(udp + 6, checksum ? checksum : 0xFFFF); // zero would say "none"
	}
	return request->l3_offset + l3 + UDP_BYTES;
}

void pe_net_link_local(const uint8_t mac[6], uint8_t address[16])
{
	memset(address, 0, 16);
	address[0] = 0xFE;
	address[1] = 0x80;
	address[8] = mac[0] ^ 2;
	address[9] = mac[1];
	address[10] = mac[2];
	address[11] = 0xFF;
	address[12] = 0xFE;
	memcpy(address + 13, mac + 3, 3);
}

uint32_t pe_net_steer(const struct pe_net_packet *packet, uint32_t seed)
{
	uint64_t a, b, h;

	memcpy(&a, packet->peer_address, 8);
	memcpy(&b, packet->peer_address + 8, 8);
	h = (a ^ seed) * 0x9E3779B97F4A7C15ull;
	h = (h ^ h >> 32 ^ b) * 0xD6E8FEB86659FD93ull;
	h = (h ^ h >> 32 ^ packet->peer_port) * 0x9E3779B97F4A7C15ull;
	return (uint32_t)(h >> 32);
}
