/* How goroutines park and are woken: docs/design/waiting.md. One process has NW waiters, parked on one event count, and a hub; NN notifiers
 * are other processes, which know the word alone; NL are of the same process. What the registry does under its mutex is one step, and so is a
 * call of futex(2); every other access to shared memory is a step of its own.
 *
 * Without LEVEL a notifier publishes an item that one waiter takes, and notifies one. With LEVEL it raises a level, and notifies all; waiter i
 * waits for the level 1 + (i + FLIP) % 2.
 *
 * KILLS notifiers of other processes may die before any of their steps; CANCELS times a waiter's context ends. Only SLICES slices are given, and
 * those only when nothing else moves: elsewhere nobody may stay parked for whom there is something, with no slice at all.
 *
 * Generations are compared for equality alone, and are 2^30. So those held are numbered anew after each step: a state stands for all
 * that differ in the numbers, none of them wraps, and the waiters may go round for as long as they like.
 *
 * Waiters differ in nothing but their number, so the first to enter the lane is called 0, the next 1: the number is the ticket. (With LEVEL they
 * differ by what they wait for: FLIP is the other order.)
 */

#ifndef NW
#define NW 2
#endif
#ifndef NN
#define NN 1
#endif
#ifndef NL
#define NL 0
#endif
#ifndef PUTS
#define PUTS 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef SLICES
#define SLICES (2 * KILLS) /* the first may look only at those behind the last who looked */
#endif
#ifndef MISSES
#define MISSES 2
#endif
#ifndef FLIP
#define FLIP 0
#endif
#define NX (NN + NL)

/* the word: generation, all, sleepers */
#define SLEEPERS 1
#define ALL 2
byte w = 4;
byte gv[NW];         /* the word as a waiter has made it; 0 when it no longer matters, as with all below */
byte gx[NX];         /* the word as a notifier has loaded it, or made it */

byte items;          /* published and not taken; with LEVEL the level */
byte kills, cancels, slices;

/* the lane */
bool parked[NW], bell[NW]; byte n;
byte seen; bool ringlater;
byte turn;           /* one more than the number of the last who looked round */
short baton[NW];
#define NONE 0
#define OWN (-1)
#define ODD (-2)
byte entered;        /* waiters that have been in the lane, or will never be, from 0 on */

/* the hub, and what the kernel knows of it */
bool asleep, live;
bool inkernel, fired, kicked;
byte armed;

#ifdef LEVEL
#define ready(i) (items >= 1 + ((i) + FLIP) % 2)
#define take() skip
#define MANY 1
#else
#define ready(i) (items > 0)
#define take() items = items - 1
#define MANY 0
#endif

hidden byte j, k, f; /* scratch inside atomic steps */
hidden byte map[16];

inline rename(x) {
	if
	:: (x >> 2) != 0 ->
		if :: map[x >> 2] == 0 -> f++; map[x >> 2] = f :: else fi;
		x = (map[x >> 2] << 2) | (x & 3)
	:: else
	fi
}
/* The generations that are held are numbered from 1, always in this order. */
inline canon() {
	d_step {
		k = 0; do :: k < 16 -> map[k] = 0; k++ :: else -> break od;
		f = 0;
		if :: n == 0 -> seen = 0 :: else fi; /* nobody reads it */
		rename(w); rename(seen); rename(armed);
		k = 0; do :: k < NW -> rename(gv[k]); k++ :: else -> break od;
		k = 0; do :: k < NX -> rename(gx[k]); k++ :: else -> break od;
		f = 0; k = 0
	}
}
/* f is a generation that nobody holds. */
inline fresh() { f = 15 << 2 }

inline wakeup(i, b) { parked[i] = false; n--; baton[i] = b; bell[i] = true }
inline first_from(i) { j = i; do :: j < NW && !parked[j] -> j++ :: else -> break od }
inline ring_first(b) { first_from(0); if :: j < NW -> wakeup(j, b) :: else fi }
inline ring_all(b) { j = 0; do :: j < NW -> if :: parked[j] -> wakeup(j, b) :: else fi; j++ :: else -> break od }
inline ring() {
	ringlater = false; seen = w;
	if
#ifndef NO_ALL_BIT
	:: (w & ALL) -> ring_all(NONE)
#endif
	:: else -> ring_first(MISSES)
	fi
}

/* lookRound: some that are parked look round, those behind the last who did. */
inline slice() {
	j = turn;
	do
	:: j < NW -> if :: parked[j] -> wakeup(j, ODD) :: else fi; j++
	:: else -> break
	od;
	turn = 0 /* all are looked at at once here: the end is always reached */
}

/* Those with lower numbers have entered, or will not. */
inline settle_order() {
	do
	:: entered < NW && over[entered] -> entered++
	:: else -> break
	od
}
bool over[NW];

proctype waiter(byte id) {
	bool leaves;
look:
	atomic { if :: ready(id) -> take(); goto won :: else fi }
again:
	atomic {
		if
		:: leaves -> goto gone
		:: !leaves && cancels < CANCELS -> cancels++; leaves = true; goto gone
		:: !leaves -> fresh(); w = f | (w & ALL) | SLEEPERS; gv[id] = w; canon() /* the exchange that succeeds */
		fi
	}
#ifndef NO_SECOND_LOOK
	atomic {
		if
		:: ready(id) -> take(); gv[id] = 0; canon(); goto won
		:: !ready(id) && baton[id] == NONE -> goto enter
		:: else
		fi
	}
#endif
	atomic { /* handOn, not leaving */
		if
		:: baton[id] > 0 ->
			baton[id]--;
			if
			:: baton[id] == 0 -> turn = id + 1
			:: else -> first_from(id + 1); if :: j < NW -> wakeup(j, baton[id]) :: else fi
			fi
		:: else
		fi;
		baton[id] = NONE
	}
enter:
	atomic {
		entered >= id; /* the order of numbers */
		if :: entered == id -> over[id] = true; settle_order() :: else fi;
		if
		:: w != gv[id] -> gv[id] = 0; canon(); goto look
		:: else
		fi;
#ifndef NO_RING_LATER
		if :: n > 0 && seen != w -> ringlater = true :: else fi;
#endif
		seen = w; gv[id] = 0; parked[id] = true; n++; canon();
#ifndef NO_KICK
		if :: !(asleep && !live) -> goto end_parked :: else fi
#else
		goto end_parked
#endif
	}
	kicked = true;
end_parked:
	atomic {
		if
		:: bell[id] -> bell[id] = false
		:: cancels < CANCELS -> /* leave: out of the lane, or with the ring that came in this moment */
			cancels++; leaves = true;
			if
			:: parked[id] -> parked[id] = false; n--
			:: else -> bell[id] = false
			fi
		fi
	}
	goto look;
won:
	atomic { /* handOn, leaving */
#ifndef NO_BATON
		if
		:: baton[id] > 0 || baton[id] == ODD -> first_from(id + 1); if :: j < NW -> wakeup(j, MISSES) :: else fi
		:: else
		fi;
#endif
		goto stop
	}
gone:
	atomic { /* handOn, leaving without use for it */
#ifndef NO_HAND_ON
		if
		:: baton[id] > 0 -> first_from(id + 1); if :: j < NW -> wakeup(j, baton[id]) :: else fi
		:: baton[id] == OWN -> ring_first(OWN)
		:: else
		fi;
#endif
		skip
	}
stop:
	atomic { baton[id] = NONE; gv[id] = 0; canon(); leaves = false; over[id] = true; settle_order() }
}

proctype hub() {
loop:
	atomic { /* look, under the mutex */
		kicked = false;
		if
		:: n > 0 ->
#ifndef NO_COMPARE
			if :: ringlater || w != seen -> ring() :: else fi;
#endif
			live = true; armed = seen
#ifdef NO_COMPARE
			; armed = w
#endif
		:: else -> live = false; ringlater = false; seen = 0; turn = 0; armed = 0 /* the lane is dropped */
		fi;
		asleep = true; canon()
	}
	atomic { /* futex_waitv */
		if
		:: kicked || (live && w != armed) -> armed = 0; canon(); goto up
		:: else -> inkernel = true; armed = 0; canon()
		fi
	}
end_asleep:
	atomic {
		if
		:: fired || kicked
		:: timeout && slices < SLICES && n > 0 -> slices++; slice()
		fi;
		inkernel = false
	}
up:
	atomic {
		asleep = false;
		if :: fired && n > 0 -> ring() :: else fi;
		fired = false; canon()
	}
	goto loop
}

/* An option of an if that has no else. */
#define kill_here() kills < KILLS && !here -> kills++; goto dead

/* here says that it is of the waiters' process: then it knows the registry, and a kill would take all along. */
proctype notifier(byte me; bool here) {
	byte puts; bool woken;
	do
	:: puts == PUTS -> break
	:: else ->
		atomic { if :: kill_here() :: items++; puts++ fi }
retry:
		atomic { if :: kill_here() :: w & SLEEPERS -> gx[me] = w; canon() :: !(w & SLEEPERS) -> goto next fi }
		atomic {
			if
			:: kill_here()
			:: w != gx[me] -> gx[me] = 0; canon(); goto retry
			:: w == gx[me] -> fresh(); w = f | SLEEPERS | (MANY -> ALL : 0); gx[me] = w; canon()
			fi
		}
		atomic { /* FUTEX_WAKE */
			if
			:: kill_here()
			:: true
			fi;
			if
			:: inkernel && live && !fired && !kicked -> fired = true; woken = !MANY
			:: else
			fi;
			if :: woken || !here -> goto clear :: else fi
		}
		atomic { /* registry.wake */
			if
			:: MANY -> ring_all(OWN)
			:: !MANY && n > 0 -> ring_first(OWN); woken = true
			:: else
			fi
		}
clear:
		atomic {
			if
			:: kill_here()
			:: true
			fi;
			if
			:: !woken && w == gx[me] -> fresh(); w = f | (w & ALL)
			:: else
			fi;
next:
			gx[me] = 0; canon(); woken = false
		}
	od;
dead:
	atomic { gx[me] = 0; canon(); woken = false; puts = 0 }
}

init {
	byte i;
	atomic {
		run hub();
		i = 0; do :: i < NW -> run waiter(i); i++ :: else -> break od;
		i = 0; do :: i < NX -> run notifier(i, i >= NN); i++ :: else -> break od;
		i = 0
	}
	/* when nothing else moves, nobody is parked for whom there is something */
	atomic {
		timeout && (slices == SLICES || n == 0) ->
		do
		:: i < NW -> assert(!(parked[i] && ready(i))); i++
		:: else -> break
		od
	}
}
