"""Train the pixel DDPM on MNIST: python script/train_mnist.py [--minutes 30] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import SampleDDPM, TrainDDPM


def main(options: TrainDDPM):
    """Build the conditional UNet, load data, train it on the noise-prediction loss."""
    import numpy as np  # a framework is loaded after --help was answered

    from common.images import from_uint8, grid, save_png
    from common.mnist import load_mnist
    from device import make_accelerator, to_tensor
    from model.ddpm import DDPM
    from model.unet import ConditionalUNet
    from sampler import Pipeline
    from trainer import Trainer

    images, labels = load_mnist(train=True, folder=options.data, limit=options.limit)
    options.unet.check_input(channels=1, side=32, classes=labels.max() + 1)
    accelerator = make_accelerator(options.device, options.precision)
    trainer = Trainer(options, accelerator, build=lambda: ConditionalUNet(options.unet))
    ddpm = DDPM(options.diffusion)

    def losses(unet, indices, noise):
        x_0 = to_tensor(from_uint8(images[indices]), accelerator.device)
        t = noise.integers(options.diffusion.timesteps)
        eps = to_tensor(noise.normal(1, 32, 32), accelerator.device)
        y = np.where(noise.uniform() < options.label_dropout, options.unet.num_classes, labels[indices])
        y = to_tensor(y, accelerator.device)
        return {"loss": ddpm.loss(lambda x_t, t: unet(x_t, t, y), x_0, t, eps)}

    def preview(unet, path):
        pipeline = Pipeline(accelerator, unet, options.diffusion)
        save_png(path, grid(pipeline.images(SampleDDPM(seed=options.seed)), columns=10))

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main)
