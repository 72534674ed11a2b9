/* The Barrier: the state tables above futex.Barrier. N parties, each a process, come ROUNDS times to a barrier of P. One access to shared memory is a step, and so is the proof of a death. KILLS processes may be killed before any step, STOPS
 * may be stopped there for ever: by a process of its own, so that a kill is never the only thing that can happen. With ACTION the last to
 * come acts, and with FAIL the action may fail.
 *
 * Who waits sleeps by the event count (waiting.pml): it enters, looks, sleeps until a notification. A slice ends only when nothing else moves, and
 * N for each fault must do; with EAGER at any time; without a fault there is none. A compare-and-swap that is tried again until it fits, or
 * whose failure means what a look would have shown, is one step with its load.
 */
#ifndef N
#define N 2
#endif
#ifndef P
#define P 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#define LIMIT (N*(KILLS+STOPS))
#ifdef ACTION
#define FULL ACT
#else
#define FULL LEAVE
#endif
#define FILL 0
#define ACT 1
#define LEAVE 2
#define BROKEN 3

byte round = 1, phase = FILL, actor;      /* the state */
bool taken[P]; byte at[P], owner[P];      /* the places: at is the round it was taken or left in */
bool bed[N+1];                            /* sleeps, or is about to, and was not notified since */

bool dead[N+1], halted[N+1];
bool gone[N+1];
byte kills, stops, lull;
bool lost, fell;                          /* ghosts: one who had come died before all had; before the round was over */
byte passed, acted;                       /* ghosts: how many this round has let go; the last round acted for */
hidden byte h, g, l; hidden byte legit;

#define up (!dead[me] && !halted[me])
#ifdef ROB
#define proof(t) ((t) != 0 && (dead[t] || halted[t]))
#else
#define proof(t) ((t) != 0 && dead[t])
#endif

inline count() { g = 0; h = 0; do :: h < P -> if :: taken[h] && at[h] == round -> g++ :: else fi; h++ :: else -> break od }
inline kill(v) {
	dead[v] = true; bed[v] = false; count();
	h = 0;
	do
	:: h < P -> if :: phase == FILL && taken[h] && at[h] == round && owner[h] == v -> fell = true; lost = lost || g < P :: else fi; h++
	:: else -> break
	od
}

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

inline notify() {
#ifndef NO_WAKE
	atomic { up -> h = 1; do :: h <= N -> bed[h] = false; h++ :: else -> break od }
#else
	skip
#endif
}

/* Begins the next round if this one has ended and all have gone. */
inline next() {
	atomic { up -> nx = false; if :: phase == LEAVE -> k = 0; x = round :: else -> k = P+1 fi }
	do
	:: atomic { up && k < P -> if :: taken[k] -> k = P+1 :: else -> k++ fi }
	:: atomic {
			up && k == P ->
			if :: phase == LEAVE && round == x -> round++; phase = FILL; nx = true; lost = false; fell = false; passed = 0; lull = 0 :: else fi;
			k = 0; x = 0; break
		}
	:: atomic { k == P+1 -> k = 0; x = 0; break }
	od;
	if :: nx -> notify() :: !nx fi
}

inline leave() {
	atomic {
		up -> nx = false; y = 0;
		if
		:: taken[i] && at[i] == r && owner[i] == me ->
			taken[i] = false; owner[i] = 0; y = 1
#ifdef REUSE
			; at[i] = 0
#endif
		:: else
		fi
	}
	if :: y -> y = 0; next(); if :: !nx -> notify() :: nx fi :: !y fi
}

inline break_round(q) {
	atomic { up -> y = 0; if :: round == q && (phase == FILL || phase == ACT) -> phase = BROKEN; actor = 0; y = 1; lull = 0 :: else fi }
	if :: y -> y = 0; notify() :: !y fi
}

inline mourn() {
	m = 0; found = false;
	do
	:: atomic { up && m < P -> if :: taken[m] && owner[m] != me && proof(owner[m]) -> z = owner[m]; q = at[m] :: else -> m++ fi }
		if
		:: z != 0 ->
#ifndef EMPTY_FIRST
			break_round(q);
#endif
			atomic { up -> if :: taken[m] && owner[m] == z && at[m] == q -> assert(dead[z]); taken[m] = false; owner[m] = 0; found = true :: else fi; z = 0 }
#ifdef EMPTY_FIRST
			break_round(q);
#endif
			atomic { m++; q = 0 }
		:: z == 0
		fi
	:: atomic { m == P -> m = 0; break }
	od;
#ifndef FORGET_ACTOR
	atomic { up -> if :: phase == ACT && proof(actor) -> q = round :: else fi }
	if :: q != 0 -> break_round(q); q = 0 :: q == 0 fi;
#endif
	if
	:: found -> found = false; next(); if :: !nx -> notify() :: nx fi
	:: !found
	fi
}

/* When nothing moves: too few are left to fill the round (those who live have come), or all wait for one that is stopped. */
inline settled() {
	count();
	h = 1; l = 0; do :: h <= N -> if :: gone[h] || dead[h] || halted[h] :: else -> l++ fi; h++ :: else -> break od;
	h = 0; do :: h < P && !(taken[h] && (dead[owner[h]] || halted[owner[h]])) -> h++ :: else -> break od;
	legit = (h == P && phase == FILL && !fell && l == g && g < P) || (phase == ACT && halted[actor]) || (h < P && halted[owner[h]]);

}
inline judge() { settled(); if :: legit :: else -> lull++; assert(lull <= LIMIT) fi }

#if KILLS + STOPS > 0
#ifdef EAGER
#define slice(next) :: atomic { up && bed[me] -> bed[me] = false; calm = false; goto next }
#else
#define slice(next) :: atomic { timeout && up && bed[me] -> bed[me] = false; calm = false; judge(); goto next }
#endif
#else
#define slice(next)
#endif

proctype party(byte me) {
	byte n, i, r, s, k, x, y, z, m, q; bool nx, found;
again:
	if :: n == ROUNDS -> goto end :: n < ROUNDS fi;
come:
	atomic { up -> bed[me] = true; i = 0 }
	atomic { up -> r = round; s = phase }
	next();
	if :: nx -> atomic { up -> r = round; s = phase } :: !nx fi;
	if
	:: s == BROKEN -> goto broken
	:: s == ACT || s == LEAVE -> goto sleep_come
	:: s == FILL
	fi;
	do
	:: atomic { up && i < P ->
			if
			:: !taken[i] && at[i] != r -> taken[i] = true; at[i] = r; owner[i] = me; break
			:: else -> i++
			fi
		}
	:: atomic { i == P -> goto sleep_come }
	od;
	atomic { up -> if :: round == r && phase != BROKEN -> bed[me] = false; goto meet :: else -> s = (round == r -> BROKEN : FILL) fi }
	leave();
	if :: s == BROKEN -> goto broken :: s != BROKEN -> goto come fi;
sleep_come:
	if
	:: atomic { up && !bed[me] -> goto come }
	slice(mourn_come)
	fi;
mourn_come:
	mourn();
	goto come;
meet:
	atomic { k = 0; s = 0 }
	do
	:: atomic { up && k < P -> if :: taken[k] && at[k] == r -> k++ :: else -> k = 0; goto wait fi }
	:: atomic { k == P -> k = 0; break }
	od;
#ifndef NO_PROOF_LAST
	mourn();
#endif
	atomic {
		up -> y = 0;
		if
		:: round == r && phase == FILL ->
			assert(!lost); count(); /* nobody goes on with one who died before the last came; nor without one who has come */
			assert(g == P || kills > 0);
			phase = FULL; lull = 0; y = 1;
#ifdef ACTION
			actor = me
#endif
		:: else
		fi
	}
#ifdef ACTION
	if
	:: y -> y = 0;
		if
		:: atomic { up -> if :: phase == ACT && round == r && actor == me -> phase = LEAVE; actor = 0; acted = r; y = 1 :: else fi }
			if :: y -> y = 0; notify() :: !y fi
#ifdef FAIL
		:: break_round(r); s = BROKEN; goto go
#endif
		fi
	:: !y
	fi;
#else
	if :: y -> y = 0; notify() :: !y fi;
#endif
wait:
	atomic { up -> bed[me] = true }
	atomic {
		up ->
		assert(round == r); /* not while this party has a place; else ErrCorrupt */
		s = phase;
		if
		:: s == LEAVE -> bed[me] = false; goto go
		:: s == BROKEN -> bed[me] = false; goto go
		:: else -> s = 0
		fi
	}
	if
	:: atomic { up && !bed[me] -> goto wait }
	slice(mourn_wait)
	fi;
mourn_wait:
	mourn();
	goto wait;
go:
	atomic {
		up ->
		if
		:: s == LEAVE ->
			passed++; assert(passed <= P);
#ifdef ACTION
			assert(acted == r);
#endif
			n++
		:: else
		fi
	}
	leave();
	if :: s == BROKEN -> goto broken :: s != BROKEN -> goto again fi;
broken:
	assert(phase == BROKEN); /* and stays so: there is no Reset */
end:
	atomic { bed[me] = false; gone[me] = true; n = 0; i = 0; r = 0; s = 0 }
}

init {
	byte p = 1;
	atomic { do :: p <= N -> run party(p); p++ :: else -> break od; run faults(); p = 1 }
#if KILLS + STOPS == 0
	atomic { timeout -> settled(); assert(legit && (N != P || l == 0)) }
#endif
}
