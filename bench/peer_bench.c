// presence-peer-bench: one client of a server on the loopback, the same crowd and the same
// questions for each kind of server:
//
//   redis  a Redis on TCP: GEOADD of an entity that moved, GEOSEARCH about a place, pipelined over
//          a few connections
//   udp    a presenced through its socket source: packets of 16 updates, queries one a packet
//
// It fills the server with the crowd, prints {"ready": …}, and then a line for each line of its
// input:
//   update:DEPTH SECONDS      records a second that the server applied
//   jump:DEPTH SECONDS        redis: the same, each to anywhere
//   query:HITS:DEPTH SECONDS  answers a second, and results in each
// DEPTH is how many commands (redis: a connection) or packets (udp) are under way at most.
#include "crowd.h"
#include "tools.h"
#include "wire/decode.h"
#include "wire/encode.h"

#include "base/counters.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS  4u
#define DEPTH_MAX    1024u
#define COMMAND_MAX  256u
#define WAIT_MS      2000
#define BATCH        32u // datagrams a call
#define METRES_A_DEG 111319.49

struct options {
	const char *kind;
	uint32_t entities;
	uint16_t port;
	int core;
};

static const struct argp_option option_list[] = {
	{"entities", 'e', "N", 0, "entities (1000000)", 0},
	{"port", 'p', "PORT", 0, "the server's, on 127.0.0.1", 0},
	{"core", 'c', "N", 0, "core (0)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	char *end = NULL;
	unsigned long value = 0;

	if (key == ARGP_KEY_ARG) {
		if (strcmp(argument, "redis") != 0 && strcmp(argument, "udp") != 0)
			argp_error(state, "redis or udp");
		o->kind = argument;
		return 0;
	}
	if (key == ARGP_KEY_END && (!o->kind || !o->port))
		argp_error(state, "which server, and which --port?");
	if (argument) {
		value = strtoul(argument, &end, 10);
		if (*end || end == argument || value > 1u << 26)
			argp_error(state, "\"%s\" is not a number in range", argument);
	}
	switch (key) {
	case 'e':
		o->entities = (uint32_t)value;
		return 0;
	case 'p':
		o->port = (uint16_t)value;
		return 0;
	case 'c':
		o->core = (int)value;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void fail(const char *what)
{
	fprintf(stderr, "presence-peer-bench: %s (%s)\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

struct client {
	const struct options *options;
	int fd[CONNECTIONS];
	double side_m;
	uint64_t random;
	uint32_t sequence; // of records
	uint64_t packet;   // of packets
	uint64_t done, results, lost;
};

enum operation { UPDATE, JUMP, QUERY };
struct work {
	enum operation operation;
	double radius_m;
	unsigned depth;
};

static void somewhere(struct client *c, double radius_m, double a[2])
{
	uint64_t random = crowd_random(&c->random);
	double room = c->side_m - 2 * radius_m;

	a[0] = radius_m + (double)(random >> 32) * 0x1p-32 * room;
	a[1] = radius_m + (double)(random & 0xFFFFFFFFu) * 0x1p-32 * room;
}

static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, WAIT_MS) != 1) {
		errno = ETIMEDOUT;
		fail("the server is silent");
	}
}

// ---- Redis ----

static unsigned put_arguments(char *to, const char *const *arguments, unsigned count)
{
	int used = sprintf(to, "*%u\r\n", count);

	for (unsigned i = 0; i < count; i++)
		used += sprintf(to + used, "$%zu\r\n%s\r\n", strlen(arguments[i]), arguments[i]);
	return (unsigned)used;
}

// The square lies at the equator, where a degree is as long either way.
static unsigned put_command(struct client *c, const struct work *w, uint32_t number, char *to)
{
	char longitude[32], latitude[32], radius[32], member[32];
	double p[3];

	if (w->operation == QUERY)
		somewhere(c, w->radius_m, p);
	else if (w->operation == JUMP)
		somewhere(c, 0, p);
	else
		crowd_place(number, c->sequence++, c->side_m, p);
	snprintf(longitude, sizeof longitude, "%.8f", p[0] / METRES_A_DEG);
	snprintf(latitude, sizeof latitude, "%.8f", p[1] / METRES_A_DEG);
	if (w->operation == QUERY) {
		snprintf(radius, sizeof radius, "%.2f", w->radius_m);
		return put_arguments(to,
			(const char *const[]){"GEOSEARCH", "crowd", "FROMLONLAT", longitude,
				latitude, "BYRADIUS", radius, "m"},
			8);
	}
	snprintf(member, sizeof member, "m%08u", number);
	return put_arguments(
		to, (const char *const[]){"GEOADD", "crowd", longitude, latitude, member}, 5);
}

static void send_commands(struct client *c, int fd, const struct work *w, const uint32_t *first)
{
	static char buffer[DEPTH_MAX * COMMAND_MAX];
	size_t bytes = 0, sent = 0;

	for (unsigned i = 0; i < w->depth; i++) {
		uint32_t number = first ?
			*first + i :
			crowd_below(crowd_random(&c->random), c->options->entities);

		bytes += put_command(c, w, number, buffer + bytes);
	}
	while (sent < bytes) {
		ssize_t n = send(fd, buffer + sent, bytes - sent, MSG_NOSIGNAL);

		if (n <= 0)
			fail("sending to the server");
		sent += (size_t)n;
	}
}

// A reader of replies: integers, errors, and arrays of strings, whose number is counted.
struct reader {
	char buffer[1 << 16];
	size_t at, end;
};

static char next_byte(struct reader *r, int fd)
{
	if (r->at == r->end) {
		ssize_t n;

		wait_readable(fd);
		n = recv(fd, r->buffer, sizeof r->buffer, 0);
		if (n <= 0)
			fail("the server closed the connection");
		r->at = 0;
		r->end = (size_t)n;
	}
	return r->buffer[r->at++];
}

static long read_number(struct reader *r, int fd)
{
	long value = 0;

	for (char b; (b = next_byte(r, fd)) != '\n';)
		if (b >= '0' && b <= '9')
			value = value * 10 + (b - '0');
	return value;
}

static void read_reply(struct client *c, struct reader *r, int fd)
{
	char kind = next_byte(r, fd);
	long count = read_number(r, fd);

	if (kind == '-')
		fail("the server refused a command");
	if (kind == '*') {
		for (long i = 0; i < count; i++) {
			long length;

			(void)next_byte(r, fd);
			length = read_number(r, fd) + 2;
			while (length-- > 0)
				(void)next_byte(r, fd);
		}
		c->results += (uint64_t)count;
	}
	c->done++;
}

// The connections take turns, so that the server has work while one's replies are read.
static void redis_run(struct client *c, const struct work *w, double length)
{
	static struct reader readers[CONNECTIONS];
	double until = tool_seconds() + length;

	for (unsigned k = 0; k < CONNECTIONS; k++)
		send_commands(c, c->fd[k], w, NULL);
	for (unsigned k = 0;; k = (k + 1) % CONNECTIONS) {
		for (unsigned i = 0; i < w->depth; i++)
			read_reply(c, &readers[k], c->fd[k]);
		if (tool_seconds() >= until) {
			for (unsigned other = (k + 1) % CONNECTIONS; other != k;
				other = (other + 1) % CONNECTIONS)
				for (unsigned i = 0; i < w->depth; i++)
					read_reply(c, &readers[other], c->fd[other]);
			return;
		}
		send_commands(c, c->fd[k], w, NULL);
	}
}

static void redis_fill(struct client *c)
{
	static struct reader reader;
	struct work w = {.operation = UPDATE, .depth = 500};

	for (uint32_t n = 0; n < c->options->entities; n += w.depth) {
		if (c->options->entities - n < w.depth)
			w.depth = c->options->entities - n;
		send_commands(c, c->fd[0], &w, &n);
		for (unsigned i = 0; i < w.depth; i++)
			read_reply(c, &reader, c->fd[0]);
	}
}

// ---- UDP ----

#define UPDATE_BYTES \
	(sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble) + \
		PE_UPDATE_COUNT_MAX * sizeof(struct pe_wire_update))

static uint32_t put_updates(struct client *c, uint8_t *to, bool ack, const uint32_t *first)
{
	struct pe_wire_header header = {
		.stream_id = 1, .sequence = ++c->packet, .flags = ack ? PE_FLAG_ACK : 0};
	struct pe_wire_update_preamble preamble = {.incarnation = CROWD_INCARNATION};
	struct pe_wire_update records[PE_UPDATE_COUNT_MAX] = {0};
	unsigned count = PE_UPDATE_COUNT_MAX;

	if (first && c->options->entities - *first < count)
		count = c->options->entities - *first;
	for (unsigned r = 0; r < count; r++) {
		uint32_t number = first ?
			*first + r :
			crowd_below(crowd_random(&c->random), c->options->entities);

		records[r].entity_type = PE_ENTITY_MOBILE;
		records[r].sequence = ++c->sequence;
		crowd_id(number, records[r].entity_id);
		crowd_place(number, c->sequence, c->side_m, records[r].position);
	}
	return pe_wire_put_update(to, PE_WIRE_BYTES_MAX, &header, &preamble, records, count);
}

static uint32_t put_query(struct client *c, const struct work *w, uint8_t *to)
{
	struct pe_wire_header header = {.stream_id = 1, .sequence = ++c->packet};
	struct pe_wire_query query = {.query_id = 1,
		.kind = PE_QUERY_SPHERE,
		.a = {0, 0, CROWD_HEIGHT_M},
		.b = {w->radius_m}};

	somewhere(c, w->radius_m, query.a);
	return pe_wire_put_query(to, PE_WIRE_BYTES_MAX, &header, &query, 1);
}

// How many requests the datagrams that are there complete: answers, and for updates what an
// acknowledgement covers.
static unsigned take(struct client *c, bool wait, unsigned ack_covers)
{
	static uint8_t buffers[BATCH][PE_WIRE_BYTES_MAX];
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH];
	struct pollfd p = {.fd = c->fd[0], .events = POLLIN};
	unsigned completed = 0;
	int n;

	if (wait && poll(&p, 1, 20) != 1)
		return 0;
	for (unsigned i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){buffers[i], sizeof buffers[i]};
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	n = recvmmsg(c->fd[0], messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct pe_wire_header header;
		uint32_t at = sizeof header;

		if (messages[i].msg_len < sizeof header)
			continue;
		memcpy(&header, buffers[i], sizeof header);
		if (header.type == PE_TYPE_SPATIAL_UPDATE) {
			completed += ack_covers;
			continue;
		}
		for (unsigned a = 0; header.type == PE_TYPE_SPATIAL_RESPONSE && a < header.count;
			a++) {
			struct pe_wire_answer answer;

			if (at + sizeof answer > messages[i].msg_len)
				break;
			memcpy(&answer, buffers[i] + at, sizeof answer);
			at += (uint32_t)(sizeof answer +
				answer.result_count * sizeof(struct pe_wire_result));
			c->results += answer.result_count;
			completed += (answer.flags & PE_ANSWER_LAST) != 0;
		}
	}
	return completed;
}

static void send_batch(
	struct client *c, const struct work *w, unsigned count, const uint32_t *first)
{
	static uint8_t buffers[BATCH][PE_WIRE_BYTES_MAX];
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH];
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++) {
		uint32_t number = first ? *first + i * PE_UPDATE_COUNT_MAX : 0;

		parts[i].iov_base = buffers[i];
		parts[i].iov_len = w->operation == QUERY ?
			put_query(c, w, buffers[i]) :
			put_updates(c, buffers[i], i == count - 1, first ? &number : NULL);
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (sent < count) {
		int n = sendmmsg(c->fd[0], messages + sent, count - sent, 0);

		if (n <= 0)
			fail("sending to the server");
		sent += (unsigned)n;
	}
}

static uint64_t udp_applied(struct client *c)
{
	struct pe_wire_header header = {.stream_id = 1, .sequence = ++c->packet};
	struct pe_wire_state_request request = {.selector = PE_STATE_COUNTERS};
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_view view;
	uint64_t applied = 0;
	uint32_t bytes = pe_wire_put_state_request(buffer, sizeof buffer, &header, &request);
	ssize_t n;

	if (send(c->fd[0], buffer, bytes, 0) < 0)
		fail("sending to the server");
	for (;;) {
		wait_readable(c->fd[0]);
		n = recv(c->fd[0], buffer, sizeof buffer, 0);
		if (n > 0 && pe_wire_check_reply(buffer, (uint32_t)n, &view) == PE_REASON_none &&
			view.header.type == PE_TYPE_STATE_RESPONSE)
			break;
	}
	if (!view.count) {
		errno = EPERM;
		fail("the server does not tell its counters");
	}
	for (unsigned i = 0; i < view.count; i++) {
		struct pe_wire_counter counter;

		pe_wire_get_counter(&view, i, &counter);
		if (counter.index == PE_COUNTER_records_applied ||
			counter.index == PE_COUNTER_records_coalesced)
			applied += counter.value;
	}
	return applied;
}

// At most `depth` packets under way. One that is not heard of within 20 ms is counted as lost, with
// what is behind it.
static void udp_run(struct client *c, const struct work *w, double length)
{
	unsigned batch = w->depth < BATCH ? w->depth : BATCH, under_way = 0;
	double until = tool_seconds() + length;

	while (tool_seconds() < until) {
		unsigned completed;

		while (under_way + batch <= w->depth) {
			send_batch(c, w, batch, NULL);
			under_way += batch;
		}
		completed = take(c, true, batch);
		if (!completed) {
			c->lost += under_way;
			under_way = 0;
			continue;
		}
		completed = completed < under_way ? completed : under_way;
		under_way -= completed;
		c->done += completed;
	}
	for (unsigned i = 0; i < 50 && under_way; i++) {
		unsigned completed = take(c, true, batch);

		under_way -= completed < under_way ? completed : under_way;
		c->done += completed;
	}
}

static void udp_fill(struct client *c)
{
	struct work w = {.operation = UPDATE};
	uint32_t each = 8 * PE_UPDATE_COUNT_MAX;

	for (uint32_t n = 0; n < c->options->entities; n += each) {
		uint32_t left =
			(c->options->entities - n + PE_UPDATE_COUNT_MAX - 1) / PE_UPDATE_COUNT_MAX;

		send_batch(c, &w, left < 8 ? left : 8, &n);
		if (!take(c, true, 1))
			c->lost++;
	}
}

// ---- both ----

static void open_sockets(struct client *c)
{
	bool udp = strcmp(c->options->kind, "udp") == 0;
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(c->options->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int bytes = 4 << 20, on = 1;

	for (unsigned i = 0; i < (udp ? 1 : CONNECTIONS); i++) {
		c->fd[i] = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		if (c->fd[i] < 0 || connect(c->fd[i], (struct sockaddr *)&to, sizeof to) != 0)
			fail("no connection");
		(void)setsockopt(c->fd[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
		if (!udp)
			(void)setsockopt(c->fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	}
}

static bool parse_work(const char *text, struct work *w, double *length, double *hits)
{
	*w = (struct work){0};
	*hits = 0;
	if (sscanf(text, "update:%u %lf", &w->depth, length) == 2)
		w->operation = UPDATE;
	else if (sscanf(text, "jump:%u %lf", &w->depth, length) == 2)
		w->operation = JUMP;
	else if (sscanf(text, "query:%lf:%u %lf", hits, &w->depth, length) == 3)
		w->operation = QUERY;
	else
		return false;
	w->radius_m = crowd_radius_m(*hits);
	return w->depth >= 1 && w->depth <= DEPTH_MAX && *length > 0 && *length <= 60 &&
		(w->operation != QUERY || (*hits > 0 && *hits <= 4000));
}

static void serve(struct client *c)
{
	bool udp = strcmp(c->options->kind, "udp") == 0;
	char text[128];

	while (fgets(text, sizeof text, stdin)) {
		double length, hits, from;
		uint64_t before = 0;
		struct work w;

		if (!parse_work(text, &w, &length, &hits) || (udp && w.operation == JUMP)) {
			printf("{\"error\": \"not a work\"}\n");
			fflush(stdout);
			continue;
		}
		c->done = c->results = c->lost = 0;
		if (udp && w.operation == UPDATE)
			before = udp_applied(c);
		from = tool_seconds();
		if (udp)
			udp_run(c, &w, length);
		else
			redis_run(c, &w, length);
		length = tool_seconds() - from;
		if (udp && w.operation == UPDATE)
			c->done = udp_applied(c) - before;
		printf("{\"operations\": %.1f, \"results\": %.3f, \"lost\": %llu}\n",
			(double)c->done / length,
			c->done ? (double)c->results / (double)c->done : 0,
			(unsigned long long)c->lost);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.entities = 1000000};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.args_doc = "redis|udp",
		.doc = "One client of a server on the loopback."};
	static struct client c;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (!tool_pin(o.core))
		perror("presence-peer-bench: not pinned");
	c = (struct client){
		.options = &o, .side_m = crowd_side_m(o.entities), .random = CROWD_RANDOM};
	open_sockets(&c);
	if (strcmp(o.kind, "udp") == 0)
		udp_fill(&c);
	else
		redis_fill(&c);
	printf("{\"ready\": {\"entities\": %u, \"lost\": %llu}}\n", o.entities,
		(unsigned long long)c.lost);
	fflush(stdout);
	serve(&c);
	return EXIT_SUCCESS;
}
