// The scan that every processor has, and the one that the others are compared with. The order of
// its operations on doubles is theirs too: fma(x, x, fma(y, y, z · z)).
#include "grid/scan.h"

uint32_t pe_scan_scalar(const struct pe_scan *scan, const _Atomic uint64_t *words, unsigned slots,
	uint32_t valid, uint64_t *copy)
{
	uint32_t hits = 0;

	(void)slots;
	for (uint32_t left = valid; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		// SLOT: acquire: partner of the owner's release; for MOVED it makes the record
		// current.
		uint64_t word = atomic_load_explicit(&words[i], memory_order_acquire);
		uint32_t x = PE_WORD_X(word), y = PE_WORD_Y(word), z = PE_WORD_Z(word);
		bool in = true;

		copy[i] = word;
		if (scan->box)
			in = x >= scan->lo[0] && x <= scan->hi[0] && y >= scan->lo[1] &&
				y <= scan->hi[1] && z >= scan->lo[2] && z <= scan->hi[2];
		if (scan->sphere && scan->exact) {
			int64_t dx = (int32_t)(scan->base[0] + x),
				dy = (int32_t)(scan->base[1] + y);
			int64_t dz = (int32_t)(scan->base[2] + ((int64_t)z << scan->z_shift));

			in &= dx * dx + dy * dy + dz * dz <= scan->limit;
		} else if (scan->sphere) {
			double dx = scan->base_real[0] + (double)x,
			       dy = scan->base_real[1] + (double)y;
			double dz = scan->base_real[2] + (double)((uint64_t)z << scan->z_shift);

			in &= __builtin_fma(dx, dx, __builtin_fma(dy, dy, dz * dz)) <= scan->square;
		}
		in |= (word & PE_SLOT_MOVED) != 0;
		hits |= (uint32_t)in << i;
	}
	return hits;
}

uint32_t pe_find_scalar(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found)
{
	uint32_t count = 0;
	uint64_t seen = 0;

	(void)slots;
	for (uint32_t left = valid; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		// SLOT: acquire, as above
		uint64_t word = atomic_load_explicit(&words[i], memory_order_acquire);
		float dx = (float)(find->base[0] + (int32_t)PE_WORD_X(word));
		float dy = (float)(find->base[1] + (int32_t)PE_WORD_Y(word));
		float dz = (float)(find->base[2] + (int32_t)(PE_WORD_Z(word) << find->z_shift));

		if (!(word & PE_SLOT_MOVED) &&
			!(__builtin_fmaf(dx, dx, __builtin_fmaf(dy, dy, dz * dz)) <= find->limit))
			continue;
		found[count++] = handles[i];
		seen |= word;
	}
	return count | (seen & (PE_SLOT_ARRIVING | PE_SLOT_MOVED) ? PE_FIND_FLAGGED : 0);
}
