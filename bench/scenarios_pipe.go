package bench

import "fmt"

// pipeScenarios are of connections between two processes.
func pipeScenarios() []Scenario {
	return []Scenario{
		pipeRTTScenario(),
		pipeParkedScenario(),
		pipeScenario(64),
		pipeScenario(64 << 10),
		connectScenario(),
	}
}

func pipeRTTScenario() Scenario {
	const size = 64
	return Scenario{
		Name: "pipe/rtt/64B",
		Doc: "one round trip through a pipe of two ways: a message of 64 bytes there, and its echo back; multiproc spins before it sleeps, pipe-polled is a pair of kernel pipes " +
			"whose ends never sleep",
		Impls: []Impl{
			multiprocPipeRTT(),
			goroutineRTT(queueMessages(size)),
			pipeRTT(size),
			pipePolled(size),
			socketRTT(size),
			cpythonImpl("pipertt"),
		},
	}
}

func pipeParkedScenario() Scenario {
	const size = 64
	return Scenario{
		Name: "pipe/rtt-parked/64B",
		Doc:  "the same between two that sleep when the message comes: each waits 150 µs before it sends, which is not in the time",
		Impls: []Impl{
			multiprocPipeParked(),
			goroutineParked(),
			pipeParked(size),
			socketParked(size),
		},
	}
}

func pipeScenario(size int) Scenario {
	return Scenario{
		Name: "pipe/throughput/" + sizeName(size),
		Doc: fmt.Sprintf("one message of %s through a pipe of two ways, from one process to another; goroutine is a channel of %d; who takes copies the message into one buffer, only cpython makes "+
			"an object of each",
			sizeName(size), queueMessages(size)),
		Impls: []Impl{
			multiprocPipe(size),
			goroutineSPSC(size),
			pipeSPSC(size),
			socketSPSC(size),
			cpythonImpl("pipe", size),
		},
	}
}

func connectScenario() Scenario {
	return Scenario{
		Name: "pipe/connect",
		Doc:  "one connection over a unix socket between two processes, from connect to close, with mutual authentication by a key; unixsocket has none",
		Impls: []Impl{
			multiprocConnect(),
			socketConnect(),
			cpythonImpl("connect"),
		},
	}
}
