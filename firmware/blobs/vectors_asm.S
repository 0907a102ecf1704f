/* SPDX-License-Identifier: GPL-2.0-or-later
 * Vectors that record how they were entered, in ARM and in Thumb code, and instructions that raise exceptions.
 */
    .syntax unified
    .text

/* After recording, every handler returns to the address in r11, in ARM state, with the SPSR's mode and masks. */

    .arm
    .balign 32
    .global recording_vectors
recording_vectors:
    b 9f
    b 1f
    b 2f
    b 3f
    b 4f
9:  b 9b
    b 9b
    b 9b
1:  mov r8, #1
    b 5f
2:  mov r8, #2
    b 5f
3:  mov r8, #3
    b 5f
4:  mov r8, #4
5:  mrs r9, cpsr
    setend le
    ldr r10, 6f
    str r8, [r10]
    str r9, [r10, #4]
    str lr, [r10, #8]
    mrs r9, spsr
    str r9, [r10, #12]
    bic r9, r9, #0x20
    msr spsr_cxsf, r9
    movs pc, r11
6:  .word recorded
    .global recording_vectors_end
recording_vectors_end:

    .thumb
    .balign 32
    .global thumb_vectors
thumb_vectors:
    b.w 9f
    b.w 1f
    b.w 2f
    b.w 3f
    b.w 4f
9:  b.w 9b
    b.w 9b
    b.w 9b
1:  mov.w r8, #1
    b 5f
2:  mov.w r8, #2
    b 5f
3:  mov.w r8, #3
    b 5f
4:  mov.w r8, #4
5:  mrs r9, cpsr
    ldr r10, =recorded
    str r8, [r10]
    str r9, [r10, #4]
    str lr, [r10, #8]
    mrs r9, spsr
    str r9, [r10, #12]
    bic r9, r9, #0x20
    msr spsr_cxsf, r9
    mov lr, r11
    subs pc, lr, #0
    .ltorg

    .arm
    .balign 4
    .macro raise name
    .global \name
    .type \name, %function
\name:
    push {r4-r11, lr}
    adr r11, 8f
    .endm
    .macro resume
8:  pop {r4-r11, pc}
    .endm

    raise raise_undef
    .inst 0xe7f000f0
    .global after_undef
after_undef:
    resume

    raise raise_svc
    svc #0x77
    .global after_svc
after_svc:
    resume

    raise raise_data_abort
    mov r4, #0xb0000000
    .global at_data_abort
at_data_abort:
    ldr r4, [r4]
    resume

    raise raise_prefetch_abort
    mov r4, #0xb0000000
    bx r4
    resume

    raise raise_undef_thumb
    adr r4, 1f
    add r4, r4, #1
    bx r4
    .thumb
1:  .inst.n 0xde01
    .global after_undef_thumb
after_undef_thumb:
    nop
    .arm
    .balign 4
    resume

    raise raise_svc_thumb
    adr r4, 1f
    add r4, r4, #1
    bx r4
    .thumb
1:  svc #0x77
    .global after_svc_thumb
after_svc_thumb:
    nop
    .arm
    .balign 4
    resume

/* (flags, va): CPSR after a load from va that faults and is skipped */
    .global flags_around_abort
    .type flags_around_abort, %function
flags_around_abort:
    msr cpsr_f, r0
    ldr r2, [r1]
    mrs r0, cpsr
    bx lr

    .bss
    .balign 8
    .global recorded
recorded:
    .space 16
