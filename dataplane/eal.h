// DPDK's environment, started from our own configuration: one lcore a worker, one that sleeps (the
// main thread), no option that the configuration does not call for. Main thread only, once a
// process.
#pragma once

#include "config.h"

// error->status: PE_UNSUPPORTED when the right to do it is missing, PE_IO otherwise.
[[nodiscard]] enum pe_status pe_eal_start(const struct pe_config *config, struct pe_error *error);
// Where EAL keeps its files: the telemetry socket is dpdk_telemetry.v2 in it.
const char *pe_eal_directory(void);
void pe_eal_stop(void);
