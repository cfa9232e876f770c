#include "doctor.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#define RMEM_WANTED (4 << 20)

enum finding { FINE, SLOW, MISSING };

// What a thing is for stands beside what is there, so that a laptop's owner sees what not to care
// about.
static enum finding say(
	FILE *out, enum finding finding, const char *what, const char *found, const char *mend)
{
	static const char *const word[] = {"ok     ", "slower ", "MISSING"};

	fprintf(out, "%s  %s: %s\n", word[finding], what, found);
	if (finding != FINE && mend)
		fprintf(out, "           %s\n", mend);
	return finding;
}

static bool read_line(const char *path, char *line, int bytes)
{
	FILE *in = fopen(path, "re");
	bool got = in && fgets(line, bytes, in);

	if (in)
		fclose(in);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

static long meminfo(const char *key)
{
	char line[128];
	FILE *in = fopen("/proc/meminfo", "re");
	long value = -1;

	while (in && fgets(line, sizeof line, in))
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			value = strtol(line + strlen(key) + 1, NULL, 10);
	if (in)
		fclose(in);
	return value;
}

static enum finding look_at_processor(FILE *out)
{
	enum finding worst = FINE;

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("x86-64-v3"))
		worst = say(out, MISSING, "processor", "no x86-64-v3 (AVX2, BMI2, FMA)",
			"another machine; or a build with another -march, which is not tested");
	else
		say(out, FINE, "processor", "x86-64-v3", NULL);
	if (!__builtin_cpu_supports("aes"))
		worst = say(out, MISSING, "AES instructions", "none: the keyed hash needs them",
			"another machine; in a virtual one, pass the host's processor through");
	else
		say(out, FINE, "AES instructions", "there", NULL);
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"))
		say(out, FINE, "AVX-512", "there: scans use it", NULL);
	else
		say(out, FINE, "AVX-512", "none: scans use AVX2", NULL);
	return worst;
}

static void look_at_memory(FILE *out)
{
	long total = meminfo("HugePages_Total"), left = meminfo("HugePages_Free"),
	     size = meminfo("Hugepagesize");
	struct rlimit lock;
	char found[128];

	snprintf(found, sizeof found, "%ld of %ld free, %ld KiB each", left, total, size);
	say(out, left > 0 ? FINE : SLOW, "huge pages", found,
		"for memory.no_huge: false and huge_pages: true: sysctl vm.nr_hugepages=512 (1 GiB of 2 MiB pages)");
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0) {
		if (lock.rlim_cur == RLIM_INFINITY)
			snprintf(found, sizeof found, "unlimited");
		else
			snprintf(found, sizeof found, "%llu KiB",
				(unsigned long long)lock.rlim_cur / 1024);
		say(out, lock.rlim_cur >= 64u << 20 ? FINE : SLOW, "locked memory", found,
			"for NICs and af_xdp without root: ulimit -l unlimited (or LimitMEMLOCK= in the unit)");
	}
}

static bool has_entries(const char *path)
{
	DIR *open = opendir(path);
	struct dirent *entry;
	bool any = false;

	while (open && !any && (entry = readdir(open)))
		any = entry->d_name[0] != '.';
	if (open)
		closedir(open);
	return any;
}

static void look_at_vfio(FILE *out)
{
	bool device = access("/dev/vfio/vfio", F_OK) == 0,
	     groups = has_entries("/sys/kernel/iommu_groups");

	say(out, device ? FINE : SLOW, "vfio", device ? "there" : "no /dev/vfio/vfio",
		"for a NIC under DPDK: modprobe vfio-pci");
	say(out, groups ? FINE : SLOW, "IOMMU", groups ? "on" : "no groups",
		"for a NIC under DPDK: boot with intel_iommu=on or amd_iommu=on iommu=pt (a NIC without one needs "
		"vfio's no-IOMMU mode, which trusts the device with all memory)");
}

static void look_at_cores(FILE *out)
{
	char isolated[256] = "", governor[64] = "";
	char found[300], range[32] = "1", mend[300];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	(void)read_line("/sys/devices/system/cpu/isolated", isolated, sizeof isolated);
	snprintf(found, sizeof found, "%s of %ld processors", isolated[0] ? isolated : "none",
		cores);
	// The first one is left to the system.
	if (cores > 2)
		snprintf(range, sizeof range, "1-%ld", cores - 1);
	snprintf(mend, sizeof mend,
		"for workers.idle: spin: boot with isolcpus=%s nohz_full=%s rcu_nocbs=%s and set workers.cores; else "
		"leave idle: sleep",
		range, range, range);
	say(out, isolated[0] ? FINE : SLOW, "isolated cores", found,
		cores > 1 ? mend : "one processor has none to spare: leave idle: sleep");
	if (!read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor,
		    sizeof governor))
		say(out, FINE, "frequency governor", "not ours to set (virtual machine or fixed)",
			NULL);
	else
		say(out, strcmp(governor, "performance") == 0 ? FINE : SLOW, "frequency governor",
			governor, "cpupower frequency-set -g performance");
}

// A PCI network card, and the driver that has it now.
static void look_at_nics(FILE *out)
{
	DIR *open = opendir("/sys/class/net");
	struct dirent *entry;
	unsigned cards = 0;

	while (open && (entry = readdir(open))) {
		char path[400], link[400], bus[400], found[900];
		ssize_t got, got_bus;

		snprintf(path, sizeof path, "/sys/class/net/%.255s/device/driver", entry->d_name);
		got = readlink(path, link, sizeof link - 1);
		snprintf(
			path, sizeof path, "/sys/class/net/%.255s/device/subsystem", entry->d_name);
		got_bus = readlink(path, bus, sizeof bus - 1);
		if (entry->d_name[0] == '.' || got <= 0 || got_bus <= 0)
			continue;
		link[got] = bus[got_bus] = '\0';
		if (!strstr(bus, "/pci"))
			continue;
		snprintf(found, sizeof found, "%.64s, kernel driver %.64s", entry->d_name,
			strrchr(link, '/') ? strrchr(link, '/') + 1 : link);
		say(out, FINE, "network card", found, NULL);
		cards++;
	}
	if (open)
		closedir(open);
	if (cards == 0)
		say(out, SLOW, "network card", "no PCI card of the kernel's",
			"sockets, af_packet and af_xdp work without one; a card bound to vfio-pci shows in dpdk-devbind.py "
			"--status");
}

static void look_at_sockets(FILE *out)
{
	char line[32] = "0", found[64];

	(void)read_line("/proc/sys/net/core/rmem_max", line, sizeof line);
	snprintf(found, sizeof found, "at most %s bytes", line);
	say(out, strtol(line, NULL, 10) >= RMEM_WANTED ? FINE : SLOW, "socket queues", found,
		"so that bursts to a socket source are kept: sysctl net.core.rmem_max=4194304");
	say(out, geteuid() == 0 ? FINE : SLOW, "rights",
		geteuid() == 0 ? "root" : "an ordinary user",
		"enough for socket sources; af_packet needs CAP_NET_RAW, af_xdp CAP_NET_ADMIN and CAP_BPF: setcap "
		"cap_net_raw,cap_net_admin,cap_bpf+ep presenced");
}

int pe_doctor(FILE *out)
{
	enum finding processor = look_at_processor(out);

	look_at_memory(out);
	look_at_cores(out);
	look_at_vfio(out);
	look_at_nics(out);
	look_at_sockets(out);
	fprintf(out,
		processor == MISSING ?
			"presenced cannot run here\n" :
			"presenced runs here; what is marked slower matters for speed, and for NICs\n");
	return processor == MISSING ? EX_UNAVAILABLE : 0;
}
