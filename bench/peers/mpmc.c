// Producer and consumer processes over a bounded queue of fixed cells (D. Vyukov's), 64-byte messages:
// "mpmc SECONDS N CAPACITY PRODUCERS CONSUMERS SPINS". Who finds the queue full or empty looks again after a PAUSE, and
// gives the CPU away after every SPINS of them. With 0 producers and 0 consumers one process puts and gets in turn, and an
// operation is such a pair. The queue is not safe against kills: a process that dies between its claim and its
// publication blocks everybody at that cell.

#include "common.h"

#define SIZE 64

struct cell {
	_Alignas(LINE) _Atomic uint64_t sequence;
	unsigned char payload[SIZE];
};

struct queue {
	_Alignas(LINE) _Atomic uint64_t tail;
	_Alignas(LINE) _Atomic uint64_t head;
	_Alignas(LINE) struct cell cells[];
};

static struct run *run;
static struct queue *queue;
static uint64_t capacity;
static unsigned producers, consumers, spins;

static inline void wait_turn(unsigned *turns) {
	if (++*turns % spins == 0)
		sched_yield();
	else
		cpu_relax();
}

static void put(const unsigned char *msg) {
	unsigned turns = 0;
	uint64_t pos = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	for (;;) {
		struct cell *c = &queue->cells[pos & (capacity - 1)];
		int64_t lead = (int64_t)(atomic_load_explicit(&c->sequence, memory_order_acquire) - pos);
		if (lead == 0) {
			if (atomic_compare_exchange_weak_explicit(&queue->tail, &pos, pos + 1, memory_order_relaxed,
			                                          memory_order_relaxed)) {
				memcpy(c->payload, msg, SIZE);
				atomic_store_explicit(&c->sequence, pos + 1, memory_order_release);
				return;
			}
			continue;
		}
		if (lead < 0)
			wait_turn(&turns); // full
		pos = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	}
}

static void get(unsigned char *msg) {
	unsigned turns = 0;
	uint64_t pos = atomic_load_explicit(&queue->head, memory_order_relaxed);
	for (;;) {
		struct cell *c = &queue->cells[pos & (capacity - 1)];
		int64_t lead = (int64_t)(atomic_load_explicit(&c->sequence, memory_order_acquire) - (pos + 1));
		if (lead == 0) {
			if (atomic_compare_exchange_weak_explicit(&queue->head, &pos, pos + 1, memory_order_relaxed,
			                                          memory_order_relaxed)) {
				memcpy(msg, c->payload, SIZE);
				atomic_store_explicit(&c->sequence, pos + capacity, memory_order_release);
				return;
			}
			continue;
		}
		if (lead < 0)
			wait_turn(&turns); // empty
		pos = atomic_load_explicit(&queue->head, memory_order_relaxed);
	}
}

// solo is the one participant when there are no others.
static uint64_t solo(unsigned char *msg) {
	unsigned char *back = buffer(SIZE);
	uint64_t sum = 0;
	for (uint64_t i = 0; i < total; i++) {
		stamp(msg, SIZE, i);
		put(msg);
		get(back);
		if (first_stamp(back) != i || last_stamp(back, SIZE) != i)
			fail("a message is out of order or torn");
		sum += first_stamp(back);
	}
	return sum;
}

static void produce(unsigned char *msg, unsigned me) {
	uint64_t n = share_of(total, producers, me);
	for (uint64_t i = 0; i < n; i++) {
		stamp(msg, SIZE, i * producers + me);
		put(msg);
	}
}

static uint64_t consume(unsigned char *msg, uint64_t n) {
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++) {
		get(msg);
		if (first_stamp(msg) != last_stamp(msg, SIZE))
			fail("a message is torn");
		sum += first_stamp(msg);
	}
	return sum;
}

static void body(int me) {
	unsigned char *msg = buffer(SIZE);
	uint64_t n = total, sum;
	touch(queue, sizeof *queue + capacity * sizeof(struct cell));
	start_line(run, me);
	if (producers == 0) {
		sum = solo(msg);
	} else if ((unsigned)me < producers) {
		produce(msg, (unsigned)me);
		return; // messages count when they are received
	} else {
		n = share_of(total, consumers, (unsigned)me - producers);
		sum = consume(msg, n);
	}
	run->part[me].end = now_ns();
	run->part[me].count = n;
	run->part[me].sum = sum;
}

int main(int argc, char **argv) {
	arguments(argc, argv, 4);
	capacity = strtoull(argv[3], NULL, 10);
	producers = (unsigned)strtoul(argv[4], NULL, 10);
	consumers = (unsigned)strtoul(argv[5], NULL, 10);
	spins = (unsigned)strtoul(argv[6], NULL, 10);
	if (capacity < 2 || capacity & (capacity - 1))
		fail("CAPACITY must be a power of two");
	if (!producers != !consumers || producers > MAX_PARTS || consumers > MAX_PARTS || spins == 0)
		fail("PRODUCERS and CONSUMERS must be both 0 or neither, and SPINS positive");
	run = shared_memory(sizeof *run);
	queue = shared_memory(sizeof *queue + capacity * sizeof(struct cell));
	for (uint64_t i = 0; i < capacity; i++)
		atomic_store(&queue->cells[i].sequence, i);
	run_parts(run, producers == 0 ? 1 : producers + consumers, body);
	report(run, sum_of_numbers(total)); // the numbers 0..N-1, each once: producer p of P sent those that leave p when divided by P
}
