"""Page tables of real software: every recorded answer, from both walkers.

The recorder, QEMU 7.2, is known to differ from the architecture in two ways.  They are named below with the
exact condition under which each appears, and counted: any other difference fails, and so does a different
count.
"""

from collections import Counter

import pytest

from pyemu.mmu.reference import Access, Fault
from tests.mmu.dump_cases import NAMES, Dump, dump
from tests.mmu.walkers import WALKERS, Walker

# gva2gpa is a debugger's walk: it does not look at the access flag.
IGNORES_ACCESS_FLAG = "gva2gpa ignores AF = 0"
# The recorder looks at DACR after the first descriptor; the architecture's order is translation fault, then
# domain.
DOMAIN_TOO_EARLY = "domain fault reported where the second-level descriptor is invalid"

GVA2GPA_DEVIATIONS = {
    "synth-lpae-00": 69,
    "synth-lpae-01": 67,
    "synth-lpae-02": 48,
    "synth-lpae-03": 49,
    "synth-lpae-04": 46,
    "synth-lpae-05": 64,
    "synth-lpae-06": 66,
    "synth-lpae-07": 54,
}
PAR_DEVIATIONS = {"rt-armmp-1G-svc": 1068}

SHORT_PAR_DOMAIN_2 = 0b01011 << 1 | 1
# The recorder fills only these bits of a successful 32-bit PAR ("we do not set any attribute bits"); memory
# types of short descriptors are tested in test_reference.py.
SHORT_PAR_RECORDED = 0xFFFFF000 | 1 << 9 | 1 << 1 | 1


@pytest.fixture(params=NAMES)
def case(request: pytest.FixtureRequest) -> Dump:
    return dump(request.param)


@pytest.fixture(params=WALKERS)
def walker(request: pytest.FixtureRequest, case: Dump) -> Walker:
    return WALKERS[request.param](case.runs())


def long_output(descriptor: int, level: int, va: int) -> int:
    """The output address of a long-descriptor leaf, whatever its access flag."""
    low = 39 - 9 * level
    return descriptor & ((1 << 40) - (1 << low)) | va & ((1 << low) - 1)


def domain_field(dacr: int, domain: int) -> int:
    return dacr >> 2 * domain & 3


def test_there_are_eighteen_dumps_and_their_deviations_name_existing_ones() -> None:
    assert len(NAMES) == 18
    assert set(GVA2GPA_DEVIATIONS) | set(PAR_DEVIATIONS) <= set(NAMES)


def test_every_gva2gpa_answer_is_reproduced(case: Dump, walker: Walker) -> None:
    deviations: Counter[str] = Counter()
    differences = []
    for va, recorded, _region, _verdict in case.gva2gpa:
        t = walker.translate(case.regime, va, Access.READ, case.privileged)
        if (t.pa if t.fault == Fault.NONE else None) == recorded:
            continue
        if t.fault == Fault.ACCESS_FLAG and recorded == long_output(t.descriptor, t.level, va):
            deviations[IGNORES_ACCESS_FLAG] += 1
        else:
            differences.append((hex(va), recorded, t))
    assert differences == []
    assert deviations[IGNORES_ACCESS_FLAG] == GVA2GPA_DEVIATIONS.get(case.name, 0)


def test_every_par_is_reproduced(case: Dump, walker: Walker) -> None:
    deviations: Counter[str] = Counter()
    differences = []
    for va, *pars in case.par:
        for operation, recorded in enumerate(pars):
            access, privileged = operation & 1, operation < 2
            par = walker.par(case.regime, va, access, privileged)
            if not case.long_format and not par & 1:
                par &= SHORT_PAR_RECORDED
            if par == recorded:
                continue
            t = walker.translate(case.regime, va, access, privileged)
            if (
                not case.long_format
                and (t.fault, t.level, recorded) == (Fault.TRANSLATION, 2, SHORT_PAR_DOMAIN_2)
                and domain_field(case.regime.dacr, t.domain) in (0, 2)
            ):
                deviations[DOMAIN_TOO_EARLY] += 1
            else:
                differences.append((hex(va), operation, hex(par), hex(recorded)))
    assert differences == []
    assert deviations[DOMAIN_TOO_EARLY] == PAR_DEVIATIONS.get(case.name, 0)


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize("name", [name for name in NAMES if dump(name).has("exec")])
def test_every_instruction_fetch_is_reproduced(name: str, walker_name: str) -> None:
    case = dump(name)
    walker = WALKERS[walker_name](case.runs())
    for va, *recorded in case.fetches:
        for privileged, answer in zip((True, False), recorded, strict=True):
            t = walker.translate(case.regime, va, Access.FETCH, privileged)
            if t.fault == Fault.NONE:
                ours: str | int = "ok"
            else:
                ours = walker.fault_status(case.regime, va, Access.FETCH, privileged)
            assert ours == answer, (hex(va), privileged)


@pytest.mark.parametrize("walker_name", WALKERS)
@pytest.mark.parametrize("name", [name for name in NAMES if dump(name).has("mappings")])
def test_every_recorded_mapping_is_the_descriptor_that_decides(name: str, walker_name: str) -> None:
    case = dump(name)
    walker = WALKERS[walker_name](case.runs())
    for _ttbr, va, level, descriptor, kind in case.mappings:
        t = walker.translate(case.regime, va, Access.READ, True)
        assert (t.level, t.descriptor) == (level, descriptor), hex(va)
        assert (t.fault == Fault.TRANSLATION) == (kind == "invalid_nonzero"), hex(va)
