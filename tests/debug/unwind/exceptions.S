/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vectors, and handlers as they are written: LDM with ^, SRS and RFE, of C, one that saves nothing. */
    .syntax unified
    .arch armv7-a
    .arm

    .equ MODE_USR, 0x10
    .equ MODE_FIQ, 0x11
    .equ MODE_IRQ, 0x12
    .equ MODE_SVC, 0x13
    .equ MODE_ABT, 0x17
    .equ MODE_UND, 0x1b

    .text
    .global _start
    .type _start, %function
_start:
    cps #MODE_IRQ
    ldr sp, =0x40700000
    cps #MODE_ABT
    ldr sp, =0x40710000
    cps #MODE_UND
    ldr sp, =0x40720000
    cps #MODE_SVC
    ldr sp, =0x40800000
    ldr r0, =vectors
    mcr p15, 0, r0, c12, c0, 0
    isb
    bl main
    mov r0, #0x18
    ldr r1, =0x20026
    svc 0x123456
    b .
    .size _start, . - _start
    .ltorg

    .balign 32
    .global vectors
vectors:
    ldr pc, reset_address
    ldr pc, undefined_address
    b svc_handler
    b prefetch_handler
    ldr pc, data_address
    b .
    b irq_handler
    b .
reset_address:
    .word _start
undefined_address:
    .word undefined_handler
data_address:
    .word data_handler /* of C: __attribute__((interrupt("ABORT"))) */

    .type svc_handler, %function
svc_handler:
    push {r0-r3, ip, lr}
    ldr r1, [lr, #-4]
    bic r1, r1, #0xff000000
    cmp r1, #1
    beq leave_user_mode
    mrs r1, spsr
    push {r1, r2}
    bl svc_in_c
    pop {r1, r2}
    msr spsr_cxsf, r1
    ldm sp!, {r0-r3, ip, pc}^
    .size svc_handler, . - svc_handler

    .type prefetch_handler, %function
prefetch_handler:
    mov lr, r8 /* where the program wants to go on */
    movs pc, lr
    .size prefetch_handler, . - prefetch_handler

    .type irq_handler, %function
irq_handler:
    sub lr, lr, #4
    srsdb sp!, #MODE_SVC
    cps #MODE_SVC
    push {r0-r3, ip, lr}
    and r1, sp, #4
    sub sp, sp, r1
    push {r1, r2}
    bl irq_in_c
    pop {r1, r2}
    add sp, sp, r1
    pop {r0-r3, ip, lr}
    rfeia sp!
    .size irq_handler, . - irq_handler

    .type undefined_handler, %function
undefined_handler:
    srsdb sp!, #MODE_UND
    push {r0-r12}
    mov r0, sp
    b common
    .size undefined_handler, . - undefined_handler

    .type common, %function
common:
    bl undefined_in_c
    pop {r0-r12}
    rfeia sp!
    .size common, . - common

/* u32 in_user_mode(u32 (*function)(u32), u32 argument): SVC 1 of user mode ends it. */
    .global in_user_mode
    .type in_user_mode, %function
in_user_mode:
    push {r4-r11, lr}
    mov r4, r0
    mov r0, r1
    ldr r1, =kept_sp
    str sp, [r1]
    cps #0x1f
    ldr sp, =0x40780000
    cps #MODE_SVC
    mov r1, #MODE_USR
    msr spsr_cxsf, r1
    ldr lr, =user_start
    movs pc, lr
    .size in_user_mode, . - in_user_mode
    .type user_start, %function
user_start:
    blx r4
    svc #1
    b .
    .size user_start, . - user_start

    .type leave_user_mode, %function
leave_user_mode:
    ldr r1, =kept_sp
    ldr sp, [r1]
    pop {r4-r11, pc}
    .size leave_user_mode, . - leave_user_mode
    .ltorg

    .global no_instruction
    .type no_instruction, %function
no_instruction:
    udf #3
    bx lr
    .size no_instruction, . - no_instruction

    .bss
    .balign 4
kept_sp:
    .space 4
