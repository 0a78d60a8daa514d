"""Train the pixel DDPM on MNIST: python script/train_mnist.py [--minutes 30] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainDDPM


def main(options):
    """Open the data and the space of x_0, build the conditional UNet, and train it to predict v or the noise."""
    from common.diffusion.model import Model  # imported late, so that --help is fast
    from common.draw import sample_grid
    from common.training.run import Run
    from common.training.trainer import Trainer
    from device import Device
    from model.ddpm import GaussianDiffusion
    from optimizer import Muon
    from pipeline import pipeline

    device = Device(options.where)
    data, shape = pipeline.open_data(options, device)
    options = options.fitted(shape)
    train = data.train.first(options.training.limit)
    run = Run(options, data.spec, device)
    space, x_0_of = pipeline.open_space(run, train.images)
    diffusion = GaussianDiffusion(options.diffusion, space.clip)
    conditions = train.conditions
    trainer = Trainer(run, space, {"model": (lambda: pipeline.build_unet(options.unet, space, data.spec), Muon)})

    def losses(modules, batch, done):
        x_0 = x_0_of(batch)
        t = batch.noise.integers(options.diffusion.timesteps)
        eps = device.tensor(batch.noise.normal(*space.shape))
        y = device.tensor(batch.noise.drop(conditions[batch.indices], options.label_dropout))
        return {"model": diffusion.loss(modules["model"], x_0, t, eps, y)}, {}

    def preview(unet):
        return sample_grid(Model(device, unet, diffusion, space, data.spec, options), options.training.seed)

    trainer.fit(losses, len(train.images), preview)


if __name__ == "__main__":
    run(main, TrainDDPM)
