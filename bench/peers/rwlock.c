// K processes hold one process-shared pthread rwlock for reading again and again, all at once: "rwlock SECONDS N K".

#include "common.h"

#include <pthread.h>

struct guarded {
	_Alignas(LINE) pthread_rwlock_t lock;
	_Alignas(LINE) volatile uint64_t value;
};

static struct run *run;
static struct guarded *guarded;
static unsigned parts;

static void check(int err, const char *what) {
	if (err) {
		errno = err;
		fail(what);
	}
}

static void body(int me) {
	uint64_t n = share_of(total, parts, (unsigned)me), sum = 0;
	touch(guarded, sizeof *guarded);
	start_line(run, me);
	for (uint64_t i = 0; i < n; i++) {
		check(pthread_rwlock_rdlock(&guarded->lock), "rdlock");
		sum += guarded->value;
		check(pthread_rwlock_unlock(&guarded->lock), "unlock");
	}
	run->part[me].end = now_ns();
	run->part[me].count = n;
	run->part[me].sum = sum;
}

int main(int argc, char **argv) {
	pthread_rwlockattr_t attr;
	arguments(argc, argv, 1);
	parts = (unsigned)strtoul(argv[3], NULL, 10);
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	guarded->value = 1;
	check(pthread_rwlockattr_init(&attr), "rwlockattr");
	check(pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), "rwlockattr pshared");
	check(pthread_rwlock_init(&guarded->lock, &attr), "rwlock");
	run_parts(run, parts, body);
	report(run, total);
}
