"""Many uploads at once, with duplicates, replacements and broken images: the fate of each is known."""

from collections import Counter

from tests.properties.load.load import Fate, Load, Upload, uploads
from tests.stack.end_to_end.stack import Stack


def test_of_many_uploads_none_is_lost(stack: Stack) -> None:
    todo = uploads(60)
    load = Load(stack.aws, todo)
    *_, known = load.run()
    assert load.problems == []
    assert known <= len(todo)
    fates = Counter(upload.fate for upload in todo)
    assert fates[Fate.WRITTEN] > len(todo) / 2
    assert fates[Fate.REJECTED]
    assert fates[Fate.FAILED] == fates[Fate.LOST] == fates[None] == 0
    last = {upload.key: upload for upload in todo}
    for upload in last.values():
        assert upload.fate is (Fate.WRITTEN if upload.is_image else Fate.REJECTED), upload.key


def test_an_upload_that_never_invokes_the_function_is_reported_as_lost(stack: Stack) -> None:
    upload = Upload("load/no-suffix", b"not even tried", is_image=False)
    load = Load(stack.aws, [upload], max_idle_seconds=1)
    list(load.run())
    assert upload.fate is Fate.LOST
    assert [problem.partition(":")[0] for problem in load.problems] == ["load/no-suffix"]
