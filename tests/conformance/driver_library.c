// The conformance suite's calls by libpresence itself: driver-library URI [KEY_FILE ENGINE_KEY],
// with keys in a session that encrypts. Reads calls from standard input and answers each on
// standard output, a line each (words.h), the last of an answer with the verb "done". It holds one
// client, as a program would; cases and what they expect are in cases.py.
//
//	publish id=… space=… position=… type=… …        done status=APPLIED reason=
//	query space=… volume=… a=… … filter=…           row id=… position=… …, cell centre=… …,
//	                                                done reason= truncated=0
//	watch, pump ms=…, unwatch                        event kind=ENTER …, done
#include "asking.h"

#include <errno.h>
#include <presence/watch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct presence_client *client;
static struct presence_watch *watch;
static struct words in;
static uint32_t sequence;

// ---- what is said ----

static const uint8_t *space_of(uint8_t space[16])
{
	const char *text = words_text(&in, "space");

	return text && presence_id_parse(text, space) ? space : NULL;
}

static bool id_of(const char *name, uint8_t id[16])
{
	const char *text = words_text(&in, name);

	return text && presence_id_parse(text, id);
}

static void done(const char *status, const char *reason)
{
	words_begin("done");
	words_put_text("status", status);
	words_put_text("reason", reason);
	words_end();
}

// What came of a call that did not succeed, or of its one record.
static void fate(enum presence_result result, const struct presence_ack *ack,
	struct presence_refusal refusal)
{
	if (result == PRESENCE_REFUSED)
		done("REFUSED", presence_reason_name(refusal.reason));
	else if (result)
		done("FAILED", presence_error(client));
	else
		done(presence_status_name(ack->status),
			ack->reason ? presence_reason_name(ack->reason) : "");
}

static struct presence_text text_of(const char *text, size_t bytes)
{
	return (struct presence_text){text, (unsigned)bytes};
}

// name, type and value, apart by ':'; the value is to the end.
static bool value_of(const char *word, size_t bytes, struct presence_value *value)
{
	const char *colon = memchr(word, ':', bytes), *data;

	if (!colon || colon + 2 >= word + bytes || colon[2] != ':')
		return false;
	data = colon + 3;
	*value = (struct presence_value){.name = text_of(word, (size_t)(colon - word)),
		.data = text_of(data, (size_t)(word + bytes - data))};
	switch (colon[1]) {
	case 'n':
		value->type = PRESENCE_NULL;
		return true;
	case 'b':
		value->type = PRESENCE_BOOL;
		value->truth = *data == '1';
		return true;
	case 'i':
		value->type = PRESENCE_I64;
		value->whole = strtoll(data, NULL, 10);
		return true;
	case 'f':
		value->type = PRESENCE_F64;
		value->real = strtod(data, NULL);
		return true;
	case 't':
		value->type = PRESENCE_TEXT;
		return true;
	case 'x':
		value->type = PRESENCE_BYTES;
		return true;
	case '-':
		value->type = PRESENCE_REMOVE;
		return true;
	}
	return false;
}

// False: nothing is said beside the state.
static bool details_of(struct presence_details *d)
{
	double schedule[3];
	const char *word;
	size_t bytes;
	bool any = false;

	*d = (struct presence_details){0};
	if ((word = words_nth(&in, "activity", 0, &bytes))) {
		any = d->has_context = true;
		d->activity = text_of(word, bytes);
	}
	while (d->tag_count < PRESENCE_TAGS_MAX &&
		(word = words_nth(&in, "tag", d->tag_count, &bytes))) {
		any = d->has_context = true;
		d->tags[d->tag_count++] = text_of(word, bytes);
	}
	while (d->metadata_count < PRESENCE_METADATA_MAX &&
		(word = words_nth(&in, "meta", d->metadata_count, &bytes)) &&
		value_of(word, bytes, &d->metadata[d->metadata_count])) {
		any = true;
		d->metadata_count++;
	}
	if (words_list(&in, "schedule", schedule, 3) == 3) {
		any = d->has_schedule = true;
		d->opening_ms = (uint64_t)schedule[0];
		d->period_ms = (uint32_t)schedule[1];
		d->open_for_ms = (uint32_t)schedule[2];
	}
	if (id_of("parent", d->parent))
		any = d->has_parent = true;
	if ((word = words_nth(&in, "payload", 0, &bytes))) {
		any = true;
		d->payload = word;
		d->payload_bytes = (unsigned)bytes;
	}
	return any;
}

static void do_publish(void)
{
	struct presence_update u = {.sequence = ++sequence,
		.type = (uint8_t)words_number(&in, "type", PRESENCE_MOBILE),
		.state = (uint8_t)words_number(&in, "state", PRESENCE_ACTIVE),
		.custom_state = (uint8_t)words_number(&in, "custom", 0),
		.relocation = words_text(&in, "relocation"),
		.ttl_ms = (uint32_t)words_number(&in, "ttl", 0),
		.duration_ms = (uint32_t)words_number(&in, "duration", 0),
		.radius_m = (float)words_number(&in, "radius", 0),
		.precision_m = (float)words_number(&in, "precision", 0),
		.position_confidence = (float)words_number(&in, "confidence", -1),
		.status_confidence = (float)words_number(&in, "confidence", -1),
		.frequency_per_minute = (uint16_t)words_number(&in, "frequency", 0),
		.announced_per_minute = (uint16_t)words_number(&in, "announced", 0)};
	unsigned given = words_list(&in, "position", u.position, 3);
	struct presence_refusal refusal = {0};
	struct presence_ack ack = {0};
	struct presence_details details;
	enum presence_result result;
	double velocity[3] = {0};
	const uint8_t *space;
	uint8_t named[16];

	space = space_of(named);
	(void)id_of("id", u.id);
	u.height_unknown = given == 2 && words_text(&in, "geodetic") && !words_text(&in, "parent");
	(void)words_list(&in, "velocity", velocity, 3);
	for (unsigned i = 0; i < 3; i++)
		u.velocity[i] = (float)velocity[i];
	if (details_of(&details))
		result = presence_publish_detailed(client, space, &u, &details, 1, &ack, &refusal);
	else
		result = presence_publish(client, space, &u, 1, &ack, &refusal);
	fate(result, &ack, refusal);
}

static void do_withdraw(void)
{
	struct presence_withdrawal w = {.sequence = ++sequence};
	struct presence_refusal refusal = {0};
	struct presence_ack ack = {0};
	const uint8_t *space;
	uint8_t named[16];

	space = space_of(named);
	(void)id_of("id", w.id);
	fate(presence_withdraw(client, space, &w, 1, &ack, &refusal), &ack, refusal);
}

static void do_erase(void)
{
	struct presence_refusal refusal = {0};
	struct presence_erased erased;
	enum presence_result result;
	uint8_t named[16], id[16];
	const uint8_t *space = space_of(named);

	(void)id_of("id", id);
	result = presence_erase(client, space, id, 0, &erased, &refusal);
	if (result) {
		fate(result, NULL, refusal);
		return;
	}
	words_begin("done");
	words_put_text("status", presence_status_name(erased.status));
	words_put_text("reason", "");
	for (unsigned bit = 1; bit <= erased.where; bit <<= 1)
		if (erased.where & bit)
			words_put_text("where", presence_erased_name(bit));
	words_end();
}

// ---- what is asked ----

static bool asked(struct asking *a)
{
	const char *fault = asking_of(&in, a);

	if (fault)
		done("FAILED", fault);
	return !fault;
}

static void do_query(void)
{
	static struct asking a;
	struct presence_answer answer;
	struct presence_details details;
	enum presence_result result;
	const uint8_t *space;
	uint8_t named[16];

	if (!asked(&a))
		return;
	space = space_of(named);
	result = a.query.results_max ? presence_query(client, space, &a.query, &answer) :
				       presence_query_all(client, space, &a.query, 256, &answer);
	for (size_t i = 0; i < answer.count && answer.cells; i++) {
		words_begin("cell");
		words_put_numbers("centre", answer.cells[i].centre, 3);
		put_number("count", answer.cells[i].count);
		put_number("size", (double)answer.cells[i].size_m);
		put_number("few", answer.cells[i].below_cells);
		put_number("below", answer.cells[i].below);
		words_end();
	}
	for (size_t i = 0; i < answer.count && answer.found; i++) {
		words_begin("row");
		put_found(&answer.found[i]);
		if (presence_details_read(answer.details, &answer.found[i], &details))
			put_details(&details);
		words_end();
	}
	words_begin("done");
	words_put_text("status",
		!result                            ? "OK" :
			result == PRESENCE_REFUSED ? "REFUSED" :
						     "FAILED");
	words_put_text("reason",
		!result                            ? "" :
			result == PRESENCE_REFUSED ? presence_reason_name(answer.reason) :
						     presence_error(client));
	put_number("truncated", answer.truncated);
	words_end();
	presence_answer_free(&answer);
}

static void do_explain(void)
{
	static struct asking a;
	struct presence_explanation e;
	struct presence_refusal refusal = {0};
	enum presence_result result;
	uint8_t named[16], id[16];
	const uint8_t *space;

	if (!asked(&a))
		return;
	space = space_of(named);
	(void)id_of("id", id);
	result = presence_explain(client, space, id, &a.query, &e, &refusal);
	if (result) {
		fate(result, NULL, refusal);
		return;
	}
	words_begin("done");
	words_put_text("status", "OK");
	put_number("verdict", e.verdict);
	words_put_text("first", e.first_cause ? presence_cause_name(e.first_cause) : "");
	for (unsigned i = 0; i < 32; i++)
		if (e.causes >> i & 1)
			words_put_text("cause", presence_cause_name(i));
	words_end();
}

// ---- what is told ----

static void do_watch(void)
{
	static struct asking a;
	const struct presence_watch_options options = {.moves = words_text(&in, "moves"),
		.payloads = words_text(&in, "payloads"),
		.lease_ms = 600000};
	struct presence_fence fence = {
		.id = 1, .query = &a.query, .margin_m = (float)words_number(&in, "margin", 0)};
	struct presence_watch_refusal refusal = {0};
	enum presence_result result;
	const uint8_t *space;
	uint8_t named[16];

	if (!asked(&a))
		return;
	space = space_of(named);
	fence.follow = id_of("follow", fence.follow_id);
	result = presence_watch_open(client, space, &options, &fence, 1, &watch, &refusal);
	if (!result) {
		words_begin("done");
		words_put_text("status", "OK");
		words_put_text("reason", "");
		put_number("published", (double)presence_watch_published_m(watch));
		words_end();
		return;
	}
	done(result == PRESENCE_REFUSED ? "REFUSED" : "FAILED",
		result == PRESENCE_REFUSED ? presence_reason_name(refusal.reason) :
					     presence_error(client));
}

static void put_event(const struct presence_watch_event *e)
{
	words_begin("event");
	words_put_text("kind", presence_event_name(e->kind));
	words_put_text("cause", presence_told_cause_name(e->kind, e->cause));
	put_number("fence", e->fence);
	put_number("snapshot", e->snapshot);
	if (e->kind <= PRESENCE_LEAVE)
		put_found(&e->entity);
	if (e->kind == PRESENCE_PAYLOAD) {
		char id[37];

		presence_id_print(e->entity.id, id);
		words_put_text("id", id);
		words_put("payload", e->payload, e->payload_bytes);
	}
	words_end();
}

// What comes within so many milliseconds.
static void do_pump(void)
{
	int ms = (int)words_number(&in, "ms", 0), came = 0;
	struct presence_watch_event event;

	// The first is waited for, the others are there.
	for (unsigned n = 0; watch && n < 4096; n++) {
		came = presence_watch_next(watch, &event, n ? 0 : ms);
		if (came <= 0)
			break;
		put_event(&event);
	}
	done(came < 0 ? "FAILED" : "OK", came < 0 ? strerror(errno) : "");
}

static void do_unwatch(void)
{
	if (watch)
		(void)presence_watch_close(watch);
	watch = NULL;
	done("OK", "");
}

static void do_ping(void)
{
	uint64_t us;

	done(presence_ping(client, &us) ? "FAILED" : "OK", "");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *verb;
		void (*call)(void);
	} verbs[] = {{"publish", do_publish}, {"withdraw", do_withdraw}, {"erase", do_erase},
		{"query", do_query}, {"explain", do_explain}, {"watch", do_watch},
		{"pump", do_pump}, {"unwatch", do_unwatch}, {"ping", do_ping}};
	struct presence_options options = {
		.uri = argc > 1 ? argv[1] : NULL, .timeout_ms = 20000, .attempts = 4};
	struct presence_session session = {
		.key_file = argc > 3 ? argv[2] : NULL, .level = PRESENCE_ENCRYPT};
	char error[256];
	int read;

	if (argc > 3) {
		if (!presence_key_parse(argv[3], session.engine_key)) {
			fprintf(stderr, "an engine's key has 64 hexadecimal digits\n");
			return 1;
		}
		options.session = &session;
	}
	if (presence_open(&options, &client, error, sizeof error)) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	while ((read = words_read(&in)) > 0) {
		unsigned i = 0;

		while (i < sizeof verbs / sizeof verbs[0] && strcmp(verbs[i].verb, in.verb) != 0)
			i++;
		if (i < sizeof verbs / sizeof verbs[0])
			verbs[i].call();
		else
			done("FAILED", "no such verb");
	}
	if (read < 0)
		fprintf(stderr, "a line of another form\n");
	presence_close(client);
	return read < 0;
}
