// presenced: reads its configuration, starts DPDK, the engine, the sources and the workers, waits
// for a signal, drains. Exit codes are those of sysexits.h.
#include "doctor.h"
#include "eal.h"
#include "policy/methods.h"
#include "privilege.h"
#include "stats.h"
#include "telemetry.h"
#include "trust.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 2000

const char *argp_program_version = "presenced " PE_VERSION;

struct options {
	const char *config;
	bool check_config, doctor;
	unsigned duration_s; // 0 = until a signal
};

static const struct argp_option option_list[] = {
	{"config", 'c', "FILE", 0,
		"read the configuration from FILE; without it, the built-in one: loopback, no "
		"huge pages, no privileges",
		0},
	{"check-config", 'n', NULL, 0, "check the configuration and end", 0},
	{"doctor", 'D', NULL, 0, "say what this machine lacks and how to mend it, and end", 0},
	{"duration", 'd', "SECONDS", 0, "end by itself after so long", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	unsigned long seconds;
	char *end;

	switch (key) {
	case 'c':
		o->config = argument;
		return 0;
	case 'n':
		o->check_config = true;
		return 0;
	case 'D':
		o->doctor = true;
		return 0;
	case 'd':
		seconds = strtoul(argument, &end, 10);
		if (*end || argument[0] < '0' || argument[0] > '9' || seconds == 0 ||
			seconds > 31536000)
			argp_error(state, "--duration: from 1 to 31536000 seconds, not \"%s\"",
				argument);
		o->duration_s = (unsigned)seconds;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "\"%s\": no arguments are taken", argument);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_list,
	.parser = parse_option,
	.doc = "A presence engine on DPDK: where entities are, who is near.\v"
	       "Signals: SIGTERM and SIGINT drain and end, SIGHUP reads the keyring again (and ends where there is none), "
	       "SIGUSR1 prints the counters.",
};

// Where one of the first three descriptors is closed, the next socket or pipe that is opened would
// get its number, and what is printed would be sent there.
static bool fill_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return false;
	return true;
}

static int exit_code(enum pe_status status)
{
	switch (status) {
	case PE_OK:
		return EX_OK;
	case PE_INVALID:
	case PE_RANGE:
		return EX_CONFIG;
	case PE_NO_MEMORY:
	case PE_FULL:
		return EX_OSERR;
	case PE_UNSUPPORTED:
		return EX_NOPERM;
	default:
		return EX_UNAVAILABLE;
	}
}

static void block_signals(sigset_t *set)
{
	struct sigaction at_start;

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGUSR1);
	// Under nohup it stays ignored; a signal that is blocked would be delivered here all the
	// same.
	if (sigaction(SIGHUP, NULL, &at_start) == 0 && at_start.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
	// Before any thread starts: they all inherit it, so that only the main thread is told.
	pthread_sigmask(SIG_BLOCK, set, NULL);
	// A log that nobody reads, or that has grown to its limit, ends nothing.
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static enum pe_status open_sources(struct pe_workers *workers, struct pe_error *error)
{
	const struct pe_config *config = workers->config;

	for (unsigned i = 0; i < config->source_count; i++) {
		static typeof(&pe_socket_open)
			const open_of[] = {[PE_SOURCE_SOCKET] = pe_socket_open,
				[PE_SOURCE_ETHDEV] = pe_ethdev_open,
				[PE_SOURCE_RING] = pe_ring_open};
		enum pe_status status =
			open_of[config->sources[i].kind](config, i, &workers->sources[i], error);

		if (status != PE_OK)
			return status;
		workers->source_count++;
		if (workers->sources[i]->beyond_loopback && !config->keyring[0])
			pe_log(PE_LOG_WARNING,
				"%s is reachable from other machines and nothing is authenticated: whoever can send to "
				"it can publish for any entity, under any source address",
				workers->sources[i]->where);
	}
	return PE_OK;
}

// What the devices of DPDK still make or remove: the socket of a memif port.
static const char *device_directory(const struct pe_source_config *s, char directory[256])
{
	const char *at = s->kind == PE_SOURCE_ETHDEV ? strstr(s->device, ",socket=/") : NULL;
	char *last;

	if (s->kind == PE_SOURCE_RING) {
		snprintf(directory, 256, "%s", s->path);
	} else if (at) {
		snprintf(directory, 256, "%s", at + strlen(",socket="));
		directory[strcspn(directory, ",")] = '\0';
	} else {
		return NULL;
	}
	last = strrchr(directory, '/');
	last[last == directory] = '\0';
	return directory;
}

static enum pe_status drop_privileges(const struct pe_workers *workers, struct pe_error *error)
{
	static char parent[256], sockets[PE_SOURCES_MAX][256], keys[512];
	const struct pe_config *config = workers->config;
	struct pe_privilege keep = {.path_count = 2,
		.paths = {{pe_eal_directory(), PE_PRIVILEGE_EMPTY}, {parent, PE_PRIVILEGE_RMDIR}}};
	struct pe_privilege_left left;
	enum pe_status status;
	char *last;

	keep.secrets = config->keyring[0] != '\0';

	if (!config->sandbox) {
		pe_log(PE_LOG_WARNING,
			"security.sandbox is off: capabilities, files and system calls stay open to whoever takes the process over");
		return PE_OK;
	}
	snprintf(parent, sizeof parent, "%s", pe_eal_directory());
	last = strrchr(parent, '/');
	if (last && last != parent)
		*last = '\0';
	for (unsigned i = 0; i < config->source_count; i++) {
		keep.paths[keep.path_count].path =
			device_directory(&config->sources[i], sockets[i]);
		keep.paths[keep.path_count].use = PE_PRIVILEGE_SOCKET;
		keep.path_count += keep.paths[keep.path_count].path != NULL;
	}
	// The keyring, and what it names beside it, are read again when asked to.
	if (config->keyring[0]) {
		snprintf(keys, sizeof keys, "%s", config->keyring);
		last = strrchr(keys, '/');
		if (last)
			last[last == keys] = '\0';
		keep.paths[keep.path_count].path = last ? keys : ".";
		keep.paths[keep.path_count++].use = PE_PRIVILEGE_READ;
	}
	status = pe_privilege_drop(&keep, &left, error);
	if (status != PE_OK) {
		size_t used = strlen(error->text);

		snprintf(error->text + used, sizeof error->text - used,
			"; `security: {sandbox: off}` runs without");
		return status;
	}
	if (!left.landlock)
		pe_log(PE_LOG_WARNING,
			"this kernel has no Landlock: files stay open to whoever takes the process over");
	if (!left.filtered)
		pe_log(PE_LOG_WARNING,
			"no filter of system calls (libseccomp when built, CONFIG_SECCOMP_FILTER in the kernel)");
	pe_log(PE_LOG_INFO, "rights given up on %u threads: capabilities%s%s", left.thread_count,
		left.landlock ? ", files" : "", left.filtered ? ", system calls" : "");
	return PE_OK;
}

static void say_ready(const struct pe_workers *workers)
{
	char line[900] = "";
	size_t used = 0;

	for (unsigned i = 0; i < workers->source_count && used < sizeof line; i++)
		used += (size_t)snprintf(
			line + used, sizeof line - used, " %s", workers->sources[i]->where);
	pe_log(PE_LOG_INFO, "ready: %u worker%s, listening on%s", workers->loop_count,
		workers->loop_count == 1 ? "" : "s", line);
}

// Another keyring is offered.
static void wake(void *context)
{
	struct pe_workers *workers = context;

	pe_workers_wake(workers);
	for (unsigned i = 0; i < workers->source_count; i++)
		if (workers->sources[i]->ops->users_changed)
			workers->sources[i]->ops->users_changed(workers->sources[i]);
}

static void reload(struct pe_workers *workers)
{
	struct pe_error error = {0};

	if (pe_trust_reload(workers->trust, wake, workers, &error) != PE_OK)
		pe_log(PE_LOG_ERROR, "the keyring before stays in use: %s", error.text);
	else
		pe_log(PE_LOG_INFO, "the keyring was read again");
}

// Workers tell nobody of their load: it is looked at, and a change is a line.
static void tell_load(const struct pe_workers *workers, unsigned told[PE_WORKERS_MAX])
{
	for (unsigned w = 0; w < workers->loop_count; w++) {
		unsigned step =
			atomic_load_explicit(&workers->loops[w].load_step, memory_order_relaxed);

		if (step == told[w])
			continue;
		pe_log(step > told[w] ? PE_LOG_WARNING : PE_LOG_INFO, "worker %u: load %s", w,
			pe_load_name(step));
		told[w] = step;
	}
}

static void wait_for_the_end(struct pe_workers *workers, const sigset_t *set, unsigned duration_s)
{
	const bool weighs = pe_load_wanted(&workers->config->load);
	struct timespec limit = {.tv_sec = weighs ? 1 : duration_s ? duration_s : 3600};
	unsigned told[PE_WORKERS_MAX] = {0};
	struct timespec start, at;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		int got = sigtimedwait(set, NULL, &limit);

		if (got == SIGTERM || got == SIGINT || (got == SIGHUP && !workers->trust)) {
			pe_log(PE_LOG_INFO, "SIG%s: draining", sigabbrev_np(got));
			return;
		}
		if (got == SIGUSR1)
			pe_stats_print(workers);
		if (got == SIGHUP)
			reload(workers);
		if (weighs)
			tell_load(workers, told);
		if (duration_s == 0)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &at);
		if (at.tv_sec - start.tv_sec >= (time_t)duration_s)
			return;
		if (!weighs)
			limit.tv_sec = start.tv_sec + (time_t)duration_s - at.tv_sec;
	}
}

static int run(
	const struct pe_config *config, struct pe_trust *trust, const struct options *options)
{
	static struct pe_workers workers;
	struct pe_error error = {0};
	enum pe_status status;
	sigset_t signals;

	workers.config = config;
	workers.trust = trust;
	block_signals(&signals);
	status = pe_eal_start(config, &error);
	if (status != PE_OK)
		goto end;
	status = pe_engine_create(&config->engine, &workers.engine, &error);
	if (status != PE_OK)
		goto stop_eal;
	pe_engine_print_plan(workers.engine, stderr);
	status = pe_trust_open(workers.trust, workers.engine, &error);
	if (status != PE_OK)
		goto close_sources;
	if (workers.trust)
		pe_trust_say(workers.trust);
	status = open_sources(&workers, &error);
	if (status != PE_OK)
		goto close_sources;
	if (pe_door_wanted(&config->door)) {
		status = pe_door_create(&config->door, config->worker_count, &workers.door);
		if (status != PE_OK) {
			error.status = status;
			snprintf(error.text, sizeof error.text,
				status == PE_RANGE ? "limits: a rate that no bucket holds" :
						     "no memory for the budgets of sources");
			goto close_sources;
		}
	}
	status = pe_workers_start(&workers, &error);
	if (status != PE_OK)
		goto close_sources;
	if (config->telemetry) {
		pe_telemetry_register(&workers);
		pe_log(PE_LOG_INFO, "telemetry: %s/dpdk_telemetry.v2", pe_eal_directory());
	}
	status = drop_privileges(&workers, &error);
	if (status == PE_OK) {
		say_ready(&workers);
		wait_for_the_end(&workers, &signals, options->duration_s);
	}
	if (!pe_workers_drain(&workers, DRAIN_MS))
		pe_log(PE_LOG_WARNING, "not everything had come to its end after %u ms", DRAIN_MS);
	pe_stats_print(&workers);

close_sources:
	pe_telemetry_forget();
	for (unsigned i = 0; i < workers.source_count; i++)
		workers.sources[i]->ops->close(workers.sources[i]);
	pe_trust_close(workers.trust);
	pe_door_destroy(workers.door);
	workers.trust = NULL;
	pe_engine_destroy(workers.engine);
stop_eal:
	pe_eal_stop();
end:
	pe_trust_close(workers.trust);
	if (status != PE_OK)
		pe_log(PE_LOG_ERROR, "%s", error.text);
	else
		pe_log(PE_LOG_INFO, "ended");
	return exit_code(status);
}

// A configuration that is in order, and probably not what was meant.
static void say_doubts(const struct pe_config *config)
{
	for (unsigned i = 0; i < config->engine.space_count && !config->keyring[0]; i++) {
		const struct pe_space_policy *s = &config->engine.spaces[i];

		if (s->authorization != PE_AUTHORIZATION_OPEN)
			pe_log(PE_LOG_WARNING,
				"spaces[%u] (%s): its authorization is not open and there is no security.keyring: "
				"nobody can publish, ask or subscribe there",
				i, s->space.name);
	}
}

// Which key named the file that is not there.
static void name_keyring(const struct pe_config *config, struct pe_error *error)
{
	const struct pe_error told = *error;

	snprintf(error->text, sizeof error->text, "%.200s: security.keyring: %.290s", config->file,
		told.text);
}

int main(int argc, char **argv)
{
	static struct pe_config config;
	struct pe_trust *trust = NULL;
	struct options options = {0};
	struct pe_error error = {0};
	enum pe_status status;
	int code = EX_OK;

	if (!fill_standard())
		return EX_OSERR;
	argp_err_exit_status = EX_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (options.doctor)
		return pe_doctor(stdout);
	status = pe_method_register(&pe_method_scatter, &error);
	if (status == PE_OK)
		status = pe_config_load(options.config, &config, &error);
	if (status == PE_OK) {
		status = pe_trust_load(&config, &trust, &error);
		if (status == PE_IO)
			name_keyring(&config, &error);
	}
	if (status == PE_OK && options.check_config)
		status = pe_trust_check(trust, &error);
	if (status != PE_OK) {
		pe_log(PE_LOG_ERROR, "%s", error.text);
		code = status == PE_IO ? EX_NOINPUT : exit_code(status);
	} else if (options.check_config) {
		say_doubts(&config);
		printf("%s: ok\n", config.file);
		pe_trust_close(trust);
	} else {
		pe_log_set_level(config.log_level);
		say_doubts(&config);
		code = run(&config, trust, &options);
	}
	pe_config_free(&config);
	return code;
}
