/*
 * The units of large messages in ringbuf.MPMC (docs/design/queue.md): runs of units claimed by compare-and-swap for a slot in OWN,
 * given back by who acknowledges or mends. The cells are not here: mpmc.pml has them. A message is published by one step, and taken by
 * another, which settles it. A step is one access to shared memory, as in mpmc.pml.
 *
 * Sizes (-D): M slots, UNITS units, RUN units a message (RUN1 for those of the first producer), NP producers of PUTS messages each, NC
 * consumers, NR repairers. Faults: KILLS, KVICT, STOPS, SVICT, RESTARTS, NACKS as in mpmc.pml. REFUSE: publishing may fail, and the put
 * gives everything back.
 * Mutants: FREE_BEFORE_UNITS UNITS_BEFORE_OWN REPAIR_FREE_FIRST REPAIR_NO_UNITS CLAIM_BY_STORE KEEP_BROKEN_RUN UNITS_BEFORE_SLOTS
 */
#ifndef M
#define M 2
#endif
#ifndef UNITS
#define UNITS 3
#endif
#ifndef RUN
#define RUN 2
#endif
#ifndef RUN1
#define RUN1 RUN
#endif
#ifndef NP
#define NP 2
#endif
#ifndef PUTS
#define PUTS 1
#endif
#ifndef NC
#define NC 1
#endif
#ifndef NR
#define NR 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef KVICT
#define KVICT 255
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef SVICT
#define SVICT 255
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef NACKS
#define NACKS 0
#endif

#define NM (NP+NC+NR)
#define IDS (NP*PUTS)
#define LEN(m) ((m) == 1 -> RUN1 : RUN)

#define sFREE 0
#define sOWN 1
#define sPUB 2
#define sTAK 3
#define sORP 4
#define WORD(s, o) (((s) << 4) | (o))
#define WST(w)  ((w) >> 4)
#define WOWN(w) ((w) & 15)

byte W[M];
bit shown[M];			/* a cell shows FULL, this slot */
byte unit[UNITS];		/* 0, or the slot + 1 */
byte first[M], count[M];	/* the slot's run word */
byte body[UNITS];		/* whose bytes are in the unit */

bit halted[NM+1], isdead[NM+1];
byte inc[NM+1], mtok[NM+1], mrep[NM+1];
byte kills = KILLS, stops = STOPS, restarts = RESTARTS, nacks = NACKS;
byte pdone;
#ifdef REFUSE
bit refuse = 1;
#endif
#define TOK(m) ((m) + 8*inc[m])
#define TDEAD(t) ((t)/8 < inc[(t)%8] || isdead[(t)%8])

/* Ghosts */
byte id[M];			/* the message in a slot, from its first byte to the acknowledgement */
byte st[IDS+1];			/* of a message: 0, or */
#define PUT 1
#define ACKED 2

#if M == 2
#define ANY(q) (q(0) || q(1))
#else
#define ANY(q) (q(0) || q(1) || q(2))
#endif
#define FREEAT(k) (W[k] == sFREE)
#define READYAT(k) ((WST(W[k]) == sPUB && shown[k]) || WST(W[k]) == sORP)
#if UNITS == 2
#define RUNFREE(n) (n == 1 -> (unit[0] == 0 || unit[1] == 0) : (unit[0] == 0 && unit[1] == 0))
#elif UNITS == 3
#define RUNFREE(n) (n == 1 -> (unit[0] == 0 || unit[1] == 0 || unit[2] == 0) : (unit[1] == 0 && (unit[0] == 0 || unit[2] == 0)))
#else
#define RUNFREE(n) (n == 1 -> (unit[0] == 0 || unit[1] == 0 || unit[2] == 0 || unit[3] == 0) : \
	((unit[0] == 0 && unit[1] == 0) || (unit[1] == 0 && unit[2] == 0) || (unit[2] == 0 && unit[3] == 0)))
#endif

#define RUN_AT(x) (pc == x && !halted[me])
#define DONE 100
#define GONE 101

#define FAULTS \
	:: d_step { kills > 0 && ((KVICT >> me) & 1) && !isdead[me] && pc != DONE -> \
		kills--; halted[me] = 1; isdead[me] = 1; pc = GONE; CLEAR } \
	:: d_step { stops > 0 && ((SVICT >> me) & 1) && !halted[me] && pc != DONE -> \
		stops--; halted[me] = 1; pc = GONE; CLEAR }
#define REJOIN \
	:: d_step { pc == GONE && isdead[me] && restarts > 0 && mtok[me] == 0 -> \
		restarts--; inc[me]++; isdead[me] = 0; halted[me] = 0; mtok[me] = TOK(me); pc = 0 }

#define MINE(k) (W[k] == WORD(sOWN, me))
#define MSG ((me-1)*PUTS + seq)

/* Giving back, from OWN(me): the units of the run word, then the slot. k and j are the process's; it goes on at `next`. */
#ifdef FREE_BEFORE_UNITS
#define GIVEBACK(x, next) \
	:: d_step { RUN_AT(x) -> W[k] = sFREE; id[k] = 0; j = 0; pc = x+1 } \
	:: d_step { RUN_AT(x+1) -> \
		if \
		:: unit[first[k] + j] == k+1 -> unit[first[k] + j] = 0 \
		:: else \
		fi; \
		j++; \
		if \
		:: j >= count[k] -> k = 0; j = 0; pc = next \
		:: else \
		fi }
#else
#define GIVEBACK(x, next) \
	:: d_step { RUN_AT(x) -> \
		assert(MINE(k)); \
		if \
		:: j < count[k] -> \
			assert(unit[first[k] + j] == k+1); \
			unit[first[k] + j] = 0; j++ \
		:: else -> j = 0; pc = x+1 \
		fi } \
	:: d_step { RUN_AT(x+1) -> assert(MINE(k)); W[k] = sFREE; id[k] = 0; k = 0; pc = next }
#endif

proctype Producer(byte me)
{
	byte pc, k, f, j, seq;
#define CLEAR k = 0; f = 0; j = 0;
	do
	:: d_step { RUN_AT(0) ->
		if
		:: seq == PUTS -> pdone++; pc = DONE
		:: else -> pc = 1
		fi }
	/* a slot */
	:: d_step { RUN_AT(1) && W[0] == sFREE -> k = 0; W[k] = WORD(sOWN, me); f = 0; j = 0; pc = 2 }
	:: d_step { RUN_AT(1) && W[1] == sFREE -> k = 1; W[k] = WORD(sOWN, me); f = 0; j = 0; pc = 2 }
#if M > 2
	:: d_step { RUN_AT(1) && W[2] == sFREE -> k = 2; W[k] = WORD(sOWN, me); f = 0; j = 0; pc = 2 }
#endif
	/* a run of units, the first that holds */
	:: d_step { RUN_AT(2) ->
		if
		:: f + LEN(me) > UNITS -> f = 0; pc = 13		/* none: ErrFull */
		:: f + LEN(me) <= UNITS && unit[f + j] == 0 ->
#ifdef CLAIM_BY_STORE
			pc = 4
#else
			unit[f + j] = k+1; j++;
			if
			:: j == LEN(me) -> j = 0; pc = 5
			:: else
			fi
#endif
		:: else ->
#ifdef KEEP_BROKEN_RUN
			f = f + j + 1; j = 0
#else
			if
			:: j > 0 -> pc = 3
			:: else -> f++
			fi
#endif
		fi }
#ifdef CLAIM_BY_STORE
	:: d_step { RUN_AT(4) -> unit[f + j] = k+1; j++;
		if
		:: j == LEN(me) -> j = 0; pc = 5
		:: else -> pc = 2
		fi }
#endif
	:: d_step { RUN_AT(3) ->			/* it broke at f+j: those claimed go back, f is behind the taken one when all have */
		j--; assert(unit[f + j] == k+1); unit[f + j] = 0;
		if
		:: j == 0 -> f++; pc = 2
		:: else
		fi }
	/* the message, its run word, its bytes */
	:: d_step { RUN_AT(5) -> first[k] = f; count[k] = LEN(me); id[k] = MSG + 1; pc = 6 }
	:: d_step { RUN_AT(6) ->
		assert(MINE(k) && unit[f + j] == k+1);
		body[f + j] = MSG + 1; j++;
		if
		:: j == LEN(me) -> j = 0; f = 0; pc = 7
		:: else
		fi }
	:: d_step { RUN_AT(7) -> assert(MINE(k)); W[k] = WORD(sPUB, me); pc = 8 }
	:: d_step { RUN_AT(8) -> assert(st[MSG + 1] == 0); shown[k] = 1; st[MSG + 1] = PUT; k = 0; seq++; pc = 0 }
#ifdef REFUSE
	:: d_step { RUN_AT(8) && refuse -> refuse = 0; pc = 9 }
	:: d_step { RUN_AT(9) -> W[k] = WORD(sOWN, me); pc = 10 }
	GIVEBACK(10, 0)
#endif
	:: d_step { RUN_AT(13) -> assert(MINE(k)); W[k] = sFREE; k = 0; j = 0; pc = 14 }
	:: d_step { RUN_AT(14) && RUNFREE(LEN(me)) && ANY(FREEAT) -> pc = 1 }
	FAULTS
	REJOIN
	od
#undef CLEAR
}

proctype Consumer(byte me)
{
	byte pc, k, j;
#define CLEAR k = 0; j = 0;
#define TAKE(x) \
	:: d_step { RUN_AT(0) && READYAT(x) -> k = x; shown[k] = 0; W[k] = WORD(sTAK, me); pc = 1 }
	do
	TAKE(0)
	TAKE(1)
#if M > 2
	TAKE(2)
#endif
	:: d_step { RUN_AT(1) ->
		assert(unit[first[k] + j] == k+1 && body[first[k] + j] == id[k] && st[id[k]] == PUT);
		j++;
		if
		:: j == count[k] -> j = 0; pc = 2
		:: else
		fi }
#ifdef UNITS_BEFORE_OWN
	:: d_step { RUN_AT(2) -> unit[first[k] + j] = 0; j++;
		if
		:: j == count[k] -> j = 0; pc = 3
		:: else
		fi }
	:: d_step { RUN_AT(3) -> st[id[k]] = ACKED; W[k] = sFREE; id[k] = 0; k = 0; pc = 0 }
#else
	:: d_step { RUN_AT(2) -> assert(W[k] == WORD(sTAK, me)); st[id[k]] = ACKED; W[k] = WORD(sOWN, me); pc = 3 }
	:: d_step { RUN_AT(2) && nacks > 0 -> nacks--; W[k] = WORD(sORP, 0); k = 0; pc = 0 }
	GIVEBACK(3, 0)
#endif
	FAULTS
	REJOIN
	od
#undef CLEAR
}

/* The order of a repair, and of the mutants. */
#if defined(UNITS_BEFORE_SLOTS)
#define FIRST 20
#define UNITSDONE 10
#define PASSED 30
#define SLOTSDONE 50
#elif defined(REPAIR_FREE_FIRST)
#define FIRST 10
#define PASSED 30
#define SLOTSDONE 20
#define UNITSDONE 50
#elif defined(REPAIR_NO_UNITS)
#define FIRST 10
#define PASSED 30
#define SLOTSDONE 50
#define UNITSDONE 50
#else
#define FIRST 10
#define PASSED 20
#define UNITSDONE 30
#define SLOTSDONE 50
#endif

proctype Repairer(byte me)
{
	byte pc, d, i, k, tk, w;
#define CLEAR d = 0; i = 0; k = 0; tk = 0; w = 0;
#define TAKEOVER(x) \
	:: d_step { RUN_AT(0) && mtok[x] != 0 && TDEAD(mtok[x]) && (mrep[x] == 0 || TDEAD(mrep[x])) -> \
		d = x; tk = mtok[x]; w = mrep[x]; pc = 1 }
	do
	TAKEOVER(1)
	TAKEOVER(2)
#if NP+NC > 2
	TAKEOVER(3)
#endif
#if NP+NC > 3
	TAKEOVER(4)
#endif
	:: d_step { RUN_AT(1) ->
		if
		:: mtok[d] == tk && mrep[d] == w -> mrep[d] = TOK(me); pc = FIRST
		:: else -> d = 0; tk = 0; pc = 0
		fi;
		w = 0 }
	/* 2: the slots */
	:: d_step { RUN_AT(10) ->
		w = W[k];
		if
		:: WST(w) == sPUB && WOWN(w) == d -> pc = 11
		:: WST(w) == sTAK && WOWN(w) == d -> pc = 12
		:: else -> w = 0; k++;
			if
			:: k == M -> k = 0; pc = PASSED
			:: else
			fi
		fi }
	:: d_step { RUN_AT(11) ->
		if
		:: shown[k] -> w = 0; k++;
			if
			:: k == M -> k = 0; pc = PASSED
			:: else -> pc = 10
			fi
		:: else -> pc = 13
		fi }
	:: d_step { RUN_AT(12) ->
		if
		:: W[k] == w -> W[k] = WORD(sORP, 0)
		:: else
		fi;
		w = 0; pc = 10 }
	:: d_step { RUN_AT(13) ->
		if
		:: W[k] == w -> W[k] = WORD(sOWN, d)
		:: else
		fi;
		w = 0; pc = 10 }
	/* 3: the units of those in OWN(d): read the unit, read its slot's word, clear it */
	:: d_step { RUN_AT(20) ->
		w = unit[i];
		if
		:: w != 0 -> pc = 21
		:: else -> i++;
			if
			:: i == UNITS -> i = 0; pc = UNITSDONE
			:: else
			fi
		fi }
	:: d_step { RUN_AT(21) ->
		if
		:: W[w-1] == WORD(sOWN, d) -> pc = 22
		:: else -> w = 0; i++;
			if
			:: i == UNITS -> i = 0; pc = UNITSDONE
			:: else -> pc = 20
			fi
		fi }
	:: d_step { RUN_AT(22) -> unit[i] = 0; w = 0; i++;
		if
		:: i == UNITS -> i = 0; pc = UNITSDONE
		:: else -> pc = 20
		fi }
	/* then those slots */
	:: d_step { RUN_AT(30) ->
		if
		:: W[k] == WORD(sOWN, d) -> W[k] = sFREE; id[k] = 0
		:: else
		fi;
		k++;
		if
		:: k == M -> k = 0; pc = SLOTSDONE
		:: else
		fi }
	:: d_step { RUN_AT(50) -> assert(mtok[d] == tk && mrep[d] == TOK(me)); mtok[d] = 0; mrep[d] = 0; d = 0; tk = 0; pc = 0 }
	FAULTS
	od
#undef CLEAR
}

proctype Monitor()
{
	byte i, k, live;
	bit stuck;
	timeout -> d_step {
	i = NP+1;
	do
	:: i <= NP+NC -> if :: !halted[i] -> live++ :: else fi; i++
	:: else -> break
	od;
	/* Units: of a slot that is queued, or an orphan that nobody is left to take, or held by one that is stopped. */
	i = 0;
	do
	:: i < UNITS ->
		if
		:: unit[i] == 0
		:: else ->
			k = unit[i] - 1;
			assert(W[k] != sFREE && first[k] <= i || WST(W[k]) == sOWN);
			assert((live == 0 && READYAT(k)) || (WST(W[k]) != sORP && halted[WOWN(W[k])] && mtok[WOWN(W[k])] != 0))
		fi;
		i++
	:: else -> break
	od;
	k = 0;
	do
	:: k < M ->
		assert(W[k] == sFREE || (live == 0 && READYAT(k)) || (WST(W[k]) != sORP && halted[WOWN(W[k])] && mtok[WOWN(W[k])] != 0));
		k++
	:: else -> break
	od;
	/* Messages: one that was put and not acknowledged still has its bytes. */
	i = 1;
	do
	:: i <= IDS ->
		if
		:: st[i] == PUT ->
			k = 0;
			do
			:: k < M && id[k] == i -> break
			:: k < M && id[k] != i -> k++
			:: else -> break
			od;
			assert(k < M && unit[first[k]] == k+1 && body[first[k]] == i && body[first[k] + count[k] - 1] == i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	/* Those who can move have put everything, unless what they need is held. */
	i = 1; k = pdone;
	do
	:: i <= NP -> if :: halted[i] -> k++ :: else -> stuck = (stuck || !(RUNFREE(LEN(i)))) fi; i++
	:: else -> break
	od;
	assert(k >= NP || live == 0 || !(ANY(FREEAT)) || stuck);
#ifdef ALL_THROUGH
	assert(k >= NP);
#endif
	i = 0; k = 0; live = 0; stuck = 0
	}
}

init {
	byte i;
	d_step {
	i = 1;
	do
	:: i <= NP+NC -> mtok[i] = i; i++
	:: else -> break
	od;
	i = 0
	}
	atomic {
	i = 1;
	do
	:: i <= NP -> run Producer(i); i++
	:: i > NP && i <= NP+NC -> run Consumer(i); i++
	:: i > NP+NC && i <= NM -> run Repairer(i); i++
	:: else -> break
	od;
	i = 0;
	run Monitor()
	}
}
