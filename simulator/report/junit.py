"""`junit.xml`: a judged run as the test report that continuous integration reads."""

from xml.etree import ElementTree as Xml

from simulator.expectations import Verdict
from simulator.facts import StepFacts
from simulator.verdict import RunReport

SUITES = ("steps", "expectations")


def junit(report: RunReport) -> bytes:
    """One test case for each step and each expectation; what is invalid or was skipped is neither passed nor failed."""
    root = Xml.Element("testsuites", name=report.header["scenario"])
    steps, expectations = (Xml.SubElement(root, "testsuite", name=name) for name in SUITES)
    for step in report.steps:
        _step(steps, step)
    for outcome in report.outcomes:
        case = _case(expectations, outcome.expectation.text)
        if outcome.verdict is Verdict.FAILED:
            Xml.SubElement(case, "failure", message=outcome.observed).text = "\n".join(outcome.worst)
        elif outcome.verdict is Verdict.INVALID:
            Xml.SubElement(case, "error", type="invalid", message=outcome.observed)
    for crash in report.oracle.crashes:
        Xml.SubElement(_case(steps, "crash"), "error", type="crash").text = crash["traceback"]
    for suite in (steps, expectations):
        suite.set("tests", str(len(suite)))
        for name, counted in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{counted}"))))
    Xml.indent(root)
    return bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True))


def _case(suite: Xml.Element, name: str) -> Xml.Element:
    return Xml.SubElement(suite, "testcase", classname=f"keyturn.{suite.get('name')}", name=name)


def _step(suite: Xml.Element, step: StepFacts) -> None:
    case = _case(suite, f"{step.step}: {step.verb}")
    if step.ended is not None:
        case.set("time", f"{step.ended - step.started:.3f}")
    if step.state == "failed":
        Xml.SubElement(case, "failure", message=step.detail)
    elif step.state != "done":
        Xml.SubElement(case, "skipped", message=step.detail or step.state)
