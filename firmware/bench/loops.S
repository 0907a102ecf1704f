/* SPDX-License-Identifier: GPL-2.0-or-later
 * Guest loops for the benchmark suite.  Needs 512 MB of RAM at 0x40000000; no device, and (but for the fault loop) no
 * exception, so that it also runs on a bare engine.
 *
 *   0x40010000  _start
 *   0x40010004  bench_select  0 integer, 1 hit, 2 miss, 3 fault, 4 miss in memory, 5 mix
 *   0x40010008  bench_count   iterations; 0: the loop's default
 *   0x4001000c  bench_result  checksum
 *   bench_begin               reached once, when tables are made, the MMU is on and the loop comes next
 *   bench_done                reached once, after the loop; then semihosting SYS_EXIT, status 0 when all is right
 *
 * An iteration: integer four rounds over four lanes (84 instructions); hit 16 loads and 16 stores on 32 pages
 * (41 instructions); miss 8 loads from 8 of 100,000 pages in random order (35 instructions), the pages sharing 1 MB of memory,
 * so that translation is what it costs; fault one load that aborts; miss in memory the same as miss, each page with
 * 4 KB of its own, so that caches of the host miss as well; mix 20 loads and 12 stores among 82 instructions, on 16 KB
 * over and over and on 256 KB line by line.
 */
    .syntax unified
    .arm

    .equ PAGES, 100000
    .equ L1, 0x40100000
    .equ L2_RAM, 0x40101000
    .equ L2_WINDOW, 0x40102000
    .equ L3, 0x40200000
    .equ ORDER, 0x40400000      /* PAGES words: where in the window the nth load goes */
    .equ HIT, 0x40820000        /* its 32 pages share no index of a 64-entry TLB with the code */
    .equ DATA, 0x42000000       /* frames of the window: FEW of them, or PAGES */
    .equ FEW, 256
    .equ WINDOW, 0x80000000     /* PAGES pages of 4 KB */
    .equ NOWHERE, 0xf0000000

    .equ NORMAL, 0x71d          /* block: AF, inner shareable, AttrIndx 7, privileged */

    .text
    .global _start, bench_select, bench_count, bench_result, bench_begin, bench_done
_start:
    b start
bench_select:
    .word 0
bench_count:
    .word 0
bench_result:
    .word 0

start:
    cpsid aif, #0x13
    ldr sp, =0x400ff000
    ldr r0, =vectors
    mcr p15, 0, r0, c12, c0, 0
    bl make_tables
    ldr r0, bench_select
    ldr r9, =DATA + FEW * 4096
    cmp r0, #4
    ldreq r9, =DATA + PAGES * 4096
    cmpne r0, #2
    bleq make_window
    bl mmu_on
    ldr r4, bench_select
    ldr r0, bench_count
    adr r1, loops
    add r1, r1, r4, lsl #3
    ldm r1, {r1, r2}
    cmp r0, #0
    moveq r0, r2
    cmp r4, #5
    bhi failed
    mov r5, #0
bench_begin:
    bx r1
loops:
    .word integer, 1000000
    .word hit, 1000000
    .word miss, 125000
    .word fault, 1000000
    .word miss, 125000
    .word mix, 1000000

/* r0: checksum */
finished:
    str r0, bench_result
bench_done:
    nop
    mov r0, #0x18
    ldr r1, =0x20026
    svc #0x123456
1:  b 1b
failed:
    mov r0, #0x18
    ldr r1, =0x20023            /* ADP_Stopped_RunTimeErrorUnknown: status 1 */
    svc #0x123456
    b 1b
    .ltorg

/* 0x40000000 to 0x5fffffff by 2 MB blocks; the window's level 2 table is empty. */
make_tables:
    ldr r0, =L1
    mov r1, #0
    mov r2, #4096 * 3
1:  subs r2, r2, #4
    str r1, [r0, r2]
    bne 1b
    ldr r1, =L2_RAM + 3
    str r1, [r0, #8]
    ldr r1, =L2_WINDOW + 3
    str r1, [r0, #16]
    ldr r0, =L2_RAM
    ldr r1, =0x40000000 + NORMAL
    mov r2, #256
2:  str r1, [r0], #8
    add r1, r1, #0x200000
    subs r2, r2, #1
    bne 2b
    bx lr

/* Maps the window by pages to the frames below r9, in turn, stores into every page, and shuffles the order of visits
 * (Fisher and Yates). */
make_window:
    ldr r0, =L2_WINDOW
    ldr r1, =L3 + 3
    ldr r2, =(PAGES + 511) / 512
1:  str r1, [r0], #8
    add r1, r1, #4096
    subs r2, r2, #1
    bne 1b
    ldr r0, =L3
    ldr r1, =DATA + NORMAL + 2
    ldr r3, =ORDER
    mov r4, #0
    mov r6, #0
    ldr r2, =PAGES
2:  str r1, [r0], #4
    str r6, [r0], #4
    lsl r5, r4, #12
    and r7, r4, #63             /* another line in each page */
    orr r5, r5, r7, lsl #6
    str r5, [r3], #4
    ldr r8, =NORMAL + 2
    sub r8, r1, r8
    str r4, [r8, r7, lsl #6]
    add r1, r1, #4096
    add r8, r8, #4096
    cmp r8, r9
    ldrhs r1, =DATA + NORMAL + 2
    add r4, r4, #1
    cmp r4, r2
    bne 2b
    ldr r3, =ORDER
    ldr r5, =2463534242
3:  eor r5, r5, r5, lsl #13
    eor r5, r5, r5, lsr #17
    eor r5, r5, r5, lsl #5
    umull r6, r7, r5, r4        /* r7: below r4 */
    sub r4, r4, #1
    ldr r6, [r3, r4, lsl #2]
    ldr r8, [r3, r7, lsl #2]
    str r6, [r3, r7, lsl #2]
    str r8, [r3, r4, lsl #2]
    cmp r4, #1
    bne 3b
    bx lr
    .ltorg

mmu_on:
    ldr r0, =0xeeaa4400
    mcr p15, 0, r0, c10, c2, 0
    ldr r0, =0xff000004
    mcr p15, 0, r0, c10, c2, 1
    ldr r0, =0x80003500
    mcr p15, 0, r0, c2, c0, 2
    ldr r0, =L1
    mov r1, #0
    mcrr p15, 0, r0, r1, c2
    mcrr p15, 1, r0, r1, c2
    isb
    dsb
    mcr p15, 0, r1, c8, c7, 0
    dsb
    isb
    mrc p15, 0, r0, c1, c0, 0
    orr r0, r0, #0x1000
    orr r0, r0, #5
    mcr p15, 0, r0, c1, c0, 0
    isb
    bx lr
    .ltorg

/* Four lanes of a multiply-rotate hash, as a checksum of a stream would be. */
    .balign 64
integer:
    ldr r4, =2654435761
    ldr r6, =2246822519
    mov r7, #1
    mov r8, #2
    mov r9, #3
    mov r10, #4
1:
    .rept 4
    .irp lane, r7, r8, r9, r10
    add r5, r5, \lane, ror #7
    mla \lane, r5, r6, \lane
    ror \lane, \lane, #19
    mul \lane, r4, \lane
    eor r5, r5, \lane, lsr #3
    .endr
    .endr
    tst r5, #1
    eorne r7, r7, r0
    subs r0, r0, #1
    bne 1b
    add r0, r7, r8
    add r0, r0, r9
    add r0, r0, r10
    b finished
    .ltorg

/* 32 pages, 16 loaded from and 16 stored to, at a place that moves within the page. */
    .balign 64
hit:
    ldr r4, =HIT
    mov r11, #4096
    mov r6, #0
1:  add r7, r4, r6
    add r8, r7, #0x10000
    .rept 8
    ldr r9, [r7], r11
    ldr r10, [r7], r11
    str r9, [r8], r11
    str r10, [r8], r11
    .endr
    add r5, r5, r9
    add r6, r6, #4
    bic r6, r6, #0x1000
    add r5, r5, r10
    eor r5, r5, r6
    subs r0, r0, #1
    bne 1b
    mov r0, r5
    b finished
    .ltorg

/* Four rounds of 20 instructions, 8 of them loads and stores. */
    .balign 64
mix:
    ldr r4, =DATA
    ldr r6, =DATA + 0x100000
    mov r7, #0
    mov r8, #0
1:  .rept 4
    add r9, r4, r7
    add r10, r6, r8
    ldr r1, [r9]
    ldr r2, [r9, #4]
    eor r5, r5, r1
    add r1, r1, #1
    ldr r3, [r9, #8]
    add r2, r2, r5
    str r1, [r9]
    ldr r11, [r10]
    add r7, r7, #20
    add r3, r3, r2
    str r2, [r9, #4]
    bic r7, r7, #0xc000
    add r11, r11, r3
    ldr r12, [r9, #12]
    str r11, [r10]
    add r8, r8, #64
    bic r8, r8, #0xfc0000
    eor r5, r5, r12, ror #3
    .endr
    subs r0, r0, #1
    bne 1b
    mov r0, r5
    b finished
    .ltorg

    .balign 64
miss:
    ldr r4, =WINDOW
    ldr r6, =ORDER
    ldr r7, =ORDER + PAGES * 4
1:  .rept 8
    ldr r8, [r6], #4
    ldr r9, [r4, r8]
    add r5, r5, r9
    eor r5, r5, r5, ror #9
    .endr
    cmp r6, r7
    ldrhs r6, =ORDER
    subs r0, r0, #1
    bne 1b
    mov r0, r5
    b finished
    .ltorg

    .balign 64
fault:
    ldr r4, =NOWHERE
    mov r6, r0
1:  ldr r8, [r4]
    subs r0, r0, #1
    bne 1b
    cmp r5, r6                  /* the handler has counted */
    bne failed
    mov r0, r5
    b finished
    .ltorg

    .balign 32
vectors:
    b failed
    b failed
    b failed
    b failed
    b data_abort
    b failed
    b failed
    b failed
data_abort:
    add r5, r5, #1
    subs pc, lr, #4
