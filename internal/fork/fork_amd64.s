//go:build linux && !race && !msan && !asan

#include "textflag.h"

// What the handler and the stopper share; see groundState.
#define ground_table ·ground+0(SB)
#define ground_n ·ground+8(SB)
#define ground_gate ·ground+16(SB)
#define ground_stopped ·ground+20(SB)

// A slot; see slot.
#define slot_state 0
#define slot_uc 8
#define slot_fs 16
#define slot_g 24
#define slot_m 32
#define slot_size 64

#define SYS_rt_sigreturn 15
#define SYS_clone 56
#define SYS_arch_prctl 158
#define SYS_gettid 186
#define SYS_futex 202

#define ARCH_GET_FS 0x1003
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

// The kernel calls it on the signal stack: DI is the signal, SI its siginfo, DX the ucontext. It may use every register, since the
// return from it restores them all, and it touches nothing of Go's.
TEXT ·stopHandler(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ DX, R12
	MOVL $SYS_gettid, AX
	SYSCALL
	MOVL AX, R13
search:
	MOVQ ground_n, R15
	MOVQ ground_table, R14
next:
	TESTQ R15, R15
	JZ out
	MOVQ slot_state(R14), R8
	MOVQ R8, R9
	SHRQ $32, R9
	CMPL R9, R13
	JEQ mine
	ADDQ $slot_size, R14
	DECQ R15
	JMP next
mine:
	MOVQ R8, R9
	ANDQ $3, R9
	CMPQ R9, $1 // asked
	JNE out // the signal of a round that is over
	MOVQ R8, AX
	LEAQ 1(R8), R9 // entering
	LOCK
	CMPXCHGQ R9, slot_state(R14)
	JNE search
	MOVQ R12, slot_uc(R14)
	MOVL $ARCH_GET_FS, DI
	LEAQ slot_fs(R14), SI
	MOVL $SYS_arch_prctl, AX
	SYSCALL
	MOVQ slot_fs(R14), R9
	MOVQ -8(R9), R10
	MOVQ R10, slot_g(R14)
	MOVQ 48(R10), R10
	MOVQ R10, slot_m(R14)
	LEAQ 2(R8), R9 // stopped: the stopper reads the slot after it has seen this
	XCHGQ R9, slot_state(R14)
	LOCK
	INCL ground_stopped
	LEAQ ground_stopped, DI
	MOVL $FUTEX_WAKE_PRIVATE, SI
	MOVL $1, DX
	MOVL $SYS_futex, AX
	SYSCALL
	MOVL R8, R9
	SHRL $2, R9 // the round
	MOVL R9, R8
wait:
	MOVL ground_gate, R9
	CMPL R9, R8
	JNE out
	LEAQ ground_gate, DI
	MOVL $FUTEX_WAIT_PRIVATE, SI
	MOVL R8, DX
	XORL R10, R10
	MOVL $SYS_futex, AX
	SYSCALL
	JMP wait
out:
	RET // to restorer

TEXT ·restorer(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL $SYS_rt_sigreturn, AX
	SYSCALL
	INT $3

// func handler() (entry, restore uintptr)
TEXT ·handler(SB), NOSPLIT, $0-16
	LEAQ ·stopHandler(SB), AX
	MOVQ AX, entry+0(FP)
	LEAQ ·restorer(SB), AX
	MOVQ AX, restore+8(FP)
	RET

// func self() (gp, mp, fs uintptr)
TEXT ·self(SB), NOSPLIT, $0-24
	MOVQ (TLS), AX
	MOVQ AX, gp+0(FP)
	MOVQ 48(AX), AX
	MOVQ AX, mp+8(FP)
	MOVL $ARCH_GET_FS, DI
	LEAQ fs+16(FP), SI
	MOVL $SYS_arch_prctl, AX
	SYSCALL
	RET

// func load64(addr uintptr) uint64
TEXT ·load64(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ (AX), AX
	MOVQ AX, ret+8(FP)
	RET

// func store64(addr uintptr, v uint64)
TEXT ·store64(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ v+8(FP), CX
	MOVQ CX, (AX)
	RET

// func cloneThread(flags, uc, procid, fs, gate uintptr) int
//
// The new thread waits until the gate, if there is one, is not 0, and then returns from the signal handler whose frame has uc.
TEXT ·cloneThread(SB), NOSPLIT, $0-48
	MOVQ flags+0(FP), DI
	MOVQ uc+8(FP), SI
	MOVQ procid+16(FP), DX
	XORL R10, R10
	MOVQ fs+24(FP), R8
	MOVQ gate+32(FP), R12
	MOVL $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JZ child
	MOVQ AX, ret+40(FP)
	RET
child:
	JMP ·returnAtGate(SB)

// func cloneCaller(flags, procid, fs, gate, leader uintptr) int
//
// It returns 0 in a new thread that goes on on the stack of the calling one, and an error in the calling thread. If there is none
// the calling thread has left this stack: it waits for the gate and returns from the signal handler whose frame has leader.
TEXT ·cloneCaller(SB), NOSPLIT, $0-48
	MOVQ flags+0(FP), DI
	MOVQ SP, SI
	MOVQ procid+8(FP), DX
	XORL R10, R10
	MOVQ fs+16(FP), R8
	MOVQ gate+24(FP), R12
	MOVQ leader+32(FP), R13
	MOVL $SYS_clone, AX
	SYSCALL
	TESTQ AX, AX
	JG parent
	MOVQ AX, ret+40(FP)
	RET
parent:
	NOP SP // no vet check of what follows: the stack is the new thread's now
	MOVQ R13, SP
	JMP ·returnAtGate(SB)

// It is jumped to with SP at a ucontext and R12 at a gate.
TEXT ·returnAtGate(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	TESTQ R12, R12
	JZ open
closed:
	MOVL (R12), R9
	TESTL R9, R9
	JNZ open
	MOVQ R12, DI
	MOVL $FUTEX_WAIT_PRIVATE, SI
	XORL DX, DX
	XORL R10, R10
	MOVL $SYS_futex, AX
	SYSCALL
	JMP closed
open:
	MOVL $SYS_rt_sigreturn, AX
	SYSCALL
	INT $3
