package bench

import (
	"context"
	"sync"
	"time"
)

// mqLargest is the greatest message of a POSIX message queue that every user may have.
const mqLargest = 8 << 10

// mqImpl runs over POSIX message queues: a stream of messages, or round trips.
func mqImpl(mode string, size int) Impl {
	return needsMQ(cImpl("mq", "kernel", mode, "mq", size, queueMessages(size)))
}

// eventfdRTT leaves messages in shared memory and tells by an eventfd.
func eventfdRTT(size int) Impl {
	return linuxOnly(cImpl("eventfd", "kernel", "rtt", "eventfd", size, 1))
}

// needsMQ is an implementation that needs POSIX message queues, which containers may lack.
func needsMQ(im Impl) Impl {
	im = linuxOnly(im)
	missing := im.Missing
	im.Missing = func() string {
		if why := missing(); why != "" {
			return why
		}
		return mqMissing()
	}
	return im
}

// mqMissing sends one message to know whether there are such queues.
var mqMissing = sync.OnceValue(func() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := runC(ctx, 1, "kernel", "stream", "mq", 64, 10); err != nil {
		return "no POSIX message queues: " + err.Error()
	}
	return ""
})
