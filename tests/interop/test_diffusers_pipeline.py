"""The exported folder is a pipeline of diffusers, which draws what rectok draws."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rectok import Generator
from rectok.evaluation.image_quality import to_uint8
from tests.interop.test_hub import SAMPLING, exported
from tests.networks import random_generator

pytest.importorskip("diffusers")
CODE = """
import numpy, torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
from rectok.errors import UserError

pipeline = DiffusionPipeline.from_pretrained("hub", trust_remote_code=True)
assert pipeline.to("cpu") is pipeline and pipeline.device.type == "cpu"
labels = [3, 1, 3]
torch.save(
    {
        "pictures": torch.stack([torch.from_numpy(numpy.array(image)) for image in pipeline(labels, seed=5).images]),
        "plain": pipeline(labels, guidance_scale=1, output_type="pt").images,
        "longer": pipeline(2, num_inference_steps=5, output_type="pt", return_dict=False)[0],
        "classes": list(pipeline.sampling.classes),
    },
    "drawn.pt",
)
for wrong in ({"guidance_scale": -1}, {"num_inference_steps": 0}):
    try:
        pipeline(labels, **wrong)
    except UserError as error:
        assert "but must be greater than" in str(error)
    else:
        raise AssertionError(f"{wrong} is taken")
weights = load_file("hub/dit/model.safetensors")
del weights["time.out.bias"]
save_file(weights, "hub/dit/model.safetensors")
try:
    DiffusionPipeline.from_pretrained("hub", trust_remote_code=True)
except UserError as error:
    assert "lacks the tensor time.out.bias" in str(error)
else:
    raise AssertionError("a tensor is missing")
"""


@pytest.mark.slow
def test_diffusers_draws_the_same_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Generator.load(random_generator(tmp_path / "data"), device="cpu")
    exported(tmp_path / "data", tmp_path / "hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Expected types" not in done.stderr and "are not expected by" not in done.stderr
    drawn = torch.load(tmp_path / "drawn.pt", weights_only=True)

    def expected(labels: tuple[int, ...], seed: int, points: int, guidance: float) -> torch.Tensor:
        sampler = SAMPLING.sampler.model_copy(update={"points": points})
        seeds = enumerate(labels, seed)
        return torch.cat(
            [ours.sample(label, seed=n, guidance=guidance, kind="autoguidance", sampler=sampler) for n, label in seeds]
        )

    pictures = to_uint8(expected((3, 1, 3), 5, 3, 3.0), "truncate").movedim(1, -1)
    assert (
        drawn["pictures"].int() - pictures.int()
    ).abs().max() <= 1  # a batch of three rounds otherwise than three of one
    torch.testing.assert_close(drawn["plain"], expected((3, 1, 3), 0, 3, 1.0))
    torch.testing.assert_close(drawn["longer"], expected((2,), 0, 6, 3.0))
    assert drawn["classes"] == list(SAMPLING.classes)
