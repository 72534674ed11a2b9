// K processes take turns at one process-shared lock and count to N together: "lock SECONDS N K PLACE KIND [HOLD EVERY]".
// PLACE "apart" puts the counter on a line of its own, "beside" puts it beside the lock, as a value with its own lock has it.
// KIND is "robust" (a pthread mutex whose next owner hears of an owner's death), "plain" (which waits for a dead owner for
// ever), or "futex" (three states, by U. Drepper's "Futexes are tricky": no owner is known). The lock is held for HOLD
// nanoseconds, and one turn in EVERY is timed.

#include "common.h"

#include <pthread.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

struct guarded {
	_Alignas(LINE) union {
		pthread_mutex_t mutex;
		_Atomic uint32_t word; // 0: free, 1: locked, 2: locked, and somebody may sleep
	};
	volatile uint64_t beside;
	_Alignas(LINE) volatile uint64_t apart;
};

static struct run *run;
static struct guarded *guarded;
static volatile uint64_t *counter;
static struct latencies *times;
static uint64_t hold_for, every;
static unsigned parts;

#ifdef __linux__
static void lock_futex(_Atomic uint32_t *word) {
	uint32_t seen = 0;
	if (atomic_compare_exchange_strong_explicit(word, &seen, 1, memory_order_acquire, memory_order_relaxed))
		return;
	if (seen != 2)
		seen = atomic_exchange_explicit(word, 2, memory_order_acquire);
	while (seen != 0) {
		syscall(SYS_futex, word, FUTEX_WAIT, 2, NULL, NULL, 0);
		seen = atomic_exchange_explicit(word, 2, memory_order_acquire);
	}
}

static void unlock_futex(_Atomic uint32_t *word) {
	if (atomic_exchange_explicit(word, 0, memory_order_release) == 2)
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
#else
static void lock_futex(_Atomic uint32_t *word) {
	(void)word;
	errno = ENOSYS;
	fail("futex");
}
#define unlock_futex lock_futex
#endif

static void check(int err, const char *what) {
	if (err) {
		errno = err;
		fail(what);
	}
}

// turns is inlined for each kind, so that no turn asks which it is.
static inline __attribute__((always_inline)) uint64_t turns(int me, int futex) {
	struct stopwatch watch = stopwatch_of(times, every, me);
	uint64_t mine = 0, seen = 0;
	while (seen < total) {
		watch_start(&watch);
		if (futex)
			lock_futex(&guarded->word);
		else
			check(pthread_mutex_lock(&guarded->mutex), "lock");
		seen = *counter;
		if (seen < total) {
			*counter = seen + 1;
			mine++;
			hold(hold_for);
		}
		if (futex)
			unlock_futex(&guarded->word);
		else
			check(pthread_mutex_unlock(&guarded->mutex), "unlock");
		watch_stop(&watch);
		if (every && seen == total - 1)
			run->part[me].end = now_ns(); // others find out later that this was the last turn
	}
	return mine;
}

static int futex;

static void body(int me) {
	touch(guarded, sizeof *guarded);
	touch(times, (size_t)parts * sizeof *times);
	start_line(run, me);
	uint64_t mine = futex ? turns(me, 1) : turns(me, 0);
	if (!every)
		run->part[me].end = now_ns();
	run->part[me].count = mine;
}

int main(int argc, char **argv) {
	pthread_mutexattr_t attr;
	arguments(argc, argv, argc == 6 ? 3 : 5);
	parts = (unsigned)strtoul(argv[3], NULL, 10);
	if (argc > 6) {
		hold_for = strtoull(argv[6], NULL, 10);
		every = strtoull(argv[7], NULL, 10);
	}
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	times = shared_memory(MAX_PARTS * sizeof *times);
	counter = strcmp(argv[4], "beside") == 0 ? &guarded->beside : &guarded->apart;
	futex = strcmp(argv[5], "futex") == 0;
	if (!futex) {
		check(pthread_mutexattr_init(&attr), "mutexattr");
		check(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), "mutexattr pshared");
		if (strcmp(argv[5], "robust") == 0)
			check(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), "mutexattr robust");
		check(pthread_mutex_init(&guarded->mutex, &attr), "mutex");
	}
	run_parts(run, parts, body);
	run->part[0].sum = *counter;
	if (every)
		report_curve(run, total, 0, times);
	else
		report_turns(run, total);
}
