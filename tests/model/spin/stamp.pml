/* The stamp of a deferred free: the number of grace periods started, read after the unpublishing store; free when the number
   completed exceeds it. As engine/base/rcu.h.
   Planted faults: ONE_TOO_EARLY, STAMP_BEFORE_STORE. */
byte started, completed;
bit inside, waited, published = 1, freed;
#define PERIODS 4

active proctype Control() {
	do
	:: started < PERIODS ->
		started++;
		waited = inside;
		(!waited);
		completed = started
	:: else -> break
	od
}
active proctype Owner() {
	byte stamp;
#ifdef STAMP_BEFORE_STORE
	stamp = started;
	published = 0;
#else
	published = 0;
	stamp = started;
#endif
	if
#ifdef ONE_TOO_EARLY
	:: completed >= stamp -> freed = 1
#else
	:: completed > stamp -> freed = 1
#endif
	:: (completed == PERIODS)
	fi
}
active proctype Reader() {
	bit holds;
end_r:	do
	:: inside = 1;
		holds = published;
		assert(!(holds && freed));
		d_step { holds = 0; inside = 0; waited = 0 }
	od
}
