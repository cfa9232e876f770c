// What it costs to send through libpresence: presence-send-bench bare|bulk|send PACKETS
//
// The same packets of 16 records to a socket on this machine that nobody reads, three ways: made
// and handed to sendmmsg by hand, 32 at a time; by presence_reserve and presence_commit; by
// presence_send. tests/clients/send_cost counts the instructions of each.
#include "client/bulk.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ENTITIES 4096
#define BATCH    32
#define RECORDS  PRESENCE_BATCH_MAX

// What a feed knows of its entities.
static struct {
	uint8_t id[16];
	double position[3];
	float velocity[3];
	uint32_t sequence;
} entities[ENTITIES];

static void make_entities(void)
{
	for (unsigned i = 0; i < ENTITIES; i++) {
		presence_id_from_u64("bench", i, entities[i].id);
		entities[i].position[0] = i;
		entities[i].velocity[0] = 1;
	}
}

static inline void fill(struct presence_record *record, unsigned i)
{
	*record = (struct presence_record){
		.position = {entities[i].position[0], entities[i].position[1],
			entities[i].position[2]},
		.sequence = ++entities[i].sequence,
		.ttl_ms = 30000,
		.type = PRESENCE_MOBILE,
	};
	memcpy(record->id, entities[i].id, sizeof record->id);
}

// A message as a program lays it out that knows the protocol page and nothing else.
struct message {
	struct pe_wire_header header;
	struct pe_wire_update_preamble preamble;
	struct presence_record records[RECORDS];
};

static int by_hand(int fd, unsigned packets)
{
	static struct message messages[BATCH];
	static struct mmsghdr headers[BATCH];
	static struct iovec parts[BATCH];
	uint64_t sequence = 0;
	unsigned next = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){&messages[i], sizeof messages[i]};
		headers[i].msg_hdr.msg_iov = &parts[i];
		headers[i].msg_hdr.msg_iovlen = 1;
	}
	for (unsigned done = 0; done < packets; done += BATCH) {
		for (unsigned i = 0; i < BATCH; i++) {
			struct message *m = &messages[i];
			struct timespec now;

			clock_gettime(CLOCK_REALTIME, &now);
			m->header = (struct pe_wire_header){.version = PE_WIRE_VERSION,
				.type = PE_TYPE_SPATIAL_UPDATE,
				.stream_id = 1,
				.sequence = ++sequence,
				.timestamp_ms = (uint64_t)now.tv_sec * 1000 +
					(uint64_t)now.tv_nsec / 1000000,
				.count = RECORDS};
			m->preamble = (struct pe_wire_update_preamble){.incarnation = 1};
			memcpy(m->preamble.broadcast_id, &sequence, sizeof sequence);
			for (unsigned r = 0; r < RECORDS; r++, next = (next + 1) % ENTITIES)
				fill(&m->records[r], next);
		}
		for (int sent = 0, n; sent < BATCH; sent += n) {
			n = sendmmsg(fd, headers + sent, (unsigned)(BATCH - sent), 0);
			if (n <= 0)
				return -1;
		}
	}
	return 0;
}

static int in_bulk(struct presence_client *client, unsigned packets)
{
	struct presence_record *records;
	unsigned next = 0;

	for (unsigned done = 0; done < packets; done++) {
		if (presence_reserve(client, NULL, &records))
			return -1;
		for (unsigned r = 0; r < RECORDS; r++, next = (next + 1) % ENTITIES)
			fill(&records[r], next);
		if (presence_commit(client, RECORDS, false, NULL))
			return -1;
	}
	return presence_flush(client, NULL) ? -1 : 0;
}

static int one_by_one(struct presence_client *client, unsigned packets)
{
	static struct presence_update updates[BATCH * RECORDS];
	unsigned next = 0;

	for (unsigned done = 0; done < packets; done += BATCH) {
		for (unsigned i = 0; i < BATCH * RECORDS; i++, next = (next + 1) % ENTITIES) {
			updates[i] = (struct presence_update){
				.position = {entities[next].position[0], entities[next].position[1],
					entities[next].position[2]},
				.sequence = ++entities[next].sequence,
				.ttl_ms = 30000,
				.type = PRESENCE_MOBILE,
				.position_confidence = -1,
				.status_confidence = -1,
			};
			memcpy(updates[i].id, entities[next].id, sizeof updates[i].id);
		}
		if (presence_send(client, NULL, updates, BATCH * RECORDS, NULL))
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	unsigned packets = argc > 2 ? (unsigned)atoi(argv[2]) / BATCH * BATCH : 0;
	const char *how = argc > 1 ? argv[1] : "";
	int sink = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0), failed;
	struct presence_options options = {.stream_id = 1, .incarnation = 1};
	socklen_t bytes = sizeof to;
	struct presence_client *client;

	if (bind(sink, (struct sockaddr *)&to, bytes) ||
		getsockname(sink, (struct sockaddr *)&to, &bytes) ||
		connect(out, (struct sockaddr *)&to, bytes)) {
		perror("socket");
		return 1;
	}
	options.port = ntohs(to.sin_port);
	if (presence_open(&options, &client, NULL, 0))
		return 1;
	make_entities();
	if (strcmp(how, "bare") == 0)
		failed = by_hand(out, packets);
	else if (strcmp(how, "bulk") == 0)
		failed = in_bulk(client, packets);
	else
		failed = one_by_one(client, packets);
	printf("{\"packets\": %u, \"records\": %u}\n", packets, packets * RECORDS);
	presence_close(client);
	close(out);
	close(sink);
	return failed ? 1 : 0;
}
