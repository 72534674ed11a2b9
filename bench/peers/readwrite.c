// Workers look at a value under one process-shared pthread rwlock and change it: "readwrite SECONDS N WORKERS EVERY". One
// turn in ten is a change, and they take them until the value has been changed often enough for N turns; one turn in EVERY is timed.

#include "common.h"

#include <pthread.h>

#define READS 9 // to each change

struct guarded {
	_Alignas(LINE) pthread_rwlock_t lock;
	_Alignas(LINE) volatile uint64_t value;
};

static struct run *run;
static struct guarded *guarded;
static struct latencies *times;
static uint64_t every;

static void check(int err, const char *what) {
	if (err) {
		errno = err;
		fail(what);
	}
}

// change is a turn, and returns what the value was, or that it has been changed often enough.
static inline uint64_t change(struct stopwatch *watch, uint64_t end) {
	watch_start(watch);
	check(pthread_rwlock_wrlock(&guarded->lock), "wrlock");
	uint64_t seen = guarded->value;
	if (seen < end)
		guarded->value = seen + 1;
	check(pthread_rwlock_unlock(&guarded->lock), "unlock");
	watch_stop(watch);
	return seen;
}

static void body(int me) {
	uint64_t mine = 0, sum = 0, end = (total + READS) / (READS + 1);
	struct stopwatch watch = stopwatch_of(times, every, me);
	touch(guarded, sizeof *guarded);
	touch(times, MAX_PARTS * sizeof *times);
	start_line(run, me);
	for (uint64_t seen; (seen = change(&watch, end)) < end;) {
		uint64_t left = total - seen * (READS + 1) - 1, reads = left < READS ? left : READS;
		for (uint64_t i = 0; i < reads; i++) {
			watch_start(&watch);
			check(pthread_rwlock_rdlock(&guarded->lock), "rdlock");
			sum += guarded->value;
			check(pthread_rwlock_unlock(&guarded->lock), "unlock");
			watch_stop(&watch);
		}
		mine += 1 + reads;
		if (seen == end - 1)
			run->part[me].end = now_ns(); // others find out later that this was the last turn
	}
	run->part[me].count = mine;
	if (mine > 1 && sum == 0)
		fail("the readers saw no change");
}

int main(int argc, char **argv) {
	pthread_rwlockattr_t attr;
	arguments(argc, argv, 2);
	unsigned workers = (unsigned)strtoul(argv[3], NULL, 10);
	every = strtoull(argv[4], NULL, 10);
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	times = shared_memory(MAX_PARTS * sizeof *times);
	check(pthread_rwlockattr_init(&attr), "rwlockattr");
	check(pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), "rwlockattr pshared");
	check(pthread_rwlock_init(&guarded->lock, &attr), "rwlock");
	run_parts(run, workers, body);
	run->part[0].sum = guarded->value;
	report_curve(run, (total + READS) / (READS + 1), 0, times);
}
