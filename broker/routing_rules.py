"""Who wants to be told of what: the vendor's routing rules, each with the actions that say where to.

One kind of rule is served, on changes of device status, and one kind of action, a push over HTTP. They live in memory
and end with the platform.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from broker.clock import Clock
from broker.errors import InvalidInput, UnknownAction, UnknownRule
from broker.push.target import Target, parse_target
from broker.record_ids import RecordIds

MAX_RULES = 20
MAX_ACTIONS = 10
"""Of one rule, as the vendor's Terraform provider bounds its `targets`."""


@dataclass(frozen=True, slots=True)
class RuleTexts:
    """What a rule says of itself; None is what nobody said."""

    rule_name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule tells nobody anything before it is made active."""

    rule_id: str
    texts: RuleTexts
    app_type: str
    app_id: str | None
    is_active: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    action_id: str
    rule_id: str
    target: Target


class RoutingRules:
    """The rules and their actions, the oldest first; `follow` is told the targets of the active ones at each change.

    `anywhere` allows targets on other machines.
    """

    def __init__(self, clock: Clock, follow: Callable[[Mapping[str, Target]], None], *, anywhere: bool) -> None:
        self._anywhere = anywhere
        self._ids = RecordIds(clock)
        self._follow = follow
        self._rules: dict[str, Rule] = {}
        self._actions: dict[str, Action] = {}

    def rules(self) -> list[Rule]:
        return list(self._rules.values())

    def actions(self) -> list[Action]:
        return list(self._actions.values())

    def rule(self, rule_id: str) -> Rule:
        """Raises UnknownRule."""
        rule = self._rules.get(rule_id)
        if rule is None:
            raise UnknownRule(rule_id)
        return rule

    def action(self, action_id: str) -> Action:
        """Raises UnknownAction."""
        action = self._actions.get(action_id)
        if action is None:
            raise UnknownAction(action_id)
        return action

    def add_rule(self, texts: RuleTexts, app_type: str, app_id: str | None) -> Rule:
        """Add a rule that is not active. Raises InvalidInput when there are too many."""
        if len(self._rules) >= MAX_RULES:
            raise InvalidInput(f"there are {MAX_RULES} rules, expected no more")
        rule = Rule(self._ids.take(), texts, app_type, app_id)
        self._rules[rule.rule_id] = rule
        return rule

    def change_rule(self, rule_id: str, texts: RuleTexts, *, active: bool | None) -> Rule:
        """Change what is not None. Raises UnknownRule."""
        rule = self.rule(rule_id)
        name, description = texts.rule_name, texts.description
        changed = replace(
            rule,
            texts=RuleTexts(
                rule.texts.rule_name if name is None else name,
                rule.texts.description if description is None else description,
            ),
            is_active=rule.is_active if active is None else active,
        )
        self._rules[rule_id] = changed
        self._tell()
        return changed

    def remove_rule(self, rule_id: str) -> None:
        """Remove a rule with its actions. Raises UnknownRule."""
        self.rule(rule_id)
        del self._rules[rule_id]
        for action in self._actions_of(rule_id):
            del self._actions[action.action_id]
        self._tell()

    def add_action(self, rule_id: str, url: str) -> Action:
        """Raises UnknownRule, and InvalidInput when the rule has too many or the URL is not allowed."""
        self.rule(rule_id)
        if len(self._actions_of(rule_id)) >= MAX_ACTIONS:
            raise InvalidInput(f"the rule has {MAX_ACTIONS} actions, expected no more")
        action = Action(self._ids.take(), rule_id, parse_target(url, anywhere=self._anywhere))
        self._actions[action.action_id] = action
        self._tell()
        return action

    def change_action(self, action_id: str, url: str | None) -> Action:
        """Change the target unless it is None. Raises UnknownAction, and InvalidInput for a URL that is not allowed."""
        action = self.action(action_id)
        changed = action if url is None else replace(action, target=parse_target(url, anywhere=self._anywhere))
        self._actions[action_id] = changed
        self._tell()
        return changed

    def remove_action(self, action_id: str) -> None:
        """Raises UnknownAction."""
        self.action(action_id)
        del self._actions[action_id]
        self._tell()

    def _actions_of(self, rule_id: str) -> list[Action]:
        return [one for one in self._actions.values() if one.rule_id == rule_id]

    def _tell(self) -> None:
        active = {one.rule_id for one in self._rules.values() if one.is_active}
        self._follow({one.action_id: one.target for one in self._actions.values() if one.rule_id in active})
