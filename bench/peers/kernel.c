// Two processes over one of the kernel's own means, see kernel.h: "kernel SECONDS N MODE MEANS SIZE CAPACITY". MODE "stream"
// sends messages of SIZE bytes one way, "rtt" sends each back. What is called CAPACITY is in messages.

#include "kernel.h"

static struct run *run;
static struct channel there, back;
static uint64_t size;
static int echo;

static uint64_t checked(const unsigned char *msg, uint64_t i) {
	if (first_stamp(msg) != i || last_stamp(msg, size) != i)
		fail("a message is out of order or torn");
	return i;
}

static void body(int me) {
	unsigned char *msg = buffer(size);
	uint64_t sum = 0;
	int counts = echo ? me == 0 : me == 1; // whose work the time is of
	start_line(run, me);
	for (uint64_t i = 0; i < total; i++) {
		if (me == 0) {
			stamp(msg, size, i);
			send_message(&there, msg);
			if (echo) {
				receive_message(&back, msg);
				sum += checked(msg, i);
			}
		} else {
			receive_message(&there, msg);
			if (echo)
				send_message(&back, msg);
			else
				sum += checked(msg, i);
		}
	}
	if (counts) {
		run->part[me].end = now_ns();
		run->part[me].count = total;
		run->part[me].sum = sum;
	}
}

int main(int argc, char **argv) {
	arguments(argc, argv, 4);
	echo = strcmp(argv[3], "rtt") == 0;
	size = strtoull(argv[5], NULL, 10);
	if (size < 8)
		fail("SIZE must be at least 8");
	run = shared_memory(sizeof *run);
	open_channel(&there, argv[4], size, strtoull(argv[6], NULL, 10));
	if (echo)
		open_channel(&back, argv[4], size, strtoull(argv[6], NULL, 10));
	run_parts(run, 2, body);
	report(run, sum_of_numbers(total));
}
