// A round trip between two processes that both really sleep: each hands over by a word in shared memory and
// FUTEX_WAKE, and waits by FUTEX_WAIT without spinning; a 64-byte message goes each way: "futex SECONDS N".

#include "common.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#define SIZE 64

struct slot {
	_Alignas(LINE) _Atomic uint32_t word; // number of messages handed over, modulo 2^32
	_Alignas(LINE) unsigned char payload[SIZE];
};

static struct run *run;
static struct slot *slots; // [0] there, [1] back

static void hand_over(struct slot *s, const unsigned char *msg) {
	memcpy(s->payload, msg, SIZE);
	atomic_fetch_add(&s->word, 1);
	syscall(SYS_futex, &s->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take(struct slot *s, uint32_t seen, unsigned char *msg) {
	while (atomic_load(&s->word) == seen)
		if (syscall(SYS_futex, &s->word, FUTEX_WAIT, seen, NULL, NULL, 0) < 0 && errno != EAGAIN && errno != EINTR)
			fail("futex wait");
	memcpy(msg, s->payload, SIZE);
}

static void body(int me) {
	unsigned char *msg = buffer(SIZE);
	uint64_t sum = 0;
	touch(slots, 2 * sizeof *slots);
	start_line(run, me);
	for (uint64_t i = 0; i < total; i++) {
		if (me == 0) {
			stamp(msg, SIZE, i);
			hand_over(&slots[0], msg);
			take(&slots[1], (uint32_t)i, msg);
			if (first_stamp(msg) != i || last_stamp(msg, SIZE) != i)
				fail("the answer is wrong");
			sum += first_stamp(msg);
		} else {
			take(&slots[0], (uint32_t)i, msg);
			hand_over(&slots[1], msg);
		}
	}
	if (me == 0) {
		run->part[0].end = now_ns();
		run->part[0].count = total;
		run->part[0].sum = sum;
	}
}

int main(int argc, char **argv) {
	arguments(argc, argv, 0);
	run = shared_memory(sizeof *run);
	slots = shared_memory(2 * sizeof *slots);
	run_parts(run, 2, body);
	report(run, sum_of_numbers(total));
}
