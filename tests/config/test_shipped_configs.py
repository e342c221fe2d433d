"""Every file under configs/ loads, passes the check, and builds a model that runs."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from config.config_stores import DemoStores, check_and_run

from abawfw.config.diff import read_written
from abawfw.config.loading import TRACKERS, load_config, resolve
from abawfw.config.overrides import parse_words

pytestmark = pytest.mark.usefixtures('shipped_configs_are_read_once')
ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
FILES = sorted(CONFIGS.rglob('*.py'))
EXPERIMENTS = [p for p in FILES if not {CONFIGS / '_base_', CONFIGS / 'protocols'} & {*p.parents}]
# A folder of experiments that ship has a README; others are somebody's own, in whatever style.
SHIPPED = [path for path in EXPERIMENTS if (path.parent / 'README.md').is_file()]


def name_of(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


@pytest.fixture(scope='module')
def stores(tmp_path_factory: pytest.TempPathFactory) -> DemoStores:
    return DemoStores(tmp_path_factory.mktemp('stores'))


@pytest.fixture(scope='module', autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The files of pre-trained weights that configs name are there; nothing reads them."""
    folder = tmp_path_factory.mktemp('here')
    for name in ('ir50', 'vggish'):
        (folder / 'weights').mkdir(exist_ok=True)
        (folder / 'weights' / f'{name}.pth').touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_loads_has_at_most_four_levels_and_is_read_again_without_running_it(
    path: Path, tmp_path: Path
) -> None:
    def depth(value: object) -> int:
        if isinstance(value, dict):
            return 1 + max(map(depth, value.values()), default=0)
        return max(map(depth, value), default=0) if isinstance(value, (list, tuple)) else 0

    config = load_config(path)
    assert len(config)
    assert depth(config.to_dict()) - 1 <= 4
    assert path.parent.name == '_base_' or not {'visualizer', *TRACKERS} & set(config), 'it is turned on'
    written = tmp_path / 'config.py'
    written.write_text(config.pretty_text)
    assert read_written(written).to_dict() == config.to_dict()


@pytest.mark.parametrize('path', EXPERIMENTS, ids=name_of)
def test_is_checked_and_its_model_runs(path: Path, stores: DemoStores) -> None:
    check_and_run(path, stores)


@pytest.mark.parametrize('path', SHIPPED, ids=name_of)
def test_lists_its_bases_and_at_most_8_lines_that_differ(path: Path) -> None:
    text = path.read_text()
    statements = ast.parse(text).body
    bases = next(s for s in statements if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == '_base_')
    listing = range(bases.lineno, (bases.end_lineno or bases.lineno) + 1)
    own = [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if number not in listing and line.strip() and not line.lstrip().startswith('#')
    ]
    assert len(own) <= 8


@pytest.mark.parametrize('data', ['ceap360vr', 'gump'])
def test_protocols_have_every_config_for_their_data(data: str) -> None:
    """But those that need a teacher; in one protocol all have the same features, or could not be compared."""
    named = set()
    for place in (CONFIGS / 'protocols').glob(f'{data}*.py'):
        protocol = load_config(place)
        entries = [x if isinstance(x, str) else x.config for x in protocol.configs]
        paths = {(place.parent / entry).resolve() for entry in entries}
        options = parse_words(protocol.get('options', []))
        loaded = [load_config(path, options) for path in paths]
        assert len({(*sorted(c.features), *sorted(c.targets), c.data_root) for c in loaded}) == 1
        named |= paths
    there = {path: load_config(path) for path in CONFIGS.glob(f'*/*_{data}.py')}
    assert sorted(named) == sorted(path for path, cfg in there.items() if 'teacher' not in cfg)


READMES = [path for path in sorted(CONFIGS.glob('*/README.md')) if path.parent.name != 'own']


@pytest.mark.parametrize('readme', READMES, ids=lambda p: p.parent.name)
def test_results_are_linked_and_tables_name_configs_that_exist(readme: Path) -> None:
    text = readme.read_text()
    page = (ROOT / 'docs/results.md').read_text()
    anchors = re.findall(r'\]\(\.\./\.\./docs/results\.md#?([\w-]*)\)', text)
    assert anchors
    heads = re.findall('(?m)^###? (.*)', page)
    assert {*anchors} <= {'', *(re.sub('[^a-z0-9]+', '-', head.lower()) for head in heads)}
    for data in ('ceap360vr', 'gump'):
        measured = set()
        for path in (ROOT / 'docs/results').glob(f'{data}*.csv'):
            with path.open(newline='') as file:
                measured |= {row['config'] for row in csv.DictReader(file)}
            assert f'<!-- {path.stem} -->' in page
        there = [path for path in readme.parent.glob(f'*_{data}.py') if 'teacher' not in load_config(path)]
        assert {path.stem for path in there} <= measured
    rows = [line for line in text.splitlines() if line.startswith('| [')]
    if not rows:
        return
    linked = [re.search(r'\]\((\w+\.py)\)', row)[1] for row in rows]
    for name in linked:
        assert (readme.parent / name).is_file(), name
    width = next(line.count('|') for line in text.splitlines() if line.startswith('| model | valence, raw'))
    assert {row.count('|') for row in rows} == {width}


@pytest.mark.parametrize('path', SHIPPED, ids=name_of)
def test_values_that_the_command_line_reaches(path: Path) -> None:
    cfg = resolve(load_config(path, {'normalized': ['x'], 'debug': 3, 'fusion_dropout': 0.25}))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert [t.features for t in loader.dataset.pipeline if t.type == 'Normalize'] == [['x']]
        assert loader.dataset.debug == 3
    if 'fusion' in cfg.model and cfg.model.fusion.type in ('CoAttentionFusion', 'LeaderFollowerFusion'):
        assert cfg.model.fusion.dropout == 0.25
