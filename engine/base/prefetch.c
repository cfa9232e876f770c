#include "base/prefetch.h"

struct pe_prefetch_choice pe_prefetch_choice;

__attribute__((constructor)) static void choose(void)
{
	__builtin_cpu_init();
	pe_prefetch_choice.first = __builtin_cpu_is("intel");
}
