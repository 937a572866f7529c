"""``blockdrivers certify``: run the suite on an array, write certificate and reports, print the grade."""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from blockdrivers.cli.base import PROTOCOL_METAVAR, Command, State, console, pass_state, print_json, protocol_argument
from blockdrivers.errors import ConfigurationError, InvalidRequest
from blockdrivers.model import Host, Protocol
from blockdrivers.plugins import Adapter, find_model
from conformance.cli import grade
from conformance.cli.cinder import BACKEND as CINDER_BACKEND
from conformance.cli.cinder import CinderDriver, configured
from conformance.outcome import Outcome, Result
from conformance.target import Target

if TYPE_CHECKING:
    from rich.progress import Progress

    from blockdrivers.config import Configuration
    from conformance.certificate import Certificate
    from conformance.runner import Lifeline

TEST_HOSTS = (
    Host("cmp01", "iqn.1994-05.org.example:cmp01", ("21000024ff000001", "21000024ff000002"), addresses=("127.0.1.1",)),
    Host("cmp02", "iqn.1994-05.org.example:cmp02", ("21000024ff000003", "21000024ff000004"), addresses=("127.0.1.2",)),
)
"""What a simulated array gets to see; over NFS they come from these addresses, which every machine has."""

_BYTES_OF_A_WWPN = 8
_LOOK_UP_SECONDS = 0.5
_TIMEOUTS = {"default": 30, "copy": 120}


@dataclass(frozen=True, slots=True)
class Plan:
    """What one invocation is to do."""

    model: str
    protocols: tuple[Protocol, ...]
    output: Path
    ledger: Path | None
    select: str | None
    language: Literal["en", "zh"]
    attach: bool
    cinder: CinderDriver | None = None


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option("--simulated", is_flag=True, help="Certify the driver on a simulator of the model.")
@click.option(
    "--protocol", "protocols", metavar=PROTOCOL_METAVAR, multiple=True, required=True, help="May be given several times."
)
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where certificates and reports go."
)
@click.option("--ledger", type=click.Path(file_okay=False, path_type=Path), help="Also file the certificates here.")
@click.option("--pool", help="Pool to work in (real arrays); the first one otherwise.")
@click.option("--other-pool", help="A second pool, for moves (real arrays); the second one otherwise.")
@click.option(
    "--host",
    "hosts",
    metavar="NAME=INITIATOR,...",
    multiple=True,
    help="A host that the array accepts: IQN or WWPNs. Real arrays need two.",
)
@click.option(
    "--attach",
    is_flag=True,
    help="Also attach volumes to this machine, the first --host, as root (real arrays). Without, those checks do not apply.",
)
@click.option(
    "--cinder-driver", metavar="MODULE.CLASS", help="Certify a volume driver of OpenStack Cinder instead; see docs/cinder.md."
)
@click.option(
    "--cinder-config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The cinder.conf with the section of that driver.",
)
@click.option("--cinder-section", metavar="NAME", help="Its section, where that file has several.")
@click.option(
    "--cinder-python",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Interpreter of the environment that has the cinder package; $BLOCKDRIVERS_CINDER_VENV otherwise, or this one.",
)
@click.option(
    "--select", metavar="CHECKS", help="Only these: comma-separated ids, leading parts of ids, or levels. No grade then."
)
@click.option(
    "--lang", "language", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Shown first in reports."
)
@pass_state
def certify(
    state: State,
    model: str | None,
    simulated: bool,
    protocols: tuple[str, ...],
    output: Path,
    ledger: Path | None,
    pool: str | None,
    other_pool: str | None,
    hosts: tuple[str, ...],
    attach: bool,
    cinder_driver: str | None,
    cinder_config: Path | None,
    cinder_section: str | None,
    cinder_python: Path | None,
    select: str | None,
    language: Literal["en", "zh"],
) -> int:
    """Grade a model (A, B or C) over each protocol, on a simulator of it, on a configured backend, or through a Cinder driver.

    Every protocol gets a certificate (JSON), a JUnit report and an HTML page in the output folder. A run that was killed leaves no
    certificate; start it again, it first removes what that run left on the array. Exit status 0: every check that applies passed.
    """
    if simulated and model is None:
        raise click.UsageError("--simulated needs a model.")
    if simulated and attach:
        raise click.UsageError(
            "--attach needs an array whose portals this machine reaches; serve one with blockdrivers simulate."
        )
    cinder = _cinder(cinder_driver, cinder_config, cinder_section, cinder_python)
    if cinder and (simulated or attach):
        raise click.UsageError(
            "A Cinder driver tells no LUN's identity, so nothing is attached (--attach), and drives what its cinder.conf names: "
            "serve a simulator with blockdrivers simulate, not with --simulated."
        )
    if cinder and model is None:
        raise click.UsageError("--cinder-driver needs the model: Cinder drivers do not tell it.")
    wanted = tuple(protocol_argument(text) for text in protocols)
    plan = Plan(model or "", wanted, output, ledger, select, language, attach, cinder)
    output.mkdir(parents=True, exist_ok=True)
    with _progress(state) as progress:

        def run(protocol: Protocol, lifeline: Lifeline) -> Certificate:
            with _target(state, plan, protocol, simulated, pool, other_pool, hosts) as (target, adapter):
                return _certified(plan, replace(target, attach=plan.attach), adapter, progress, lifeline)

        # Each protocol has a simulated array of its own; a real array is not asked to bear two runs at once.
        issued = _all(run, plan.protocols, at_once=len(plan.protocols) if simulated else 1)
    _write_index(plan, issued)
    if state.json:
        print_json([grade.plain(certificate) for certificate in issued])
    else:
        for certificate in issued:
            grade.show(certificate)
        click.echo(f"reports: {output / 'index.html'}")
    return 0 if all(_clean(certificate.outcomes) for certificate in issued) else 1


def _cinder(driver: str | None, config: Path | None, section: str | None, python: Path | None) -> CinderDriver | None:
    if (driver is None) != (config is None) or (driver is None and (section or python)):
        raise click.UsageError("--cinder-driver and --cinder-config belong together.")
    return None if driver is None or config is None else CinderDriver(driver, config, section, python)


def _all(run: Callable[[Protocol, Lifeline], Certificate], protocols: Sequence[Protocol], *, at_once: int) -> list[Certificate]:
    """Return a certificate per protocol; the first failure, or Ctrl-C, ends every run."""
    from conformance.runner import Lifeline  # noqa: PLC0415

    with Lifeline() as lifeline, ThreadPoolExecutor(at_once) as threads:
        try:
            runs = [threads.submit(run, protocol, lifeline) for protocol in protocols]
            under_way: Collection[Future[Certificate]] = runs
            while under_way:
                # Another thread may take the signal of Ctrl-C, which does not wake this one: only when it runs does it see to that.
                ended, under_way = wait(runs, _LOOK_UP_SECONDS, return_when=FIRST_EXCEPTION)
                for run_ended in ended:
                    run_ended.result()
            return [each.result() for each in runs]
        finally:
            lifeline.cut()
            threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _target(
    state: State,
    plan: Plan,
    protocol: Protocol,
    simulated: bool,
    pool: str | None,
    other_pool: str | None,
    hosts: tuple[str, ...],
) -> Iterator[tuple[Target, Adapter]]:
    from blockdrivers.config import load  # noqa: PLC0415

    if simulated:
        with _simulated(plan.model, protocol) as found:
            yield found
    elif plan.cinder:
        with configured(plan.cinder, plan.model) as path:
            yield _configured(load(path), CINDER_BACKEND, plan.model, protocol, pool, other_pool, hosts)
    else:
        yield _configured(load(state.config_file), state.backend, plan.model, protocol, pool, other_pool, hosts)


@contextmanager
def _simulated(model: str, protocol: Protocol) -> Iterator[tuple[Target, Adapter]]:
    from conformance.simulation.opening import BACKEND, open_array, write_config  # noqa: PLC0415

    adapter = find_model(model)
    if protocol not in adapter.protocols:
        raise InvalidRequest(f"{model} does not serve {protocol}; it serves {', '.join(sorted(adapter.protocols))}.")
    options: dict[str, Any] = {"fabric": [wwpn for host in TEST_HOSTS for wwpn in host.wwpns]}
    if protocol is Protocol.NFS:
        # Nobody but whom the driver under test lets in.
        options["nfs_clients"] = ()
    with open_array(adapter, model, **options) as array, tempfile.TemporaryDirectory(prefix="certify-") as folder:
        pools: Sequence[str] = array.ready["pools"]
        config = write_config(Path(folder), adapter, array.ready, timeouts=_TIMEOUTS, protocol=protocol)
        yield (
            Target(
                config=config,
                backend=BACKEND,
                protocol=protocol,
                pool=pools[0],
                other_pool=pools[1] if len(pools) > 1 else None,
                hosts=TEST_HOSTS,
                control=array.ready["control"],
                model=array.family.model,
            ),
            adapter,
        )


def _configured(
    configuration: Configuration,
    backend_name: str | None,
    model: str,
    protocol: Protocol,
    pool: str | None,
    other_pool: str | None,
    hosts: tuple[str, ...],
) -> tuple[Target, Adapter]:
    from blockdrivers.config import open_backend  # noqa: PLC0415

    config = configuration.backend(backend_name)
    with open_backend(configuration, config.name) as backend:
        pools = [found.name for found in backend.pools()]
        model = model or backend.system().model
    if (missing := {pool, other_pool} - {None, *pools}) or not pools:
        raise InvalidRequest(f"The array has no pool {', '.join(map(str, missing)) or 'at all'}; it has {', '.join(pools)}.")
    chosen = pool or pools[0]
    second = other_pool or next((name for name in pools if name != chosen), None)
    if len(hosts) < 2:  # noqa: PLR2004 - one host cannot show that another sees nothing
        raise ConfigurationError("A real array needs two --host NAME=INITIATOR,... whose initiators it accepts.")
    target = Target(
        config=configuration.path.resolve(),
        backend=config.name,
        protocol=protocol,
        pool=chosen,
        other_pool=second,
        hosts=tuple(_host(text) for text in hosts),
        control=None,
        model=model,
    )
    return target, config.adapter


def _host(text: str) -> Host:
    name, mark, rest = text.partition("=")
    initiators = [part.strip() for part in rest.split(",") if part.strip()]
    if not mark or not name or not initiators:
        raise click.BadParameter(f"{text!r} is not NAME=INITIATOR,...", param_hint="--host")
    iqns = [item for item in initiators if item.startswith(("iqn.", "eui.", "naa."))]
    addresses = [item for item in initiators if _is_address(item)]
    wwpns = tuple(item for item in initiators if item not in {*iqns, *addresses})
    return Host(name, iqn=iqns[0] if iqns else None, wwpns=wwpns, addresses=tuple(addresses))


def _is_address(text: str) -> bool:
    """Tell whether a text is an IP address; a WWPN with colons is none, as it has too many groups of too few digits."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return len(text.split(":")) != _BYTES_OF_A_WWPN or "::" in text or any(len(part) > 2 for part in text.split(":"))  # noqa: PLR2004


def _certified(plan: Plan, target: Target, adapter: Adapter, progress: Progress, lifeline: Lifeline) -> Certificate:
    from blockdrivers import matrix  # noqa: PLC0415
    from blockdrivers.config import open_backend  # noqa: PLC0415
    from conformance import certificate, grading, report, runner  # noqa: PLC0415

    with open_backend(target.config, target.backend) as backend:
        array = backend.system()
    started = certificate.now()
    advance = _shown(progress, target, len(runner.all_checks()))
    outcomes = runner.run(target, select=plan.select, on_outcome=advance, lifeline=lifeline)
    issued = certificate.issue(
        model=target.model,
        array=array,
        protocol=target.protocol,
        simulated=target.control is not None,
        host=certificate.host_facts(adapter.name),
        started=started,
        ended=certificate.now(),
        outcomes=outcomes,
        evidence=grading.evidence(target.model, target.protocol, matrix.load(), _recorded(plan, target), adapter.vendor),
        selection=plan.select,
    )
    stem = plan.output / issued.slug
    certificate.write_whole(stem.with_name(f"{stem.name}.json"), certificate.dumps(issued))
    certificate.write_whole(stem.with_name(f"{stem.name}.xml"), report.junit(issued))
    certificate.write_whole(stem.with_name(f"{stem.name}.html"), report.page(issued, plan.language))
    if plan.ledger is not None:
        from conformance.ledger import Ledger  # noqa: PLC0415

        Ledger(plan.ledger).add(issued)
    return issued


def _recorded(plan: Plan, target: Target) -> Sequence[Any]:
    if plan.ledger is None or not plan.ledger.exists():
        return ()
    from conformance.ledger import Ledger  # noqa: PLC0415

    return [
        item
        for entry in Ledger(plan.ledger).read().evidence
        if entry.model.casefold() == target.model.casefold()
        for item in entry.evidence
    ]


def _write_index(plan: Plan, issued: Sequence[Certificate]) -> None:
    from conformance import certificate, report  # noqa: PLC0415

    page = report.index([(f"{item.slug}.html", item) for item in issued], plan.language)
    certificate.write_whole(plan.output / "index.html", page)


@contextmanager
def _progress(state: State) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    shown = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, disable=state.json or not shown.is_terminal, transient=True) as progress:
        yield progress


def _shown(progress: Progress, target: Target, total: int) -> Callable[[Outcome], None]:
    """Show each check of one run as it ends: a bar on a terminal, a line per check that did not pass elsewhere."""
    run = f"{target.model}, {target.protocol.label}"
    task = progress.add_task(run, total=total)

    def advance(outcome: Outcome) -> None:
        progress.advance(task)
        if outcome.result in {Result.FAILED, Result.NOT_RUN}:
            line = f"{target.protocol.label}: {outcome.result}: {outcome.check.id}: {outcome.detail[:300]}"
            progress.console.print(line, markup=False)

    if not progress.console.is_terminal:
        progress.console.print(f"certifying {run}: up to {total} checks", markup=False)
    return advance


def _clean(outcomes: Sequence[Outcome]) -> bool:
    return all(outcome.result in {Result.PASSED, Result.NOT_APPLICABLE} for outcome in outcomes)
