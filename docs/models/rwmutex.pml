/* The RWMutex: the state tables above futex.RWMutex. NR readers and NW writers lock and unlock ROUNDS times each. One access to shared memory is
 * a step, and so is the proof of a death. KILLS processes may be killed before any step, STOPS may be stopped there for ever: by a process
 * of its own, so that a kill is never the only thing that can happen. With SHARE readers 2k and 2k+1 are goroutines of one process.
 *
 * The line is a mutex (mutex.pml): whoever waits for it gets it when it is free or its owner is proven dead. The writer sleeps by the event count
 * (waiting.pml): it enters, looks, sleeps until a notification. A slice ends only when nothing else moves, and one for each fault must do;
 * with EAGER at any time; without a fault there is none.
 */
#ifndef NR
#define NR 2
#endif
#ifndef NW
#define NW 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#define S 2 /* places */
#define N (NR+NW)
#define LIMIT (KILLS+STOPS)
#ifdef SHARE
#define TOKEN(p) ((p)/2+1)
#else
#define TOKEN(p) ((p)+1)
#endif

byte line;                                /* its owner, or 0 */
byte wtok; bool wholds, wdam;             /* the writer's word */
byte tok[S], cnt[S], top, hint[N+1];      /* the readers' words */
bool bed;                                 /* the writer sleeps, or is about to, and was not notified since */

bool dead[N+1], halted[N+1], done[N];
byte kills, stops, lull;
byte inR[N+1], inW;                       /* ghosts: who is between Lock and Unlock, by token */
bool torn;                                /* ghost: a writer died there, and it was not mended since */
hidden byte j;

#define up (!dead[me] && !halted[me])
#ifdef ROB
#define proof(t) (dead[t] || halted[t])
#else
#define proof(t) dead[t]
#endif
#ifdef EAGER
#define over true
#else
#define over timeout
#endif
#define empty(i) (cnt[i] == 0 || proof(tok[i]))
#define counted(i) (cnt[i] > 0 && halted[tok[i]])

inline kill(v) { dead[v] = true; inR[v] = 0; if :: inW == v -> inW = 0; torn = true :: else fi; if :: wtok == v -> bed = false :: else fi }

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

/* Counts this process in; i is the place. Which of those that will do claim takes is left open. */
inline enter() {
	do
	:: atomic {
			up ->
			if
			:: tok[hint[me]] == me -> i = hint[me]; fresh = false
			:: else ->
				fresh = true;
				if
				:: tok[0] == me -> i = 0
				:: tok[1] == me -> i = 1
				:: tok[0] != me && tok[1] != me && empty(0) -> i = 0
				:: tok[0] != me && tok[1] != me && empty(1) -> i = 1
				fi
			fi;
			t = tok[i]; c = cnt[i]
		}
#ifndef RAISE_LAST
		if :: fresh -> atomic { up -> hint[me] = i; if :: top <= i -> top = i+1 :: else fi } :: !fresh fi;
#endif
		atomic {
			up ->
			if
			:: tok[i] == t && cnt[i] == c ->
				cnt[i] = (t == me -> c+1 : 1); tok[i] = me; t = 0; c = 0;
#ifdef RAISE_LAST
				hint[me] = i;
#endif
				break
			:: else
			fi
		}
	od
}

/* Counts this process out, of place k first if it can be. */
inline leave() {
	do
	:: atomic {
			up ->
			if
			:: tok[k] == me && cnt[k] > 0 -> cnt[k]--; k = 0; break
			:: else -> k = (k+1) % S
			fi
		}
	od;
#ifndef NO_WAKE
	atomic { up -> bed = false }
#endif
}

inline take_line() { atomic { up && (line == 0 || proof(line)) -> line = me } }

inline settle() {
	atomic { up -> t = wtok; assert(t == 0 || dead[t]) /* else ErrCorrupt */ }
	if
	:: t != 0 ->
		atomic {
			up ->
#ifndef FORGET_DAMAGE
			wdam = wdam || wholds;
#endif
			wtok = 0; wholds = false; t = 0
		}
	:: t == 0
	fi
}

inline reads() { inR[me]++; assert(inW == 0 && !torn && wtok == 0) } /* also: not before a writer that waits for the readers */

proctype reader(byte p, me) {
	byte i, k, t, c, n; bool fresh, seen;
next:
	atomic { i = 0; k = 0; if :: n == ROUNDS -> goto end :: else -> n++ fi }
#ifdef LOOK_FIRST
	atomic { up -> seen = wtok != 0 || wdam }
	enter();
	if :: seen :: !seen -> atomic { up -> inR[me]++; assert(inW == 0 && !torn) }; goto reading fi;
#else
	enter();
	atomic {
		up ->
#ifdef BARGE
		if :: !wholds && !wdam -> reads(); goto reading :: else fi
#else
		if :: wtok == 0 && !wdam -> reads(); goto reading :: else fi
#endif
	}
#endif
#ifdef LEAVE_ANY
	if :: k = 0 :: k = 1 fi;
#else
	k = i;
#endif
	leave();
	take_line();
	settle();
	if
	:: wdam -> atomic { up -> line = 0; goto next } /* ErrDamaged */
	:: !wdam
	fi;
	enter();
	atomic { up -> line = 0; reads() }
reading:
#ifdef RAISE_LAST
	atomic { up -> if :: top <= i -> top = i+1 :: else fi }
#endif
	atomic { up -> assert(inW == 0 && !torn); inR[me]--; k = hint[me] }
	leave();
	goto next;
end:
	atomic { done[p] = true; n = 0 }
}

proctype writer(byte p, me) {
	byte k, limit, t, c, n; bool told;
next:
	atomic { if :: n == ROUNDS -> goto end :: else -> n++ fi }
	take_line();
	settle();
	atomic { up -> wtok = me }
look:
	atomic { up -> bed = true }
	atomic { up -> limit = top; k = 0 }
	do
	:: atomic { up && k < limit -> if :: cnt[k] == 0 -> k++ :: else -> goto asleep fi }
	:: atomic { up && k == limit -> bed = false; k = 0; limit = 0; goto write }
	od;
asleep:
	atomic { limit = 0; k = 0 }
	if
	:: atomic { up && !bed -> goto look }
#ifdef GIVE_UP
	:: atomic { up -> bed = false; wtok = 0 } /* damaged stays */
		atomic { up -> line = 0; goto next }
#endif
#if KILLS + STOPS > 0
	:: atomic {
			over && up && bed -> bed = false; calm = false;
#ifndef EAGER
			if :: counted(0) || counted(1) :: else -> lull++; assert(lull <= LIMIT) fi
#endif
		}
#endif
	fi;
#ifndef NO_BURY
	do
	:: atomic { up && k < S -> t = tok[k]; c = cnt[k]; if :: c != 0 && proof(t) :: else -> t = 0; c = 0; k++ fi }
		if
		:: t != 0 -> atomic { up -> if :: tok[k] == t && cnt[k] == c -> tok[k] = 0; cnt[k] = 0 :: else fi; t = 0; c = 0; k++ }
		:: t == 0
		fi
	:: atomic { up && k == S -> k = 0; break }
	od;
#endif
	goto look;
write:
	atomic {
		up -> wholds = true; inW = me; lull = 0;
		assert(torn == wdam); /* a death inside is reported, and nothing else is */
		j = 0; do :: j < N -> j++; assert(inR[j] == 0) :: else -> break od;
		told = wdam
	}
	atomic {
		up ->
		if
		:: told -> wdam = false; torn = false /* mended; MarkConsistent */
		:: true                               /* left to the next */
		fi;
		told = false
	}
	atomic { up -> assert(wtok == me && wholds && inW == me); wtok = 0; wholds = false; inW = 0 }
	atomic { up -> line = 0; goto next }
end:
	atomic { done[p] = true; n = 0 }
}

init {
	byte p;
	atomic {
		do
		:: p < NR -> run reader(p, TOKEN(p)); p++
		:: p >= NR && p < N -> run writer(p, TOKEN(p)); p++
		:: else -> break
		od;
		run faults(); p = 0
	}
	atomic { /* nothing moves, and no slice will end: who has not got through waits for one that is stopped */
#if KILLS + STOPS > 0
		timeout && !(bed && !halted[wtok]) ->
#else
		timeout ->
#endif
		do
		:: p < N -> assert(done[p] || dead[TOKEN(p)] || halted[TOKEN(p)] || (line != 0 && halted[line])); p++
		:: else -> break
		od
	}
}
