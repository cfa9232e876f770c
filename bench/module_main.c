#include "modules.h"

#include <stdio.h>
#include <stdlib.h>

void module_fail(const char *what)
{
	fprintf(stderr, "presence-module-bench: %s\n", what);
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	module_codec();
	module_table();
	module_coalesce();
	module_grid();
	module_scan();
	module_pack();
	module_query();
	module_ring();
	module_encode();
	module_fence();
	module_filter();
#ifdef BENCH_GUARD
	module_guard();
#endif
	return bench_run(argc, argv);
}
