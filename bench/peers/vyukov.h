// A bounded queue of fixed cells for many producers and consumers (D. Vyukov's). It is not safe against kills: a process
// that dies between its claim and its publication blocks everybody at that cell.

#ifndef PEER_VYUKOV_H
#define PEER_VYUKOV_H

#include "common.h"

struct cell {
	_Atomic uint64_t sequence;
	unsigned char payload[];
};

struct queue {
	_Alignas(LINE) _Atomic uint64_t tail;
	_Alignas(LINE) _Atomic uint64_t head;
	_Alignas(LINE) unsigned char cells[];
};

static struct queue *queue;
static uint64_t capacity; // cells, a power of two
static unsigned spins;    // looks at a full or an empty queue before the CPU is given away

// stride is the size of a cell with a message of so many bytes: whole pairs of cache lines.
static inline uint64_t stride(uint64_t size) { return (sizeof(struct cell) + size + LINE - 1) / LINE * LINE; }

static inline struct cell *cell_at(uint64_t pos, uint64_t size) {
	return (struct cell *)(queue->cells + (pos & (capacity - 1)) * stride(size));
}

static inline uint64_t queue_size(uint64_t size) { return sizeof *queue + capacity * stride(size); }

static inline void make_queue(uint64_t size) {
	if (capacity < 2 || capacity & (capacity - 1) || spins == 0)
		fail("CAPACITY must be a power of two, and SPINS positive");
	queue = shared_memory(queue_size(size));
	for (uint64_t i = 0; i < capacity; i++)
		atomic_store(&cell_at(i, size)->sequence, i);
}

static inline void wait_turn(unsigned *turns) {
	if (++*turns % spins == 0)
		sched_yield();
	else
		cpu_relax();
}

// put and get are inlined where the size is known, so that the copy is.

static inline __attribute__((always_inline)) void put(const unsigned char *msg, uint64_t size) {
	unsigned turns = 0;
	uint64_t pos = atomic_load_explicit(&queue->tail, memory_order_relaxed);
	for (;;) {
		struct cell *c = cell_at(pos, size);
		int64_t lead = (int64_t)(atomic_load_explicit(&c->sequence, memory_order_acquire) - pos);
		if (lead == 0) {
			if (atomic_compare_exchange_weak_explicit(&queue->tail, &pos, pos + 1, memory_order_relaxed,
			                                          memory_order_relaxed)) {
				memcpy(c->payload, msg, size);
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

static inline __attribute__((always_inline)) void get(unsigned char *msg, uint64_t size) {
	unsigned turns = 0;
	uint64_t pos = atomic_load_explicit(&queue->head, memory_order_relaxed);
	for (;;) {
		struct cell *c = cell_at(pos, size);
		int64_t lead = (int64_t)(atomic_load_explicit(&c->sequence, memory_order_acquire) - (pos + 1));
		if (lead == 0) {
			if (atomic_compare_exchange_weak_explicit(&queue->head, &pos, pos + 1, memory_order_relaxed,
			                                          memory_order_relaxed)) {
				memcpy(msg, c->payload, size);
				__asm__ volatile("" ::"r"(msg) : "memory"); // the copy is made, however little of it is looked at
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

#endif
