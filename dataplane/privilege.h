// What the process may still do once it runs: no capability, no new privileges, no file but its own
// directories, no system call that it does not need. Whoever takes the engine over through a
// message then holds a process that can answer messages and little else. Called once, when
// everything is opened and before anybody is told that the engine is ready.
//
// Capabilities and Landlock are of a thread each, and DPDK has started threads by then: each is
// asked by a signal to give up its own, and this waits until all have. The filter of system calls
// is put on all threads at once by the kernel. Threads that start later inherit all of it. Main
// thread; nothing of it can be taken back.
#pragma once

#include "base/status.h"

#include <signal.h>
#include <stdbool.h>

enum pe_privilege_use {
	PE_PRIVILEGE_EMPTY,  // list the directory and remove the files in it
	PE_PRIVILEGE_RMDIR,  // remove empty directories in it
	PE_PRIVILEGE_SOCKET, // make and remove UNIX sockets in it
	PE_PRIVILEGE_READ,   // read what is in it, or the file
};

// Asks a thread to give up its own: no thread may block it.
#define PE_PRIVILEGE_SIGNAL      (SIGRTMAX - 1)
#define PE_PRIVILEGE_PATHS_MAX   16
#define PE_PRIVILEGE_THREADS_MAX 128

struct pe_privilege {
	// keys are in memory: no core dumps, and no debugger of the same user
	bool secrets;
	unsigned path_count;
	struct {
		const char *path; // one that is not there is left out
		enum pe_privilege_use use;
	} paths[PE_PRIVILEGE_PATHS_MAX];
};

// What came of it.
struct pe_privilege_left {
	unsigned thread_count; // that gave up their own
	int landlock;          // version of Landlock's interface; 0 = this kernel has none
	bool filtered;         // system calls; false = this build or this kernel has no filter
};

// PE_UNSUPPORTED, PE_TIMEOUT (a thread did not answer) or PE_FULL (too many threads), with the
// reason in the text: the process should end, since it may stand halfway. What the kernel or the
// build merely lacks is no failure and told in *left.
[[nodiscard]] enum pe_status pe_privilege_drop(
	const struct pe_privilege *keep, struct pe_privilege_left *left, struct pe_error *error);

// privilege_calls.c. Puts the filter on every thread. PE_NOT_FOUND: the build or the kernel has
// none; PE_IO: it could not be put on, errno says why. A call that is not on the list fails with
// EPERM; one that only an intruder makes ends the process.
[[nodiscard]] enum pe_status pe_privilege_filter(void);
