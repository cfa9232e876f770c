// A process that gave its rights up, seen from inside (what it tries fails, or ends it) and from
// its parent (what the kernel says of each of its threads). Each case is a child, since nothing can
// be taken back.
#include "dataplane/privilege.h"
#include "tests/testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static char directory[64];
static bool filters, landlock; // what this machine has, by the first child's word

static void *rest(void *context)
{
	(void)context;
	for (;;)
		pause();
	return NULL;
}

// In the child: some threads, as the engine has, and then no rights.
static bool drop(bool secrets)
{
	struct pe_privilege keep = {.secrets = secrets,
		.path_count = 2,
		.paths = {{directory, PE_PRIVILEGE_EMPTY}, {"/nowhere", PE_PRIVILEGE_READ}}};
	struct pe_privilege_left left;
	struct pe_error error;
	pthread_t thread;

	for (unsigned i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, rest, NULL) != 0)
			return false;
	if (pe_privilege_drop(&keep, &left, &error) != PE_OK) {
		fprintf(stderr, "\n    %s", error.text);
		return false;
	}
	return left.thread_count == 4;
}

// body's result is the child's exit code; a signal that ended it comes as 128 + its number.
static int in_child(int (*body)(void), bool unprivileged)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		if (unprivileged && setresuid(NOBODY, NOBODY, NOBODY) != 0)
			_exit(99);
		_exit(drop(false) ? body() : 98);
	}
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void both(int (*body)(void), int expected)
{
	CU_ASSERT_EQUAL(in_child(body, false), expected);
	if (geteuid() == 0)
		CU_ASSERT_EQUAL(in_child(body, true), expected);
}

static int reads_a_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

static int writes_a_file(void)
{
	char path[96];

	snprintf(path, sizeof path, "%s/made", directory);
	return open(path, O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
}

static int removes_its_own(void)
{
	char path[96];

	snprintf(path, sizeof path, "%s/lock", directory);
	return unlink(path) != 0 ? errno : 0;
}

static int opens_the_network(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static int makes_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			MAP_FAILED ?
		errno :
		0;
}

static int raises_a_limit(void)
{
	struct rlimit limit = {1, 1};

	return setrlimit(RLIMIT_NOFILE, &limit) != 0 ? errno : 0;
}

static int signals_another(void)
{
	return kill(getppid(), 0) != 0 ? errno : 0;
}

static int starts_a_program(void)
{
	(void)execl("/bin/true", "true", NULL);
	return 1;
}

static int makes_a_process(void)
{
	// What the C library does without clone3, and what it falls back to.
	return fork() < 0 ? errno : 0;
}

static int traces(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int mounts(void)
{
	return (int)syscall(SYS_mount, "none", directory, "tmpfs", 0, NULL);
}

static void *answer(void *context)
{
	*(int *)context = 7;
	return NULL;
}

// What the engine goes on to do: threads come and go, memory too, time passes.
static int goes_on(void)
{
	struct timespec t = {.tv_nsec = 1000000};
	pthread_t thread;
	int got = 0, pair[2];
	char *memory = malloc(64 << 20);

	if (!memory || pthread_create(&thread, NULL, answer, &got) != 0 ||
		pthread_join(thread, NULL) != 0 || got != 7)
		return 1;
	memset(memory, 1, 64 << 20);
	free(memory);
	if (pthread_create(&thread, NULL, rest, NULL) != 0 || pthread_cancel(thread) != 0 ||
		pthread_join(thread, NULL) != 0)
		return 2;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0 || write(pair[0], "x", 1) != 1)
		return 3;
	return nanosleep(&t, NULL) == 0 ? 0 : 4;
}

static int aborts(void)
{
	abort();
}

static void test_files(void)
{
	char path[96];
	int fd;

	if (!landlock)
		return;
	both(reads_a_file, EACCES);
	both(writes_a_file, EACCES);
	snprintf(path, sizeof path, "%s/lock", directory);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CU_ASSERT(fd >= 0);
	close(fd);
	CU_ASSERT_EQUAL(in_child(removes_its_own, false), 0);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

static void test_calls(void)
{
	if (!filters)
		return;
	both(opens_the_network, EPERM);
	both(makes_code, EPERM);
	both(raises_a_limit, EPERM);
	both(signals_another, EPERM);
	both(makes_a_process, EPERM);
	both(starts_a_program, 128 + SIGSYS);
	both(traces, 128 + SIGSYS);
	both(mounts, 128 + SIGSYS);
}

static void test_goes_on(void)
{
	both(goes_on, 0);
	both(aborts, 128 + SIGABRT);
}

static bool status_says(const char *status, const char *key, unsigned long long value)
{
	const char *at = strstr(status, key);

	return at && strtoull(at + strlen(key), NULL, strncmp(key, "\nCap", 4) ? 10 : 16) == value;
}

// Every thread of a child, from outside.
static void look_at_threads(pid_t child)
{
	static const char *const sets[] = {"\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapAmb:"};
	char path[128], status[8192];
	unsigned threads = 0;
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof path, "/proc/%d/task", (int)child);
	tasks = opendir(path);
	CU_ASSERT_FATAL(tasks != NULL);
	while ((entry = readdir(tasks))) {
		FILE *in;
		size_t got;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(
			path, sizeof path, "/proc/%d/task/%.20s/status", (int)child, entry->d_name);
		in = fopen(path, "re");
		CU_ASSERT_FATAL(in != NULL);
		got = fread(status, 1, sizeof status - 1, in);
		status[got] = '\0';
		fclose(in);
		for (unsigned i = 0; i < 4; i++)
			CU_ASSERT(status_says(status, sets[i], 0));
		if (geteuid() == 0) // or it took a capability to empty it
			CU_ASSERT(status_says(status, "\nCapBnd:", 0));
		CU_ASSERT(status_says(status, "\nNoNewPrivs:", 1));
		CU_ASSERT(status_says(status, "\nSeccomp:", filters ? 2 : 0));
		threads++;
	}
	closedir(tasks);
	CU_ASSERT_EQUAL(threads, 4);
}

static void test_threads(void)
{
	int ready[2];
	char byte;
	pid_t child;

	CU_ASSERT_FATAL(pipe(ready) == 0);
	child = fork();
	if (child == 0) {
		byte = drop(true) ? 'y' : 'n';
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		rest(NULL);
	}
	CU_ASSERT_FATAL(child > 0 && read(ready[0], &byte, 1) == 1);
	CU_ASSERT_EQUAL(byte, 'y');
	look_at_threads(child);
	kill(child, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	close(ready[0]);
	close(ready[1]);
}

static int no_dumps(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 ? 0 : 1;
}

// With keys in memory the process leaves no core; its parent sees it by the flag of its status.
static void test_secrets(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(drop(true) ? no_dumps() : 98);
	CU_ASSERT_FATAL(child > 0 && waitpid(child, &status, 0) == child);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void ask_the_machine(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct pe_privilege keep = {0};
		struct pe_privilege_left left = {0};
		struct pe_error error;

		_exit(pe_privilege_drop(&keep, &left, &error) == PE_OK ?
				(left.landlock ? 1 : 0) | (left.filtered ? 2 : 0) :
				64);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		WEXITSTATUS(status) >= 64)
		return;
	landlock = WEXITSTATUS(status) & 1;
	filters = WEXITSTATUS(status) & 2;
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"every thread", test_threads},
		{"files", test_files},
		{"calls", test_calls},
		{"what goes on", test_goes_on},
		{"no dumps with keys", test_secrets},
	};
	int failed;

	ask_the_machine();
	if (!landlock && !filters)
		testing_skip("neither Landlock nor a filter of system calls on this machine");
	snprintf(directory, sizeof directory, "/tmp/presence-privilege-%d", (int)getpid());
	if (mkdir(directory, 0755) != 0)
		return 1;
	failed = testing_main("dataplane-privilege", cases, sizeof cases / sizeof cases[0]);
	rmdir(directory);
	return failed;
}
