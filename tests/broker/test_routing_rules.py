"""Which receivers are to be told, after every change of the rules."""

from collections.abc import Mapping

import pytest

from broker.errors import UnknownAction, UnknownRule
from broker.push.target import Target
from broker.routing_rules import RoutingRules, RuleTexts
from tests.broker.rig import FakeClock

HERE, THERE = Target("http://127.0.0.1:1/", "127.0.0.1:1"), Target("http://127.0.0.1:2/", "127.0.0.1:2")


class Follower:
    def __init__(self) -> None:
        self.targets: Mapping[str, Target] = {}

    def follow(self, targets: Mapping[str, Target]) -> None:
        self.targets = targets


def test_active_rules_are_followed_and_others_are_not() -> None:
    follower = Follower()
    rules = RoutingRules(FakeClock(), follower.follow, anywhere=False)
    one, other = (rules.add_rule(RuleTexts(), "GLOBAL", None).rule_id for _ in range(2))
    first, second = rules.add_action(one, HERE.url).action_id, rules.add_action(other, THERE.url).action_id
    assert follower.targets == {}
    rules.change_rule(one, RuleTexts(), active=True)
    assert follower.targets == {first: HERE}
    rules.change_rule(other, RuleTexts(), active=True)
    assert follower.targets == {first: HERE, second: THERE}
    rules.change_action(first, THERE.url)
    assert follower.targets == {first: THERE, second: THERE}
    rules.change_rule(one, RuleTexts("name"), active=None)
    assert follower.targets.keys() == {first, second}
    rules.change_rule(one, RuleTexts(), active=False)
    assert follower.targets.keys() == {second}
    third = rules.add_action(other, HERE.url).action_id
    rules.remove_action(second)
    assert follower.targets == {third: HERE}
    rules.remove_rule(other)
    assert follower.targets == {}
    assert rules.actions() == [rules.action(first)]


def test_what_is_left_out_of_a_change_stays() -> None:
    rules = RoutingRules(FakeClock(), Follower().follow, anywhere=False)
    rule_id = rules.add_rule(RuleTexts("name", "text"), "APP", "space").rule_id
    rules.change_rule(rule_id, RuleTexts(description=""), active=True)
    changed = rules.change_rule(rule_id, RuleTexts(), active=None)
    assert (changed.texts, changed.app_type, changed.app_id) == (RuleTexts("name", ""), "APP", "space")
    assert changed.is_active


def test_unknown_ids_change_nothing() -> None:
    rules = RoutingRules(FakeClock(), Follower().follow, anywhere=False)
    with pytest.raises(UnknownRule):
        rules.add_action("r", HERE.url)
    with pytest.raises(UnknownRule):
        rules.change_rule("r", RuleTexts(), active=True)
    with pytest.raises(UnknownRule):
        rules.remove_rule("r")
    with pytest.raises(UnknownAction):
        rules.change_action("a", HERE.url)
    with pytest.raises(UnknownAction):
        rules.remove_action("a")
    assert (rules.rules(), rules.actions()) == ([], [])
