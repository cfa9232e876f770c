// A polygon's sieve against its edges: cells, boxes of cells, and chunks of slots, by all the
// processor has.
#include "space/sieve.h"

#include "space/side.h"
#include "volume_testing.h"

struct found {
	unsigned tested, inside, sure, out, cells_inside, cells_outside, boxes_outside, flagged,
		wrong, unlike, refused;
};

// Slots of one cell: places near to each other whose cell is the first one's.
struct slots {
	uint64_t key, word[PE_SIEVE_SLOTS];
	double place[PE_SIEVE_SLOTS][3];
	uint32_t mask;
};

static bool slots_about(const struct pe_space *space, const struct rings *r, struct slots *slots)
{
	struct pe_place first, at;
	bool plain = random_bits() & 1;
	double from[3];

	rings_place(r, false, from);
	if (pe_space_locate(space, from, &first) != PE_REASON_none)
		return false;
	slots->key = first.key;
	slots->mask = 0;
	for (unsigned i = 0; i < PE_SIEVE_SLOTS; i++) {
		double reach = random_log(1e-7, 1.0) * r->radius, *place = slots->place[i];

		// In a slot that is not in the mask anything, mostly.
		slots->word[i] = random_bits() & (plain ? PE_WORD_POSITION : ~0ull);
		for (unsigned k = 0; k < 3; k++)
			place[k] = from[k] + (i ? random_between(-1, 1) * reach : 0.0);
		if (i % 3 == 2) // wherever it is in the cell
			for (unsigned k = 0; k < 2; k++)
				place[k] =
					from[k] + random_between(-1, 1) * space->config.leaf_edge_m;
		if (pe_space_locate(space, place, &at) != PE_REASON_none || at.key != slots->key)
			continue;
		slots->word[i] = at.word | (random_bits() % 256 ? 0 : 1ull << (60 + i % 4));
		slots->mask |= 1u << i;
	}
	return true;
}

// The slots' cell as cell number `at`: in its node, of whose columns and rows some are gone
// through.
static enum pe_cell_side enter(struct pe_sieve *sieve, unsigned at, uint64_t key)
{
	const uint32_t cell[2] = {PE_KEY_X(key) % PE_SIEVE_ACROSS, PE_KEY_Y(key) % PE_SIEVE_ACROSS};
	uint32_t lo[2], hi[2];

	for (unsigned k = 0; k < 2; k++) {
		lo[k] = cell[k] - (uint32_t)(random_bits() % (cell[k] + 1));
		hi[k] = cell[k] + (uint32_t)(random_bits() % (PE_SIEVE_ACROSS - cell[k]));
	}
	pe_sieve_node(sieve, key - ((uint64_t)cell[0] << 34) - ((uint64_t)cell[1] << 15), lo, hi);
	return pe_sieve_enter(sieve, at, cell[0], cell[1]);
}

// What was seen has to be what was there.
static uint32_t chunk(const struct pe_sieve *sieve, unsigned at, const struct slots *slots,
	uint32_t *sure, struct found *f)
{
	uint64_t copy[PE_SIEVE_SLOTS], in = 0, any = 0;
	bool flagged;
	uint32_t kept = sieve->chunk(
		sieve, &sieve->cell[at], slots->word, slots->mask, copy, sure, &flagged);

	for (unsigned i = 0; i < PE_SIEVE_SLOTS; i++) {
		any |= slots->word[i];
		if (!(slots->mask >> i & 1))
			continue;
		in |= slots->word[i];
		f->wrong += copy[i] != slots->word[i];
	}
	f->wrong += flagged ? !(any & ~PE_WORD_POSITION) : (in & ~PE_WORD_POSITION) != 0;
	f->flagged += flagged;
	return kept;
}

static void check_slots(const struct slots *slots, const struct pe_polygon *p,
	struct pe_sieve *sieve, struct found *f)
{
	uint32_t kept[PE_SIEVE_ISA_COUNT], sure[PE_SIEVE_ISA_COUNT];
	unsigned at = (unsigned)(random_bits() % PE_SIEVE_CELLS);
	enum pe_cell_side side = PE_CELL_CROSSING;

	for (enum pe_sieve_isa isa = PE_SIEVE_AVX2; isa < PE_SIEVE_ISA_COUNT; isa++) {
		enum pe_cell_side now;

		if (!pe_sieve_supported(isa)) {
			kept[isa] = kept[0];
			sure[isa] = sure[0];
			continue;
		}
		pe_sieve_force(sieve, isa);
		now = enter(sieve, at, slots->key);
		f->unlike += isa && now != side;
		side = now;
		kept[isa] = sure[isa] = now == PE_CELL_INSIDE ? slots->mask : 0;
		if (now == PE_CELL_CROSSING)
			kept[isa] = chunk(sieve, at, slots, &sure[isa], f);
	}
	f->cells_inside += side == PE_CELL_INSIDE;
	f->cells_outside += side == PE_CELL_OUTSIDE;
	f->unlike += kept[0] != kept[1] || sure[0] != sure[1];
	f->wrong += (kept[0] & ~slots->mask) || (sure[0] & ~kept[0]);
	for (unsigned bits = 0; bits < 10; bits += 3) {
		uint64_t low = (1ull << bits) - 1;
		bool out = pe_sieve_outside(sieve, slots->key & ~(low << 34 | low << 15), bits);

		f->boxes_outside += out;
		for (unsigned i = 0; i < PE_SIEVE_SLOTS && out; i++)
			f->wrong += slots->mask >> i & 1 && pe_polygon_covers(p, slots->place[i]);
	}
	for (unsigned i = 0; i < PE_SIEVE_SLOTS; i++) {
		bool in;

		if (!(slots->mask >> i & 1))
			continue;
		in = pe_polygon_covers(p, slots->place[i]);
		f->tested++;
		f->inside += in;
		f->sure += sure[0] >> i & 1;
		f->out += !(kept[0] >> i & 1);
		f->wrong += in ? !(kept[0] >> i & 1) : sure[0] >> i & 1;
	}
}

// Where the words of a mask leave: cells of a few units to cells of kilometres, polygons of units
// to all that a key holds.
static void shapes(void)
{
	static const double edges[] = {64, 1, 0.01, 1024, 65536};
	static const unsigned sizes[] = {64, 256, 3, 7, 130, 20};
	static struct pe_polygon p;
	static struct pe_sieve sieve;
	struct found f = {0};

	random_seed("sieve", 0x5EED75);
	for (unsigned n = 0; n < testing_amount(6000); n++) {
		double edge = edges[n % 5], all = edge * PE_KEY_X_OFFSET;
		struct pe_space space =
			prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN,
				.leaf_edge_m = edge,
				.leaf_height_m = edge * 16});
		double radius =
			n % 4 ? edge * random_log(0.1, 50) : random_log(edge * 1e-6, all / 4);
		double centre[3] = {
			random_between(-0.7, 0.7) * all, random_between(-0.7, 0.7) * all, 0};
		unsigned size = sizes[n % 6], shape = n / 6 % 6;
		struct slots slots;
		struct rings r;

		if (shape < 3) {
			rings_random(&r, false, centre, radius, size > 200 ? 220 : size,
				(unsigned)(random_bits() % 5));
		} else {
			memcpy(r.centre, centre, sizeof r.centre);
			r.radius = radius;
			rings_odd(&r, false, shape - 3, size < 8 ? 8 : size & ~1u);
		}
		if (n % 7 == 0) // with edges along both axes
			for (unsigned i = 0; i < r.vertices; i++)
				for (unsigned k = 0; k < 2; k++)
					r.vertex[i][k] =
						floor(r.vertex[i][k] / radius * 16) / 16 * radius;
		// What an earlier polygon left is not to matter.
		if (pe_polygon_outline(&space, (const double(*)[2])r.vertex, r.size, r.count,
			    -INFINITY, INFINITY, &p) != PE_VOLUME_ok) {
			f.refused++;
			continue;
		}
		pe_sieve_make(&space, &p, &sieve);
		for (unsigned i = 0; i < 6; i++)
			if (slots_about(&space, &r, &slots))
				check_slots(&slots, &p, &sieve, &f);
	}
	printf(" [%u tested, %u inside, %u surely, %u left out, %u cells inside, %u outside, %u boxes outside, %u flagged, "
	       "%u wrong, %u unlike, %u refused]",
		f.tested, f.inside, f.sure, f.out, f.cells_inside, f.cells_outside, f.boxes_outside,
		f.flagged, f.wrong, f.unlike, f.refused);
	CU_ASSERT_EQUAL(f.wrong, 0);
	CU_ASSERT_EQUAL(f.unlike, 0);
	CU_ASSERT(f.refused < testing_amount(6000) / 3);
	CU_ASSERT(f.inside > f.tested / 8 && f.sure > f.inside / 2 &&
		f.out > (f.tested - f.inside) / 2);
	CU_ASSERT(f.cells_inside > 0 && f.cells_outside > 0 && f.boxes_outside > 0);
}

// An outline, whose edges are as they came, against the same polygon with all that is made of them;
// and what drawing it makes of it.
static void outlines(void)
{
	static struct pe_polygon outline, whole;
	struct pe_space space = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	unsigned tested = 0, inside = 0, wrong = 0, refused = 0;

	random_seed("outlines", 0x5EED76);
	for (unsigned n = 0; n < testing_amount(2000); n++) {
		double radius = random_log(0.1, 1e5), far = random_log(1, 1e7);
		double centre[3] = {random_between(-far, far), random_between(-far, far), 0};
		enum pe_volume_fault fault;
		struct rings r;

		if (n % 4) {
			rings_random(&r, false, centre, radius, 3 + n % 200,
				(unsigned)(random_bits() % 5));
		} else {
			memcpy(r.centre, centre, sizeof r.centre);
			r.radius = radius;
			rings_odd(&r, false, n / 4 % 3, 8 + (n % 100 & ~1u));
		}
		if (n % 3 == 0) // with edges along both axes, and such as cross or are empty
			for (unsigned i = 0; i < r.vertices; i++)
				for (unsigned k = 0; k < 2; k++)
					r.vertex[i][k] =
						floor(r.vertex[i][k] / radius * 16) / 16 * radius;
		fault = rings_prepare(&space, &r, &whole);
		if (fault == PE_VOLUME_ok)
			fault = pe_polygon_outline(&space, (const double(*)[2])r.vertex, r.size,
				r.count, -INFINITY, INFINITY, &outline);
		refused += fault != PE_VOLUME_ok;
		for (unsigned i = 0; i < 40 && fault == PE_VOLUME_ok; i++) {
			double place[3], distance;
			bool in;

			if (i == 20)
				pe_polygon_draw(&outline);
			rings_place(&r, false, place);
			in = pe_polygon_covers(&whole, place);
			distance = pe_polygon_edge_distance(&whole, place);
			tested++;
			inside += in;
			wrong += in != pe_polygon_covers(&outline, place) ||
				!(fabs(distance - pe_polygon_edge_distance(&outline, place)) <=
					1e-9 * (radius + far));
		}
	}
	printf(" [%u tested, %u inside, %u wrong, %u refused]", tested, inside, wrong, refused);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(inside > tested / 8 && inside < tested && refused > 0 &&
		refused < testing_amount(2000) / 2);
}

TESTING_MAIN("space-sieve", {"shapes", shapes}, {"outlines", outlines})
