// K processes take turns at one process-shared pthread mutex and count to N together: "lock SECONDS N K PLACE KIND". PLACE
// "apart" puts the counter on a line of its own, "beside" puts it beside the mutex, as a value with its own lock has it.
// KIND is "robust" (the next owner hears of an owner's death) or "plain" (which waits for a dead owner for ever).

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
	uint64_t mine = 0, seen = 0;
	touch(guarded, sizeof *guarded);
	start_line(run, me);
	while (seen < total) {
		check(pthread_mutex_lock(&guarded->mutex), "lock");
		seen = *counter;
		if (seen < total) {
			*counter = seen + 1;
			mine++;
		}
		check(pthread_mutex_unlock(&guarded->mutex), "unlock");
	}
	run->part[me].end = now_ns();
	run->part[me].count = mine;
}

int main(int argc, char **argv) {
	pthread_mutexattr_t attr;
	arguments(argc, argv, 3);
	parts = (unsigned)strtoul(argv[3], NULL, 10);
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	counter = strcmp(argv[4], "beside") == 0 ? &guarded->beside : &guarded->apart;
	check(pthread_mutexattr_init(&attr), "mutexattr");
	check(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), "mutexattr pshared");
	if (strcmp(argv[5], "robust") == 0)
		check(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), "mutexattr robust");
	check(pthread_mutex_init(&guarded->mutex, &attr), "mutex");
	run_parts(run, parts, body);
	run->part[0].sum = *counter;
	report_turns(run, total);
}
