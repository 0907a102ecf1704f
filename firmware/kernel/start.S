/* SPDX-License-Identifier: GPL-2.0-or-later
 * r0: the request; sp: a stack.  r0 at the end is what gup returned; the loop at the end is where a debugger waits. */
        .syntax unified
        .arm
        .section .text.start, "ax"
        .global _start
_start: bl      gup
        .global done
done:   b       done
