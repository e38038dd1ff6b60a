"""Runs one test of a client suite of eclipse/paho.mqtt.testing; a program, for the suites leave threads behind.

`python paho_suite.py CHECKOUT MODULE` prints the names of the tests, a line each; with `PORT TEST` after them it runs
that test, and prints what it failed with, if it did.
"""

import importlib
import sys
import unittest
from pathlib import Path
from typing import Any

TOPICS = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
WILD_TOPICS = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
"""What the suites set when they are started by themselves."""


def main(checkout: str, module: str, port: str = "0", name: str | None = None) -> int:
    sys.path.insert(0, str(Path(checkout, "interoperability")))
    suite: Any = importlib.import_module(module)
    suite.host, suite.port = "127.0.0.1", int(port)
    suite.topics, suite.wildtopics = TOPICS, WILD_TOPICS
    suite.nosubscribe_topics, suite.topic_prefix = ("test/nosubscribe",), f"{module}/"
    if hasattr(suite.Test, "will_message_test"):  # its name keeps the suite's own runner from it
        suite.Test.test_will_message = suite.Test.will_message_test
    if name is None:
        sys.stdout.write("\n".join(unittest.TestLoader().getTestCaseNames(suite.Test)) + "\n")
        return 0
    result = unittest.TestSuite([suite.Test(name)]).run(unittest.TestResult())
    sys.stdout.write("".join(f"\n{said}" for _, said in (*result.failures, *result.errors)))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
