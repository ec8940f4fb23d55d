"""A release into an AKS, whose tokens end while it waits."""

from collections.abc import Callable

from tandem.records import Image
from tandem.seams import Target
from tests.azure_double import Azure


def test_the_token_is_renewed_in_the_middle_of_a_rollout(
    azure: Azure, writer: None, open_environment: Callable[..., Target], make_image: Callable[..., Image]
) -> None:
    target = open_environment()
    list(target.roll_out(make_image("v1"), target.state()))
    azure.lives, image = 2, make_image("v2", "slow")
    target = open_environment()
    state, before = target.state(), set(azure.seen)
    said = [each.message for each in target.roll_out(image, state)]  # which takes 5 s: the old pod's end is waited for
    assert said[-1].startswith("users reach it at http://")
    assert target.running().digests == (image.digest,)
    assert azure.seen - before  # the watches went on, and what was asked after them came with another token
