/* SPDX-License-Identifier: GPL-2.0-or-later
 * The instructions that user.c cannot write in C.
 */
    .syntax unified
    .arch_extension virt
    .arch_extension sec
    .text

    .macro entry name
    .global \name
    .type \name, %function
\name:
    .endm

    .arm
    .balign 4

/* A trap at the label, then r0 + 1. */
entry user_svc_arm
    svc #0x123456
    add r0, r0, #1
    bx lr

entry user_cpsr
    mrs r0, cpsr
    bx lr

entry user_mode_change
    cps #0x13
    cpsid if
    mov r0, #0xd3
    msr cpsr_c, r0
    mrs r0, cpsr
    bx lr

/* Called through probe_fetch as well, which sets r0: the result must be 0x22. */
    .macro undef name, instruction:vararg
    .global \name
\name:
    \instruction
    mov r0, #0x22
    bx lr
    .endm

    undef undef_udf_arm, .inst 0xe7f123f4
    undef undef_mcr, mcr p15, 0, r1, c1, c0, 0
    undef undef_mrc, mrc p15, 0, r1, c2, c0, 0
    undef undef_hvc, hvc 0
    undef undef_smc, smc 0
    undef undef_tpidruro, mcr p15, 0, r0, c13, c0, 3

entry user_thread_registers
    mrc p15, 0, r1, c13, c0, 2
    mrc p15, 0, r2, c13, c0, 3
    add r0, r1, r2
    add r1, r1, #4
    mcr p15, 0, r1, c13, c0, 2
    bx lr

entry psci_smc_version
    push {r4, lr}
    mov r0, #0x84000000
    smc #0
    pop {r4, pc}

/* uint32_t banked_test(out): writes a value of its own to SP, LR and SPSR of each mode, then reads all of them; 0 when
 * each mode kept its own.  Interrupts are masked and no exception is taken on the way. */
    .macro each_mode what
    \what 0x11, 1 /* FIQ */
    \what 0x12, 2 /* IRQ */
    \what 0x17, 3 /* ABT */
    \what 0x1b, 4 /* UND */
    .endm
    .macro save mode, n
    cps #\mode
    str sp, [r4, #(\n * 4)]
    mov sp, #(\n << 8)
    mov lr, #(\n << 8 | 1)
    mov r6, #(\n << 28)
    orr r6, r6, #0x10
    msr spsr_cxsf, r6
    .endm
    .macro compare value
    ldr r7, =(\value)
    cmp r6, r7
    addne r5, r5, #1
    .endm
    .macro verify mode, n
    cps #\mode
    mov r6, sp
    compare \n << 8
    mov r6, lr
    compare \n << 8 | 1
    mrs r6, spsr
    compare (\n << 28 | 0x10) & 0xffffffff
    ldr sp, [r4, #(\n * 4)]
    .endm
entry banked_test
    push {r4-r12, lr}
    mov r4, r0
    mov r5, #0
    mov r8, #0x80
    mov r9, #0x90
    mov r12, #0xc0
    each_mode save
    cps #0x1f
    mov r10, sp
    mov r11, lr
    mov sp, #0x500
    mov lr, #0x510
    cps #0x11
    mov r8, #1
    mov r9, #2
    mov r12, #3
    each_mode verify
    cps #0x11
    mov r6, r8
    compare 1
    mov r6, r12
    compare 3
    cps #0x1f
    mov r6, sp
    compare 0x500
    mov r6, lr
    compare 0x510
    mov sp, r10
    mov lr, r11
    cps #0x13
    mov r6, r8
    compare 0x80
    mov r6, r9
    compare 0x90
    mov r6, r12
    compare 0xc0
    mov r0, r5
    pop {r4-r12, pc}
    .ltorg

/* Unprivileged accesses: (va, value) */
    .macro access name, instruction:vararg
    .global \name
    .type \name, %function
\name:
    mov r2, r0
    mov r3, #0
    ldr r0, =0xdeadbeef
    \instruction
    bx lr
    .endm
    access t_ldrt, ldrt r0, [r2]
    access t_ldrbt, ldrbt r0, [r2]
    access t_ldrht, ldrht r0, [r2]
    access t_ldrsbt, ldrsbt r0, [r2]
    access t_ldrsht, ldrsht r0, [r2]
    access t_ldrt_register, ldrt r0, [r2], r3
    access t_strt, strt r1, [r2]
    access t_strbt, strbt r1, [r2]
    access t_strht, strht r1, [r2]
    access t_strt_register, strt r1, [r2], r3
    .ltorg

    .thumb
    .balign 4
    .macro thumb_access name, instruction:vararg
    .global \name
    .type \name, %function
    .thumb_func
\name:
    mov r2, r0
    ldr r0, =0xdeadbeef
    \instruction
    bx lr
    .endm
    thumb_access t_ldrt_thumb, ldrt r0, [r2]
    thumb_access t_ldrbt_thumb, ldrbt r0, [r2]
    thumb_access t_ldrht_thumb, ldrht r0, [r2]
    thumb_access t_strt_thumb, strt r1, [r2]
    thumb_access t_strbt_thumb, strbt r1, [r2]
    .ltorg
    .balign 4

/* no .thumb_func: user.c adds bit 0 itself */
    .global user_svc_thumb
user_svc_thumb:
    svc #0xab
    adds r0, #1
    bx lr
    .balign 4
    .global undef_udf_thumb
undef_udf_thumb:
    udf #0x12
    movs r0, #0x22
    bx lr
    .balign 4
    .global undef_wide_thumb
undef_wide_thumb:
    .inst.w 0xf7f1a234
    movs r0, #0x22
    bx lr
    .balign 4
    .global psci_hvc_version_thumb
    .type psci_hvc_version_thumb, %function
    .thumb_func
psci_hvc_version_thumb:
    push {r4, lr}
    mov r0, #0x84000000
    hvc #0
    pop {r4, pc}
