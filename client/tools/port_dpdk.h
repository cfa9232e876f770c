// A transport over a DPDK port of the load generator's own, for traffic that no kernel touches:
// frames are made and read here, so the device is any that EAL can open. Present when the build
// found DPDK; otherwise opening says so. One thread; EAL is set up by the first client and shared
// by the others of the process.
#pragma once

#include "client/presence.h"

#include <stddef.h>

enum presence_result port_dpdk_open(const char *device, const struct presence_options *options,
	struct presence_client **client, char *error, size_t error_bytes);
