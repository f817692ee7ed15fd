"""Muon (Jordan et al. 2024): for a network's hidden matrices, momentum is orthogonalised before each step."""

import torch

# Coefficients of the quintic Newton–Schulz iteration, as published; five rounds bring every singular value near to 1.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
# At 0.2 steps are as large as AdamW's at the same learning rate (Liu et al. 2025, section 2.2); these are twice as large.
STEP_SIZE = 0.4


def orthogonal(matrix):
    """The nearest matrix with equal singular values, roughly: (rows, columns) -> the same."""
    a, b, c = QUINTIC
    x = matrix / (matrix.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if is_tall else x


class Muon(torch.optim.Optimizer):
    """Parameters of two and more dimensions; a convolution's are one matrix, (out, in·height·width).

    With `found_inf` set to 1 a step changes nothing, as with PyTorch's own optimisers.
    """

    def __init__(self, parameters, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        skipped = getattr(self, "found_inf", None)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, group, skipped)

    def update(self, parameter, group, skipped):
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        mean, gradient, rate = state["momentum"], parameter.grad, group["lr"]
        if skipped is not None:
            gradient, rate = torch.where(skipped > 0, mean, gradient), rate * (1 - skipped)
        mean.lerp_(gradient, 1 - group["momentum"])
        matrix = gradient.lerp(mean, group["momentum"]).flatten(1)
        step = orthogonal(matrix).view_as(parameter) * (STEP_SIZE * max(matrix.shape) ** 0.5)
        parameter.mul_(1 - rate * group["weight_decay"]).sub_(step * rate)
