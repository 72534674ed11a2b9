// K processes add to one counter by atomic fetch-and-add: "add SECONDS N K".

#include "common.h"

struct counter {
	_Alignas(LINE) _Atomic uint64_t value;
	_Alignas(LINE) char end;
};

static struct run *run;
static struct counter *counter;
static unsigned parts;

static void body(int me) {
	uint64_t n = share_of(total, parts, (unsigned)me);
	touch(counter, sizeof *counter);
	start_line(run, me);
	for (uint64_t i = 0; i < n; i++)
		atomic_fetch_add(&counter->value, 1);
	run->part[me].end = now_ns();
	run->part[me].count = n;
}

int main(int argc, char **argv) {
	arguments(argc, argv, 1);
	parts = (unsigned)strtoul(argv[3], NULL, 10);
	run = shared_memory(sizeof *run);
	counter = shared_memory(sizeof *counter);
	run_parts(run, parts, body);
	run->part[0].sum = atomic_load(&counter->value);
	report(run, total);
}
