"""Print what is found in a data set: python -m common.data PATH [--size 64] [--help]"""
from pathlib import Path

from tyro.conf import Positional

from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing
from common.options.command_line import run
from common.options.fields import options_class
from common.options.where import Flat


@options_class
class Look:
    """Read a data set and print what is found in it."""

    data: Positional[Path]
    """Folders or a zip of pictures, or a file of arrays."""
    preprocessing: Flat[Preprocessing] = Preprocessing()


def main(options):
    data = open_dataset(options.data, options.preprocessing)
    print(f"{data}; digest {data.spec.digest}")


if __name__ == "__main__":
    run(main, Look)
