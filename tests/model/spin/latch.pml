/* What is published of two entities of one owner, read by another worker. A state is two words that are the same number, so that
   a mixture shows. As engine/entity/record.h: one draft for both records.
   Planted faults: NO_SECOND_LOOK, NEVER_ODD, DRAFT_AFTER_ODD, EVEN_TOO_EARLY, DRAFT_TOO_EARLY. */
#define RECORDS 2
byte version[RECORDS], low[RECORDS], high[RECORDS];
byte draft_low, draft_high;

inline write_draft(n) { draft_low = n; draft_high = n }

active proctype Owner() {
	byte n, r;

	for (n : 1 .. ROUNDS * RECORDS) {
		r = n % RECORDS;
#ifndef DRAFT_AFTER_ODD
		write_draft(n);
#endif
#ifndef NEVER_ODD
		version[r]++;
#endif
#ifdef DRAFT_AFTER_ODD
		write_draft(n);
#endif
		low[r] = n;
#ifdef EVEN_TOO_EARLY
		version[r]++;
#endif
		high[r] = n;
#ifdef DRAFT_TOO_EARLY
		write_draft(n + 1);
#endif
#ifndef EVEN_TOO_EARLY
		version[r]++
#endif
#ifdef NEVER_ODD
		;
		version[r]++
#endif
	}
}

/* Bounded by the number of publications: a look that fails has met one. */
proctype Reader(byte r) {
	byte seen, a, b, last;

	do
	:: seen = version[r];
		if
		:: seen % 2 -> a = draft_low; b = draft_high
		:: else -> a = low[r]; b = high[r]
		fi;
		if
#ifdef NO_SECOND_LOOK
		:: true ->
#else
		:: version[r] == seen ->
#endif
			assert(a == b && a >= last && (a == 0 || a % RECORDS == r));
			last = a
		:: else
		fi;
		a = 0;
		b = 0;
		if
		:: version[r] == 2 * ROUNDS -> break
		:: else
		fi
	od
}

init { run Reader(0); run Reader(1) }
