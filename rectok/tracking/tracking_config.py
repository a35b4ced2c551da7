"""Which experiment trackers a project uses."""

from rectok.config import Config


class TrackingConfig(Config):
    """Where curves, metrics and pictures go besides data/. None of them changes a result, and all are off by default.

    `tensorboard` writes event files below data/tracking. `wandb` logs to Weights & Biases as its environment variables say:
    WANDB_MODE=offline needs no network. `mlflow` is the URI of an MLflow server or store.
    """

    tensorboard: bool
    wandb: bool
    mlflow: str

    @property
    def on(self) -> bool:
        """Whether there is a tracker at all."""
        return self.tensorboard or self.wandb or bool(self.mlflow)
