/* The Cond: the state table above futex.Cond. W waiters take the lock, wait, and leave, ROUNDS times; NN notifiers take the lock, notify one, and leave,
 * NOTES times each. Each is a process. One access to shared memory is a step, and so is the proof of a death. KILLS processes may be killed before any
 * step, STOPS may be stopped there for ever: by a process of its own, so that a kill is never the only thing that can happen. With
 * GIVE_UP the context of some waiters ends, and of others does not.
 *
 * The lock is a mutex (mutex.pml): whoever waits for it gets it when it is free or its owner is proven dead. Who waits sleeps by the event count
 * of its place (waiting.pml): it enters, looks, sleeps until a notification. A slice ends only when nothing else moves, and W for each fault
 * must do; with EAGER at any time; without a fault there is none.
 *
 * A notification is owed from the moment that it is written for somebody until a Wait returns for it, or until nobody is left who waits.
 */
#ifndef W
#define W 2
#endif
#ifndef NN
#define NN 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef NOTES
#define NOTES 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#define N (W+NN)
#define S W /* places */
#define LIMIT (W*(KILLS+STOPS))
#define NONE 0
#define WAITS 1
#define TOLD 2

byte lock, seqs;
byte kind[S], tok[S], seq[S];             /* the places */
bool bed[S];                              /* who has the place sleeps, or is about to, and was not notified since */

bool dead[N+1], halted[N+1], gone[N+1];
byte kills, stops, lull;
byte owed, extra;                         /* ghosts; extra: told for no reason, after the death of one who mourned */
byte passing[N+1];                        /* ghost: has told another, and not emptied the place of the dead yet */
hidden byte h, g;

#define up (!dead[me] && !halted[me])
#ifdef ROB
#define proof(t) ((t) != 0 && (dead[t] || halted[t]))
#else
#define proof(t) ((t) != 0 && dead[t])
#endif
#ifdef EAGER
#define over true
#else
#define over timeout
#endif

inline kill(v) { dead[v] = true; extra = extra + passing[v]; passing[v] = 0 }

bool calm; /* no fault until a slice ends */
proctype faults() {
	byte v;
	do
	:: atomic {
			!calm && (kills < KILLS || stops < STOPS) ->
			v = 1; do :: v < N -> v++ :: break od;
			if
			:: kills < KILLS && !dead[v] && !halted[v] -> kills++; kill(v)
			:: stops < STOPS && !dead[v] && !halted[v] -> stops++; halted[v] = true
			:: else
			fi;
			v = 0
		}
	:: atomic { !calm && (kills < KILLS || stops < STOPS) -> calm = true }
	od
}

/* Tells the one alive who has waited longest; one is whether there was one. new: the notification is a new one. */
inline tell_one(new) {
	do
	:: atomic { up -> k = 0; f = S; fs = 0; ft = 0 }
		do
		:: atomic {
				up && k < S ->
				if
				:: kind[k] != WAITS
#ifndef TELL_DEAD
				:: kind[k] == WAITS && tok[k] != me && proof(tok[k]) -> kind[k] = NONE; tok[k] = 0; seq[k] = 0 /* the dead change nothing: one step with the look */
				:: kind[k] == WAITS && !(tok[k] != me && proof(tok[k])) && (f == S || seq[k] < fs) -> f = k; fs = seq[k]; ft = tok[k]
#else
				:: kind[k] == WAITS && (f == S || seq[k] < fs) -> f = k; fs = seq[k]; ft = tok[k]
#endif
				:: else
				fi;
				k++
			}
		:: atomic { k == S -> k = 0; break }
		od;
		if
		:: f == S -> one = false; break
		:: else
		fi;
		atomic {
			up ->
			one = kind[f] == WAITS && seq[f] == fs && tok[f] == ft;
			if
			:: one -> kind[f] = TOLD; if :: new -> owed++ :: !new -> passing[me] = 1 fi
			:: else
			fi;
			fs = 0; ft = 0
		}
		if
		:: one ->
#ifndef NO_WAKE
			atomic { up -> bed[f] = false }
#endif
			break
		:: !one
		fi
	od;
	atomic { f = 0; fs = 0; ft = 0 }
}

/* What nobody takes is owed no more, unless somebody alive has waited all the while since remember. */
inline remember() { h = 0; do :: h < S -> was[h] = (kind[h] == WAITS && !dead[tok[h]] -> seq[h] : 0); h++ :: else -> break od }
inline forget() {
	h = 0; do :: h < S && !(was[h] != 0 && kind[h] == WAITS && seq[h] == was[h] && !dead[tok[h]]) -> h++ :: else -> break od;
	if :: h == S && owed > 0 -> owed-- :: else fi;
	h = 0; do :: h < S -> was[h] = 0; h++ :: else -> break od
}

inline mourn() {
	m = 0;
	do
	:: atomic { up && m < S -> if :: kind[m] != NONE && tok[m] != me && proof(tok[m]) -> z = tok[m]; q = kind[m]; u = seq[m] :: else -> m++ fi }
		if
		:: z != 0 ->
			atomic {
				up ->
				if
				:: kind[m] == q && tok[m] == z && seq[m] == u && q == WAITS -> kind[m] = NONE; tok[m] = 0; seq[m] = 0; q = 0
#ifdef MOURN_EMPTY_FIRST
				:: kind[m] == q && tok[m] == z && seq[m] == u && q == TOLD -> kind[m] = NONE; tok[m] = 0; seq[m] = 0; remember()
#else
				:: kind[m] == q && tok[m] == z && seq[m] == u && q == TOLD -> assert(dead[z]); tok[m] = me; remember()
#endif
				:: else -> q = 0
				fi;
				z = 0
			}
			if
			:: q == TOLD ->
#ifndef NO_PASS
				tell_one(false);
#endif
				atomic {
					up ->
#ifndef MOURN_EMPTY_FIRST
					assert(kind[m] == TOLD && tok[m] == me && seq[m] == u); /* who has taken it over is alone with it */
					kind[m] = NONE; tok[m] = 0; seq[m] = 0;
#endif
					if :: passing[me] == 1 -> passing[me] = 0 :: else -> forget() fi;
					h = 0; do :: h < S -> was[h] = 0; h++ :: else -> break od
				}
			:: q != TOLD
			fi;
			atomic { m++; q = 0; u = 0; one = false }
		:: z == 0
		fi
	:: atomic { m == S -> m = 0; break }
	od
}

inline take_lock() { atomic { up && (lock == 0 || proof(lock)) -> lock = me } }

proctype waiter(byte me) {
	byte was[S], n, i, w, k, f, fs, ft, m, z, q, u; bool one, told, may;
#ifdef GIVE_UP
	if :: may = true :: true fi;
#endif
next:
	atomic { if :: n == ROUNDS -> goto end :: else -> n++ fi }
	take_lock();
	atomic { up -> seqs++; w = seqs; i = 0 }
	do
	:: atomic { up && i < S -> if :: kind[i] == NONE -> kind[i] = WAITS; tok[i] = me; seq[i] = w; break :: else -> i++ fi }
	:: atomic { i == S -> i = 0; w = 0 }
		mourn(); /* as many places as waiters, so that those of the dead alone can be missing; with several rounds those of one that gave up too */
		atomic { up -> seqs++; w = seqs; i = 0 }
	od;
	atomic { up -> assert(lock == me); lock = 0 }
look:
	atomic { up -> bed[i] = true }
	atomic {
		up ->
		assert(tok[i] == me && seq[i] == w && kind[i] != NONE); /* else ErrCorrupt */
		if :: kind[i] == TOLD -> bed[i] = false; told = true; goto retake :: else fi
	}
	if
	:: atomic { up && !bed[i] -> goto look }
#ifdef GIVE_UP
	:: atomic { up && may -> bed[i] = false }
		atomic {
			up ->
			if :: kind[i] == WAITS -> kind[i] = NONE; tok[i] = 0; seq[i] = 0 :: else -> told = true fi;
#ifdef GIVE_UP_BLINDLY
			if :: told -> told = false; kind[i] = NONE; tok[i] = 0; seq[i] = 0 :: else fi;
#endif
			goto retake
		}
#endif
#if KILLS + STOPS > 0
	:: atomic {
			over && up && bed[i] -> bed[i] = false; calm = false;
#ifndef EAGER
			/* a slice that was needed: one of the dead is told, or this one is, or something is owed that nobody alive has been told */
			h = 0; g = 0;
			do
			:: h < S ->
				if
				:: kind[h] == TOLD && (tok[h] == me || dead[tok[h]]) -> g = 100
				:: kind[h] == TOLD && tok[h] != me && !dead[tok[h]] -> g++
				:: else
				fi;
				h++
			:: else -> break
			od;
			if :: g >= 100 || owed > g -> lull++; assert(lull <= LIMIT) :: else fi;
			h = 0
#endif
		}
#endif
	fi;
	mourn();
	goto look;
retake:
#ifdef EMPTY_EARLY
	if :: told -> atomic { up -> kind[i] = NONE; tok[i] = 0; seq[i] = 0 } :: !told fi;
#endif
	take_lock();
	atomic {
		up ->
		if
		:: told ->
			assert(owed + extra > 0); /* nobody returns for no reason, but for a death between telling another and emptying the place */
			if :: owed > 0 -> owed-- :: else -> extra-- fi;
#ifndef EMPTY_EARLY
			assert(kind[i] == TOLD && tok[i] == me && seq[i] == w);
			kind[i] = NONE; tok[i] = 0; seq[i] = 0;
#endif
			lull = 0
		:: else
		fi;
		told = false; i = 0; w = 0
	}
	atomic { up -> lock = 0; goto next }
end:
	atomic { gone[me] = true; n = 0 }
}

proctype notifier(byte me) {
	byte n, k, f, fs, ft; bool one;
next:
	atomic { one = false; if :: n == NOTES -> goto end :: else -> n++ fi }
	take_lock();
	tell_one(true);
	atomic { up -> assert(lock == me); lock = 0; goto next }
end:
	atomic { gone[me] = true; n = 0 }
}

/* Whoever alive waits has not been told, and nothing is owed to it. */
inline judge() {
	p = 1;
	do
	:: p <= W ->
		if
		:: gone[p] || dead[p] || halted[p]
		:: else ->
			assert(owed == 0);
			h = 0; do :: h < S && kind[h] != TOLD -> h++ :: else -> break od;
			assert(h == S)
		fi;
		p++
	:: else -> break
	od;
	h = 0
}

init {
	byte p = 1;
	atomic {
		do
		:: p <= W -> run waiter(p); p++
		:: p > W && p <= N -> run notifier(p); p++
		:: else -> break
		od;
		run faults(); p = 0
	}
#if KILLS + STOPS == 0
	atomic { timeout -> judge() }
#endif
}
