#include "tests/rings/ring_rig.h"

#include "tests/testing.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// How long what is waited for may take on a busy machine. Once something did not come, less: what
// doesn't come once won't the next time, and the cases have to end in time to say so.
static unsigned patience_ms = 60000;
#define IMPATIENT_MS 2000

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct pe_now now(void)
{
	return (struct pe_now){
		.mono_ms = clock_ms(CLOCK_MONOTONIC), .wall_ms = clock_ms(CLOCK_REALTIME)};
}

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

// ---- the workers ----

static uint8_t *sink_reserve(void *context, const struct pe_peer *peer)
{
	const struct rig_worker *w = context;

	return w->rig->source->ops->reserve(w->rig->source, w->index, peer);
}

static void sink_commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	const struct rig_worker *w = context;

	w->rig->source->ops->commit(w->rig->source, w->index, peer, data, bytes,
		pe_worker_counters(pe_engine_worker(w->rig->engine, w->index)));
}

static void *work(void *context)
{
	struct rig_worker *w = context;
	struct rig *rig = w->rig;
	struct pe_source *source = rig->source;
	struct pe_worker *worker = pe_engine_worker(rig->engine, w->index);
	const struct pe_sink sink = {.context = w, .reserve = sink_reserve, .commit = sink_commit};
	struct pe_message messages[PE_BURST_MAX];
	unsigned idle = 0, phase;

	pe_worker_attach(worker);
	while ((phase = atomic_load_explicit(&rig->phase, memory_order_acquire)) < 2) {
		unsigned seen, count, done;
		struct pe_peer peer;

		count = source->ops->receive(source, w->index, phase == 0, messages, PE_BURST_MAX,
			&seen, pe_worker_counters(worker));
		done = pe_worker_turn(worker, now(), messages, count, &sink);
		source->ops->flush(source, w->index, pe_worker_counters(worker));
		source->ops->release(source, w->index);
		while (source->ops->departed(source, w->index, &peer))
			pe_worker_depart(worker, &peer);
		idle = seen | done ? 0 : idle + 1;
		atomic_fetch_add_explicit(&w->turns, 1, memory_order_relaxed);
		if (idle > 50 && phase == 0) {
			struct pollfd wait = {
				.fd = source->ops->wait_fd(source, w->index), .events = POLLIN};
			uint32_t ms = pe_worker_idle_ms(worker, now());

			pe_worker_offline(worker);
			(void)poll(&wait, 1, (int)(ms < 100 ? ms : 100));
			pe_worker_online(worker);
		} else if (idle) {
			sched_yield();
		}
	}
	pe_worker_detach(worker);
	return NULL;
}

static void *control(void *context)
{
	struct rig *rig = context;

	while (atomic_load_explicit(&rig->phase, memory_order_acquire) < 2) {
		(void)pe_engine_control(rig->engine);
		rest();
	}
	return NULL;
}

// ---- start and stop ----

static bool running;

void rig_prepare(struct rig *rig)
{
	struct pe_source_config *own = &rig->config.sources[0];
	struct pe_space_policy *space = &rig->config.engine.spaces[0];

	if (running) {
		// A fatal assertion left its case, which is told by now, and not its threads.
		fprintf(stderr, "rig: the case before left its engine running\n");
		fflush(stdout);
		_exit(EXIT_FAILURE);
	}
	*rig = (struct rig){0};
	snprintf(rig->folder, sizeof rig->folder, "/tmp/presence-rig-XXXXXX");
	if (!mkdtemp(rig->folder))
		abort();
	snprintf(rig->uri, sizeof rig->uri, "shm://%s/p.sock", rig->folder);
	rig->config.worker_count = 1;
	rig->config.source_count = 1;
	*own = (struct pe_source_config){.kind = PE_SOURCE_RING,
		.client_count = 16,
		.ring_bytes = 65536,
		.trusted = true,
		.uid_count = 1,
		.uids = {geteuid()}};
	snprintf(own->path, sizeof own->path, "%s/p.sock", rig->folder);
	rig->config.engine = (struct pe_engine_config){
		.entity_count_max = 20000, .fence_count_max = 256, .space_count = 1};
	space->space.kind = PE_SPACE_CARTESIAN;
	space->space.leaf_edge_m = 64;
	space->space.leaf_height_m = 1024;
	space->space.id[0] = 1;
	space->stale_intervals = PE_STALE_INTERVALS;
}

void rig_start(struct rig *rig)
{
	struct pe_error error = {0};

	running = true;
	rig->descriptors = rig_descriptors();
	rig->config.engine.worker_count = rig->config.worker_count;
	atomic_store(&rig->phase, 0);
	if (pe_engine_create(&rig->config.engine, &rig->engine, &error) != PE_OK ||
		pe_ring_open(&rig->config, 0, &rig->source, &error) != PE_OK) {
		fprintf(stderr, "rig: %s\n", error.text);
		abort();
	}
	for (unsigned w = 0; w < rig->config.worker_count; w++) {
		rig->workers[w] = (struct rig_worker){.rig = rig, .index = w};
		if (pthread_create(&rig->workers[w].thread, NULL, work, &rig->workers[w]) != 0)
			abort();
	}
	if (pthread_create(&rig->control, NULL, control, rig) != 0)
		abort();
}

static uint64_t turns_least(const struct rig *rig)
{
	uint64_t least = UINT64_MAX;

	for (unsigned w = 0; w < rig->config.worker_count; w++) {
		uint64_t turns = atomic_load(&rig->workers[w].turns);

		least = turns < least ? turns : least;
	}
	return least;
}

void rig_stop(struct rig *rig)
{
	uint64_t values[PE_COUNTER_COUNT], from;
	struct pe_identity i;

	atomic_store_explicit(&rig->phase, 1, memory_order_release);
	for (unsigned round = 0; round < 4; round++) {
		from = turns_least(rig);
		while (turns_least(rig) < from + 20)
			rest();
	}
	atomic_store_explicit(&rig->phase, 2, memory_order_release);
	for (unsigned w = 0; w < rig->config.worker_count; w++)
		pthread_join(rig->workers[w].thread, NULL);
	pthread_join(rig->control, NULL);
	pe_engine_counters(rig->engine, values);
	i = pe_identity_check(values);
	CU_ASSERT_EQUAL(i.packets_difference, 0);
	CU_ASSERT_EQUAL(i.records_difference, 0);
	CU_ASSERT_EQUAL(i.queries_difference, 0);
	CU_ASSERT_EQUAL(i.subscribes_difference, 0);
	rig->source->ops->close(rig->source);
	pe_engine_destroy(rig->engine);
	running = false;
}

void rig_remove(struct rig *rig)
{
	(void)unlink(rig->config.sources[0].path);
	(void)rmdir(rig->folder);
}

// ---- what there is to see ----

uint64_t rig_counter(const struct rig *rig, unsigned counter)
{
	uint64_t values[PE_COUNTER_COUNT];

	pe_engine_counters(rig->engine, values);
	return values[counter];
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void look(void *context, const char *name, uint64_t value)
{
	struct wanted *w = context;

	if (strcmp(name, w->name) == 0)
		w->value = value;
}

uint64_t rig_report(const struct rig *rig, const char *name)
{
	struct wanted w = {name, UINT64_MAX};

	rig->source->ops->report(rig->source, look, &w);
	return w.value;
}

static bool came(bool did)
{
	if (!did)
		patience_ms = IMPATIENT_MS;
	return did;
}

bool rig_wait_report(const struct rig *rig, const char *name, uint64_t value)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + patience_ms;

	while (rig_report(rig, name) != value && clock_ms(CLOCK_MONOTONIC) < end)
		rest();
	return came(rig_report(rig, name) == value);
}

bool rig_wait_counter(const struct rig *rig, unsigned counter, uint64_t value)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + patience_ms;

	while (rig_counter(rig, counter) != value && clock_ms(CLOCK_MONOTONIC) < end)
		rest();
	return came(rig_counter(rig, counter) == value);
}

bool rig_wait_descriptors(unsigned count)
{
	uint64_t end = clock_ms(CLOCK_MONOTONIC) + patience_ms;

	while (rig_descriptors() != count && clock_ms(CLOCK_MONOTONIC) < end)
		rest();
	return came(rig_descriptors() == count);
}

bool rig_wait_readable(int fd)
{
	return came(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, (int)patience_ms) == 1);
}

unsigned rig_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

unsigned rig_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned count = 0;
	char line[512];

	while (maps && fgets(line, sizeof line, maps))
		count += strstr(line, "presence-ring") != NULL;
	if (maps)
		fclose(maps);
	return count;
}

struct presence_client *rig_open(const struct rig *rig, const struct presence_options *options)
{
	struct presence_options o = options ? *options : (struct presence_options){0};
	struct presence_client *client;
	char error[300];

	o.uri = rig->uri;
	o.timeout_ms = o.timeout_ms ? o.timeout_ms : 30000;
	if (presence_open(&o, &client, error, sizeof error) == PRESENCE_OK)
		return client;
	fprintf(stderr, "rig: %s\n", error);
	return NULL;
}

// ---- by hand ----

int rig_connect(const struct rig *rig)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s/p.sock", rig->folder);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

struct pe_shm_hello rig_hello(void)
{
	return (struct pe_shm_hello){.magic = PE_SHM_MAGIC,
		.version_min = PE_SHM_VERSION_MIN,
		.version_max = PE_SHM_VERSION};
}

bool rig_attach(const struct rig *rig, const void *hello, size_t bytes, struct rig_raw *raw)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} ancillary;
	struct iovec part = {&raw->welcome, sizeof raw->welcome};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = ancillary.bytes,
		.msg_controllen = sizeof ancillary.bytes};
	const struct cmsghdr *c;
	int fds[3] = {-1, -1, -1};

	*raw = (struct rig_raw){.fd = rig_connect(rig), .event_fd = -1, .wake_fd = -1};
	raw->welcome.answer = 255;
	if (raw->fd < 0 || send(raw->fd, hello, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
		recvmsg(raw->fd, &message, MSG_CMSG_CLOEXEC) !=
			(ssize_t)pe_shm_welcome_bytes(&raw->welcome) ||
		raw->welcome.answer)
		goto fail;
	c = CMSG_FIRSTHDR(&message);
	if (!c)
		goto fail;
	memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	raw->event_fd = fds[1];
	raw->wake_fd = fds[2];
	raw->memory_bytes = raw->welcome.memory_bytes;
	raw->memory = mmap(NULL, raw->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	close(fds[0]);
	if (raw->memory != MAP_FAILED &&
		pe_shm_join(raw->memory, &raw->welcome, &raw->up, &raw->down))
		return true;
	raw->welcome.answer = 254;
fail:
	rig_detach(raw);
	return false;
}

void rig_detach(struct rig_raw *raw)
{
	if (raw->fd >= 0)
		close(raw->fd);
	if (raw->event_fd >= 0)
		close(raw->event_fd);
	if (raw->wake_fd >= 0)
		close(raw->wake_fd);
	if (raw->memory && raw->memory != MAP_FAILED)
		munmap(raw->memory, raw->memory_bytes);
	raw->fd = raw->event_fd = raw->wake_fd = -1;
	raw->memory = NULL;
}
