/* A place for a client of the ring source, from one life to the next: the client dies at any instant, breaks its ring, or
   is let go while it lives, since it is somebody else by another keyring; the attach thread maps,
   hands over, parts and unmaps; the worker reads. As dataplane/ring/attach.c and burst.c.
   Planted faults: UNMAP_WITHOUT_DONE, DONE_BEFORE_LAST_LOOK, NO_LAST_WORDS, CHANGE_BEFORE_STAGE, BROKEN_READ_AGAIN, ATTACHED_BEFORE_MAPPED,
   NO_CHANGE_AT_PARTING, BROKEN_NOT_PARTED, READ_AFTER_GONE, BROKEN_AT_PARTING_STAYS, BROKEN_BY_ANSWER_STAYS. */
#ifndef LIVES
#define LIVES 2
#endif
#define FREE 0
#define ATTACHED 1
#define CLOSING 2
#define DONE 3

byte stage, change;
bit mapped, broken, over;
bit open[LIVES + 1]; /* the socket of each life */
byte hello, whose, welcome; /* lives; 0 none */
byte written, taken; /* messages in the ring; BAD is no record */
#define BAD 3
byte due; /* those that were there when it was parted from: they are heard */
bit renamed; /* in this life, or never in it */
bit astray; /* the ring back says what cannot be: found when there is something to answer */

proctype Client() {
	byte life;

	for (life : 1 .. LIVES) {
		(hello == 0);
		open[life] = 1;
		hello = life;
		do
		:: welcome == life && written < 2 -> written++
		:: welcome == life && written < 2 -> written = BAD; break
		:: welcome == life && !astray -> astray = 1
		:: welcome == life && written < 2 -> written = BAD;
			(welcome != life); /* it waits to be let go, and is */
			break
		:: break /* killed, or done, or never waited */
		od;
		open[life] = 0
	}
	over = 1
}

inline part() {
	due = (written == BAD -> 0 : written);
#ifdef CHANGE_BEFORE_STAGE
	change++;
	stage = CLOSING
#else
	stage = CLOSING;
#ifndef NO_CHANGE_AT_PARTING
	change++
#endif
#endif
}

proctype Attach() {
	do
	:: hello && stage == FREE ->
		d_step { whose = hello; hello = 0; broken = 0; written = 0; taken = 0; astray = 0 }
		if :: renamed = 0 :: renamed = 1 /* it stays who it is */ fi;
#ifdef ATTACHED_BEFORE_MAPPED
		stage = ATTACHED;
		change++;
		mapped = 1;
#else
		mapped = 1;
		stage = ATTACHED;
		change++;
#endif
		welcome = whose
	:: stage == ATTACHED && !open[whose] -> part()
	:: stage == ATTACHED && open[whose] && !renamed -> renamed = 1; part()
#ifndef BROKEN_NOT_PARTED
	:: stage == ATTACHED && broken -> part()
#endif
#ifdef UNMAP_WITHOUT_DONE
	:: stage == CLOSING -> mapped = 0; welcome = 0; stage = FREE
#endif
	:: stage == DONE -> mapped = 0; welcome = 0; stage = FREE
	:: over && stage == FREE && !hello -> break
	od
}

proctype Worker() {
	byte seen, s;
	bit active_, closing, gone;

	/* it rests when nobody calls; a place that isn't free then is found by the attach thread's not coming to its end */
end_w:	do
	:: change != seen || active_ || gone ->
		if
		:: change != seen ->
			seen = change;
			s = stage;
			if
			:: (s == ATTACHED || s == CLOSING) && !gone ->
				if
#ifndef BROKEN_READ_AGAIN
				:: broken -> if :: s == CLOSING -> active_ = 0; closing = 0; gone = 1 :: else fi
#endif
				:: else ->
					active_ = 1;
					if :: s == CLOSING -> closing = 1 :: else fi
				fi
			:: else
			fi;
			s = 0
		:: else
		fi;
		if
		:: active_ ->
			assert(mapped);
#ifdef NO_LAST_WORDS
			if :: closing -> active_ = 0; closing = 0; gone = 1 :: else fi;
#endif
			if
			:: !active_
			:: active_ && written == BAD ->
				assert(!broken);
				active_ = 0;
				broken = 1;
#ifndef BROKEN_AT_PARTING_STAYS
				if :: closing -> closing = 0; gone = 1 :: else fi
#endif
			:: active_ && written != BAD && taken < written ->
				taken++;
				if
				:: astray -> /* an answer */
					active_ = 0;
					broken = 1;
#ifndef BROKEN_BY_ANSWER_STAYS
					if :: closing -> closing = 0; gone = 1 :: else fi
#endif
				:: 1 /* none, or there is room without a look */
				fi
			:: active_ && written != BAD && taken == written ->
#ifdef DONE_BEFORE_LAST_LOOK
				if :: closing -> stage = DONE; assert(mapped); active_ = 0; closing = 0 :: else fi
#else
				if :: closing -> active_ = 0; closing = 0; gone = 1 :: else fi
#endif
			fi
		:: else
		fi;
#ifdef READ_AFTER_GONE
		if :: gone -> gone = 0; stage = DONE; assert(mapped) :: else fi
#else
		if
		:: gone ->
			assert(mapped);
			assert(broken || written == BAD || taken >= due);
			gone = 0;
			stage = DONE
		:: else
		fi
#endif
	od
}

init { atomic { run Client(); run Attach(); run Worker() } }
