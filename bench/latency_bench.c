// presence-latency-bench: from the moment that a query was meant to leave to the moment its whole
// answer is in the asker's hands, at a given load. One process, two cores: a worker with the
// production source and loop on one, the asker on the other, and between them a DPDK port made of
// two rings (no kernel, no copy). The load is open: packets leave at random (exponential) distances
// whatever comes back, nine updates to one query of about 20 results.
//
// Prints {"ready": …} with the floor of the same port — one small packet, sent back by a loop that
// does nothing else — and then a line for each line of its input:
//   capacity SECONDS      as many packets a second as the worker takes
//   load:RATE SECONDS     so many packets a second; answers, p50, p99, p99.9 and the longest in
//                         microseconds
// With --echo there is no engine: a loop that takes a given time for each packet and makes a query
// its own answer. Under the same load it shows what of the quantiles is the machine's: whatever
// takes a core away makes an echo as late.
//   service NANOSECONDS   what the loop takes for a packet from now on
#include "client/tools/load_histogram.h"
#include "crowd.h"
#include "dataplane/eal.h"
#include "dataplane/ethdev.h"
#include "setup.h"
#include "stamper.h"

#include <dirent.h>
#include <math.h>
#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_PACKETS  4096u
#define BURST         32u
#define UNDER_WAY_MAX 65536u // a power of two
#define FLOOR_SAMPLES 200000u
#define AWAY_NS       20000.0
#define QUERY_EVERY   10u // packets
// packets that the asker may be late by before the load is called off
#define BEHIND_MAX 1000000.0

struct options {
	struct setup setup;
	bool echo;
};

static const struct argp_option option_list[] = {
	{"echo", 'E', NULL, 0, "a loop that answers instead of the engine", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;

	(void)argument;
	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = &o->setup;
	else if (key == 'E')
		o->echo = true;
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

struct asker {
	struct rte_ring *to, *from;
	struct rte_mempool *pool;
	struct stamper stamper;
	struct rte_mbuf *out[BURST];
	unsigned out_count;
	uint64_t random, sent, queries, answers, unsent;
	uint64_t left_at[UNDER_WAY_MAX]; // ticks, by a query's sequence; 0 = answered or never sent
	struct load_histogram ns;
	double ns_a_tick;
};

// ---- the floor ----

static _Atomic bool echo_stop; // written: main thread; read: the echo's

static int echo(void *context)
{
	struct rte_mbuf *burst[BURST];

	(void)context;
	while (!atomic_load_explicit(&echo_stop, memory_order_relaxed)) {
		uint16_t n = rte_eth_rx_burst(0, 0, burst, BURST), sent = 0;

		while (sent < n)
			sent += rte_eth_tx_burst(0, 0, burst + sent, n - sent);
	}
	return 0;
}

static _Atomic uint32_t service_ns; // written: main thread; read: the loop's

// A query becomes its answer, without results.
static void answer_in_place(uint8_t *frame)
{
	struct pe_wire_header header;
	struct pe_wire_answer answer = {.flags = PE_ANSWER_LAST};

	memcpy(&header, frame + 42, sizeof header);
	answer.request_sequence = header.sequence;
	header.type = PE_TYPE_SPATIAL_RESPONSE;
	header.count = 1;
	memcpy(frame + 42, &header, sizeof header);
	memcpy(frame + 42 + sizeof header, &answer, sizeof answer);
}

static int echo_load(void *context)
{
	const struct asker *a = context;
	struct rte_mbuf *burst[BURST];

	for (;;) {
		uint16_t n = rte_eth_rx_burst(0, 0, burst, BURST);

		for (unsigned i = 0; i < n; i++) {
			uint32_t ns = atomic_load_explicit(&service_ns, memory_order_relaxed);
			uint64_t until = rte_rdtsc() + (uint64_t)(ns / a->ns_a_tick);
			uint8_t *frame = rte_pktmbuf_mtod(burst[i], uint8_t *);

			while (rte_rdtsc() < until)
				;
			if (frame[42 + offsetof(struct pe_wire_header, type)] !=
				PE_TYPE_SPATIAL_QUERY) {
				rte_pktmbuf_free(burst[i]);
				continue;
			}
			answer_in_place(frame);
			while (rte_eth_tx_burst(0, 0, &burst[i], 1) == 0)
				;
		}
	}
	return 0;
}

static json_t *quantiles(const struct load_histogram *h)
{
	return json_pack("{s:f,s:f,s:f,s:f}", "p50_us",
		(double)load_histogram_quantile(h, 0.5) / 1000, "p99_us",
		(double)load_histogram_quantile(h, 0.99) / 1000, "p999_us",
		(double)load_histogram_quantile(h, 0.999) / 1000, "max_us",
		(double)h->largest / 1000);
}

static json_t *measure_floor(struct asker *a)
{
	unsigned lcore = rte_get_next_lcore(-1, 1, 0);
	struct rte_mbuf *m = rte_pktmbuf_alloc(a->pool);

	if (!m || rte_eal_remote_launch(echo, NULL, lcore) != 0)
		setup_fail("the floor cannot be measured", NULL);
	m->data_len = 64;
	m->pkt_len = 64;
	load_histogram_clear(&a->ns);
	for (unsigned i = 0; i < FLOOR_SAMPLES; i++) {
		uint64_t from = rte_rdtsc();
		void *back = NULL;

		while (rte_ring_sp_enqueue(a->to, m) != 0)
			;
		while (rte_ring_sc_dequeue(a->from, &back) != 0)
			;
		m = back;
		load_histogram_add(&a->ns, (uint64_t)((double)(rte_rdtsc() - from) * a->ns_a_tick));
	}
	rte_pktmbuf_free(m);
	atomic_store_explicit(&echo_stop, true, memory_order_relaxed);
	rte_eal_wait_lcore(lcore);
	return quantiles(&a->ns);
}

// ---- the load ----

static void send_out(struct asker *a)
{
	unsigned sent = rte_ring_sp_enqueue_burst(a->to, (void **)a->out, a->out_count, NULL);

	if (sent < a->out_count) {
		a->unsent += a->out_count - sent;
		rte_pktmbuf_free_bulk(a->out + sent, a->out_count - sent);
	}
	a->sent += sent;
	a->out_count = 0;
}

// One packet, meant to leave at `ticks`. False: no buffer.
static bool make(struct asker *a, uint64_t ticks, bool query)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(a->pool);
	uint8_t *frame;

	if (!m)
		return false;
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = (uint16_t)stamper_write(&a->stamper, frame, query);
	m->pkt_len = m->data_len;
	if (query) {
		a->left_at[a->stamper.packets % UNDER_WAY_MAX] = ticks;
		a->queries++;
	}
	a->out[a->out_count++] = m;
	if (a->out_count == BURST)
		send_out(a);
	return true;
}

static void read_answers(struct asker *a, const uint8_t *frame, uint32_t bytes)
{
	uint32_t at = 42 + sizeof(struct pe_wire_header);
	struct pe_wire_header header;
	uint64_t now = rte_rdtsc();

	if (bytes < at)
		return;
	memcpy(&header, frame + 42, sizeof header);
	if (header.type != PE_TYPE_SPATIAL_RESPONSE)
		return;
	for (unsigned i = 0; i < header.count; i++) {
		struct pe_wire_answer answer;
		uint64_t *left;

		if (at + sizeof answer > bytes)
			return;
		memcpy(&answer, frame + at, sizeof answer);
		at += (uint32_t)(sizeof answer +
			answer.result_count * sizeof(struct pe_wire_result));
		left = &a->left_at[answer.request_sequence % UNDER_WAY_MAX];
		if (!(answer.flags & PE_ANSWER_LAST) || !*left)
			continue;
		load_histogram_add(&a->ns, (uint64_t)((double)(now - *left) * a->ns_a_tick));
		*left = 0;
		a->answers++;
	}
}

static void receive(struct asker *a)
{
	struct rte_mbuf *burst[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(a->from, (void **)burst, BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		read_answers(a, rte_pktmbuf_mtod(burst[i], const uint8_t *), burst[i]->pkt_len);
	rte_pktmbuf_free_bulk(burst, n);
}

static void begin(struct asker *a)
{
	load_histogram_clear(&a->ns);
	memset(a->left_at, 0, sizeof a->left_at);
	a->sent = a->queries = a->answers = a->unsent = 0;
}

static void finish(struct asker *a)
{
	double until = tool_seconds() + 0.2;

	send_out(a);
	while (a->answers < a->queries && tool_seconds() < until)
		receive(a);
}

// As many as go: a burst whenever half of the ring is free.
static double capacity(struct asker *a, double length)
{
	double from = tool_seconds(), now = from;
	unsigned turn = 0;

	begin(a);
	while (now - from < length) {
		if (rte_ring_free_count(a->to) > RING_PACKETS / 2)
			for (unsigned i = 0; i < BURST; i++)
				(void)make(a, rte_rdtsc(), turn++ % QUERY_EVERY == 0);
		receive(a);
		now = tool_seconds();
	}
	double rate = (double)a->sent / (now - from);

	finish(a);
	return rate;
}

static double exponential(struct asker *a)
{
	return -log(((double)(crowd_random(&a->random) >> 12) + 1) * 0x1p-52);
}

// When its core was taken from the asker: what it then sent late counts from the time that it was
// meant for, so that this is in the quantiles, and is not the engine's.
struct away {
	uint64_t least, sum, most; // ticks; shorter gaps between two looks at the clock are work
};

static void look(struct away *away, uint64_t gap)
{
	if (gap < away->least)
		return;
	away->sum += gap;
	if (gap > away->most)
		away->most = gap;
}

// Nanoseconds for which the worker was ready to run and another thread had its core (proc(5),
// schedstat); the worker is who ran longest of the threads that are not the asker.
static uint64_t worker_waited_ns(void)
{
	unsigned long long ran, waited, most = 0, its = 0;
	struct dirent *task;
	DIR *tasks = opendir("/proc/self/task");

	while (tasks && (task = readdir(tasks))) {
		char path[300];
		FILE *file;

		if (atoi(task->d_name) == getpid() || task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%llu %llu", &ran, &waited) == 2 && ran > most) {
			most = ran;
			its = waited;
		}
		fclose(file);
	}
	if (tasks)
		closedir(tasks);
	return its;
}

static json_t *load(struct asker *a, double rate, double length)
{
	double ticks_a_packet = 1e9 / a->ns_a_tick / rate, due;
	uint64_t from = rte_rdtsc(), end = from + (uint64_t)(length * 1e9 / a->ns_a_tick);
	uint64_t before = from;
	struct away away = {.least = (uint64_t)(AWAY_NS / a->ns_a_tick)};
	uint64_t waited = worker_waited_ns();
	unsigned turn = 0;
	json_t *o;

	begin(a);
	due = (double)from + exponential(a) * ticks_a_packet;
	for (uint64_t now = from; now < end; now = rte_rdtsc()) {
		unsigned made = 0;

		look(&away, now - before);
		before = now;
		while (due <= (double)now && made < BURST &&
			make(a, (uint64_t)due, turn % QUERY_EVERY == 0)) {
			due += exponential(a) * ticks_a_packet;
			turn++;
			made++;
		}
		if (a->out_count)
			send_out(a);
		receive(a);
		if ((double)now - due > BEHIND_MAX * ticks_a_packet)
			break; // the answer says how few left
	}
	waited = worker_waited_ns() - waited;
	finish(a);
	o = quantiles(&a->ns);
	json_object_set_new(o, "rate", json_real((double)turn / length));
	json_object_set_new(o, "queries", json_integer((json_int_t)a->queries));
	json_object_set_new(o, "answers", json_integer((json_int_t)a->answers));
	json_object_set_new(o, "unsent", json_integer((json_int_t)a->unsent));
	json_object_set_new(o, "away_us", json_real((double)away.most * a->ns_a_tick / 1000));
	json_object_set_new(
		o, "away_share", json_real((double)away.sum * a->ns_a_tick / 1e9 / length));
	json_object_set_new(o, "worker_away_share", json_real((double)waited / 1e9 / length));
	return o;
}

static void fill(struct asker *a)
{
	uint32_t packets = (a->stamper.entity_count + a->stamper.records - 1) / a->stamper.records;

	for (uint32_t i = 0; i < packets;) {
		if (rte_ring_free_count(a->to) > BURST && make(a, 0, false))
			i++;
		else
			send_out(a);
		receive(a);
	}
	send_out(a);
}

static void serve(struct asker *a)
{
	char text[128];
	double rate, length;

	while (fgets(text, sizeof text, stdin)) {
		if (sscanf(text, "capacity %lf", &length) == 1 && length > 0 && length <= 60)
			tool_print(json_pack("{s:f}", "packets", capacity(a, length)), 0);
		else if (sscanf(text, "service %lf", &rate) == 1 && rate >= 0 && rate <= 1e6) {
			atomic_store_explicit(&service_ns, (uint32_t)rate, memory_order_relaxed);
			tool_print(json_pack("{s:f}", "service_ns", rate), 0);
		} else if (sscanf(text, "load:%lf %lf", &rate, &length) == 2 && rate >= 1 &&
			rate <= 1e9 && length > 0 && length <= 60)
			tool_print(load(a, rate, length), 0);
		else
			tool_print(json_pack("{s:s}", "error", "not a load"), 0);
	}
}

static void make_port(struct asker *a)
{
	a->to = rte_ring_create(
		"bench-to", RING_PACKETS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	a->from = rte_ring_create(
		"bench-from", RING_PACKETS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	// The rings pass buffers on as they are, so these have what the source keeps beside a
	// frame.
	a->pool = rte_pktmbuf_pool_create("bench", 4 * RING_PACKETS - 1, 256, PE_ETHDEV_PRIVATE,
		RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!a->to || !a->from || !a->pool ||
		rte_eth_from_rings("bench", &a->to, 1, &a->from, 1, 0) < 0)
		setup_fail("no port of rings", NULL);
}

int main(int argc, char **argv)
{
	struct options options = {.setup = SETUP_DEFAULT};
	const struct setup *setup = &options.setup;
	static const struct argp_child children[] = {{.argp = &setup_argp}, {0}};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.children = children,
		.doc = "Request to answer over a port of rings, two cores of one machine."};
	static struct pe_config config;
	static struct pe_workers workers;
	static struct asker a;
	struct pe_error error;
	uint8_t mac[6];
	json_t *floor;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	setup_config(setup, "", &config);
	if (pe_eal_start(&config, &error) != PE_OK)
		setup_fail("EAL", &error);
	if (!tool_pin(setup->control_core))
		perror("presence-latency-bench: not pinned");
	make_port(&a);
	snprintf(config.sources[0].device, sizeof config.sources[0].device, "net_ring_bench");
	setup_open(&config, &workers, mac);
	a.ns_a_tick = 1e9 / (double)rte_get_tsc_hz();
	a.random = CROWD_RANDOM;
	a.stamper = (struct stamper){
		.records = 16, .entity_count = setup->entities, .query_share = 0.1, .hits = 20};
	memcpy(a.stamper.to_mac, mac, sizeof mac);
	floor = measure_floor(&a);
	stamper_init(&a.stamper);
	if (options.echo) {
		if (rte_eal_remote_launch(echo_load, &a, rte_get_next_lcore(-1, 1, 0)) != 0)
			setup_fail("the loop that answers", NULL);
	} else {
		if (pe_workers_start(&workers, &error) != PE_OK)
			setup_fail("workers", &error);
		fill(&a);
		setup_wait_filled(workers.engine, setup->entities);
	}
	// From here on one record a packet.
	uint32_t sequence = a.stamper.sequence;
	a.stamper.records = 1;
	stamper_init(&a.stamper);
	a.stamper.filled = setup->entities;
	a.stamper.sequence = sequence;
	tool_print(json_pack("{s:{s:i,s:b,s:o}}", "ready", "entities", setup->entities,
			   "huge_pages", !setup->no_huge, "floor", floor),
		0);
	serve(&a);
	_exit(EXIT_SUCCESS);
}
