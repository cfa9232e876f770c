// Frames in and out: every form that is refused, with its reason; every reply, checked with a
// checksum routine of the test's own that works byte by byte.
#include "dataplane/net.h"
#include "tests/testing.h"

#include <string.h>

static const uint8_t our_mac[6] = {0x02, 0, 0, 0, 0, 1}, their_mac[6] = {0x02, 0, 0, 0, 0, 2};
static const uint8_t our_v4[4] = {192, 0, 2, 1}, their_v4[4] = {192, 0, 2, 2};
static const uint8_t our_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [13] = 0xAA, [14] = 0xBB, [15] = 1};
static const uint8_t their_v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 2};

static struct pe_net_local local_of(unsigned vlan)
{
	struct pe_net_local l = {.vlan = (uint16_t)vlan, .port = 10202, .v6_count = 2};

	memcpy(l.mac, our_mac, 6);
	pe_net_add_v4(&l, our_v4, 24);
	memcpy(l.v6[0], our_v6, 16);
	pe_net_link_local(our_mac, l.v6[1]);
	return l;
}

struct frame {
	uint32_t bytes;
	uint32_t l3, l4;
	uint8_t data[2048];
};

static void set16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static unsigned naive_sum(const uint8_t *bytes, uint32_t count, unsigned sum)
{
	for (uint32_t i = 0; i < count; i++) {
		sum += i % 2 ? bytes[i] : bytes[i] * 256u;
		if (sum > 0xFFFF)
			sum -= 0xFFFF;
	}
	return sum;
}

static unsigned naive_pseudo(const struct frame *f, unsigned protocol, uint32_t l4_bytes)
{
	bool v6 = f->data[f->l3] >> 4 == 6;
	unsigned sum = naive_sum(f->data + f->l3 + (v6 ? 8 : 12), v6 ? 32 : 8, 0);
	uint8_t tail[4] = {0, (uint8_t)protocol, (uint8_t)(l4_bytes >> 8), (uint8_t)l4_bytes};

	return naive_sum(tail, 4, sum);
}

static struct frame ether(unsigned vlan, unsigned type)
{
	struct frame f = {.bytes = vlan ? 18 : 14};

	memcpy(f.data, our_mac, 6);
	memcpy(f.data + 6, their_mac, 6);
	if (vlan) {
		set16(f.data + 12, 0x8100);
		set16(f.data + 14, vlan | 0x6000);
	}
	set16(f.data + f.bytes - 2, type);
	f.l3 = f.bytes;
	return f;
}

static void mend_ip(struct frame *f)
{
	uint8_t *ip = f->data + f->l3;

	set16(ip + 10, 0);
	set16(ip + 10, naive_sum(ip, (ip[0] & 15u) * 4, 0) ^ 0xFFFF);
}

static void mend_l4(struct frame *f, unsigned protocol, unsigned offset)
{
	uint8_t *l4 = f->data + f->l4;
	uint32_t bytes = f->bytes - f->l4;
	unsigned sum = protocol == 1 ? 0 : naive_pseudo(f, protocol, bytes);

	set16(l4 + offset, 0);
	sum = naive_sum(l4, bytes, sum) ^ 0xFFFF;
	set16(l4 + offset, sum ? sum : 0xFFFF);
}

static struct frame ip_frame(bool v6, unsigned vlan, unsigned protocol, uint32_t l4_bytes)
{
	struct frame f = ether(vlan, v6 ? 0x86DD : 0x0800);
	uint8_t *ip = f.data + f.l3;

	if (v6) {
		ip[0] = 0x60;
		set16(ip + 4, l4_bytes);
		ip[6] = (uint8_t)protocol;
		ip[7] = 255;
		memcpy(ip + 8, their_v6, 16);
		memcpy(ip + 24, our_v6, 16);
		f.l4 = f.l3 + 40;
	} else {
		ip[0] = 0x45;
		set16(ip + 2, 20 + l4_bytes);
		ip[8] = 64;
		ip[9] = (uint8_t)protocol;
		memcpy(ip + 12, their_v4, 4);
		memcpy(ip + 16, our_v4, 4);
		mend_ip(&f);
		f.l4 = f.l3 + 20;
	}
	f.bytes = f.l4 + l4_bytes;
	return f;
}

static struct frame udp_frame(bool v6, unsigned vlan, uint32_t payload)
{
	struct frame f = ip_frame(v6, vlan, 17, 8 + payload);
	uint8_t *udp = f.data + f.l4;

	set16(udp, 40000);
	set16(udp + 2, 10202);
	set16(udp + 4, 8 + payload);
	for (uint32_t i = 0; i < payload; i++)
		udp[8 + i] = (uint8_t)(i * 7 + 3);
	mend_l4(&f, 17, 6);
	return f;
}

// From a heap copy of exactly the frame's size, so that a sanitizer sees a read beyond it.
static struct pe_net_packet parse_on(const struct pe_net_local *local, const struct frame *f)
{
	struct pe_net_packet p;
	uint8_t *copy = malloc(f->bytes ? f->bytes : 1);

	memcpy(copy, f->data, f->bytes);
	pe_net_parse(local, copy, f->bytes, 0, 0, &p);
	free(copy);
	return p;
}

static struct pe_net_packet parse(const struct frame *f)
{
	struct pe_net_local local = local_of(0);

	return parse_on(&local, f);
}

static void expect_reason(const char *what, const struct frame *f, enum pe_reason reason)
{
	struct pe_net_packet p = parse(f);

	if (p.verdict != PE_NET_REFUSED || p.reason != reason)
		printf("\n    %s: verdict %u reason %s, expected %s", what, p.verdict,
			pe_reason_info[p.reason].name, pe_reason_info[reason].name);
	CU_ASSERT_EQUAL(p.verdict, PE_NET_REFUSED);
	CU_ASSERT_EQUAL(p.reason, reason);
}

static void test_message(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned vlan = 0; vlan < 2; vlan++)
			for (uint32_t payload = 0; payload < 200; payload += 33) {
				struct pe_net_local local = local_of(vlan ? 7 : 0);
				struct frame f = udp_frame(v6, vlan ? 7 : 0, payload);
				struct pe_net_packet p;

				f.bytes += 5; // padding of the link
				p = parse_on(&local, &f);
				CU_ASSERT_EQUAL(p.verdict, PE_NET_MESSAGE);
				CU_ASSERT_EQUAL(p.payload_bytes, payload);
				CU_ASSERT_EQUAL(p.payload_offset, f.l4 + 8);
				CU_ASSERT_EQUAL(p.peer_port, 40000);
				if (v6) {
					CU_ASSERT(memcmp(p.peer_address, their_v6, 16) == 0);
				} else {
					CU_ASSERT(memcmp(p.peer_address + 12, their_v4, 4) == 0);
					CU_ASSERT(p.peer_address[9] == 0 &&
						p.peer_address[10] == 0xFF);
				}
			}
}

static void test_options_and_zero_checksum(void)
{
	struct frame f = udp_frame(false, 0, 64);
	uint8_t *ip = f.data + f.l3;

	set16(f.data + f.l4 + 6, 0); // IPv4 may leave the checksum out
	CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_MESSAGE);

	f = udp_frame(false, 0, 64);
	memmove(f.data + f.l4 + 8, f.data + f.l4, f.bytes - f.l4);
	memset(f.data + f.l4, 1, 8); // eight no-operation options
	ip[0] = 0x47;
	f.bytes += 8;
	f.l4 += 8;
	set16(ip + 2, f.bytes - f.l3);
	mend_ip(&f);
	CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_MESSAGE);
	CU_ASSERT_EQUAL(parse(&f).payload_offset, f.l4 + 8);
}

static void test_every_truncation(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned vlan = 0; vlan < 2; vlan++) {
			struct frame whole = udp_frame(v6, vlan ? 7 : 0, 96);
			struct pe_net_local local = local_of(vlan ? 7 : 0);

			for (uint32_t bytes = 0; bytes < whole.bytes; bytes++) {
				struct frame f = whole;

				f.bytes = bytes;
				CU_ASSERT_EQUAL(parse_on(&local, &f).verdict, PE_NET_REFUSED);
			}
		}
}

static void test_refused_link(void)
{
	struct frame f = udp_frame(false, 0, 16);

	f.bytes = 13;
	expect_reason("short frame", &f, PE_REASON_not_ip);
	f = ether(0, 0x88CC);
	f.bytes = 60;
	expect_reason("LLDP", &f, PE_REASON_not_ip);
	f = udp_frame(false, 0, 16);
	f.data[6] |= 1;
	expect_reason("source MAC is a group", &f, PE_REASON_not_ip);
	f = udp_frame(false, 0, 16);
	f.data[5] ^= 9;
	expect_reason("other MAC", &f, PE_REASON_not_for_us);
	f = udp_frame(false, 0, 16);
	memset(f.data, 0xFF, 6);
	expect_reason("UDP in a broadcast frame", &f, PE_REASON_not_for_us);
	f = udp_frame(false, 9, 16);
	expect_reason("tag on an untagged port", &f, PE_REASON_not_for_us);
	f = ether(0, 0x8100);
	f.bytes = 17;
	expect_reason("tag cut off", &f, PE_REASON_not_ip);
	f = ether(0, 0x8100);
	set16(f.data + 16, 0x8100); // a priority tag, and another tag behind it
	f.bytes = 64;
	expect_reason("two tags", &f, PE_REASON_not_ip);
}

static void test_priority_tag(void)
{
	struct frame f = udp_frame(false, 5, 16);
	struct pe_net_local tagged = local_of(6);
	struct pe_net_packet p;

	set16(f.data + 14, 0xE000); // VLAN 0: only a priority
	CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_MESSAGE);
	p = parse_on(&tagged, &f);
	CU_ASSERT_EQUAL(p.reason, PE_REASON_not_for_us);
	f = udp_frame(false, 0, 16);
	pe_net_parse(&tagged, f.data, f.bytes, PE_NET_TAG_STRIPPED, 0x6006, &p);
	CU_ASSERT_EQUAL(p.verdict, PE_NET_MESSAGE);
	pe_net_parse(&tagged, f.data, f.bytes, PE_NET_TAG_STRIPPED, 0x6005, &p);
	CU_ASSERT_EQUAL(p.reason, PE_REASON_not_for_us);
}

static void set_source_v4(struct frame *f, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	uint8_t *ip = f->data + f->l3;

	ip[12] = a, ip[13] = b, ip[14] = c, ip[15] = d;
	mend_ip(f);
	mend_l4(f, 17, 6);
}

static void test_refused_ipv4(void)
{
	static const uint8_t bad_sources[][4] = {{0, 0, 0, 0}, {0, 1, 2, 3}, {127, 0, 0, 1},
		{224, 0, 0, 1}, {240, 0, 0, 1}, {255, 255, 255, 255}, {192, 0, 2, 1},
		{192, 0, 2, 0}, {192, 0, 2, 255}};
	struct frame f;

#define BROKEN(what, reason, ...) \
	do { \
		f = udp_frame(false, 0, 16); \
		uint8_t *ip = f.data + f.l3; \
		__VA_ARGS__; \
		mend_ip(&f); \
		expect_reason(what, &f, reason); \
	} while (0)
	BROKEN("version 5", PE_REASON_ip_header, ip[0] = 0x55);
	BROKEN("header of 16 bytes", PE_REASON_ip_header, ip[0] = 0x44);
	BROKEN("header beyond the packet", PE_REASON_ip_header, ip[0] = 0x4F);
	BROKEN("length above the frame", PE_REASON_ip_header, set16(ip + 2, 45));
	BROKEN("length below the header", PE_REASON_ip_header, set16(ip + 2, 19));
	BROKEN("other destination", PE_REASON_not_for_us, ip[19] = 77);
	BROKEN("broadcast destination", PE_REASON_not_for_us, memset(ip + 16, 255, 4));
	BROKEN("more fragments", PE_REASON_fragment, ip[6] = 0x20);
	BROKEN("later fragment", PE_REASON_fragment, ip[7] = 0x10);
	BROKEN("last fragment", PE_REASON_fragment, ip[6] = 0x1F);
	BROKEN("TCP", PE_REASON_not_udp, ip[9] = 6);
#undef BROKEN
	f = udp_frame(false, 0, 16);
	f.data[f.l3 + 8]--;
	expect_reason("header checksum", &f, PE_REASON_ip_checksum);
	for (unsigned i = 0; i < sizeof bad_sources / sizeof bad_sources[0]; i++) {
		f = udp_frame(false, 0, 16);
		set_source_v4(&f, bad_sources[i][0], bad_sources[i][1], bad_sources[i][2],
			bad_sources[i][3]);
		expect_reason("source", &f, PE_REASON_ip_header);
	}
	f = udp_frame(false, 0, 16);
	f.data[f.l3 + 6] = 0x40; // "do not fragment" is no fragment
	mend_ip(&f);
	CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_MESSAGE);
}

// An answer to what came from all of a network would be for all of it: of each network of ours, and
// of no other; networks of two hosts have no such address (RFC 3021).
static void test_broadcast_sources(void)
{
	static const struct {
		uint8_t own[4];
		unsigned bits;
		uint8_t source[4];
		bool refused;
	} cases[] = {{{192, 0, 2, 1}, 24, {192, 0, 2, 255}, true},
		{{192, 0, 2, 1}, 24, {192, 0, 2, 127}, false},
		{{192, 0, 2, 1}, 24, {192, 0, 3, 255}, false},
		{{192, 0, 2, 1}, 25, {192, 0, 2, 127}, true},
		{{192, 0, 2, 1}, 25, {192, 0, 2, 128}, false},
		{{192, 0, 2, 1}, 22, {192, 0, 3, 255}, true},
		{{192, 0, 2, 1}, 22, {192, 0, 0, 0}, true},
		{{192, 0, 2, 1}, 30, {192, 0, 2, 3}, true},
		{{192, 0, 2, 1}, 30, {192, 0, 2, 4}, false},
		{{192, 0, 2, 1}, 31, {192, 0, 2, 0}, false},
		{{192, 0, 2, 1}, 32, {192, 0, 2, 255}, false},
		{{192, 0, 2, 1}, 8, {192, 255, 255, 255}, true},
		{{192, 0, 2, 1}, 0, {192, 0, 2, 255}, false}};

	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (unsigned second = 0; second < 2; second++) {
			struct pe_net_local local = {.port = 10202};
			struct frame f = udp_frame(false, 0, 16);
			const uint8_t *s = cases[i].source;
			struct pe_net_packet p;

			memcpy(local.mac, our_mac, 6);
			if (second)
				pe_net_add_v4(&local, (const uint8_t[]){10, 0, 0, 1}, 8);
			pe_net_add_v4(&local, cases[i].own, cases[i].bits);
			set_source_v4(&f, s[0], s[1], s[2], s[3]);
			p = parse_on(&local, &f);
			CU_ASSERT_EQUAL(
				p.verdict, cases[i].refused ? PE_NET_REFUSED : PE_NET_MESSAGE);
			CU_ASSERT_EQUAL(
				p.reason, cases[i].refused ? PE_REASON_ip_header : PE_REASON_none);
		}
}

static void test_refused_ipv6(void)
{
	static const uint8_t bad_sources[][16] = {{0}, {[15] = 1}, {0xFF, 0x02, [15] = 1},
		{[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1},
		{0x20, 0x01, 0x0d, 0xb8, [13] = 0xAA, [14] = 0xBB, [15] = 1}};
	struct frame f = udp_frame(true, 0, 16);
	uint8_t *ip = f.data + f.l3;

	ip[0] = 0x50;
	expect_reason("version 5", &f, PE_REASON_ip_header);
	f = udp_frame(true, 0, 16);
	set16(ip + 4, 25);
	expect_reason("length above the frame", &f, PE_REASON_ip_header);
	f = udp_frame(true, 0, 16);
	ip[39] ^= 0x40;
	expect_reason("other destination", &f, PE_REASON_not_for_us);
	f = udp_frame(true, 0, 16);
	ip[6] = 44;
	expect_reason("fragment", &f, PE_REASON_fragment);
	f = udp_frame(true, 0, 16);
	ip[6] = 0;
	expect_reason("hop-by-hop options", &f, PE_REASON_not_udp);
	f = udp_frame(true, 0, 16);
	set16(f.data + f.l4 + 6, 0);
	expect_reason("no checksum", &f, PE_REASON_udp_checksum);
	for (unsigned i = 0; i < sizeof bad_sources / sizeof bad_sources[0]; i++) {
		f = udp_frame(true, 0, 16);
		memcpy(ip + 8, bad_sources[i], 16);
		mend_l4(&f, 17, 6);
		expect_reason("source", &f, PE_REASON_ip_header);
	}
}

static void test_refused_udp(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct frame f = udp_frame(v6, 0, 16);
		uint8_t *udp = f.data + f.l4;

		f.data[f.bytes - 1] ^= 1;
		expect_reason("checksum", &f, PE_REASON_udp_checksum);
		f = udp_frame(v6, 0, 16);
		set16(udp + 4, 23);
		mend_l4(&f, 17, 6);
		expect_reason("length below IP's", &f, PE_REASON_udp_header);
		f = udp_frame(v6, 0, 16);
		set16(udp + 4, 25);
		mend_l4(&f, 17, 6);
		expect_reason("length above IP's", &f, PE_REASON_udp_header);
		f = udp_frame(v6, 0, 16);
		set16(udp, 0);
		mend_l4(&f, 17, 6);
		expect_reason("from port 0", &f, PE_REASON_udp_header);
		f = udp_frame(v6, 0, 16);
		set16(udp + 2, 10203);
		mend_l4(&f, 17, 6);
		expect_reason("other port", &f, PE_REASON_not_for_us);
		f = ip_frame(v6, 0, 17, 7);
		expect_reason("header cut off", &f, PE_REASON_udp_header);
	}
}

// The device's word replaces our own look, and only where it was given.
static void test_verified_by_device(void)
{
	struct pe_net_local local = local_of(0);
	struct frame f = udp_frame(false, 0, 16);
	struct pe_net_packet p;

	f.data[f.bytes - 1] ^= 1;
	pe_net_parse(&local, f.data, f.bytes, PE_NET_UDP_VERIFIED, 0, &p);
	CU_ASSERT_EQUAL(p.verdict, PE_NET_MESSAGE);
	pe_net_parse(&local, f.data, f.bytes, PE_NET_IP_VERIFIED, 0, &p);
	CU_ASSERT_EQUAL(p.reason, PE_REASON_udp_checksum);
	f.data[f.l3 + 10] ^= 1;
	pe_net_parse(&local, f.data, f.bytes, PE_NET_IP_VERIFIED | PE_NET_UDP_VERIFIED, 0, &p);
	CU_ASSERT_EQUAL(p.verdict, PE_NET_MESSAGE);
	pe_net_parse(&local, f.data, f.bytes, PE_NET_UDP_VERIFIED, 0, &p);
	CU_ASSERT_EQUAL(p.reason, PE_REASON_ip_checksum);
}

static void test_reply(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned vlan = 0; vlan < 2; vlan++)
			for (uint32_t bytes = 1; bytes < 1452; bytes += 113) {
				struct pe_net_local local = local_of(vlan ? 7 : 0);
				struct frame f = udp_frame(v6, vlan ? 7 : 0, 40), reply = {0};
				struct pe_net_packet p = parse_on(&local, &f);
				uint8_t buffer[2048];
				uint8_t *payload = buffer + PE_NET_HEADERS_MAX;
				uint32_t headers;

				for (uint32_t i = 0; i < bytes; i++)
					payload[i] = (uint8_t)(i * 31);
				headers = pe_net_prepend(&local, &p, f.data, payload, bytes, false);
				CU_ASSERT_EQUAL(
					headers, (vlan ? 18u : 14u) + (v6 ? 40u : 20u) + 8u);
				reply = f;
				reply.bytes = headers + bytes;
				memcpy(reply.data, payload - headers, reply.bytes);
				CU_ASSERT(memcmp(reply.data, their_mac, 6) == 0);
				CU_ASSERT(memcmp(reply.data + 6, our_mac, 6) == 0);
				CU_ASSERT(memcmp(reply.data + 12, f.data + 12, vlan ? 6 : 2) == 0);
				CU_ASSERT(
					memcmp(reply.data + reply.l4, "\x27\xda\x9c\x40", 4) == 0);
				if (!v6)
					CU_ASSERT_EQUAL(
						naive_sum(reply.data + reply.l3, 20, 0), 0xFFFF);
				CU_ASSERT_EQUAL(
					naive_sum(reply.data + reply.l4, reply.bytes - reply.l4,
						naive_pseudo(&reply, 17, reply.bytes - reply.l4)),
					0xFFFF);
				// Read by the one it goes to, it is a message from us.
				memcpy(local.mac, their_mac, 6);
				memcpy(local.v4[0], their_v4, 4);
				memcpy(local.v6[0], their_v6, 16);
				local.port = 40000;
				p = parse_on(&local, &reply);
				CU_ASSERT_EQUAL(p.verdict, PE_NET_MESSAGE);
				CU_ASSERT_EQUAL(p.payload_bytes, bytes);
				CU_ASSERT_EQUAL(p.peer_port, 10202);
			}
}

static void test_reply_for_offload(void)
{
	struct pe_net_local local = local_of(0);
	struct frame f = udp_frame(false, 0, 40);
	struct pe_net_packet p = parse_on(&local, &f);
	uint8_t buffer[256] = {0}, *payload = buffer + PE_NET_HEADERS_MAX;
	struct frame reply = f;

	reply.bytes = pe_net_prepend(&local, &p, f.data, payload, 100, true) + 100;
	memcpy(reply.data, payload - (reply.bytes - 100), reply.bytes);
	CU_ASSERT(reply.data[reply.l3 + 10] == 0 && reply.data[reply.l3 + 11] == 0);
	CU_ASSERT_EQUAL((unsigned)reply.data[reply.l4 + 6] * 256 + reply.data[reply.l4 + 7],
		naive_pseudo(&reply, 17, 108));
}

// A sum that comes out as zero is sent as all ones: zero would mean that there is none.
static void test_zero_sum(void)
{
	struct pe_net_local local = local_of(0);
	struct frame f = udp_frame(false, 0, 40);
	struct pe_net_packet p = parse_on(&local, &f);
	uint8_t buffer[256] = {0}, *payload = buffer + PE_NET_HEADERS_MAX;
	bool met = false;

	for (unsigned v = 0; v < 65536; v++) {
		set16(payload, v);
		(void)pe_net_prepend(&local, &p, f.data, payload, 2, false);
		CU_ASSERT(payload[-2] != 0 || payload[-1] != 0);
		met |= payload[-2] == 0xFF && payload[-1] == 0xFF;
	}
	CU_ASSERT(met);
}

static struct frame arp_frame(void)
{
	struct frame f = ether(0, 0x0806);
	uint8_t *arp = f.data + 14;

	memset(f.data, 0xFF, 6);
	memcpy(arp, "\0\1\10\0\6\4\0\1", 8);
	memcpy(arp + 8, their_mac, 6);
	memcpy(arp + 14, their_v4, 4);
	memcpy(arp + 24, our_v4, 4);
	f.bytes = 60;
	return f;
}

static void test_arp(void)
{
	struct pe_net_local local = local_of(0);
	struct frame f = arp_frame();
	struct pe_net_packet p = parse(&f);
	uint8_t *arp = f.data + 14;

	CU_ASSERT_EQUAL(p.verdict, PE_NET_ANSWER);
	CU_ASSERT_EQUAL(pe_net_answer(&local, &p, f.data, sizeof f.data), 42);
	CU_ASSERT(memcmp(f.data, their_mac, 6) == 0 && memcmp(f.data + 6, our_mac, 6) == 0);
	CU_ASSERT(memcmp(arp, "\0\1\10\0\6\4\0\2", 8) == 0);
	CU_ASSERT(memcmp(arp + 8, our_mac, 6) == 0 && memcmp(arp + 14, our_v4, 4) == 0);
	CU_ASSERT(memcmp(arp + 18, their_mac, 6) == 0 && memcmp(arp + 24, their_v4, 4) == 0);

	f = arp_frame();
	memset(arp + 14, 0, 4);
	CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_ANSWER); // a probe
	f = arp_frame();
	arp[7] = 2;
	CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_SILENT);
	f = arp_frame();
	arp[7] = 3;
	expect_reason("operation", &f, PE_REASON_not_ip);
	f = arp_frame();
	arp[4] = 8;
	expect_reason("address length", &f, PE_REASON_not_ip);
	f = arp_frame();
	arp[8] = 0xFF;
	expect_reason("sender is a group", &f, PE_REASON_not_ip);
	f = arp_frame();
	arp[27]++;
	expect_reason("other target", &f, PE_REASON_not_for_us);
	f = arp_frame();
	memcpy(arp + 14, our_v4, 4);
	expect_reason("our own address as the sender", &f, PE_REASON_ip_header);
	f = arp_frame();
	f.bytes = 41;
	expect_reason("cut off", &f, PE_REASON_not_ip);
}

static void test_echo(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct pe_net_local local = local_of(0);
		unsigned protocol = v6 ? 58 : 1;
		struct frame f = ip_frame(v6, 0, protocol, 8 + 57);
		struct frame request;
		struct pe_net_packet p;
		uint8_t *icmp = f.data + f.l4;

		icmp[0] = v6 ? 128 : 8;
		for (unsigned i = 4; i < 8 + 57; i++)
			icmp[i] = (uint8_t)i;
		mend_l4(&f, protocol, 2);
		request = f;
		p = parse(&f);
		CU_ASSERT_EQUAL(p.verdict, PE_NET_ANSWER);
		CU_ASSERT_EQUAL(pe_net_answer(&local, &p, f.data, sizeof f.data), f.bytes);
		CU_ASSERT_EQUAL(icmp[0], v6 ? 129 : 0);
		CU_ASSERT(memcmp(icmp + 4, request.data + f.l4 + 4, 4 + 57) == 0);
		CU_ASSERT_EQUAL(naive_sum(icmp, 65, v6 ? naive_pseudo(&f, 58, 65) : 0), 0xFFFF);
		if (!v6)
			CU_ASSERT_EQUAL(naive_sum(f.data + f.l3, 20, 0), 0xFFFF);
		CU_ASSERT(memcmp(f.data + f.l3 + (v6 ? 24 : 16), v6 ? their_v6 : their_v4,
				  v6 ? 16 : 4) == 0);
		f = request;
		icmp[9] ^= 1;
		expect_reason("ICMP checksum", &f, PE_REASON_not_udp);
		f = request;
		icmp[0] = v6 ? 1 : 3; // "unreachable" wants no answer
		mend_l4(&f, protocol, 2);
		CU_ASSERT_EQUAL(parse(&f).verdict, PE_NET_SILENT);
	}
}

static struct frame solicit(const uint8_t source[16], bool multicast)
{
	struct frame f = ip_frame(true, 0, 58, 24);
	uint8_t *ip = f.data + f.l3, *icmp = f.data + f.l4;

	memcpy(ip + 8, source, 16);
	if (multicast) {
		static const uint8_t group[13] = {0xFF, 0x02, [11] = 1, [12] = 0xFF};

		memcpy(ip + 24, group, 13);
		memcpy(f.data, "\x33\x33\xff\xaa\xbb\x01", 6);
	}
	icmp[0] = 135;
	memcpy(icmp + 8, our_v6, 16);
	mend_l4(&f, 58, 2);
	return f;
}

static void test_neighbours(void)
{
	static const uint8_t unspecified[16];

	for (unsigned multicast = 0; multicast < 2; multicast++)
		for (unsigned probe = 0; probe < 2; probe++) {
			struct pe_net_local local = local_of(0);
			struct frame f = solicit(probe ? unspecified : their_v6, multicast);
			struct pe_net_packet p = parse(&f);
			uint8_t *icmp = f.data + f.l4;

			if (probe && !multicast) { // it would be answered to all
				expect_reason("from nobody to one", &f, PE_REASON_not_udp);
				continue;
			}
			CU_ASSERT_EQUAL(p.verdict, PE_NET_ANSWER);
			CU_ASSERT_EQUAL(pe_net_answer(&local, &p, f.data, f.l4 + 31), 0); // no room
			f = solicit(probe ? unspecified : their_v6, multicast);
			f.bytes = pe_net_answer(&local, &p, f.data, sizeof f.data);
			CU_ASSERT_EQUAL(f.bytes, 86);
			CU_ASSERT_EQUAL(icmp[0], 136);
			CU_ASSERT_EQUAL(icmp[4], probe ? 0x20 : 0x60);
			CU_ASSERT(memcmp(icmp + 8, our_v6, 16) == 0);
			CU_ASSERT(memcmp(icmp + 24, "\2\1\2\0\0\0\0\1", 8) == 0);
			CU_ASSERT(memcmp(f.data + f.l3 + 8, our_v6, 16) == 0);
			CU_ASSERT_EQUAL(f.data[f.l3 + 7], 255);
			CU_ASSERT_EQUAL(f.data[f.l3 + 24], probe ? 0xFF : 0x20);
			CU_ASSERT_EQUAL(f.data[0], probe ? 0x33 : 0x02);
			CU_ASSERT_EQUAL(naive_sum(icmp, 32, naive_pseudo(&f, 58, 32)), 0xFFFF);
		}
	struct frame f = solicit(their_v6, true);

	f.data[f.l3 + 7] = 254; // from beyond a router
	expect_reason("hop limit", &f, PE_REASON_not_udp);
	f = solicit(their_v6, false);
	f.data[f.l4 + 23] ^= 1;
	mend_l4(&f, 58, 2);
	expect_reason("other target", &f, PE_REASON_not_for_us);
	f = solicit(their_v6, true);
	f.data[f.l3 + 39] ^= 1;
	mend_l4(&f, 58, 2);
	expect_reason("other group", &f, PE_REASON_not_for_us);
}

// Random damage to good frames and random bytes: never a read beyond the frame (run under a
// sanitizer), and whatever is taken lies inside it.
static void test_random(void)
{
	uint64_t seed = 88172645463325252ull;

	for (unsigned round = 0; round < 200000; round++) {
		struct frame f = round % 5 == 4 ? arp_frame() :
			round % 5 == 3          ? solicit(their_v6, true) :
						  udp_frame(round % 5 & 1, 0, round % 90);
		struct pe_net_packet p;

		for (unsigned i = 0; i < 3; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			f.data[seed % f.bytes] = (uint8_t)(seed >> 32);
		}
		if (seed >> 63)
			f.bytes = (uint32_t)(seed >> 20) % (f.bytes + 1);
		p = parse(&f);
		if (p.verdict == PE_NET_MESSAGE &&
			(uint32_t)p.payload_offset + p.payload_bytes > f.bytes)
			CU_FAIL("payload beyond the frame");
		if (p.verdict == PE_NET_REFUSED &&
			(p.reason == 0 || p.reason > PE_REASON_not_for_us))
			CU_FAIL("refused without a reason of the link");
	}
}

// The short way through the ordinary frame says what the long way says. A second address of our
// own, from which nobody sends, closes the short way.
static void test_short_way(void)
{
	struct pe_net_local one = local_of(0), two = local_of(0);
	uint64_t seed = 2463534242ull;
	unsigned messages = 0, verified = 0;

	two.v4_count = 2;
	memcpy(two.v4[1], (const uint8_t[]){192, 0, 2, 77}, 4);
	for (unsigned round = 0; round < 200000; round++) {
		struct frame f = udp_frame(false, 0, round % 90);
		unsigned done = round % 4;
		struct pe_net_packet a, b;

		if (round % 3) // no checksum
			set16(f.data + f.l4 + 6, 0);
		for (unsigned i = 0; i < 2; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			if (seed >> 61)
				f.data[seed % 44] ^= (uint8_t)(1u << (seed >> 32) % 8);
		}
		if (round % 7 == 0)
			f.bytes = (uint32_t)(seed >> 20) % (f.bytes + 1);
		if (round % 2) // so that more than its checksum is looked at
			mend_ip(&f);
		if (f.bytes > 33 && memcmp(f.data + 26, two.v4[1], 4) == 0)
			continue;
		pe_net_parse(&one, f.data, f.bytes, done, 0, &a);
		pe_net_parse(&two, f.data, f.bytes, done, 0, &b);
		if (f.bytes > 33 && memcmp(f.data + 30, two.v4[1], 4) == 0)
			continue;
		if (memcmp(&a, &b, sizeof a) != 0)
			CU_FAIL("the two ways differ");
		messages += a.verdict == PE_NET_MESSAGE;
		verified += a.verdict == PE_NET_MESSAGE && done == 3;
	}
	CU_ASSERT(messages > 10000 && messages < 190000 && verified > 1000);
}

static void test_steer(void)
{
	unsigned met[4] = {0};
	struct pe_net_packet p = {.peer_port = 1};

	for (unsigned i = 0; i < 4000; i++) {
		p.peer_address[15] = (uint8_t)i;
		p.peer_port = (uint16_t)(1000 + i / 256);
		met[pe_net_steer(&p, 7) % 4]++;
		CU_ASSERT_EQUAL(pe_net_steer(&p, 7), pe_net_steer(&p, 7));
	}
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT(met[i] > 800 && met[i] < 1200);
}

TESTING_MAIN("dataplane-net", {"a message, IPv4, IPv6, tagged", test_message},
	{"IPv4 options, no checksum", test_options_and_zero_checksum},
	{"every truncation is refused", test_every_truncation},
	{"refused: link", test_refused_link}, {"priority and stripped tags", test_priority_tag},
	{"refused: IPv4", test_refused_ipv4},
	{"sources that are all of a network", test_broadcast_sources},
	{"refused: IPv6", test_refused_ipv6}, {"refused: UDP", test_refused_udp},
	{"verified by the device", test_verified_by_device}, {"replies", test_reply},
	{"replies for an offload", test_reply_for_offload}, {"a sum of zero", test_zero_sum},
	{"ARP", test_arp}, {"echo", test_echo}, {"neighbour solicitation", test_neighbours},
	{"random damage", test_random}, {"the short way", test_short_way}, {"steering", test_steer})
