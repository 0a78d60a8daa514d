"""Train the pixel DDPM on MNIST: python script/train_mnist.py [--minutes 30] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainDDPM


def main(options: TrainDDPM):
    """Load the digits, build the conditional UNet, train it to predict v (or the noise: --diffusion.prediction)."""
    from common import SIZE  # a framework is loaded after --help was answered
    from common.attributes import training_set
    from common.draw import sample_grid
    from common.images import from_uint8
    from device import TREE, make_accelerator, to_tensor
    from model.ddpm import DDPM
    from model.unet import ConditionalUNet
    from pipeline import Pipeline
    from trainer import Trainer

    images, conditions, options = training_set(options, TREE)
    options.unet.check_input(channels=1, side=SIZE)
    accelerator = make_accelerator(options.device, options.precision)
    trainer = Trainer(options, accelerator, build=lambda: ConditionalUNet(options.unet))
    ddpm = DDPM(options.diffusion)

    def losses(unet, indices, noise):
        x_0 = to_tensor(from_uint8(images[indices]), accelerator.device)
        t = noise.integers(options.diffusion.timesteps)
        eps = to_tensor(noise.normal(1, SIZE, SIZE), accelerator.device)
        y = noise.drop(conditions[indices], options.label_dropout)
        return {"loss": ddpm.loss(unet, x_0, t, eps, to_tensor(y, accelerator.device))}

    def preview(unet):
        return sample_grid(Pipeline(accelerator, unet, ddpm, options.sampler, options.quantiles), options.seed)

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main)
