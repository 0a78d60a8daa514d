"""What classifiers see only in part: fine texture, grey levels, broken strokes. No weights; any images."""
import numpy as np
from scipy import ndimage

BOUNDS = np.array([1, 3, 6, 11, 16, 23]) / 32  # of bands, in cycles per pixel; 0.5 is the Nyquist frequency
INK = 60  # pixels above this grey level belong to a stroke
LEAST = 1e-9  # added to the power, so that 0 has a logarithm


def power(images):
    """Mean power of images (N, C, H, W) uint8, scaled to 0..1, in each band: (5,)."""
    total = 0
    for start in range(0, len(images), 500):
        part = images[start : start + 500].astype(np.float32) / 255
        total += (np.abs(np.fft.fft2(part)) ** 2).sum(axis=(0, 1))
    down, right = map(np.fft.fftfreq, images.shape[2:])
    band = np.digitize(np.hypot(down[:, None], right), BOUNDS)
    return np.array([total[band == i].mean() for i in range(1, len(BOUNDS))]) / len(images) + LEAST


def levels(images):
    """The fraction of pixels at each grey level: (256,)."""
    return sum(np.bincount(image.ravel(), minlength=256) for image in images) / images.size


def in_pieces(images):
    """The fraction of images (N, 1, H, W) uint8, light on dark, with strokes in several pieces (8-connected pixels)."""
    return float(np.mean([ndimage.label(image[0] > INK, np.ones((3, 3)))[1] > 1 for image in images]))


def texture(fake, real):
    """Fake images compared with real ones, both (N, C, H, W) uint8.

    `spectrum`: log2 of the ratio of power in each band, 0 if equal; `texture`: the entry of largest absolute value;
    `levels`: total variation distance between the histograms of grey levels, 0 to 1; `pieces`, for grey images, light
    on dark: the fraction of fake ones with strokes in several pieces."""
    spectrum = np.log2(power(fake) / power(real))
    found = {
        "spectrum": spectrum.tolist(),
        "texture": float(spectrum[np.abs(spectrum).argmax()]),
        "levels": float(np.abs(levels(fake) - levels(real)).sum() / 2),
    }
    return found | ({"pieces": in_pieces(fake)} if fake.shape[1] == 1 and real.mean() < 128 else {})


def texture_text(found):
    """The result of texture() in words."""
    bands = " ".join(f"{band:+.2f}" for band in found["spectrum"])
    pieces = f", {found['pieces']:.3f} in pieces" if "pieces" in found else ""
    return f"spectrum {bands} (log2, coarse to fine), grey levels {found['levels']:.3f} apart{pieces}"
