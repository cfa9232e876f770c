// A port that is steered, with a card made of software: a flood of strangers takes nothing from the
// known, and does where steering is off; what a burst is shared into, what a port does without, and
// what workers hand on.
#include "dataplane/eal.h"
#include "dataplane/ethdev.h"
#include "fake_flows.h"
#include "steer_frame.h"
#include "tests/testing.h"

#include <rte_eth_ring.h>
#include <string.h>

#define QUEUE_ROOM 256

static struct pe_config config;
static struct rte_ring *wires[2], *wire_out;
static struct rte_mempool *wire_pool;
static struct pe_source *source;
static unsigned serial;

static enum pe_status open_port(unsigned queues, const char *steering, unsigned workers,
	const char *more, struct pe_error *error)
{
	char name[32], text[512];

	serial++;
	for (unsigned q = 0; q < queues; q++) {
		snprintf(name, sizeof name, "card%u-%u", serial, q);
		wires[q] = rte_ring_create(
			name, QUEUE_ROOM, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	}
	snprintf(name, sizeof name, "card%u-out", serial);
	wire_out = rte_ring_create(name, QUEUE_ROOM, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!wire_pool)
		wire_pool = rte_pktmbuf_pool_create("wire", 4 * QUEUE_ROOM, 0, PE_ETHDEV_PRIVATE,
			RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	CU_ASSERT_FATAL(wire_out && wire_pool);
	snprintf(name, sizeof name, "card%u", serial);
	CU_ASSERT_FATAL(rte_eth_from_rings(name, wires, queues, &wire_out, 1, 0) >= 0);
	snprintf(text, sizeof text,
		"workers: {count: %u}\nadmitted: [0.0.0.0/0]\n%s"
		"sources:\n  - ethdev: {device: net_ring_card%u, addresses: [192.0.2.1/24], steer: %s}\n",
		workers, more, serial, steering);
	CU_ASSERT_EQUAL_FATAL(
		pe_config_load_text("test", text, strlen(text), &config, error), PE_OK);
	if (pe_ethdev_open(&config, 0, &source, error) != PE_OK)
		return error->status;
	memcpy(((struct pe_ethdev *)source)->local.mac, steer_mac, sizeof steer_mac);
	return PE_OK;
}

static void close_port(bool opened)
{
	if (opened)
		source->ops->close(source);
	CU_ASSERT_EQUAL(card.live, 0);
	for (unsigned q = 0; q < 2; q++) {
		rte_ring_free(wires[q]);
		wires[q] = NULL;
	}
	rte_ring_free(wire_out);
	pe_config_free(&config);
}

struct report {
	uint64_t known, other, rules;
};

static void take_report(void *context, const char *name, uint64_t value)
{
	struct report *r = context;

	if (strcmp(name, "rx_known") == 0)
		r->known = value;
	else if (strcmp(name, "rx_other") == 0)
		r->other = value;
	else if (strcmp(name, "steer_rules") == 0)
		r->rules = value;
}

static struct report report(void)
{
	struct report r = {0};

	source->ops->report(source, take_report, &r);
	return r;
}

// Onto the wire, and by the card into its queue. False: that is full.
static bool send_from(uint32_t address, uint16_t port)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);
	uint8_t from[16] = {[10] = 0xFF, [11] = 0xFF};
	uint8_t *frame;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	address = htonl(address);
	memcpy(from + 12, &address, 4);
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = (uint16_t)steer_frame(frame, from, 0, port, STEER_PORT);
	m->pkt_len = m->data_len;
	if (rte_ring_sp_enqueue(wires[fake_queue(frame, m->data_len)], m) == 0)
		return true;
	rte_pktmbuf_free(m);
	return false;
}

static struct pe_counters counters;

// A worker's turn; how many of its messages come from the known.
static unsigned turn(unsigned worker, unsigned max, unsigned *seen)
{
	struct pe_message messages[PE_BURST_MAX];
	unsigned known = 0,
		 count = source->ops->receive(source, worker, true, messages, max, seen, &counters);

	CU_ASSERT(*seen <= max);
	for (unsigned i = 0; i < count; i++)
		known += messages[i].peer.trusted;
	source->ops->release(source, worker);
	return known;
}

#define KNOWN    0x0A010005u // 10.1.0.5
#define STRANGER 0x0A020005u

// Ten times of what the worker takes, for hundreds of turns. Returns what is lost of the known's.
static unsigned flood(const char *steering, struct report *reported, unsigned *strangers_lost)
{
	unsigned sent = 0, lost = 0, got = 0, seen, all = 0, total = 0;
	struct pe_error error = {0};
	uint64_t seed = 0xF100D;

	memset(&counters, 0, sizeof counters);
	CU_ASSERT_EQUAL_FATAL(open_port(2, steering, 1, "trusted: [10.1.0.0/16]\n", &error), PE_OK);
	*strangers_lost = 0;
	for (unsigned n = 0; n < 400; n++) {
		// from 300 on nobody floods; what waits is worked off
		for (unsigned i = 0; n < 300 && i < 640; i++) {
			bool known = testing_random(&seed) % 40 == 0;
			bool there = send_from(known ? KNOWN : STRANGER, (uint16_t)(4000 + i));

			sent += known;
			lost += known && !there;
			*strangers_lost += !known && !there;
			total += there;
		}
		got += turn(0, PE_BURST_MAX, &seen);
		all += seen;
		CU_ASSERT(n >= 300 || seen == PE_BURST_MAX);
	}
	*reported = report();
	CU_ASSERT(sent > 4000);
	CU_ASSERT_EQUAL(got, sent - lost);
	CU_ASSERT_EQUAL(all, total);
	// each frame is counted, once
	CU_ASSERT_EQUAL(pe_counted(&counters, PE_COUNTER_rx_packets), total);
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(wire_pool), 0);
	close_port(true);
	return lost;
}

static void test_flood(void)
{
	unsigned strangers_lost;
	struct report r;

	fake_forget();
	CU_ASSERT_EQUAL(flood("auto", &r, &strangers_lost), 0);
	CU_ASSERT(strangers_lost > 100000);
	CU_ASSERT_EQUAL(r.rules, 3); // the prefix, ARP, the rest
	CU_ASSERT(r.known > 4000 && r.other > 4000);
	CU_ASSERT_EQUAL(r.known + r.other, pe_counted(&counters, PE_COUNTER_rx_packets));
	// in one queue with everybody they lose as much as everybody
	fake_forget();
	CU_ASSERT(flood("off", &r, &strangers_lost) > 2000);
	CU_ASSERT_EQUAL(card.validated, 0);
	CU_ASSERT_EQUAL(r.rules + r.known + r.other, 0);
	// and where the card refuses, the same
	fake_forget();
	card.no_rules = true;
	CU_ASSERT(flood("auto", &r, &strangers_lost) > 2000);
	CU_ASSERT_EQUAL(r.rules, 0);
	// What it takes first and refuses then leaves two queues that are looked at.
	fake_forget();
	card.no_create = true;
	CU_ASSERT(flood("auto", &r, &strangers_lost) > 2000);
	CU_ASSERT_EQUAL(r.rules, 0);
	CU_ASSERT_EQUAL(r.known + r.other, 0); // which tell nothing then
}

// Either has its part of every burst, and what the other leaves.
static void test_shares(void)
{
	static const unsigned waiting[][2] = {
		{200, 200}, {200, 0}, {0, 200}, {10, 200}, {200, 3}, {3, 5}, {0, 0}};
	static const unsigned bursts[] = {64, 32, 21, 16, 8, 5, 1};
	struct pe_error error = {0};

	fake_forget();
	CU_ASSERT_EQUAL_FATAL(open_port(2, "on", 1, "trusted: [10.1.0.0/16]\n", &error), PE_OK);
	for (unsigned b = 0; b < sizeof bursts / sizeof bursts[0]; b++)
		for (unsigned n = 0; n < sizeof waiting / sizeof waiting[0]; n++) {
			unsigned max = bursts[b], known = waiting[n][0], other = waiting[n][1];
			unsigned turns = 0;

			for (unsigned i = 0; i < known; i++)
				CU_ASSERT_TRUE(send_from(KNOWN, (uint16_t)(4000 + i)));
			for (unsigned i = 0; i < other; i++)
				CU_ASSERT_TRUE(send_from(STRANGER, (uint16_t)(4000 + i)));
			while (known + other && turns++ < 1000) {
				unsigned seen, of_known = turn(0, max, &seen);
				unsigned part = max >= 16 ? max / 4 & ~3u : max / 4;

				CU_ASSERT_EQUAL(seen, RTE_MIN(max, known + other));
				CU_ASSERT(of_known >= RTE_MIN(known, max - part));
				CU_ASSERT(seen - of_known >= RTE_MIN(other, part));
				known -= of_known;
				other -= seen - of_known;
			}
			CU_ASSERT_EQUAL(known + other, 0);
		}
	close_port(true);
}

// What is asked for and cannot be ends the start, with the reason.
static void expect_refused(unsigned queues, unsigned workers, const char *more, const char *text)
{
	struct pe_error error = {0};

	CU_ASSERT_EQUAL(open_port(queues, "on", workers, more, &error), PE_IO);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "steer is on, but the port cannot: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, text));
	if (!strstr(error.text, text))
		printf("\n    %s", error.text);
	close_port(false);
}

static void test_on(void)
{
	static const char one[] = "trusted: [10.1.0.0/16]\n",
			  two[] = "trusted: [10.1.0.0/16, 10.2.3.0/24]\n";
	struct pe_error error = {0};

	fake_forget();
	expect_refused(1, 1, one, "it has 1 receive queues");
	expect_refused(2, 1, "trusted: [0.0.0.0/0]\n", "nobody to keep apart");
	card.no_rules = true;
	expect_refused(2, 1, one, "Function not implemented");
	fake_forget();
	card.longest_v4 = 16;
	expect_refused(2, 1, two, "10.2.3.0/24 (the prefix is too long)");
	fake_forget();
	card.no_create = true;
	expect_refused(2, 1, one, "no room for rules");
	// with auto those that it takes are made
	fake_forget();
	card.longest_v4 = 16;
	CU_ASSERT_EQUAL_FATAL(open_port(2, "auto", 1, two, &error), PE_OK);
	CU_ASSERT_EQUAL(card.live, 3);
	close_port(true);
	// rules that can't be taken back are the port's to forget
	fake_forget();
	CU_ASSERT_EQUAL_FATAL(open_port(2, "on", 1, one, &error), PE_OK);
	card.no_destroy = true;
	source->ops->close(source);
	CU_ASSERT_EQUAL(card.live, 3);
	card.live = 0;
	close_port(false);
}

// One worker receives for two, from two queues; what is handed on is as before.
static void test_handed_on(void)
{
	struct pe_error error = {0};
	unsigned seen, known = 0, all = 0;

	fake_forget();
	memset(&counters, 0, sizeof counters);
	CU_ASSERT_EQUAL_FATAL(open_port(2, "on", 2, "trusted: [10.1.0.0/16]\n", &error), PE_OK);
	for (uint16_t i = 0; i < 200; i++) {
		CU_ASSERT_TRUE(send_from(KNOWN, (uint16_t)(4000 + i)));
		CU_ASSERT_TRUE(send_from(STRANGER, (uint16_t)(4000 + i)));
	}
	for (unsigned n = 0; n < 40; n++) {
		known += turn(0, PE_BURST_MAX, &seen);
		known += turn(1, PE_BURST_MAX, &seen);
		all += seen;
	}
	CU_ASSERT_EQUAL(known, 200);
	CU_ASSERT(all > 50); // worker 1 had its part
	CU_ASSERT_EQUAL(pe_counted(&counters, PE_COUNTER_rx_packets), 400);
	CU_ASSERT_EQUAL(report().known, 200);
	CU_ASSERT_EQUAL(report().other, 200);
	close_port(true);
}

int main(void)
{
	static const struct testing_case ports[] = {
		{"a flood of strangers", test_flood},
		{"shares of a burst", test_shares},
		{"on", test_on},
		{"handed on", test_handed_on},
	};
	static struct pe_config first;
	struct pe_error error = {0};
	int failed;

	if (pe_config_load_text("test", "workers: {count: 2}\n", 20, &first, &error) != PE_OK ||
		pe_eal_start(&first, &error) != PE_OK) {
		fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	failed = testing_main("dataplane: a steered port", ports, sizeof ports / sizeof ports[0]);
	pe_eal_stop();
	pe_config_free(&first);
	return failed;
}
