// Which of its sockets the kernel gives a datagram to: a program that it runs for each one of a
// port's group (SO_REUSEPORT). So a source that admits strangers keeps a queue for those that are
// known, and what strangers send beyond what the workers take is dropped from the strangers' queue
// alone. Decided by what is seen from outside, before anything is received:
//   KNOWN   the source address lies under a trusted prefix
//   SEALED  it names a session, where there are any: who plays that is found out behind it (gate.h)
//   OTHER   the rest
//
// The program is classic BPF, which needs no rights. A sender stays on one worker, by its address
// and port. Start only; pure, but for attach.
#pragma once

#include "config.h"

#include <linux/filter.h>

enum pe_steer_class { PE_STEER_OTHER, PE_STEER_KNOWN, PE_STEER_SEALED, PE_STEER_CLASSES };

// As many instructions as the most prefixes can ask for: 13 each, and the rest.
#define PE_STEER_PROGRAM_MAX (PE_PREFIXES_MAX * 13 + 48)

// 1: whoever is admitted is trusted, and there is nothing to keep apart. Else how many classes
// there are, from 0 on.
unsigned pe_steer_class_count(const struct pe_config *config);

// For a socket of IPv4 or IPv6. The socket of class c and worker w is number c × workers + w of its
// group, in the order in which they were bound. Returns how many instructions there are.
unsigned pe_steer_program(const struct pe_config *config, bool v4, unsigned class_count,
	struct sock_filter program[PE_STEER_PROGRAM_MAX]);

// For the whole group of this socket, from now on. False, with errno: the kernel can't; it then
// spreads over all of the sockets by a hash.
bool pe_steer_attach(int fd, const struct sock_filter *program, unsigned count);
