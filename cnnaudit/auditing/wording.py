"""What high and low values of a property are called."""

from cnnaudit.auditing import columns

_WORDS = {
    "brightness": ("bright pictures", "dark pictures"),
    "contrast": ("strong contrast", "weak contrast"),
    "saturation": ("strong colours", "pale colours"),
    "sharpness": ("sharp pictures", "blurred pictures"),
    "border": ("a border", "no border"),
    "red cast": ("a red cast", "a cyan cast"),
    "green cast": ("a green cast", "a magenta cast"),
    "blue cast": ("a blue cast", "a yellow cast"),
    "height": ("high pictures", "low pictures"),
    "width": ("wide pictures", "narrow pictures"),
    "aspect ratio": ("landscape format", "portrait format"),
    "bytes per pixel": ("many bytes a pixel", "few bytes a pixel"),
    "JPEG quality": ("high JPEG quality", "low JPEG quality"),
}


def called(name: str, sign: int) -> str:
    """High (1) or low (-1) values of a property, or of a column of the pictures' table, in words."""
    if name in _WORDS:
        return _WORDS[name][sign < 0]
    return columns.called(name, sign)
