import torch

from rectok.seeds import sample_seeds, seed_of

STAGES = ("teacher", "metric_network", "tokenizer", "decoder", "dit", "autoguidance")


def test_purposes_never_share_a_seed() -> None:
    seeds = [seed_of(seed, stage) for seed in range(500) for stage in STAGES]  # a sum of letters shared some
    seeds += [seed_of(seed, "order", epoch) for seed in range(20) for epoch in range(20)]
    seeds += [seed_of(seed, step, micro) for seed in range(5) for step in range(1, 20) for micro in range(1, 5)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_stays_what_it_is() -> None:
    assert seed_of(0, "tokenizer") == seed_of(0, "tokenizer")
    assert seed_of(0, "a", "b") != seed_of(0, "b", "a") != seed_of(0, "ab")


def test_sample_seeds_never_repeat_within_a_set_and_differ_between_purposes() -> None:
    seeds = sample_seeds(0, "generation", 50_000)
    assert len(seeds.unique()) == 50_000
    assert int(seeds.min()) >= 0
    assert int(seeds.max()) < 2**32
    assert not torch.isin(sample_seeds(0, "nightly/2026-01-01", 50_000), seeds).any()
    assert torch.equal(sample_seeds(0, "generation", 10), seeds[:10])
