#include "eal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX (24 + PE_EAL_ARGUMENTS_MAX + PE_SOURCES_MAX * 2)

struct arguments {
	unsigned count;
	bool full;
	char *value[ARGUMENTS_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void add(struct arguments *a, const char *format, ...)
{
	va_list args;
	char *value = NULL;

	va_start(args, format);
	if (a->count == ARGUMENTS_MAX || vasprintf(&value, format, args) < 0)
		a->full = true;
	else
		a->value[a->count++] = value;
	va_end(args);
}

static bool is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	int used = 0;

	return (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &used) == 4 ||
		       sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &used) == 3) &&
		(device[used] == '\0' || device[used] == ',');
}

// A driver with arguments, or the name of one of DPDK's software drivers: made by EAL on our word.
static bool is_vdev(const char *device)
{
	return strchr(device, ',') != NULL || strncmp(device, "net_", 4) == 0 ||
		strncmp(device, "eth_", 4) == 0;
}

// "0-3,8": the processors that this process may use.
static void list_allowed(char *text, size_t bytes)
{
	cpu_set_t set;
	size_t used = 0;
	int first = -1;

	text[0] = '\0';
	if (sched_getaffinity(0, sizeof set, &set) != 0)
		return;
	for (int cpu = 0; cpu <= CPU_SETSIZE && used + 16 < bytes; cpu++) {
		bool in = cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set);

		if (in && first < 0)
			first = cpu;
		if (in || first < 0)
			continue;
		used += (size_t)snprintf(text + used, bytes - used, "%s%d", used ? "," : "", first);
		if (cpu - 1 > first)
			used += (size_t)snprintf(text + used, bytes - used, "-%d", cpu - 1);
		first = -1;
	}
}

// Lcore 0 is the main thread, which sleeps; lcore w + 1 is worker w. Unpinned lcores may run
// anywhere.
static void add_lcores(struct arguments *a, const struct pe_config *config)
{
	char allowed[1024], lcores[4096];
	size_t used;

	list_allowed(allowed, sizeof allowed);
	used = config->control_core >= 0 ?
		(size_t)snprintf(lcores, sizeof lcores, "0@%d", config->control_core) :
		(size_t)snprintf(lcores, sizeof lcores, "0@(%s)", allowed);
	for (unsigned w = 0; w < config->worker_count; w++) {
		size_t room = sizeof lcores - used;
		int wrote = config->core_count ?
			snprintf(lcores + used, room, ",%u@%u", w + 1, config->cores[w]) :
			snprintf(lcores + used, room, ",%u@(%s)", w + 1, allowed);

		if (wrote < 0 || (size_t)wrote >= room) {
			a->full = true;
			return;
		}
		used += (size_t)wrote;
	}
	add(a, "--lcores=%s", lcores);
	add(a, "--main-lcore=0");
}

static void add_devices(struct arguments *a, const struct pe_config *config)
{
	bool pci = false;

	for (unsigned i = 0; i < config->source_count; i++) {
		const struct pe_source_config *s = &config->sources[i];

		if (s->kind != PE_SOURCE_ETHDEV)
			continue;
		if (is_pci(s->device)) {
			add(a, "--allow=%s", s->device);
			pci = true;
		} else if (is_vdev(s->device)) {
			add(a, "--vdev=%s", s->device);
		}
	}
	for (unsigned i = 0; i < config->eal_argument_count; i++)
		pci = pci || strncmp(config->eal_arguments[i], "-a", 2) == 0 ||
			strncmp(config->eal_arguments[i], "--allow", 7) == 0;
	if (!pci)
		add(a, "--no-pci");
}

static void build(struct arguments *a, const struct pe_config *config)
{
	add(a, "presenced");
	add_lcores(a, config);
	add(a, "--proc-type=primary");
	// A prefix of its own lets any number of engines run on one machine.
	add(a, "--file-prefix=presenced-%d", (int)getpid());
	if (config->no_huge) { // EAL refuses it together with --in-memory
		add(a, "--no-huge");
		add(a, "--no-shconf"); // no secondary processes: no files and no socket for them
		add(a, "-m");
		add(a, "%u", config->dpdk_mb);
	} else {
		add(a, "--in-memory");
		add(a, "--socket-mem=%u", config->dpdk_mb);
	}
	if (!config->telemetry)
		add(a, "--no-telemetry");
	add(a, "--log-level=%s", config->log_level == PE_LOG_DEBUG ? "info" : "error");
	add_devices(a, config);
	for (unsigned i = 0; i < config->eal_argument_count; i++)
		add(a, "%s", config->eal_arguments[i]);
}

static void explain(const struct pe_config *config, struct pe_error *error)
{
	const char *mend =
		"run with log: debug to see what EAL says, and presenced --doctor to see what the machine lacks";

	if (!config->no_huge)
		mend = "memory.no_huge is false: reserve huge pages first, for example\n"
		       "  sysctl vm.nr_hugepages=512";
	else if (rte_errno == EACCES || rte_errno == EPERM)
		mend = "EAL's directory is not ours to write: set XDG_RUNTIME_DIR to one that is";
	error->status = config->no_huge && (rte_errno == EACCES || rte_errno == EPERM) ?
		PE_UNSUPPORTED :
		PE_IO;
	snprintf(error->text, sizeof error->text, "DPDK's environment does not start (%s). %s",
		rte_strerror(rte_errno), mend);
}

// EAL's own word on a processor that is not there is a page of its options.
static bool cores_allowed(const struct pe_config *config, struct pe_error *error)
{
	char allowed[1024];
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) != 0)
		return true; // EAL will say
	for (unsigned i = 0; i <= config->core_count; i++) {
		bool control = i == config->core_count;
		int core = control ? config->control_core : (int)config->cores[i];

		if (core < 0 || (core < CPU_SETSIZE && CPU_ISSET(core, &set)))
			continue;
		list_allowed(allowed, sizeof allowed);
		error->status = PE_IO;
		snprintf(error->text, sizeof error->text,
			"workers.%s names processor %d, which is not there or not ours to use; there are %.200s "
			"(taskset -p PID, or a cgroup's cpuset, may hold others back)",
			control ? "control_core" : "cores", core, allowed);
		return false;
	}
	return true;
}

// EAL keeps the pointers for as long as it lives.
static struct arguments arguments;
static char directory[256];

enum pe_status pe_eal_start(const struct pe_config *config, struct pe_error *error)
{
	char *argv[ARGUMENTS_MAX + 1]; // EAL moves the entries about

	if (!cores_allowed(config, error))
		return error->status;
	build(&arguments, config);
	if (arguments.full) {
		error->status = PE_FULL;
		snprintf(error->text, sizeof error->text, "too many or too long arguments for EAL");
		return PE_FULL;
	}
	for (unsigned i = 0; i < arguments.count; i++)
		pe_log(PE_LOG_DEBUG, "EAL argument %s", arguments.value[i]);
	memcpy(argv, arguments.value, sizeof argv);
	rte_errno = 0;
	if (rte_eal_init((int)arguments.count, argv) < 0) {
		explain(config, error);
		return error->status;
	}
	snprintf(directory, sizeof directory, "%s", rte_eal_get_runtime_dir());
	error->status = PE_OK;
	return PE_OK;
}

const char *pe_eal_directory(void)
{
	return directory;
}

// EAL leaves its directory behind, with a lock file or two: it is this process's alone, by its
// prefix.
static void remove_directory(void)
{
	DIR *open = opendir(directory);
	struct dirent *entry;

	if (!open)
		return;
	for (unsigned i = 0; i < 64 && (entry = readdir(open)); i++)
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(open), entry->d_name, 0);
	closedir(open);
	(void)rmdir(directory);
}

void pe_eal_stop(void)
{
	(void)rte_eal_cleanup();
	if (strstr(directory, "/presenced-"))
		remove_directory();
	for (unsigned i = 0; i < arguments.count; i++)
		free(arguments.value[i]);
	arguments = (struct arguments){0};
}
