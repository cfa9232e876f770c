#include "base/rcu.h"
#include "base/sanitizers.h"

#define _LGPL_SOURCE
#define URCU_API_MAP
#include <urcu/urcu-qsbr.h>

// ThreadSanitizer does not see liburcu's memory barriers: the quiescent state releases, and the
// grace period acquires, through this address.
#ifdef PE_THREAD_SANITIZER
void __tsan_acquire(void *);
void __tsan_release(void *);
static char tsan_edge;
// liburcu 0.13.2 itself: the waiting flag of a grace period is read and written with its own
// barriers.
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:urcu_qsbr_wake_up_gp\n";
}
#define EDGE_ACQUIRE() __tsan_acquire(&tsan_edge)
#define EDGE_RELEASE() __tsan_release(&tsan_edge)
#else
#define EDGE_ACQUIRE() ((void)0)
#define EDGE_RELEASE() ((void)0)
#endif

_Atomic uint64_t pe_rcu_started;
_Atomic uint64_t pe_rcu_completed;

void pe_rcu_register(void)
{
	rcu_register_thread();
}

void pe_rcu_unregister(void)
{
	EDGE_RELEASE();
	rcu_unregister_thread();
}

void pe_rcu_quiescent(void)
{
	EDGE_RELEASE();
	rcu_quiescent_state();
}

void pe_rcu_offline(void)
{
	EDGE_RELEASE();
	rcu_thread_offline();
}

void pe_rcu_online(void)
{
	rcu_thread_online();
}

void pe_rcu_synchronize(void)
{
	uint64_t started = atomic_load_explicit(&pe_rcu_started, memory_order_relaxed) + 1;

	// GP: seq_cst, before the grace period begins: an owner that still reads the old number
	// stamped before this grace period, and its readers are waited for by this one or the next.
	atomic_store_explicit(&pe_rcu_started, started, memory_order_seq_cst);
	synchronize_rcu();
	EDGE_ACQUIRE();
	// GP: release: whoever sees the number also sees that the readers are done.
	atomic_store_explicit(&pe_rcu_completed, started, memory_order_release);
}
