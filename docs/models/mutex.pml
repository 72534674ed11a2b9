/* The mutex: the state table above futex.Mutex. NP processes lock and unlock ROUNDS times each. KILLS of them may be killed before any of their
 * steps or in their sleep, STOPS may be stopped there for ever. One access to the word is a step, and so is a call of futex(2), and the
 * proof of a death. A turn may be over at any unlock at which somebody waits.
 *
 * Who sleeps does so in the kernel's queue, first come, first woken. A slice ends only when nothing else moves. Without a fault
 * nobody may need one (NO_SLICES: there are none); with faults LIMIT slices must do between one Lock and the next, unless it is a stopped owner
 * that all wait for. With PARKED they are not each sleeper's own but the hub's, which has less cause to wake anybody.
 *
 * Three things that the hand-over needs can be left out: NO_WAKE_AGAIN, who takes back a hand-over that woke nobody then wakes one; NO_WOKEN_IS_EARLY,
 * who was woken may take what was handed over, whenever it began to sleep; NO_RING_HANDED, the hub's slice has the first look also when the lock is
 * handed over.
 */
#ifndef NP
#define NP 2
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
#define TRIES 2 /* slices that one who came after a hand-over leaves to the others */
#ifndef LIMIT
#define LIMIT (TRIES * NP)
#endif

/* the word */
byte owner;          /* 0 free; 1.. a process; HANDED */
bool damaged, waiters;
#define HANDED 15
#define isfree(o) ((o) == 0 || (o) == HANDED)
#define dead_owner (!isfree(owner) && dead[owner])
#define word (owner | damaged << 4 | waiters << 5)
/* What the hub does with those who are parked: it compares the words before it sleeps; and has the first look when the owner has died. */
byte saw[NP + 1];
#define compared(i) (word != saw[i] && (isfree(owner) || !waiters))
#ifndef NO_RING_HANDED
#define roused (dead_owner || owner == HANDED)
#else
#define roused dead_owner
#endif
#define same (owner == o && damaged == d && waiters == s)

bool dead[NP + 1], halted[NP + 1];
byte queue[NP + 1], queued; /* place in the kernel's queue from 1 on; 0: not in it */
byte kills, stops;
byte inside;         /* ghost: who is between Lock and Unlock, and lives */
bool torn;           /* ghost: somebody died there, and it was not mended since */
bool told;           /* ghost: the one inside got ErrOwnerDied */
byte lull;           /* slices since somebody got the lock */
byte ended;

hidden byte j;

/* Before a step: go on, die, or be stopped. */
inline fate() {
	if
	:: true
	:: kills < KILLS -> kills++; dead[me] = true; if :: inside == me -> inside = 0; told = false; torn = true :: else fi; goto gone
	:: stops < STOPS -> stops++; halted[me] = true; goto gone
	fi
}
inline load() { o = owner; d = damaged; s = waiters }
/* In the step of the exchange that takes the lock. */
inline got() {
	assert(inside == 0);          /* exclusion, also of the stopped */
	assert(torn == damaged);      /* a death inside is reported, and nothing else is */
	inside = me; told = damaged; lull = 0
}
inline dequeue(i) {
	j = 1; do :: j <= NP -> if :: queue[j] > queue[i] -> queue[j]-- :: else fi; j++ :: else -> break od;
	queue[i] = 0; queued--; saw[i] = 0
}
inline wake1() {
	j = 1; do :: j <= NP && queue[j] != 1 -> j++ :: else -> break od;
	woken = j <= NP;
	if :: woken -> queue[j] = 0; queued--; j = 1; do :: j <= NP -> if :: queue[j] > 0 -> queue[j]-- :: else fi; j++ :: else -> break od :: else fi
}
inline forget() { o = 0; d = false; s = false }

proctype process(byte me) {
	byte o, rounds, tries; bool d, s, slept, early, woken;
next:
	atomic {
		forget(); woken = false;
		if :: rounds == ROUNDS -> goto gone :: else -> rounds++; tries = TRIES fi
	}
lock:
	atomic {
		fate(); load();
		if
		:: o == 0 || (o == HANDED && (early || tries == 0)) -> goto take
		:: !(o == 0 || (o == HANDED && (early || tries == 0))) && s -> goto wait
		:: else
		fi
	}
	atomic { fate(); if :: same -> waiters = true; s = true; goto wait :: else -> goto lock fi }
take:
	atomic {
		fate();
		if
		:: same ->
			owner = me;
#ifdef LOSE_WAITERS
			waiters = s;
#else
			waiters = s || slept;
#endif
			got(); goto held
		:: else -> goto lock
		fi
	}
wait:
	atomic { /* FUTEX_WAIT */
		fate();
		slept = true; early = early || o != HANDED;
#ifndef SLEEP_BLINDLY
		if :: !same -> goto lock :: else fi;
#endif
		forget(); queued++; queue[me] = queued;
#ifdef PARKED
		saw[me] = word
#endif
	}
end_asleep:
	atomic {
		if
		:: queue[me] == 0 ->
			saw[me] = 0;
#ifndef NO_WOKEN_IS_EARLY
			early = true;
#endif
			goto lock
		:: queue[me] != 0 && kills < KILLS -> dequeue(me); kills++; dead[me] = true; goto gone
#ifndef NO_SLICES
#ifdef PARKED
		:: timeout && queue[me] != 0 && compared(me) -> dequeue(me); lull++; assert(lull <= LIMIT); goto lock
		:: timeout && queue[me] == 1 && roused ->
#else
		:: timeout && queue[me] != 0 ->
#endif
			dequeue(me);
			if :: tries > 0 -> tries-- :: else fi;
			if
			:: !isfree(owner) && halted[owner]
			:: else -> lull++; assert(lull <= LIMIT)
			fi
#endif
		fi
	}
	atomic {
		fate(); load();
		if :: isfree(o) || o == me -> goto lock :: else fi;
#ifndef ROB
		if :: !dead_owner -> goto lock :: else fi
#endif
	}
	atomic {
		fate();
		if
		:: same ->
			owner = me; waiters = true;
#ifndef FORGET_DAMAGE
			damaged = true;
#endif
			got(); goto held
		:: else -> goto lock
		fi
	}
held:
	atomic {
		fate(); forget(); slept = false; early = false; tries = 0;
		if
		:: told -> damaged = false; torn = false; told = false /* mended; MarkConsistent */
		:: told -> told = false                                /* left to the next */
		:: !told
		fi
	}
unlock:
	atomic { fate(); load(); assert(o == me); if :: s -> goto some :: else fi }
	atomic { fate(); if :: same -> owner = 0; inside = 0; goto next :: else -> goto unlock fi }
some:
	if
	:: atomic { fate(); if :: same -> owner = 0; waiters = false; inside = 0 :: else -> goto unlock fi }
#ifndef NO_WAKE
		atomic { fate(); wake1(); goto next }
#endif
	:: atomic {
			fate();
			if
			:: same -> owner = HANDED; inside = 0
#ifdef HAND_OVER_DAMAGED
				; damaged = true
#endif
			:: else -> goto unlock
			fi
		}
		atomic { fate(); wake1(); if :: woken -> goto next :: else fi }
#ifndef KEEP_HANDED
		atomic { fate(); if :: owner == HANDED && damaged == d && waiters -> owner = 0; waiters = false :: else -> goto next fi }
#ifndef NO_WAKE_AGAIN
		atomic { fate(); wake1() } /* who went to sleep between the two steps */
#endif
#endif
	fi;
	goto next;
gone:
	atomic { ended++; forget(); woken = false; rounds = 0; tries = 0; slept = false; early = false }
}

init {
	byte i;
	atomic { i = 1; do :: i <= NP -> run process(i); i++ :: else -> break od; i = 0 }
#ifdef NO_SLICES
	atomic { timeout -> assert(ended == NP) }
#endif
#ifdef PARKED
	atomic {
		timeout && (queued == 0 || !roused) ->
		i = 1; do :: i <= NP && !(queue[i] != 0 && compared(i)) -> i++ :: else -> break od;
		assert(i <= NP || ended == NP || (!isfree(owner) && halted[owner]));
		i = 0
	}
#endif
}
