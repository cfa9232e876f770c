// The counters on DPDK's telemetry socket: /presence/stats, /presence/drops, /presence/identity,
// /presence/sources. Health, not listings: a reply has at most 256 entries. Register after EAL has
// started, forget before the workers' engine is destroyed; main thread. The replies are made on
// EAL's telemetry thread.
#pragma once

#include "worker.h"

void pe_telemetry_register(const struct pe_workers *workers);
// Requests after this are answered with nothing.
void pe_telemetry_forget(void);
