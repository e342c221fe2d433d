"""What runs the pages finds commands that are wrong, hidden or new."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.doc_pages import items
from docs.doc_sandbox import Sandbox
from docs.test_pages import run_item

PAGE = """\
# Title

Run `python tools/list.py losses` or `make test`, then

    python tools/print_config.py \\
        configs/rucaim3/transformer_demo.py  # all of it

    unknown words

```bash
# a remark
PYTHONPATH=. python tools/list.py
```

```python title="configs/mine/a.py"
_base_ = '../rucaim3/transformer_demo.py'
```

```console
$ python tools/list.py loss
error: there is no group 'loss': did you mean ...?
```
"""


@pytest.fixture(scope='module')
def box(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    folder = tmp_path_factory.mktemp('box')
    return Sandbox(folder / 'clone', folder / 'nothing')


def found(tmp_path: Path, text: str) -> list[tuple[str, str, int]]:
    (tmp_path / 'page.md').write_text(text)
    return [(item.kind, item.text, item.line) for item in items(tmp_path / 'page.md')]


def test_what_is_on_a_page(tmp_path: Path) -> None:
    assert found(tmp_path, PAGE) == [
        ('command', 'python tools/list.py losses', 3),
        ('command', 'make test', 3),
        ('command', 'python tools/print_config.py configs/rucaim3/transformer_demo.py', 5),
        ('command', 'unknown words', 8),
        ('command', 'PYTHONPATH=. python tools/list.py', 12),
        ('file', "_base_ = '../rucaim3/transformer_demo.py'\n", 16),
        ('console', "$ python tools/list.py loss\nerror: there is no group 'loss': did you mean ...?\n", 20),
    ]


def test_a_block_of_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match='line 2: a block of ```sh'):
        found(tmp_path, '```sh\npython tools/list.py\n```\n')


@pytest.mark.parametrize(
    ('text', 'wrong'),
    [
        ('```bash\ncurl https://example.org\n```', 'no rule of doc_rules.py'),
        ('```bash\npip install -e .[nothing]\n```', 'no extra nothing'),
        ('```bash\npip install torch\n```', 'not pip install'),
        ('```bash\nmake tea\n```', 'no target tea'),
        ('```bash\ngit clone https://example.org/elsewhere\n```', 'not in GIVEN'),
        ('```bash\npython tools/nothing.py\n```', 'there is no tools/nothing.py'),
        ('```bash\npython tools/list.py --depth 3\n```', 'unrecognized arguments'),
        ('```bash\npython tools/benchmark.py walking\n```', 'knows no walking'),
        ('```bash\ntools/dist_train.sh GPUS\n```', 'not its usage'),
        ('`python tools/list.py loss`', "did you mean 'losses'"),
        ('    --speed 3', 'unrecognized arguments'),
        ('```text\npython tools/list.py\n```', 'commands in a block that nothing runs'),
        ('```python\nimport abawfw.nothing\n```', 'ModuleNotFoundError'),
        ('```console\n$ python tools/list.py loss\nerror: another text\n```', 'there is no group'),
        ('```console\n$ python tools/list.py losses\nlosses...\n```', 'exit code 0'),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, box: Sandbox, text: str, wrong: str) -> None:
    (tmp_path / 'page.md').write_text(text + '\n')
    (item,) = items(tmp_path / 'page.md')
    told = run_item(box, item, [], 'README.md')
    assert told is not None
    assert wrong in told
