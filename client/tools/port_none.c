#include "client/tools/port_dpdk.h"

#include <stdio.h>

enum presence_result port_dpdk_open(const char *device, const struct presence_options *options,
	struct presence_client **client, char *error, size_t error_bytes)
{
	*client = NULL;
	snprintf(error, error_bytes,
		"cannot use %s: this program was built without DPDK (libdpdk-dev)", device);
	return PRESENCE_BAD_ARGUMENT;
}
