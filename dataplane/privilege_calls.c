// The system calls that are left. The list was found by running: sockets, af_packet, pcap, memif
// and null ports, telemetry, threads that sleep and wake, the drain and the end.
#include "privilege.h"

#include <errno.h>

#ifdef PE_HAVE_SECCOMP
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

// Messages, waiting, memory, threads; files only as far as Landlock lets them.
static const int allowed[] = {
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(close),
	CALL(lseek),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(fcntl),
	CALL(dup),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(recvmmsg),
	CALL(sendto),
	CALL(sendmsg),
	CALL(sendmmsg),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(getsockname),
	CALL(getpeername),
	CALL(shutdown),
	CALL(accept),
	CALL(accept4),
	CALL(listen),
	CALL(bind),
	CALL(connect),
	CALL(poll),
	CALL(ppoll),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_ctl),
	CALL(epoll_create),
	CALL(epoll_create1),
	CALL(select),
	CALL(pselect6),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(pipe2),
	CALL(memfd_create),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(brk),
	CALL(mincore),
	CALL(msync),
	CALL(mlock),
	CALL(mlock2),
	CALL(munlock),
	CALL(get_mempolicy),
	CALL(mbind),
	CALL(futex),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(membarrier),
	CALL(set_tid_address),
	CALL(sched_yield),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(getcpu),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(gettimeofday),
	CALL(time),
	CALL(restart_syscall),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(rt_sigtimedwait),
	CALL(rt_sigpending),
	CALL(sigaltstack),
	CALL(getpid),
	CALL(gettid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(getppid),
	CALL(getrandom),
	CALL(uname),
	CALL(sysinfo),
	CALL(getrusage),
	CALL(times),
	CALL(getrlimit),
	CALL(openat),
	CALL(open),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(getdents64),
	CALL(unlink),
	CALL(unlinkat),
	CALL(rmdir),
	CALL(flock),
	CALL(ioctl), // of what is open; devices that Landlock knows are closed to it
	CALL(exit),
	CALL(exit_group),
};

// Who makes one of these is not the engine any more.
static const int deadly[] = {
	CALL(execve),
	CALL(execveat),
	CALL(fork),
	CALL(vfork),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(mount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(chroot),
	CALL(setns),
	CALL(unshare),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(kexec_load),
	CALL(kexec_file_load),
	CALL(bpf),
	CALL(perf_event_open),
	CALL(userfaultfd),
	CALL(keyctl),
	CALL(add_key),
	CALL(request_key),
	CALL(io_uring_setup),
	CALL(open_by_handle_at),
	CALL(setuid),
	CALL(setgid),
	CALL(setreuid),
	CALL(setregid),
	CALL(setresuid),
	CALL(setresgid),
	CALL(setgroups),
	CALL(iopl),
	CALL(ioperm),
	CALL(reboot),
	CALL(swapon),
	CALL(swapoff),
};

static int add_arguments(scmp_filter_ctx filter)
{
	int failed = 0;

	// No memory becomes code.
	failed |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, CALL(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(mprotect), 1,
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	// Threads, no processes. What clone3 asks for cannot be seen: the C library takes clone
	// then.
	failed |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	// Neighbours on this machine; no new way to the network.
	failed |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, CALL(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	failed |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, CALL(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	// Asks for limits, and sets none.
	failed |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, CALL(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
	failed |= seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, CALL(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	// Of this process alone: abort() is one.
	failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1,
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return failed;
}

enum pe_status pe_privilege_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	enum pe_status status = PE_OK;
	int failed;

	if (!filter) {
		errno = ENOMEM;
		return PE_IO;
	}
	failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); // a tree instead of a list
	failed |= seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	// What is denied is in the kernel's log, where it keeps one of such.
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	for (unsigned i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
		failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (unsigned i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
		failed |= seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	failed |= add_arguments(filter);
	if (failed) {
		errno = EINVAL;
		status = PE_IO;
	} else {
		failed = seccomp_load(filter);
		errno = -failed;
		status = failed == 0 ? PE_OK : failed == -ENOSYS ? PE_NOT_FOUND : PE_IO;
	}
	seccomp_release(filter);
	return status;
}
#else
enum pe_status pe_privilege_filter(void)
{
	errno = ENOSYS;
	return PE_NOT_FOUND;
}
#endif
