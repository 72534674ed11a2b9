// Two producer and two consumer processes over a bounded queue of fixed cells (D. Vyukov's), 64-byte messages:
// "mpmc SECONDS N CAPACITY". Who finds the queue full or empty yields. It is not safe against kills: a process that
// dies between its claim and its publication blocks everybody at that cell.

#include "common.h"

#define SIZE 64
#define PRODUCERS 2
#define CONSUMERS 2

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

static void put(const unsigned char *msg) {
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
			sched_yield(); // full
		pos = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	}
}

static void get(unsigned char *msg) {
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
			sched_yield(); // empty
		pos = atomic_load_explicit(&queue->head, memory_order_relaxed);
	}
}

static void body(int me) {
	unsigned char *msg = buffer(SIZE);
	touch(queue, sizeof *queue + capacity * sizeof(struct cell));
	start_line(run, me);
	if (me < PRODUCERS) {
		uint64_t n = share_of(total, PRODUCERS, (unsigned)me);
		for (uint64_t i = 0; i < n; i++) {
			stamp(msg, SIZE, i * PRODUCERS + (uint64_t)me);
			put(msg);
		}
		return;
	}
	uint64_t n = share_of(total, CONSUMERS, (unsigned)(me - PRODUCERS)), sum = 0;
	for (uint64_t i = 0; i < n; i++) {
		get(msg);
		if (first_stamp(msg) != last_stamp(msg, SIZE))
			fail("a message is torn");
		sum += first_stamp(msg);
	}
	run->part[me].end = now_ns();
	run->part[me].count = n;
	run->part[me].sum = sum;
}

int main(int argc, char **argv) {
	arguments(argc, argv, 1);
	capacity = strtoull(argv[3], NULL, 10);
	if (capacity < 2 || capacity & (capacity - 1))
		fail("CAPACITY must be a power of two");
	run = shared_memory(sizeof *run);
	queue = shared_memory(sizeof *queue + capacity * sizeof(struct cell));
	for (uint64_t i = 0; i < capacity; i++)
		atomic_store(&queue->cells[i].sequence, i);
	run_parts(run, PRODUCERS + CONSUMERS, body);
	report(run, sum_of_numbers(total)); // the numbers 0..N-1, each once: the even ones from one, the odd ones from the other
}
