"""A release into an AKS, whose tokens end while it waits."""

from collections.abc import Callable

from tandem.records import Image
from tandem.seams import Target
from tandem.targets import Given
from tests.azure_double import Azure
from tests.kubernetes_app import DEPLOYMENT, app_files

SLOW = DEPLOYMENT.replace("periodSeconds: 1}", "periodSeconds: 1, initialDelaySeconds: 16}")


def test_a_rollout_goes_on_when_its_token_has_ended_in_the_middle(
    azure: Azure, writer: None, open_environment: Callable[..., Target], make_image: Callable[..., Image]
) -> None:
    azure.lives, image = 4, make_image("v1")  # renewed after 2 s: it has 2 more to arrive
    target = open_environment(given=Given(files=lambda commit: app_files(SLOW)))
    said = [each.message for each in target.roll_out(image, target.state())]  # the cluster keeps a token for 10 s more
    assert said[-1].startswith("users reach it at http://")
    assert target.running().digests == (image.digest,)
    assert len(azure.seen) >= 3
