"""What is installed from a wheel works without a checkout: configs by name, every tool as a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from abawfw.config.loading import load_config
from abawfw.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel installs."""
    source, out = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('wheel')
    for name in ('abawfw', 'configs', 'tools'):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '--no-index']
    subprocess.run([*pip, '-w', str(out), str(source)], check=True)
    (wheel,) = out.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / 'site')
    return out / 'site'


def call(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``abawfw ARGUMENTS`` in a folder that is no checkout."""
    environment = os.environ | {'PYTHONPATH': str(installed)}
    command = [sys.executable, '-m', 'abawfw', *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


@pytest.mark.slow
def test_a_user_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    found = call(installed, tmp_path, '--help')
    listed = {line.split()[0] for line in found.stdout.splitlines() if line.startswith('  ')}
    tools = {path.stem for path in (ROOT / 'tools').rglob('*.py')}
    assert listed == tools
    assert str(installed / 'abawfw/configs') in found.stdout
    entries = next(installed.glob('*.dist-info')) / 'entry_points.txt'
    assert 'abawfw = abawfw.__main__:main' in entries.read_text()

    size = ('--videos', '3', '2', '1', '--scale', '0.02')
    assert call(installed, tmp_path, 'make_demo_data', 'data/demo', *size).returncode == 0
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'abawfw::rucaim3/transformer_demo.py'\nhidden = 16\nepochs = 1\n"
    )
    checked = call(installed, tmp_path, 'train', 'rucaim3/transformer_demo.py', '--check-only')
    assert checked.returncode == 0, checked.stderr
    assert 'transformer_demo.py: no problem found' in checked.stdout
    assert checked.stderr == 'checking rucaim3/transformer_demo.py (loading PyTorch first) ...\n'
    trained = call(installed, tmp_path, 'train', 'mine.py', '--cfg-options', 'lr=1e-3')
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / 'work_dirs/mine/summary.json').is_file()

    speed = call(installed, tmp_path, 'benchmark', 'smoothing')
    assert (speed.returncode, speed.stdout) == (1, '')
    assert speed.stderr.startswith('error: benchmark.py needs the folder benchmarks/ of a checkout')


def test_benchmarks_are_found_from_any_folder(tmp_path: Path) -> None:
    """Also by an interpreter that knows abawfw alone, as one that it is installed in."""
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    for line in (['-m', 'abawfw', 'benchmark'], [str(ROOT / 'tools/benchmark.py')]):
        command = [sys.executable, *line, '--help']
        found = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert found.returncode == 0, found.stderr


def test_an_unknown_command_offers_the_nearest(tmp_path: Path) -> None:
    found = call(ROOT, tmp_path, 'tran')
    assert (found.returncode, found.stdout) == (2, '')
    assert found.stderr == "error: there is no command 'tran': did you mean 'train'?\n"


def test_the_help_of_a_command_names_it(tmp_path: Path) -> None:
    found = call(ROOT, tmp_path, 'affwild2', '--help')
    assert found.stdout.startswith('usage: abawfw affwild2 ')


def test_configs_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    there = load_config(ROOT / 'configs/rucaim3/transformer_demo.py')
    for name in ('rucaim3/transformer_demo.py', 'configs/rucaim3/transformer_demo.py'):
        assert load_config(name).to_dict() == there.to_dict()
    (tmp_path / 'rucaim3').mkdir()
    (tmp_path / 'rucaim3/transformer_demo.py').write_text("own = 'first'")
    assert load_config('rucaim3/transformer_demo.py').own == 'first'
    for name, hint in (
        ('rucaim3/transfromer_demo.py', "did you mean 'rucaim3/transformer_demo.py'"),
        ('x', 'x: no such'),
    ):
        with pytest.raises(ConfigError, match=hint):
            load_config(name)


def test_a_base_of_another_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'a.py').write_text("_base_ = 'mmpretrain::resnet/resnet18.py'")
    with pytest.raises(ConfigError, match=r"'mmpretrain::resnet/resnet18.py': only 'abawfw::NAME' and paths"):
        load_config(tmp_path / 'a.py')
