from pathlib import Path

import pytest

from rectok import artifacts
from rectok.trainers.sample_quality import metric_network_of
from rectok.trainers.stage import TrainingStage
from tests.errors import user_error
from tests.project import write_params


def test_evaluation_needs_the_metric_network_and_tables_of_shards_whose_images_may_lie_in_a_bucket(here: Path) -> None:
    params = write_params(here)
    stage = TrainingStage("dit", params)
    artifacts.stage_dir("metric_network").mkdir(parents=True)
    with user_error("dit.evaluate_every reads data/metric_network and data/shards, which are not both here"):
        metric_network_of(stage, 8)
    artifacts.stage_dir("shards").mkdir()
    for shard in params.index.shards:
        artifacts.shard_table(shard).touch()
    with pytest.raises(FileNotFoundError, match=r"data/metric_network/summary\.json"):  # it goes on to read the network
        metric_network_of(stage, 8)
