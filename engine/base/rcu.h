// The one place that knows liburcu (QSBR flavour). A registered thread is inside a read-side
// section from one quiescent state to the next; a worker announces one a turn and goes offline
// before anything that sleeps. Deferred frees are lists of the owner's own, stamped here; the
// control thread runs the grace periods. There is one RCU domain a process.
//
// A stamp is the number of grace periods *started*, read after the store that unpublishes; the free
// is safe once the number *completed* exceeds it. (completed + 1 would free too early: that grace
// period may have begun before the store. docs/memory-model.md, label GP.)
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern _Atomic uint64_t pe_rcu_started;   // written: control thread; read: owners
extern _Atomic uint64_t pe_rcu_completed; // written: control thread; read: owners

// Each thread that reads shared structures; once each. Registering leaves the thread online.
void pe_rcu_register(void);
void pe_rcu_unregister(void);

void pe_rcu_quiescent(void);
void pe_rcu_offline(void);
void pe_rcu_online(void);

// Control thread (or the only thread of a test): one whole grace period; moves the counters. May
// sleep. A registered caller counts as quiescent for its duration.
void pe_rcu_synchronize(void);

// After the unpublishing store. GP: pairs with pe_rcu_synchronize's increment of pe_rcu_started;
// without the fence the load could move before the store and the stamp would be one grace period
// too old.
static inline uint64_t pe_rcu_stamp(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&pe_rcu_started, memory_order_relaxed);
}

static inline bool pe_rcu_passed(uint64_t stamp)
{
	// GP: acquire: the readers are done
	return atomic_load_explicit(&pe_rcu_completed, memory_order_acquire) > stamp;
}
