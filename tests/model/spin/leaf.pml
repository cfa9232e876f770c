/* One leaf's key and its node's key: inserters create both, the control thread closes and frees both, a reader comes
   down from the root. Two inserters insert and remove ROUNDS times each. As engine/grid: leaf.c, node.c, table.c, control.c.
   Planted faults: BIT_AFTER_TAKING_OUT, NO_FIRST_GRACE, NO_SECOND_GRACE, CLAIM_APART, PUBLISH_BLINDLY, BIT_AFTER_PUBLISHING,
   NODE_CLOSED_BLINDLY, TAKEN_BLINDLY. */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NI 2
#define T (NI + 1)
#define D NI
#define OBJECTS 3
#define CLOSED 64 /* whoever comes opens it again */
#define TAKEN 192 /* nobody can */
#define NONE 255
#include "grace.pml"

byte leaf_claim[OBJECTS] = TAKEN, leaf_valid[OBJECTS], leaf_parent[OBJECTS];
byte node_claim[OBJECTS] = TAKEN;
bit leaf_live[OBJECTS], node_live[OBJECTS], node_bit[OBJECTS];
byte leaf_entry = NONE, node_entry = NONE;
bit root_bit, gave_up;
byte there, left; /* ghosts: entities fully inserted; those that began to leave since the query began */

inline take_leaf(x) {
	atomic {
		if
		:: !leaf_live[0] -> x = 0
		:: leaf_live[0] && !leaf_live[1] -> x = 1
		:: leaf_live[0] && leaf_live[1] && !leaf_live[2] -> x = 2
		:: else -> x = NONE
		fi;
		if :: x != NONE -> leaf_live[x] = 1 :: else fi
	}
}
inline take_node(x) {
	atomic {
		if
		:: !node_live[0] -> x = 0
		:: node_live[0] && !node_live[1] -> x = 1
		:: node_live[0] && node_live[1] && !node_live[2] -> x = 2
		:: else -> x = NONE
		fi;
		if :: x != NONE -> node_live[x] = 1 :: else fi
	}
}

proctype Inserter(byte e) {
	byte l, n, x, k;
	bit won;
	do
	:: k < ROUNDS ->
again:		enter(e);
search:		l = leaf_entry;
		if
		:: l != NONE ->
			assert(leaf_live[l]);
#ifdef CLAIM_APART
			if :: leaf_claim[l] >= TAKEN -> goto busy :: else fi;
			leaf_claim[l] = (leaf_claim[l] & ~CLOSED) + 1;
#else
			atomic { if :: leaf_claim[l] >= TAKEN -> goto busy :: else -> leaf_claim[l] = (leaf_claim[l] & ~CLOSED) + 1 fi }
#endif
			leaf_valid[l] = leaf_valid[l] | (1 << e)
		:: else ->
			take_leaf(x);
			if :: x == NONE -> goto busy :: else fi;
			n = node_entry;
			if
			:: n != NONE ->
				assert(node_live[n]);
				atomic {
					if
					:: node_claim[n] >= TAKEN -> leaf_live[x] = 0; goto busy
					:: else -> node_claim[n] = (node_claim[n] & ~CLOSED) + 1
					fi
				}
			:: else ->
				take_node(n);
				if :: n == NONE -> leaf_live[x] = 0; goto busy :: else fi;
				d_step { node_claim[n] = 1; node_bit[n] = 0 }
				root_bit = 1;
				atomic { won = (node_entry == NONE); if :: won -> node_entry = n :: else fi }
				if
				:: !won ->
					d_step { node_claim[n] = TAKEN; node_live[n] = 0; n = node_entry }
					atomic {
						if
						:: n == NONE || node_claim[n] >= TAKEN -> leaf_live[x] = 0; goto busy
						:: else -> node_claim[n] = (node_claim[n] & ~CLOSED) + 1
						fi
					}
				:: else
				fi
			fi;
			/* a pool further down the path may be empty: the claim goes back at once, without a grace period.
			   Once in all, to bound the search */
			if
			:: !gave_up -> gave_up = 1; node_claim[n] = node_claim[n] - 1; leaf_live[x] = 0; goto busy
			:: skip
			fi;
			d_step { leaf_claim[x] = 1; leaf_valid[x] = 1 << e; leaf_parent[x] = n }
#ifndef BIT_AFTER_PUBLISHING
			node_bit[n] = 1;
#endif
#ifdef PUBLISH_BLINDLY
			leaf_entry = x; won = 1;
#else
			atomic { won = (leaf_entry == NONE); if :: won -> leaf_entry = x :: else fi }
#endif
			if
			:: !won ->
				d_step { leaf_claim[x] = TAKEN; leaf_valid[x] = 0; leaf_live[x] = 0 }
				node_claim[n] = node_claim[n] - 1;
				goto search
			:: else -> l = x
			fi;
#ifdef BIT_AFTER_PUBLISHING
			there = there | (1 << e);
			node_bit[n] = 1
#endif
		fi;
		d_step { there = there | (1 << e); x = 0; n = 0; won = 0 }
		leave(e);
		/* removal */
		enter(e);
		d_step { there = there & ~(1 << e); left = left | (1 << e) }
		leaf_valid[l] = leaf_valid[l] & ~(1 << e);
		deferred[e] = 1;
		leave(e);
		(deferred[e] == 3);
		d_step { deferred[e] = 0; leaf_claim[l] = leaf_claim[l] - 1; l = 0; k++ }
	:: else -> break
	od;
	goto done;
busy:	skip;
	d_step { l = 0; x = 0; n = 0 }
	leave(e);
	goto again;
done:	skip
}

proctype Reader() {
	byte l, n, must, seen;
end_r:	do
	:: atomic { enter(NI); must = there; left = 0 }
		if
		:: root_bit ->
			n = node_entry;
			if
			:: n != NONE ->
				assert(node_live[n]);
				if
				:: node_bit[n] ->
					l = leaf_entry;
					if
					:: l != NONE ->
						assert(leaf_live[l]);
						seen = leaf_valid[l];
						assert(leaf_live[l])
					:: else
					fi
				:: else
				fi
			:: else
			fi
		:: else
		fi;
		d_step { assert((must & ~left & ~seen) == 0); l = 0; n = 0; seen = 0; must = 0; left = 0 }
		leave(NI)
	od
}

#ifdef TAKEN_BLINDLY
#define TAKE(word, kept) word = TAKEN; if :: false -> goto kept :: else fi;
#else
#define TAKE(word, kept) atomic { if :: word == CLOSED -> word = TAKEN :: else -> goto kept fi }
#endif

proctype Control() {
	byte l, n, i;
end_c:	do
	:: atomic { leaf_entry != NONE && leaf_claim[leaf_entry] == 0 -> l = leaf_entry; leaf_claim[l] = CLOSED }
#ifndef NO_FIRST_GRACE
		grace();
#endif
		TAKE(leaf_claim[l], leaf_kept)
		n = leaf_parent[l];
#ifndef BIT_AFTER_TAKING_OUT
		node_bit[n] = 0;
#endif
		leaf_entry = NONE;
#ifdef BIT_AFTER_TAKING_OUT
		node_bit[n] = 0;
#endif
		node_claim[n] = node_claim[n] - 1;
#ifndef NO_SECOND_GRACE
		grace();
#endif
		leaf_live[l] = 0;
leaf_kept:	l = 0; n = 0
#ifdef NODE_CLOSED_BLINDLY
	:: atomic { node_entry != NONE && !node_bit[node_entry] -> n = node_entry; node_claim[n] = CLOSED }
#else
	:: atomic { node_entry != NONE && node_claim[node_entry] == 0 -> n = node_entry; node_claim[n] = CLOSED }
#endif
#ifndef NO_FIRST_GRACE
		grace();
#endif
		TAKE(node_claim[n], node_kept)
		root_bit = 0;
		node_entry = NONE;
		grace();
		node_live[n] = 0;
node_kept:	n = 0
	:: (deferred[0] == 1 || deferred[1] == 1) -> grace()
	od
}

init { atomic { run Inserter(0); run Inserter(1); run Reader(); run Control() } }
