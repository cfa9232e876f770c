// Which socket of a group the kernel gives a datagram to: the program on real sockets of the
// loopback, for addresses, prefixes and contents, and that a flood of one class leaves the queues
// of the others alone.
#include "dataplane/socket_steer.h"
#include "tests/testing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pe_config config;
static int sockets[PE_STEER_CLASSES * PE_WORKERS_MAX];
static unsigned socket_count, classes;
static struct sockaddr_storage at;
static socklen_t at_bytes;

static void prefixes(struct pe_prefix *list, unsigned *count, const char *const *texts)
{
	for (*count = 0; texts[*count]; ++*count)
		if (!pe_prefix_parse(texts[*count], true, &list[*count]))
			abort();
}

static void configure(const char *const *trusted, const char *const *admitted, bool keyring)
{
	memset(&config, 0, sizeof config);
	prefixes(config.trusted, &config.trusted_count, trusted);
	prefixes(config.admitted, &config.admitted_count, admitted);
	config.worker_count = 1;
	strcpy(config.keyring, keyring ? "keyring.yaml" : "");
}

// A group as socket.c makes it. False: there is no such family here.
static bool begin(const char *address, unsigned workers)
{
	struct sock_filter program[PE_STEER_PROGRAM_MAX];
	uint8_t bytes[16];
	int one = 1;

	config.worker_count = workers;
	classes = pe_steer_class_count(&config);
	socket_count = 0;
	CU_ASSERT_FATAL(pe_address_parse(address, bytes));
	at_bytes = pe_address_to_kernel(bytes, 0, &at);
	for (unsigned n = 0; n < classes * workers; n++) {
		int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);

		CU_ASSERT_EQUAL_FATAL(
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one), 0);
		if (bind(fd, (struct sockaddr *)&at, at_bytes) != 0) {
			close(fd);
			return false;
		}
		sockets[socket_count++] = fd;
		(void)getsockname(fd, (struct sockaddr *)&at, &at_bytes);
	}
	CU_ASSERT_FATAL(pe_steer_attach(sockets[0], program,
		pe_steer_program(&config, at.ss_family == AF_INET, classes, program)));
	return true;
}

static void end(void)
{
	while (socket_count)
		close(sockets[--socket_count]);
}

static int from(const char *address)
{
	struct sockaddr_storage own;
	uint8_t bytes[16];
	socklen_t own_bytes;
	int fd;

	CU_ASSERT_FATAL(pe_address_parse(address, bytes));
	own_bytes = pe_address_to_kernel(bytes, 0, &own);
	fd = socket(own.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&own, own_bytes), 0);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&at, at_bytes), 0);
	return fd;
}

// The number of the socket at which a datagram arrives; −1: at none.
static int arrives(int fd, const void *data, size_t bytes)
{
	uint8_t buffer[2048];
	int where = -1;

	if (send(fd, data, bytes, 0) != (ssize_t)bytes)
		return -1;
	for (unsigned n = 0; n < socket_count; n++)
		if (recv(sockets[n], buffer, sizeof buffer, 0) >= 0) {
			CU_ASSERT_EQUAL(where, -1);
			where = (int)n;
		}
	return where;
}

static int class_of(const char *address, const void *data, size_t bytes)
{
	int fd = from(address), where = arrives(fd, data, bytes);

	close(fd);
	return where < 0 ? -1 : where / (int)config.worker_count;
}

static void test_wanted(void)
{
	static const char *const own[] = {"127.0.0.0/8", "::1", NULL},
				 *const part[] = {"127.0.0.1/32", "127.3.0.0/16", NULL},
				 *const all[] = {"::/0", NULL}, *const none[] = {NULL};

	configure(own, part, true);
	CU_ASSERT_EQUAL(pe_steer_class_count(&config), 1);
	configure(all, own, true);
	CU_ASSERT_EQUAL(pe_steer_class_count(&config), 1);
	configure(part, own, false);
	CU_ASSERT_EQUAL(pe_steer_class_count(&config), 2);
	configure(part, own, true);
	CU_ASSERT_EQUAL(pe_steer_class_count(&config), 3);
	configure(none, part, false);
	CU_ASSERT_EQUAL(pe_steer_class_count(&config), 2);
	configure(none, none, false);
	CU_ASSERT_EQUAL(pe_steer_class_count(&config), 1);
}

static void test_addresses(void)
{
	static const char *const trusted[] = {"127.0.0.1/32", "127.3.0.0/16", "127.77.8.0/21",
		"2001:db8::/32", NULL},
				 *const admitted[] = {"127.0.0.0/8", NULL},
				 *const mapped[] = {"::/64", NULL},
				 *const beside[] = {"127.0.0.0/8", "2001:db8::/32", NULL};
	static const uint8_t data[200];

	configure(trusted, admitted, false);
	CU_ASSERT_FATAL(begin("127.0.0.1", 1));
	CU_ASSERT_EQUAL(class_of("127.0.0.1", data, 80), PE_STEER_KNOWN);
	CU_ASSERT_EQUAL(class_of("127.0.0.2", data, 80), PE_STEER_OTHER);
	CU_ASSERT_EQUAL(class_of("127.3.0.1", data, 80), PE_STEER_KNOWN);
	CU_ASSERT_EQUAL(class_of("127.3.255.254", data, 0), PE_STEER_KNOWN);
	CU_ASSERT_EQUAL(class_of("127.2.255.254", data, 0), PE_STEER_OTHER);
	CU_ASSERT_EQUAL(class_of("127.77.15.9", data, 80), PE_STEER_KNOWN);
	CU_ASSERT_EQUAL(class_of("127.77.16.9", data, 80), PE_STEER_OTHER);
	end();
	// All of IPv4 by a prefix of IPv6.
	configure(mapped, beside, false);
	CU_ASSERT_FATAL(begin("127.0.0.1", 1));
	CU_ASSERT_EQUAL(classes, 2);
	CU_ASSERT_EQUAL(class_of("127.0.0.2", data, 80), PE_STEER_KNOWN);
	end();
}

static void test_addresses_v6(void)
{
	static const char *const trusted[] = {"127.0.0.1/32", "::1/128", NULL},
				 *const admitted[] = {"::/0", NULL},
				 *const near[] = {"::2/127", "2001:db8:10::/44", "fe80::/10", NULL},
				 *const wide[] = {"::/120", NULL};
	static const uint8_t data[200];

	configure(trusted, admitted, false);
	if (!begin("::1", 2))
		return; // without IPv6
	CU_ASSERT_EQUAL(class_of("::1", data, 80), PE_STEER_KNOWN);
	end();
	configure(near, admitted, false);
	CU_ASSERT_FATAL(begin("::1", 2));
	CU_ASSERT_EQUAL(class_of("::1", data, 80), PE_STEER_OTHER);
	end();
	configure(wide, admitted, false);
	CU_ASSERT_FATAL(begin("::1", 2));
	CU_ASSERT_EQUAL(class_of("::1", data, 80), PE_STEER_KNOWN);
	end();
}

static void test_contents(void)
{
	static const char *const trusted[] = {"127.0.0.1/32", NULL},
				 *const admitted[] = {"127.0.0.0/8", NULL};
	uint8_t data[200] = {0};

	configure(trusted, admitted, true);
	CU_ASSERT_FATAL(begin("127.0.0.1", 1));
	// No session in it, or no message.
	CU_ASSERT_EQUAL(class_of("127.0.0.2", data, 80), PE_STEER_OTHER);
	memset(data, 0xFF, sizeof data);
	for (unsigned bytes = 0; bytes < 80; bytes += 3)
		CU_ASSERT_EQUAL(class_of("127.0.0.2", data, bytes), PE_STEER_OTHER);
	CU_ASSERT_EQUAL(class_of("127.0.0.2", data, 80), PE_STEER_SEALED);
	CU_ASSERT_EQUAL(class_of("127.0.0.1", data, 80), PE_STEER_KNOWN);
	memset(data + 24, 0, 8);
	CU_ASSERT_EQUAL(class_of("127.0.0.2", data, 200), PE_STEER_OTHER);
	for (unsigned i = 24; i < 32; i++) {
		data[i] = 0x80;
		CU_ASSERT_EQUAL(class_of("127.0.0.2", data, 200), PE_STEER_SEALED);
		data[i] = 0;
	}
	end();
}

// Several workers: a sender stays on one, senders are spread, and all of its classes are its own.
static void test_workers(void)
{
	static const char *const trusted[] = {"127.0.0.1/32", NULL},
				 *const admitted[] = {"127.0.0.0/8", NULL};
	uint8_t data[100] = {0};
	unsigned seen[3 * 4] = {0};

	configure(trusted, admitted, true);
	CU_ASSERT_FATAL(begin("127.0.0.1", 4));
	for (unsigned i = 0; i < 600; i++) {
		char address[32];
		int fd, first;

		snprintf(address, sizeof address, "127.0.0.%u", i % 3 ? 1 + i % 200 : 1);
		fd = from(address);
		data[24] = (uint8_t)(i & 1);
		first = arrives(fd, data, sizeof data);
		CU_ASSERT(first >= 0);
		if (first >= 0)
			seen[first]++;
		CU_ASSERT_EQUAL(arrives(fd, data, sizeof data), first);
		close(fd);
	}
	for (unsigned n = 0; n < 12; n++)
		CU_ASSERT(seen[n] > 10);
	end();
}

// Beyond what anybody takes: the strangers' queue overflows, the others do not notice.
static void test_flood(void)
{
	static const char *const trusted[] = {"127.0.0.1/32", NULL},
				 *const admitted[] = {"127.0.0.0/8", NULL};
	uint8_t data[1400] = {0}, buffer[2048];
	int flood, good, few = 64 << 10;
	unsigned got = 0;

	configure(trusted, admitted, true);
	CU_ASSERT_FATAL(begin("127.0.0.1", 1));
	for (unsigned n = 0; n < socket_count; n++)
		(void)setsockopt(sockets[n], SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
	flood = from("127.0.0.9");
	good = from("127.0.0.1");
	for (unsigned i = 0; i < 2000; i++) {
		data[24] = (uint8_t)(i & 1);
		(void)send(flood, data, sizeof data, 0);
		if (i % 100 == 0) {
			data[24] = 0;
			CU_ASSERT_EQUAL(send(good, data, 100, 0), 100);
		}
	}
	while (recv(sockets[PE_STEER_KNOWN], buffer, sizeof buffer, 0) == 100)
		got++;
	CU_ASSERT_EQUAL(got, 20);
	got = 0;
	while (recv(sockets[PE_STEER_OTHER], buffer, sizeof buffer, 0) >= 0)
		got++;
	CU_ASSERT(got > 0 && got < 1000);
	close(flood);
	close(good);
	end();
}

// As many prefixes as there can be, the longest of them.
static void test_most(void)
{
	struct sock_filter program[PE_STEER_PROGRAM_MAX];
	static const char *const none[] = {NULL};

	configure(none, none, true);
	for (unsigned i = 0; i < PE_PREFIXES_MAX; i++) {
		char text[64];

		snprintf(text, sizeof text, "2001:db8:%x:1:2:3:4:%x/127", i, 2 * i);
		CU_ASSERT_FATAL(pe_prefix_parse(text, true, &config.trusted[i]));
	}
	config.trusted_count = PE_PREFIXES_MAX;
	(void)pe_prefix_parse("::/0", true, &config.admitted[0]);
	config.admitted_count = 1;
	CU_ASSERT(pe_steer_program(&config, false, 3, program) <= PE_STEER_PROGRAM_MAX);
	if (begin("::1", 1)) {
		CU_ASSERT_EQUAL(class_of("::1", program, 80), PE_STEER_SEALED);
		end();
	}
}

int main(void)
{
	static const struct testing_case cases[] = {{"when it is wanted", test_wanted},
		{"addresses", test_addresses}, {"addresses of IPv6", test_addresses_v6},
		{"contents", test_contents}, {"workers", test_workers}, {"a flood", test_flood},
		{"as many prefixes as there can be", test_most}};

	return testing_main("dataplane-steer", cases, sizeof cases / sizeof cases[0]);
}
