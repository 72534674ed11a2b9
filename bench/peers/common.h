// What the C peers share: memory that several processes see, a common start, the clock, and a way out of every wait.
//
// A peer is called as "peer SECONDS N [ARG...]": it gives up after SECONDS, does N operations, and prints one line
// "N elapsed_ns". It forks its participants, which all wait at the start line; the time runs from the first that leaves
// the line to the last that has done its share.

#ifndef PEER_COMMON_H
#define PEER_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define LINE 128 // two cache lines: neighbours are fetched in pairs
#define MAX_PARTS 64
#define YIELD_AFTER 2048 // fruitless looks at a word before the CPU is given away
#define BUCKETS 3968     // of times: each nanosecond up to 255, then 128 to each power of two up to 2^37

struct part {
	_Alignas(LINE) uint64_t begin, end; // nanoseconds; end 0: does not count for the end
	uint64_t count, sum;                // what it received or did
};

struct run {
	_Alignas(LINE) _Atomic uint32_t ready;
	uint32_t parts;
	struct part part[MAX_PARTS];
};

// How often operations took so long, of one participant.
struct latencies {
	_Alignas(LINE) uint32_t counts[BUCKETS];
};

static unsigned give_up_after; // seconds
static uint64_t total;         // operations asked for
static int gun[2];             // a pipe; a byte for each participant that waits at the start line

static inline uint64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

// spin_once is one turn of a wait: a PAUSE, and after many of them the CPU for whoever else wants it.
static inline void spin_once(unsigned *turns) {
	if (++*turns % YIELD_AFTER == 0)
		sched_yield();
	else
		cpu_relax();
}

static _Noreturn void fail(const char *what) {
	if (errno)
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
	else
		fprintf(stderr, "%s\n", what);
	exit(1);
}

static inline void *shared_memory(size_t size) {
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fail("mmap");
	memset(p, 0, size); // the pages exist before anything is measured
	return p;
}

// touch brings the pages of shared memory into this process's page tables.
static inline void touch(const void *p, size_t size) {
	for (size_t i = 0; i < size; i += 4096)
		(void)*((const volatile char *)p + i);
}

static inline uint64_t share_of(uint64_t n, unsigned parts, unsigned i) { return n / parts + (i < n % parts); }

// start_line waits until all participants are there. They sleep: where there are more of them than CPUs, those who spin
// would keep the CPU from those who could start.
static inline void start_line(struct run *r, int me) {
	char shots[MAX_PARTS] = {0};
	if (atomic_fetch_add(&r->ready, 1) + 1 == r->parts) { // the last one gives the start
		if (r->parts > 1 && write(gun[1], shots, r->parts - 1) != (ssize_t)r->parts - 1)
			fail("start line");
	} else {
		while (read(gun[0], shots, 1) != 1)
			if (errno != EINTR)
				fail("start line");
	}
	r->part[me].begin = now_ns();
}

// arguments reads the two arguments that every peer has; more is how many others it must be given.
static inline void arguments(int argc, char **argv, int more) {
	if (argc != 3 + more) {
		fprintf(stderr, "usage: %s SECONDS N [%d more]\n", argv[0], more);
		exit(2);
	}
	give_up_after = (unsigned)strtoul(argv[1], NULL, 10);
	total = strtoull(argv[2], NULL, 10);
	alarm(give_up_after);
}

// run_parts runs body in one process for each participant, and returns when all have done well.
static inline void run_parts(struct run *r, unsigned parts, void (*body)(int me)) {
	pid_t pids[MAX_PARTS], parent = getpid();
	if (parts < 1 || parts > MAX_PARTS)
		fail("number of participants out of range");
	r->parts = parts;
	if (pipe(gun))
		fail("pipe");
	for (unsigned i = 0; i < parts; i++) {
		pids[i] = fork();
		if (pids[i] < 0) {
			int err = errno;
			for (unsigned j = 0; j < i; j++)
				kill(pids[j], SIGKILL);
			errno = err;
			fail("fork");
		}
		if (pids[i] == 0) {
#ifdef __linux__
			prctl(PR_SET_PDEATHSIG, SIGKILL); // no participant outlives the peer
			if (getppid() != parent)
				_exit(1);
#else
			(void)parent;
#endif
			alarm(give_up_after); // alarms are not inherited
			body((int)i);
			exit(0);
		}
	}
	int bad = 0;
	for (unsigned left = parts; left > 0;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0) {
			if (errno == EINTR)
				continue;
			fail("waitpid");
		}
		left--;
		if (status == 0 || bad)
			continue;
		bad = 1;
		if (WIFSIGNALED(status))
			fprintf(stderr, "a participant was ended by signal %d%s\n", WTERMSIG(status),
			        WTERMSIG(status) == SIGALRM ? ": it took too long" : "");
		for (unsigned i = 0; i < parts; i++)
			if (pids[i] != pid)
				kill(pids[i], SIGKILL);
	}
	if (bad)
		exit(1);
}

// judged checks that the participants together counted what was asked for, and returns the time that it took.
static inline uint64_t judged(const struct run *r, uint64_t want_sum) {
	uint64_t begin = UINT64_MAX, end = 0, count = 0, sum = 0;
	for (unsigned i = 0; i < r->parts; i++) {
		const struct part *p = &r->part[i];
		if (p->begin < begin)
			begin = p->begin;
		if (p->end > end)
			end = p->end;
		count += p->count;
		sum += p->sum;
	}
	if (count != total || sum != want_sum) {
		fprintf(stderr, "counted %llu of %llu operations, checksum %llu instead of %llu\n", (unsigned long long)count,
		        (unsigned long long)total, (unsigned long long)sum, (unsigned long long)want_sum);
		exit(1);
	}
	return end - begin;
}

// report prints the line of a run that went well.
static inline void report(const struct run *r, uint64_t want_sum) {
	printf("%llu %llu\n", (unsigned long long)total, (unsigned long long)judged(r, want_sum));
}

// print_fairness says how fair turns were among those of the participants from the first on: the least share of the
// operations as a part of the greatest, and Jain's index.
static inline void print_fairness(const struct run *r, unsigned first) {
	uint64_t least = UINT64_MAX, most = 1;
	double sum = 0, squares = 0;
	if (r->parts - first < 2)
		return;
	for (unsigned i = first; i < r->parts; i++) {
		double count = (double)r->part[i].count;
		least = r->part[i].count < least ? r->part[i].count : least;
		most = r->part[i].count > most ? r->part[i].count : most;
		sum += count;
		squares += count * count;
	}
	printf(" fairness=%.3f jain=%.3f", (double)least / (double)most, sum * sum / ((r->parts - first) * (squares < 1 ? 1 : squares)));
}

// print_latencies says how often operations took so long, all participants together: the middle of each bucket, and its count.
static inline void print_latencies(const struct run *r, const struct latencies *l) {
	const char *between = " latencies=";
	for (unsigned b = 0; b < BUCKETS; b++) {
		uint64_t count = 0, shift = b < 256 ? 0 : b / 128 - 1;
		for (unsigned i = 0; i < r->parts; i++)
			count += l[i].counts[b];
		if (count == 0)
			continue;
		printf("%s%llu:%llu", between, (unsigned long long)(((b - 128 * shift) << shift) + (UINT64_C(1) << shift) / 2), (unsigned long long)count);
		between = ",";
	}
}

// report_turns is report where the participants took turns, and says how fair that was.
static inline void report_turns(const struct run *r, uint64_t want_sum) {
	printf("%llu %llu", (unsigned long long)total, (unsigned long long)judged(r, want_sum));
	print_fairness(r, 0);
	printf("\n");
}

// report_curve is report_turns where one operation in so many was timed; only those from the first on took turns.
static inline void report_curve(const struct run *r, uint64_t want_sum, unsigned first, const struct latencies *l) {
	printf("%llu %llu", (unsigned long long)total, (unsigned long long)judged(r, want_sum));
	print_fairness(r, first);
	print_latencies(r, l);
	printf("\n");
}

static inline void note_latency(struct latencies *l, uint64_t ns) {
	unsigned shift = 0;
	ns = ns < (UINT64_C(1) << 37) ? ns : (UINT64_C(1) << 37) - 1;
	if (ns >= 256)
		shift = (unsigned)(63 - __builtin_clzll(ns)) - 7;
	l->counts[128 * shift + (ns >> shift)]++;
}

// A stopwatch times one operation in so many; with 0, none.
struct stopwatch {
	struct latencies *times;
	uint64_t every, left, begin;
};

// stopwatch_of makes that of a participant, which begins with another operation than its neighbours.
static inline struct stopwatch stopwatch_of(struct latencies *l, uint64_t every, int me) {
	struct stopwatch s = {l + me, every, every ? 1 + (uint64_t)me % every : UINT64_MAX, 0};
	return s;
}

static inline void watch_start(struct stopwatch *s) {
	if (--s->left == 0)
		s->begin = now_ns();
}

static inline void watch_stop(struct stopwatch *s) {
	if (s->left == 0) {
		note_latency(s->times, now_ns() - s->begin);
		s->left = s->every;
	}
}

// hold keeps the CPU busy for so long.
static inline void hold(uint64_t ns) {
	if (ns > 0)
		for (uint64_t begin = now_ns(); now_ns() - begin < ns;)
			;
}

// Messages: every one carries its number in its first and in its last eight bytes.

static inline void stamp(unsigned char *msg, size_t size, uint64_t number) {
	memcpy(msg, &number, 8);
	memcpy(msg + size - 8, &number, 8);
}

static inline uint64_t first_stamp(const unsigned char *msg) {
	uint64_t v;
	memcpy(&v, msg, 8);
	return v;
}

static inline uint64_t last_stamp(const unsigned char *msg, size_t size) {
	uint64_t v;
	memcpy(&v, msg + size - 8, 8);
	return v;
}

// sum_of_numbers is 0 + 1 + ... + n-1, modulo 2^64.
static inline uint64_t sum_of_numbers(uint64_t n) {
	return n % 2 ? n * ((n - 1) / 2) : (n / 2) * (n - 1);
}

static inline unsigned char *buffer(size_t size) {
	unsigned char *b = malloc(size);
	if (!b)
		fail("malloc");
	memset(b, 0x5a, size);
	return b;
}

#endif
