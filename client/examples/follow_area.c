// Tells who comes into an area and who leaves it, until a signal, whatever becomes of the engine
// meanwhile: follow_area URI X Y METRES
#include <presence/watch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void tell(const struct presence_watch_event *event)
{
	char id[37];

	presence_id_print(event->entity.id, id);
	switch (event->kind) {
	case PRESENCE_ENTER:
	case PRESENCE_LEAVE:
		printf("%s %s\n", presence_event_name(event->kind), id);
		break;
	case PRESENCE_GAP: // who was inside is told again
	case PRESENCE_SNAPSHOT_END:
	case PRESENCE_ENDED:
		printf("%s %s\n", presence_event_name(event->kind),
			presence_told_cause_name(event->kind, event->cause));
		break;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct presence_options options = {
		.uri = argc > 1 ? argv[1] : NULL,
	};
	struct presence_query area = {
		.volume = PRESENCE_SPHERE,
		.a = {argc > 2 ? atof(argv[2]) : 0, argc > 3 ? atof(argv[3]) : 0},
		.radius_m = argc > 4 ? atof(argv[4]) : 50,
	};
	struct presence_fence fence = {.id = 1, .query = &area};
	struct presence_watch_options how = {.resubscribe = true};
	struct presence_watch_event event;
	struct presence_client *client;
	struct presence_watch *watch;
	char error[256];
	int came = 0;

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (presence_open(&options, &client, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	if (presence_watch_open(client, NULL, &how, &fence, 1, &watch, NULL)) {
		fprintf(stderr, "%s\n", presence_error(client));
		presence_close(client);
		return 1;
	}
	while (!stop && came >= 0 && !presence_watch_status(watch).ended) {
		came = presence_watch_next(watch, &event, 200);
		if (came > 0)
			tell(&event);
	}
	if (came < 0)
		fprintf(stderr, "%s\n", presence_error(client));
	presence_watch_close(watch);
	presence_close(client);
	return came < 0;
}
