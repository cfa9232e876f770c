// Lists who is within so many metres of a point, the nearest first: query URI X Y METRES
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct presence_options options = {
		.uri = argc > 1 ? argv[1] : NULL,
	};
	struct presence_query query = {
		.volume = PRESENCE_NEAREST,
		.a = {argc > 2 ? atof(argv[2]) : 0, argc > 3 ? atof(argv[3]) : 0},
		.radius_m = argc > 4 ? atof(argv[4]) : 50,
		.results_max = 100,
	};
	struct presence_client *client;
	struct presence_answer answer;
	char error[256];
	int failed;

	if (presence_open(&options, &client, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	failed = presence_query(client, NULL, &query, &answer) != PRESENCE_OK;
	if (failed)
		fprintf(stderr, "%s\n", presence_error(client));
	for (size_t i = 0; i < answer.count; i++) {
		const struct presence_found *found = &answer.found[i];
		char id[37];

		presence_id_print(found->id, id);
		printf("%s %8.1f m  %s, %d ms ago\n", id, found->distance_m,
			presence_state_name(found->state), found->age_ms);
	}
	presence_answer_free(&answer);
	presence_close(client);
	return failed;
}
