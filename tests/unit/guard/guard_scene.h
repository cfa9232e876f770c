// When and whence, in the guard's tests: the clocks at a time since start, and peers on one
// network.
#pragma once

#include "engine.h"

#define WALL 1795000000000u // ms, at start

static inline struct pe_now at(uint64_t mono_ms)
{
	return (struct pe_now){.mono_ms = mono_ms, .wall_ms = WALL + mono_ms};
}

// 192.0.2.last, an IPv4 address as IPv6 has it.
static inline struct pe_peer peer_of(unsigned last)
{
	return (struct pe_peer){
		.address = {[10] = 0xFF, [11] = 0xFF, [12] = 192, [14] = 2, [15] = (uint8_t)last},
		.port = 4000};
}
