"""Every attack by its name."""

from __future__ import annotations

from tests.attack.deaths import forks, killed_compilations, killed_saves
from tests.attack.files import altered_checkpoints, damaged_caches, full_disks
from tests.attack.fuzz import calls_at_random
from tests.attack.modes import arithmetic_modes, compiler_flags
from tests.attack.outcome import Attack
from tests.attack.racing import races
from tests.attack.sanitizers import sanitizers
from tests.attack.signals import interrupts

__all__ = ["ATTACKS"]

ATTACKS: dict[str, Attack] = {
    "sanitizers": sanitizers,
    "checkpoints": altered_checkpoints,
    "caches": damaged_caches,
    "disks": full_disks,
    "saves": killed_saves,
    "compilations": killed_compilations,
    "forks": forks,
    "interrupts": interrupts,
    "races": races,
    "flags": compiler_flags,
    "modes": arithmetic_modes,
    "calls": calls_at_random,
}
