// K processes add to one counter by atomic fetch-and-add: "add SECONDS N K [EVERY]". With EVERY they take turns until it shows
// N, and one turn in EVERY is timed; without, each has its share.

#include "common.h"

struct counter {
	_Alignas(LINE) _Atomic uint64_t value;
	_Alignas(LINE) char end;
};

static struct run *run;
static struct counter *counter;
static struct latencies *times;
static uint64_t every;
static unsigned parts;

static void body(int me) {
	uint64_t n = share_of(total, parts, (unsigned)me);
	touch(counter, sizeof *counter);
	touch(times, MAX_PARTS * sizeof *times);
	start_line(run, me);
	if (every) {
		struct stopwatch watch = stopwatch_of(times, every, me);
		for (n = 0;; n++) {
			watch_start(&watch);
			uint64_t was = atomic_fetch_add(&counter->value, 1);
			watch_stop(&watch);
			if (was >= total)
				break;
			if (was == total - 1)
				run->part[me].end = now_ns(); // others find out later that this was the last turn
		}
	} else {
		for (uint64_t i = 0; i < n; i++)
			atomic_fetch_add(&counter->value, 1);
	}
	if (!every)
		run->part[me].end = now_ns();
	run->part[me].count = n;
}

int main(int argc, char **argv) {
	arguments(argc, argv, argc == 4 ? 1 : 2);
	parts = (unsigned)strtoul(argv[3], NULL, 10);
	if (argc > 4)
		every = strtoull(argv[4], NULL, 10);
	run = shared_memory(sizeof *run);
	counter = shared_memory(sizeof *counter);
	times = shared_memory(MAX_PARTS * sizeof *times);
	run_parts(run, parts, body);
	uint64_t overshot = every ? parts : 0; // each has added once too often
	run->part[0].sum = atomic_load(&counter->value) - overshot;
	if (every)
		report_curve(run, total, 0, times);
	else
		report(run, total);
}
