"""Manifests, artefacts and releases: what they may be, what is refused and in which words, and which model is the better one."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents import releases as worker
from agents.app import WORKERS
from console.releases import served as served_by_soba
from models import artefacts
from models.releases import Refused, compare, is_expired, load
from tests.linear import CREATED, FEATURES, OTHER_DATA, json_of, npz_of, release, served
from topics.registry import MODEL_RELEASES, max_bytes
from topics.releases import Act, NotARelease, pack, unpack
from topics.schemas.models import ARTEFACT_BYTES, MANIFEST_BYTES, Decides, Feature, Manifest, Release, Window

EARLIER = CREATED - timedelta(days=1)

# The wire


@given(st.binary(min_size=1, max_size=200))
def test_what_is_packed_is_unpacked_whatever_the_bytes(artefact: bytes) -> None:
    one = release("1", artefact=artefact, notes="two\nlines and \u2028 more")
    assert unpack(pack(one)) == one


def test_the_largest_release_fits_a_record() -> None:
    one = release("1", artefact=b"x" * ARTEFACT_BYTES, notes="n" * (MANIFEST_BYTES - 2_000))
    value = pack(one)
    assert len(value) <= max_bytes(MODEL_RELEASES.name)
    assert unpack(value) == one


def test_a_text_model_can_be_read_in_its_file() -> None:
    first, second = pack(release("1")).split(b"\n")
    assert json.loads(first)["version"] == "1"
    assert json.loads(second) == {"weights": [1.0, 0.0]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"", "it has no manifest; give one line of JSON, and the artefact's bytes from the next line on"),
        (b"{}", "it has no manifest; give one line of JSON, and the artefact's bytes from the next line on"),
        (b"{}\nx", "its manifest: name: it is missing; give a value (the field is required)"),
        (b"nothing\nx", "its manifest: it is not JSON (expected ident at line 1 column 2); give one whole"),
        (pack(release("1", artefact=b"x"))[:-1], "its artefact has 0 bytes; give 1 to 12,582,912"),
        (pack(release("1", artefact=b"x" * ARTEFACT_BYTES)) + b"x", "its artefact has 12,582,913 bytes; give 1 to 12,582,912"),
    ],
)  # fmt: skip
def test_what_is_no_release_is_told_in_words(value: bytes, said: str) -> None:
    with pytest.raises(NotARelease) as error:
        unpack(value)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("artefact", "notes"), [(b"", ""), (b"x" * (ARTEFACT_BYTES + 1), ""), (b"x", "n" * MANIFEST_BYTES)]
)
def test_what_is_too_large_or_empty_is_not_packed(artefact: bytes, notes: str) -> None:
    one = release("1", notes=notes)
    with pytest.raises(NotARelease):
        pack(Release(one.manifest, artefact))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decides": {"metric": "ap", "higher_is_better": True}}, "decides.metric: it is not measured; give one of metrics: auc"),
        ({"expires": CREATED}, "expires: it is over when the model is made; give a time after created"),
        ({"window": {"first": CREATED, "last": EARLIER}}, "window: it ends before it begins; give first before last"),
        ({"features": [*FEATURES, Feature(name="n", version=2)]}, "features: one is named twice; give each once"),
        ({"metrics": {"auc": float("nan")}}, "metrics.auc: NaN is not a finite number; give a number such as 1.5"),
        ({"metrics": {}}, "metrics: {} is too short; give at least 1 element(s)"),
        ({"version": "a b"}, 'version: "a b" does not have the right form; give a version of at most'),
        ({"name": "linear@1"}, 'name: "linear@1" does not have the right form; give a name of at most 64'),
        ({"sha256": "abc"}, 'sha256: "abc" does not have the right form; give a sha256: 64 hex digits in lower case'),
        ({"format": "pickle"}, 'format: "pickle" is none of the allowed values; give one of: json, npz, lightgbm, onnx'),
        ({"created": "2024-06-01T00:00:00"}, 'created: "2024-06-01T00:00:00" is not a time; give a time as RFC 3339'),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_together_is_refused_in_words(changes: dict[str, Any], said: str) -> None:
    fields = {**release("1").manifest.model_dump(), **changes}
    line = json.dumps(
        fields, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else value.model_dump()
    )
    with pytest.raises(NotARelease) as error:
        unpack(line.encode() + b"\nx")
    assert str(error.value).removeprefix("its manifest: ").startswith(said)


def test_a_manifest_of_a_later_soba_is_still_read() -> None:
    line, artefact = pack(release("1")).split(b"\n")
    later = {**json.loads(line), "of_tomorrow": {"more": 1}}
    assert unpack(json.dumps(later).encode() + b"\n" + artefact) == release("1")


def test_the_circumstances_of_a_release_survive_in_headers() -> None:
    act = Act("1", "auc 0.9 against 0.8", "weil es sein muß")
    headers = act.headers("linear/2")
    assert Act.of(headers) == act
    assert dict(headers)["content-type"] == b"application/vnd.soba.release"
    assert [name for name, _ in headers].count("content-type") == 1
    assert Act.of([]) == Act("")


# Artefacts


def test_each_form_is_read() -> None:
    assert artefacts.read("json", json_of([1, 2])) == {"weights": [1, 2]}
    assert artefacts.read("npz", npz_of([1, 2]))["weights"].tolist() == [1, 2]
    assert artefacts.read("lightgbm", b"tree\nversion=v4\n") == "tree\nversion=v4\n"
    assert artefacts.read("onnx", b"\x08\x0a\x12") == b"\x08\x0a\x12"


class Bomb:
    """Tells when somebody unpickles it."""

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)

    def __init__(self, mark: Path) -> None:
        self.mark = mark


def pickled(mark: Path) -> bytes:
    return npz_of([Bomb(mark)])


def test_no_code_of_an_artefact_ever_runs(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    evil = pickled(mark)
    with np.load(io.BytesIO(evil), allow_pickle=True) as arrays:
        assert arrays["weights"] is not None
    assert mark.exists(), "the artefact is a real attack"
    mark.unlink()
    for artefact in (evil, pickle.dumps(Bomb(mark)), zipped("weights.pkl", pickle.dumps(Bomb(mark)))):
        for form in ("json", "npz", "lightgbm", "onnx"):
            with pytest.raises(artefacts.Unreadable):
                artefacts.read(form, artefact)
    assert not mark.exists()


def zipped(name: str, content: bytes) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)
        return file.getvalue()


def test_a_few_bytes_do_not_become_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "UNPACKED_BYTES", 10_000)
    packed = zipped("weights.npy", npy_of(np.zeros(20_000)))
    assert len(packed) < 1_000
    with pytest.raises(artefacts.Unreadable, match="160,128 bytes unpacked, at most 10,000"):
        artefacts.read("npz", packed)


def npy_of(array: Any) -> bytes:
    with io.BytesIO() as file:
        np.save(file, array)
        return file.getvalue()


@pytest.mark.parametrize("form", ["json", "npz", "lightgbm", "onnx"])
@given(artefact=st.binary(min_size=1, max_size=100))
def test_noise_is_unreadable_or_fine_and_raises_nothing_else(form: Any, artefact: bytes) -> None:
    with contextlib.suppress(artefacts.Unreadable):
        artefacts.read(form, artefact)


def test_a_truncated_npz_is_unreadable() -> None:
    whole = npz_of([1.0, 2.0])
    for end in range(1, len(whole), 7):
        with pytest.raises(artefacts.Unreadable):
            artefacts.read("npz", whole[:end])


# Loading


@pytest.mark.parametrize("form", ["json", "npz"])
def test_a_good_release_is_loaded(tmp_path: Path, form: Any) -> None:
    model = load(release("2", weight=3.0, format=form), served(tmp_path, form=form))
    assert (model.id, model.loaded(7), model.stale) == ("linear/2", 21.0, False)


def test_a_release_may_ask_for_some_of_the_features_in_its_own_order(tmp_path: Path) -> None:
    turned = release("2", features=FEATURES[::-1], artefact=json_of([5.0, 2.0]))
    assert load(turned, served(tmp_path)).loaded(7) == 19.0
    assert load(release("3", features=FEATURES[1:], artefact=json_of([5.0])), served(tmp_path)).loaded(7) == 5.0


BAD = {
    "wrong_name": (release("2", "other"), "it is a release of other, not of linear"),
    "wrong_hash": (Release(release("2").manifest, b"{}"), "its artefact has the sha256 44136fa355b3"),
    "wrong_format": (release("2", format="npz"), "it is npz; linear is served from json"),
    "wrong_features": (
        release("2", features=[Feature(name="n", version=2)]),
        "it takes what this Soba does not compute: n v2",
    ),
    "unreadable": (release("2", artefact=b"{"), "its artefact is no JSON: "),
    "load_failed": (release("2", artefact=b"[]"), "it cannot be loaded: TypeError: "),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_release_is_refused_with_its_reason(tmp_path: Path, reason: str) -> None:
    bad, said = BAD[reason]
    with pytest.raises(Refused) as error:
        load(bad, served(tmp_path))
    assert error.value.reason == reason
    assert str(error.value).startswith(said)


def test_what_was_expired_when_it_was_released_is_refused_and_nothing_else_expired(tmp_path: Path) -> None:
    one, end = served(tmp_path), CREATED + timedelta(days=30)
    value = pack(release("2", expires=end))
    assert worker.accept(value, one, end - timedelta(seconds=1)).id == "linear/2"
    with pytest.raises(Refused) as error:
        worker.accept(value, one, end)
    assert error.value.reason == "expired"
    assert is_expired(unpack(value).manifest, end)
    assert not is_expired(unpack(value).manifest, end - timedelta(seconds=1))


def test_every_shipped_model_serves() -> None:
    """Of the workers of Soba: one that is missing or bad would keep its worker from starting."""
    assert WORKERS
    for one in served_by_soba().values():
        assert worker.shipped(one).manifest.name == one.name


# Which is better


def manifest(version: str, auc: float, **changes: Any) -> Manifest:
    return release(version, auc=auc, **changes).manifest


@pytest.mark.parametrize(("auc", "passes"), [(0.91, True), (0.9, True), (0.8999, False)])
def test_a_challenger_must_not_be_worse(auc: float, passes: bool) -> None:
    result = compare(manifest("2", auc), manifest("1", 0.9))
    assert result.passes is passes
    assert result.said == f"auc {auc:g} against 0.9 of linear/1 on the same data (higher is better)"


def test_where_lower_is_better_less_is_not_worse() -> None:
    loss = {"decides": Decides(metric="loss", higher_is_better=False)}
    low, high = manifest("1", 0, metrics={"loss": 0.1}, **loss), manifest("2", 0, metrics={"loss": 0.2}, **loss)
    assert compare(low, high).passes
    assert not compare(high, low).passes


def test_figures_of_other_data_are_not_compared() -> None:
    result = compare(manifest("2", 0.99, data_hash=OTHER_DATA), manifest("1", 0.9))
    assert not result.passes
    assert result.said == "measured on other data than linear/1, and its manifest tells no auc of 1 beside its own"


@pytest.mark.parametrize(("beside", "passes"), [(0.95, True), (0.96, False)])
def test_other_data_may_tell_the_champions_figure_beside(beside: float, passes: bool) -> None:
    challenger = manifest("2", 0.95, data_hash=OTHER_DATA, beside={"1": {"auc": beside}, "0": {"auc": 0.1}})
    assert compare(challenger, manifest("1", 0.5)).passes is passes


def test_a_challenger_cannot_choose_what_it_is_judged_by() -> None:
    easy = manifest("2", 0.1, metrics={"auc": 0.1, "easy": 1.0}, decides=Decides(metric="easy", higher_is_better=True))
    result = compare(easy, manifest("1", 0.9))
    assert (result.passes, result.said) == (
        False,
        "judged by easy (higher is better), while linear/1 is judged by auc (higher is better)",
    )
    turned = manifest("2", 0.1, decides=Decides(metric="auc", higher_is_better=False))
    assert not compare(turned, manifest("1", 0.9)).passes


def test_a_window_must_have_a_zone() -> None:
    with pytest.raises(ValidationError):
        Window.model_validate({"first": "2024-01-01T00:00:00", "last": "2024-01-02T00:00:00Z"})
