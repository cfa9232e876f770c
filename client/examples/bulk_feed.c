// Moves so many entities around, so many times, as fast as the system takes it, with records that
// are made where they are sent from: bulk_feed URI ENTITIES ROUNDS
#include <poll.h>
#include <presence/bulk.h>
#include <stdio.h>
#include <stdlib.h>

// Until there is room for more on the way.
static void wait_for_room(struct presence_client *client)
{
	struct pollfd wait = {.fd = presence_socket(client), .events = POLLOUT};

	poll(&wait, 1, 100);
}

static enum presence_result move_all(
	struct presence_client *client, unsigned entities, unsigned round)
{
	enum presence_result result = PRESENCE_OK;

	for (unsigned next = 0; next < entities && !result;) {
		struct presence_record *records;
		unsigned n = 0;

		result = presence_reserve(client, NULL, &records);
		if (result == PRESENCE_WOULD_BLOCK) {
			wait_for_room(client);
			result = PRESENCE_OK;
			continue;
		}
		if (result)
			break;
		for (; n < PRESENCE_BATCH_MAX && next < entities; n++, next++) {
			records[n] = (struct presence_record){
				.position = {next % 1000, next / 1000, round % 100},
				.sequence = round + 1,
				.ttl_ms = 60000,
				.velocity = {0, 0, presence_half(1)},
				.type = PRESENCE_MOBILE,
			};
			presence_id_from_u64("feed", next, records[n].id);
		}
		result = presence_commit(client, n, false, NULL);
	}
	while (!result && (result = presence_flush(client, NULL)) == PRESENCE_WOULD_BLOCK) {
		wait_for_room(client);
		result = PRESENCE_OK;
	}
	return result;
}

int main(int argc, char **argv)
{
	struct presence_options options = {
		.uri = argc > 1 ? argv[1] : NULL,
	};
	unsigned entities = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	unsigned rounds = argc > 3 ? (unsigned)atoi(argv[3]) : 10;
	enum presence_result result = PRESENCE_OK;
	struct presence_client *client;
	char error[256];

	if (presence_open(&options, &client, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (unsigned round = 0; round < rounds && !result; round++)
		result = move_all(client, entities, round);
	if (result)
		fprintf(stderr, "%s\n", presence_error(client));
	printf("%llu updates in %llu packets\n",
		(unsigned long long)presence_traffic(client).records_sent,
		(unsigned long long)presence_traffic(client).packets_sent);
	presence_close(client);
	return result != PRESENCE_OK;
}
