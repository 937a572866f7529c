"""``blockdrivers grade``: what certificates, ledger and compatibility list make of a model."""

from __future__ import annotations

from pathlib import Path

import click

from blockdrivers.cli.base import Command, State, pass_state
from conformance import certificate as certificates
from conformance.certificate import Certificate
from conformance.ledger import Ledger


@click.command(cls=Command)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ledger", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder of certificates.")
@click.option("--model", help="Only certificates of this model.")
@pass_state
def grade(state: State, files: tuple[Path, ...], ledger: Path | None, model: str | None) -> None:
    """Print technical grade, evidence grade and class, with reasons, of certificates given as files or in a ledger."""
    found = [certificates.read(path) for path in files]
    if ledger is not None:
        contents = Ledger(ledger).read()
        found += contents.certificates
        for problem in contents.problems:
            click.echo(f"warning: {problem.path}: {problem.message}", err=True)
    chosen = [certificate for certificate in found if model is None or certificate.model.casefold() == model.casefold()]
    if not chosen:
        raise click.UsageError("No certificates: name files, or a --ledger that holds some.")

    def show_all() -> None:
        for certificate in chosen:
            show(certificate)

    state.answer([plain(certificate) for certificate in chosen], show_all)


def plain(certificate: Certificate) -> dict[str, object]:
    """Return a certificate's grade as plain data."""
    return {
        "model": certificate.model,
        "protocol": certificate.protocol.label,
        "simulated": certificate.simulated,
        "digest": certificate.digest,
        **{
            name: {"grade": graded.grade.value if graded.grade else None, "reasons": [words.en for words in graded.reasons]}
            for name, graded in (
                ("technical", certificate.grade.technical),
                ("evidence", certificate.grade.evidence),
                ("class", certificate.grade.result),
            )
        },
    }


def show(certificate: Certificate) -> None:
    """Print a certificate's grade for people."""
    grades = certificate.grade
    where = "simulated" if certificate.simulated else "real array"
    click.echo(f"{certificate.model}, {certificate.protocol.label} ({where}): class {_letter(grades.result.grade)}")
    for name, graded in (("technical", grades.technical), ("evidence", grades.evidence)):
        click.echo(f"  {name} grade {_letter(graded.grade)}")
        for words in graded.reasons:
            click.echo(f"    - {words.en}")


def _letter(grade_: object) -> str:
    return str(grade_) if grade_ else "none"
