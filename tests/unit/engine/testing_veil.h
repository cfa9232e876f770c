// What tests of the veil share beside testing_audience.h: questions and explanations as somebody,
// and what needs libsodium.
#pragma once

#include "space/coarse.h"
#include "testing_audience.h"
#include "wire/half.h"

#define EVE 3u // nobody that a list names

static struct harness_answer a;

static inline void ask(uint32_t principal, unsigned space, const struct pe_wire_query *q)
{
	h.principal = principal;
	harness_ask(&h, 0, space, q, &a);
	h.principal = 0;
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS);
}

// Without libsodium there are neither names nor noise: then nobody may be anonymous, and what a
// policy would draw for is refused.
static inline bool draws(void)
{
#ifdef PE_HAVE_SODIUM
	return true;
#else
	printf("(in part: built without libsodium) ");
	return false;
#endif
}
