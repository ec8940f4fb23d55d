"""Many hints become one run, none is lost while Prefect is away, and no app waits for another's storm."""

import threading
import time
from itertools import pairwise

from tests.triggers import hooks
from tests.triggers.conftest import SECRET, Open, Receiver, write_app
from tests.triggers.prefect_double import PrefectDouble


def push(receiver: Receiver, number: int, name: str = "acme/shop") -> None:
    """A push like no other."""
    sent = hooks.github(name=name)
    changed = hooks.Sent("github", sent.headers, sent.body.replace(hooks.AFTER.encode(), b"%040x" % number))
    answer = receiver.take(changed.signed(SECRET))
    assert answer.status_code == 202 and answer.json()["apps"], answer.text


def test_the_first_hint_starts_a_run_at_once(receiver: Receiver) -> None:
    before = time.monotonic()
    push(receiver, 1)
    receiver.prefect.wait("shop", 1)
    assert receiver.prefect.starts[0][1] - before < 30  # at once: reconcile comes every minute anyway


def test_while_a_run_has_not_begun_further_hints_add_nothing(receiver: Receiver) -> None:
    push(receiver, 1)
    (run,) = receiver.prefect.wait("shop", 1)
    for number in range(2, 40):
        push(receiver, number)
        receiver.prefect.becomes(run, "PENDING" if number > 20 else "SCHEDULED")
        time.sleep(0.05)
    assert receiver.prefect.started("shop") == [run]


def test_hints_after_it_began_start_exactly_one_more(receiver: Receiver) -> None:
    push(receiver, 1)
    (run,) = receiver.prefect.wait("shop", 1)
    receiver.prefect.becomes(run, "RUNNING")
    for number in range(2, 30):
        push(receiver, number)
    receiver.prefect.wait("shop", 2)
    for number in range(30, 60):
        push(receiver, number)
    time.sleep(1.5)
    assert len(receiver.prefect.started("shop")) == 2


def test_a_storm_never_has_more_than_two_runs_of_an_app_side_by_side(receiver: Receiver) -> None:
    for number in (1, 2):
        push(receiver, number)
        receiver.prefect.becomes(receiver.prefect.wait("shop", number)[-1], "RUNNING")
    push(receiver, 3)
    time.sleep(2.5)
    first, _ = receiver.prefect.started("shop")
    receiver.prefect.becomes(first, "COMPLETED")
    receiver.prefect.wait("shop", 3)


def test_a_hint_after_the_run_is_over_starts_the_next(receiver: Receiver) -> None:
    push(receiver, 1)
    (run,) = receiver.prefect.wait("shop", 1)
    receiver.prefect.becomes(run, "COMPLETED")
    push(receiver, 2)
    receiver.prefect.wait("shop", 2)


def test_a_run_that_the_server_forgot_is_started_anew(receiver: Receiver) -> None:
    push(receiver, 1)
    (run,) = receiver.prefect.wait("shop", 1)
    del receiver.prefect.runs[run]
    push(receiver, 2)
    receiver.prefect.wait("shop", 2)


def test_one_app_is_started_at_most_once_a_second(receiver: Receiver) -> None:
    ended, number = time.monotonic() + 120, 0
    while len(receiver.prefect.starts) < 4:
        push(receiver, number := number + 1)
        for run in receiver.prefect.started("shop"):
            receiver.prefect.becomes(run, "COMPLETED")
        assert time.monotonic() < ended, receiver.prefect.starts
    times = [at for _, at, _ in receiver.prefect.starts]
    assert all(later - earlier > 0.95 for earlier, later in pairwise(times))


def test_a_storm_for_one_app_never_delays_anothers_single_push(tmp_path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop")
    write_app(tmp_path, "quiet", "https://github.com/acme/quiet")
    receiver, over = open_receiver(), threading.Event()

    def storm() -> None:
        number = 0
        while not over.is_set():
            push(receiver, number := number + 1)
            for run in receiver.prefect.started("shop"):
                receiver.prefect.becomes(run, "RUNNING")

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        receiver.prefect.wait("shop", 2)
        push(receiver, 10**9, "acme/quiet")
        receiver.prefect.wait("quiet", 1)  # the storm goes on meanwhile
    finally:
        over.set()
        thread.join()


def test_a_server_that_was_away_hears_of_it_when_it_is_back(receiver: Receiver) -> None:
    receiver.prefect.down()
    for number in range(20):
        push(receiver, number)
    receiver.log.wait("tried again until it is")
    time.sleep(2)
    assert len([line for line in receiver.log.said if "tried again" in line]) == 1
    receiver.prefect.up()
    receiver.prefect.wait("shop", 1)
    receiver.log.wait("starts reconciles again")
    assert len(receiver.prefect.started("shop")) == 1


def test_a_lost_answer_to_a_start_is_no_second_run(receiver: Receiver) -> None:
    receiver.prefect.losing = 4  # more than are tried at once
    push(receiver, 1)
    receiver.log.wait("shop: reconcile is run")
    assert len(receiver.prefect.started("shop")) == 1


def test_a_hint_between_a_lost_answer_and_the_next_try_is_not_lost(receiver: Receiver) -> None:
    receiver.prefect.losing = 4
    push(receiver, 1)
    (run,) = receiver.prefect.wait("shop", 1)
    receiver.log.wait("tried again until it is")
    receiver.prefect.becomes(run, "RUNNING")  # it has read everything already
    push(receiver, 2)
    receiver.prefect.wait("shop", 2)


def test_an_app_that_the_server_refuses_holds_no_other_up(
    tmp_path, prefect: PrefectDouble, open_receiver: Open
) -> None:
    write_app(tmp_path, "shop")
    write_app(tmp_path, "refused", "https://github.com/acme/refused")
    prefect.refused.add("refused")
    receiver = open_receiver()
    push(receiver, 1, "acme/refused")
    receiver.log.wait("refused: its reconcile is not started")
    push(receiver, 2)
    prefect.wait("shop", 1)  # the other is still refused
    prefect.refused.clear()
    prefect.wait("refused", 1)
