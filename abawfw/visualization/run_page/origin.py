"""Where a run comes from: its config, and what it was trained with."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import abawfw
from abawfw.errors import ConfigError
from abawfw.evaluation.file_numbers import number
from abawfw.evaluation.tested_run import TestedRun
from abawfw.visualization.blocks import Block, Facts, Paragraph, Preformatted

CHECKOUT = Path(abawfw.__file__).resolve().parents[1]


def origin_blocks(run: TestedRun) -> list[Block]:
    """Facts of summary.json, what the config changes of its bases, and the config itself."""
    return [*_facts(run), *_changes(run), _config(run)]


def _facts(run: TestedRun) -> list[Block]:
    found = run.summary
    if not found:
        return [Paragraph('The run has no summary.json: how it was trained is unknown.')]
    epochs, versions, memory = (_dict(found.get(k)) for k in ('epochs', 'versions', 'peak_memory'))
    facts = {
        'status': found.get('status'),
        'epochs': f'{epochs.get("done")} of {epochs.get("planned")}' if epochs else None,
        'training and validation': _duration(found.get('seconds')),
        'frames per second in training': _number(found.get('frames_per_second')),
        'peak memory': _gigabytes(memory.get('process')),
        'peak memory of the GPU': _gigabytes(memory.get('gpu')),
        'device': found.get('device'),
        'processes': found.get('processes'),
        'seed': found.get('seed'),
        **versions,
        'post-processing': _post_processing(run),
        'SHA-256 of the config': found.get('config_sha256'),
        **_code_and_machine(found),
    }
    if 'cpu' in str(found.get('device')):
        del facts['peak memory of the GPU']
    return [Facts(facts)]


def _code_and_machine(found: dict[str, Any]) -> dict[str, str]:
    """Git commit, kind of machine and parameters, as training recorded them."""
    git, machine = _dict(found.get('git')), _dict(found.get('machine'))
    code, missing = 'not recorded', 'not recorded'
    if isinstance(git.get('commit'), str):
        code = f'{git["commit"]}{", with uncommitted changes" if git.get("dirty") else ""}'
    elif 'git' in found:
        code = 'none: the code was no git checkout'
    parameters, cores = _number(found.get('parameters')), _number(machine.get('cores'))
    gpus = machine.get('gpus')
    cuda = f', CUDA {machine["cuda"]}' if machine.get('cuda') and gpus else ''
    kinds = Counter(map(str, gpus)) if isinstance(gpus, list) else None
    return {
        'parameters': parameters or missing,
        'git commit of abawfw': code,
        'operating system': str(machine.get('os') or missing),
        'CPU': f'{machine["cpu"]}, {cores} core(s)' if machine.get('cpu') and cores else missing,
        'memory of the machine': _gigabytes(machine.get('memory')) or missing,
        'GPUs': missing
        if kinds is None
        else ', '.join(f'{n} x {name}' for name, n in kinds.items()) + cuda or 'none',
    }


def _post_processing(run: TestedRun) -> str | None:
    steps = _dict(_dict(run.report.get('postprocess')).get('val'))
    said = [f'{target}: {", ".join(map(str, of))}' for target, of in steps.items() if isinstance(of, list)]
    windows = _dict(run.report.get('windows'))  # as older versions say it
    return '; '.join(said or [f'{target}: window {window}' for target, window in windows.items()]) or None


def _changes(run: TestedRun) -> list[Block]:
    named = run.summary.get('config_file')
    dumped = run.path / 'config.py'
    if not isinstance(named, str) or '\0' in named:
        return [
            Paragraph('The config file that the run was started from is unknown: it is of an older version.')
        ]
    if Path(named).resolve() == dumped.resolve() or not dumped.is_file():
        return [Paragraph('The run was started from a whole config: there is no base to compare it with.')]
    if not any(Path(named).resolve().is_relative_to(folder) for folder in (Path.cwd(), CHECKOUT)):
        # a run from elsewhere may name any file; what is in it is not to be shown
        return [Paragraph('The run was started from a config file elsewhere: no base to compare it with.')]
    from abawfw.config_changes import config_changes  # MMEngine is slow to import

    try:
        changes = config_changes(Path(named), dumped)
    except ConfigError as error:
        return [Paragraph(f'What differs from the base is not known: {_without_folders(str(error))}')]
    short = '/'.join(Path(named).parts[-2:])  # pages are shown to others: no folders of their author
    blocks: list[Block] = [Paragraph(f'Started from {short}, compared as that file and its bases are now.')]
    for title, lines in (
        ('What the config file changes of its bases', changes.by_file),
        ('What the command line changed of the config file', changes.by_command),
    ):
        blocks.append(Preformatted(title, '\n'.join(lines) or 'nothing', opened=True))
    return blocks


def _config(run: TestedRun) -> Block:
    path = run.path / 'config.py'
    if not path.is_file():
        return Paragraph('The run has no config.py.')
    return Preformatted('The whole config', path.read_text(encoding='utf-8', errors='replace'))


def _without_folders(text: str) -> str:
    """A message with the last two parts of each path: pages are shown to others."""
    return re.sub(r'(?:/[^/\s:]+)*(/[^/\s:]+/[^/\s:]+)', lambda found: found[1].lstrip('/'), text)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> str | None:
    found = number(value)
    return None if found is None else f'{found:,.0f}'


def _gigabytes(value: Any) -> str | None:
    found = number(value)
    return None if found is None else f'{found / 1e9:.2f} GB'


def _duration(value: Any) -> str | None:
    found = number(value)
    if found is None:
        return None
    minutes, seconds = divmod(found, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {seconds:.0f} s' if minutes else f'{seconds:.1f} s'
