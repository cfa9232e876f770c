// Which scan kernel this processor gets.
#include "grid/scan.h"

#include "base/sanitizers.h"
#include "grid/grid_internal.h"

bool pe_scan_supported(enum pe_scan_isa isa)
{
#ifdef PE_THREAD_SANITIZER
	// ThreadSanitizer takes a vector load for a race with the owner's atomic store.
	return isa == PE_SCAN_SCALAR;
#endif
	switch (isa) {
	case PE_SCAN_SCALAR:
		return true;
	case PE_SCAN_AVX2:
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	case PE_SCAN_AVX512:
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
	case PE_SCAN_ISA_COUNT:
		break;
	}
	return false;
}

enum pe_scan_isa pe_scan_best(void)
{
	for (unsigned isa = PE_SCAN_ISA_COUNT; isa-- > 0;)
		if (pe_scan_supported((enum pe_scan_isa)isa))
			return (enum pe_scan_isa)isa;
	return PE_SCAN_SCALAR;
}

void pe_grid_force_scan(struct pe_grid *grid, enum pe_scan_isa isa)
{
	static pe_scan_function *const functions[PE_SCAN_ISA_COUNT] = {
		[PE_SCAN_SCALAR] = pe_scan_scalar,
		[PE_SCAN_AVX2] = pe_scan_avx2,
		[PE_SCAN_AVX512] = pe_scan_avx512};

	static pe_find_function *const find[PE_SCAN_ISA_COUNT] = {[PE_SCAN_SCALAR] = pe_find_scalar,
		[PE_SCAN_AVX2] = pe_find_avx2,
		[PE_SCAN_AVX512] = pe_find_avx512};

	assert(pe_scan_supported(isa));
	grid->scan = functions[isa];
	grid->find = find[isa];
}
