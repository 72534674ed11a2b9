// One producer and one consumer process over a ring of variable-size messages in shared memory, the textbook design
// with cached indices (E. Rigtorp's SPSCQueue argues it): "spsc SECONDS N SIZE CAPACITY [rtt]". With "rtt" there are two
// rings, and each message comes back.
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
static struct ring *rings[2]; // there, and back
static uint64_t size, capacity;
static int echo;

static inline uint64_t record(uint64_t length) { return 8 + ((length + 7) & ~UINT64_C(7)); }

// An end is what one side of a ring knows.
struct end {
	struct ring *ring;
	uint64_t tail, head; // its own index, and what was last seen of the other's
	unsigned turns;
};

static inline __attribute__((always_inline)) void put(struct end *e, const unsigned char *msg) {
	struct ring *ring = e->ring;
	uint64_t need = record(size), at = e->tail & (capacity - 1), skip = 0;
	if (need > capacity - at)
		skip = capacity - at;
	while (e->tail + skip + need - e->head > capacity) {
		e->head = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (e->tail + skip + need - e->head > capacity)
			spin_once(&e->turns);
	}
	if (skip) {
		uint64_t mark = SKIP;
		memcpy(ring->data + at, &mark, 8);
		e->tail += skip;
		at = 0;
	}
	memcpy(ring->data + at, &size, 8);
	memcpy(ring->data + at + 8, msg, size);
	e->tail += need;
	atomic_store_explicit(&ring->tail, e->tail, memory_order_release);
}

// await waits until there is something. Who expects an answer looks again at once, without the length of a PAUSE; others back off.
static inline __attribute__((always_inline)) void await(struct end *e, int answer) {
	while (e->head == e->tail) {
		e->tail = atomic_load_explicit(&e->ring->tail, memory_order_acquire);
		if (e->head != e->tail)
			break;
		if (answer) {
			if (++e->turns % (4 * YIELD_AFTER) == 0)
				sched_yield();
			continue;
		}
		for (int k = 0; k < BACK_OFF; k++)
			cpu_relax();
		if (++e->turns % (YIELD_AFTER / BACK_OFF) == 0)
			sched_yield();
	}
}

static inline __attribute__((always_inline)) void get(struct end *e, unsigned char *msg, int answer) {
	struct ring *ring = e->ring;
	for (;;) {
		await(e, answer);
		uint64_t length, at = e->head & (capacity - 1);
		memcpy(&length, ring->data + at, 8);
		if (length == SKIP) {
			e->head += capacity - at;
			continue;
		}
		if (length != size)
			fail("a message has the wrong length");
		memcpy(msg, ring->data + at + 8, length);
		__asm__ volatile("" ::"r"(msg) : "memory"); // the copy is made, however little of it is looked at
		e->head += record(length);
		atomic_store_explicit(&ring->head, e->head, memory_order_release);
		return;
	}
}

static uint64_t checked(const unsigned char *msg, uint64_t i) {
	if (first_stamp(msg) != i || last_stamp(msg, size) != i)
		fail("a message is out of order or torn");
	return i;
}

static void done(int me, uint64_t sum) {
	run->part[me].end = now_ns();
	run->part[me].sum = sum;
	run->part[me].count = total;
}

static void producer(void) {
	unsigned char *msg = buffer(size);
	struct end out = {.ring = rings[0]};
	start_line(run, 0);
	for (uint64_t i = 0; i < total; i++) {
		stamp(msg, size, i);
		put(&out, msg);
	}
}

static void consumer(void) {
	unsigned char *msg = buffer(size);
	struct end in = {.ring = rings[0]};
	uint64_t sum = 0;
	start_line(run, 1);
	for (uint64_t i = 0; i < total; i++) {
		get(&in, msg, 0);
		sum += checked(msg, i);
	}
	done(1, sum);
}

static void pair(int me) {
	unsigned char *msg = buffer(size);
	struct end out = {.ring = rings[me]}, in = {.ring = rings[1 - me]};
	uint64_t sum = 0;
	start_line(run, me);
	for (uint64_t i = 0; i < total; i++) {
		if (me == 0) {
			stamp(msg, size, i);
			put(&out, msg);
			get(&in, msg, 1);
			sum += checked(msg, i);
		} else {
			get(&in, msg, 1);
			put(&out, msg);
		}
	}
	if (me == 0)
		done(0, sum);
}

static void body(int me) {
	for (int i = 0; i <= echo; i++)
		touch(rings[i], sizeof *rings[i] + capacity);
	if (echo)
		pair(me);
	else if (me == 0)
		producer();
	else
		consumer();
}

int main(int argc, char **argv) {
	arguments(argc, argv, argc == 5 ? 2 : 3);
	size = strtoull(argv[3], NULL, 10);
	capacity = strtoull(argv[4], NULL, 10);
	echo = argc > 5;
	if (size < 8 || size % 8 || capacity & (capacity - 1) || capacity < 2 * record(size))
		fail("SIZE must be a multiple of 8, CAPACITY a power of two with room for two messages");
	run = shared_memory(sizeof *run);
	for (int i = 0; i <= echo; i++)
		rings[i] = shared_memory(sizeof *rings[i] + capacity);
	run_parts(run, 2, body);
	report(run, sum_of_numbers(total));
}
