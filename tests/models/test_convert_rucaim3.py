"""Conversion of the reference's checkpoints: what the options become, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from abawfw.errors import CheckpointError
from abawfw.models.convert.rucaim3 import convert_rucaim3


class Run:
    """A copy of a golden run whose options and weights can be changed."""

    def __init__(self, golden: Path, folder: Path, case: str) -> None:
        self.folder = folder
        for file in (golden / 'weights_mini' / case).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())

    def options(self, **changes: Any) -> Run:
        file = self.folder / 'train_opt.conf'
        options = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({k: v for k, v in options.items() if v != 'drop'}))
        return self

    def weights(self, net: str, drop: tuple[str, ...] = (), **changes: torch.Tensor) -> Run:
        file = self.folder / f'golden_net_{net}.pth'
        old = torch.load(file, weights_only=True)
        torch.save({k: v for k, v in {**old, **changes}.items() if k not in drop}, file)
        return self

    def convert(self) -> tuple[dict[str, torch.Tensor], dict[str, Any], dict[str, Any]]:
        return convert_rucaim3(self.folder, 'golden')

    def fails(self, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            self.convert()


@pytest.fixture
def run(golden: Path, tmp_path: Path) -> Any:
    return lambda case='transformer': Run(golden, tmp_path, case)


def test_options_of_the_transformer(run: Any) -> None:
    weights, model, options = run().options(norm_features='head_pose', norm_method='batch').convert()
    assert model == {
        'type': 'VAEstimator',
        'context': [
            {
                'type': 'TransformerContext',
                'hidden': 32,
                'layers': 2,
                'heads': 4,
                'ffn': 48,
                'position': True,
            }
        ],
        'head': {
            'type': 'RegressionHead',
            'layers': [16, 12],
            'dropout': 0.3,
            'losses': [{'type': 'CCCLoss'}],
        },
        'targets': ['valence', 'arousal'],
    }
    assert options == {
        'model': 'transformer',
        'features': ['egemaps', 'head_pose'],
        'input_dim': 26,
        'normalize': {'features': ['head_pose'], 'method': 'sequence'},
        'segment_length': 20,
        'batch_size': 16,
        'lr': 2e-5,
        'beta1': 0.5,
        'constant_epochs': 10,
        'decay_epochs': 20,
        'seed': 100,
        'ignored': ['net_seq.linear.weight', 'net_seq.linear.bias'],
    }
    assert all(isinstance(v, torch.Tensor) for v in weights.values())


def test_losses(run: Any) -> None:
    types = ['batch_vccc', 'accc', 'mse', 'vmse', 'ccc']
    _, model, _ = run().options(loss_type=types, loss_weights=[1.0, 0.5, 1, 2, 1]).convert()
    assert model['head']['losses'] == [
        {'type': 'CCCLoss', 'targets': ['valence']},
        {'type': 'CCCLoss', 'over': 'clip', 'targets': ['arousal'], 'weight': 0.5},
        {'type': 'MSELoss'},
        {'type': 'MSELoss', 'targets': ['valence'], 'weight': 2},
        {'type': 'CCCLoss', 'over': 'clip'},
    ]


def test_unlimited_memory_and_unused_attention(run: Any) -> None:
    case = run('transformer_attention_multihead').options(max_mem_len=-1, former_attention='single')
    weights, model, options = case.convert()
    assert model['context'][1] == {
        'type': 'MemoryAttention',
        'mode': 'single',
        'average': 6,
        'capacity': None,
    }
    assert 'net_attn.in_proj_weight' in options['ignored']
    assert not any(key.startswith('context.1') for key in weights)


@pytest.mark.parametrize(
    ('case', 'changes', 'message'),
    [
        ('transformer', {'model': 'tcn'}, "unknown model 'tcn'.*transformer_lstm"),
        ('transformer_lstm_res_y', {'transformer_pretrained': True}, 'transformer_pretrained'),
        ('transformer_lstm_res_y', {'residual': 'maybe'}, "unknown residual 'maybe'"),
        ('transformer_attention_multihead', {'former_attention': 'x'}, "former_attention 'x'.*multihead"),
        ('transformer', {'target': 'dominance'}, "unknown target 'dominance'"),
        ('transformer', {'norm_method': 'x'}, "unknown norm_method 'x'"),
        ('transformer', {'loss_type': ['huber']}, "unknown loss_type 'huber'"),
        ('transformer', {'loss_type': ['ce']}, 'loss_type .*ce.*1 outputs per target'),
        ('transformer', {'loss_type': ['mse', 'ccc']}, '2 loss_type, but 1 loss_weights'),
        ('transformer', {'ffn_dim': 'drop'}, 'lacks the option ffn_dim'),
        ('transformer', {'ffn_dim': 64}, r'linear1.weight is \(48, 32\), its options say \(64, 32\)'),
        ('transformer', {'num_layers': 3}, r'missing context.0.layers.2.self_attn.in_proj_weight'),
        ('transformer', {'num_layers': 1}, r'unexpected context.0.layers.1.self_attn.in_proj_weight'),
        ('transformer', {'nhead': 5}, '5 attention heads do not divide'),
        (
            'transformer',
            {'hidden_size': 'x'},
            r"train_opt\.conf: hidden_size is 'x', expected a whole number",
        ),
        ('transformer', {'hidden_size': 1 << 40}, 'expected a whole number from 1 to 65536'),
        ('transformer', {'num_layers': True}, "num_layers is 'True', expected a whole number"),
        ('transformer', {'regress_layers': [16, 12]}, 'regress_layers is .*expected sizes, as in 256,256'),
        ('transformer', {'regress_layers': '16,x'}, 'expected sizes, as in 256,256'),
        ('transformer', {'loss_type': [3]}, 'loss_type is .*expected text, or a list of it'),
        ('transformer', {'loss_weights': 1.0}, 'loss_weights is .*expected a list of numbers'),
        ('transformer', {'target': ['both']}, 'target is .*expected text'),
        ('transformer', {'lr': float('inf')}, "lr is 'inf', expected a number"),
    ],
)
def test_options_that_are_refused(run: Any, case: str, changes: dict[str, Any], message: str) -> None:
    run(case).options(**changes).fails(message)


def test_weights_that_are_refused(run: Any) -> None:
    case = run().weights('reg', extra=torch.zeros(1))
    case.fails('golden_net_reg.pth holds extra, which transformer does not have')
    case.weights('reg', drop=('extra', 'fc_out.weight')).fails('fc_out is missing')
    (case.folder / 'golden_net_reg.pth').write_bytes(b'PK')
    case.fails(r'golden_net_reg\.pth: cannot be read')
    (case.folder / 'golden_net_reg.pth').unlink()
    case.fails(r'golden_net_reg\.pth: no such file of weights')


def test_weights_that_are_not_finite(run: Any) -> None:
    case = run()
    old = torch.load(case.folder / 'golden_net_reg.pth', weights_only=True)['fc_out.weight']
    case.weights('reg', **{'fc_out.weight': old * float('nan')}).fails('head.out.weight is NaN or infinite')


@pytest.mark.parametrize('shape', [(), (3,), (0, 32), (2, 3, 4)])
def test_weights_of_an_impossible_shape(run: Any, shape: tuple[int, ...]) -> None:
    case = run()
    case.weights('seq', **{'position_embeddings.weight': torch.zeros(shape)})
    case.fails('position_embeddings.weight is not the sinusoidal table')
    case.weights('seq', **{'affine.weight': torch.zeros(shape)}).fails(
        'contradict|input layer is missing|table'
    )


def test_position_table_that_was_trained(run: Any) -> None:
    case = run().weights('seq', **{'position_embeddings.weight': torch.ones(512, 32)})
    case.fails('position_embeddings.weight is not the sinusoidal table')


def test_options_file(run: Any) -> None:
    case = run()
    (case.folder / 'train_opt.conf').write_text('{')
    case.fails('is damaged: no JSON')
    (case.folder / 'train_opt.conf').write_text('[1]')
    case.fails('holds list, expected the options by name')
    (case.folder / 'train_opt.conf').unlink()
    case.fails(r'train_opt\.conf: file is missing; it lies beside')
