"""The GPU in the record, and when its times mean nothing."""

from __future__ import annotations

from bench.device import card


def test_folders_are_named_after_the_gpu() -> None:
    assert card.slug("NVIDIA H200") == "nvidia-h200"
    assert card.slug("NVIDIA GeForce RTX 4090 (Laptop)") == "nvidia-geforce-rtx-4090-laptop"


def test_a_rehearsal_is_an_emulated_device_or_the_smoke_profile() -> None:
    gpu = {"device": {"simulated": False}, "profile": "quick"}
    assert not card.rehearsal(gpu)
    assert card.rehearsal(gpu | {"profile": "smoke"})
    assert card.rehearsal(gpu | {"device": {"simulated": True}})
