// The kernel's own ways to hand a message to another process: a pipe, a pair of connected unix sockets, a POSIX message
// queue, and an eventfd beside a message in shared memory. All of them block.

#ifndef PEER_KERNEL_H
#define PEER_KERNEL_H

#include "common.h"

#include <fcntl.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

struct channel {
	enum { PIPE, UNIXSOCKET, MQ, EVENTFD } kind;
	int in, out;         // files to receive from and to send to
	uint64_t size;       // of a message
	uint64_t capacity;   // messages of a message queue
	unsigned char *slot; // the message beside an eventfd
};

#ifdef __linux__
// open_mq makes a queue without a name of as many messages as the user may have, at most capacity. The calls are the kernel's:
// older C libraries have them in a library of their own.
static inline void open_mq(struct channel *c, uint64_t capacity) {
	struct {
		long flags, maxmsg, msgsize, curmsgs, reserved[4];
	} attr = {0};
	char name[64];
	snprintf(name, sizeof name, "peer-%ld-%p", (long)getpid(), (void *)c);
	attr.msgsize = (long)c->size;
	for (c->capacity = capacity;; c->capacity = 10) { // what everybody may have
		attr.maxmsg = (long)c->capacity;
		c->in = c->out = (int)syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
		if (c->in >= 0 || c->capacity <= 10)
			break;
	}
	if (c->in < 0)
		fail("mq_open");
	syscall(SYS_mq_unlink, name);
}

static inline ssize_t mq_put(struct channel *c, const unsigned char *msg) {
	return syscall(SYS_mq_timedsend, c->out, msg, (size_t)c->size, 0, NULL) == 0 ? (ssize_t)c->size : -1;
}

static inline ssize_t mq_get(struct channel *c, unsigned char *msg) {
	return syscall(SYS_mq_timedreceive, c->in, msg, (size_t)c->size, NULL, NULL);
}

static inline void open_eventfd(struct channel *c) {
	c->slot = shared_memory(c->size);
	c->in = c->out = eventfd(0, 0);
	if (c->in < 0)
		fail("eventfd");
}
#else
static inline void open_mq(struct channel *c, uint64_t capacity) {
	(void)c, (void)capacity;
	errno = ENOSYS;
	fail("mq_open");
}
static inline ssize_t mq_put(struct channel *c, const unsigned char *msg) { return (void)c, (void)msg, -1; }
static inline ssize_t mq_get(struct channel *c, unsigned char *msg) { return (void)c, (void)msg, -1; }
static inline void open_eventfd(struct channel *c) { open_mq(c, 0); }
#endif

// open_channel makes a channel of the kind that is named, with room for about capacity messages of size bytes.
static inline void open_channel(struct channel *c, const char *kind, uint64_t size, uint64_t capacity) {
	int fds[2] = {-1, -1}, bytes = (int)(size * capacity);
	c->size = size;
	if (strcmp(kind, "pipe") == 0) {
		c->kind = PIPE;
		if (pipe(fds))
			fail("pipe");
#ifdef F_SETPIPE_SZ
		(void)fcntl(fds[1], F_SETPIPE_SZ, bytes); // the default serves as well
#endif
		c->in = fds[0], c->out = fds[1];
	} else if (strcmp(kind, "unixsocket") == 0) {
		c->kind = UNIXSOCKET;
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
			fail("socketpair");
		(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
		c->in = fds[0], c->out = fds[1];
	} else if (strcmp(kind, "mq") == 0) {
		c->kind = MQ;
		open_mq(c, capacity);
	} else if (strcmp(kind, "eventfd") == 0) {
		c->kind = EVENTFD;
		open_eventfd(c);
	} else {
		fail("the kind of the channel must be pipe, unixsocket, mq or eventfd");
	}
}

// send_message and receive_message move whole messages. Those of pipes are written at once up to PIPE_BUF bytes; larger ones,
// and those of sockets, are for one sender and one receiver unless they fit into one buffer of the kernel.

static inline void send_message(struct channel *c, const unsigned char *msg) {
	uint64_t one = 1, done = 0;
	if (c->kind == EVENTFD) {
		memcpy(c->slot, msg, c->size);
		if (write(c->out, &one, 8) != 8)
			fail("write");
		return;
	}
	while (done < c->size) {
		ssize_t n = c->kind == MQ ? mq_put(c, msg) : write(c->out, msg + done, c->size - done);
		if (n < 0 && errno != EINTR)
			fail("send");
		done += n < 0 ? 0 : (uint64_t)n;
	}
}

static inline void receive_message(struct channel *c, unsigned char *msg) {
	uint64_t count, done = 0;
	if (c->kind == EVENTFD) {
		if (read(c->in, &count, 8) != 8)
			fail("read");
		memcpy(msg, c->slot, c->size);
		return;
	}
	while (done < c->size) {
		ssize_t n = c->kind == MQ ? mq_get(c, msg) : read(c->in, msg + done, c->size - done);
		if (n == 0 || (n < 0 && errno != EINTR))
			fail("receive");
		done += n < 0 ? 0 : (uint64_t)n;
	}
}

#endif
