/* SPDX-License-Identifier: GPL-2.0-or-later
 * Entry of every CPU, stacks, vectors, and the way to user mode and back.
 */
    .syntax unified
    .arm

    .equ MODE_USR, 0x10
    .equ MODE_FIQ, 0x11
    .equ MODE_IRQ, 0x12
    .equ MODE_SVC, 0x13
    .equ MODE_ABT, 0x17
    .equ MODE_UND, 0x1b
    .equ MODE_SYS, 0x1f

    .equ MAX_CPUS, 4
    .equ STACK_SVC, 8192
    .equ STACK_OTHER, 2048
    .equ STACK_CPU, STACK_SVC + 4 * STACK_OTHER

    .section .text.start, "ax"
    .global _start
_start:
    cpsid aif, #MODE_SVC
    ldr r0, =__bss_start
    ldr r1, =__bss_end
    mov r2, #0
1:  cmp r0, r1
    strlo r2, [r0], #4
    blo 1b
    mov r0, #0
    bl setup_cpu
    bl main
    bl semihost_exit

/* PSCI CPU_ON enters here with the C function to call in r0. */
    .global secondary_start
secondary_start:
    cpsid aif, #MODE_SVC
    mov r4, r0
    mrc p15, 0, r0, c0, c0, 5
    and r0, r0, #(MAX_CPUS - 1)
    bl setup_cpu
    blx r4
2:  wfi
    b 2b

/* r0: CPU number */
setup_cpu:
    mov r3, lr
    ldr r1, =stacks
    mov r2, #STACK_CPU
    mla r1, r0, r2, r1
    add r1, r1, #STACK_OTHER
    cps #MODE_FIQ
    mov sp, r1
    add r1, r1, #STACK_OTHER
    cps #MODE_IRQ
    mov sp, r1
    add r1, r1, #STACK_OTHER
    cps #MODE_ABT
    mov sp, r1
    add r1, r1, #STACK_OTHER
    cps #MODE_UND
    mov sp, r1
    add r1, r1, #STACK_SVC
    cps #MODE_SVC
    mov sp, r1
    ldr r1, =vectors
    mcr p15, 0, r1, c12, c0, 0
    isb
    bx r3
    .ltorg

    .text
    .balign 32
    .global vectors
vectors:
    b unused
    b undef
    b svc
    b pabt
    b dabt
    b unused
    b irq
    b fiq

/* Builds a struct trap_frame on the stack of the mode and calls trap_handler(kind, frame). */
    .macro handler name, mode, kind, adjust
\name:
    .if \adjust
    sub lr, lr, #\adjust
    .endif
    srsdb sp!, #\mode
    push {r0-r12}
    mov r0, #\kind
    mov r1, sp
    mov r4, sp
    bic sp, sp, #7
    bl trap_handler
    mov sp, r4
    pop {r0-r12}
    clrex
    rfeia sp!
    .endm

    handler undef, MODE_UND, 1, 0
    handler svc, MODE_SVC, 2, 0
    handler pabt, MODE_ABT, 3, 4
    handler dabt, MODE_ABT, 4, 8
    handler irq, MODE_IRQ, 5, 4
    handler fiq, MODE_FIQ, 6, 4

unused:
    b unused

/* uint32_t user_call(function, argument0, argument1): runs the function in user mode on the user stack.
 * Bit 0 of function selects Thumb.  SVC 0x55 from user mode, to which the function returns, ends it. */
    .global user_call
    .type user_call, %function
user_call:
    push {r4-r11, lr}
    ldr r4, =user_saved_sp
    str sp, [r4]
    cps #MODE_SYS
    ldr sp, =user_stack_top
    ldr lr, =user_exit
    cps #MODE_SVC
    mrs r4, cpsr
    bic r4, r4, #0x3f
    orr r4, r4, #MODE_USR
    tst r0, #1
    orrne r4, r4, #0x20
    bic r0, r0, #1
    msr spsr_cxsf, r4
    mov lr, r0
    mov r0, r1
    mov r1, r2
    mov r2, #0
    mov r3, #0
    movs pc, lr

    .global user_exit
user_exit:
    svc #0x55

    .global user_resume
user_resume:
    ldr r1, =user_saved_sp
    ldr sp, [r1]
    pop {r4-r11, pc}
    .ltorg

    .bss
    .balign 8
stacks:
    .space MAX_CPUS * STACK_CPU
user_stack:
    .space 4096
user_stack_top:
    .global user_saved_sp
user_saved_sp:
    .space 8
