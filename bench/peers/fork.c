// How long it takes from a fork until the child runs, in a process with a heap of MIB: "fork SECONDS N MIB".

#include "common.h"

int main(int argc, char **argv) {
	arguments(argc, argv, 1);
	size_t size = (size_t)atoll(argv[3]) << 20;
	volatile unsigned char *heap = malloc(size + 1);
	volatile uint64_t *at = shared_memory(sizeof *at);
	uint64_t sum = 0;
	if (!heap)
		fail("malloc");
	for (size_t i = 0; i < size; i += 4096)
		heap[i] = 1;
	for (uint64_t i = 0; i <= total; i++) { // the first is not counted
		uint64_t begin = now_ns();
		pid_t pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			*at = now_ns();
			_exit(0);
		}
		while (waitpid(pid, NULL, 0) < 0)
			if (errno != EINTR)
				fail("waitpid");
		if (i > 0)
			sum += *at - begin;
	}
	printf("%llu %llu\n", (unsigned long long)total, (unsigned long long)sum);
}
