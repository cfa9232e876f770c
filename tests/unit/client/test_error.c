// What failed is told with its cause and what mends it.
#include "base/reasons.h"
#include "client/transport.h"
#include "client/watch.h"
#include "fake_row.h"
#include "testing.h"

#include <math.h>
#include <string.h>

static struct fake_row fake;
static struct presence_client *client;
static const struct presence_query sphere = {.volume = PRESENCE_SPHERE, .radius_m = 9};
static const struct presence_fence fence = {.id = 7, .query = &sphere};

static void begin(void)
{
	const struct presence_options options = {.timeout_ms = 5, .attempts = 2};

	memset(&fake, 0, sizeof fake);
	fake.lease_ms = 3600000;
	CU_ASSERT_EQUAL_FATAL(
		presence_open_over(&fake_transport, &fake, &options, &client), PRESENCE_OK);
	CU_ASSERT_STRING_EQUAL(presence_error(client), "");
}

static void expect(const char *words)
{
	const char *said = presence_error(client);

	CU_ASSERT_PTR_NOT_NULL(strstr(said, words));
	if (!strstr(said, words))
		printf("\n\"%s\" is not in \"%s\" ", words, said);
}

static void remedies(void)
{
	for (unsigned reason = 0; reason < PE_REASON_COUNT + 3; reason++) {
		const char *remedy = presence_reason_remedy(reason);

		CU_ASSERT(strlen(remedy) > 5);
		CU_ASSERT_PTR_NULL(strchr(remedy, '\n'));
		CU_ASSERT(remedy[strlen(remedy) - 1] != '.');
	}
	CU_ASSERT_STRING_NOT_EQUAL(
		presence_reason_remedy(PE_REASON_stale), presence_reason_remedy(PE_REASON_late));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(presence_reason_remedy(PE_REASON_table_full), "memory.entities"));
	CU_ASSERT_PTR_NOT_NULL(strstr(presence_reason_remedy(PE_REASON_COUNT), "version"));
}

static void opening(void)
{
	struct presence_options options = {.timeout_ms = 60001};
	char error[256];

	CU_ASSERT_EQUAL(
		presence_open(&options, &client, error, sizeof error), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_PTR_NULL(client);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "60000"));
	snprintf(error, sizeof error, "%d.%d.%d", PRESENCE_VERSION_MAJOR, PRESENCE_VERSION_MINOR,
		PRESENCE_VERSION_PATCH);
	CU_ASSERT_STRING_EQUAL(error, presence_version());
	// An option of a later version.
	for (unsigned i = 0; i < sizeof options.reserved / sizeof options.reserved[0]; i++) {
		memset(&options, 0, sizeof options);
		options.reserved[i] = 1;
		CU_ASSERT_EQUAL(presence_open(&options, &client, error, sizeof error),
			PRESENCE_BAD_ARGUMENT);
		CU_ASSERT_PTR_NOT_NULL(strstr(error, presence_version()));
	}
	options = (struct presence_options){.host = "256.256.256.256.invalid"};
	CU_ASSERT_EQUAL(presence_open(&options, &client, error, sizeof error), PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "getent"));
	CU_ASSERT_PTR_NOT_NULL(strstr(error, options.host));
}

static void nobody(void)
{
	// A port that nothing has: bound by nobody since it is asked for and left.
	struct presence_options options = {.port = 9, .timeout_ms = 5, .attempts = 2};
	uint64_t round_trip_us;

	CU_ASSERT_EQUAL_FATAL(presence_open(&options, &client, NULL, 0), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_ping(client, &round_trip_us), PRESENCE_TIMED_OUT);
	expect("127.0.0.1 port 9");
	expect("nobody listens there; start presenced");
	expect("2 sendings within 10 ms");
	presence_close(client);
	// A name is said with the one of its addresses that was tried.
	options.host = "localhost";
	CU_ASSERT_EQUAL_FATAL(presence_open(&options, &client, NULL, 0), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_ping(client, &round_trip_us), PRESENCE_TIMED_OUT);
	expect(strstr(presence_error(client), "::1") ? "localhost (::1) port 9" :
						       "localhost (127.0.0.1) port 9");
	presence_close(client);
}

static void silence(void)
{
	struct presence_watch *watch;
	uint64_t round_trip_us;

	begin();
	CU_ASSERT_EQUAL(presence_ping(client, &round_trip_us), PRESENCE_TIMED_OUT);
	expect("no answer");
	expect("admitted");
	fake.deaf = true;
	CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, &fence, 1, &watch, NULL),
		PRESENCE_TIMED_OUT);
	expect("no answer");
	presence_close(client);
}

static void refused(void)
{
	struct presence_watch_refusal refusal;
	struct presence_watch *watch;

	begin();
	fake.refuse_op = PE_SUBSCRIBE_OPEN;
	fake.refuse_reason = PE_REASON_fences_full;
	CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, &fence, 1, &watch, &refusal),
		PRESENCE_REFUSED);
	expect("OUT_OF_MEMORY (fences_full)");
	expect(presence_reason_text(PE_REASON_fences_full));
	expect("memory.fences");
	presence_close(client);
}

static void arguments(void)
{
	struct presence_update update = {.id = {1}};
	struct presence_query query = {0};
	struct presence_withdrawal nil = {.sequence = 1};
	struct presence_answer answer;
	struct presence_watch *watch;
	struct presence_fence no = {0};
	struct presence_ack ack;

	begin();
	update.position[1] = NAN;
	CU_ASSERT_EQUAL(
		presence_publish(client, NULL, &update, 1, &ack, NULL), PRESENCE_BAD_ARGUMENT);
	expect("not a finite number");
	update = (struct presence_update){.sequence = 1};
	CU_ASSERT_EQUAL(
		presence_publish(client, NULL, &update, 1, &ack, NULL), PRESENCE_BAD_ARGUMENT);
	expect("nil id");
	update = (struct presence_update){.id = {1}, .state = 9};
	CU_ASSERT_EQUAL(presence_submit_updates(client, NULL, &update, 1, false, NULL),
		PRESENCE_BAD_ARGUMENT);
	expect("enum presence_state");
	CU_ASSERT_EQUAL(presence_submit_updates(client, NULL, &update, 0, false, NULL),
		PRESENCE_BAD_ARGUMENT);
	expect("no update");
	CU_ASSERT_EQUAL(
		presence_withdraw(client, NULL, &nil, 1, &ack, NULL), PRESENCE_BAD_ARGUMENT);
	expect("withdrawal");
	CU_ASSERT_EQUAL(presence_query(client, NULL, &query, &answer), PRESENCE_BAD_ARGUMENT);
	expect("without a volume");
	query = (struct presence_query){.volume = PRESENCE_POLYGON};
	CU_ASSERT_EQUAL(presence_query(client, NULL, &query, &answer), PRESENCE_BAD_ARGUMENT);
	expect("polygon");
	query = (struct presence_query){
		.volume = PRESENCE_POINT, .has_time = true, .ahead_ms = PRESENCE_AHEAD_MAX_MS + 1};
	CU_ASSERT_EQUAL(presence_query(client, NULL, &query, &answer), PRESENCE_BAD_ARGUMENT);
	expect("PRESENCE_AHEAD_MAX_MS");
	CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, &no, 1, &watch, NULL),
		PRESENCE_BAD_ARGUMENT);
	expect("without a query");
	presence_close(client);
}

TESTING_MAIN("client-error", {"remedies", remedies}, {"opening", opening}, {"nobody", nobody},
	{"silence", silence}, {"refused", refused}, {"arguments", arguments})
