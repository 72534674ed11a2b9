// Producer and consumer processes over D. Vyukov's queue: "mpmc SECONDS N CAPACITY PRODUCERS CONSUMERS SPINS [SIZE]", with
// messages of SIZE bytes, or 64. Who finds the queue full or empty looks again after a PAUSE, and gives the CPU away after
// every SPINS of them. With 0 producers and 0 consumers one process puts and gets in turn, and an operation is such a pair.

#include "vyukov.h"

static struct run *run;
static unsigned producers, consumers;
static uint64_t size = 64;

// solo is the one participant when there are no others.
static inline __attribute__((always_inline)) uint64_t solo(unsigned char *msg, uint64_t bytes) {
	unsigned char *back = buffer(bytes);
	uint64_t sum = 0;
	for (uint64_t i = 0; i < total; i++) {
		stamp(msg, bytes, i);
		put(msg, bytes);
		get(back, bytes);
		if (first_stamp(back) != i || last_stamp(back, bytes) != i)
			fail("a message is out of order or torn");
		sum += first_stamp(back);
	}
	return sum;
}

static inline __attribute__((always_inline)) void produce(unsigned char *msg, unsigned me, uint64_t bytes) {
	uint64_t n = share_of(total, producers, me);
	for (uint64_t i = 0; i < n; i++) {
		stamp(msg, bytes, i * producers + me);
		put(msg, bytes);
	}
}

static inline __attribute__((always_inline)) uint64_t consume(unsigned char *msg, uint64_t n, uint64_t bytes) {
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++) {
		get(msg, bytes);
		if (first_stamp(msg) != last_stamp(msg, bytes))
			fail("a message is torn");
		sum += first_stamp(msg);
	}
	return sum;
}

static inline __attribute__((always_inline)) void part(unsigned me, uint64_t bytes) {
	unsigned char *msg = buffer(bytes);
	uint64_t n = total, sum;
	touch(queue, queue_size(bytes));
	start_line(run, (int)me);
	if (producers == 0) {
		sum = solo(msg, bytes);
	} else if (me < producers) {
		produce(msg, me, bytes);
		return; // messages count when they are received
	} else {
		n = share_of(total, consumers, me - producers);
		sum = consume(msg, n, bytes);
	}
	run->part[me].end = now_ns();
	run->part[me].count = n;
	run->part[me].sum = sum;
}

static void body(int me) {
	if (size == 64)
		part((unsigned)me, 64);
	else
		part((unsigned)me, size);
}

int main(int argc, char **argv) {
	arguments(argc, argv, argc == 7 ? 4 : 5);
	capacity = strtoull(argv[3], NULL, 10);
	producers = (unsigned)strtoul(argv[4], NULL, 10);
	consumers = (unsigned)strtoul(argv[5], NULL, 10);
	spins = (unsigned)strtoul(argv[6], NULL, 10);
	if (argc > 7)
		size = strtoull(argv[7], NULL, 10);
	if (size < 16 || !producers != !consumers || producers > MAX_PARTS || consumers > MAX_PARTS)
		fail("PRODUCERS and CONSUMERS must be both 0 or neither, and SIZE at least 16");
	run = shared_memory(sizeof *run);
	make_queue(size);
	run_parts(run, producers == 0 ? 1 : producers + consumers, body);
	report(run, sum_of_numbers(total)); // the numbers 0..N-1, each once: producer p of P sent those that leave p when divided by P
}
