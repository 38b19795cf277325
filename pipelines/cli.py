"""The corso-loader command: the face of the program. What the verbs do is in `pipelines.verbs`.

Nothing heavy is imported before a verb needs it: `--help` must not wait for Dagster and polars. How help is laid out, and
what every verb takes, is in `help_text`; how a command speaks, in `output`.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError  # typer exports no other names for them

from pipelines import output, streams
from pipelines.help_text import Verbs, examples

app = typer.Typer(
    cls=Verbs,
    help="Move a merchant's orders from export files into the Corso Commerce API, and prove that they arrived.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="\b\nNew here?\n"
    "  corso-loader demo                                        the whole road, on own samples\n"
    "  corso-loader inspect orders.csv --write loader.yaml      your export; nothing is sent\n"
    "  corso-loader VERB --help                                 what a verb does, with examples\n\n"
    "\b\nExit codes:\n"
    "  0   every source order is in Corso and equal\n"
    "  1   finished, needs a look\n"
    "  2   usage or configuration: nothing was sent\n"
    "  3   stopped by a guard\n"
    "  75  parked: try later, the same command goes on\n"
    "  130 interrupted, states intact: the same command goes on",
)

ledger_app = typer.Typer(
    cls=Verbs, help="Look after the ledger itself.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(ledger_app, name="ledger", rich_help_panel="Around it")

_FIRST, _LOAD, _LOOK, _AROUND = "First contact", "Loading", "Looking", "Around it"


def _json_is_wanted(value: bool) -> bool:
    output.speak(as_json=value)
    return value


ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="What to load and where to; by default the loader.yaml here.",
        default_factory=lambda: output.DEFAULT_CONFIG,
        show_default=False,
    ),
]
BatchOption = Annotated[
    str | None,
    typer.Option("--batch", metavar="NAME", help="Which batch; by default the newest.", show_default=False),
]
UntilOption = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="Park then (exit code 75): HH:MM, the next such time in the store's zone, or YYYY-MM-DD HH:MM.",
        show_default=False,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before sending to production.")]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print facts as one JSON document and nothing else.", callback=_json_is_wanted
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        output.say(f"corso-loader {version('corso-loader')}")
        raise typer.Exit


DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be touched, and touch nothing.")
]


@app.callback()
def options(
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            envvar="CORSO_LOG",
            metavar="json",
            help="Write JSON lines to standard error.",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    version: Annotated[  # noqa: ARG001  (its callback has done it)
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Take what holds for every verb."""
    output.speak(quiet=quiet, as_json=False)
    if log is None or log == "text":
        return
    if log != "json":
        message = f"--log {log}: the only form is json"
        raise typer.BadParameter(message)
    # Runs read it there, the daemon's and the command's alike.
    os.environ["CORSO_LOG"] = log


@app.command(rich_help_panel=_FIRST, epilog=examples("demo", "demo --orders 200 --out /tmp/demo"))
def demo(
    orders: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many sample orders.")] = 2000,
    out: Annotated[Path, typer.Option(help="Where to put samples, sandbox and reports.")] = Path("data/demo"),
    as_json: JsonOption = False,
) -> None:
    """Run the whole road on own samples against a sandbox; needs no configuration."""
    from pipelines import trying  # noqa: PLC0415

    _leave(lambda: trying.demo(orders, out, as_json=as_json))


@app.command(
    rich_help_panel=_FIRST,
    epilog=examples(
        "inspect orders_export.csv",
        "inspect exports/ --time-zone America/New_York --write loader.yaml",
        "inspect exports/ --profile my-profile.yaml",
    ),
)
def inspect(
    paths: Annotated[
        list[Path], typer.Argument(help="Export files, folders of them, or patterns.", metavar="PATH")
    ],
    write: Annotated[
        Path | None,
        typer.Option(
            "--write",
            help="Write a loader.yaml for these files to this path; beside it a profile to fill in where none fits.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME|FILE",
            help="Try this profile: a built-in one, or your own .yaml.",
            show_default=False,
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            metavar="ZONE",
            help="The store's time zone, for times without an offset, e.g. America/New_York.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which profile fits some files, what they hold, what is missing, and which fallbacks would help."""
    from pipelines import inspecting  # noqa: PLC0415

    _leave(lambda: inspecting.inspect(paths, write, profile, time_zone, as_json=as_json))


@app.command(
    rich_help_panel=_FIRST,
    epilog=examples("profiles", "profiles shopify > my-profile.yaml", "profiles --vocabulary"),
)
def profiles(
    name: Annotated[
        str | None, typer.Argument(help="Print this built-in profile, to copy and edit.", show_default=False)
    ] = None,
    vocabulary: Annotated[
        bool, typer.Option("--vocabulary", help="Print every word that a profile may use (Markdown).")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of profiles, for editors.")
    ] = False,
) -> None:
    """List the built-in profiles, or print one."""
    from pipelines.profiles import show_profiles  # noqa: PLC0415

    _leave(lambda: show_profiles(name, vocabulary=vocabulary, schema=schema))


@app.command(rich_help_panel=_FIRST, epilog=examples("doctor", "doctor -c north/loader.yaml --offline"))
def doctor(
    config: ConfigOption,
    batch: BatchOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nothing of the API (one token request, one read).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine all that a load needs: files, disk, ledger, credentials, the API, its quota, the clock."""
    from pipelines import examining  # noqa: PLC0415

    _leave(lambda: examining.doctor(config, batch, offline=offline, as_json=as_json))


@app.command(
    rich_help_panel=_LOAD, epilog=examples("plan", "plan --batch 2026-11-22 --offline", "plan --json")
)
def plan(
    config: ConfigOption,
    batch: BatchOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the API for its quota (one read) for the forecast.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Do everything but sending: accepted, quarantined, the plan, a forecast of requests and time."""
    from pipelines import verbs  # noqa: PLC0415

    _leave(lambda: verbs.plan(config, batch, offline=offline, as_json=as_json))


@app.command(rich_help_panel=_LOAD, epilog=examples("upload --limit 50", "upload --until 06:00"))
def upload(
    config: ConfigOption,
    batch: BatchOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Send no more orders than so many.")] = None,
    until: UntilOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Plan, then send what the plan says: orders first, then their fulfillments."""
    from pipelines import verbs  # noqa: PLC0415

    _leave(lambda: verbs.upload(config, batch, limit=limit, until=until, yes=yes, as_json=as_json))


@app.command(
    rich_help_panel=_LOAD,
    epilog=examples(
        "reconcile",
        "reconcile --batch 2026-11-22",
        "reconcile --verify work/9359/2026-11-22/certificate.json",
    ),
)
def reconcile(
    config: ConfigOption,
    batch: BatchOption = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            metavar="certificate.json",
            help="Check a certificate again instead: hashes, counts and money, by the files themselves.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read Corso back, compare, write the report; or check a certificate again."""
    if certificate is not None:
        from pipelines.verifying import verify_certificate  # noqa: PLC0415

        checked = certificate
        _leave(lambda: verify_certificate(config, checked, as_json=as_json))
        return
    from pipelines import verbs  # noqa: PLC0415

    _leave(lambda: verbs.reconcile(config, batch, as_json=as_json))


@app.command(
    rich_help_panel=_LOAD,
    epilog=examples("run", "run --until 06:00", "run -c north/loader.yaml --yes --quiet"),
)
def run(
    config: ConfigOption,
    batch: BatchOption = None,
    until: UntilOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Plan, upload and reconcile. Run it again after whatever stopped it: it goes on where it was."""
    from pipelines import verbs  # noqa: PLC0415

    _leave(lambda: verbs.run(config, batch, until=until, yes=yes, as_json=as_json))


@app.command(rich_help_panel=_LOAD, epilog=examples("retry", "retry --batch 2026-11-22"))
def retry(
    config: ConfigOption,
    batch: BatchOption = None,
    until: UntilOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send again what was rejected or not sent, look up what is unknown, then reconcile."""
    from pipelines import verbs  # noqa: PLC0415

    _leave(lambda: verbs.retry(config, batch, until=until, yes=yes, as_json=as_json))


@app.command(rich_help_panel=_LOOK, epilog=examples("status", "status --json"))
def status(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Count the ledger's entries by state."""
    from pipelines import looking  # noqa: PLC0415

    _leave(lambda: looking.status(config, as_json=as_json))


@app.command(rich_help_panel=_LOOK, epilog=examples("trace 6097582719028"))
def trace(
    config: ConfigOption,
    source_order_id: Annotated[
        str, typer.Argument(help="The order's id on the source platform, or its name.", metavar="ORDER")
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell one order's story: file and line, checks, attempts, Corso's id, findings."""
    from pipelines import tracing  # noqa: PLC0415

    _leave(lambda: tracing.trace(config, source_order_id, as_json=as_json))


@app.command(
    rich_help_panel=_AROUND,
    epilog=examples("purge --older-than 90d --dry-run", "purge --older-than 2y -c loader.yaml"),
)
def purge(
    config: ConfigOption,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="AGE", help="Since no run touched the batch: 90d, 12w, 6m, 2y."),
    ],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take personal data out of old batches; totals, certificates and the ledger stay: docs/security.md."""
    from pipelines import forgetting  # noqa: PLC0415

    _leave(lambda: forgetting.purge_batches(config, older_than, dry_run=dry_run, as_json=as_json))


@app.command(
    rich_help_panel=_AROUND, epilog=examples("erase --file customers.txt --dry-run", "erase --file - --yes")
)
def erase(
    config: ConfigOption,
    customer: Annotated[
        str | None,
        typer.Argument(
            help="An e-mail address, or a customer id of the source platform.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            help="Customers, one a line; - for standard input: not in the shell's history.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a customer's data out of all that the loader keeps; totals and proofs stay: docs/security.md."""
    from pipelines import forgetting  # noqa: PLC0415

    _leave(
        lambda: forgetting.erase_customers(config, customer, file, dry_run=dry_run, yes=yes, as_json=as_json)
    )


@ledger_app.command(epilog=examples("ledger move", "ledger move -c loader.yaml old/ledger.sqlite"))
def move(
    config: ConfigOption,
    source: Annotated[
        Path | None,
        typer.Argument(help="The file to move; by default ledger.sqlite in the workdir.", metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Move the ledger from its file to the server that CORSO_LEDGER_URL or ledger.url names: docs/ledger.md."""
    from pipelines import moving  # noqa: PLC0415

    _leave(lambda: moving.move_ledger(config, source, as_json=as_json))


@app.command(
    rich_help_panel=_AROUND,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def sandbox(context: typer.Context) -> None:
    """Serve a stand-in Corso API on this machine; `sandbox --help` lists its modes."""
    from sandbox.__main__ import main as serve  # noqa: PLC0415

    raise typer.Exit(serve(list(context.args)))


@app.command(rich_help_panel=_LOOK, epilog=examples("ui", "ui -c north/loader.yaml --port 3001"))
def ui(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="The loader.yaml; by default ./loader.yaml or the demo's."),
    ] = None,
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 3000,
) -> None:
    """Open Dagster's web UI on the instance that the other verbs run on."""
    from pipelines import looking  # noqa: PLC0415

    _leave(lambda: looking.ui(config, port))


def _leave(act: Callable[[], int]) -> None:
    """Run a verb and leave with its exit code; an error of ours is one sentence and its own exit code."""
    from corso.errors import CorsoError  # noqa: PLC0415
    from corso.machine_errors import is_the_machines, machines_error, sentence_of  # noqa: PLC0415
    from corso.scrubbing import without_secrets  # noqa: PLC0415

    try:
        code = act()
    except CorsoError as error:
        code = error.exit_code
        output.say_error(without_secrets(str(error)), code)
    except KeyboardInterrupt:
        code = 130
        output.say_error("interrupted; run the same command again to go on", code)
    except Exception as error:  # noqa: BLE001  (the edge of the program: what is told of it is told here)
        cause = machines_error(error)
        if is_the_machines(cause):
            # The disk is full, a folder may not be written to; whatever was sent is in the ledger.
            code = 3
            output.say_error(f"{sentence_of(cause)}; mend this and run the same command again", code)
        else:
            code = _tell_unexpected(error)
    raise typer.Exit(code)


def _tell_unexpected(error: Exception) -> int:
    """Say where an error is that nobody expected, without its text, which may hold personal data; return the exit code."""
    from corso.unexpected import CRASH, FULL_VARIABLE, places_of  # noqa: PLC0415

    if os.environ.get(FULL_VARIABLE) == "1":
        raise error
    sys.stderr.write(f"{places_of(error)}\n")
    sentence = (
        f"a mistake of this program ({type(error).__name__}); please report the lines above. Its text may hold personal data: "
        f"{FULL_VARIABLE}=1 shows it, and of a batch's run {CRASH} among the tables has it. Whatever was sent is in the ledger."
    )
    output.say_error(sentence, 3)
    return 3


def main() -> None:
    """Run the command."""
    streams.take_over()
    # Everything that is written holds personal data or could lead to it.
    os.umask(0o077)
    # Nor is there a core dump of what holds it. (A limit of 1 is none, also where a program takes them through a pipe.)
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    # The same as Ctrl-C, until a stage has its own way to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(prog_name="corso-loader", standalone_mode=False)
    except NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        code = error.exit_code
    except UsageError as error:
        # What is missing or misspelt is known before any option is: the verb's own say whether JSON is wanted.
        output.speak(as_json="--json" in sys.argv)
        code = error.exit_code
        output.say_error(_said_usage(error), code)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
        output.say_error("interrupted", code)
    code = code or 0
    lost = streams.lost_words()
    if lost is not None:
        # The verb's own end weighs more; a good one needs a look all the same.
        code = code or 1
        output.complain(
            f"standard output could not be written ({lost.strerror}): what was said there is lost, what was done is done"
        )
    sys.exit(code)


def _said_usage(error: UsageError) -> str:
    """Return what is wrong with the command line, and where it is said what is right."""
    sentence = error.format_message().rstrip()
    see = "See" if sentence.endswith("?") else "; see"
    path = error.ctx.command_path if error.ctx else "corso-loader"
    return f"{sentence[0].lower()}{sentence[1:].rstrip('.')}{see if see[0] == ';' else f' {see}'} `{path} --help`"


if __name__ == "__main__":
    main()
