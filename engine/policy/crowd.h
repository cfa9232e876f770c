// Areas for K_ANONYMITY: each epoch, areas that are fixed for it, in every one of which at least k distinct principals were in the epoch
// before; and every place in an area leads to that area, so that knowing how areas are made narrows nothing.
//
// A census counts who was where: principals (not entities) by cell, over a pyramid of cells, of which the smallest is the least
// area that a policy allows. From the top down, a cell is divided as long as each of its quarters has k principals or none; what can't be
// divided any further is an area. A place in a quarter that had nobody is in no area: who comes there first is shown to nobody until
// the epoch is over. So it takes an epoch before anyone is shown at all.
//
// Counts are too small rather than too large: what finds no room is not counted, and then shown to nobody. Any worker counts, and looks
// up; the control thread clears a census well before its epoch begins. Memory is taken at start, when a policy needs it.
#pragma once

#include "base/memory.h"
#include "base/status.h"
#include "space/space.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PE_CROWD_LEVELS   12u        // edges of the least area times 1, 2, 4 … 2048
#define PE_CROWD_TUPLES   (1u << 18) // of a census: principals in cells, of all levels
#define PE_CROWD_CELLS    (1u << 17) // of a census, of all levels
#define PE_CROWD_EDGE_MIN 10.0       // metres
#define PE_CROWD_EDGE_MAX 100000.0
#define PE_CROWD_K_MAX    1000u
#define PE_CROWD_NOWHERE  (-1)

struct pe_crowd_count {
	_Atomic uint64_t cell; // 0: free
	_Atomic uint64_t principals;
};

struct pe_census {
	_Atomic uint64_t epoch; // whose it is; 0: nobody's. written: control; read: any worker
	_Atomic uint64_t *tuples;
	struct pe_crowd_count *cells;
};

struct pe_crowd {
	struct pe_census census[3]; // of an epoch, by its number mod 3
	uint64_t secret[2];
	// the newest moment that was counted at; written: any worker; read: control
	_Atomic uint64_t wall_ms;
	struct pe_memory memory; // base NULL: nothing needs it
};

// A cell of the smallest size.
struct pe_crowd_cell {
	uint32_t x, y;
};

[[nodiscard]] enum pe_status pe_crowd_make(struct pe_crowd *crowd, struct pe_error *error);
void pe_crowd_unmake(struct pe_crowd *crowd);

// The smallest cell of a position; cells' edges are edge_m (on Earth: of equal area, edge_m² or more), their heights not looked at.
struct pe_crowd_cell pe_crowd_cell_of(
	const struct pe_space *space, double edge_m, const double position[3]);
// The middle of the cell of a level that holds a smallest one; and how far from there anything in it is at most.
double pe_crowd_centre(const struct pe_space *space, double edge_m, struct pe_crowd_cell cell,
	unsigned level, double centre[2]);

// `set` keeps apart what different policies and spaces count. principal: not 0.
void pe_crowd_add(struct pe_crowd *crowd, uint64_t epoch, uint32_t set, struct pe_crowd_cell cell,
	uint32_t principal);
// The level of the area, by the census of that epoch, in which a cell lies; PE_CROWD_NOWHERE: in none.
int pe_crowd_area(const struct pe_crowd *crowd, uint64_t epoch, uint32_t set,
	struct pe_crowd_cell cell, unsigned k);
// Control thread: makes a census ready that will be needed.
void pe_crowd_prepare(struct pe_crowd *crowd, uint32_t epoch_ms);
