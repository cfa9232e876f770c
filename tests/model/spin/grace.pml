/* Grace periods, abstractly: one waits for every section that was running when it began. What is deferred
   is stamped when a grace period begins and done when that one ends. T threads, D deferred things. */
bit inside[T];
bit waited[T];
byte deferred[D]; /* 0 nothing, 1 waits for a grace period to begin, 2 for it to end, 3 passed */

inline enter(t) { inside[t] = 1 }
inline leave(t) { d_step { inside[t] = 0; waited[t] = 0 } }
inline grace() {
	d_step {
		i = 0; do :: i < T -> waited[i] = inside[i]; i++ :: else -> break od;
		i = 0; do :: i < D -> if :: deferred[i] == 1 -> deferred[i] = 2 :: else fi; i++ :: else -> break od;
		i = 0
	}
	do :: i < T -> (!waited[i]); i++ :: else -> break od;
	skip;
	d_step {
		i = 0; do :: i < D -> if :: deferred[i] == 2 -> deferred[i] = 3 :: else fi; i++ :: else -> break od;
		i = 0
	}
}
