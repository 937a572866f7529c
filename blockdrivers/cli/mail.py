"""The evaluation and integration request: an e-mail to whoever integrates arrays, after the platform manual's template.

Everything in it comes from the project's facts; what is missing is marked and named, never made up.
"""

from __future__ import annotations

import html
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from enum import StrEnum
from pathlib import Path

from blockdrivers.errors import ConfigurationError, InvalidRequest
from blockdrivers.nodes import Node, read

MISSING = "待填写"
_MAX_ATTACHMENT = 20 * 1024**2


class Kind(StrEnum):
    """What is asked for."""

    EVALUATION = "evaluation"
    INTEGRATION = "integration"


class Phase(StrEnum):
    """How far the project is."""

    PRE_SALES = "pre-sales"
    BID_WON = "bid won"
    EXISTING = "existing project"


_KIND_WORDS = {Kind.EVALUATION: "评估", Kind.INTEGRATION: "对接"}
_PHASE_WORDS = {Phase.PRE_SALES: "售前", Phase.BID_WON: "已中标", Phase.EXISTING: "存量项目对接需求"}
_SCOPES = {"solution": "解决方案", "package": "对接包"}

_MATERIALS: Mapping[Kind, Mapping[str, str]] = {
    Kind.EVALUATION: {
        "background": "项目背景",
        "driver": "N版本驱动",
        "test_report": "存储对接N版本OpenStack平台的测试报告",
        "manual": "对应的N版本的对接手册",
    },
    Kind.INTEGRATION: {
        "background": "项目背景",
        "facts": "存储对接信息收集列表",
        "driver": "N版本驱动",
        "manual": "对应的N版本的对接手册",
    },
}
_CERTIFICATE = "兼容性认证证书"

_TEXTS = ("project", "number", "contract", "opportunity", "presales", "sales", "delivery", "background", "vendor", "model")

TEMPLATE = """\
# Facts of one project, for `blockdrivers request`. Leave out what is not known yet: the mail marks it.
project:              # 项目名称
number:               # 项目编号
phase: pre-sales      # 项目阶段: pre-sales | bid won | existing project
contract:             # 合同编号/续保合同编号; the opportunity number stands in where there is none
opportunity:          # 商机号
presales:             # 售前
sales:                # 销售
delivery:             # 交付
background:           # 项目背景: POC test, an existing project's need or a new project; say why where it is urgent
packages: 1           # 对接包制作数量
# scope: package      # solution (解决方案) | package (对接包); by default solution for an evaluation, package for an integration
# date: 2026-05-31    # 申请日期; by default today
# vendor: Huawei      # by default as in the collected facts
# model: OceanStor 5500 V5
attachments:          # files, relative to this one
  # background: background.docx
  # driver: driver.tar.gz
  # test_report: report.pdf
  # manual: manual.pdf
mail:
  # from: engineer@example.com
  # to: [integration@example.com]
  # cc: [project@example.com]
"""


@dataclass(frozen=True, slots=True)
class Project:
    """Facts of one project, as its file gives them."""

    texts: Mapping[str, str]
    phase: Phase | None = None
    scope: str | None = None
    packages: int | None = None
    day: date | None = None
    attachments: Mapping[str, Path] = field(default_factory=dict)
    sender: str | None = None
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Array:
    """The array that the request is about."""

    vendor: str | None
    model: str | None
    listed: bool | None
    """Whether it is in the compatibility list; None where its model is not known."""
    granted: str | None = None
    """Its classes, as in ``FC-SAN A, IP-SAN B``."""


@dataclass(frozen=True, slots=True)
class Request:
    """A rendered request."""

    subject: str
    table: tuple[tuple[str, str], ...]
    """The body: field and value, in the template's order."""
    attachments: tuple[tuple[str, Path | None], ...]
    """What has to be attached, and the file, if there is one."""
    missing: tuple[str, ...]
    """What still has to be filled in."""
    sender: str | None
    to: tuple[str, ...]
    cc: tuple[str, ...]

    def text(self) -> str:
        """Return the request as plain text."""
        head = [
            f"主题: {self.subject}",
            f"发件人: {self.sender or MISSING}",
            f"收件人: {', '.join(self.to) or MISSING}",
            f"抄送: {', '.join(self.cc) or MISSING}",
        ]
        return "\n".join([*head, "", *(f"{title}: {value}" for title, value in self.table)]) + "\n"

    def message(self) -> EmailMessage:
        """Return the request as an e-mail with its files attached; without recipients where none were given."""
        message = EmailMessage(policy=policy.SMTP)
        message["Subject"] = self.subject
        message["Date"] = formatdate(localtime=True)
        for header, addresses in (("From", (self.sender,) if self.sender else ()), ("To", self.to), ("Cc", self.cc)):
            if addresses:
                try:
                    message[header] = ", ".join(addresses)
                except ValueError as trouble:
                    raise ConfigurationError(f"mail.{header.lower()} is no address: {addresses!r}: {trouble}.") from None
        message.set_content("\n".join(f"{title}: {value}" for title, value in self.table) + "\n")
        message.add_alternative(self._html(), subtype="html")
        for _, path in self.attachments:
            if path is not None:
                kind, _, subtype = (mimetypes.guess_type(path.name)[0] or "application/octet-stream").partition("/")
                message.add_attachment(_content(path), maintype=kind, subtype=subtype, filename=path.name)
        return message

    def _html(self) -> str:
        cell = "border:1px solid #999;padding:4px 8px;text-align:left;vertical-align:top"
        rows = "".join(
            f'<tr><th style="{cell};white-space:nowrap">{html.escape(title)}</th>'
            f'<td style="{cell}">{html.escape(value).replace(chr(10), "<br>")}</td></tr>\n'
            for title, value in self.table
        )
        return f'<html lang="zh-Hans"><body><table style="border-collapse:collapse">\n{rows}</table></body></html>\n'


def read_project(path: Path) -> Project:
    """Read a project's facts; raise `ConfigurationError` that names file, line and field."""
    root = read(path, ConfigurationError)
    known = (*_TEXTS, "phase", "scope", "packages", "date", "attachments", "mail")
    fields = {name: node for name, node in root.fields((), known).items() if not node.is_empty}
    mail = _part(fields.get("mail"), ("from", "to", "cc"))
    files = _part(fields.get("attachments"), ("background", "facts", "driver", "test_report", "manual"))
    return Project(
        texts={name: fields[name].text() for name in _TEXTS if name in fields},
        phase=fields["phase"].choice(Phase) if "phase" in fields else None,
        scope=fields["scope"].one_of(_SCOPES) if "scope" in fields else None,
        packages=fields["packages"].integer() if "packages" in fields else None,
        day=fields["date"].day() if "date" in fields else None,
        attachments={name: _existing(path.parent / node.text(), node) for name, node in files.items()},
        sender=mail["from"].text() if "from" in mail else None,
        to=_addresses(mail.get("to")),
        cc=_addresses(mail.get("cc")),
    )


def compose(
    kind: Kind, project: Project, array: Array, *, facts: Path | None = None, certificates: Sequence[Path] = (), today: date
) -> Request:
    """Return the request for a project and an array.

    Args:
        kind: evaluation or integration.
        project: the project's facts.
        array: what it is to be integrated with.
        facts: the file that `blockdrivers collect` wrote.
        certificates: certificate files to attach.
        today: the date where the project gives none.
    """
    missing: list[str] = []

    def known(title: str, value: str | None) -> str:
        if value:
            return value
        missing.append(title)
        return MISSING

    text = project.texts.get
    name = known("项目名称", text("project"))
    vendor, model = text("vendor") or array.vendor, text("model") or array.model
    storage = known("存储型号", " ".join(part for part in (vendor, model) if part and model) or None)
    scope = project.scope or _SCOPES["solution" if kind is Kind.EVALUATION else "package"]
    given = {**project.attachments, **({"facts": facts} if facts else {})}
    attachments = [(title, given.get(key)) for key, title in _MATERIALS[kind].items()]
    attachments += [(_CERTIFICATE, path) for path in certificates]
    listed = (
        None if array.listed is None else ("是" if array.listed else "否") + (f"（{array.granted}）" if array.granted else "")
    )
    day = project.day or today
    table = (
        ("申请事由", f"{name}项目对接{storage}对接包"),
        ("项目阶段", known("项目阶段", project.phase and _PHASE_WORDS[project.phase])),
        ("项目名称", name),
        ("项目编号", known("项目编号", text("number"))),
        ("合同编号/续保合同编号", known("合同编号/续保合同编号", text("contract") or text("opportunity"))),
        ("商机号", known("商机号", text("opportunity"))),
        ("售前", known("售前", text("presales"))),
        ("销售", known("销售", text("sales"))),
        ("交付", known("交付", text("delivery"))),
        ("项目背景", known("项目背景", text("background"))),
        ("对接存储是否在兼容性列表中", known("对接存储是否在兼容性列表中", listed)),
        ("对接包制作数量", known("对接包制作数量", None if project.packages is None else str(project.packages))),
        ("对接包相关附件", "\n".join(_numbered(attachments, missing))),
        ("申请日期", f"{day.year:04d}年{day.month:02d}月{day.day:02d}日"),
    )
    missing += [title for title, value in (("发件人", project.sender), ("收件人", project.to), ("抄送", project.cc)) if not value]
    return Request(
        subject=f"{name}项目对接{storage}（{scope}）（{_KIND_WORDS[kind]}）",
        table=table,
        attachments=tuple(attachments),
        missing=tuple(missing),
        sender=project.sender,
        to=project.to,
        cc=project.cc,
    )


def _numbered(attachments: Sequence[tuple[str, Path | None]], missing: list[str]) -> list[str]:
    lines = []
    for number, (title, path) in enumerate(attachments, 1):
        if path is None:
            missing.append(f"附件：{title}")
        lines.append(f"({number}) {title}：{path.name if path else MISSING}")
    return lines


def _part(node: Node | None, known: Sequence[str]) -> Mapping[str, Node]:
    if node is None:
        return {}
    return {name: child for name, child in node.fields((), known).items() if not child.is_empty}


def _addresses(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    return node.texts() if node.is_list else (node.text(),)


def _existing(path: Path, node: Node) -> Path:
    if not path.is_file():
        raise node.refuse("names a file that does not exist")
    return path


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_ATTACHMENT:
            raise InvalidRequest(f"{path} is larger than {_MAX_ATTACHMENT} bytes; an e-mail cannot carry it.")
        return path.read_bytes()
    except OSError as trouble:
        raise ConfigurationError(f"{path} cannot be read: {trouble.strerror}.") from None
