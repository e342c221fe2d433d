"""The command ``abawfw``: ``abawfw train CONFIG`` is ``python tools/train.py CONFIG``, in any folder."""

from __future__ import annotations

import ast
import sys

from abawfw.errors import nearest
from abawfw.files import shipped

HELP = """\
usage: abawfw COMMAND ...

{commands}

`abawfw COMMAND --help` describes each. What messages and documentation call `python tools/NAME.py` is
`abawfw NAME`. Configs that come with abawfw are named like `rucaim3/transformer_demo.py`; they lie in
{configs}
"""


def main(argv: list[str] | None = None) -> None:
    """Run the tool that the first argument names, with the others."""
    argv = sys.argv[1:] if argv is None else argv
    tools = {path.stem: path for path in shipped('tools').rglob('*.py')}
    if not argv or argv[0] in ('-h', '--help'):
        width = max(map(len, tools))
        lines = [
            f'  {name:{width}}  {_doc(path.read_text(encoding="utf-8")).partition(chr(10))[0]}'
            for name, path in sorted(tools.items())
        ]
        sys.stdout.write(HELP.format(commands='\n'.join(lines), configs=shipped('configs')))
    elif argv[0] not in tools:
        sys.stderr.write(f"error: there is no command '{argv[0]}': {nearest(argv[0], tools)}\n")
        sys.exit(2)
    else:
        sys.argv = [f'abawfw {argv[0]}', *argv[1:]]
        file = tools[argv[0]]
        source = file.read_text(encoding='utf-8')
        names = {'__name__': '__main__', '__file__': str(file), '__doc__': _doc(source)}
        exec(
            compile(source, file, 'exec'), names
        )  # as Python does, but argparse sees the name of the command


def _doc(source: str) -> str:
    return ast.get_docstring(ast.parse(source)) or ''


if __name__ == '__main__':
    main()
