#include "privilege.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 60000 // a machine may be busy, and a process be stopped for a while
#define ROUNDS  16    // of threads that started meanwhile

// Newer than Debian 12's headers; the numbers are the kernel's interface.
#define FS_REFER     (1ull << 13)
#define FS_TRUNCATE  (1ull << 14)
#define FS_IOCTL_DEV (1ull << 15)
#define NET_BIND     (1ull << 0)
#define NET_CONNECT  (1ull << 1)

struct ruleset {
	uint64_t fs, net;
};

struct one { // a thread
	pid_t tid;
	_Atomic int state; // 0 = asked, 1 = done, −errno = it could not
};

// What the signal's handler works on. written: main thread, before it asks; read: the threads that
// it asks
static struct {
	int ruleset; // −1 = no Landlock
	_Atomic unsigned count;
	struct one threads[PE_PRIVILEGE_THREADS_MAX];
} asked;

// The calling thread's own. In a signal's handler: system calls and nothing else.
static int give_up(int ruleset)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	// These two take a capability to do without: who has none has nothing to lose by them.
	for (int c = 0; c < 64 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; c++)
		;
	(void)prctl(PR_SET_SECUREBITS,
		SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
		0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) != 0)
		return -errno;
	if (ruleset >= 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		return -errno;
	return 1;
}

static void on_signal(int signal)
{
	int was = errno;
	pid_t self = (pid_t)syscall(SYS_gettid);
	// PRIVILEGE: acquire pairs with ask's release: the list and the rule set are there.
	unsigned count = atomic_load_explicit(&asked.count, memory_order_acquire);

	(void)signal;
	for (unsigned i = 0; i < count; i++)
		if (asked.threads[i].tid == self &&
			atomic_load_explicit(&asked.threads[i].state, memory_order_relaxed) == 0)
			// PRIVILEGE: release: whoever sees the state sees the thread without its
			// rights.
			atomic_store_explicit(&asked.threads[i].state, give_up(asked.ruleset),
				memory_order_release);
	errno = was;
}

static bool known(pid_t tid)
{
	for (unsigned i = 0; i < atomic_load_explicit(&asked.count, memory_order_relaxed); i++)
		if (asked.threads[i].tid == tid)
			return true;
	return false;
}

// Asks each thread that was not asked yet. *fresh: how many.
static enum pe_status ask(unsigned *fresh, struct pe_error *error)
{
	DIR *tasks = opendir("/proc/self/task");
	pid_t self = getpid();
	struct dirent *entry;

	*fresh = 0;
	if (!tasks)
		return pe_fail(error, PE_UNSUPPORTED,
			"/proc/self/task cannot be read (%s): threads would keep their rights",
			strerror(errno));
	while ((entry = readdir(tasks))) {
		pid_t tid = 0;
		unsigned count = atomic_load_explicit(&asked.count, memory_order_relaxed);

		if (sscanf(entry->d_name, "%d", &tid) != 1 || tid == self || known(tid))
			continue;
		if (count == PE_PRIVILEGE_THREADS_MAX) {
			closedir(tasks);
			return pe_fail(
				error, PE_FULL, "more than %u threads", PE_PRIVILEGE_THREADS_MAX);
		}
		asked.threads[count].tid = tid;
		atomic_init(&asked.threads[count].state, 0);
		// PRIVILEGE: release, after the entry was filled in
		atomic_store_explicit(&asked.count, count + 1, memory_order_release);
		(*fresh)++;
	}
	closedir(tasks);
	for (unsigned i = atomic_load_explicit(&asked.count, memory_order_relaxed) - *fresh;
		i < atomic_load_explicit(&asked.count, memory_order_relaxed); i++)
		// A thread that has ended has no rights either.
		if (syscall(SYS_tgkill, self, asked.threads[i].tid, PE_PRIVILEGE_SIGNAL) != 0)
			atomic_store_explicit(&asked.threads[i].state, 1, memory_order_relaxed);
	return PE_OK;
}

static bool ended(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) != 0;
}

static enum pe_status wait_for_all(struct pe_error *error)
{
	const struct timespec little = {.tv_nsec = 1000000};
	struct timespec start, at;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		unsigned left = 0;
		pid_t slow = 0;

		for (unsigned i = 0; i < atomic_load_explicit(&asked.count, memory_order_relaxed);
			i++) {
			// PRIVILEGE: acquire pairs with the handler's release.
			int state =
				atomic_load_explicit(&asked.threads[i].state, memory_order_acquire);

			if (state < 0)
				return pe_fail(error, PE_UNSUPPORTED,
					"a thread cannot give up its rights: %s", strerror(-state));
			if (state == 0 && !ended(asked.threads[i].tid)) {
				left++;
				slow = asked.threads[i].tid;
			}
		}
		if (left == 0)
			return PE_OK;
		clock_gettime(CLOCK_MONOTONIC, &at);
		if ((at.tv_sec - start.tv_sec) * 1000 > WAIT_MS)
			return pe_fail(error, PE_TIMEOUT,
				"thread %d has not given up its rights within %d s", (int)slow,
				WAIT_MS / 1000);
		nanosleep(&little, NULL);
	}
}

// ---- Landlock ----

static uint64_t rights_of(enum pe_privilege_use use)
{
	switch (use) {
	case PE_PRIVILEGE_EMPTY:
		return LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE;
	case PE_PRIVILEGE_RMDIR:
		return LANDLOCK_ACCESS_FS_REMOVE_DIR;
	case PE_PRIVILEGE_SOCKET:
		return LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE;
	case PE_PRIVILEGE_READ:
		return LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_READ_FILE;
	}
	return 0;
}

// A rule set in which nothing is allowed but what is kept; −1: none could be made.
static int make_ruleset(const struct pe_privilege *keep, int version)
{
	struct ruleset all = {.fs = FS_REFER - 1}; // version 1 knew thirteen rights
	// A shorter struct is an older kernel's.
	size_t bytes = version >= 4 ? sizeof all : sizeof all.fs;
	int ruleset;

	if (version >= 2)
		all.fs |= FS_REFER;
	if (version >= 3)
		all.fs |= FS_TRUNCATE;
	if (version >= 4)
		all.net = NET_BIND | NET_CONNECT; // of TCP, which the engine does not speak
	if (version >= 5)
		all.fs |= FS_IOCTL_DEV;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, bytes, 0);
	for (unsigned i = 0; ruleset >= 0 && i < keep->path_count; i++) {
		struct landlock_path_beneath_attr rule = {
			.allowed_access = rights_of(keep->paths[i].use),
			.parent_fd = open(keep->paths[i].path, O_PATH | O_CLOEXEC),
		};
		int failed;

		if (rule.parent_fd < 0)
			continue;
		failed = (int)syscall(
			SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
		if (failed && keep->paths[i].use == PE_PRIVILEGE_READ) { // a file has no entries
			rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
			failed = (int)syscall(SYS_landlock_add_rule, ruleset,
				LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
		}
		close(rule.parent_fd);
		if (failed) {
			close(ruleset);
			return -1;
		}
	}
	return ruleset;
}

static enum pe_status drop_on_all_threads(struct pe_privilege_left *left, struct pe_error *error)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
	enum pe_status status = PE_OK;
	unsigned fresh = 1;
	int state;

	sigfillset(&action.sa_mask);
	atomic_store_explicit(&asked.count, 0, memory_order_relaxed);
	sigaction(PE_PRIVILEGE_SIGNAL, &action, &before);
	for (unsigned round = 0; status == PE_OK && fresh; round++) {
		if (round == ROUNDS)
			status = pe_fail(
				error, PE_TIMEOUT, "threads start faster than they are asked");
		else
			status = ask(&fresh, error);
		if (status == PE_OK)
			status = wait_for_all(error);
	}
	// Last, since it needs to read /proc until then.
	state = status == PE_OK ? give_up(asked.ruleset) : 1;
	if (state < 0)
		status = pe_fail(error, PE_UNSUPPORTED,
			"the main thread cannot give up its rights: %s", strerror(-state));
	left->thread_count = atomic_load_explicit(&asked.count, memory_order_relaxed) + 1;
	sigaction(PE_PRIVILEGE_SIGNAL, &before, NULL);
	return status;
}

enum pe_status pe_privilege_drop(
	const struct pe_privilege *keep, struct pe_privilege_left *left, struct pe_error *error)
{
	static const struct rlimit none = {0, 0};
	int version =
		(int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	enum pe_status status;

	*left = (struct pe_privilege_left){.landlock = version > 0 ? version : 0};
	// The C library loads it when the first thread is cancelled; there is no loading
	// afterwards.
	(void)dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_GLOBAL);
	if (keep->secrets &&
		(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0))
		return pe_fail(error, PE_UNSUPPORTED, "core dumps cannot be switched off: %s",
			strerror(errno));
	asked.ruleset = -1;
	if (left->landlock) {
		asked.ruleset = make_ruleset(keep, version);
		if (asked.ruleset < 0)
			return pe_fail(error, PE_UNSUPPORTED, "Landlock takes no rules: %s",
				strerror(errno));
	}
	status = drop_on_all_threads(left, error);
	if (asked.ruleset >= 0)
		close(asked.ruleset);
	if (status != PE_OK)
		return status;
	status = pe_privilege_filter();
	left->filtered = status == PE_OK;
	if (status == PE_IO)
		return pe_fail(error, PE_UNSUPPORTED, "system calls cannot be filtered: %s",
			strerror(errno));
	return PE_OK;
}
