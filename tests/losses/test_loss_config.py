from tests.errors import user_error
from tests.teacher.project import params


def test_perceptual_weights_need_their_sha256() -> None:
    with user_error(r"decoder.losses.perceptual.vgg.sha256 is empty, but s3://w/vgg needs it"):
        params(decoder__losses__perceptual__vgg={"path": "s3://w/vgg", "sha256": ""})
