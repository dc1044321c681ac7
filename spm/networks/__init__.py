"""Networks: an ONNX file in, its maps out, and where in the image each of their cells lies.

Any network of torchvision, or of timm, becomes such a file with free height and width by these ten lines::

    import torch
    import torchvision  # or timm

    network = torchvision.models.resnet18(weights="DEFAULT")  # or timm.create_model("resnet18", pretrained=True)
    free = {"image": {0: "batch", 2: "height", 3: "width"}}
    image = torch.zeros(1, 3, 224, 224)
    torch.onnx.export(
        network.eval(), (image,), "resnet18.onnx",
        input_names=["image"], output_names=["scores"], dynamic_axes=free, dynamo=False,
    )

``spm.networks.layers("resnet18.onnx")`` then lists what `FeatureMap` may be asked for. Of AlexNet and VGG, whose heads
hold them to one size, export ``network.features``.
"""

from .file import Network
from .maps import Layer, cut, layers
from .zoo import fetch_network, read_networks

__all__ = ["Layer", "Network", "cut", "fetch_network", "layers", "read_networks"]
