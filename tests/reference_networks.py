"""What torchvision's published weight files hold: the names and shapes of their tensors, written out by rule."""

from __future__ import annotations

PARAMETERS = {
    "alexnet": 61_100_840,
    "vgg16": 138_357_544,
    "googlenet": 6_624_904,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
}
"""How many parameters torchvision's documentation counts; of GoogLeNet without the two heads that help training."""


def _norm(name, width):
    return {f"{name}.{kind}": (width,) for kind in ("weight", "bias", "running_mean", "running_var")} | {
        f"{name}.num_batches_tracked": ()
    }


def _linear(name, outputs, *inputs):
    return {f"{name}.weight": (outputs, *inputs), f"{name}.bias": (outputs,)}


def alexnet():
    found = {}
    sizes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    for k, (outputs, inputs, side) in sizes.items():
        found |= _linear(f"features.{k}", outputs, inputs, side, side)
    for k, outputs, inputs in ((1, 4096, 256 * 36), (4, 4096, 4096), (6, 1000, 4096)):
        found |= _linear(f"classifier.{k}", outputs, inputs)
    return found


def vgg16():
    found, at, inputs = {}, 0, 3
    for outputs in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"):
        if outputs == "M":
            at += 1
            continue
        found |= _linear(f"features.{at}", outputs, inputs, 3, 3)
        at, inputs = at + 2, outputs
    for k, outputs, inputs in ((0, 4096, 512 * 49), (3, 4096, 4096), (6, 1000, 4096)):
        found |= _linear(f"classifier.{k}", outputs, inputs)
    return found


def googlenet():
    found = {}

    def unit(name, outputs, inputs, side):
        found[f"{name}.conv.weight"] = (outputs, inputs, side, side)
        found.update(_norm(f"{name}.bn", outputs))

    unit("conv1", 64, 3, 7)
    unit("conv2", 64, 64, 1)
    unit("conv3", 192, 64, 3)
    rows = """3a 192 64 96 128 16 32 32
    3b 256 128 128 192 32 96 64
    4a 480 192 96 208 16 48 64
    4b 512 160 112 224 24 64 64
    4c 512 128 128 256 24 64 64
    4d 512 112 144 288 32 64 64
    4e 528 256 160 320 32 128 128
    5a 832 256 160 320 32 128 128
    5b 832 384 192 384 48 128 128"""
    for row in rows.splitlines():
        name, *numbers = row.split()
        inputs, one, three, after_three, five, after_five, pooled = map(int, numbers)
        unit(f"inception{name}.branch1", one, inputs, 1)
        for branch, first, second in ((2, three, after_three), (3, five, after_five)):
            unit(f"inception{name}.branch{branch}.0", first, inputs, 1)
            unit(f"inception{name}.branch{branch}.1", second, first, 3)
        unit(f"inception{name}.branch4.1", pooled, inputs, 1)
    return found | _linear("fc", 1000, 1024)


def _resnet(depths, bottleneck):
    found, inputs = {"conv1.weight": (64, 3, 7, 7)} | _norm("bn1", 64), 64
    for stage, depth in enumerate(depths, 1):
        width = 32 * 2**stage
        outputs = 4 * width if bottleneck else width
        for block in range(depth):
            name = f"layer{stage}.{block}"
            sides = ((width, inputs, 1), (width, width, 3), (outputs, width, 1))
            sides = sides if bottleneck else ((width, inputs, 3), (width, width, 3))
            for k, (to, come, side) in enumerate(sides, 1):
                found[f"{name}.conv{k}.weight"] = (to, come, side, side)
                found |= _norm(f"{name}.bn{k}", to)
            if block == 0 and inputs != outputs:
                found[f"{name}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                found |= _norm(f"{name}.downsample.1", outputs)
            inputs = outputs
    return found | _linear("fc", 1000, inputs)


def resnet18():
    return _resnet((2, 2, 2, 2), bottleneck=False)


def resnet50():
    return _resnet((3, 4, 6, 3), bottleneck=True)


PUBLISHED = {"alexnet": alexnet, "vgg16": vgg16, "googlenet": googlenet, "resnet18": resnet18, "resnet50": resnet50}
