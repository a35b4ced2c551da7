"""Every random draw of a run begins at a seed from here."""

import hashlib

import numpy as np
import torch
from torch import Tensor


def seed_of(*names: int | str) -> int:
    """A seed in [0, 2**63) for what `names` name together, such as the run's seed, "order" and an epoch.

    Every purpose uses a fixed number of names, because NumPy's SeedSequence ignores zeros at the end.
    """
    words = [name if isinstance(name, int) else _number(name) for name in names]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


def sample_seeds(seed: int, purpose: str, count: int) -> Tensor:
    """One seed per sample index, int64 [count]: consecutive from a start that (seed, purpose) gives.

    Torch's generator on the CPU keeps 32 bits of a seed. Consecutive seeds never collide within a set; hashed ones would.
    """
    return (seed_of(seed, purpose) % 2**32 + torch.arange(count)) % 2**32


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
