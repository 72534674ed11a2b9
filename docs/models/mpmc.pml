/*
 * The protocol of ringbuf.MPMC (docs/design/queue.md): producers, consumers and repairers, any of which may be killed or stopped before
 * any step. A step is one access to shared memory: every option of a process's loop below is one d_step with at most one of them; what else
 * it does is local, or ghost. README.md says what is modelled and what is not; run.sh runs the scopes of mpmc.scopes.
 *
 * Sizes (-D): N cells, M slots, NP producers of PUTS messages each, NC consumers, NR repairers.
 * Faults:     KILLS, KVICT; STOPS, SVICT: how many, and a mask of the members (1<<m) they may hit; RESTARTS: the dead that join again.
 *             Every run spends all its kills if it can, so a scope of two kills wants its scope of one beside it.
 * Also:       NACKS; CLOSE; DLQ (the delivery limit); NO_IDLE_LOOK: orphans are found by gen alone.
 * Mutants:    NO_SETTLE PUB_AFTER_CAS NO_REPAIR REPAIR_WITHOUT_PROOF SLOTS_BEFORE_CELLS GEN_FIRST MEMBER_FREED_BEFORE_REPAIR_DONE
 *             RELEASE_BEFORE_READ END_WITHOUT_SETTLE CLOSE_BY_FLAG_ONLY CLOSED_WITHOUT_LOOK JUMP_TO_EMPTY JUMP_TO_FULL
 *             BY_ORDER WAIT_FOR_TAKER
 */
#ifndef N
#define N 1
#endif
#ifndef M
#define M (N+1)
#endif
#ifndef NP
#define NP 1
#endif
#ifndef PUTS
#define PUTS 2
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

#ifdef SHARED_P			/* the producers are goroutines of one process */
#define PMEMBER(i) 1
#else
#define PMEMBER(i) (i)
#endif
#ifdef SHARED_C
#define CMEMBER(i) (NP+1)
#else
#define CMEMBER(i) (i)
#endif
#define NM   (NP+NC+NR)		/* members 1..NM: producers, consumers, repairers */
#ifndef PM
#define PM   16			/* positions are counted modulo PM, a multiple of N, and start just before they wrap */
#endif
#define START (PM-2)
#define IDS  (NP*PUTS)

#define ADD(p, x)   (((p) + (x)) % PM)
#define SUB(p, x)   (((p) + PM - (x)) % PM)

/* What a hint p that is not answered by the cell's position q is: behind it. BY_ORDER: by the order of wrapping numbers, which fails a
 * hint stored by somebody who slept for half of all positions. */
#ifdef BY_ORDER
#define BEHIND(p, q) (p != q && SUB(q, p) < PM/2)
#else
#define BEHIND(p, q) (p != q)
#endif

/* Cell: position, owner, slot. Owner 0: FULL, or END with slot 7. Owner 7: EMPTY, taken by nobody. */
#define CELL(p, o, k) (((p) << 6) | ((o) << 3) | (k))
#define CPOS(e)  ((e) >> 6)
#define COWN(e)  (((e) >> 3) & 7)
#define CSLOT(e) ((e) & 7)
#define ISEND(e) (COWN(e) == 0 && CSLOT(e) == 7)
#define ISFULL(e) (COWN(e) == 0 && CSLOT(e) != 7)
#define ISEMPTY(e) (COWN(e) != 0)

/* Slot word: state, owner, position. */
#define sFREE 0
#define sOWN 1
#define sPUB 2
#define sTAK 3
#define sORP 4
#define sDLQ 5
#define WORD(s, o, p) (((s) << 8) | ((o) << 4) | (p))
#define OWN(o)    WORD(sOWN, o, 0)
#define PUB(o, p) WORD(sPUB, o, p)
#define TAK(o, p) WORD(sTAK, o, p)
#define ORP(p)    WORD(sORP, 0, p)
#define DEAD(p)   WORD(sDLQ, 0, p)
#define WST(w)  ((w) >> 8)
#define WOWN(w) (((w) >> 4) & 15)
#define WPOS(w) ((w) & 15)

short cell[N];
short W[M];
byte msg[M];			/* what is written in the slot; 255 while it is being rewritten */
#ifdef DLQ
byte dlv[M];			/* the size word's deliveries */
#endif
byte tail = START, head = START;
byte gen;
byte mtok[NM+1], mrep[NM+1];	/* member word: (token, repairer) */
bit closed;

/* Processes. The token of incarnation i of member m is m + 8 i. */
bit halted[NM+1];		/* moves no more: killed or stopped */
bit isdead[NM+1];		/* killed: there is proof of it */
byte inc[NM+1];
byte kills = KILLS, stops = STOPS, restarts = RESTARTS, nacks = NACKS;
byte pdone;			/* producers that have put everything, or know that the queue is closed */
#define TOK(m) ((m) + 8*inc[m])
#define TDEAD(t) ((t)/8 < inc[(t)%8] || isdead[(t)%8])

/* Ghosts: what has really happened. */
byte gtail = START, ghead = START;	/* the true tail and head */
byte gid[PM];			/* the message put at a position */
byte st[IDS+1];			/* of a message: */
#define NOTPUT 0
#define QUEUED 1
#define ACKED 2
#define NACKED 3
#define SETASIDE 4
#define HELD(t) (32 + (t))
#define BACK(i) (i && (st[i] == NACKED || (st[i] >= 32 && TDEAD(st[i] - 32))))
byte due[NM+1];			/* a message that was to be handed out again when this consumer's get began */
#if NC == 1
#define NOTDUE(i) due[me] = 0
#else
#define NOTDUE(i) due[NP+1] = (due[NP+1] == i -> 0 : due[NP+1]); due[NP+2] = (due[NP+2] == i -> 0 : due[NP+2])
#endif
#define UNMENDED(m) (mtok[m] != 0 && TDEAD(mtok[m]))
#if NP+NC == 2
#define NODEAD !(UNMENDED(1) || UNMENDED(2))
#elif NP+NC == 3
#define NODEAD !(UNMENDED(1) || UNMENDED(2) || UNMENDED(3))
#else
#define NODEAD !(UNMENDED(1) || UNMENDED(2) || UNMENDED(3) || UNMENDED(4))
#endif
bit ended;			/* END stands in a cell, or a consumer has returned ErrClosed */

#if M == 2
#define ANY(q) (q(0) || q(1))
#elif M == 3
#define ANY(q) (q(0) || q(1) || q(2))
#elif M == 4
#define ANY(q) (q(0) || q(1) || q(2) || q(3))
#endif
#define FREEAT(k) (W[k] == sFREE)
#define ORPAT(k)  (WST(W[k]) == sORP)

#define RUN(x) (pc == x && !halted[me])

/* A death or a stop, before any step. A stopped process may be killed too. */
#define FAULTS \
	:: d_step { kills > 0 && ((KVICT >> me) & 1) && !isdead[me] && pc != DONE -> \
		kills--; halted[me] = 1; isdead[me] = 1; pc = GONE; CLEAR } \
	:: d_step { stops > 0 && ((SVICT >> me) & 1) && !halted[me] && pc != DONE -> \
		stops--; halted[me] = 1; pc = GONE; CLEAR } \
	:: d_step { halted[me] && pc != GONE && pc != DONE -> pc = GONE; CLEAR }

/* A new process takes the number of a dead one, once that is repaired. */
#define REJOIN \
	:: d_step { pc == GONE && isdead[me] && restarts > 0 && mtok[me] == 0 -> \
		restarts--; inc[me]++; isdead[me] = 0; halted[me] = 0; mtok[me] = TOK(me); pc = 0 }

#define DONE 100
#define GONE 101

proctype Producer(byte me; byte src)	/* src: whose messages; goroutines of a process share `me` */
{
	byte pc, k, t, seq;
	short e, w;
#define CLEAR k = 0; t = 0; e = 0; w = 0;
	do
	/* Put, 1: the look at the state. The look at the cell is that of step 4. */
	:: d_step { RUN(0) ->
		if
		:: seq == PUTS -> pc = DONE
		:: seq < PUTS && closed -> pc = DONE
		:: else -> pc = 1
		fi;
		if
		:: pc == DONE -> pdone++
		:: else
		fi }
	/* 2: any slot that is free; none: ErrFull, and wait. */
	:: d_step { RUN(1) && W[0] == sFREE -> k = 0; W[k] = OWN(me); pc = 2 }
	:: d_step { RUN(1) && W[1] == sFREE -> k = 1; W[k] = OWN(me); pc = 2 }
#if M > 2
	:: d_step { RUN(1) && W[2] == sFREE -> k = 2; W[k] = OWN(me); pc = 2 }
#endif
#if M > 3
	:: d_step { RUN(1) && W[3] == sFREE -> k = 3; W[k] = OWN(me); pc = 2 }
#endif
	:: d_step { RUN(1) && !ANY(FREEAT) -> pc = 20 }
	/* 3 */
	:: d_step { RUN(2) -> assert(W[k] == OWN(me)); msg[k] = 255; pc = 3 }
	:: d_step { RUN(3) -> assert(W[k] == OWN(me)); msg[k] = (src-1)*PUTS + seq + 1;
#ifdef DLQ
		dlv[k] = 1;
#endif
		pc = 4 }
	/* 4 */
	:: d_step { RUN(4) -> t = tail; pc = 5 }
	:: d_step { RUN(5) ->
		e = cell[t % N];
		if
		:: ISEND(e) -> pc = 12
		:: ISFULL(e) && CPOS(e) == t -> t = ADD(t, 1)
		:: ISFULL(e) && CPOS(e) == SUB(t, N) -> assert(gtail == t && SUB(gtail, ghead) == N); pc = 10
		:: ISFULL(e) && BEHIND(t, CPOS(e)) -> t = ADD(CPOS(e), 1)
		:: ISEMPTY(e) && CPOS(e) == t ->
			assert(gtail == t);
			if
			:: COWN(e) == 7 -> pc = 8
			:: else -> pc = 6
			fi
#ifdef JUMP_TO_EMPTY
		:: ISEMPTY(e) && BEHIND(t, CPOS(e)) -> t = CPOS(e)
#else
		:: ISEMPTY(e) && BEHIND(t, CPOS(e)) -> t = ADD(SUB(CPOS(e), N), 1)
#endif
		:: else -> assert(false)	/* the hint is past the truth */
		fi;
#ifdef NO_SETTLE
		if
		:: pc == 6 -> pc = 8
		:: else
		fi;
#endif
		if
		:: pc == 5 -> e = 0
		:: else
		fi }
#ifdef WAIT_FOR_TAKER
	:: d_step { RUN(6) && WST(W[CSLOT(e)]) != sPUB -> pc = 8 }
#else
	:: d_step { RUN(6) ->
		w = W[CSLOT(e)];
		if
		:: WST(w) == sPUB && WPOS(w) == SUB(t, N) -> pc = 7
		:: else -> w = 0; pc = 8
		fi }
#endif
	:: d_step { RUN(7) ->
		if
		:: W[CSLOT(e)] == w -> W[CSLOT(e)] = TAK(COWN(e), SUB(t, N))
		:: else
		fi;
		w = 0; pc = 8 }
	/* 5 */
#ifdef PUB_AFTER_CAS
	:: d_step { RUN(8) -> pc = 9 }
#else
	:: d_step { RUN(8) ->
		assert(W[k] == OWN(me) || (WST(W[k]) == sPUB && WOWN(W[k]) == me));
		W[k] = PUB(me, t); pc = 9 }
#endif
	/* 6: the put */
	:: d_step { RUN(9) ->
		if
		:: cell[t % N] == e ->
			cell[t % N] = CELL(t, 0, k);
			assert(!ended && t == gtail && SUB(gtail, ghead) < N);
			assert(st[(src-1)*PUTS + seq + 1] == NOTPUT && msg[k] == (src-1)*PUTS + seq + 1);
			gid[t] = msg[k]; st[msg[k]] = QUEUED; gtail = ADD(gtail, 1); seq++;
#ifdef PUB_AFTER_CAS
			pc = 15
#else
			k = 0; pc = 14
#endif
		:: else -> pc = 5
		fi;
		e = 0 }
#ifdef PUB_AFTER_CAS
	:: d_step { RUN(15) -> W[k] = PUB(me, t); k = 0; pc = 14 }
#endif
	/* ErrFull, ErrClosed: the slot goes back. */
	:: d_step { RUN(10) ->
		assert(W[k] == OWN(me) || (WST(W[k]) == sPUB && WOWN(W[k]) == me));
		W[k] = OWN(me); pc = 11 }
	:: d_step { RUN(11) -> assert(W[k] == OWN(me)); W[k] = sFREE; k = 0; t = 0; e = 0; pc = 20 }
	:: d_step { RUN(12) -> W[k] = OWN(me); pc = 13 }
	:: d_step { RUN(13) -> assert(W[k] == OWN(me)); W[k] = sFREE; k = 0; t = 0; e = 0; pdone++; pc = DONE }
	/* 7 */
	:: d_step { RUN(14) -> tail = ADD(t, 1); t = 0; pc = 0 }
	/* Wait, until a new try may come further. */
	:: d_step { RUN(20) && (closed || (ANY(FREEAT) && SUB(gtail, ghead) < N)) -> pc = 0 }
	FAULTS
	REJOIN
	od
#undef CLEAR
}

proctype Consumer(byte me)
{
	byte pc, k, h, g, seen;
	short e, w;
#define CLEAR k = 0; h = 0; g = 0; seen = 0; e = 0; w = 0; due[me] = 0;
	do
	/* Get, 1: has there been a repair or a nack? */
	:: d_step { RUN(0) ->
		g = gen;
#ifdef CLOSE
		due[me] = 1;
		do
		:: due[me] <= IDS && !BACK(due[me]) -> due[me]++
		:: due[me] > IDS -> due[me] = 0; break
		:: else -> break
		od;
#endif
		if
		:: g != seen -> k = 0; pc = 1
		:: else -> pc = 3
		fi }
	:: d_step { RUN(1) ->
		w = W[k];
		if
		:: WST(w) == sORP -> pc = 2
		:: else -> w = 0; k++;
			if
			:: k == M -> seen = g; k = 0; pc = 3
			:: else
			fi
		fi }
	:: d_step { RUN(2) ->
		if
		:: W[k] == w ->
			h = WPOS(w);
			assert(msg[k] == gid[h] && BACK(gid[h]));
			NOTDUE(gid[h]);
#ifdef DLQ
			if
			:: dlv[k] >= DLQ -> W[k] = DEAD(h); st[gid[h]] = SETASIDE; h = 0; pc = 1
			:: else -> W[k] = TAK(me, h); st[gid[h]] = HELD(TOK(me)); pc = 9
			fi
#else
			W[k] = TAK(me, h); st[gid[h]] = HELD(TOK(me)); pc = 10
#endif
		:: else -> pc = 1
		fi;
		w = 0 }
#ifdef DLQ
	:: d_step { RUN(9) -> dlv[k]++; pc = 10 }
#endif
	/* 2 */
	:: d_step { RUN(3) -> h = head; pc = 4 }
	:: d_step { RUN(4) ->
		e = cell[h % N];
		if
		:: ISEND(e) -> pc = 30
		:: ISFULL(e) && CPOS(e) == h -> k = CSLOT(e); pc = 8
		:: ISEMPTY(e) && CPOS(e) == h -> assert(ghead == h && gtail == h); pc = 5
#ifdef JUMP_TO_FULL
		:: ISFULL(e) && BEHIND(h, CPOS(e)) -> h = CPOS(e)
		:: ISEMPTY(e) && BEHIND(h, CPOS(e)) -> h = ADD(SUB(CPOS(e), N), 1)
#else
		:: !ISEND(e) && BEHIND(h, CPOS(e)) -> h = ADD(SUB(CPOS(e), N), 1)
#endif
		:: else -> assert(false)
		fi;
		if
		:: pc == 4 -> e = 0
		:: else
		fi }
	:: d_step { RUN(5) ->
		if
		:: !closed -> e = 0; h = 0; pc = 20
#ifdef CLOSE_BY_FLAG_ONLY
		:: closed -> e = 0; h = 0; ended = 1; pc = DONE
#elif defined(END_WITHOUT_SETTLE)
		:: closed -> pc = 7
#else
		:: closed && COWN(e) == 7 -> pc = 7
		:: closed && COWN(e) != 7 -> pc = 6
#endif
		fi }
	:: d_step { RUN(6) ->
		w = W[CSLOT(e)];
		if
		:: WST(w) == sPUB && WPOS(w) == SUB(h, N) -> pc = 16
		:: else -> w = 0; pc = 7
		fi }
	:: d_step { RUN(16) ->
		if
		:: W[CSLOT(e)] == w -> W[CSLOT(e)] = TAK(COWN(e), SUB(h, N))
		:: else
		fi;
		w = 0; pc = 7 }
	:: d_step { RUN(7) ->
		if
		:: cell[h % N] == e -> assert(h == gtail && h == ghead); cell[h % N] = CELL(h, 0, 7); ended = 1; pc = 30
		:: else -> pc = 4
		fi;
		e = 0 }
	/* the get */
	:: d_step { RUN(8) ->
		if
		:: cell[h % N] == e ->
			cell[h % N] = CELL(ADD(h, N), me, k);
			assert(h == ghead && !(ended && h == gtail) && st[gid[h]] == QUEUED);
			ghead = ADD(ghead, 1); st[gid[h]] = HELD(TOK(me));
			pc = 18
		:: else -> k = 0; pc = 4
		fi;
		e = 0 }
	/* 3 */
	:: d_step { RUN(18) -> head = ADD(h, 1); pc = 10 }
#ifdef RELEASE_BEFORE_READ
	:: d_step { RUN(10) -> W[k] = sFREE; pc = 11 }
	:: d_step { RUN(11) -> assert(msg[k] == gid[h]); st[gid[h]] = ACKED; k = 0; h = 0; pc = 0 }
#else
	:: d_step { RUN(10) -> assert(msg[k] == gid[h]); pc = 11 }
	/* 4: the release */
	:: d_step { RUN(11) ->
		assert(st[gid[h]] == HELD(TOK(me)) && msg[k] == gid[h]);
#ifndef PUB_AFTER_CAS
		assert(W[k] == TAK(me, h) || (WST(W[k]) == sPUB && WPOS(W[k]) == h));
#endif
		W[k] = sFREE; st[gid[h]] = ACKED; k = 0; h = 0; pc = 0 }
	/* or the nack */
	:: d_step { RUN(11) && nacks > 0 -> nacks--; w = W[k]; pc = 12 }
#endif
	:: d_step { RUN(12) ->
		assert(st[gid[h]] == HELD(TOK(me)) && msg[k] == gid[h]);
		if
		:: W[k] == w -> W[k] = ORP(h); st[gid[h]] = NACKED; w = 0; k = 0; h = 0; pc = 14
		:: else -> pc = 13
		fi }
	:: d_step { RUN(13) -> w = W[k]; pc = 12 }
	:: d_step { RUN(14) -> gen++; pc = 0 }
	/* Wait: a slice looks for orphans unasked. */
#ifndef NO_IDLE_LOOK
	:: d_step { RUN(20) && ANY(ORPAT) -> g = gen; k = 0; pc = 1 }
#endif
	:: d_step { RUN(20) && (gen != seen || ghead != gtail || closed) -> pc = 0 }
	/* ErrClosed, but first mend the dead and look for what they held. */
#ifdef CLOSED_WITHOUT_LOOK
	:: d_step { RUN(30) -> pc = 32 }
#else
	:: d_step { RUN(30) && NODEAD -> k = 0; pc = 31 }
	:: d_step { RUN(31) ->
		w = W[k];
		if
		:: WST(w) == sORP -> pc = 2
		:: else -> w = 0; k++;
			if
			:: k == M -> k = 0; pc = 32
			:: else
			fi
		fi }
#endif
	:: d_step { RUN(32) -> assert(!BACK(due[me])); due[me] = 0; e = 0; h = 0; g = 0; ended = 1; pc = DONE }
	FAULTS
	REJOIN
	od
#undef CLEAR
}

#ifdef REPAIR_WITHOUT_PROOF
byte unproven = 1;
#define PROOF(t) (TDEAD(t) || (unproven > 0))
#else
#define PROOF(t) TDEAD(t)
#endif

#ifdef SLOTS_BEFORE_CELLS
#define FIRST 20
#define AFTERCELLS 30
#define AFTERSLOTS 10
#else
#define FIRST 10
#define AFTERCELLS 20
#define AFTERSLOTS 30
#endif

proctype Repairer(byte me)
{
	byte pc, d, i, k, tk;
	short e, w;
#define CLEAR d = 0; i = 0; k = 0; tk = 0; e = 0; w = 0;
#define TAKEOVER(x) \
	:: d_step { RUN(0) && mtok[x] != 0 && PROOF(mtok[x]) && (mrep[x] == 0 || TDEAD(mrep[x])) -> \
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
	:: d_step { RUN(1) ->
		if
		:: mtok[d] == tk && mrep[d] == w ->
			mrep[d] = TOK(me); i = 0; k = 0;
#ifdef REPAIR_WITHOUT_PROOF
			if
			:: !TDEAD(tk) -> unproven--
			:: else
			fi;
#endif
#if defined(NO_REPAIR)
			pc = 50
#elif defined(GEN_FIRST)
			pc = 40
#elif defined(MEMBER_FREED_BEFORE_REPAIR_DONE)
			pc = 50
#else
			pc = FIRST
#endif
		:: else -> d = 0; tk = 0; pc = 0
		fi;
		w = 0 }
	/* Repair, 1: the cells */
	:: d_step { RUN(10) ->
		e = cell[i];
		if
		:: COWN(e) == d -> pc = 11
		:: else -> e = 0; i++;
			if
			:: i == N -> i = 0; pc = AFTERCELLS
			:: else
			fi
		fi }
	:: d_step { RUN(11) ->
		w = W[CSLOT(e)];
		if
		:: WST(w) == sPUB && WPOS(w) == SUB(CPOS(e), N) -> pc = 12
		:: else -> w = 0; e = 0; i++;
			if
			:: i == N -> i = 0; pc = AFTERCELLS
			:: else -> pc = 10
			fi
		fi }
	:: d_step { RUN(12) ->
		if
		:: W[CSLOT(e)] == w -> W[CSLOT(e)] = TAK(d, WPOS(w))
		:: else
		fi;
		w = 0; e = 0; i++;
		if
		:: i == N -> i = 0; pc = AFTERCELLS
		:: else -> pc = 10
		fi }
	/* 2: the slots */
	:: d_step { RUN(20) ->
		w = W[k];
		if
		:: WST(w) == sPUB && WOWN(w) == d -> pc = 21
		:: WST(w) == sTAK && WOWN(w) == d -> pc = 23
		:: else -> w = 0; k++;
			if
			:: k == M -> k = 0; pc = AFTERSLOTS
			:: else
			fi
		fi }
	:: d_step { RUN(21) ->
		e = cell[WPOS(w) % N];
		if
		:: e == CELL(WPOS(w), 0, k) -> w = 0; k++;
			if
			:: k == M -> k = 0; pc = AFTERSLOTS
			:: else -> pc = 20
			fi;
			e = 0
		:: ISEMPTY(e) && CSLOT(e) == k && CPOS(e) == ADD(WPOS(w), N) -> pc = 22
		:: else -> e = 0; pc = 22
		fi }
	:: d_step { RUN(22) ->
		if
		:: W[k] == w && e == 0 -> W[k] = OWN(d)
		:: W[k] == w && e != 0 -> W[k] = TAK(COWN(e), WPOS(w))
		:: else
		fi;
		w = 0; e = 0; pc = 20 }
	:: d_step { RUN(23) ->
		if
		:: W[k] == w -> W[k] = ORP(WPOS(w))
		:: else
		fi;
		w = 0; pc = 20 }
	/* 3 */
	:: d_step { RUN(30) ->
		if
		:: W[k] == OWN(d) -> W[k] = sFREE
		:: else
		fi;
		k++;
		if
		:: k == M -> k = 0;
#if defined(GEN_FIRST)
			pc = 50
#else
			pc = 40
#endif
		:: else
		fi }
	/* 4 */
	:: d_step { RUN(40) -> gen++;
#if defined(GEN_FIRST)
		pc = FIRST
#elif defined(MEMBER_FREED_BEFORE_REPAIR_DONE)
		d = 0; tk = 0; pc = 0
#else
		pc = 50
#endif
		}
	/* 5 */
	:: d_step { RUN(50) ->
		assert(mtok[d] == tk && mrep[d] == TOK(me));
#ifdef REPAIR_WITHOUT_PROOF
		if
		:: !TDEAD(tk) -> mrep[d] = 0
		:: else -> mtok[d] = 0; mrep[d] = 0
		fi;
#else
		mtok[d] = 0; mrep[d] = 0;
#endif
#if defined(MEMBER_FREED_BEFORE_REPAIR_DONE)
		pc = FIRST
#else
		d = 0; tk = 0; pc = 0
#endif
		}
	FAULTS
	od
#undef CLEAR
}

#ifdef CLOSE
proctype Closer()
{
	closed = 1
}
#endif

/* When nothing can move any more: is everything where it belongs, and has everybody alive come through? */
proctype Monitor()
{
	byte i, k, live, idle, ok, freeslots;
	short e;
	timeout -> d_step {
	/* live: consumers that can still move; idle: repairers. */
	i = NP+1;
	do
	:: i <= NP+NC -> if :: !halted[CMEMBER(i)] -> live++ :: else fi; i++
	:: else -> break
	od;
	i = NP+NC+1;
	do
	:: i <= NM -> if :: !halted[i] -> idle++ :: else fi; i++
	:: else -> break
	od;
	/* A repair is left undone only when a stopped repairer has it or no repairer can move. */
	i = 1;
	do
	:: i <= NP+NC ->
		if
		:: mtok[i] != 0 && TDEAD(mtok[i]) ->
			assert(idle == 0 || (mrep[i] != 0 && halted[mrep[i]%8] && !isdead[mrep[i]%8]))
		:: else
		fi;
		i++
	:: else -> break
	od;
	/* Slots. */
	k = 0;
	do
	:: k < M ->
		ok = 0;
		if
		:: W[k] == sFREE -> ok = 1; freeslots++
		:: WST(W[k]) == sORP || WST(W[k]) == sDLQ -> ok = 1
		:: WST(W[k]) == sOWN || WST(W[k]) == sTAK ->
			/* one that is stopped, or dead and not yet repaired */
			assert(halted[WOWN(W[k])] || mtok[WOWN(W[k])] != 0);
			if
			:: halted[WOWN(W[k])] && mtok[WOWN(W[k])] != 0 -> ok = 1
			:: else
			fi
		:: WST(W[k]) == sPUB ->
			e = cell[WPOS(W[k]) % N];
			if
			:: e == CELL(WPOS(W[k]), 0, k) -> ok = 1	/* queued */
			:: ISEMPTY(e) && CSLOT(e) == k && CPOS(e) == ADD(WPOS(W[k]), N) ->
				if
				:: halted[COWN(e)] && mtok[COWN(e)] != 0 -> ok = 1
				:: else
				fi
			:: else ->
				if
				:: halted[WOWN(W[k])] && mtok[WOWN(W[k])] != 0 -> ok = 1
				:: else
				fi
			fi
		fi;
		assert(ok);
		k++
	:: else -> break
	od;
	/* Messages. */
	i = 1;
	do
	:: i <= IDS ->
		ok = 0;
		if
		:: st[i] == NOTPUT || st[i] == ACKED || st[i] == SETASIDE -> ok = 1
		:: st[i] >= 32 && halted[(st[i]-32)%8] && mtok[(st[i]-32)%8] == st[i] - 32 -> ok = 1 /* stopped, or a stopped repairer's */
		:: else ->
			k = 0;
			do
			:: k < M ->
				if
				:: msg[k] == i && WST(W[k]) == sORP -> ok = 1;
#ifdef CLOSE
					/* Who held it died, or gave it back, after the others had gone. */
#else
					assert(live == 0)
#endif
				:: msg[k] == i && WST(W[k]) == sPUB && st[i] == QUEUED && cell[WPOS(W[k]) % N] == CELL(WPOS(W[k]), 0, k) -> ok = 1;
					assert(live == 0)
				:: else
				fi;
				k++
			:: else -> break
			od
		fi;
		assert(ok);
		i++
	:: else -> break
	od;
	/* Producers: all through, unless every slot is held by the halted or the queue is full and nobody takes. */
	if
	:: live > 0 && freeslots > 0 ->
		k = pdone; i = 1;
		do
		:: i <= NP -> if :: halted[PMEMBER(i)] -> k++ :: else fi; i++
		:: else -> break
		od;
		assert(k >= NP)
	:: else
	fi;
#ifdef ALL_THROUGH
	assert(live == 0 || freeslots > 0);
#endif
	i = 0; k = 0; live = 0; idle = 0; ok = 0; freeslots = 0; e = 0
	}
}

init {
	byte i;
	d_step {
	i = 0;
	do
	:: i < N -> cell[i] = CELL(ADD(START, i), 7, i); i++
	:: else -> break
	od;
	i = 1;
	do
	:: i <= NP+NC ->
		if
		:: (i <= NP && PMEMBER(i) == i) || (i > NP && CMEMBER(i) == i) -> mtok[i] = i
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
	}
	atomic {
	i = 1;
	do
	:: i <= NP -> run Producer(PMEMBER(i), i); i++
	:: i > NP && i <= NP+NC -> run Consumer(CMEMBER(i)); i++
	:: i > NP+NC && i <= NM -> run Repairer(i); i++
	:: else -> break
	od;
	i = 0;
#ifdef CLOSE
	run Closer();
#endif
	run Monitor()
	}
}
