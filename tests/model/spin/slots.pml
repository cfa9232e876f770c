/* One entity, two cells of two positions and two slots each: moves inside a cell, crossings with `arriving` and `moved`,
   pending crossings, removal in mid crossing; one query of any region. As engine/grid/slots.c and what its callers promise.
   Planted faults: CLEAR_BEFORE_INSERT, NO_ARRIVING, NO_MOVED, VALID_FIRST, NO_GRACE, SLOT_FREED_WITHOUT_GRACE, STORE_DROPS_FLAG,
   CROSS_WHILE_CROSSING, REMOVAL_LEAVES_MOVED. */
#ifndef MOVES
#define MOVES 3
#endif
#define T 1
#define D 4
#define ARRIVING 4
#define MOVED 8
#define GARBAGE 15
#define NONE 255
#include "grace.pml"

byte word[4] = GARBAGE;
byte claimed, valid;    /* bits 0, 1: slots of cell 0; 2, 3: of cell 1 */
byte record;
byte crossing;          /* 0 none, 1 deferred, 2 its grace period runs, 3 passed: deferred[3] */
/* ghosts */
byte was, will;         /* position before and after what the owner is doing */
bit here = 1, asking, must, gone;
byte region, held;

#define CELL(p) ((p) >> 1)
#define IN(p) ((region >> (p)) & 1)

inline begins(p) {
	d_step {
		will = p;
		if :: asking -> held = held | (1 << p); if :: !IN(p) -> must = 0 :: else fi :: else fi
	}
}
inline ends(p) { d_step { was = p; will = p } }

inline claim(c, s) {
	atomic {
		if
		:: !(claimed & (1 << (2 * (c)))) -> s = 2 * (c)
		:: (claimed & (1 << (2 * (c)))) && !(claimed & (2 << (2 * (c)))) -> s = 2 * (c) + 1
		fi;
		claimed = claimed | (1 << s)
	}
}
/* a claim goes after a grace period */
inline give_claim(s) {
#ifdef SLOT_FREED_WITHOUT_GRACE
	d_step { claimed = claimed & ~(1 << (s)); word[s] = GARBAGE }
#else
	if :: deferred[(s) & 1] == 0 -> d_step { slot_of[(s) & 1] = s; deferred[(s) & 1] = 1 }
	   :: else -> d_step { slot_of[2] = s; deferred[2] = 1 } fi
#endif
}
byte slot_of[3];

inline cross(p) {
	begins(p);
#ifdef CLEAR_BEFORE_INSERT
	valid = valid & ~(1 << cur);
#endif
	claim(CELL(p), n);
#ifdef VALID_FIRST
	valid = valid | (1 << n);
#endif
#ifdef NO_ARRIVING
	word[n] = p;
#else
	word[n] = p | ARRIVING;
#endif
	valid = valid | (1 << n);
	record = p;
#ifndef NO_MOVED
	word[cur] = pos | MOVED;
#endif
	d_step { old = cur; cur = n; pos = p; n = 0; deferred[3] = 1 }
	ends(p)
}

proctype Owner() {
	byte cur, pos, old = NONE, n, p, pending = NONE, k;
	bit removed;
	do
	:: !removed && k < MOVES ->
		k++;
		if :: p = 0 :: p = 1 :: p = 2 :: p = 3 fi;
		if
		:: CELL(p) == CELL(pos) ->
			pending = NONE;
			begins(p);
#ifdef STORE_DROPS_FLAG
			word[cur] = p;
#else
			word[cur] = p | (old != NONE -> ARRIVING : 0);
#endif
			record = p;
			pos = p;
			ends(p)
		:: else ->
#ifdef CROSS_WHILE_CROSSING
			if :: old != NONE -> valid = valid & ~(1 << old); give_claim(old); old = NONE :: else fi;
			deferred[3] = 0;
			cross(p)
#else
			if :: old != NONE -> pending = p :: else -> cross(p) fi
#endif
		fi;
		p = 0
	:: !removed && pending != NONE && old == NONE -> p = pending; pending = NONE; cross(p); p = 0
#ifdef NO_GRACE
	:: deferred[3] != 0 && deferred[3] != 2 ->
#else
	:: deferred[3] == 3 ->
#endif
		if
		:: !removed && old != NONE ->
			valid = valid & ~(1 << old);
			word[cur] = pos;
			give_claim(old);
			old = NONE
		:: else
		fi;
		deferred[3] = 0
	:: !removed && k == MOVES ->
		d_step { removed = 1; must = 0; gone = 1 }
		valid = valid & ~(1 << cur);
#ifndef REMOVAL_LEAVES_MOVED
		if :: old != NONE -> valid = valid & ~(1 << old) :: else fi;
#endif
		d_step { here = 0 }
	:: deferred[0] == 3 -> d_step { claimed = claimed & ~(1 << slot_of[0]); word[slot_of[0]] = GARBAGE; deferred[0] = 0 }
	:: deferred[1] == 3 -> d_step { claimed = claimed & ~(1 << slot_of[1]); word[slot_of[1]] = GARBAGE; deferred[1] = 0 }
	:: deferred[2] == 3 -> d_step { claimed = claimed & ~(1 << slot_of[2]); word[slot_of[2]] = GARBAGE; deferred[2] = 0 }
	:: removed && deferred[0] == 0 && deferred[1] == 0 && deferred[2] == 0 && deferred[3] == 0 -> break
	od
}

proctype Reader() {
	byte c, first, v, s, w, p, n;
	bit flagged, began_gone, p_ok;
	do
	:: atomic {
			if :: region = 15 :: region = 3 :: region = 12 :: region = 7 :: region = 14 :: region = 5 fi;
			if :: first = 0 :: first = 1 fi;
			enter(0);
			asking = 1;
			began_gone = !here;
			held = (1 << was) | (1 << will);
			must = here && !gone && IN(was) && IN(will)
		}
		c = 0;
		do
		:: c < 2 ->
			p = (first + c) % 2;
			v = (valid >> (2 * p)) & 3;
			s = 2 * p;
			do
			:: v != 0 ->
				if
				:: v & 1 ->
					w = word[s];
					if :: w & MOVED -> assert(w != GARBAGE); p = record; flagged = 1
					   :: else -> p = w & 3; if :: w & ARRIVING -> flagged = 1 :: else fi fi;
					d_step {
						assert(w != GARBAGE);
						assert(!began_gone);
						if :: IN(p) -> assert((held >> p) & 1); n++ :: else fi;
						w = 0; p = 0
					}
				:: else
				fi;
				v = v >> 1;
				s++
			:: else -> break
			od;
			c++
		:: else -> break
		od;
		skip;
		d_step {
			assert(n <= 1 || flagged);
			assert(!must || n >= 1);
			c = 0; first = 0; v = 0; s = 0; w = 0; p = 0; n = 0; flagged = 0; asking = 0; must = 0; held = 0; region = 0;
			began_gone = 0
		}
		leave(0)
	:: !here -> break
	od
}

proctype Control() {
	byte i;
end_c:	do
	:: (deferred[0] == 1 || deferred[1] == 1 || deferred[2] == 1 || deferred[3] == 1) -> grace()
	od
}

init { atomic { claimed = 1; valid = 1; word[0] = 0; run Owner(); run Reader(); run Control() } }
