// An engine with one ring source and workers of its own threads, without DPDK: what
// dataplane/worker.c does, for tests in whose process clients live, break things and die. One
// space, CARTESIAN; the clock is the machine's. Not for more than one thread, but for the workers.
#pragma once

#include "client/presence.h"
#include "dataplane/ring/ring.h"

#define RIG_WORKERS_MAX 2

struct rig;

struct rig_worker {
	struct rig *rig;
	unsigned index;
	pthread_t thread;
	_Atomic uint64_t turns;
};

struct rig {
	struct pe_config config;
	struct pe_engine *engine;
	struct pe_source *source;
	char folder[64], uri[128];
	_Atomic unsigned phase; // 0 run, 1 settle, 2 stop
	pthread_t control;
	struct rig_worker workers[RIG_WORKERS_MAX];
	unsigned descriptors; // open before it was started
};

// What a test may change before rig_start: 16 clients of this user, rings of 64 KiB, trusted,
// 20,000 entities. A rig is static, since its threads outlive a case that a fatal assertion ends;
// the next case ends the program here then.
void rig_prepare(struct rig *rig);
// Aborts when it cannot. May be called again after rig_stop: the path stays.
void rig_start(struct rig *rig);
// Everything in flight is worked, then the identities of the counters are checked, and that no
// descriptor is left: CUnit's assertions.
void rig_stop(struct rig *rig);
void rig_remove(struct rig *rig); // the folder

uint64_t rig_counter(const struct rig *rig, unsigned counter);
#define RIG_COUNTER(rig, name) rig_counter(rig, PE_COUNTER_##name)
// A number of the source's report.
uint64_t rig_report(const struct rig *rig, const char *name);
// Waits until it is so, a minute at most (a paused machine stops this clock too), and no more than
// a moment once something did not come.
bool rig_wait_report(const struct rig *rig, const char *name, uint64_t value);
bool rig_wait_counter(const struct rig *rig, unsigned counter, uint64_t value);
#define RIG_WAIT_COUNTER(rig, name, value) rig_wait_counter(rig, PE_COUNTER_##name, value)
bool rig_wait_descriptors(unsigned count);
bool rig_wait_readable(int fd);
unsigned rig_descriptors(void); // open now
unsigned rig_mappings(void);    // of rings, in this process

// A client over the rig's URI; NULL with the error printed.
struct presence_client *rig_open(const struct rig *rig, const struct presence_options *options);

// By hand, without libpresence: for those who do not keep to the rules.
struct rig_raw {
	int fd, event_fd, wake_fd;
	uint8_t *memory;
	uint64_t memory_bytes;
	struct pe_shm_welcome welcome;
	struct pe_shm_tx up;
	struct pe_shm_rx down;
};

int rig_connect(const struct rig *rig);
// Sends what is given as a hello and reads the answer; true: attached. raw->welcome.answer says why
// not; 255: the socket closed.
bool rig_attach(const struct rig *rig, const void *hello, size_t bytes, struct rig_raw *raw);
struct pe_shm_hello rig_hello(void);
void rig_detach(struct rig_raw *raw);
