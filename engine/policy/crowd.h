// Areas for K_ANONYMITY: each epoch, areas that are fixed for it, and behind every one that is
// shown at least k distinct principals; and the same k or more behind all the areas that are shown
// of one entity in the epochs of a *period*, so that what these areas have in common narrows
// nothing either (historical k-anonymity: Bettini, Wang and Jajodia, 2005; Chow and Mokbel, 2007).
//
// The principals of an area, when it is made, are a *cohort*, and who is in one stays in it until
// the period is over. Each epoch the cohort has one area: the smallest cell of a fixed pyramid that
// holds the places at which its members' entities were last published in the epoch before.
// Everybody in it gets that area, so that knowing how areas are made narrows nothing. A member that
// isn't published in its cohort's area in some epoch has left it for the rest of the period, and an
// entity is shown only once k who have not left were published in the area of the epoch. So, of an
// entity that is shown in areas A1 … An of epochs E1 … En: the members published in An by then are
// k or more; none of them has ever left; each was published in each of the areas, both in its epoch
// and in the one before. Whoever knows who was in which area in which epoch can rule out none of
// them. (Where the cohort is spread over more than a cell of the top, it is shown in no area, and
// who is published anywhere has not left.)
//
// Cohorts are made when an epoch begins, of those entities that are in none yet: from the top of
// the pyramid down, a cell is divided as long as each of its quarters has k principals or none;
// what can't be divided any further is a cohort. Who is in too few stays in none, and may be in one
// of the next epoch's. All cohorts end with their period, in whose first epoch nobody is shown.
//
// Workers note where entities are and count who was there; the control thread makes areas and
// cohorts from that when an epoch begins, until when nobody is shown. What finds no room is not
// counted, and then shown to nobody. Memory is taken at start, when a policy needs it.
#pragma once

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "space/space.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PE_CROWD_LEVELS   12u        // edges of the least area times 1, 2, 4 … 2048
#define PE_CROWD_ENTITIES (1u << 16) // places of a period's table: entities with a principal
#define PE_CROWD_COHORTS  (1u << 15)
#define PE_CROWD_SETS     32u  // policies
#define PE_CROWD_EDGE_MIN 10.0 // metres
#define PE_CROWD_EDGE_MAX 100000.0
#define PE_CROWD_K_MAX    1000u
#define PE_CROWD_NOWHERE  (-1)
// Epochs of a period.
#define PE_CROWD_PERIOD     24u
#define PE_CROWD_PERIOD_MIN 2u
#define PE_CROWD_PERIOD_MAX 10000u

// A cell of the smallest size: less than 2^29 each.
struct pe_crowd_cell {
	uint32_t x, y;
};

// An entity of a principal.
struct pe_crowd_entity {
	_Atomic uint64_t who; // 0: free. written: any worker, once
	_Atomic uint64_t
		owner; // set and principal; 0: not written yet. written: the same worker, once
	// where it was last, in even and odd epochs, and whether it was in its area. written: any
	// worker, control; read: both
	_Atomic uint64_t place[2];
	_Atomic uint32_t
		seat; // 1 + number; 0: in no cohort yet. written: control; read: any worker
	uint32_t unused;
};

struct pe_crowd_table {
	_Atomic uint64_t period; // 1 + whose it is; 0: nobody's. written: control; read: any worker
	struct pe_crowd_entity *entities;
};

// A principal in a cohort.
struct pe_crowd_seat {
	_Atomic uint32_t cohort; // PE_CROWD_LEFT: it has left. written: control; read: any worker
	_Atomic uint32_t
		there; // the last epoch in which it was in the cohort's area; written: any worker
	uint64_t live; // the last epoch for which it had not left; control's
};
#define PE_CROWD_LEFT UINT32_MAX

struct pe_crowd_cohort {
	// the area: epoch and level, and its first cell. written: control; read: any worker
	_Atomic uint64_t epoch_level; // 0: none
	_Atomic uint64_t first;
	_Atomic uint64_t
		there; // an epoch, and how many were in its area in it; written: any worker
	struct pe_crowd_cell low, high; // of the next area; control's
	uint32_t members, k;            // who have not left; control's
};

struct pe_crowd_item;
struct pe_crowd {
	struct pe_crowd_table table[2]; // of a period, by its number mod 2
	struct pe_crowd_seat *seats;
	struct pe_crowd_cohort *cohorts;
	uint32_t period_epochs;
	struct pe_hash_key key; // random
	// the newest moment that was counted at; written: any worker; read: control
	_Atomic uint64_t wall_ms;
	struct pe_memory memory; // base NULL: nothing needs it
	// control's
	uint64_t epoch, period; // that was begun last
	uint32_t seat_count, cohort_count;
	struct pe_crowd_item *items; // who is in no cohort
	uint64_t *met;               // by numbers of principals
	uint64_t marks;
	uint32_t k[PE_CROWD_SETS];
};

// period_epochs: 0 = PE_CROWD_PERIOD. Set crowd->k[] then, of each policy that has one.
[[nodiscard]] enum pe_status pe_crowd_make(
	struct pe_crowd *crowd, uint32_t period_epochs, struct pe_error *error);
void pe_crowd_unmake(struct pe_crowd *crowd);

// The smallest cell of a position; cells' edges are edge_m (on Earth: of equal area, edge_m² or
// more), their heights not looked at.
struct pe_crowd_cell pe_crowd_cell_of(
	const struct pe_space *space, double edge_m, const double position[3]);
// The middle of the cell of a level that holds a smallest one; and how far from there anything in
// it is at most.
double pe_crowd_centre(const struct pe_space *space, double edge_m, struct pe_crowd_cell cell,
	unsigned level, double centre[2]);

// Notes where an entity is, and gives the level of the area, around that cell, in which it may be
// shown now; PE_CROWD_NOWHERE: in none. `policy` and `space` keep apart what is counted of each.
// principal: not 0. Any worker.
int pe_crowd_place(struct pe_crowd *crowd, uint64_t epoch, unsigned policy, unsigned space,
	const uint8_t id[16], uint32_t principal, struct pe_crowd_cell cell);
// Control thread: begins an epoch once it has come, and makes a table ready that will be needed.
void pe_crowd_prepare(struct pe_crowd *crowd, uint32_t epoch_ms);
