"""The parts of README.md that are made from the code: `python -m tests.readme` writes them anew."""

from pathlib import Path

from simulator.device.profiles import PROFILES
from simulator.metrics import markdown_table
from simulator.report.diagram import mermaid

README = Path(__file__).parent.parent / "README.md"


def profile_table() -> str:
    head = "| Profile | Waits before a retry | After a lost link | Gives up | Sign digit |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{name}` | {one.backoff} | {'reconnects at once' if one.reconnects_at_once else 'waits first'} "
        f"| {'when its very first round is refused' if one.halts_on_first_refusal else 'never'} | {one.sign} |\n"
        for name, one in PROFILES.items()
    )


SECTIONS = {
    "states": lambda: f"```mermaid\n{mermaid()}```\n",
    "metrics": markdown_table,
    "profiles": profile_table,
}


def section(text: str, name: str) -> tuple[int, int]:
    """Where a generated part stands: behind its opening marker, before its closing one."""
    opening, closing = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
    start = text.index(opening) + len(opening)
    return start, text.index(closing, start)


def write() -> None:
    text = README.read_text()
    for name, make in SECTIONS.items():
        start, end = section(text, name)
        text = text[:start] + make() + text[end:]
    README.write_text(text)


if __name__ == "__main__":
    write()
