// How long a process that waits for a robust, process-shared pthread mutex goes on waiting after the owner was killed:
// "death SECONDS N". One operation is one death: a process of its own takes the mutex, another falls asleep waiting for
// it, the first is killed, and the time runs from the kill until the other has the mutex.

#include "common.h"

#include <pthread.h>

#define FALL_ASLEEP 1000 // microseconds that the waiter has for it

struct guarded {
	_Alignas(LINE) pthread_mutex_t mutex;
	_Alignas(LINE) uint64_t mine; // when the waiter had it
};

static struct run *run;
static struct guarded *guarded;
static int held[2], go[2], freed[2]; // pipes: the mutex is held; wait for it; the waiter had it

static void check(int err, const char *what) {
	if (err) {
		errno = err;
		fail(what);
	}
}

static void tell(int fd) {
	if (write(fd, "", 1) != 1)
		fail("write");
}

static void hear(int fd) {
	char c;
	while (read(fd, &c, 1) != 1)
		if (errno != EINTR)
			fail("read");
}

static pid_t victim(void) {
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return pid;
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	if (getppid() != parent)
		_exit(1);
	check(pthread_mutex_lock(&guarded->mutex), "lock");
	tell(held[1]);
	for (;;)
		pause();
}

static void killer(void) {
	uint64_t sum = 0;
	for (uint64_t i = 0; i < total; i++) {
		pid_t pid = victim();
		hear(held[0]);
		tell(go[1]);
		usleep(FALL_ASLEEP);
		uint64_t begin = now_ns();
		if (kill(pid, SIGKILL))
			fail("kill");
		hear(freed[0]);
		sum += guarded->mine - begin;
		while (waitpid(pid, NULL, 0) < 0)
			if (errno != EINTR)
				fail("waitpid");
	}
	run->part[0].sum = sum;
}

static void waiter(void) {
	for (uint64_t i = 0; i < total; i++) {
		hear(go[0]);
		int err = pthread_mutex_lock(&guarded->mutex);
		guarded->mine = now_ns();
		if (err != EOWNERDEAD)
			fail("the mutex does not tell of the death");
		check(pthread_mutex_consistent(&guarded->mutex), "consistent");
		check(pthread_mutex_unlock(&guarded->mutex), "unlock");
		tell(freed[1]);
	}
	run->part[1].count = total;
}

static void body(int me) {
	start_line(run, me);
	if (me == 0)
		killer();
	else
		waiter();
}

int main(int argc, char **argv) {
	pthread_mutexattr_t attr;
	arguments(argc, argv, 0);
	run = shared_memory(sizeof *run);
	guarded = shared_memory(sizeof *guarded);
	check(pthread_mutexattr_init(&attr), "mutexattr");
	check(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), "mutexattr pshared");
	check(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), "mutexattr robust");
	check(pthread_mutex_init(&guarded->mutex, &attr), "mutex");
	if (pipe(held) || pipe(go) || pipe(freed))
		fail("pipe");
	run_parts(run, 2, body);
	if (run->part[1].count != total)
		fail("not every death was heard of");
	printf("%llu %llu\n", (unsigned long long)total, (unsigned long long)run->part[0].sum);
}
