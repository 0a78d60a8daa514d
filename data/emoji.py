"""Make a data set in colour without a download: Noto's emoji as PNGs, in a folder for each Unicode group.

    apt install fonts-noto-color-emoji unicode-data && python data/emoji.py emoji"""
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")
SIZE = 136  # side of the font's bitmaps in pixels


def emoji():
    """(group, name, characters) of each emoji in the list."""
    group = None
    for line in LIST.read_text().splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ").replace(" & ", " and ").lower()
        codes, _, rest = line.partition(";")
        if rest.startswith(" fully-qualified"):
            name = rest.partition("#")[2].split(maxsplit=2)[2]  # after the emoji itself and its version
            yield group, name, "".join(chr(int(code, 16)) for code in codes.split())


def main(folder):
    """Write each emoji that the font has as GROUP/NAME.png, transparent where nothing is drawn."""
    font, count = ImageFont.truetype(FONT, 109), 0  # the only size that the font has
    for group, name, characters in emoji():
        picture = Image.new("RGBA", (SIZE, SIZE))
        ImageDraw.Draw(picture).text((0, 4), characters, font=font, embedded_color=True)
        if font.getlength(characters) <= SIZE:  # one glyph; an emoji that the font lacks comes out as several
            path = Path(folder, group, f"{name}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
            count += 1
    print(f"{folder}: {count} emoji")


if __name__ == "__main__":
    main(*sys.argv[1:])
