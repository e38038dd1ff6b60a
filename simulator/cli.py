"""The command line: the only place where everything is wired together."""

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console

from simulator.errors import KeyturnError, PlatformUnreachable
from simulator.verdict import ExitCode

if TYPE_CHECKING:
    from simulator.control import Control

DEFAULT_REPORT = Path("keyturn-report")
DEFAULT_API = "http://127.0.0.1:8080"

app = typer.Typer(
    name="keyturn",
    help="Turn the keys of a live device fleet and see what happens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
devices_app = typer.Typer(help="Devices that you already have.", no_args_is_help=True)
app.add_typer(devices_app, name="devices")

T = TypeVar("T")

Scenario = Annotated[str, typer.Argument(help="A scenario file, or the name of a packaged one.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a value, e.g. fleets.meters.count=50.", metavar="PATH=VALUE")
]
ControlApi = Annotated[str, typer.Option("--platform", help="The control API of a running platform.")]
TokenVariable = Annotated[str, typer.Option("--token-env", help="The environment variable that holds its token.")]
AccessKeyVariable = Annotated[str, typer.Option(help="The environment variable that holds its access key (AK).")]
SecretKeyVariable = Annotated[str, typer.Option(help="The environment variable that holds the secret key (SK).")]


@app.command()
def run(
    scenario: Scenario,
    platform: Annotated[
        str, typer.Option(help="'embedded', a control API (https://host), or any MQTT broker (mqtt://host).")
    ] = "",
    engine: Annotated[
        str,
        typer.Option(help="Behind the embedded platform: 'builtin', 'amqtt' or a broker (mqtt://host, unix:/path)."),
    ] = "",
    report: Annotated[Path, typer.Option(help="The folder for journals and results.")] = DEFAULT_REPORT,
    seed: Annotated[int | None, typer.Option(help="Draws secrets, waves and jitter.")] = None,
    overrides: Overrides = None,
    owned: Annotated[
        bool, typer.Option("--i-own-this-fleet", help="Go on against a platform that is not keyturn's.")
    ] = False,
) -> None:
    """Run a scenario and judge it. Exit 0 passed, 1 failed, 2 bad usage, 3 platform unreachable, 4 crash, 5 invalid."""
    from simulator.report.folder import judge_folder, prepared, write_results
    from simulator.report.progress import Progress
    from simulator.report.summary import print_summary
    from simulator.run import Play
    from simulator.scenario.parser import load

    console = Console()
    changes = [*(overrides or ()), *_platform_override(platform), *([f"platform.engine='{engine}'"] if engine else ())]
    loaded = load(scenario, overrides=changes, seed=seed)
    with prepared(report):
        _in_loop(Play(loaded, report, owned=owned).run(Progress(console)))
        judged = judge_folder(report)
        print_summary(console, judged.report, judged.device_records, judged.platform_records)
        write_results(report, judged)
    console.print(f"Journals and results: {report}/", highlight=False)
    raise typer.Exit(judged.report.exit_code)


@app.command()
def check(scenario: Scenario, overrides: Overrides = None) -> None:
    """Read a scenario, say what is wrong with it, and draw its timeline."""
    from simulator.report.plan import print_plan
    from simulator.scenario.parser import load

    print_plan(Console(), load(scenario, overrides=overrides or ()))


@app.command("report")
def report_command(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.")] = DEFAULT_REPORT,
) -> None:
    """Judge a run again from its journals alone; the exit code is the run's."""
    from simulator.report.folder import judge_folder, write_results
    from simulator.report.summary import print_summary

    judged = judge_folder(folder)
    print_summary(Console(), judged.report, judged.device_records, judged.platform_records)
    write_results(folder, judged)
    raise typer.Exit(judged.report.exit_code)


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(help="The folder of a run.")],
    other: Annotated[Path, typer.Argument(help="The folder of another run.")],
) -> None:
    """Show what differs between the results of two runs."""
    from simulator.report.compare import print_comparison

    print_comparison(Console(), one, other)


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from simulator.scenario.schema import json_schema

    print(json.dumps(json_schema(), indent=2))  # noqa: T201 - meant for a file, so nothing may fold or colour it


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def serve(context: typer.Context) -> None:
    """Run the platform alone, for your own devices and tools; 'keyturn serve --help' lists its flags."""
    from simulator.embedded import serve as serve_platform

    raise typer.Exit(serve_platform(context.args))


@devices_app.command("import")
def import_devices(
    file: Annotated[Path, typer.Argument(help="CSV or JSON with device_id, primary, secondary.")],
    platform: ControlApi = DEFAULT_API,
    token_env: TokenVariable = "",
    access_key_env: AccessKeyVariable = "",
    secret_key_env: SecretKeyVariable = "",
) -> None:
    """Register devices with the secrets they already have at a running keyturn platform: all of them, or none."""
    from simulator.identities import read_identities
    from simulator.world import provision

    identities = read_identities(file)
    _call(platform, (token_env, access_key_env, secret_key_env), lambda control: provision(control, identities))
    Console().print(f"{len(identities)} devices registered at {platform}", highlight=False)


@devices_app.command("list")
def list_devices(
    platform: ControlApi = DEFAULT_API,
    token_env: TokenVariable = "",
    access_key_env: AccessKeyVariable = "",
    secret_key_env: SecretKeyVariable = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the devices of a running keyturn platform: their sessions, versions and fingerprints, never a secret."""
    from simulator.inventory import registered
    from simulator.report.devices import print_devices, print_devices_as_json

    entries = _call(platform, (token_env, access_key_env, secret_key_env), registered)
    (print_devices_as_json if as_json else print_devices)(Console(), entries)


@devices_app.command("export")
def export_devices(
    file: Annotated[Path, typer.Argument(help="A new .ndjson file; it will hold secrets.")],
    platform: ControlApi = DEFAULT_API,
    token_env: TokenVariable = "",
    access_key_env: AccessKeyVariable = "",
    secret_key_env: SecretKeyVariable = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if there is one.")] = False,
) -> None:
    """Write the devices of a running keyturn platform WITH THEIR SECRETS to a file, for import or a fleet's devices.

    Secrets are in it as they are. Only your user can read it (mode 0600).
    """
    from simulator.identities import write_identities
    from simulator.inventory import registered_identities

    identities = _call(platform, (token_env, access_key_env, secret_key_env), registered_identities)
    write_identities(file, identities, overwrite=force)
    Console().print(f"{len(identities)} devices written to {file}, with their secrets", highlight=False)


def main() -> None:
    """Run the command line; every foreseen error is one clear message on stderr."""
    try:
        code = app(standalone_mode=False)
    except KeyturnError as error:
        _end(str(error), ExitCode.UNREACHABLE if isinstance(error, PlatformUnreachable) else ExitCode.USAGE)
    except typer.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the guard of the process: our own crash is exit 4
        if isinstance(getattr(error, "exit_code", None), int) and hasattr(error, "format_message"):
            _end(error.format_message(), ExitCode.USAGE)
        traceback.print_exc()
        sys.exit(ExitCode.CRASHED)
    sys.exit(code)


def _platform_override(platform: str) -> list[str]:
    if platform in ("", "embedded"):
        return ["platform={kind: embedded}"] if platform else []
    if platform.startswith("mqtt"):
        return [f"platform={{kind: broker-only, {platform.partition(':')[0]}: '{platform}'}}"]
    return ["platform.kind=remote", f"platform.api='{platform}'"]


def _call(platform: str, variables: tuple[str, str, str], work: "Callable[[Control], Coroutine[Any, Any, T]]") -> T:
    """Do some work with a platform's control API, as the caller in the variables for token, access and secret key."""
    from simulator.caller import CallerVariables
    from simulator.control import Control

    caller = CallerVariables(*variables).read()

    async def call() -> T:
        async with Control(platform, caller=caller) as control:
            return await work(control)

    return _in_loop(call())


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _end(message: str, code: ExitCode) -> NoReturn:
    sys.stderr.write(f"keyturn: {message}\n")
    sys.exit(code)
