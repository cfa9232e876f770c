/* A ring that an engine and a client share: records of one and two lines, wraps, a full ring, a consumer that sleeps. As
   engine/wire/shm_ring.h, in lines instead of bytes. A word is a position and a size; the second line of a record holds what would be a
   word there one lap later, since messages may hold anything.
   Planted faults: NO_ZERO_BEHIND, ZERO_AFTER_WORD, WORD_BEFORE_MESSAGE, NO_FREE_LINE, RELEASE_BEFORE_COPY, WRAP_WITHOUT_ZERO, NO_SECOND_LOOK,
   ROUSE_BEFORE_WORD, PUT_WORD_FIRST. */
#define LINES 4
#define WRAP 3
#define WORD(p, s) (((p) + 1) * 4 + (s))
#ifndef MESSAGES
#define MESSAGES 5
#endif
#ifdef NO_FREE_LINE
#define BEHIND 0
#else
#define BEHIND 1
#endif

byte memory[LINES];  /* the first bytes of each line: a word, or of a message */
byte message[LINES]; /* what a record says, in its first line behind the word */
byte head;
bit asleep, woken;

inline publish(kind, span) {
#ifdef ROUSE_BEFORE_WORD
	rouse();
#endif
#ifdef ZERO_AFTER_WORD
	memory[tail % LINES] = WORD(tail, kind);
	memory[(tail + span) % LINES] = 0;
#else
#ifndef NO_ZERO_BEHIND
#ifdef WRAP_WITHOUT_ZERO
	if :: kind != WRAP -> memory[(tail + span) % LINES] = 0 :: else fi;
#else
	memory[(tail + span) % LINES] = 0;
#endif
#endif
	memory[tail % LINES] = WORD(tail, kind);
#endif
	tail = tail + span
}

inline rouse() {
	if :: asleep -> asleep = 0; woken = 1 :: else fi
}

active proctype Producer() {
	byte n, tail, seen, size, rest;

	for (n : 1 .. MESSAGES) {
		if :: size = 1 :: size = 2 fi;
		rest = LINES - tail % LINES;
		if :: rest >= size -> rest = 0 :: else fi;
		do
		:: LINES - (tail - seen) >= rest + size + BEHIND -> break
		:: else -> head != seen; seen = head; assert(seen <= tail)
		od;
		if :: rest -> publish(WRAP, rest) :: else fi;
#ifdef WORD_BEFORE_MESSAGE
		memory[(tail + size) % LINES] = 0;
		memory[tail % LINES] = WORD(tail, size);
		message[tail % LINES] = n;
		tail = tail + size;
#else
		if
		:: message[tail % LINES] = n;
			if :: size == 2 -> memory[(tail + 1) % LINES] = WORD(tail + 1 + LINES, 1) :: else fi;
			publish(size, size)
		:: /* put: what the first line has comes last */
			if :: size == 2 -> memory[(tail + 1) % LINES] = WORD(tail + 1 + LINES, 1) :: else fi;
			memory[(tail + size) % LINES] = 0;
#ifdef PUT_WORD_FIRST
			memory[tail % LINES] = WORD(tail, size);
			message[tail % LINES] = n;
#else
			message[tail % LINES] = n;
			memory[tail % LINES] = WORD(tail, size);
#endif
			tail = tail + size
		fi;
#endif
#ifndef ROUSE_BEFORE_WORD
		rouse()
#endif
	}
}

active proctype Consumer() {
	byte n = 1, at, word, size, says;

	do
	:: n <= MESSAGES ->
		word = memory[at % LINES];
		if
		:: word == 0 ->
			asleep = 1;
#ifndef NO_SECOND_LOOK
			if
			:: memory[at % LINES] -> asleep = 0; woken = 0
			:: else ->
#endif
				(woken);
				woken = 0;
				asleep = 0
#ifndef NO_SECOND_LOOK
			fi
#endif
		:: else ->
			assert(word / 4 == at + 1); /* or an honest client would be let go */
			size = word % 4;
			if
			:: size == WRAP ->
				assert(at % LINES);
				at = at + LINES - at % LINES
			:: else ->
#ifdef RELEASE_BEFORE_COPY
				head = at + size;
#endif
				says = message[at % LINES];
				assert(says == n);
				n++;
				at = at + size;
				head = at
			fi;
			size = 0; says = 0
		fi;
		word = 0
	:: n > MESSAGES -> break
	od
}
