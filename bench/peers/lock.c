// K processes take turns at one robust, process-shared pthread mutex and count: "lock SECONDS N K PLACE". PLACE "apart"
// puts the counter on a line of its own, "beside" puts it beside the mutex, as a value with its own lock has it.

#include "common.h"

#include <pthread.h>

struct guarded {
	_Alignas(LINE) pthread_mutex_t mutex;
	volatile uint64_t beside;
	_Alignas(LINE) volatile uint64_t apart;
};

static struct run *run;
static struct guarded *guarded;
static volatile uint64_t *counter;
static unsigned parts;

static void check(int err, const char *what) {
	if (err) {
		errno = err;
		fail(what);
	}
}

static void body(int me) {
	uint64_t n = share_of(total, parts, (unsigned)me);
	touch(guarded, sizeof *guarded);
	start_line(run, me);
	for (uint64_t i = 0; i < n; i++) {
		check(pthread_mutex_lock(&guarded->mutex), "lock");
		*counter = *counter + 1;
		check(pthread_mutex_unlock(&guarded->mutex), "unlock");
	}
	run->part[me].end = now_ns();
	run->part[me].count = n;
}

int main(int argc, char **argv) {
	pthread_mutexattr_t attr;
	arguments(argc, argv, 2);
	parts = (unsigned)strtoul(argv[3], NULL, 10);
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	counter = strcmp(argv[4], "beside") == 0 ? &guarded->beside : &guarded->apart;
	check(pthread_mutexattr_init(&attr), "mutexattr");
	check(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), "mutexattr pshared");
	check(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), "mutexattr robust");
	check(pthread_mutex_init(&guarded->mutex, &attr), "mutex");
	run_parts(run, parts, body);
	run->part[0].sum = *counter;
	report(run, total);
}
