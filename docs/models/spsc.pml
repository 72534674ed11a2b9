/* The SPSC ring and its express places: docs/design/rings.md, ringbuf/fast_unsafe.go. One producer puts messages 1 to PUTS, one consumer takes them; either
 * may be killed before any step, KP and KC times, and another takes its role once its death is proven. One access to shared memory is a step.
 *
 * A unit stands for 8 bytes. A message has one or two, at will, each with its number, so that half of one beside half of another shows; its record has one more,
 * the length. The ring has C units, positions count modulo PM and begin BEFORE units before they wrap.
 *
 * Stores are those of an x86: each goes into the store buffer of who made it, which holds B of the producer's and one of the consumer's (the one word that it stores), and comes
 * out of it in order, at any time later; loads pass them. Nobody loads what is in its own buffer, so nothing is forwarded. A killed process loses what it had in its
 * registers, not what is in the buffer: who has proof of the death sees all of it. With B = 0 a store is seen at once.
 *
 * At will is also what the code does by rules of thumb: when the producer looks at head, whether a message goes by the ring alone (a large one, one that is written in place), which
 * place the consumer tries first, and whether it looks at the places at all (Get) or goes by refresh (Peek). With BATCH records are published together, and taken together.
 */
#ifndef C
#define C 4
#endif
#ifndef PM
#define PM 64
#endif
#ifndef BEFORE
#define BEFORE 4
#endif
#ifndef PUTS
#define PUTS 3
#endif
#ifndef KP
#define KP 0
#endif
#ifndef KC
#define KC 0
#endif
#ifndef B
#define B 2
#endif
#define SKIP 7
#define LEAD 3    /* the longest record that goes by a place */
#define WORD(i) (C+3*(i))
#define MSG(i,j) (C+1+3*(i)+(j))
#define TAIL (C+6)
#define HEAD (C+7)

#define plus(a,b) (((a)+(b))%PM)
#define minus(a,b) (((a)+PM-(b))%PM)
#define word(p,n) ((p)*8+(n)*2+1)
#define posOf(w) ((w)/8)
#define lenOf(w) (((w)/2)%4)
#define isAt(w,p) ((w) != 0 && posOf(w) == (p))
#define isLater(w,p) ((w) != 0 && minus(posOf(w),p) > 0 && minus(posOf(w),p) < PM/2)
#define bit(id) (1<<(id))

short mem[C+8];
#if B > 0
chan stores = [B] of { byte, short };
#define settled (empty(stores))
#else
#define settled true
#endif
chan heads = [1] of { short };

bool killp, killc;
byte killsp, killsc;

/* Ghosts. */
byte id;                /* the message that is put */
byte must, got, last;   /* sets of messages: those with a store that commits; those taken; and the one taken last */
byte size[PUTS+1];
bool done;
hidden byte g;

#if B > 0
#define store(a,v) stores!a,v
#else
#define store(a,v) mem[a] = v
#endif

proctype memory() {
	byte a; short v;
	do
#if B > 0
#ifdef ANY_ORDER
	:: atomic { len(stores) > 0 -> if :: stores?a,v :: len(stores) > 1 -> stores?a,v; stores!a,v; stores?a,v fi; mem[a] = v; a = 0; v = 0 }
#else
	:: atomic { stores?a,v -> mem[a] = v; a = 0; v = 0 }
#endif
#endif
	:: atomic { heads?v -> mem[HEAD] = v; v = 0 }
	od
}

proctype faults() {
	do
	:: atomic { killsp < KP && !killp -> killsp++; killp = true }
	:: atomic { killsc < KC && !killc -> killsc++; killc = true }
	:: atomic { killsp < KP || killsc < KC -> killsp = KP; killsc = KC } /* nobody else is killed */
	od
}

/* Looks how far the consumer is. */
inline look() {
	atomic {
		head = mem[HEAD];
		assert(minus(tail,head) <= C); /* else ErrCorrupt */
		near = (head == published)
	}
}

/* Publishes what is written. */
inline flush() {
	if
	:: atomic { tail != published -> store(TAIL,tail); published = tail; must = must | mine; mine = 0 }
	:: else
	fi
}

proctype producer() {
	short tail, published, head; byte n, need, rest, turn, mine, k; bool near, express, more;
heir:
	{
		/* All that it loads was stored by those before it: nobody changes it meanwhile. */
		atomic {
			settled ->
			tail = mem[TAIL];
#ifndef TAIL_FORGOTTEN
			if
			:: isAt(mem[WORD(0)],tail) -> tail = plus(tail,lenOf(mem[WORD(0)])+1)
			:: isAt(mem[WORD(1)],tail) -> tail = plus(tail,lenOf(mem[WORD(1)])+1)
			:: else
			fi;
#endif
			published = tail;
			if
			:: mem[WORD(0)] != 0 && (mem[WORD(1)] == 0 || isLater(mem[WORD(0)],posOf(mem[WORD(1)]))) -> turn = 1
			:: else -> turn = 0
			fi;
#ifdef HEIR_TURN
			turn = 0;
#endif
			head = mem[HEAD];
			assert(minus(tail,head) <= C);
#ifdef HEIR_NEAR
			near = true
#endif
		}
#ifndef HEIR_KEEPS_TAIL
		store(TAIL,tail);
#endif
		do
		:: atomic { id < PUTS -> id++; if :: n = 1 :: n = 2 fi; size[id] = n; need = n+1 }
			if :: look() :: true fi;
room:
			atomic { rest = C-tail%C; k = need; if :: need > rest -> k = rest :: else fi }
			if
			:: C-minus(tail,head) < k ->
				look();
				if
				:: C-minus(tail,head) < k -> flush(); atomic { mem[HEAD] != head -> k = 0; rest = 0 } look(); goto room
				:: else
				fi
			:: else
			fi;
			if
			:: need > rest -> atomic { store(tail%C,SKIP); tail = plus(tail,rest); k = 0; rest = 0 } goto room
			:: else
			fi;
			atomic {
				k = 0; rest = 0;
#ifdef BEHIND_SKIP
				if :: near -> express = true :: express = false fi;
#else
				if :: near && published == tail -> express = true :: express = false fi;
#endif
				more = false
			}
#ifdef BATCH
			if :: !express && id < PUTS -> more = true :: true fi;
#endif
#ifndef RECORD_LAST
			store(tail%C,n);
			store((tail+1)%C,8+id);
			if :: n == 2 -> store((tail+2)%C,8+id) :: else fi;
#endif
			if
			:: express ->
#ifdef WORD_FIRST
				atomic { store(WORD(turn),word(tail,n)); must = must | bit(id) }
#endif
				if :: n == 2 -> store(MSG(turn,1),8+id) :: else fi;
				store(MSG(turn,0),8+id);
#ifndef WORD_FIRST
				atomic { store(WORD(turn),word(tail,n)); must = must | bit(id) }
#endif
#ifndef ONE_PLACE
				turn = 1-turn
#else
				skip
#endif
			:: else
			fi;
#ifdef RECORD_LAST
			store(tail%C,n);
			store((tail+1)%C,8+id);
			if :: n == 2 -> store((tail+2)%C,8+id) :: else fi;
#endif
			atomic { tail = plus(tail,need); mine = mine | bit(id); n = 0; need = 0; express = false }
			if :: more -> more = false :: else -> flush() fi
		:: atomic { id == PUTS && tail == published -> done = true; break }
		od;
		atomic { tail = 0; published = 0; head = 0; turn = 0; near = false }
		false
	} unless {
		atomic {
			killp -> killp = false; done = false;
			tail = 0; published = 0; head = 0; n = 0; need = 0; rest = 0; turn = 0; mine = 0; k = 0; near = false; express = false; more = false
		}
	};
	goto heir
}

/* A message was read: it is whole, it was put, it is the next. */
inline check() {
	g = a-8;
	assert(a > 8 && a == b && g > seen && size[g] == n && (must & bit(g)) && !(got & bit(g)));
	assert((must & (bit(g)-1) & ~(got | held)) == 0);
	seen = g; held = held | bit(g);
	head = plus(head,n+1);
	n = 0; a = 0; b = 0
}

/* Gives back the room of what was read. */
inline release() { heads!head; taken = head; got = got | held; held = 0; last = seen }

proctype consumer() {
	short head, taken, tail, w; byte n, rest, have, a, b, i, seen, held; bool looked;
heir:
	{
		atomic { empty(heads) -> head = mem[HEAD]; taken = head; tail = head; seen = last }
again:
		/* Who has found nothing looks again when there is something to be found: what it could see before, the look that found nothing could. */
		atomic { !looked || isAt(mem[WORD(0)],head) || isAt(mem[WORD(1)],head) || (mem[TAIL] != head && minus(mem[TAIL],head) <= C) -> looked = false }
		if
		:: tail != head -> goto record
		:: tail == head && head == taken -> i = 0; goto place
		:: tail == head && head == taken -> i = 1; goto place
		:: tail == head && head == taken -> goto fast
		:: tail == head -> goto refresh
		fi;
place: /* getExpress */
		atomic { w = mem[WORD(i)]; if :: !isAt(w,head) -> w = 0; i = 0; goto fast :: else -> n = lenOf(w); w = 0 fi }
#ifdef LOOK_FIRST
		atomic { w = mem[WORD(1-i)]; if :: isLater(w,head) -> w = 0; n = 0; i = 0; goto fast :: else -> w = 0 fi }
#endif
		atomic { a = mem[MSG(i,0)]; b = a }
		if :: n == 2 -> b = mem[MSG(i,1)] :: else fi;
#if !defined(NO_SECOND_LOOK) && !defined(LOOK_FIRST)
		atomic { w = mem[WORD(1-i)]; if :: isLater(w,head) -> w = 0; n = 0; i = 0; a = 0; b = 0; goto fast :: else -> w = 0 fi }
#endif
		atomic { nfull(heads) -> i = 0; check(); tail = head; release() }
		goto again;
fast: /* getFast */
		atomic { w = mem[TAIL]; if :: w != head && minus(w,head) <= C -> tail = w; w = 0; goto record :: else -> w = 0 fi }
refresh:
		atomic {
			w = mem[TAIL];
#ifndef NO_LEAD
			if :: minus(head,w) >= 1 && minus(head,w) <= LEAD -> w = head :: else fi;
#endif
			if :: w != head -> goto have_it :: else fi
		}
		atomic { if :: isAt(mem[WORD(0)],head) -> w = plus(head,lenOf(mem[WORD(0)])+1); goto have_it :: else fi }
		atomic { if :: isAt(mem[WORD(1)],head) -> w = plus(head,lenOf(mem[WORD(1)])+1) :: else fi }
have_it:
		atomic {
			assert(minus(w,head) <= C); /* else ErrCorrupt */
			tail = w; w = 0;
			if :: tail != head -> goto record :: else fi
		}
		if
		:: head != taken -> atomic { nfull(heads) -> release() }
		:: else
		fi;
		atomic { looked = true; goto again }
record:
		atomic {
			n = mem[head%C]; rest = C-head%C; have = minus(tail,head);
			if
			:: n == SKIP && rest <= have -> head = plus(head,rest); n = 0; rest = 0; have = 0; if :: head == tail -> goto refresh :: else -> goto record fi
			:: else -> assert(n == 1 || n == 2); assert(n+1 <= have && n+1 <= rest) /* else ErrCorrupt */
			fi;
			rest = 0; have = 0
		}
		atomic { a = mem[(head+1)%C]; b = a }
		if :: n == 2 -> b = mem[(head+2)%C] :: else fi;
		atomic { check() }
#ifdef BATCH
		if
		:: head != tail -> goto record
		:: true
		fi;
#endif
		atomic { nfull(heads) -> release() }
		goto again
	} unless {
		atomic {
			killc -> killc = false;
			head = 0; taken = 0; tail = 0; w = 0; n = 0; rest = 0; have = 0; a = 0; b = 0; i = 0; seen = 0; held = 0; looked = false
		}
	};
	goto heir
}

init {
	atomic {
		mem[TAIL] = PM-BEFORE; mem[HEAD] = PM-BEFORE;
		run memory(); run producer(); run consumer();
#if KP + KC > 0
		run faults()
#endif
	}
	/* Nothing can move: all was put, and what had to be taken was. */
	atomic { timeout -> assert(done && id == PUTS); assert((must & ~got) == 0) }
}
