"""Edit digits: python script/edit_mnist.py repaint|vary|morph|score [--index 0 1 2] [--pixels] [--help]"""
import paths

from common.options.command_line import run
from common.options.editing import Edits, Score


def main(options: Edits):
    """Load the model, and the VAE that it carries, and edit test digits or a picture of the user's."""
    import editing  # a framework is loaded after --help was answered
    from common.edit import write_edit
    from pipeline import load_pipeline
    from scoring.edits import score_edits

    work = score_edits if isinstance(options, Score) else write_edit
    work(load_pipeline(options), editing, options)


if __name__ == "__main__":
    run(main)
