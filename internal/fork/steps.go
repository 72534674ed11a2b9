package fork

// A step of a fork: where it can fail.
type step uint32

const (
	stepNone step = iota
	// In the parent, before there is a child.
	stepPrepare
	stepPipe
	stepMask
	stepHandler
	stepThreads
	stepSignal
	stepStop
	stepLayout
	stepPoller
	stepTimers
	stepProfile
	stepClone
	stepReceive
	stepRequest
	stepReply
	// In the child.
	stepBind
	stepEpoll
	stepEventfd
	stepRegister
	stepWake
	stepTimer
	stepSeed
	stepThread
	stepCaller
	stepLeader
	stepPending
	stepAwait // in the parent: the child's report
	stepLast
)

var stepNames = [stepLast]string{
	stepNone:     "none",
	stepPrepare:  "prepare memory",
	stepPipe:     "make the status pipe",
	stepMask:     "block signals",
	stepHandler:  "install the stop handler",
	stepThreads:  "list the threads",
	stepSignal:   "signal the threads",
	stepStop:     "stop the threads",
	stepLayout:   "check the threads",
	stepPoller:   "read the poller",
	stepTimers:   "read the timers",
	stepProfile:  "check the profiler",
	stepClone:    "clone the process",
	stepReceive:  "receive a request",
	stepRequest:  "read a request",
	stepReply:    "reply",
	stepBind:     "bind to the parent",
	stepEpoll:    "make the poller",
	stepEventfd:  "make the poller's wake-up",
	stepRegister: "register with the poller",
	stepWake:     "wake the poller",
	stepTimer:    "make the timers",
	stepSeed:     "draw a seed",
	stepThread:   "make a thread",
	stepCaller:   "make the caller's thread",
	stepLeader:   "turn the leader into the first thread",
	stepPending:  "resend pending signals",
	stepAwait:    "await the child",
}

func (s step) String() string {
	if s < stepLast {
		return stepNames[s]
	}
	return "unknown"
}
