// What tests of standing queries with one subscriber share: an engine, and turns whose notices the
// subscriber takes.
#pragma once

#include "testing.h"
#include "watching.h"

static struct harness h;
static struct watching s;

// An engine by this configuration, and a subscriber of its first space.
static inline void start_with(const struct pe_engine_config *config)
{
	harness_start(&h, config);
	watching_init(&s, &h, 0, 11);
}

static inline void stop(void)
{
	watching_free(&s);
	harness_stop(&h);
}
