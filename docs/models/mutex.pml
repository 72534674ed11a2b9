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
 *
 * With BLIND the lock has its second word, the mode, and an unlock is a plain store while nobody sleeps. The store goes into a buffer of the
 * process's own, and from there to memory at any later time: at the latest at the barrier of one who goes to sleep, at an exchange of the process's own, or at its
 * death. An owner may reset the mode at any unlock that finds nobody waiting. NO_HAND_OVER leaves the hand-over out. What can be left out or done otherwise:
 * NO_BARRIER; NO_LOOK, who unlocked does not look at the mode again; NO_GENERATION, a reset leaves the generation as it was; MARK_ALONE, the waiters bit is set by an exchange
 * of the word alone; MARK_AND_LOOK, the same, and who sleeps, also if the bit was set, looks at the mode again; WORD_FIRST, who unlocks loads the word before the mode.
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

#ifdef BLIND
byte gen, phase;       /* the mode */
#define PLAIN 0        /* an unlock may be a plain store */
#define ANNOUNCED 1
#define SETTLED 2
bool buffered[NP + 1]; /* the store of an unlock is on its way */

/* The store reaches the memory. It may meet nothing but the owner's own word, with or without waiters. */
inline commit(i) { assert(owner == i && !damaged); owner = 0; waiters = false; buffered[i] = false }
inline drain(i) { if :: buffered[i] -> commit(i) :: else fi }
proctype memory(byte i) {
end_memory:
	do :: atomic { buffered[i] -> commit(i) } od
}
#define sameMode (gen == g && phase == p)
#else
#define drain(i) skip
#endif

/* Before a step: go on, die, or be stopped. */
inline fate() {
	if
	:: true
	:: kills < KILLS -> kills++; drain(me); dead[me] = true; if :: inside == me -> inside = 0; told = false; torn = true :: else fi; goto gone
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
#ifdef BLIND
	byte g, p;
#endif
next:
	atomic {
		forget(); woken = false;
		if :: rounds == ROUNDS -> goto gone :: else -> rounds++; tries = TRIES fi
	}
lock:
	atomic {
		fate(); drain(me); load();
		if
		:: o == 0 || (o == HANDED && (early || tries == 0)) -> goto take
#ifdef MARK_AND_LOOK
		:: !(o == 0 || (o == HANDED && (early || tries == 0))) && s -> goto settle
#else
		:: !(o == 0 || (o == HANDED && (early || tries == 0))) && s -> goto wait
#endif
		:: else
		fi
	}
#ifdef BLIND
settle:
	atomic {
		fate(); g = gen; p = phase;
		if :: p == SETTLED -> goto mark :: p == ANNOUNCED -> goto barrier :: else fi
	}
	atomic { fate(); if :: sameMode -> phase = ANNOUNCED; p = ANNOUNCED :: else -> goto settle fi }
barrier:
#ifndef NO_BARRIER
	atomic { fate(); j = 1; do :: j <= NP -> drain(j); j++ :: else -> break od }
#endif
	atomic { fate(); if :: sameMode -> phase = SETTLED; p = SETTLED :: else -> goto settle fi }
mark:
#if defined(MARK_ALONE) || defined(MARK_AND_LOOK)
	if
	:: s
	:: !s -> atomic { fate(); if :: same -> waiters = true; s = true :: else -> g = 0; p = 0; goto lock fi }
	fi;
#ifdef MARK_AND_LOOK
	atomic { fate(); if :: sameMode :: else -> g = 0; p = 0; goto lock fi }
#endif
	atomic { g = 0; p = 0; goto wait }
#else
	atomic { fate(); if :: same && sameMode -> waiters = true; s = true; g = 0; p = 0; goto wait :: else -> g = 0; p = 0; goto lock fi }
#endif
#else
	atomic { fate(); if :: same -> waiters = true; s = true; goto wait :: else -> goto lock fi }
#endif
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
#ifdef BLIND
#ifdef WORD_FIRST
	atomic { fate(); load(); assert(o == me); if :: d || s -> goto exchange :: else fi }
	atomic { fate(); g = gen; p = phase; if :: p != PLAIN -> goto exchange :: else fi }
#else
	atomic { fate(); g = gen; p = phase; if :: p != PLAIN -> goto exchange :: else fi }
	atomic { fate(); load(); assert(o == me); if :: d || s -> goto exchange :: else fi }
#endif
	atomic { fate(); buffered[me] = true; inside = 0; forget() }
#ifndef NO_LOOK
	atomic { fate(); if :: sameMode -> g = 0; goto next :: else g = 0; p = 0 fi }
	atomic { fate(); drain(me) }
	atomic { fate(); wake1() }
#endif
	atomic { g = 0; p = 0; goto next }
exchange:
	atomic { g = 0; p = 0 }
#endif
	atomic { fate(); load(); assert(o == me); if :: s -> goto some :: else fi }
	if
	:: atomic { fate(); if :: same -> owner = 0; inside = 0; goto next :: else -> goto unlock fi }
#ifdef BLIND
	:: atomic {
			phase == SETTLED && !d -> fate();
			if
			:: same ->
				owner = 0; phase = PLAIN; inside = 0;
#ifndef NO_GENERATION
				gen++;
#endif
				goto next
			:: else -> goto unlock
			fi
		}
#endif
	fi;
some:
	if
	:: atomic { fate(); if :: same -> owner = 0; waiters = false; inside = 0 :: else -> goto unlock fi }
#ifndef NO_WAKE
		atomic { fate(); wake1(); goto next }
#endif
#ifndef NO_HAND_OVER
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
#endif
	fi;
	goto next;
gone:
#ifdef BLIND
	atomic { g = 0; p = 0 }
#endif
	atomic { ended++; forget(); woken = false; rounds = 0; tries = 0; slept = false; early = false }
}

init {
	byte i;
	atomic { i = 1; do :: i <= NP -> run process(i); i++ :: else -> break od; i = 0 }
#ifdef BLIND
	atomic { i = 1; do :: i <= NP -> run memory(i); i++ :: else -> break od; i = 0 }
#endif
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
