"""Edit digits: python script/edit_mnist.py repaint|vary|morph|score [--index 0 1 2] [--pixels] [--help]"""
import paths

from common.options.command_line import run
from common.options.editing import Edits, Score


def main(options):
    """Load the model, and edit test images or the user's picture."""
    from common.edit import write_edit  # imported late, so that --help is fast
    from pipeline import pipeline
    from scoring.edits import score_edits

    work = score_edits if isinstance(options, Score) else write_edit
    work(pipeline.load_model(options.which.checkpoint, options.which.kind, options.where), options)


if __name__ == "__main__":
    run(main, Edits)
