// URIs of engines: what is understood, and that all else is refused in words.
#include "client/transport.h"
#include "tests/testing.h"

#include <string.h>

static void test_sound(void)
{
	static const struct {
		const char *uri, *text;
		uint16_t port;
		bool shm;
	} sound[] = {
		{"udp://127.0.0.1:10202", "127.0.0.1", 10202, false},
		{"udp://engine.example", "engine.example", 0, false},
		{"udp://[::1]:1", "::1", 1, false},
		{"udp://[2001:db8::1]", "2001:db8::1", 0, false},
		{"udp://h:65535", "h", 65535, false},
		{"shm:///run/presence/presence.sock", "/run/presence/presence.sock", 0, true},
		{"shm:///x", "/x", 0, true},
	};
	struct presence_address a;
	char error[200];

	for (unsigned i = 0; i < sizeof sound / sizeof sound[0]; i++) {
		CU_ASSERT_TRUE(presence_uri_parse(sound[i].uri, &a, error, sizeof error));
		CU_ASSERT_STRING_EQUAL(a.text, sound[i].text);
		CU_ASSERT_EQUAL(a.port, sound[i].port);
		CU_ASSERT_EQUAL(a.shm, sound[i].shm);
	}
}

static void test_refused(void)
{
	static const char *const refused[] = {"", "127.0.0.1", "tcp://127.0.0.1:1", "udp:/x",
		"udp://", "udp://:10202", "udp://h:", "udp://h:0", "udp://h:65536",
		"udp://h:99999999999999999999", "udp://h:1x", "udp://h:-1", "udp://::1",
		"udp://::1:10202", "udp://[::1", "udp://[::1]x", "udp://[]:1", "udp://h/path",
		"udp://user@h", "udp://h ost", "shm://", "shm:///", "shm://run/x", "shm:/run/x",
		"UDP://h:1"};
	struct presence_address a;
	struct presence_client *client;
	char error[200], longer[600];

	for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		error[0] = 0;
		if (presence_uri_parse(refused[i], &a, error, sizeof error))
			CU_FAIL(refused[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(error, "udp://host:port"));
	}
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	memcpy(longer, "udp://", 6);
	CU_ASSERT_FALSE(presence_uri_parse(longer, &a, error, sizeof error));
	memcpy(longer, "shm:///", 7);
	CU_ASSERT_FALSE(presence_uri_parse(longer, &a, error, sizeof error));
	// Through the door: a path that a socket's name can't hold, and one where nobody listens.
	longer[150] = 0;
	CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = longer}, &client, error,
				sizeof error),
		PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_PTR_NULL(client);
	CU_ASSERT_EQUAL(
		presence_open(&(struct presence_options){.uri = "shm:///nonexistent/presence.sock"},
			&client, error, sizeof error),
		PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "presenced running"));
}

TESTING_MAIN("client-uri", {"sound", test_sound}, {"refused", test_refused})
