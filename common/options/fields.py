"""What options are made of: a dataclass that refuses unknown fields, and number types with ranges."""
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

options_class = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))

# The ranges hold for the command line and for a checkpoint's JSON alike.
Count = Annotated[int, Field(ge=1, le=10**6)]
Size = Annotated[int, Field(ge=1, le=4096)]
Channels = Annotated[int, Field(ge=8, le=4096, multiple_of=8)]  # 8 groups normalise them
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Shift = Annotated[float, Field(ge=0.01, le=100)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
