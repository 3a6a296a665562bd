from __future__ import annotations

from pathlib import Path

from aiculturekit.plan import resources
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import diff
from aiculturekit.spec import load

FILE = Path(__file__).parents[2] / "aic.yaml"


def documents(resource: str) -> tuple[Document, ...]:
    services = "services:\n  web: {run: x, needs: [resources/thing]}\n  other: {run: x}\n"
    text = f"app: a\n{services}jobs:\n  job: {{run: x, needs: [resources/thing]}}\nresources:\n  thing: {resource}\n"
    return resources.documents(load.parse(text, file=FILE), sources={})


def changed(before: str, after: str) -> set[str]:
    return {f"{step.document.kind}/{step.document.name}" for step in diff(documents(after), documents(before))}


def test_who_needs_a_resource_is_told_anew_where_it_gives_something_else() -> None:
    told = {"workload/web/v1", "job/job"}
    assert told < changed('{type: redis, url: "redis://h/0"}', '{type: redis, url: "redis://h/1"}')
    assert told < changed("{type: s3, buckets: [a-b, c-d]}", "{type: s3, buckets: [c-d, a-b]}")
    assert told < changed("{type: custom, run: x, outputs: {a: b}}", "{type: custom, run: x, outputs: {a: c}}")
    assert not told & changed("{type: s3, buckets: [a-b]}", "{type: s3, buckets: [a-b, c-d]}")
    assert not told & changed("{type: custom, run: x}", "{type: custom, run: y}")


def test_a_command_of_ones_own_runs_anew_where_its_code_changed(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    text = "app: a\nresources: {own: {type: custom, run: x, source: code}, theirs: {type: custom, run: x}}\n"
    application = load.parse(text, file=tmp_path / "aic.yaml")
    before, after = (
        resources.documents(application, sources={str(tmp_path / "code"): digest, str(tmp_path): digest})
        for digest in ("1", "2")
    )
    assert [step.document.key for step in diff(after, before)] == [("server", "own")]
    assert {d.name: d.body["directory"] for d in after if d.kind == "server"} == {
        "own": str(tmp_path / "code"),
        "theirs": str(tmp_path),
    }


def test_a_url_is_no_part_of_what_a_workload_is() -> None:
    found = documents('{type: redis, url: "redis://u:secret@h/0"}')
    assert all("secret" not in str(document.body) for document in found if document.kind != "resource")
    assert not [document for document in found if document.kind == "server"], "nothing runs here for it"


def test_a_fault_on_the_way_starts_no_server_anew_and_says_where_it_stands() -> None:
    plain, faulty = "{type: postgres}", "{type: postgres, traffic: {fault: {abort: true}}}"
    [step] = diff(documents(faulty), documents(plain))
    assert (step.action, step.document.key, step.path) == ("create", ("traffic", "thing"), "resources.thing")
    [step] = diff(documents(faulty.replace("true", "true, share: 5%")), documents(faulty))
    assert (step.action, step.why) == ("update", "changed: traffic.fault")
    [step] = diff(documents(plain), documents(faulty))
    assert (step.action, step.document.key) == ("delete", ("traffic", "thing"))
