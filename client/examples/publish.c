// Says where somebody is, and that they are busy, for a minute: publish URI X Y
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct presence_options options = {
		.uri = argc > 1 ? argv[1] : NULL,
	};
	struct presence_update update = {
		.position = {argc > 2 ? atof(argv[2]) : 0, argc > 3 ? atof(argv[3]) : 0},
		.sequence = 1,
		.type = PRESENCE_MOBILE,
		.state = PRESENCE_BUSY,
		.ttl_ms = 60000,
		.position_confidence = -1,
		.status_confidence = -1,
	};
	struct presence_client *client;
	struct presence_ack ack;
	char error[256];

	if (presence_open(&options, &client, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	presence_id_from_u64("people", 7, update.id);
	// In the engine's first space.
	if (presence_publish(client, NULL, &update, 1, &ack, NULL)) {
		fprintf(stderr, "%s\n", presence_error(client));
		presence_close(client);
		return 1;
	}
	printf("%s\n", presence_status_name(ack.status));
	if (ack.reason)
		printf("%s; %s\n", presence_reason_text(ack.reason),
			presence_reason_remedy(ack.reason));
	presence_close(client);
	return ack.status > PRESENCE_COALESCED;
}
