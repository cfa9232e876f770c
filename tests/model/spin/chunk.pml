/* A leaf's chain of chunks of one slot each: inserters claim a slot or push a chunk at the head, the control thread closes
   empty chunks and takes them out, a reader goes through the chain. The first inserter does one round more. As engine/grid: leaf.c, control.c.
   Planted faults: CLOSE_APART, NO_GRACE, PUSH_BLINDLY, FREED_CLAIM_AT_ONCE. */
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define NI 2
#define T (NI + 1)
#define D NI
#define CHUNKS 4
#define CLOSED 2
#define NONE 255
#include "grace.pml"

byte claimed[CHUNKS] = CLOSED, next[CHUNKS] = NONE, holder[CHUNKS] = NONE;
bit valid[CHUNKS], live[CHUNKS];
byte head = NONE;
byte there, left;

proctype Inserter(byte e) {
	byte c, h, k;
	do
	:: k < ROUNDS + 1 - e ->
		enter(e);
		h = head;
		c = h;
		do
		:: c != NONE ->
			assert(live[c]);
			atomic { if :: claimed[c] == 0 -> claimed[c] = 1; goto got :: else fi }
			c = next[c]
		:: else -> break
		od;
		atomic {
			if
			:: !live[0] -> c = 0
			:: live[0] && !live[1] -> c = 1
			:: live[0] && live[1] && !live[2] -> c = 2
			:: live[0] && live[1] && live[2] && !live[3] -> c = 3
			fi;
			live[c] = 1; claimed[c] = 1; holder[c] = e; valid[c] = 1
		}
push:		next[c] = h;
#ifdef PUSH_BLINDLY
		head = c;
#else
		atomic { if :: head == h -> head = c :: else -> h = head; goto push fi }
#endif
		goto in;
got:		holder[c] = e;
		valid[c] = 1;
in:		skip;
		d_step { there = there | (1 << e); h = 0 }
		leave(e);
		enter(e);
		d_step { there = there & ~(1 << e); left = left | (1 << e) }
		valid[c] = 0;
#ifndef FREED_CLAIM_AT_ONCE
		deferred[e] = 1;
		leave(e);
		(deferred[e] == 3);
		d_step { deferred[e] = 0; claimed[c] = 0; c = 0; k++ }
#else
		claimed[c] = 0;
		leave(e);
		d_step { c = 0; k++ }
#endif
	:: else -> break
	od
}

proctype Reader() {
	byte c, must, seen, h;
end_r:	do
	:: atomic { enter(NI); must = there; left = 0 }
		c = head;
		do
		:: c != NONE ->
			assert(live[c]);
			if
			:: valid[c] ->
				h = holder[c];
				/* a second read stands for the word: both are of one entity */
				d_step { assert(holder[c] == h); seen = seen | (1 << h); h = 0 }
#ifdef FREED_CLAIM_AT_ONCE
				skip
#endif
			:: else
			fi;
			c = next[c]
		:: else -> break
		od;
		skip;
		d_step { assert((must & ~left & ~seen) == 0); c = 0; seen = 0; must = 0; left = 0 }
		leave(NI)
	od
}

proctype Control() {
	byte c, at, i, pick;
end_c:	do
	:: head != NONE ->
		/* any chunk of the chain that is empty and not alone */
		c = head;
		do
		:: c != NONE && next[c] != NONE -> c = next[c]
		:: c != NONE -> break
		od;
		if
#ifdef CLOSE_APART
		:: claimed[c] == 0 && !(head == c && next[c] == NONE) -> claimed[c] = CLOSED
#else
		:: atomic { claimed[c] == 0 && !(head == c && next[c] == NONE) -> claimed[c] = CLOSED }
#endif
			atomic { at = head; if :: at == c -> head = next[c]; at = NONE :: else fi }
			do
			:: at == NONE -> break
			:: at != NONE && next[at] == c -> next[at] = next[c]; at = NONE
			:: else -> at = next[at]
			od;
#ifndef NO_GRACE
			grace();
#endif
			live[c] = 0
		:: else
		fi;
		d_step { c = 0; at = 0 }
	:: (deferred[0] == 1 || deferred[1] == 1) -> grace()
	od
}

init { atomic { run Inserter(0); run Inserter(1); run Reader(); run Control() } }
