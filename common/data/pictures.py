"""From pictures of any kind to uint8 of one size: decoding, value ranges, cropping and resizing."""
import io
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field

from common.files import DAMAGE
from common.options.fields import options_class

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # twice as many pixels are an error
RANGES = (0, 1), (-0.5, 0.5), (-1, 1), (0, 16), (0, 255), (-128, 127), (0, 1023), (0, 4095), (0, 16383), (0, 65535)


@options_class
class Preprocessing:
    """How pictures are turned into what the networks see."""

    size: Annotated[int, Field(ge=16, le=128, multiple_of=4)] = 32
    """Image side in pixels, a multiple of 4."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour (None: as the pictures are)."""
    fit: Literal["crop", "pad"] = "crop"
    """Make pictures square by cropping to the centre, or by padding with a margin."""


def value_range(low, high):
    """The value range of pixels that lie between low and high: the first of RANGES that contains them up to rounding,
    else (low, high) itself, as for pictures divided by their standard deviation. If there are fractions, -128 to 127 is
    left out, and so is a range whose negative end, or whose end above 1, they do not reach half-way (255: up to 16)."""

    def likely(a, b):
        return a > -128 and (a == 0 or low < a / 2) and (b <= 1 or high > (16 if b == 255 else b / 2))

    whole = float(low).is_integer() and float(high).is_integer()
    ranges = RANGES if whole else [ends for ends in RANGES if likely(*ends)]
    rounding = 1e-5 * max(high, -low)
    return next(((a, b) for a, b in ranges if min(low - a, b - high) >= -rounding), (low, high))


def rescaled(array, stored):
    """Map an array from the range stored = (low, high) to uint8 0..255."""
    low, high = stored
    if array.dtype == np.uint8 and (low, high) == (0, 255):
        return array
    return np.round((array.astype(np.float64) - low) * (255 / ((high - low) or 1))).clip(0, 255).astype(np.uint8)


def decoded(encoded):
    """Decode a picture, bytes or a file, to Pillow's image, turned as its EXIF data says; the first frame of several.
    Pixels of 16 or 32 bits or floats, which Pillow would cut off at 255, become an array. Raises DAMAGE if damaged."""
    try:
        with Image.open(io.BytesIO(encoded if isinstance(encoded, bytes) else Path(encoded).read_bytes())) as image:
            image.load()
            with suppress(*DAMAGE):  # the picture may be whole although its EXIF data is not
                image = ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise OSError("not a picture that Pillow can read") from error
    except RuntimeError as error:  # by the AVIF decoder
        raise OSError(str(error)) from error
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if not np.isfinite(values).all():
        raise ValueError("has pixels that are not finite")
    return values


def opened(encoded, stored=None, paper="white"):
    """Decode a picture to a grey ("L") or colour ("RGB") image, on paper of this colour where transparent. stored: the
    value range of pixels of 16 bits and more; their own range if they exceed it."""
    image = decoded(encoded)
    if isinstance(image, np.ndarray):
        low, high = image.min().item(), image.max().item()
        fits = stored and stored[0] <= low and high <= stored[1]
        return Image.fromarray(rescaled(image, stored if fits else value_range(low, high)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, paper), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def is_grey(image):
    """Whether an image's channels are all the same."""
    pixels = np.atleast_3d(image)
    return (pixels == pixels[..., :1]).all()


def fitted(image, preprocessing):
    """Resize Pillow's image, bilinear with antialiasing, to an array (C, size, size) uint8."""
    size = preprocessing.size
    if preprocessing.channels:
        image = image.convert("L" if preprocessing.channels == 1 else "RGB")
    if preprocessing.fit == "crop":
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    else:
        pixels = np.asarray(image)
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        margin = np.atleast_1d(np.median(border, axis=0).astype(int))
        image = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR, tuple(margin.tolist()))
    return np.atleast_3d(image).transpose(2, 0, 1)
