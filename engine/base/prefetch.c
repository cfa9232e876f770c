#include "base/prefetch.h"

bool pe_prefetch_first;

__attribute__((constructor)) static void choose(void)
{
	__builtin_cpu_init();
	pe_prefetch_first = __builtin_cpu_is("intel");
}
