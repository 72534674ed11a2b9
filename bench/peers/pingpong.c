// The floor of a round trip: two processes answer each other with one 8-byte word each way, on two cache lines, without
// any queue: "pingpong SECONDS N".

#include "common.h"

struct lines {
	_Alignas(LINE) _Atomic uint64_t ping;
	_Alignas(LINE) _Atomic uint64_t pong;
	_Alignas(LINE) char end;
};

static struct run *run;
static struct lines *lines;

static inline void await(_Atomic uint64_t *word, uint64_t value) {
	// No PAUSE: it would add its own length to the answer.
	for (unsigned turns = 1; atomic_load_explicit(word, memory_order_acquire) != value; turns++)
		if (turns % (4 * YIELD_AFTER) == 0)
			sched_yield();
}

static void body(int me) {
	touch(lines, sizeof *lines);
	start_line(run, me);
	for (uint64_t i = 1; i <= total; i++) {
		if (me == 0) {
			atomic_store_explicit(&lines->ping, i, memory_order_release);
			await(&lines->pong, i);
		} else {
			await(&lines->ping, i);
			atomic_store_explicit(&lines->pong, i, memory_order_release);
		}
	}
	if (me == 0) {
		run->part[0].end = now_ns();
		run->part[0].count = total;
		run->part[0].sum = atomic_load(&lines->ping);
	}
}

int main(int argc, char **argv) {
	arguments(argc, argv, 0);
	run = shared_memory(sizeof *run);
	lines = shared_memory(sizeof *lines);
	run_parts(run, 2, body);
	report(run, total);
}
