"""The network: torchvision's ResNet18 with one output a breed."""

from pathlib import Path

import numpy as np
import torch
import torchvision

from common import BREEDS


def resnet18() -> torch.nn.Module:
    """Not yet trained."""
    network = torchvision.models.resnet18(weights=None, num_classes=len(BREEDS))
    return network.to(memory_format=torch.channels_last)


def pretrained(weights: Path | None) -> tuple[torch.nn.Module, set[str]]:
    """ResNet18 with ImageNet's weights: torchvision's, or those of a file of the same names (.npz, perhaps
    not all of them). Also the names of parameters that start from nothing."""
    network = resnet18()
    if weights is None:
        state = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    else:
        with np.load(weights) as file:
            state = {name: torch.from_numpy(file[name]) for name in file.files}
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected:
        raise SystemExit(f"{weights} is no ResNet18: it has {', '.join(unexpected)}")
    return network, {name for name in missing if not name.endswith("num_batches_tracked")}


@torch.no_grad()
def measure_batch_norms(network: torch.nn.Module, batch: torch.Tensor) -> None:
    """Lets every BatchNorm normalise by what it sees in `batch`, and scale back: the network computes what it
    did, but can be trained. Needed where BatchNorm was folded into the convolutions."""

    def measure(norm: torch.nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        x = inputs[0].float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.bias.copy_(shift + scale * mean)

    hooks = [
        module.register_forward_pre_hook(measure)
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    network.eval()
    network(batch)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def fold_batch_norms(network: torch.nn.Module) -> torch.nn.Module:
    """The same network with every BatchNorm folded into the convolution before it."""
    network.eval()
    pairs = [(network, "conv1", "bn1")]
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in stage:
            pairs += [(block, "conv1", "bn1"), (block, "conv2", "bn2")]
            if block.downsample is not None:
                pairs.append((block.downsample, "0", "1"))
    for parent, conv, norm in pairs:
        fused = torch.nn.utils.fusion.fuse_conv_bn_eval(getattr(parent, conv), getattr(parent, norm))
        setattr(parent, conv, fused)
        setattr(parent, norm, torch.nn.Identity())
    return network
