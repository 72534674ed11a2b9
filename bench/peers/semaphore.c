// One process takes and gives back a permit of a process-shared POSIX semaphore that nobody else wants:
// "semaphore SECONDS N PERMITS".

#include "common.h"

#include <semaphore.h>

struct guarded {
	_Alignas(LINE) sem_t semaphore;
	_Alignas(LINE) char end;
};

static struct run *run;
static struct guarded *guarded;

static void body(int me) {
	touch(guarded, sizeof *guarded);
	start_line(run, me);
	for (uint64_t i = 0; i < total; i++)
		if (sem_wait(&guarded->semaphore) || sem_post(&guarded->semaphore))
			fail("semaphore");
	run->part[me].end = now_ns();
	run->part[me].count = total;
}

int main(int argc, char **argv) {
	arguments(argc, argv, 1);
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	if (sem_init(&guarded->semaphore, 1, (unsigned)strtoul(argv[3], NULL, 10)))
		fail("sem_init");
	run_parts(run, 1, body);
	report(run, 0);
}
