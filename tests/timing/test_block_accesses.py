"""Which accesses blocks make, in order, and what their addresses depend on: rule by rule."""

from __future__ import annotations

import pytest

from pyemu.timing import read_core
from pyemu.timing.blocks import Blocks
from tests.timing.disassembly import disassemble

BASE = 0x8000
A, T = False, True  # instruction set

# Code, its bytes; each access: L or S, registers at the start that its address depends on, * after a load;
# registers that hold loaded values at the end.
RULES = [
    (A, "ldr r0, [r1]", "000091e5", "L1", "0"),
    (A, "str r0, [r1]", "000081e5", "S1", ""),
    (A, "ldrb r0, [r1, r2]", "0200d1e7", "L1+2", "0"),
    (A, "ldrh r0, [r1, #2]", "b200d1e1", "L1", "0"),
    (A, "ldrsb r0, [r1]", "d000d1e1", "L1", "0"),
    (A, "ldrd r2, r3, [r1]", "d020c1e1", "L1 L1", "2 3"),
    (A, "strd r2, r3, [r1, r4]", "f42081e1", "S1+4 S1+4", ""),
    (A, "ldrexd r2, r3, [r1]", "9f2fb1e1", "L1", "2 3"),
    (A, "ldrex r0, [r1]; strex r2, r0, [r1]", "9f0f91e1902f81e1", "L1 L1 S1", "0 2"),
    (A, "ldrexd r4, r5, [r1]; strexd r2, r4, r5, [r1]", "9f4fb1e1942fa1e1", "L1 L1 S1", "2 4 5"),
    (A, "swp r0, r2, [r1]", "920001e1", "L1 S1", "0"),
    (A, "clrex", "1ff07ff5", "", ""),
    (A, "pld [r1]; pldw [r1]; pli [r1]", "00f0d1f500f091f500f0d1f4", "", ""),
    (A, "ldr r0, [pc, #8]", "08009fe5", "L", "0"),
    (A, "ldm r1, {r2, r3, r5}", "2c0091e8", "L1 L1 L1", "2 3 5"),
    (A, "ldmdb r1!, {r2, r3}", "0c0031e9", "L1 L1", "2 3"),
    (A, "ldm r1, {r1, r2}; ldr r0, [r1]", "060091e8000091e5", "L1 L1 L*", "0 1 2"),
    (A, "stmdb r1!, {r2, r3}; str r2, [r1]", "0c0021e9002081e5", "S1 S1 S1", ""),
    (A, "push {r4, r5, lr}; pop {r4}", "30402de904409de4", "S13 S13 S13 L13", "4"),
    (A, "str lr, [sp, #-4]!; pop {pc}", "04e02de504f09de4", "S13 L13", ""),
    (A, "pop {r4, pc}", "1080bde8", "L13 L13", "4"),
    (A, "ldm sp!, {r0, pc} ^", "0180fde8", "L13 L13", "0"),
    (A, "rfeia r1!", "000ab1f8", "L1 L1", ""),
    (A, "srsdb sp!, #0x13", "13056df9", "S13 S13", ""),
    (A, "vldr s0, [r1]; vldr d1, [r2]", "000a91ed001b92ed", "L1 L2", ""),
    (A, "vstr s0, [r1]; vstr d1, [r2]", "000a81ed001b82ed", "S1 S2", ""),
    (A, "vldmia r1!, {d0, d1, d2}; vldmia r1, {s0, s1}", "060bb1ec020a91ec", "L1 L1 L1 L1 L1", ""),
    (A, "vstmdb r1!, {d0, d1}", "040b21ed", "S1 S1", ""),
    (A, "vpush {d8, d9}; vpop {d8}", "048b2ded028bbdec", "S13 S13 L13", ""),
    (A, "vld1.32 {d0, d1}, [r1], r4; vst1.8 {d0}, [r1]", "840a21f40f0701f4", "L1 L1 S1+4", ""),
    (A, "vld1.8 {d0[3]}, [r1]; vld1.32 {d0[], d1[]}, [r1]", "6f00a1f4af0ca1f4", "L1 L1", ""),
    (A, "vld2.32 {d0, d1}, [r1]!", "8d0821f4", "L1 L1 L1 L1", ""),
    (A, "vst3.16 {d0[1], d1[1], d2[1]}, [r1]", "4f0681f4", "S1 S1 S1", ""),
    (A, "vld4.16 {d0[], d1[], d2[], d3[]}, [r1]", "4f0fa1f4", "L1 L1 L1 L1", ""),
    (A, "ldr r0, [r0]; ldr r0, [r0]; str r0, [r0]", "000090e5000090e5000080e5", "L0 L* S*", "0"),
    (
        A,
        "ldr r0, [r1]; add r0, r0, r2; lsl r3, r0, #2; ldr r4, [r5, r3]",
        "000091e5020080e00031a0e1034095e7",
        "L1 L2+5*",
        "0 3 4",
    ),
    (A, "add r0, r1, r2, lsl r3; ldr r4, [r0]", "120381e0004090e5", "L1+2+3", "4"),
    (
        A,
        "ldr r0, [r1], #4; ldr r2, [r1], r3; ldr r4, [r1]",
        "040091e4032091e6004091e5",
        "L1 L1 L1+3",
        "0 2 4",
    ),
    (A, "ldr r0, [r1, r2]!; ldr r3, [r1]", "0200b1e7003091e5", "L1+2 L1+2", "0 3"),
    (A, "ldr r0, [r1]; ldr r2, [r3], r0; ldr r4, [r3]", "000091e5002093e6004093e5", "L1 L3 L3*", "0 2 3 4"),
    (A, "ldr r0, [r1]; mov r0, r2; ldr r3, [r0]", "000091e50200a0e1003090e5", "L1 L2", "3"),
    (A, "ldr r0, [r1]; mov r0, #0; ldr r3, [r0]", "000091e50000a0e3003090e5", "L1 L", "3"),
    (A, "ldr r0, [r1]; movt r0, #1", "000091e5010040e3", "L1", "0"),
    (A, "ldr r0, [r1]; bfi r2, r0, #0, #8; ldr r3, [r2]", "000091e51020c7e7003092e5", "L1 L2*", "0 2 3"),
    (A, "ldr r0, [r1]; uxtab r2, r3, r0; pkhbt r4, r3, r0", "000091e57020e3e6104083e6", "L1", "0 2 4"),
    (A, "ldr r0, [r1]; umlal r0, r2, r3, r4", "000091e59304a2e0", "L1", "0 2"),
    (A, "ldr r0, [r1]; umull r0, r2, r3, r4", "000091e5930482e0", "L1", ""),
    (A, "ldr r0, [r1]; moveq r0, r2; ldr r3, [r0]", "000091e50200a001003090e5", "L1 L2*", "0 3"),
    (
        A,
        "ldr r0, [r1]; cmp r0, #0; moveq r2, r3; ldr r4, [r2]",
        "000091e5000050e30320a001004092e5",
        "L1 L2+3*",
        "0 2 4",
    ),
    (A, "cmp r0, r5; ldreq r2, [r3]; ldrne r4, [r6]", "050050e10020930500409615", "L0+3+5 L0+5+6", "2 4"),
    (
        A,
        "ldr r0, [r1]; cmp r0, #0; cmp r2, #0; ldreq r3, [r4]",
        "000091e5000050e3000052e300309405",
        "L1 L2+4",
        "0 3",
    ),
    (
        A,
        "ldr r0, [r1]; adds r0, r0, #1; adc r2, r3, r4; ldr r5, [r2]",
        "000091e5010090e20420a3e0005092e5",
        "L1 L3+4*",
        "0 2 5",
    ),
    (A, "ldr r0, [r1]; mrc p15, #0, r0, c1, c0, #0; ldr r2, [r0]", "000091e5100f11ee002090e5", "L1 L", "2"),
    (A, "vldr d0, [r1]; vmov r2, r3, d0; ldr r4, [r2]", "000b91ed102b53ec004092e5", "L1 L*", "2 3 4"),
    (
        A,
        "vldr d0, [r1]; vmov s1, r2; vmov r3, s1; vmov d0, r2, r4; vmov r5, s0",
        "000b91ed902a00ee903a10ee102b44ec105a10ee",
        "L1",
        "3",
    ),
    (
        A,
        "vldr s0, [r1]; vcmp.f32 s0, #0; vmrs apsr_nzcv, fpscr; ldreq r0, [r2]",
        "000a91ed400ab5ee10faf1ee00009205",
        "L1 L2*",
        "0",
    ),
    (A, "ldr lr, [r1]; bl #0x8100", "00e091e53d0000eb", "L1", ""),
    (T, "ldr r0, [r1]; push {r4, lr}; pop {r4, pc}", "086810b510bd", "L1 S13 S13 L13 L13", "0 4"),
    (T, "stm r1!, {r2, r3}; ldm r1!, {r4}", "0cc110c9", "S1 S1 L1", "4"),
    (T, "tbb [r1, r4]", "d1e804f0", "L1+4", ""),
    (T, "tbh [pc, r4, lsl #1]", "dfe814f0", "L4", ""),
    (T, "ldrd r2, r5, [r1, #8]!; strd r2, r3, [r1], #-8", "f1e9022561e80223", "L1 L1 S1 S1", "2 5"),
    (T, "itte eq; ldreq r0, [r1]; addeq r2, r0, r3; ldrne r2, [r4]", "06bf0868c2182268", "L1 L4", "0 2"),
    (T, "vld1.8 {d0}, [r1], r4; ldrt r0, [r1]", "21f9040751f8000e", "L1 L1+4", "0"),
    (T, "ldr r0, [sp, #4]; str r0, [r0, r1]", "01984050", "L13 S1*", "0"),
]


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    return Blocks(read_core("cortex-a15"))


def test_the_bytes_here_are_the_instructions_named() -> None:
    found = disassemble([(code, thumb) for thumb, _, code, _, _ in RULES], BASE)
    assert found == [text for _, text, _, _, _ in RULES]


@pytest.mark.parametrize(("thumb", "code", "accesses", "loaded"), [(t, c, a, r) for t, _, c, a, r in RULES])
def test_addresses_depend_on_registers_and_loads(
    blocks: Blocks, thumb: bool, code: str, accesses: str, loaded: str
) -> None:
    cost = blocks.cost(bytes.fromhex(code), BASE, thumb=thumb)
    found = " ".join(
        "LS"[a.store] + "+".join(str(r) for r in sorted(a.address_regs)) + "*" * a.after_load
        for a in cost.accesses
    )
    assert (found, " ".join(str(r) for r in sorted(cost.loaded_regs))) == (accesses, loaded)
