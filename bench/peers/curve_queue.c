// Workers over one queue of 64-byte messages: "curve_queue SECONDS N WORKERS EVERY MEANS". Half of the workers produce, the
// others consume; one alone puts and gets in turn. MEANS is "vyukov" or one of those of kernel.h. One message in EVERY is timed,
// from before it is put until it has been got. The producer who is the last to end tells each consumer the end.

#include "kernel.h"
#include "vyukov.h"

#define SIZE 64
#define MESSAGES 1024
#define THE_END UINT64_MAX

static struct run *run;
static struct channel channel;
static struct latencies *times;
static _Atomic uint32_t *ended; // producers
static uint64_t every;
static unsigned workers, producers;
static int vyukov;

static inline void hand_in(unsigned char *msg, uint64_t number, uint64_t at) {
	memset(msg, 0x5a, SIZE);
	stamp(msg, SIZE, number);
	memcpy(msg + 8, &at, 8);
	if (vyukov)
		put(msg, SIZE);
	else
		send_message(&channel, msg);
}

// take_out returns the number of the next message, having noted for how long it was on its way if it was timed. That is the
// end until another comes: when there are no more is heard later, where there are more processes than CPUs.
static inline uint64_t take_out(unsigned char *msg, int me) {
	uint64_t at;
	if (vyukov)
		get(msg, SIZE);
	else
		receive_message(&channel, msg);
	if (first_stamp(msg) != last_stamp(msg, SIZE))
		fail("a message is torn");
	memcpy(&at, msg + 8, 8);
	if (at) {
		run->part[me].end = now_ns();
		note_latency(times + me, run->part[me].end - at);
	}
	return first_stamp(msg);
}

static void produce(unsigned char *msg, int me) {
	struct stopwatch watch = stopwatch_of(times, every, me);
	for (uint64_t i = 0, n = share_of(total, producers, (unsigned)me); i < n; i++) {
		uint64_t at = 0;
		if (--watch.left == 0) {
			at = now_ns();
			watch.left = every;
		}
		hand_in(msg, i * producers + (unsigned)me, at);
	}
	if (atomic_fetch_add(ended, 1) + 1 == producers)
		for (unsigned i = producers; i < workers; i++)
			hand_in(msg, THE_END, 0);
}

static void body(int me) {
	unsigned char *msg = buffer(SIZE);
	uint64_t sum = 0, count = 0, number;
	touch(times, MAX_PARTS * sizeof *times);
	if (vyukov)
		touch(queue, queue_size(SIZE));
	start_line(run, me);
	if (workers == 1) {
		for (; count < total; count++) {
			hand_in(msg, count, count % every ? 0 : now_ns());
			sum += take_out(msg, me);
		}
	} else if ((unsigned)me < producers) {
		produce(msg, me);
		return; // messages count when they are received
	} else {
		for (; (number = take_out(msg, me)) != THE_END; count++)
			sum += number;
	}
	if (workers == 1 || (count > 0 && run->part[me].end == 0))
		run->part[me].end = now_ns();
	run->part[me].count = count;
	run->part[me].sum = sum;
}

int main(int argc, char **argv) {
	arguments(argc, argv, 3);
	workers = (unsigned)strtoul(argv[3], NULL, 10);
	every = strtoull(argv[4], NULL, 10);
	vyukov = strcmp(argv[5], "vyukov") == 0;
	if (workers == 0 || every == 0)
		fail("WORKERS and EVERY must be positive");
	producers = workers / 2;
	run = shared_memory(sizeof *run);
	times = shared_memory(MAX_PARTS * sizeof *times);
	ended = shared_memory(LINE);
	capacity = MESSAGES;
	spins = workers > 2 ? 1 : 64; // where each has a CPU of its own a system call would only be in the way
	if (vyukov)
		make_queue(SIZE);
	else
		open_channel(&channel, argv[5], SIZE, MESSAGES);
	run_parts(run, workers, body);
	report_curve(run, sum_of_numbers(total), producers, times);
}
