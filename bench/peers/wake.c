// A process wakes the threads of another, which all wait for one condition: "wake SECONDS N WAITERS". Each has a stack of its
// own; the time is from the waking until the last is awake, N times.

#include "common.h"

#include <pthread.h>

#define SETTLE 20000 // microseconds until all sleep

struct crowd {
	_Alignas(LINE) pthread_mutex_t mutex;
	pthread_cond_t woken, told;
	uint64_t turn, entered, left, at; // how often they were woken, and how many have begun to wait and are through, in all
};

static struct run *run;
static struct crowd *crowd;
static unsigned waiters;

static void check(int err, const char *what) {
	if (err) {
		errno = err;
		fail(what);
	}
}

static void *waiter(void *unused) {
	(void)unused;
	check(pthread_mutex_lock(&crowd->mutex), "lock");
	for (uint64_t i = 0; i < total; i++) {
		if (++crowd->entered == (i + 1) * waiters)
			check(pthread_cond_signal(&crowd->told), "signal");
		while (crowd->turn <= i)
			check(pthread_cond_wait(&crowd->woken, &crowd->mutex), "wait");
		if (++crowd->left == (i + 1) * waiters) {
			crowd->at = now_ns();
			check(pthread_cond_signal(&crowd->told), "signal");
		}
	}
	check(pthread_mutex_unlock(&crowd->mutex), "unlock");
	return NULL;
}

static void body(int me) {
	start_line(run, me);
	if (me == 1) {
		pthread_t *threads = calloc(waiters, sizeof *threads);
		pthread_attr_t attr;
		check(pthread_attr_init(&attr), "attr");
		check(pthread_attr_setstacksize(&attr, 64 << 10), "stack size");
		for (unsigned i = 0; i < waiters; i++)
			check(pthread_create(&threads[i], &attr, waiter, NULL), "pthread_create");
		for (unsigned i = 0; i < waiters; i++)
			check(pthread_join(threads[i], NULL), "pthread_join");
		return;
	}
	uint64_t sum = 0;
	for (uint64_t i = 0; i < total; i++) {
		check(pthread_mutex_lock(&crowd->mutex), "lock");
		while (crowd->entered < (i + 1) * waiters)
			check(pthread_cond_wait(&crowd->told, &crowd->mutex), "wait");
		check(pthread_mutex_unlock(&crowd->mutex), "unlock");
		usleep(SETTLE);
		uint64_t begin = now_ns();
		check(pthread_mutex_lock(&crowd->mutex), "lock");
		crowd->turn++;
		check(pthread_cond_broadcast(&crowd->woken), "broadcast");
		while (crowd->left < (i + 1) * waiters)
			check(pthread_cond_wait(&crowd->told, &crowd->mutex), "wait");
		sum += crowd->at - begin;
		check(pthread_mutex_unlock(&crowd->mutex), "unlock");
	}
	run->part[0].end = run->part[0].begin + sum;
	run->part[0].count = total;
}

int main(int argc, char **argv) {
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	arguments(argc, argv, 1);
	waiters = (unsigned)strtoul(argv[3], NULL, 10);
	run = shared_memory(sizeof *run);
	crowd = shared_memory(sizeof *crowd);
	check(pthread_mutexattr_init(&mutex), "mutexattr");
	check(pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED), "mutexattr pshared");
	check(pthread_mutex_init(&crowd->mutex, &mutex), "mutex");
	check(pthread_condattr_init(&cond), "condattr");
	check(pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED), "condattr pshared");
	check(pthread_cond_init(&crowd->woken, &cond), "cond");
	check(pthread_cond_init(&crowd->told, &cond), "cond");
	run_parts(run, 2, body);
	printf("%llu %llu\n", (unsigned long long)total, (unsigned long long)(run->part[0].end - run->part[0].begin));
}
