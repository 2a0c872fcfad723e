"""Muon against that of torch and against the singular value decomposition."""

from __future__ import annotations

import pytest
import torch

from tsattn.training.muon import Muon, orthogonal

SHAPES = [(24, 88), (72, 24), (16, 16)]


def matrices(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def test_steps_are_those_of_torch_up_to_its_bfloat16():
    ours, theirs = ([torch.nn.Parameter(w.clone()) for w in matrices(0)] for _ in range(2))
    optimizer = Muon(ours, lr=0.01, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for step in range(1, 6):
        for parameters in (ours, theirs):
            for parameter, gradient in zip(parameters, matrices(step), strict=True):
                parameter.grad = gradient
        optimizer.step()
        reference.step()
    for own, other, first in zip(ours, theirs, matrices(0), strict=True):
        moved = (other - first).norm()
        assert (own - other).norm() < 0.03 * moved
        assert moved > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_singular_values_become_about_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonal(7 * matrix) @ v.T
    assert (turned.diagonal() > 0.6).all()
    assert (turned.diagonal() < 1.3).all()
    assert (turned - torch.diag(turned.diagonal())).abs().max() < 1e-4


def test_a_parameter_without_gradient_stays_and_one_that_is_no_matrix_is_refused():
    parameter = torch.nn.Parameter(torch.ones(3, 2))
    Muon([parameter], lr=1.0).step()
    assert (parameter == 1).all()
    with pytest.raises(ValueError, match="matrices only"):
        Muon([torch.nn.Parameter(torch.ones(3))], lr=1.0)
