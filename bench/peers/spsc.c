// One producer and one consumer process over a ring of variable-size messages in shared memory, the textbook design
// with cached indices (E. Rigtorp's SPSCQueue argues it): "spsc SECONDS N SIZE CAPACITY".
//
// A record is an 8-byte header with the payload's length, then the payload, padded to 8. Records are contiguous: one that
// does not fit before the end of the ring is preceded by a header SKIP that sends the consumer to the beginning. Every
// message is published by a release store of its own. The consumer backs off when it finds the ring empty, so that the
// producer can keep the line of its index for a while.

#include "common.h"

#define SKIP UINT64_MAX
#define BACK_OFF 64 // PAUSEs

struct ring {
	_Alignas(LINE) _Atomic uint64_t tail; // written by the producer: bytes ever published
	_Alignas(LINE) _Atomic uint64_t head; // written by the consumer: bytes ever released
	_Alignas(LINE) unsigned char data[];
};

static struct run *run;
static struct ring *ring;
static uint64_t size, capacity;

static inline uint64_t record(uint64_t length) { return 8 + ((length + 7) & ~UINT64_C(7)); }

static void producer(void) {
	unsigned char *msg = buffer(size);
	uint64_t tail = 0, head = 0, mask = capacity - 1; // head: what was last seen of the consumer's index
	unsigned turns = 0;
	start_line(run, 0);
	for (uint64_t i = 0; i < total; i++) {
		stamp(msg, size, i);
		uint64_t need = record(size), at = tail & mask, skip = 0;
		if (need > capacity - at)
			skip = capacity - at;
		while (tail + skip + need - head > capacity) {
			head = atomic_load_explicit(&ring->head, memory_order_acquire);
			if (tail + skip + need - head > capacity)
				spin_once(&turns);
		}
		if (skip) {
			uint64_t mark = SKIP;
			memcpy(ring->data + at, &mark, 8);
			tail += skip;
			at = 0;
		}
		memcpy(ring->data + at, &size, 8);
		memcpy(ring->data + at + 8, msg, size);
		tail += need;
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
	}
}

static void consumer(void) {
	unsigned char *msg = buffer(size);
	uint64_t tail = 0, head = 0, mask = capacity - 1, sum = 0; // tail: what was last seen of the producer's index
	unsigned turns = 0;
	start_line(run, 1);
	for (uint64_t i = 0; i < total;) {
		while (head == tail) {
			tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
			if (head != tail)
				break;
			for (int k = 0; k < BACK_OFF; k++)
				cpu_relax();
			if (++turns % (YIELD_AFTER / BACK_OFF) == 0)
				sched_yield();
		}
		uint64_t length, at = head & mask;
		memcpy(&length, ring->data + at, 8);
		if (length == SKIP) {
			head += capacity - at;
			continue;
		}
		if (length != size)
			fail("a message has the wrong length");
		memcpy(msg, ring->data + at + 8, length);
		__asm__ volatile("" ::"r"(msg) : "memory"); // the copy is made, however little of it is looked at
		head += record(length);
		atomic_store_explicit(&ring->head, head, memory_order_release);
		if (first_stamp(msg) != i || last_stamp(msg, size) != i)
			fail("a message is out of order or torn");
		sum += first_stamp(msg);
		i++;
	}
	run->part[1].end = now_ns();
	run->part[1].sum = sum;
	run->part[1].count = total;
}

static void body(int me) {
	touch(ring, sizeof *ring + capacity);
	if (me == 0)
		producer();
	else
		consumer();
}

int main(int argc, char **argv) {
	arguments(argc, argv, 2);
	size = strtoull(argv[3], NULL, 10);
	capacity = strtoull(argv[4], NULL, 10);
	if (size < 8 || size % 8 || capacity & (capacity - 1) || capacity < 2 * record(size))
		fail("SIZE must be a multiple of 8, CAPACITY a power of two with room for two messages");
	run = shared_memory(sizeof *run);
	ring = shared_memory(sizeof *ring + capacity);
	run_parts(run, 2, body);
	report(run, sum_of_numbers(total));
}
