// Counters as lines for the operator. Any thread.
#pragma once

#include "worker.h"

// Every counter that is not zero, what the layers below the sources report, and the two identities.
void pe_stats_print(const struct pe_workers *workers);
